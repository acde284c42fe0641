package github_test

import (
	"testing"

	"nightporter.dev/nightporter/provider/forge"
)

// GitHub Actions reports check runs, which only GitHub has. GitHub's own OpenAPI
// description judges the traffic.
func TestACheckRunCounts(t *testing.T) {
	t.Parallel()
	s := startFake(t, nil)
	f := connect(t, s, nil)
	head := must[string](t)(s.AddRepo("ledger", map[string]string{"README.md": "# ledger\n"}))
	look := func(want forge.StatusState) {
		t.Helper()
		c, err := f.Check(t.Context(), "ledger", head, "build")
		if err != nil || c.State != want {
			t.Errorf("the check is %q, %v; want %q", c.State, err, want)
		}
	}
	check(t, s.ReportCheck("ledger", head, "lint", "failure"))
	look("")
	for _, c := range []struct {
		conclusion string
		want       forge.StatusState
	}{
		{"", forge.Pending},
		{"failure", forge.Failure},
		{"timed_out", forge.Broken},
		{"skipped", forge.Failure},
		{"neutral", forge.Failure},
		{"action_required", forge.Pending},
		{"success", forge.Success},
	} {
		check(t, s.ReportCheck("ledger", head, "build", c.conclusion))
		look(c.want)
	}
	// A run and a status of one name: the least good counts.
	check(t, f.SetStatus(t.Context(), "ledger", head, forge.Status{Context: "build", State: forge.Pending}))
	look(forge.Pending)
}
