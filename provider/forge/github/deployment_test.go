package github_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// GitHub's own OpenAPI description judges every request and answer.
func TestADeploymentIsReportedOnce(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	head := must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"}))
	d := forge.Deployment{
		Key: "deploy:ledger:rel_1", Commit: head, Environment: "prod", Production: true, State: forge.DeploymentQueued,
		Description: "ledger 0.1.0 waits for an approval for prod", LogURL: "https://porter.acme.test/releases/rel_1",
	}
	for range 2 {
		check(t, f.ReportDeployment(t.Context(), "ledger", d))
	}
	// The answer is lost on the way: the next report finds what it made.
	s.SetFault(githubtest.Fault{LoseAnswers: true})
	other := d
	other.Environment, other.Production, other.State, other.Description = "dev", false, forge.DeploymentSucceeded, strings.Repeat("long ", 60)
	if err := f.ReportDeployment(t.Context(), "ledger", other); err == nil {
		t.Error("a lost answer was taken for one")
	}
	s.SetFault(githubtest.Fault{})
	check(t, f.ReportDeployment(t.Context(), "ledger", other))
	d.State, d.Description = forge.DeploymentSucceeded, "ledger 0.1.0 runs in prod"
	check(t, f.ReportDeployment(t.Context(), "ledger", d))

	got := must[[]githubtest.Deployment](t)(s.Deployments("ledger"))
	for i := range got {
		got[i].Description = ""
	}
	want := []githubtest.Deployment{
		{Commit: head, Environment: "prod", Task: d.Key, Production: true, States: []string{"queued", "success"}, LogURL: d.LogURL},
		{Commit: head, Environment: "dev", Task: d.Key, States: []string{"success"}, LogURL: d.LogURL},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("GitHub has (-want +got):\n%s", diff)
	}
	d.Commit = strings.Repeat("ab", 20)
	var missing *forge.NotFoundError
	if err := f.ReportDeployment(t.Context(), "ledger", d); !errors.As(err, &missing) {
		t.Errorf("a commit that is not there: got %v, want not found", err)
	}
}

func TestNotesKeepWhatOthersWrote(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	head := must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"}))
	check(t, f.CreateTag(t.Context(), "ledger", "v0.1.0", head))
	must[string](t)(f.CreateRelease(t.Context(), "ledger", forge.Release{Tag: "v0.1.0", Name: "v0.1.0", Notes: "* first"}))
	for _, section := range []string{"### In prod", "### In prod again", "### In prod again"} {
		check(t, f.Annotate(t.Context(), "ledger", "v0.1.0", section))
		got := must[[]githubtest.Release](t)(s.Releases("ledger"))[0].Body
		if want := "* first\n\n<!-- nightporter -->\n" + section + "\n<!-- /nightporter -->"; got != want {
			t.Errorf("the notes are %q, want %q", got, want)
		}
	}
	var missing *forge.NotFoundError
	if err := f.Annotate(t.Context(), "ledger", "v9.9.9", "x"); !errors.As(err, &missing) {
		t.Errorf("a release that is not there: got %v, want not found", err)
	}
}
