package releases

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Hold is somebody's reason why a service does not go on to production now.
type Hold struct {
	Service string    `json:"service"`
	Reason  string    `json:"reason"`
	Person  string    `json:"person"`
	At      time.Time `json:"at"`
}

// Hold keeps a service's releases before production until Unhold.
func (r *Releases) Hold(ctx context.Context, service, reason string) error {
	if reason == "" {
		return nightporter.E(nightporter.Invalid, "a hold needs a reason: it is the only exception to \"on main means in production\"")
	}
	if _, ok := r.cfg.Catalog.Current().Service(service); !ok {
		return nightporter.E(nightporter.NotFound, "no service is called %q", service)
	}
	return r.holds(ctx, service, "service.hold", func(tx *gate.Tx) error {
		tx.Detail("reason", reason)
		_, err := tx.Exec(ctx, `INSERT INTO release_hold (service, reason, person, at) VALUES (?, ?, ?, ?)
			ON CONFLICT (service) DO UPDATE SET reason = excluded.reason, person = excluded.person, at = excluded.at`,
			service, reason, nightporter.ActorFrom(ctx).Name, store.Micros(tx.Now()))
		return err
	})
}

// Unhold lets a service's releases go on.
func (r *Releases) Unhold(ctx context.Context, service string) error {
	return r.holds(ctx, service, "service.unhold", func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM release_hold WHERE service = ?`, service)
		return err
	})
}

func (r *Releases) holds(ctx context.Context, service, name string, fn func(*gate.Tx) error) error {
	action := nightporter.Action{Name: name, Capability: nightporter.Update, Path: "api/services/" + service + "/hold"}
	return r.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "service", ID: service}, func(tx *gate.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return r.wake(ctx, tx, `service = ?`, service)
	})
}

// wake has the releases that wait look again.
func (r *Releases) wake(ctx context.Context, tx *gate.Tx, where string, args ...any) error {
	type waiting struct{ run, env string }
	var all []waiting
	err := tx.Each(ctx, `SELECT r.run_id, w.environment FROM release_wait w JOIN release r ON r.id = w.release_id WHERE `+where, args,
		func(scan func(...any) error) error {
			var w waiting
			if err := scan(&w.run, &w.env); err != nil {
				return err
			}
			all = append(all, w)
			return nil
		})
	if err != nil {
		return fmt.Errorf("read what waits: %w", err)
	}
	for _, w := range all {
		if err := r.cfg.Runs.Signal(ctx, tx, w.run, "approve "+w.env); err != nil {
			return err
		}
	}
	return nil
}

// Holds lists the holds in force.
func Holds(ctx context.Context, tx *store.Tx) ([]Hold, error) {
	var out []Hold
	err := tx.Each(ctx, `SELECT service, reason, person, at FROM release_hold ORDER BY service`, nil, func(scan func(...any) error) error {
		var h Hold
		var at int64
		if err := scan(&h.Service, &h.Reason, &h.Person, &at); err != nil {
			return err
		}
		h.At = store.Time(at)
		out = append(out, h)
		return nil
	})
	return out, err
}

// held says why a service does not go on past its gates; "" when nothing keeps it.
func held(ctx context.Context, tx *store.Tx, service string) (string, error) {
	holds, err := Holds(ctx, tx)
	if err != nil {
		return "", fmt.Errorf("read holds: %w", err)
	}
	for _, h := range holds {
		if h.Service == service {
			return fmt.Sprintf("on hold by %s: %s", h.Person, h.Reason), nil
		}
	}
	return "", nil
}
