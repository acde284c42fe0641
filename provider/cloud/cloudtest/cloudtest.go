// Package cloudtest is what every [cloud.Provider] must pass. An implementation
// calls [Run] from its own test and says in a [World] how to make environments
// that behave and environments that do not.
package cloudtest

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// World is a far end for one test, and a judge of it. Its code has a component
// "db" that keeps its state, and an "app" that needs it.
type World struct {
	Provider cloud.Provider
	// Target is an environment called "dev".
	Target cloud.Target
	// Good is the code that builds; Changed describes app differently; Broken
	// is code that Plan refuses.
	Good, Changed, Broken cloud.Code
	// Made is the judge: how often the far end saw the component being made.
	// It must not ask the provider's own records.
	Made func(component string) int
	// Exists judges whether anything of the component is there now.
	Exists func(component string) bool
	// Write changes the state of db, and Read reads it.
	Write func(t *testing.T, data string)
	Read  func(t *testing.T) string
	// Plant leaves something behind that carries the environment's mark and
	// that nobody planned.
	Plant func(t *testing.T)
	// Kill ends app as a crash would.
	Kill func(t *testing.T)
	// Restart returns a provider for the same far end that remembers nothing,
	// as after a kill -9 of the caller.
	Restart func(t *testing.T) cloud.Provider
}

// Run runs the suite. setup is called once for each test.
func Run(t *testing.T, setup func(t *testing.T) World) {
	for _, tt := range []struct {
		name string
		test func(*testing.T, World)
	}{
		{"a plan of what to build is in order and changes nothing", planChangesNothing},
		{"code that makes no sense is refused", refusesBrokenCode},
		{"what is built is good and is listed", builds},
		{"a key has one effect, however often it is used", oneEffect},
		{"a key cannot do something else", refusesOtherUseOfKey},
		{"building what is there is done and makes nothing", buildsAgain},
		{"what the code describes differently is replaced", replaces},
		{"a token is good after a restart of the caller", survivesRestart},
		{"nothing is left after a tear-down", leavesNothing},
		{"destroying what is gone is done", destroysNothing},
		{"what nobody planned is listed and goes with the rest", takesTheRest},
		{"captured state comes back", keepsState},
		{"what has lived since is not overwritten", overwritesNothing},
		{"without a capture there is nothing to restore", restoresNothing},
		{"a component that died is not good", seesDeath},
		{"a component that does not exist is not good", missesComponent},
		{"a cancelled key never begins", cancelsBeforehand},
		{"environments do not touch each other", keepsApart},
		{"unknown tokens and outputs are not found", unknown},
		{"bad requests are refused", refusesBadRequests},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, setup(t))
		})
	}
}

type verb func(context.Context, cloud.Request) (cloud.Token, error)

func (w World) request(key, component string) cloud.Request {
	return cloud.Request{Target: w.Target, Key: key, Component: component, Code: w.Good}
}

// do takes a verb to its end.
func (w World) do(t *testing.T, v verb, r cloud.Request) cloud.Observation {
	t.Helper()
	token, err := v(t.Context(), r)
	if err != nil {
		t.Fatalf("begin %s: %v", r.Key, err)
	}
	return w.finish(t, r.Target, token)
}

func (w World) finish(t *testing.T, target cloud.Target, token cloud.Token) cloud.Observation {
	t.Helper()
	var o cloud.Observation
	Eventually(t, "it is over", func() bool {
		var err error
		if o, err = w.Provider.Observe(t.Context(), target, token); err != nil {
			t.Fatalf("observe %s: %v", token, err)
		}
		return o.State != cloud.Running
	})
	if o.Evidence.Source == "" || o.Evidence.ObservedAt.IsZero() {
		t.Errorf("%s without evidence: %+v", o.State, o)
	}
	return o
}

func (w World) succeed(t *testing.T, v verb, r cloud.Request) {
	t.Helper()
	if o := w.do(t, v, r); o.State != cloud.Succeeded {
		t.Fatalf("%s of %s: %s (%s) %q", r.Key, r.Component, o.State, o.Message, o.Lines)
	}
}

func (w World) good(t *testing.T, component string) {
	t.Helper()
	var p cloud.Probe
	Eventually(t, component+" is good", func() bool {
		var err error
		if p, err = w.Provider.Probe(t.Context(), w.Target, component); err != nil {
			t.Fatalf("probe %s: %v", component, err)
		}
		return p.Good || p.Hopeless
	})
	if !p.Good || p.Evidence.Source == "" {
		t.Fatalf("%s: %+v", component, p)
	}
}

// up builds all of it.
func (w World) up(t *testing.T) {
	t.Helper()
	for _, c := range []string{"db", "app"} {
		w.succeed(t, w.Provider.Up, w.request("up-"+c, c))
		w.good(t, c)
	}
}

func (w World) down(t *testing.T) {
	t.Helper()
	for _, c := range []string{"app", "db", cloud.Rest} {
		w.succeed(t, w.Provider.Down, w.request("down-"+c, c))
	}
}

// alive names the components that the inventory lists.
func (w World) alive(t *testing.T) []string {
	t.Helper()
	all, err := w.Provider.Inventory(t.Context(), w.Target)
	if err != nil {
		t.Fatalf("inventory: %v", err)
	}
	names := []string{}
	for _, r := range cloud.Alive(all) {
		if r.Environment != w.Target.Environment {
			t.Errorf("%s is marked %q", r.ID, r.Environment)
		}
		names = append(names, r.Component)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func planChangesNothing(t *testing.T, w World) {
	plan, err := w.Provider.Plan(t.Context(), cloud.PlanRequest{Target: w.Target, Direction: cloud.Up, Code: w.Good})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan.Components {
		got = append(got, c.Name)
	}
	if diff := cmp.Diff([]string{"db", "app"}, got); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
	if plan.Components[0].Keep == cloud.Forget || !slices.Equal(plan.Components[1].Needs, []string{"db"}) {
		t.Errorf("db keeps %q, app needs %q", plan.Components[0].Keep, plan.Components[1].Needs)
	}
	if left := w.alive(t); len(left) > 0 || w.Exists("db") {
		t.Errorf("a plan made %v", left)
	}
}

func refusesBrokenCode(t *testing.T, w World) {
	_, err := w.Provider.Plan(t.Context(), cloud.PlanRequest{Target: w.Target, Direction: cloud.Up, Code: w.Broken})
	wantCode(t, err, nightporter.Invalid)
}

func builds(t *testing.T, w World) {
	w.up(t)
	if diff := cmp.Diff([]string{"app", "db"}, w.alive(t)); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
	if !w.Exists("db") || !w.Exists("app") {
		t.Error("the judge does not see them")
	}
	plan, err := w.Provider.Plan(t.Context(), cloud.PlanRequest{Target: w.Target, Direction: cloud.Down})
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Components) != 2 || plan.Components[0].Name != "db" || len(plan.Resources) == 0 {
		t.Errorf("the plan of the tear-down is %+v", plan)
	}
}

func oneEffect(t *testing.T, w World) {
	r := w.request("up-db", "db")
	first, err := w.Provider.Up(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	for range 5 {
		again, err := w.Provider.Up(t.Context(), r)
		if err != nil || again != first {
			t.Fatalf("again: %q %v, want %q", again, err, first)
		}
	}
	w.finish(t, w.Target, first)
	if _, err := w.Provider.Up(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	w.good(t, "db")
	if n := w.Made("db"); n != 1 {
		t.Errorf("db was made %d times", n)
	}
}

func refusesOtherUseOfKey(t *testing.T, w World) {
	w.succeed(t, w.Provider.Up, w.request("k", "db"))
	_, err := w.Provider.Up(t.Context(), w.request("k", "app"))
	wantCode(t, err, nightporter.Conflict)
	_, err = w.Provider.Down(t.Context(), w.request("k", "db"))
	wantCode(t, err, nightporter.Conflict)
}

func buildsAgain(t *testing.T, w World) {
	w.up(t)
	w.succeed(t, w.Provider.Up, w.request("second", "db"))
	w.good(t, "db")
	if n := w.Made("db"); n != 1 {
		t.Errorf("db was made %d times", n)
	}
}

func replaces(t *testing.T, w World) {
	w.up(t)
	r := w.request("changed", "app")
	r.Code = w.Changed
	w.succeed(t, w.Provider.Up, r)
	w.good(t, "app")
	if n := w.Made("app"); n != 2 {
		t.Errorf("app was made %d times, want once more for the change", n)
	}
}

func survivesRestart(t *testing.T, w World) {
	token, err := w.Provider.Up(t.Context(), w.request("up-db", "db"))
	if err != nil {
		t.Fatal(err)
	}
	w.Provider = w.Restart(t)
	if o := w.finish(t, w.Target, token); o.State != cloud.Succeeded {
		t.Fatalf("after a restart: %+v", o)
	}
	w.good(t, "db")
	if again, err := w.Provider.Up(t.Context(), w.request("up-db", "db")); err != nil || again != token {
		t.Errorf("the same key answers %q %v, want %q", again, err, token)
	}
	if n := w.Made("db"); n != 1 {
		t.Errorf("db was made %d times", n)
	}
}

func leavesNothing(t *testing.T, w World) {
	w.up(t)
	w.down(t)
	if left := w.alive(t); len(left) > 0 || w.Exists("db") || w.Exists("app") {
		t.Errorf("left: %v, db %v, app %v", left, w.Exists("db"), w.Exists("app"))
	}
	// And the next morning the same components are built anew.
	w.succeed(t, w.Provider.Up, w.request("next-db", "db"))
	w.good(t, "db")
	if n := w.Made("db"); n != 2 {
		t.Errorf("db was made %d times, want a second time", n)
	}
}

func destroysNothing(t *testing.T, w World) { w.down(t) }

func takesTheRest(t *testing.T, w World) {
	w.up(t)
	w.Plant(t)
	all, err := w.Provider.Inventory(t.Context(), w.Target)
	if err != nil {
		t.Fatal(err)
	}
	known := []string{"app", "db"}
	if !slices.ContainsFunc(cloud.Alive(all), func(r cloud.Resource) bool { return !slices.Contains(known, r.Component) }) {
		t.Errorf("the inventory does not list the orphan: %+v", all)
	}
	w.down(t)
	if left := w.alive(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func keepsState(t *testing.T, w World) {
	w.up(t)
	w.Write(t, "forty-two rows")
	w.succeed(t, w.Provider.Down, w.request("down-app", "app"))
	w.succeed(t, w.Provider.Capture, w.request("capture", "db"))
	w.succeed(t, w.Provider.Down, w.request("down-db", "db"))
	w.succeed(t, w.Provider.Down, w.request("rest", cloud.Rest))
	if left := w.alive(t); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	plan, err := w.Provider.Plan(t.Context(), cloud.PlanRequest{Target: w.Target, Direction: cloud.Up, Code: w.Good})
	if err != nil {
		t.Fatal(err)
	}
	if plan.Components[0].Keep == cloud.BeforeItIs {
		w.succeed(t, w.Provider.Restore, w.request("restore", "db"))
	}
	w.succeed(t, w.Provider.Up, w.request("again", "db"))
	w.good(t, "db")
	if plan.Components[0].Keep == cloud.OnceItIs {
		w.succeed(t, w.Provider.Restore, w.request("restore", "db"))
	}
	if got := w.Read(t); got != "forty-two rows" {
		t.Errorf("db holds %q", got)
	}
}

func overwritesNothing(t *testing.T, w World) {
	w.succeed(t, w.Provider.Up, w.request("up-db", "db"))
	w.good(t, "db")
	w.succeed(t, w.Provider.Restore, w.request("first", "db"))
	w.Write(t, "before")
	w.succeed(t, w.Provider.Capture, w.request("capture", "db"))
	w.succeed(t, w.Provider.Up, w.request("on", "db"))
	w.good(t, "db")
	w.Write(t, "after")
	w.succeed(t, w.Provider.Restore, w.request("second", "db"))
	if got := w.Read(t); got != "after" {
		t.Errorf("db holds %q, want what was written since", got)
	}
}

func restoresNothing(t *testing.T, w World) {
	w.succeed(t, w.Provider.Restore, w.request("restore", "db"))
}

func seesDeath(t *testing.T, w World) {
	w.up(t)
	w.Kill(t)
	var p cloud.Probe
	Eventually(t, "the probe sees it", func() bool {
		var err error
		if p, err = w.Provider.Probe(t.Context(), w.Target, "app"); err != nil {
			t.Fatal(err)
		}
		return !p.Good
	})
	if p.Message == "" {
		t.Error("without a word about it")
	}
}

func missesComponent(t *testing.T, w World) {
	p, err := w.Provider.Probe(t.Context(), w.Target, "nothing")
	if err != nil || p.Good || !p.Hopeless {
		t.Errorf("got %+v %v", p, err)
	}
}

func cancelsBeforehand(t *testing.T, w World) {
	Eventually(t, "cancelled", func() bool {
		p, err := w.Provider.Cancel(t.Context(), w.Target, "up-db")
		if err != nil {
			t.Fatal(err)
		}
		return p == cloud.Done
	})
	_, err := w.Provider.Up(t.Context(), w.request("up-db", "db"))
	wantCode(t, err, nightporter.Conflict)
	if w.Exists("db") {
		t.Error("it was made all the same")
	}
}

func keepsApart(t *testing.T, w World) {
	w.up(t)
	other := w.request("other", cloud.Rest)
	other.Environment = "preprod"
	if o := w.do(t, w.Provider.Down, other); o.State != cloud.Succeeded {
		t.Fatalf("down of preprod: %+v", o)
	}
	if diff := cmp.Diff([]string{"app", "db"}, w.alive(t)); diff != "" {
		t.Errorf("dev (-want +got):\n%s", diff)
	}
	left, err := w.Provider.Inventory(t.Context(), other.Target)
	if err != nil || len(left) > 0 {
		t.Errorf("preprod has %v %v", left, err)
	}
}

func unknown(t *testing.T, w World) {
	_, err := w.Provider.Observe(t.Context(), w.Target, "no-such-token")
	wantCode(t, err, nightporter.NotFound)
	_, err = w.Provider.Output(t.Context(), w.Target, "nothing")
	wantCode(t, err, nightporter.NotFound)
}

func refusesBadRequests(t *testing.T, w World) {
	for _, change := range []func(*cloud.Request){
		func(r *cloud.Request) { r.Key = "" },
		func(r *cloud.Request) { r.Key = "a key" },
		func(r *cloud.Request) { r.Component = "../db" },
		func(r *cloud.Request) { r.Environment = "../dev" },
		func(r *cloud.Request) { r.Environment = "" },
	} {
		r := w.request("bad", "db")
		change(&r)
		_, err := w.Provider.Up(t.Context(), r)
		wantCode(t, err, nightporter.Invalid)
	}
	_, err := w.Provider.Up(t.Context(), w.request("none", "nothing"))
	wantCode(t, err, nightporter.NotFound)
}

func wantCode(t *testing.T, err error, want nightporter.Code) {
	t.Helper()
	if got := nightporter.CodeOf(err); got != want {
		t.Errorf("error %v has code %q, want %q", err, got, want)
	}
}

// Eventually asks again and again until good says yes. It fails the test after a
// minute: a limit for what hangs, not a measure of speed.
func Eventually(t *testing.T, what string, good func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !good() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited a minute in vain until %s", what)
		}
	}
}
