package leaks

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// leakInput names a finding.
type leakInput struct {
	Finding string `json:"finding"`
}

// errMayNotTry says how to allow it.
func errMayNotTry() error {
	return nightporter.E(nightporter.Invalid, "what a scan finds is not tried here").WithHint("allow it in nightporter.yaml: secret_scan: {try: true}")
}

// Test starts to try a found password on the databases once more, and returns the
// run. The caller has asked the policy. Errors: not_found, invalid for a secret that
// is no database's and where trying is not allowed, conflict while another test or
// repair of it is under way.
func (l *Leaks) Test(ctx context.Context, finding string) (runID string, err error) {
	return l.act(ctx, finding, kindTest, nil)
}

// Repair starts to make a password worthless that was seen to work, and returns the
// run: its account gets a new one, a role leases logins with the same rights, and the
// old password is tried again. Errors as of [Leaks.Test], and conflict when no
// database let it in when it was last tried.
func (l *Leaks) Repair(ctx context.Context, finding string) (runID string, err error) {
	return l.act(ctx, finding, kindRepair, func(k *Leak) error {
		if k.verdict() != Live {
			return nightporter.E(nightporter.Conflict, "no database let this password in: there is nothing to repair").
				WithHint("try it first: nightporter security finding test %s", finding)
		}
		return nil
	})
}

func (l *Leaks) act(ctx context.Context, finding, kind string, check func(*Leak) error) (runID string, err error) {
	var k *Leak
	err = l.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		k, err = Get(ctx, tx, finding)
		return err
	})
	switch {
	case err != nil:
		return "", err
	case k.Login == nil:
		return "", nightporter.E(nightporter.Invalid, "it is no password of a database: who issued it must withdraw it")
	case !l.cfg.MayTry():
		return "", errMayNotTry()
	}
	if check != nil {
		if err := check(k); err != nil {
			return "", err
		}
	}
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("security", nightporter.ActorFrom(ctx).Cause()))
	resource := nightporter.Resource{Kind: "finding", ID: finding}
	in := leakInput{finding}
	steps := []run.StepSpec{{Name: "test", Kind: kindTest, Input: in, Within: 5 * time.Minute, Attempts: 3}}
	if kind == kindRepair {
		steps = append([]run.StepSpec{{Name: "repair", Kind: kindRepair, Input: in, Within: 5 * time.Minute, Attempts: 3}}, steps...)
		steps[1].After = []string{"repair"}
	}
	err = l.cfg.Gate.Do(ctx, nightporter.Action{Name: kind}, resource, func(tx *gate.Tx) error {
		runID, err = l.cfg.Runs.Start(ctx, tx, run.Spec{
			Kind: kind, Subject: resource, Holds: []run.Hold{{Name: "finding/" + finding}}, Steps: steps,
		})
		tx.Detail("run", runID)
		return err
	})
	return runID, err
}

// tester is the step that tries a password again.
type tester struct{ l *Leaks }

func (tester) Start(context.Context, run.Task) (string, error) { return "", nil }

func (tester) Cancel(context.Context, run.Task, string) error { return nil }

func (s tester) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	k, err := s.l.of(ctx, t)
	if err != nil {
		return run.Observation{}, err
	}
	secret, err := s.l.again(ctx, k)
	if err != nil {
		return run.Observation{}, err
	}
	if err := s.l.try(ctx, k, secret); err != nil {
		return run.Observation{}, err
	}
	if err := s.l.record(ctx, k); err != nil {
		return run.Observation{}, err
	}
	switch k.verdict() {
	case Refused:
		return run.Observation{State: run.Succeeded, Message: "it opens nothing any more: the finding is fixed"}, nil
	case Live:
		return run.Observation{State: run.Succeeded, Message: "it works" + said(k.Tried)}, nil
	}
	message := "nobody can say whether it works" + said(k.Tried)
	if len(k.Tried) == 0 {
		message = "no database of its kind is known here"
	}
	return run.Observation{State: run.Failed, Retryable: len(k.Tried) > 0, Message: message}, nil
}

// repairer is the step that makes a password worthless.
type repairer struct{ l *Leaks }

func (repairer) Start(context.Context, run.Task) (string, error) { return "", nil }

func (repairer) Cancel(context.Context, run.Task, string) error { return nil }

func (s repairer) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	k, err := s.l.of(ctx, t)
	if err != nil {
		return run.Observation{}, err
	}
	var done []Repaired
	var lines, accounts []string
	for _, tried := range k.Tried {
		if tried.State != Live {
			continue
		}
		r, err := s.l.cfg.Databases.Repair(ctx, tried.Database, tried.User)
		if err != nil {
			return run.Observation{}, err
		}
		done, accounts = append(done, r), append(accounts, r.Database+" "+r.User)
		lines = append(lines, fmt.Sprintf("%s has a new password at %s", r.User, r.Database))
		for _, more := range []struct{ format, text string }{
			{"logins with its rights are leased at %s", r.Role}, {"its own password is read at %s", r.Static}, {"%s", r.Warning},
		} {
			if more.text != "" {
				lines = append(lines, fmt.Sprintf(more.format, more.text))
			}
		}
	}
	k.Repaired = done
	err = s.l.cfg.Gate.Do(ctx, nightporter.Action{Name: "security.repaired"}, nightporter.Resource{Kind: "finding", ID: k.ID}, func(tx *gate.Tx) error {
		tx.Detail("accounts", accounts)
		return k.put(ctx, tx.Tx)
	})
	if err != nil {
		return run.Observation{}, err
	}
	return run.Observation{State: run.Succeeded, Message: fmt.Sprintf("%d accounts have a new password", len(done)), Lines: lines}, nil
}

// of reads the leak that a step is about.
func (l *Leaks) of(ctx context.Context, t run.Task) (k *Leak, err error) {
	var in leakInput
	if err := t.Decode(&in); err != nil {
		return nil, err
	}
	err = l.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		k, err = Get(ctx, tx, in.Finding)
		return err
	})
	return k, err
}
