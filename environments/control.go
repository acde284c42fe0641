package environments

import (
	"context"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

// Run compares what every environment should be with what it is, until ctx ends.
// It looks again when a window opens or closes, when somebody changed something,
// when the clock jumped, and every half minute whatever happens: there is no edge
// to be missed.
func (e *Environments) Run(ctx context.Context) {
	for {
		moved := e.cfg.Clock.Moved()
		next := e.Tick(ctx)
		timer := time.NewTimer(min(e.cfg.Clock.In(next), clock.MaxSleep))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-moved:
			e.forget("")
		case <-e.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// forget has an environment decided about anew at once; "" means all of them.
func (e *Environments) forget(name string) {
	e.mu.Lock()
	e.forgot++
	if name == "" {
		e.rest = map[string]time.Time{}
	} else {
		delete(e.rest, name)
	}
	e.mu.Unlock()
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// resting says whether nothing can have changed about an environment.
func (e *Environments) resting(name string, now time.Time) (until time.Time, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	until, ok = e.rest[name]
	return until, ok && now.Before(until)
}

// settle notes when to look at an environment again, on the schedules' clock. It
// was decided about as things stood at forgot: what was forgotten since then must
// not be remembered again, or somebody's wish would wait for the next edge.
func (e *Environments) settle(name string, until time.Time, forgot uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.forgot == forgot {
		e.rest[name] = until
	}
}

// forgotten counts what was forgotten.
func (e *Environments) forgotten() uint64 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.forgot
}

// Tick decides once about every environment that has something to be decided, and
// returns when to do so again at the latest, by the schedules' clock.
func (e *Environments) Tick(ctx context.Context) time.Time {
	forgot := e.forgotten() // before anything is read
	w, now := e.cfg.Catalog.Current(), e.cfg.Clock.Now()
	next := now.Add(clock.MaxSleep)
	var rows map[string]row
	for _, env := range w.Environments() {
		if env.Cloud.Kind == "" || protected(env) || e.cfg.Providers[env.Cloud.Kind] == nil {
			continue
		}
		plan, err := e.schedule(w, env) // also forgets what an earlier world decided
		if err != nil {
			e.cfg.Log.ErrorContext(ctx, "an environment's schedule cannot be read", "environment", env.Name, "error", err)
			continue
		}
		if until, ok := e.resting(env.Name, now); ok {
			next = sooner(next, until)
			continue
		}
		if rows == nil {
			if err := e.look(ctx, func(tx *store.Tx) (err error) {
				rows, err = readAll(ctx, tx)
				return err
			}); err != nil {
				e.log(ctx, "read environments", "", err)
				return next
			}
		}
		r, ok := rows[env.Name]
		if !ok {
			r = row{Name: env.Name, State: Unknown}
		}
		until, err := e.decide(ctx, env, plan, r, now)
		if err != nil {
			e.log(ctx, "decide about an environment", env.Name, err)
			until = now // again at the next tick, half a minute from now at the latest
		} else {
			e.settle(env.Name, until, forgot)
		}
		if until.After(now) {
			next = sooner(next, until)
		}
	}
	return next
}

func (e *Environments) log(ctx context.Context, what, name string, err error) {
	if ctx.Err() == nil {
		e.cfg.Log.ErrorContext(ctx, what, "environment", name, "error", err)
	}
}

// action is what the controller does about an environment.
type action string

const (
	nothing  action = "nothing"
	observe  action = "observe"  // ask the far end what there is
	build    action = "build"    // start a rebuild
	destroy  action = "destroy"  // start a tear-down
	rehearse action = "rehearse" // show what a tear-down would do
	turn     action = "turn"     // let the active run's rest be
)

// choose decides what to do about an environment. It is pure. now is the
// schedules' clock's, real is real time.
func choose(env catalog.Environment, r row, w want, going cloud.Direction, now, real time.Time) action {
	switch {
	case r.Run != "" && r.Turned:
		return nothing
	case r.Run != "" && (going == cloud.Down && w.on() || going == cloud.Up && !w.on()):
		return turn
	case r.Run != "":
		return nothing
	case r.State == Unknown:
		return observe
	case real.Before(r.NotBefore):
		return nothing
	case w.on() && r.State != Up:
		return build
	case w.on() || r.State == Down:
		return nothing
	case env.Schedule.FirstNight != "act" && r.Rehearsed.IsZero() && w.Rule != schedule.ByOverride:
		return rehearse
	case now.Before(r.SparedUntil) && w.Rule != schedule.ByOverride:
		return nothing // the night that was only shown
	}
	return destroy
}

// decide brings one environment a step nearer to what it should be.
func (e *Environments) decide(ctx context.Context, env catalog.Environment, plan *schedule.Schedule, r row, now time.Time) (until time.Time, err error) {
	var all []Override
	var took []time.Duration
	going := cloud.Direction("")
	err = e.look(ctx, func(tx *store.Tx) (err error) {
		if all, err = overrides(ctx, tx, env.Name, now); err != nil {
			return err
		}
		if took, err = rebuilds(ctx, tx, env.Name, recentDrills); err != nil || r.Run == "" {
			return err
		}
		going, err = direction(ctx, tx, r.Run)
		return err
	})
	if err != nil {
		return now, err
	}
	o := wishes(all)
	w := desire(plan, env, o, r, took, now)
	until = w.Next
	for _, one := range all {
		if one.Until.After(now) {
			until = sooner(until, one.Until)
		}
	}
	real := time.Now()
	switch choose(env, r, w, going, now, real) {
	case observe:
		return now, e.adopt(ctx, env.Name)
	case build:
		return until, e.begin(ctx, env, cloud.Up, input{})
	case destroy:
		return until, e.begin(ctx, env, cloud.Down, input{})
	case rehearse:
		return until, e.begin(ctx, env, cloud.Down, input{Rehearsal: true})
	case turn:
		return until, e.turnRound(ctx, env.Name, r.Run)
	}
	if r.Run == "" && real.Before(r.NotBefore) {
		until = now // real time decides: look at each tick
	}
	if now.Before(r.SparedUntil) {
		until = sooner(until, r.SparedUntil)
	}
	if r.State == Down && r.Run == "" {
		until = now
		if err := e.sweep(ctx, env.Name, real); err != nil {
			return until, err
		}
	}
	return until, e.nudge(ctx, env, plan, o, r, w, now)
}

// direction is where a run goes.
func direction(ctx context.Context, tx *store.Tx, id string) (cloud.Direction, error) {
	var kind string
	err := tx.QueryRow(ctx, `SELECT kind FROM run WHERE id = ?`, id).Scan(&kind)
	if kind == kindDown {
		return cloud.Down, err
	}
	return cloud.Up, err
}

// adopt asks the far end about an environment that nobody knows yet.
func (e *Environments) adopt(ctx context.Context, name string) error {
	env, err := e.find(name)
	if err != nil {
		return err
	}
	all, err := env.provider.Inventory(ctx, env.target)
	if err != nil {
		return err
	}
	state := Down
	if len(cloud.Alive(all)) > 0 {
		state = Up
	}
	return e.change(ctx, "environment.adopt", name, "", func(ctx context.Context, tx *gate.Tx) error {
		r, err := read(ctx, tx.Tx, name)
		if err != nil || r.State != Unknown {
			return err
		}
		r.becomes(state, "", e.cfg.Clock.Now())
		r.ObservedAt = tx.Now()
		tx.Detail("state", state)
		tx.AfterCommit(func() { e.forget(name) })
		return write(ctx, tx.Tx, r)
	})
}

// begin starts a run, unless the environment moved on meanwhile. The decision is
// made again inside: what was read before may be old.
func (e *Environments) begin(ctx context.Context, env catalog.Environment, d cloud.Direction, in input) error {
	verb := "environment.down"
	if d == cloud.Up {
		verb = "environment.up"
	}
	return e.change(ctx, verb, env.Name, "", func(ctx context.Context, tx *gate.Tx) error {
		r, err := read(ctx, tx.Tx, env.Name)
		if err != nil || r.Run != "" {
			return err
		}
		w, err := e.desireNow(ctx, tx.Tx, env, r)
		if err != nil || w.on() != (d == cloud.Up) {
			return err
		}
		tx.Detail("because", string(w.Rule)+" "+w.Detail)
		if d == cloud.Down {
			return e.startDown(ctx, tx, &r, in)
		}
		f, err := e.find(env.Name)
		if err != nil {
			return err
		}
		r.EarlyUntil = w.Early
		return e.startUp(ctx, tx, f, &r)
	})
}

// turnRound has the active run let the rest of its work be. What it is at is
// finished: nothing is cut off in the middle.
func (e *Environments) turnRound(ctx context.Context, name, id string) error {
	return e.change(ctx, "environment.turn", name, "", func(ctx context.Context, tx *gate.Tx) error {
		tx.Detail("run", id)
		return turnIn(ctx, tx, name, id)
	})
}

func turnIn(ctx context.Context, tx *gate.Tx, name, id string) error {
	_, err := tx.Exec(ctx, `UPDATE environment SET turned = 1 WHERE name = ? AND run_id = ?`, name, id)
	return err
}

// sweep looks at a dark environment now and then: some far ends start things by
// themselves, and some people do. What is alive in the dark is told, and the
// environment is torn down again.
func (e *Environments) sweep(ctx context.Context, name string, real time.Time) error {
	e.mu.Lock()
	due := real.Sub(e.swept[name]) >= e.cfg.SweepEvery
	if due {
		e.swept[name] = real
	}
	e.mu.Unlock()
	if !due {
		return nil
	}
	env, err := e.find(name)
	if err != nil {
		return err
	}
	all, err := env.provider.Inventory(ctx, env.target)
	if err != nil {
		return err
	}
	left := cloud.Alive(all)
	return e.change(ctx, "environment.observe", name, "", func(ctx context.Context, tx *gate.Tx) error {
		r, err := read(ctx, tx.Tx, name)
		if err != nil || r.State != Down || r.Run != "" {
			return err
		}
		r.ObservedAt = tx.Now()
		tx.Detail("alive", len(left))
		if len(left) > 0 {
			r.becomes(Partial, "alive in the dark: "+left[0].ID, e.cfg.Clock.Now())
			tx.AfterCommit(func() { e.forget(name) })
		}
		return write(ctx, tx.Tx, r)
	})
}

// nudge tells people once before each dusk, so that whoever still works can keep
// the environment on.
func (e *Environments) nudge(ctx context.Context, env catalog.Environment, plan *schedule.Schedule, o schedule.Overrides, r row, w want, now time.Time) error {
	if r.State != Up || w.State != schedule.On || env.Schedule.Nudge <= 0 || now.Before(r.SparedUntil) {
		return nil
	}
	edges := plan.Next(now, 1, o)
	if len(edges) == 0 || now.Before(edges[0].At.Add(-env.Schedule.Nudge)) || r.NudgedFor.Equal(edges[0].At) {
		return nil
	}
	if err := e.tellNudge(ctx, env, edges[0].At.In(plan.Zone())); err != nil {
		return err
	}
	return e.change(ctx, "environment.nudge", env.Name, "", func(ctx context.Context, tx *gate.Tx) error {
		r, err := read(ctx, tx.Tx, env.Name)
		if err != nil {
			return err
		}
		r.NudgedFor = edges[0].At
		return write(ctx, tx.Tx, r)
	})
}

// actor is who asks, as a name for overrides.
func actor(ctx context.Context) string { return nightporter.ActorFrom(ctx).Cause() }
