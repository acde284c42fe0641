package environments

import (
	"context"
	"slices"
	"time"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/provider/cloud"
)

// The kinds of step.
const (
	stepCheck    = "env.check"
	stepUndeploy = "env.undeploy"
	stepDrain    = "env.drain"
	stepCapture  = "env.capture"
	stepDestroy  = "env.destroy"
	stepEmpty    = "env.empty"
	stepFetch    = "env.fetch"
	stepRestore  = "env.restore"
	stepBuild    = "env.build"
	stepEnrol    = "env.enrol"
	stepRedeploy = "env.redeploy"
	stepProbe    = "env.probe"
)

// input is what every step is given.
type input struct {
	Component string `json:"component,omitempty"`
	// Rev is what fetch fetches and Commit what build builds.
	Rev    string `json:"rev,omitempty"`
	Commit string `json:"commit,omitempty"`
	// Again marks the second attempt of a run, with the last good commit.
	Again bool `json:"again,omitempty"`
	// Fresh is set when nothing of the environment was there at the start.
	Fresh bool `json:"fresh,omitempty"`
	// Rehearsal only shows what a tear-down would do.
	Rehearsal bool `json:"rehearsal,omitempty"`
	// Destroy is how many resources somebody allowed by hand.
	Destroy int `json:"destroy,omitempty"`
	// Components are what the last look looks at.
	Components []string `json:"components,omitempty"`
	// Scratch is the name of the environment that is built beside its
	// original; "" means the original itself.
	Scratch string `json:"scratch,omitempty"`
}

// planned is the outcome of check and fetch.
type planned struct {
	Components []cloud.Component `json:"components"`
	Commit     string            `json:"commit,omitempty"`
	// Extra are components that exist and that the code does not have.
	Extra []string `json:"extra,omitempty"`
	// Spares is what the resources cost while they exist.
	Spares spared `json:"spares,omitzero"`
	// Refused is set when a lock holds: trying again will not help.
	Refused bool `json:"refused,omitempty"`
	// Destroys names what a tear-down takes away.
	Destroys []string `json:"destroys,omitempty"`
}

// alone is what the steps of an environment's run take: nobody deploys meanwhile.
// Redeploy and the probe after it do not: the deployments of the morning share
// the environment.
func alone(env string) []run.Hold { return []run.Hold{{Name: "environment/" + env}} }

// startDown begins a tear-down.
func (e *Environments) startDown(ctx context.Context, tx *gate.Tx, r *row, in input) error {
	step := run.StepSpec{Name: "check", Kind: stepCheck, Input: in, Within: 2 * time.Minute, Attempts: 2}
	message := "about to be torn down"
	if in.Rehearsal {
		step.Name, message = "rehearse", "its first night is rehearsed"
	} else {
		step.Holds = alone(r.Name)
	}
	return e.start(ctx, tx, r, kindDown, Closing, message, step, !in.Rehearsal)
}

// startUp begins a rebuild.
func (e *Environments) startUp(ctx context.Context, tx *gate.Tx, env found, r *row) error {
	// A morning that failed once is the same morning still: nobody had the
	// environment since it was dark.
	dark, err := darkStill(ctx, tx.Tx, r.Name)
	if err != nil {
		return err
	}
	in := input{Rev: env.Cloud.Ref, Fresh: r.State == Down || dark}
	step := run.StepSpec{
		Name: "fetch", Kind: stepFetch, Input: in, Holds: alone(r.Name), Within: 3 * time.Minute, Attempts: 1,
	}
	return e.start(ctx, tx, r, kindUp, Building, "about to be built", step, true)
}

func (e *Environments) start(ctx context.Context, tx *gate.Tx, r *row, kind string, s State, message string, first run.StepSpec, moves bool) error {
	id, err := e.cfg.Runs.Start(ctx, tx, run.Spec{Kind: kind, Subject: resource(r.Name), Steps: []run.StepSpec{first}})
	if err != nil {
		return err
	}
	r.Run, r.Turned = id, false
	if moves {
		r.becomes(s, message, e.cfg.Clock.Now())
	}
	tx.Detail("run", id)
	tx.AfterCommit(func() { e.forget(r.Name) })
	return write(ctx, tx.Tx, *r)
}

// downSteps tear down what a check found: services first, logins second, then
// each component after those that need it. What several need nothing of each
// other for happens at once.
func downSteps(env string, plan planned) []run.StepSpec {
	steps := []run.StepSpec{
		{Name: "undeploy", Kind: stepUndeploy, Input: input{}, Holds: alone(env), Within: 15 * time.Minute, Attempts: 3},
		{Name: "drain", Kind: stepDrain, Input: input{}, After: []string{"undeploy"}, Holds: alone(env), Within: 15 * time.Minute, Attempts: 3},
	}
	last := []string{"drain"}
	for _, c := range slices.Backward(plan.Components) {
		after := []string{"drain"}
		for _, user := range cloud.NeededBy(plan.Components, c.Name) {
			after = append(after, "destroy "+user)
		}
		if c.Keep != cloud.Forget {
			steps = append(steps, run.StepSpec{
				Name: "capture " + c.Name, Kind: stepCapture, Input: input{Component: c.Name}, After: after, Holds: alone(env),
				Within: within(c), Attempts: 3,
			})
			after = []string{"capture " + c.Name}
		}
		steps = append(steps, run.StepSpec{
			Name: "destroy " + c.Name, Kind: stepDestroy, Input: input{Component: c.Name}, After: after, Holds: alone(env),
			Within: within(c), Attempts: 3,
		})
		last = append(last, "destroy "+c.Name)
	}
	return append(steps,
		run.StepSpec{
			Name: "destroy the rest", Kind: stepDestroy, Input: input{Component: cloud.Rest}, After: last, Holds: alone(env),
			Within: 20 * time.Minute, Attempts: 3,
		},
		run.StepSpec{
			Name: "prove that nothing is left", Kind: stepEmpty, Input: input{}, After: []string{"destroy the rest"}, Holds: alone(env),
			Within: 5 * time.Minute, Attempts: 2,
		})
}

// upSteps build what a fetch found, each component after those that it needs, and
// bring its state back; then come logins, services and the last look.
func upSteps(env string, plan planned, in input) []run.StepSpec {
	suffix := ""
	if in.Again {
		suffix = " again"
	}
	var steps []run.StepSpec
	var first []string
	for _, name := range plan.Extra {
		steps = append(steps, run.StepSpec{
			Name: "destroy " + name + suffix, Kind: stepDestroy, Input: input{Component: name, Again: in.Again}, Holds: alone(env),
			Within: 20 * time.Minute, Attempts: 3,
		})
		first = append(first, "destroy "+name+suffix)
	}
	builds, all := buildSteps(plan, input{Commit: plan.Commit, Again: in.Again, Fresh: in.Fresh}, suffix, first, alone(env))
	return append(append(steps, builds...),
		run.StepSpec{
			Name: "enrol" + suffix, Kind: stepEnrol, Input: input{Again: in.Again}, After: all, Holds: alone(env), Within: 15 * time.Minute, Attempts: 3,
		},
		run.StepSpec{
			Name: "redeploy" + suffix, Kind: stepRedeploy, Input: input{Again: in.Again}, After: []string{"enrol" + suffix}, Within: 30 * time.Minute, Attempts: 2,
		},
		run.StepSpec{
			Name: "probe" + suffix, Kind: stepProbe, Input: input{Again: in.Again, Components: names(plan)}, After: []string{"redeploy" + suffix},
			Within: 5 * time.Minute, Attempts: 2,
		})
}

// buildSteps build components once the steps called first are over, each after
// those that it needs, and bring their state back. good are the steps after which
// all of them can be used.
func buildSteps(plan planned, in input, suffix string, first []string, holds []run.Hold) (steps []run.StepSpec, good []string) {
	usable := map[string]string{} // the step after which a component can be used
	for _, c := range plan.Components {
		after := slices.Clone(first)
		for _, need := range c.Needs {
			after = append(after, usable[need])
		}
		step := func(verb, kind string) {
			in := in
			in.Component = c.Name
			steps = append(steps, run.StepSpec{
				Name: verb + " " + c.Name + suffix, Kind: kind, After: after, Holds: holds, Within: within(c), Attempts: 2, Input: in,
			})
			after = []string{verb + " " + c.Name + suffix}
			usable[c.Name] = after[0]
		}
		if c.Keep == cloud.BeforeItIs {
			step("restore", stepRestore)
		}
		step("build", stepBuild)
		if c.Keep == cloud.OnceItIs {
			step("restore", stepRestore)
		}
		good = append(good, usable[c.Name])
	}
	return steps, good
}

func names(plan planned) []string {
	var all []string
	for _, c := range plan.Components {
		all = append(all, c.Name)
	}
	return all
}

func within(c cloud.Component) time.Duration {
	if c.Within > 0 {
		return c.Within
	}
	return 20 * time.Minute
}
