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

// Freeze is somebody's reason why nothing enters an environment until a time.
type Freeze struct {
	Environment string    `json:"environment"`
	Until       time.Time `json:"until"`
	Reason      string    `json:"reason"`
	Person      string    `json:"person"`
	At          time.Time `json:"at"`
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

// Freeze keeps everything out of an environment until a time.
func (r *Releases) Freeze(ctx context.Context, environment string, until time.Time, reason string) error {
	switch {
	case reason == "":
		return nightporter.E(nightporter.Invalid, "a freeze needs a reason")
	case !until.After(r.cfg.Now()):
		return nightporter.E(nightporter.Invalid, "a freeze needs an end in the future")
	}
	e, ok := r.cfg.Catalog.Current().Environment(environment)
	switch {
	case !ok:
		return nightporter.E(nightporter.NotFound, "no environment is called %q", environment)
	case e.Kind != nightporter.Production && !e.Approval.Needed():
		return nightporter.E(nightporter.Invalid, "releases do not stop before %s, so it cannot be frozen", environment).
			WithHint("freeze production, or give %s an approval in nightporter.yaml", environment)
	}
	return r.freezes(ctx, environment, "environment.freeze", func(tx *gate.Tx) error {
		tx.Detail("until", until.UTC())
		tx.Detail("reason", reason)
		_, err := tx.Exec(ctx, `INSERT INTO release_freeze (environment, until, reason, person, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (environment) DO UPDATE SET until = excluded.until, reason = excluded.reason, person = excluded.person, at = excluded.at`,
			environment, store.Micros(until), reason, nightporter.ActorFrom(ctx).Name, store.Micros(tx.Now()))
		return err
	})
}

// Unfreeze ends a freeze early.
func (r *Releases) Unfreeze(ctx context.Context, environment string) error {
	return r.freezes(ctx, environment, "environment.unfreeze", func(tx *gate.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM release_freeze WHERE environment = ?`, environment)
		return err
	})
}

func (r *Releases) freezes(ctx context.Context, environment, name string, fn func(*gate.Tx) error) error {
	action := nightporter.Action{Name: name, Capability: nightporter.Update, Path: "api/freezes/" + environment}
	return r.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "environment", ID: environment}, func(tx *gate.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return r.wake(ctx, tx, `1 = 1`)
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

// Freezes lists the freezes in force at now.
func Freezes(ctx context.Context, tx *store.Tx, now time.Time) ([]Freeze, error) {
	var out []Freeze
	err := tx.Each(ctx, `SELECT environment, until, reason, person, at FROM release_freeze WHERE until > ? ORDER BY environment`,
		[]any{store.Micros(now)}, func(scan func(...any) error) error {
			var f Freeze
			var until, at int64
			if err := scan(&f.Environment, &until, &f.Reason, &f.Person, &at); err != nil {
				return err
			}
			f.Until, f.At = store.Time(until), store.Time(at)
			out = append(out, f)
			return nil
		})
	return out, err
}

// block is what keeps a release out of an environment apart from votes.
type block struct {
	reason string
	until  time.Time // zero when only a person can end it
}

func blockOf(ctx context.Context, tx *store.Tx, service, environment string, now time.Time) (block, error) {
	holds, err := Holds(ctx, tx)
	if err != nil {
		return block{}, fmt.Errorf("read holds: %w", err)
	}
	for _, h := range holds {
		if h.Service == service {
			return block{reason: fmt.Sprintf("on hold by %s: %s", h.Person, h.Reason)}, nil
		}
	}
	freezes, err := Freezes(ctx, tx, now)
	if err != nil {
		return block{}, fmt.Errorf("read freezes: %w", err)
	}
	for _, f := range freezes {
		if f.Environment == environment {
			return block{reason: fmt.Sprintf("%s is frozen by %s until %s: %s", environment, f.Person, f.Until.Format("2006-01-02 15:04 MST"), f.Reason), until: f.Until}, nil
		}
	}
	return block{}, nil
}
