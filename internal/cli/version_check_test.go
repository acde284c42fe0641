package cli_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/internal/cli"
)

func TestVersionCheckExitsOneUntilThePullRequestIsFit(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("POST /api/versions/check", 200, `{"ok":true,"says":"minor: 1.4.2 becomes 1.5.0","bump":"minor"}`)
	if got := p.run(piped, cli.Config{}, "version", "check", "github/ledger", "--pull", "42"); got.code != 0 || got.stdout != "minor: 1.4.2 becomes 1.5.0\n" {
		t.Errorf("got exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	p = newPorter(t).says("POST /api/versions/check", 200, `{"ok":false,"says":"a; b","problems":["add one label","the section \"Why\" is empty"]}`)
	got := p.run(piped, cli.Config{}, "version", "check", "github/ledger", "--label", "bug", "--title", "Round")
	if got.code != 1 || got.stdout != "add one label\nthe section \"Why\" is empty\n" || !strings.Contains(got.stderr, "cannot be merged yet") {
		t.Errorf("got exit %d, %q, %q", got.code, got.stdout, got.stderr)
	}
	if got := p.run(piped, cli.Config{}, "version", "check", "github/ledger"); got.code != 2 {
		t.Errorf("without a pull request: got exit %d, want 2", got.code)
	}
}

// The file is what GitHub Actions writes: https://docs.github.com/webhooks,
// pull_request.
func TestVersionCheckReadsTheEventOfCI(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	event := filepath.Join(dir, "event.json")
	write := func(text string) {
		if err := os.WriteFile(event, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var seen client.PullToCheck
	cfg := cli.Config{LocalVersionCheck: func(_ context.Context, _ cli.LocalOptions, _ nightporter.Repo, p client.PullToCheck) (client.VersionVerdict, error) {
		seen = p
		return client.VersionVerdict{OK: true, Says: "patch"}, nil
	}}
	p := newPorter(t)
	write(`{"action":"labeled","pull_request":{"number":7,"title":"Round","body":"## Why\nx","labels":[{"name":"patch"},{"name":"bug"}]}}`)
	if got := p.run(piped, cfg, "version", "check", "github/ledger", "--event", event, "--local"); got.code != 0 {
		t.Fatalf("got exit %d, %q", got.code, got.stderr)
	}
	if seen.Title != "Round" || seen.Body != "## Why\nx" || strings.Join(seen.Labels, " ") != "patch bug" || seen.Number != 0 {
		t.Errorf("it judged %+v", seen)
	}
	for name, text := range map[string]string{"a push": `{"ref":"refs/heads/main"}`, "no JSON": `<html>`} {
		write(text)
		if got := p.run(piped, cfg, "version", "check", "github/ledger", "--event", event, "--local"); got.code != 2 {
			t.Errorf("%s: got exit %d (%s), want 2", name, got.code, got.stderr)
		}
	}
}
