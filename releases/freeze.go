package releases

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
)

// Freeze is a reason why no deployment to an environment starts until a time. It
// is asked for in the transaction that would start one, so none slips through
// while a freeze is made. What it does not stop: approvals, rollbacks, going back
// from a version that is not healthy, and the rebuild of a morning, which brings
// back what ran.
type Freeze struct {
	Environment string    `json:"environment"`
	From        time.Time `json:"from"`
	Until       time.Time `json:"until"`
	Reason      string    `json:"reason"`
	Person      string    `json:"person,omitempty"` // "" for one of the configuration
	Source      string    `json:"source"`           // api or file
	// InForce is false for one of the configuration that has not begun.
	InForce bool `json:"in_force"`
}

// String is what people read where a deployment waits.
func (f Freeze) String() string {
	who := f.Person
	if f.Source == sourceFile {
		who = "the configuration"
	}
	return fmt.Sprintf("frozen until %s by %s: %s", f.Until.UTC().Format("2006-01-02 15:04 MST"), who, f.Reason)
}

const (
	sourceFile = "file"
	sourceAPI  = "api"
)

// Freeze lets no deployment to an environment start until a time. Errors: invalid
// without a reason or with an end that has passed; declared while a freeze of the
// configuration is in force there.
func (r *Releases) Freeze(ctx context.Context, environment string, until time.Time, reason string) error {
	switch {
	case reason == "":
		return nightporter.E(nightporter.Invalid, "a freeze needs a reason")
	case len(reason) > 2000:
		return nightporter.E(nightporter.Invalid, "the reason is longer than 2,000 characters")
	case !until.After(r.cfg.Now()):
		return nightporter.E(nightporter.Invalid, "a freeze needs an end in the future")
	}
	if _, ok := r.cfg.Catalog.Current().Environment(environment); !ok {
		return nightporter.E(nightporter.NotFound, "no environment is called %q", environment)
	}
	return r.freezes(ctx, environment, "environment.freeze", func(tx *gate.Tx) error {
		if err := r.declared(environment); err != nil {
			return err
		}
		tx.Detail("until", until.UTC())
		tx.Detail("reason", reason)
		_, err := tx.Exec(ctx, `INSERT INTO release_freeze (environment, until, reason, person, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (environment) DO UPDATE SET until = excluded.until, reason = excluded.reason, person = excluded.person, at = excluded.at`,
			environment, store.Micros(until), reason, nightporter.ActorFrom(ctx).Name, store.Micros(r.cfg.Now()))
		return err
	})
}

// Unfreeze ends a freeze early. Errors: declared when the one in force is of the
// configuration. There need not be one.
func (r *Releases) Unfreeze(ctx context.Context, environment string) error {
	return r.freezes(ctx, environment, "environment.unfreeze", func(tx *gate.Tx) error {
		n, err := tx.Exec(ctx, `DELETE FROM release_freeze WHERE environment = ? AND until > ?`, environment, store.Micros(r.cfg.Now()))
		if err != nil || n > 0 {
			return err
		}
		return r.declared(environment)
	})
}

// declared refuses to change what the configuration freezes now.
func (r *Releases) declared(environment string) error {
	e, _ := r.cfg.Catalog.Current().Environment(environment)
	for _, f := range declaredFreezes(e, r.cfg.Now()) {
		if f.InForce {
			return nightporter.E(nightporter.Declared, "%s is %s", environment, f).
				WithHint("change it under environments.%s.freezes in nightporter.yaml", environment)
		}
	}
	return nil
}

func (r *Releases) freezes(ctx context.Context, environment, name string, fn func(*gate.Tx) error) error {
	action := nightporter.Action{Name: name, Capability: nightporter.Update, Path: "api/freezes/" + environment}
	return r.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "environment", ID: environment}, func(tx *gate.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return r.thaw(ctx, tx)
	})
}

// thaw has every deployment that a freeze keeps ask again.
func (r *Releases) thaw(ctx context.Context, tx *gate.Tx) error {
	type blocked struct{ run, step string }
	var all []blocked
	err := tx.Each(ctx, `SELECT run_id, name FROM run_step WHERE state = 'pending' AND not_before > 0 AND kind = ?`, []any{kindDeploy},
		func(scan func(...any) error) error {
			var b blocked
			if err := scan(&b.run, &b.step); err != nil {
				return err
			}
			all = append(all, b)
			return nil
		})
	if err != nil {
		return fmt.Errorf("read what is frozen: %w", err)
	}
	for _, b := range all {
		if err := r.cfg.Runs.Signal(ctx, tx, b.run, b.step); err != nil {
			return err
		}
	}
	return nil
}

// Reloaded has what waits ask again after the configuration changed: a freeze of
// the file may have gone, or have another end.
func (r *Releases) Reloaded(ctx context.Context) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("releases", ""))
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "release.reload"}, nightporter.Resource{Kind: "configuration", ID: "nightporter.yaml"},
		func(tx *gate.Tx) error { return r.thaw(ctx, tx) })
}

// Freezes lists the freezes that are in force at now, and those that the
// configuration has for later, by environment and time.
func Freezes(ctx context.Context, tx *store.Tx, world *catalog.World, now time.Time) ([]Freeze, error) {
	out := []Freeze{}
	err := tx.Each(ctx, `SELECT environment, until, reason, person, at FROM release_freeze WHERE until > ? ORDER BY environment`,
		[]any{store.Micros(now)}, func(scan func(...any) error) error {
			f := Freeze{Source: sourceAPI, InForce: true}
			var until, at int64
			if err := scan(&f.Environment, &until, &f.Reason, &f.Person, &at); err != nil {
				return err
			}
			f.Until, f.From = store.Time(until), store.Time(at)
			out = append(out, f)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the freezes: %w", err)
	}
	for _, e := range world.Environments() {
		out = append(out, declaredFreezes(e, now)...)
	}
	slices.SortStableFunc(out, func(a, b Freeze) int {
		if a.Environment != b.Environment {
			return strings.Compare(a.Environment, b.Environment)
		}
		return a.From.Compare(b.From)
	})
	return out, nil
}

func declaredFreezes(e catalog.Environment, now time.Time) (out []Freeze) {
	for _, d := range e.Freezes {
		if d.To.After(now) {
			out = append(out, Freeze{
				Environment: e.Name, From: d.From.UTC(), Until: d.To.UTC(), Reason: d.Reason, Source: sourceFile, InForce: !d.From.After(now),
			})
		}
	}
	return out
}

// frozen are the freezes in force at now by environment: of several the one that
// ends last.
func frozen(ctx context.Context, tx *store.Tx, world *catalog.World, now time.Time) (map[string]Freeze, error) {
	all, err := Freezes(ctx, tx, world, now)
	out := map[string]Freeze{}
	for _, f := range all {
		if have, ok := out[f.Environment]; f.InForce && (!ok || f.Until.After(have.Until)) {
			out[f.Environment] = f
		}
	}
	return out, err
}

// MarkFrozen notes on the board which environments are frozen at now.
func MarkFrozen(ctx context.Context, tx *store.Tx, world *catalog.World, now time.Time, rows []Row) error {
	all, err := frozen(ctx, tx, world, now)
	if err != nil || len(all) == 0 {
		return err
	}
	for _, row := range rows {
		for env, cell := range row.Environments {
			if f, ok := all[env]; ok {
				cell.Frozen = &f
				row.Environments[env] = cell
			}
		}
	}
	return nil
}

// ready keeps a deployment from starting while its environment is frozen. The run
// asks again when the freeze ends.
func (r *Releases) ready(ctx context.Context, tx *gate.Tx, work *run.Run, s *run.Step) (run.Block, error) {
	if s.Kind != kindDeploy {
		return run.Block{}, nil
	}
	var in stepInput
	if err := json.Unmarshal(s.Input, &in); err != nil {
		return run.Block{}, fmt.Errorf("read the input of step %q: %w", s.Name, err)
	}
	rel, err := Get(ctx, tx.Tx, in.Release)
	if err != nil {
		return run.Block{}, err
	}
	if rel.Kind == Rollback || in.Back != "" {
		return run.Block{}, nil
	}
	all, err := frozen(ctx, tx.Tx, r.cfg.Catalog.Current(), r.cfg.Now())
	if err != nil {
		return run.Block{}, err
	}
	f, isFrozen := all[in.Environment]
	if isFrozen {
		over, err := Overrides(ctx, tx.Tx, rel.ID)
		if err != nil {
			return run.Block{}, err
		}
		isFrozen = !slices.ContainsFunc(over, func(o Override) bool { return o.Environment == in.Environment })
	}
	switch {
	case rel.State.Over(): // another environment of the stage was not healthy
	case isFrozen:
		err = set(ctx, tx.Tx, rel.ID, Held, in.Environment+" is "+f.String(), tx.Now())
	case rel.State == Held && !slices.ContainsFunc(work.Steps, func(o run.Step) bool { return o.N != s.N && blocked(o) }):
		err = set(ctx, tx.Tx, rel.ID, Deploying, "", tx.Now())
	}
	if err != nil || !isFrozen {
		return run.Block{}, err
	}
	return run.Block{Reason: f.String(), Until: f.Until}, nil
}

// blocked says that a freeze keeps a step from starting.
func blocked(s run.Step) bool {
	return s.Kind == kindDeploy && s.State == run.Pending && !s.NotBefore.IsZero()
}

// Override is somebody's reason to deploy although an environment is frozen. It is
// for one release and one environment.
type Override struct {
	Environment string    `json:"environment"`
	Reason      string    `json:"reason"`
	Person      string    `json:"person"`
	At          time.Time `json:"at"`
}

// Overrides reads the overrides of a release, oldest first.
func Overrides(ctx context.Context, tx *store.Tx, release string) ([]Override, error) {
	var out []Override
	err := tx.Each(ctx, `SELECT environment, reason, person, at FROM release_override WHERE release_id = ? ORDER BY at, environment`,
		[]any{release}, func(scan func(...any) error) error {
			var o Override
			var at int64
			if err := scan(&o.Environment, &o.Reason, &o.Person, &at); err != nil {
				return err
			}
			o.At = store.Time(at)
			out = append(out, o)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the freezes that release %s may pass: %w", release, err)
	}
	return out, nil
}

// Overriding acts past freezes, for a reason. Where nothing is frozen it is no
// different from the plain verbs.
type Overriding struct {
	r      *Releases
	reason string
}

// OverrideFreeze gives the verbs that pass freezes. Whoever uses them needs the
// capability "update" on api/freezes/ENVIRONMENT/override of each frozen
// environment too. An empty reason gives the plain verbs.
func (r *Releases) OverrideFreeze(reason string) Overriding {
	return Overriding{r: r, reason: strings.TrimSpace(reason)}
}

// may asks the policy whether the caller may pass the freezes of environments. It
// is asked before the change, like every policy.
func (o Overriding) may(ctx context.Context, environments ...string) error {
	if o.reason == "" {
		return nil
	}
	if len(o.reason) > 2000 {
		return nightporter.E(nightporter.Invalid, "the reason is longer than 2,000 characters")
	}
	var all map[string]Freeze
	err := o.r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		all, err = frozen(ctx, tx, o.r.cfg.Catalog.Current(), o.r.cfg.Now())
		return err
	})
	if err != nil {
		return err
	}
	for _, env := range environments {
		if _, ok := all[env]; !ok {
			continue
		}
		action := nightporter.Action{Name: "freeze.override", Capability: nightporter.Update, Path: "api/freezes/" + env + "/override"}
		if err := o.r.cfg.Gate.Authorise(ctx, action, nightporter.Resource{Kind: "environment", ID: env}); err != nil {
			return err
		}
	}
	return nil
}

// write lets a release pass the freezes of environments, in the change that the
// reason was given for. [Overriding.may] must have allowed all of them.
func (o Overriding) write(ctx context.Context, tx *gate.Tx, release string, environments ...string) error {
	if o.reason == "" {
		return nil
	}
	all, err := frozen(ctx, tx.Tx, o.r.cfg.Catalog.Current(), o.r.cfg.Now())
	if err != nil {
		return err
	}
	passes := []string{}
	for _, env := range environments {
		if _, ok := all[env]; !ok {
			continue
		}
		_, err := tx.Exec(ctx, `INSERT INTO release_override (release_id, environment, reason, person, at) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (release_id, environment) DO NOTHING`, release, env, o.reason, nightporter.ActorFrom(ctx).Name, store.Micros(tx.Now()))
		if err != nil {
			return fmt.Errorf("write why release %s may pass a freeze: %w", release, err)
		}
		passes = append(passes, env)
	}
	if len(passes) > 0 {
		tx.Detail("override_freeze", o.reason)
		tx.Detail("override_freeze_of", passes)
	}
	return nil
}

// Approve is a person's yes to the environment that a release waits for, or, when
// it has its approvals and only a freeze keeps it, only the override. Errors: those
// of [Releases.Approve], and denied when the caller may not pass the freeze.
func (o Overriding) Approve(ctx context.Context, id, comment string) error {
	_, env, _, err := o.r.waiting(ctx, id)
	if err != nil {
		return err
	}
	if err := o.may(ctx, env); err != nil {
		return err
	}
	return o.r.vote(ctx, id, "approve", comment, o, func(tx *gate.Tx, rel *Release, env, person string) error {
		return o.r.mayApprove(ctx, tx.Tx, rel, env, person)
	})
}

// decideFrozen is a person's word on a release that has its approvals and that only
// a freeze keeps: yes means that it may pass, no ends it.
func (r *Releases) decideFrozen(ctx context.Context, tx *gate.Tx, rel *Release, env, verb, step, comment string, o Overriding) error {
	if verb == "reject" {
		person := nightporter.ActorFrom(ctx).Name
		message := strings.TrimSuffix("rejected by "+person+": "+comment, ": ")
		if err := set(ctx, tx.Tx, rel.ID, Rejected, message, tx.Now()); err != nil {
			return err
		}
		return r.cfg.Runs.Cancel(ctx, tx, rel.Run, message)
	}
	if o.reason == "" {
		return nightporter.E(nightporter.Conflict, "%s %s has its approvals: %s", rel.Service, rel.Version, rel.Message).
			WithHint(`nightporter release approve %s --override-freeze "why it cannot wait"`, rel.ID)
	}
	if err := o.write(ctx, tx, rel.ID, env); err != nil {
		return err
	}
	return r.cfg.Runs.Signal(ctx, tx, rel.Run, step)
}
