package releases

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
)

// Night says when environments sleep. internal/app wires environments to it.
type Night interface {
	// Dark says whether an environment is down or on its way there, and until
	// when; a zero time means that nobody knows.
	Dark(ctx context.Context, environment string) (dark bool, until time.Time, err error)
	// Wake wishes a dark environment up for a while, once for each key, and
	// says whether it is on its way: not where a person wishes it dark.
	Wake(ctx context.Context, environment, key, reason, cause string) (waking bool, err error)
}

// Handover is how far this package is with its part of dusk or dawn.
type Handover struct {
	State   run.State // Running, Succeeded or Failed
	Message string
	Lines   []string
}

// Undeploy ends every service in an environment at dusk and remembers what ran.
// It is called again and again until it has succeeded, and is idempotent.
func (r *Releases) Undeploy(ctx context.Context, environment, _ string) (Handover, error) {
	awake, err := r.placed(ctx, environment, false)
	if err != nil {
		return Handover{}, err
	}
	for _, p := range awake {
		d, err := r.deployerOf(ctx, p.Release)
		if err != nil {
			return Handover{}, err
		}
		progress, err := d.Stop(ctx, p.Service, environment)
		if err != nil {
			return Handover{}, fmt.Errorf("stop %s in %s: %w", p.Service, environment, err)
		}
		if progress == deploy.Pending {
			return Handover{State: run.Running, Message: p.Service + " finishes its requests"}, nil
		}
		if err := r.recall(ctx, d, p.Service, environment); err != nil {
			return Handover{}, err
		}
		if err := r.sleep(ctx, p); err != nil {
			return Handover{}, err
		}
	}
	return Handover{State: run.Succeeded, Message: "every service has ended"}, nil
}

// Redeploy brings back at dawn what ran at dusk, from the same bytes, and ends
// when all of it is healthy. It is called again and again, and is idempotent: the
// run's id makes the keys of the starts.
func (r *Releases) Redeploy(ctx context.Context, environment, runID string) (Handover, error) {
	asleep, err := r.placed(ctx, environment, true)
	if err != nil {
		return Handover{}, err
	}
	for _, p := range asleep {
		h, err := r.wakeUp(ctx, p, runID)
		if err != nil || h.State != run.Succeeded {
			return h, err
		}
	}
	return Handover{State: run.Succeeded, Message: "every service answers"}, nil
}

func (r *Releases) wakeUp(ctx context.Context, p Placement, runID string) (Handover, error) {
	rel, err := r.at(ctx, p.Release)
	if err != nil {
		return Handover{}, err
	}
	d, err := r.deployer(rel.frozen.Kind)
	if err != nil {
		return Handover{}, err
	}
	// A candidate that was removed is an earlier attempt's: this one is the next.
	for n := 1; ; n++ {
		token, err := d.Start(ctx, r.request(rel, p.Environment, fmt.Sprintf("dawn/%s/%s/%d", runID, p.Service, n)))
		if err != nil {
			return Handover{}, fmt.Errorf("start %s in %s: %w", p.Service, p.Environment, err)
		}
		o, err := d.Observe(ctx, token)
		if err != nil {
			return Handover{}, err
		}
		if o.State != deploy.Gone || n == maxDawns {
			return r.takeOver(ctx, d, p, token, o)
		}
	}
}

// maxDawns bounds how often one dawn starts a service.
const maxDawns = 5

func (r *Releases) takeOver(ctx context.Context, d deploy.Deployer, p Placement, token deploy.Token, o deploy.Observation) (Handover, error) {
	switch o.State {
	case deploy.Healthy:
		progress, err := d.Switch(ctx, token)
		if err != nil || progress == deploy.Pending {
			return Handover{State: run.Running, Message: p.Service + " is taking over"}, err
		}
		if err := r.recall(ctx, d, p.Service, p.Environment); err != nil {
			return Handover{}, err
		}
		return Handover{State: run.Succeeded}, r.awake(ctx, p, o)
	case deploy.Starting:
		return Handover{State: run.Running, Message: p.Service + " is starting"}, nil
	case deploy.Failed:
		if progress, err := d.Discard(ctx, token); err != nil || progress == deploy.Pending {
			return Handover{State: run.Running, Message: p.Service + " is being removed", Lines: o.Lines}, err
		}
		if err := r.recall(ctx, d, p.Service, p.Environment); err != nil {
			return Handover{}, err
		}
	}
	return Handover{State: run.Failed, Message: fmt.Sprintf("%s %s: %s", p.Service, p.Version, o.Message), Lines: o.Lines}, nil
}

// placed reads the placements of an environment that are awake, or asleep.
func (r *Releases) placed(ctx context.Context, environment string, asleep bool) (out []Placement, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		out, err = placements(ctx, tx, `WHERE environment = ? AND asleep = ? ORDER BY service`, environment, store.Bool(asleep))
		return err
	})
	return out, err
}

func (r *Releases) deployerOf(ctx context.Context, release string) (deploy.Deployer, error) {
	rel, err := r.at(ctx, release)
	if err != nil {
		return nil, err
	}
	return r.deployer(rel.frozen.Kind)
}

func (r *Releases) sleep(ctx context.Context, p Placement) error {
	return r.change(ctx, nightporter.Action{Name: "service.sleep"}, p.Release, func(tx *gate.Tx) error {
		tx.Detail("service", p.Service)
		tx.Detail("environment", p.Environment)
		_, err := tx.Exec(ctx, `UPDATE release_placement SET asleep = 1, since = ? WHERE service = ? AND environment = ? AND asleep = 0`,
			store.Micros(tx.Now()), p.Service, p.Environment)
		return err
	})
}

func (r *Releases) awake(ctx context.Context, p Placement, o deploy.Observation) error {
	return r.change(ctx, nightporter.Action{Name: "service.wake"}, p.Release, func(tx *gate.Tx) error {
		tx.Detail("service", p.Service)
		tx.Detail("environment", p.Environment)
		n, err := tx.Exec(ctx, `UPDATE release_placement SET asleep = 0, address = ?, since = ?, observed_at = ?, source = ?
			WHERE service = ? AND environment = ? AND asleep = 1`, o.Address, store.Micros(tx.Now()),
			store.Micros(o.Evidence.ObservedAt), o.Evidence.Source, p.Service, p.Environment)
		if err != nil || n == 0 {
			return err
		}
		if err := forgetLife(ctx, tx.Tx, p.Service, p.Environment); err != nil {
			return err
		}
		tx.Publish(nightporter.Deployed{
			Release: p.Release, Service: p.Service, Environment: p.Environment, Version: p.Version, Commit: p.Commit,
			At: tx.Now(), Evidence: o.Evidence,
		})
		return nil
	})
}

// wokenLook is how often a deployment looks whether what it woke is up.
const wokenLook = time.Second

// daylight lets a deployment wait for its environment to be up.
type daylight struct{ r *Releases }

func (d *daylight) Start(context.Context, run.Task) (string, error) { return "waits", nil }

func (d *daylight) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	dark, until, err := d.r.cfg.Night.Dark(ctx, in.Environment)
	if err != nil {
		return run.Observation{}, err
	}
	if !dark {
		return run.Observation{State: run.Succeeded, Message: in.Environment + " is up"}, nil
	}
	o := run.Observation{State: run.Waiting, Message: "waiting for " + in.Environment + ", which is dark", Again: time.Minute}
	if env, ok := d.r.cfg.Catalog.Current().Environment(in.Environment); ok && env.WhenDark == catalog.Wake {
		rel, err := d.r.at(ctx, in.Release)
		if err != nil {
			return run.Observation{}, err
		}
		waking, err := d.r.cfg.Night.Wake(ctx, in.Environment, t.Run+"/"+t.Step, fmt.Sprintf("deploys %s %s", rel.Service, rel.Version), t.Cause)
		if err != nil {
			return run.Observation{}, err
		}
		if waking {
			return run.Observation{State: run.Waiting, Message: in.Environment + " is being woken", Again: wokenLook}, nil
		}
	}
	if !until.IsZero() {
		o.Message += " until " + until.UTC().Format("2006-01-02 15:04 MST")
	}
	return o, nil
}

// Cancel has nothing to end.
func (d *daylight) Cancel(context.Context, run.Task, string) error { return nil }
