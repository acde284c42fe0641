package deploytest

import (
	"testing"

	"nightporter.dev/nightporter/provider/deploy"
)

// build starts a build under a key.
func (w World) build(t *testing.T, key, commit string, outcome deploy.BuildState) deploy.Token {
	t.Helper()
	r := w.BuildRequest(commit, outcome)
	r.Key = key
	token, err := w.Deployer.(deploy.Builder).Build(t.Context(), r)
	if err != nil {
		t.Fatalf("build %s: %v", key, err)
	}
	return token
}

// built looks until the build has ended, and wants the state.
func (w World) built(t *testing.T, token deploy.Token, want deploy.BuildState) deploy.BuildObservation {
	t.Helper()
	var o deploy.BuildObservation
	Eventually(t, "the build ends", func() bool {
		var err error
		if o, err = w.Deployer.(deploy.Builder).ObserveBuild(t.Context(), token); err != nil {
			t.Fatalf("observe build %s: %v", token, err)
		}
		return o.State != deploy.Building
	})
	if o.State != want {
		t.Fatalf("the build is %s (%s), want %s; output: %q", o.State, o.Message, want, o.Lines)
	}
	if (o.Artifact != "") != (want == deploy.Built) {
		t.Errorf("the build is %s with the artifact %q", o.State, o.Artifact)
	}
	return o
}

func buildsOnce(t *testing.T, w World) {
	first := w.build(t, "b1", CommitA, deploy.Built)
	if again := w.build(t, "b2", CommitA, deploy.Built); again != first {
		t.Errorf("a build under way was not shared: %s and %s", first, again)
	}
	artifact := w.built(t, first, deploy.Built).Artifact
	again := w.build(t, "b3", CommitA, deploy.Built)
	if got := w.built(t, again, deploy.Built).Artifact; got != artifact {
		t.Errorf("the second build made %s, want %s", got, artifact)
	}
	other := w.build(t, "b4", CommitB, deploy.Built)
	if got := w.built(t, other, deploy.Built).Artifact; got == artifact {
		t.Errorf("two commits with different content made the same artifact %s", got)
	}
	if n := w.Builds(CommitA); n != 1 {
		t.Errorf("the build ran %d times for one commit, want 1", n)
	}
}

func retriesBuild(t *testing.T, w World) {
	first := w.build(t, "b1", CommitA, deploy.BuildFailed)
	o := w.built(t, first, deploy.BuildFailed)
	if o.Message == "" || len(o.Lines) == 0 {
		t.Errorf("the failure says nothing: %+v", o)
	}
	if again := w.build(t, "b1", CommitA, deploy.BuildFailed); again != first {
		t.Errorf("the same key built again: %s and %s", first, again)
	}
	second := w.build(t, "b2", CommitA, deploy.BuildFailed)
	if second == first {
		t.Errorf("a new key did not build again")
	}
	w.built(t, second, deploy.BuildFailed)
	if n := w.Builds(CommitA); n != 2 {
		t.Errorf("the build ran %d times, want 2", n)
	}
}

func buildSurvivesRestart(t *testing.T, w World) {
	first := w.build(t, "b1", CommitA, deploy.Built)
	w.Deployer = w.Restart()
	if again := w.build(t, "b1", CommitA, deploy.Built); again != first {
		t.Errorf("after the restart the key answers %s, want %s", again, first)
	}
	w.built(t, first, deploy.Built)
	w.Deployer = w.Restart()
	w.built(t, first, deploy.Built)
	if n := w.Builds(CommitA); n != 1 {
		t.Errorf("the build ran %d times, want 1", n)
	}
}
