package environments

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

// The caps on wishes.
const (
	defaultKeepMax = 12 * time.Hour // where the configuration says nothing
	offMax         = 7 * 24 * time.Hour
	defaultUp      = 2 * time.Hour
)

// Wish asks for an environment to be on or off for a while.
type Wish struct {
	State  schedule.State // on, off
	Until  time.Time
	Reason string
}

// Act is what the policy decides about when somebody presses a button of an
// environment.
func Act(name, verb string, c nightporter.Capability) nightporter.Action {
	return nightporter.Action{Name: "environment." + verb, Capability: c, Path: "api/environments/" + name + "/" + verb}
}

// Keep lets somebody's wish go before the schedule until it ends. The latest wish
// wins. A run that goes the other way turns round after its current step.
func (e *Environments) Keep(ctx context.Context, name string, w Wish) (Override, error) {
	return e.wish(ctx, Act(name, "keep", nightporter.Update), name, w, func(*gate.Tx) error { return nil })
}

// wish writes a wish and does what comes with it in one change, so that the
// controller never sees the one without the other.
func (e *Environments) wish(ctx context.Context, action nightporter.Action, name string, w Wish, and func(*gate.Tx) error) (Override, error) {
	env, err := e.find(name)
	if err != nil {
		return Override{}, err
	}
	now := e.cfg.Clock.Now()
	if err := allowed(env, w, now); err != nil {
		return Override{}, err
	}
	o := Override{State: w.State, From: now, Until: w.Until.UTC(), SetAt: now, Reason: w.Reason, Person: actor(ctx), environment: name}
	err = e.cfg.Gate.Do(ctx, action, resource(name), func(tx *gate.Tx) error {
		o.ID = e.newID("keep", tx.Now())
		_, err := tx.Exec(ctx, `INSERT INTO environment_override (id, environment, state, from_at, until_at, set_at, reason, person)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, o.ID, name, o.State, store.Micros(o.From), store.Micros(o.Until), store.Micros(o.SetAt), o.Reason, o.Person)
		if err != nil {
			return fmt.Errorf("write an override of %s: %w", name, err)
		}
		tx.Detail("state", o.State)
		tx.Detail("until", o.Until)
		tx.Detail("reason", o.Reason)
		tx.Publish(nightporter.EnvironmentKept{Environment: name, State: string(o.State), Until: o.Until, Reason: o.Reason, Person: o.Person})
		if err := e.reconsider(ctx, tx, env); err != nil {
			return err
		}
		return and(tx)
	})
	return o, err
}

// allowed checks a wish against the policy of its environment.
func allowed(env found, w Wish, now time.Time) error {
	most := env.Schedule.KeepMax
	if most == 0 {
		most = defaultKeepMax
	}
	if w.State == schedule.Off {
		most = offMax
	}
	switch {
	case protected(env.Environment):
		return nightporter.E(nightporter.Protected, "%s is production and always on", env.Name)
	case w.State != schedule.On && w.State != schedule.Off:
		return nightporter.E(nightporter.Invalid, "an environment is kept on or off, not %q", w.State)
	case strings.TrimSpace(w.Reason) == "":
		return nightporter.E(nightporter.Invalid, "say why: others see it, and the bill does").WithHint(`--reason "load test"`)
	case len(w.Reason) > 500:
		return nightporter.E(nightporter.Invalid, "the reason is longer than 500 characters")
	case !w.Until.After(now):
		return nightporter.E(nightporter.Invalid, "the end is over already")
	case w.Until.After(now.Add(most)):
		return nightporter.E(nightporter.Invalid, "%s can be kept %s for %s at most", env.Name, w.State, most).
			WithHint("until %s, and again after that", now.Add(most).Format(time.RFC3339))
	}
	return nil
}

// Wake wishes an environment up for two hours on behalf of cause, who deploys to
// it, and says whether it is on its way. It is a wish like Keep, made once for each
// key. Where a person wishes it dark nothing is done: that goes before.
func (e *Environments) Wake(ctx context.Context, name, key, reason, cause string) (waking bool, err error) {
	env, err := e.find(name)
	if err != nil {
		return false, err
	}
	now := e.cfg.Clock.Now()
	w := Wish{State: schedule.On, Until: now.Add(defaultUp), Reason: reason}
	if err := allowed(env, w, now); err != nil {
		return false, err
	}
	sum := sha256.Sum256([]byte(name + "\n" + key))
	id, wake := "wake_"+hex.EncodeToString(sum[:10]), false
	err = e.look(ctx, func(tx *store.Tx) error {
		wake, waking, err = e.wakeable(ctx, tx, env, id)
		return err
	})
	if err != nil || !wake {
		return waking, err
	}
	err = e.change(ctx, "environment.wake", name, cause, func(ctx context.Context, tx *gate.Tx) error {
		if wake, waking, err = e.wakeable(ctx, tx.Tx, env, id); err != nil || !wake {
			return err
		}
		_, err := tx.Exec(ctx, `INSERT INTO environment_override (id, environment, state, from_at, until_at, set_at, reason, person)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?)`, id, name, w.State, store.Micros(now), store.Micros(w.Until), store.Micros(now), reason, cause)
		if err != nil {
			return fmt.Errorf("write an override of %s: %w", name, err)
		}
		tx.Detail("until", w.Until)
		tx.Detail("reason", reason)
		tx.Publish(nightporter.EnvironmentKept{Environment: name, State: string(w.State), Until: w.Until, Reason: reason, Person: cause})
		tx.AfterCommit(func() { e.forget(name) })
		waking = true
		return nil
	})
	return waking, err
}

// wakeable says whether an environment is to be woken under an id, and whether it
// is wanted up as it is.
func (e *Environments) wakeable(ctx context.Context, tx *store.Tx, env found, id string) (wake, wanted bool, err error) {
	r, err := read(ctx, tx, env.Name)
	if err != nil {
		return false, false, err
	}
	w, err := e.desireNow(ctx, tx, env.Environment, r)
	if err != nil || w.on() || w.Rule == schedule.ByOverride {
		return false, w.on(), err
	}
	var n int64
	err = tx.QueryRow(ctx, `SELECT COUNT(*) FROM environment_override WHERE id = ?`, id).Scan(&n)
	return n == 0, false, err
}

// Unkeep takes every wish about an environment back.
func (e *Environments) Unkeep(ctx context.Context, name string) error {
	env, err := e.find(name)
	if err != nil {
		return err
	}
	return e.cfg.Gate.Do(ctx, Act(name, "keep", nightporter.Delete), resource(name), func(tx *gate.Tx) error {
		now := e.cfg.Clock.Now()
		n, err := tx.Exec(ctx, `UPDATE environment_override SET until_at = ? WHERE environment = ? AND until_at > ?`, store.Micros(now), name, store.Micros(now))
		if err != nil {
			return fmt.Errorf("end the overrides of %s: %w", name, err)
		}
		if n > 0 {
			tx.Publish(nightporter.EnvironmentKept{Environment: name, Person: actor(ctx)})
		}
		tx.Detail("ended", n)
		return e.reconsider(ctx, tx, env)
	})
}

// reconsider turns the active run round when it goes the other way now, and lifts
// the rest after failures: somebody is there.
func (e *Environments) reconsider(ctx context.Context, tx *gate.Tx, env found) error {
	r, err := read(ctx, tx.Tx, env.Name)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() { e.forget(env.Name) })
	if r.Run == "" {
		if r.NotBefore.IsZero() {
			return nil
		}
		r.NotBefore = time.Time{}
		return write(ctx, tx.Tx, r)
	}
	going, err := direction(ctx, tx.Tx, r.Run)
	if err != nil {
		return err
	}
	w, err := e.desireNow(ctx, tx.Tx, env.Environment, r)
	if err != nil {
		return err
	}
	if !r.Turned && w.on() == (going == cloud.Down) {
		return turnIn(ctx, tx, env.Name, r.Run)
	}
	return nil
}

// Press is a person's wish to have an environment up or down now.
type Press struct {
	// Until is when the schedule decides again. Zero means in two hours for
	// up, and until the next window for down.
	Until  time.Time
	Reason string
	// Destroy allows a tear-down of so many resources, once. 0 means what the
	// configuration says.
	Destroy int
}

// Go brings an environment up or down now, and returns the run. It is a wish like
// Keep, so the schedule does not undo it at once. Up on an environment that is up
// repairs it: what is gone is built, what is there stays.
func (e *Environments) Go(ctx context.Context, name string, d cloud.Direction, p Press) (runID string, err error) {
	env, err := e.find(name)
	if err != nil {
		return "", err
	}
	now := e.cfg.Clock.Now()
	w := Wish{State: schedule.On, Until: p.Until, Reason: p.Reason}
	if w.Reason == "" {
		w.Reason = "asked for by hand"
	}
	if w.Until.IsZero() {
		w.Until = now.Add(defaultUp)
	}
	action := Act(name, "up", nightporter.Update)
	if d == cloud.Down {
		action, w.State = Act(name, "down", nightporter.Update), schedule.Off
		if p.Until.IsZero() {
			w.Until = sooner(e.nextOn(name, now), now.Add(offMax))
		}
	}
	_, err = e.wish(ctx, action, name, w, func(tx *gate.Tx) error {
		r, err := read(ctx, tx.Tx, name)
		if err != nil {
			return err
		}
		if r.Run != "" {
			runID = r.Run // either it goes there, or the next one will
			return nil
		}
		if d == cloud.Up {
			err = e.startUp(ctx, tx, env, &r)
		} else if r.State == Down {
			return nightporter.E(nightporter.Conflict, "%s is down", name)
		} else {
			err = e.startDown(ctx, tx, &r, input{Destroy: p.Destroy})
		}
		runID = r.Run
		return err
	})
	return runID, err
}

// runs reads an environment's runs with their steps, newest first.
func runs(ctx context.Context, tx *store.Tx, name string, limit int) ([]*run.Run, error) {
	list, err := run.Of(ctx, tx, resource(name), limit)
	if err != nil {
		return nil, err
	}
	for i, r := range list {
		if list[i], err = run.Get(ctx, tx, r.ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}
