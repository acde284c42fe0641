package releases

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
)

// deployer brings a release into an environment beside what runs there, and lets
// it take over once it is healthy. One that is not healthy is discarded, and what
// ran before has never stopped.
type deployer struct {
	r *Releases
}

// deployed is the outcome of a deploy step.
type deployed struct {
	// Verdict is what was wrong with a candidate. It is committed before the
	// candidate is removed: once it is gone nobody can ask it any more.
	Verdict  string               `json:"verdict,omitempty"`
	Address  string               `json:"address,omitempty"`
	Evidence nightporter.Evidence `json:"evidence"`
	// Retryable is set on a failure that says nothing about the version.
	Retryable bool `json:"retryable,omitempty"`
	// Served is set when the failure came after the switch: what ran before
	// has ended and must be started again.
	Served bool `json:"served,omitempty"`
	// Older is set when the environment had a newer version already.
	Older bool `json:"older,omitempty"`
}

func (d *deployer) Start(ctx context.Context, t run.Task) (string, error) {
	rel, err := d.subject(ctx, t)
	if err != nil {
		return "", err
	}
	in := stepInput{}
	if err := t.Decode(&in); err != nil {
		return "", err
	}
	if newer, err := d.newer(ctx, rel, in); err != nil || newer {
		return olderToken, err
	}
	p, err := d.r.deployer(rel.frozen.Kind)
	if err != nil {
		return "", err
	}
	token, err := p.Start(ctx, d.r.request(rel, in.Environment, key(t)))
	return string(token), err
}

// olderToken marks a deployment that was not begun because the environment has a
// newer version.
const olderToken = "older"

// newer says whether the environment already runs a later commit. Merges that
// were quick may overtake each other while they build.
func (d *deployer) newer(ctx context.Context, rel *Release, in stepInput) (newer bool, err error) {
	if rel.Kind != OfMerge || in.Back != "" {
		return false, nil
	}
	err = d.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		p, err := PlacementOf(ctx, tx, rel.Service, in.Environment)
		newer = p != nil && p.Place > rel.Place
		return err
	})
	return newer, err
}

// subject is the release whose bytes the step deploys: its own, or the one to go
// back to.
func (d *deployer) subject(ctx context.Context, t run.Task) (*Release, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return nil, err
	}
	id := in.Release
	if in.Back != "" {
		id = in.Back
	}
	var rel *Release
	err := d.r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		rel, err = Get(ctx, tx, id)
		return err
	})
	if err == nil && rel.frozen.Kind == "" {
		err = nightporter.E(nightporter.Conflict, "release %s was never built", id)
	}
	return rel, err
}

func (d *deployer) Observe(ctx context.Context, t run.Task, token string) (run.Observation, error) {
	if token == olderToken {
		return run.Observation{State: run.Failed, Message: "a newer version runs there", Output: deployed{Older: true}}, nil
	}
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	rel, err := d.subject(ctx, t)
	if err != nil {
		return run.Observation{}, err
	}
	p, err := d.r.deployer(rel.frozen.Kind)
	if err != nil {
		return run.Observation{}, err
	}
	var found deployed
	if len(t.Output) > 0 {
		if err := json.Unmarshal(t.Output, &found); err != nil {
			return run.Observation{}, fmt.Errorf("read what step %q found: %w", t.Step, err)
		}
	}
	if found.Verdict != "" {
		return d.remove(ctx, p, rel, in.Environment, deploy.Token(token), found)
	}
	o, err := p.Observe(ctx, deploy.Token(token))
	if err != nil {
		return run.Observation{}, err
	}
	switch o.State {
	case deploy.Healthy:
		progress, err := p.Switch(ctx, deploy.Token(token))
		if err != nil {
			return run.Observation{}, fmt.Errorf("switch to %s %s: %w", rel.Service, rel.Version, err)
		}
		if progress == deploy.Pending {
			return run.Observation{State: run.Running, Message: "healthy; the old one finishes its requests", Lines: o.Lines}, nil
		}
		return run.Observation{
			State: run.Succeeded, Message: o.Message, Lines: o.Lines,
			Output: deployed{Address: o.Address, Evidence: o.Evidence},
		}, d.r.recall(ctx, p, rel.Service, in.Environment)
	case deploy.Failed, deploy.Gone:
		return judge(o), d.r.recall(ctx, p, rel.Service, in.Environment)
	}
	return run.Observation{State: run.Running, Message: o.Message, Lines: o.Lines}, nil
}

// judge looks at an instance that is not good. A candidate is removed once its
// verdict is kept.
func judge(o deploy.Observation) run.Observation {
	out := deployed{Evidence: o.Evidence, Retryable: o.Retryable, Served: o.Role == deploy.Serving}
	switch {
	case o.State == deploy.Gone:
		// Somebody else ended it: that says nothing about the version.
		o.Message, out.Retryable = "it was ended before it was healthy", true
	case !out.Served:
		out.Verdict = cmp.Or(o.Message, "it was not healthy")
		return run.Observation{
			State: run.Running, Message: o.Message + "; it is being removed", Lines: o.Lines, Output: out, Again: time.Millisecond,
		}
	}
	return run.Observation{State: run.Failed, Retryable: out.Retryable, Message: o.Message, Lines: o.Lines, Output: out}
}

// remove ends a candidate that was found bad, and fails the step with the verdict.
func (d *deployer) remove(ctx context.Context, p deploy.Deployer, rel *Release, environment string, token deploy.Token, out deployed) (run.Observation, error) {
	progress, err := p.Discard(ctx, token)
	if err != nil {
		return run.Observation{}, err
	}
	if progress == deploy.Pending {
		return run.Observation{State: run.Running, Message: out.Verdict + "; it is being removed"}, nil
	}
	o := run.Observation{State: run.Failed, Retryable: out.Retryable, Message: out.Verdict, Output: out}
	return o, d.r.recall(ctx, p, rel.Service, environment)
}

// Cancel removes a candidate that never served. One that serves stays: the
// environment must not become empty because a newer release came.
func (d *deployer) Cancel(ctx context.Context, t run.Task, token string) error {
	var in stepInput
	if err := t.Decode(&in); err != nil || token == olderToken {
		return err
	}
	rel, err := d.subject(ctx, t)
	if err != nil {
		return err
	}
	p, err := d.r.deployer(rel.frozen.Kind)
	if err != nil {
		return err
	}
	if token == "" { // a crash may have come between the start and its token
		instances, err := p.Running(ctx, rel.Service, in.Environment)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(instances, func(i deploy.Instance) bool { return i.Key == key(t) })
		if i < 0 {
			return d.r.recall(ctx, p, rel.Service, in.Environment)
		}
		token = string(instances[i].Token)
	}
	progress, err := p.Discard(ctx, deploy.Token(token))
	switch code := nightporter.CodeOf(err); {
	case code == nightporter.Conflict, code == nightporter.NotFound:
		return nil
	case err == nil && progress == deploy.Pending:
		return nightporter.E(nightporter.Unavailable, "the candidate is being removed")
	case err != nil:
		return err
	}
	return d.r.recall(ctx, p, rel.Service, in.Environment)
}
