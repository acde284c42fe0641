// Package deploytest is what every [deploy.Deployer] must pass. An implementation
// calls [Run] from its own test and says in a [World] how to make services that
// behave and services that do not.
package deploytest

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Behaviour is how a service under test acts.
type Behaviour string

// The behaviours that a [World] must be able to make.
const (
	Good     Behaviour = "good"     // becomes healthy soon, and ends when told to
	Silent   Behaviour = "silent"   // lives and never answers
	Crashing Behaviour = "crashing" // writes "no configuration" to its log and ends by itself
	Old      Behaviour = "old"      // answers 200, as version 0.0.9
	Stubborn Behaviour = "stubborn" // healthy, and does not end when told to
)

// World is a far end for one test, and a judge of it.
type World struct {
	Deployer deploy.Deployer
	// Request asks for service "ledger" in "dev", with everything the
	// behaviour needs. The suite changes key, environment and durations.
	Request func(version string, b Behaviour) deploy.Request
	// BuildRequest asks for a build of "ledger" at the commit that succeeds,
	// or fails. nil when the deployer does not build.
	BuildRequest func(commit string, outcome deploy.BuildState) deploy.BuildRequest
	// Starts is the judge: how often the machine saw a start for the key. It
	// must not ask the deployer's own records.
	Starts func(key string) int
	// Builds judges how often the build's command ran for the commit.
	Builds func(commit string) int
	// Handed is the token that the instance finds where it was told to look,
	// or "" where it was told nothing. It checks that nobody else may read it.
	// nil for a far end whose instances log in by themselves and are handed none.
	Handed func(i deploy.Instance) string
	// Kill ends the instance as a crash would.
	Kill func(i deploy.Instance)
	// Restart returns a deployer for the same far end that remembers nothing
	// of what the caller did, as after a kill -9 of the caller.
	Restart func() deploy.Deployer
}

// Commits that the suite builds and deploys.
const (
	CommitA = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	CommitB = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// Run runs the suite. setup is called once for each test.
func Run(t *testing.T, setup func(t *testing.T) World) {
	tests := []struct {
		name string
		test func(*testing.T, World)
	}{
		{"a good version becomes healthy, serves and replaces the old one", replaces},
		{"a key starts once, however often it is asked", startsOnce},
		{"a key cannot start something else", refusesOtherUseOfKey},
		{"a token is good after a restart of the caller", survivesRestart},
		{"a version that never answers fails in time and the old one keeps serving", failsInTime},
		{"a version that crashes fails with its last words", failsWithLastWords},
		{"an old binary that answers is not healthy", detectsOldBinary},
		{"a candidate that is not healthy cannot serve", refusesUnhealthySwitch},
		{"what serves cannot be discarded", refusesDiscardOfServing},
		{"discard is done again and again", discardsAgain},
		{"an older version can be started again", startsOlderAgain},
		{"stop ends what does not want to end", stopsStubborn},
		{"stop where nothing runs is done at once", stopsNothing},
		{"a serving instance that died is still listed", listsDead},
		{"environments do not touch each other", keepsEnvironmentsApart},
		{"a switch that was interrupted goes on", resumesSwitch},
		{"credentials are handed over at the start, once and to nobody else", handsOver},
		{"credentials that cannot be made start nothing", startsNothingWithoutToken},
		{"unknown tokens are not found", unknownToken},
		{"bad requests are refused and start nothing", refusesBadRequests},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.test(t, setup(t))
		})
	}
	builds := []struct {
		name string
		test func(*testing.T, World)
	}{
		{"a commit is built once", buildsOnce},
		{"a failed build says why and is tried again only with a new key", retriesBuild},
		{"a build outlives its caller", buildSurvivesRestart},
	}
	for _, tt := range builds {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := setup(t)
			if w.BuildRequest == nil {
				t.Skip("this deployer does not build: it has no deploy.Builder to judge")
			}
			tt.test(t, w)
		})
	}
}

// start starts a version under a key of its own.
func (w World) start(t *testing.T, key, version string, b Behaviour) deploy.Token {
	t.Helper()
	r := w.Request(version, b)
	r.Key = key
	token, err := w.Deployer.Start(t.Context(), r)
	if err != nil {
		t.Fatalf("start %s: %v", key, err)
	}
	return token
}

// serve starts a version and brings it all the way.
func (w World) serve(t *testing.T, key, version string, b Behaviour) deploy.Token {
	t.Helper()
	token := w.start(t, key, version, b)
	w.observe(t, token, deploy.Healthy)
	w.finish(t, "switch", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Switch(ctx, token) })
	return token
}

// observe looks until the instance has left Starting, and wants the state.
func (w World) observe(t *testing.T, token deploy.Token, want deploy.State) deploy.Observation {
	t.Helper()
	var o deploy.Observation
	Eventually(t, "the instance leaves starting", func() bool {
		var err error
		if o, err = w.Deployer.Observe(t.Context(), token); err != nil {
			t.Fatalf("observe %s: %v", token, err)
		}
		return o.State != deploy.Starting
	})
	if o.State != want {
		t.Fatalf("%s is %s (%s), want %s; log: %q", token, o.State, o.Message, want, o.Lines)
	}
	if o.Evidence.Source == "" || o.Evidence.ObservedAt.IsZero() {
		t.Errorf("%s is %s without evidence: %+v", token, o.State, o.Evidence)
	}
	return o
}

// finish calls a verb until it is done.
func (w World) finish(t *testing.T, verb string, call func(context.Context) (deploy.Progress, error)) {
	t.Helper()
	Eventually(t, verb+" is done", func() bool {
		p, err := call(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", verb, err)
		}
		return p == deploy.Done
	})
}

func (w World) stop(t *testing.T, environment string) {
	t.Helper()
	w.finish(t, "stop", func(ctx context.Context) (deploy.Progress, error) { return w.Deployer.Stop(ctx, "ledger", environment) })
}

// running lists the versions in dev with their roles.
func (w World) running(t *testing.T) []string {
	t.Helper()
	instances, err := w.Deployer.Running(t.Context(), "ledger", "dev")
	if err != nil {
		t.Fatalf("running: %v", err)
	}
	var all []string
	for _, i := range instances {
		all = append(all, i.Version.String()+" "+string(i.Role)+" "+string(i.State))
	}
	return all
}

func wantRunning(t *testing.T, w World, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, w.running(t)); diff != "" {
		t.Errorf("running (-want +got):\n%s", diff)
	}
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
