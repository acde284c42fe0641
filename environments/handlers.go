package environments

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

func (e *Environments) handlers() map[string]run.Handler {
	p := func(kind string, begin func(cloud.Provider) verb) run.Handler { return &operation{e, kind, begin} }
	return map[string]run.Handler{
		stepCheck:    &asking{e, e.check},
		stepFetch:    &asking{e, e.fetch},
		stepEmpty:    &asking{e, e.empty},
		stepProbe:    &asking{e, e.probeAll},
		stepUndeploy: &asking{e, e.undeploy},
		stepDrain:    &asking{e, e.drain},
		stepEnrol:    &asking{e, e.enrol},
		stepRedeploy: &asking{e, e.redeploy},
		stepCapture:  p(stepCapture, func(p cloud.Provider) verb { return p.Capture }),
		stepDestroy:  p(stepDestroy, func(p cloud.Provider) verb { return p.Down }),
		stepRestore:  p(stepRestore, func(p cloud.Provider) verb { return p.Restore }),
		stepBuild:    p(stepBuild, func(p cloud.Provider) verb { return p.Up }),
	}
}

type verb func(context.Context, cloud.Request) (cloud.Token, error)

// asking is a step without a beginning of its own: each look does what there is
// to do, idempotently.
type asking struct {
	e   *Environments
	ask func(ctx context.Context, t run.Task, env found, in input) (run.Observation, error)
}

func (a *asking) Start(context.Context, run.Task) (string, error) { return "asking", nil }

func (a *asking) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in input
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	env, err := a.e.place(t.Subject.ID, in)
	if err != nil {
		return run.Observation{}, err
	}
	if turned, err := a.e.turned(ctx, t.Run); err != nil || turned {
		return letBe(), err
	}
	return a.ask(ctx, t, env, in)
}

func (a *asking) Cancel(context.Context, run.Task, string) error { return nil }

// letBe is a step of a run that turned round: it succeeds without doing anything,
// so that the run ends and the next one goes the other way.
func letBe() run.Observation {
	return run.Observation{State: run.Succeeded, Message: "let be: the run turned round"}
}

// turned says whether the active run should let the rest of its work be.
func (e *Environments) turned(ctx context.Context, id string) (turned bool, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		var n int64
		err := tx.QueryRow(ctx, `SELECT COUNT(*) FROM environment WHERE run_id = ? AND turned <> 0`, id).Scan(&n)
		turned = n > 0
		return err
	})
	return turned, err
}

// check plans a tear-down and asks the locks.
func (e *Environments) check(ctx context.Context, _ run.Task, env found, in input) (run.Observation, error) {
	plan, err := env.provider.Plan(ctx, cloud.PlanRequest{Target: env.target, Direction: cloud.Down})
	if err != nil {
		return run.Observation{}, err
	}
	out := planned{Components: plan.Components, Spares: spares(env.provider, plan.Resources)}
	for _, r := range plan.Resources {
		out.Destroys = append(out.Destroys, r.ID)
	}
	if err := e.refuse(env, plan, in.Destroy); err != nil {
		out.Refused = true
		return run.Observation{State: run.Failed, Message: withHint(err), Output: out, Lines: out.Destroys}, nil
	}
	return run.Observation{
		State: run.Succeeded, Output: out, Lines: out.Destroys,
		Message: fmt.Sprintf("%d components, %d resources", len(plan.Components), len(plan.Resources)),
	}, nil
}

func withHint(err error) string {
	if h := nightporter.HintOf(err); h != "" {
		return nightporter.MessageOf(err) + " (" + h + ")"
	}
	return nightporter.MessageOf(err)
}

// fetch brings the code and plans the build.
func (e *Environments) fetch(ctx context.Context, _ run.Task, env found, in input) (run.Observation, error) {
	code, done, err := e.code(ctx, env, in.Rev)
	if err != nil {
		return run.Observation{}, err
	}
	defer done()
	plan, err := env.provider.Plan(ctx, cloud.PlanRequest{Target: env.target, Direction: cloud.Up, Code: code})
	if nightporter.CodeOf(err) == nightporter.Invalid {
		return run.Observation{State: run.Failed, Message: withHint(err), Output: planned{Commit: code.Commit}}, nil
	}
	if err != nil {
		return run.Observation{}, err
	}
	out := planned{Components: plan.Components, Commit: code.Commit}
	if in.Scratch != "" {
		if err := e.refuse(env, cloud.Plan{Accounts: plan.Accounts}, 0); err != nil {
			return run.Observation{State: run.Failed, Message: withHint(err), Output: out}, nil
		}
	}
	if in.Again {
		if out.Extra, err = e.extra(ctx, env, plan); err != nil {
			return run.Observation{}, err
		}
	}
	message := fmt.Sprintf("%d components", len(plan.Components))
	if code.Commit != "" {
		message += " at " + short(code.Commit)
	}
	return run.Observation{State: run.Succeeded, Message: message, Output: out}, nil
}

// extra names components that exist and that a plan does not have, those first
// that others need last.
func (e *Environments) extra(ctx context.Context, env found, plan cloud.Plan) ([]string, error) {
	there, err := env.provider.Plan(ctx, cloud.PlanRequest{Target: env.target, Direction: cloud.Down})
	if err != nil {
		return nil, err
	}
	var extra []string
	for _, c := range slices.Backward(there.Components) {
		if !slices.ContainsFunc(plan.Components, func(o cloud.Component) bool { return o.Name == c.Name }) {
			extra = append(extra, c.Name)
		}
	}
	return extra, nil
}

// code checks out an environment's folder of its repository at a branch or commit.
func (e *Environments) code(ctx context.Context, env found, rev string) (cloud.Code, func(), error) {
	if env.Cloud.Repo == (nightporter.Repo{}) {
		return cloud.Code{}, func() {}, nil
	}
	if e.cfg.Source == nil {
		return cloud.Code{}, nil, nightporter.E(nightporter.Unavailable, "nobody can fetch %s here", env.Cloud.Repo)
	}
	if rev == "" {
		rev = "main"
	}
	dir, commit, done, err := e.cfg.Source.CheckoutAt(ctx, env.Cloud.Repo, rev)
	if err != nil {
		return cloud.Code{}, nil, err
	}
	sub, err := folderOf(dir, env.Cloud.Dir)
	if err != nil {
		done()
		return cloud.Code{}, nil, err
	}
	return cloud.Code{Commit: commit, Dir: sub}, done, nil
}

// empty proves that nothing is left. It asks the far end; what is kept on purpose
// may stay.
func (e *Environments) empty(ctx context.Context, _ run.Task, env found, _ input) (run.Observation, error) {
	all, err := env.provider.Inventory(ctx, env.target)
	if err != nil {
		return run.Observation{}, err
	}
	left := cloud.Alive(all)
	if len(left) == 0 {
		return run.Observation{State: run.Succeeded, Message: fmt.Sprintf("nothing is left; %d kept", len(all))}, nil
	}
	var lines []string
	for _, r := range left {
		lines = append(lines, r.ID)
	}
	return run.Observation{
		State: run.Failed, Retryable: true, Lines: lines,
		Message: fmt.Sprintf("%d resources are left, the first is %s", len(left), left[0].ID),
	}, nil
}

// probeAll looks at every component once more, after the services came back, and
// then at those.
func (e *Environments) probeAll(ctx context.Context, t run.Task, env found, in input) (run.Observation, error) {
	var lines []string
	for _, name := range in.Components {
		p, err := env.provider.Probe(ctx, env.target, name)
		switch {
		case err != nil:
			return run.Observation{}, err
		case p.Hopeless:
			return run.Observation{State: run.Failed, Message: p.Message, Lines: p.Lines}, nil
		case !p.Good:
			return run.Observation{State: run.Running, Message: name + ": " + p.Message, Lines: p.Lines}, nil
		}
		lines = append(lines, name+": "+p.Evidence.Source)
	}
	good := run.Observation{State: run.Succeeded, Message: fmt.Sprintf("%d components are good", len(in.Components)), Lines: lines}
	if e.cfg.Probe == nil {
		return good, nil
	}
	o, err := handed(e.cfg.Probe.Probe(ctx, env.Name, t.Run))
	if err != nil || o.State != run.Succeeded {
		return o, err
	}
	good.Lines = append(good.Lines, o.Lines...)
	if o.Message != "" {
		good.Message += ", " + o.Message
	}
	return good, nil
}

func (e *Environments) undeploy(ctx context.Context, t run.Task, env found, _ input) (run.Observation, error) {
	if e.cfg.Undeploy == nil {
		return nobody(), nil
	}
	return handed(e.cfg.Undeploy.Undeploy(ctx, env.Name, t.Run))
}

func (e *Environments) drain(ctx context.Context, t run.Task, env found, _ input) (run.Observation, error) {
	if e.cfg.Drain == nil {
		return nobody(), nil
	}
	return handed(e.cfg.Drain.Drain(ctx, env.Name, t.Run))
}

func (e *Environments) enrol(ctx context.Context, t run.Task, env found, _ input) (run.Observation, error) {
	if e.cfg.Enrol == nil {
		return nobody(), nil
	}
	return handed(e.cfg.Enrol.Enrol(ctx, env.Name, t.Run, func(ctx context.Context, name string) ([]byte, error) {
		return env.provider.Output(ctx, env.target, name)
	}))
}

func (e *Environments) redeploy(ctx context.Context, t run.Task, env found, _ input) (run.Observation, error) {
	if e.cfg.Redeploy == nil {
		return nobody(), nil
	}
	return handed(e.cfg.Redeploy.Redeploy(ctx, env.Name, t.Run))
}

func nobody() run.Observation {
	return run.Observation{State: run.Succeeded, Message: "nothing to do"}
}

func handed(h Handover, err error) (run.Observation, error) {
	return run.Observation{State: h.State, Message: h.Message, Lines: h.Lines, Retryable: h.State == run.Failed}, err
}

// operation is a step that begins something at the provider and looks until it is
// over. One that builds is over when the component is good.
type operation struct {
	e     *Environments
	kind  string
	begin func(cloud.Provider) verb
}

// The tokens of steps that begin nothing.
const (
	turnedToken   = "turned"
	needlessToken = "needless"
)

func (o *operation) Start(ctx context.Context, t run.Task) (string, error) {
	var in input
	if err := t.Decode(&in); err != nil {
		return "", err
	}
	env, err := o.e.place(t.Subject.ID, in)
	if err != nil {
		return "", err
	}
	if turned, err := o.e.turned(ctx, t.Run); err != nil || turned {
		return turnedToken, err
	}
	if o.kind == stepBuild || o.kind == stepRestore {
		if failed, err := o.e.failedBeside(ctx, t.Run, in.Again); err != nil || failed {
			return needlessToken, err
		}
	}
	request := cloud.Request{Target: env.target, Key: key(t), Component: in.Component}
	if o.kind == stepDestroy {
		// The locks are asked again: something may have come since the check.
		if err := o.e.lockedNow(ctx, env, in.Component); err != nil {
			return "", err
		}
	}
	if o.kind == stepBuild {
		code, done, err := o.e.code(ctx, env, in.Commit)
		if err != nil {
			return "", err
		}
		defer done()
		request.Code = code
	}
	token, err := o.begin(env.provider)(ctx, request)
	return string(token), err
}

// lockedNow asks the locks about what one component's destruction takes away.
func (e *Environments) lockedNow(ctx context.Context, env found, component string) error {
	all, err := env.provider.Inventory(ctx, env.target)
	if err != nil {
		return err
	}
	plan := cloud.Plan{}
	for _, r := range cloud.Alive(all) {
		if component == cloud.Rest || r.Component == component {
			plan.Resources = append(plan.Resources, r)
		}
	}
	return e.refuse(env, plan, len(plan.Resources))
}

// failedBeside says whether another component of the same attempt could not be
// built: then this one need not be.
func (e *Environments) failedBeside(ctx context.Context, id string, again bool) (failed bool, err error) {
	err = e.look(ctx, func(tx *store.Tx) error {
		r, err := run.Get(ctx, tx, id)
		if err != nil {
			return err
		}
		failed = slices.ContainsFunc(r.Steps, func(s run.Step) bool { return s.State == run.Failed && buildsInfrastructure(s) && isAgain(s) == again })
		return nil
	})
	return failed, err
}

func buildsInfrastructure(s run.Step) bool {
	return s.Kind == stepFetch || s.Kind == stepBuild || s.Kind == stepRestore
}

func isAgain(s run.Step) bool { return strings.HasSuffix(s.Name, " again") }

func (o *operation) Observe(ctx context.Context, t run.Task, token string) (run.Observation, error) {
	switch token {
	case turnedToken:
		return letBe(), nil
	case needlessToken:
		return run.Observation{State: run.Failed, Message: "not begun: another component could not be built"}, nil
	}
	var in input
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	env, err := o.e.place(t.Subject.ID, in)
	if err != nil {
		return run.Observation{}, err
	}
	seen, err := env.provider.Observe(ctx, env.target, cloud.Token(token))
	if err != nil {
		return run.Observation{}, err
	}
	switch seen.State {
	case cloud.Failed:
		return run.Observation{State: run.Failed, Retryable: seen.Retryable, Message: seen.Message, Lines: seen.Lines}, nil
	case cloud.Running:
		return run.Observation{State: run.Running, Message: seen.Message, Lines: seen.Lines}, nil
	}
	if o.kind != stepBuild {
		return run.Observation{State: run.Succeeded, Message: seen.Message, Lines: seen.Lines}, nil
	}
	p, err := env.provider.Probe(ctx, env.target, in.Component)
	switch {
	case err != nil:
		return run.Observation{}, err
	case p.Good:
		return run.Observation{State: run.Succeeded, Message: p.Message, Lines: seen.Lines}, nil
	case p.Hopeless:
		return run.Observation{State: run.Failed, Message: p.Message, Lines: p.Lines}, nil
	}
	return run.Observation{State: run.Running, Message: p.Message, Lines: p.Lines}, nil
}

// Cancel ends what the step began. What exists by then stays, and the next run
// finds it.
func (o *operation) Cancel(ctx context.Context, t run.Task, token string) error {
	var in input
	if err := t.Decode(&in); err != nil {
		return err
	}
	env, err := o.e.place(t.Subject.ID, in)
	if err != nil || token == turnedToken || token == needlessToken {
		return nil // nothing is there to end
	}
	progress, err := env.provider.Cancel(ctx, env.target, key(t))
	if err == nil && progress != cloud.Done {
		err = nightporter.E(nightporter.Unavailable, "%s is being cancelled", t.Step)
	}
	return err
}

// key is a task's key without the spaces that step names have.
func key(t run.Task) string { return strings.ReplaceAll(t.Key(), " ", "-") }

func short(commit string) string { return commit[:min(7, len(commit))] }

// folderOf finds the environment's folder in a checkout. It must not lead out.
func folderOf(dir, sub string) (string, error) {
	if sub == "" {
		sub = "."
	}
	full := filepath.Join(dir, sub)
	info, err := os.Stat(full)
	if err != nil || !info.IsDir() || !inside(full, dir) {
		return "", nightporter.E(nightporter.Invalid, "the repository has no folder %q", sub)
	}
	return full, nil
}
