package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/internal/cli"
)

func withBoard(t *testing.T) *porter {
	return newPorter(t).
		recorded("GET /api/board?limit=1000", "board.json").
		recorded("GET /api/environments?limit=1000", "environments.json").
		recorded("GET /api/services?limit=1000", "services.json")
}

func TestBoard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		screen screen
		env    map[string]string
		args   []string
	}{
		{"board-piped", piped, nil, nil},
		{"board-terminal", onScreen, nil, nil},
		{"board-narrow", narrow, map[string]string{"NO_COLOR": "1"}, nil},
		{"board-no-color-variable", onScreen, map[string]string{"NO_COLOR": "1"}, nil},
		{"board-no-color-flag", onScreen, nil, []string{"--no-color"}},
		{"board-dumb-terminal", onScreen, map[string]string{"TERM": "dumb"}, nil},
		{"board-forced-color", piped, map[string]string{"FORCE_COLOR": "1"}, nil},
		{"board-json", piped, nil, []string{"--json"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := withBoard(t)
			for k, v := range tt.env {
				p.env[k] = v
			}
			r := p.run(tt.screen, cli.Config{}, append([]string{"release", "board"}, tt.args...)...)
			if r.code != 0 || r.stderr != "" {
				t.Fatalf("exit %d, stderr %q", r.code, r.stderr)
			}
			golden(t, tt.name, r.stdout)
			if colour := strings.Contains(r.stdout, "\x1b["); colour != (tt.name == "board-terminal" || tt.name == "board-forced-color") {
				t.Errorf("colour: %v", colour)
			}
			if strings.Contains(r.stdout, "\x1b[31mprovider") {
				t.Error("somebody's reason for a hold wrote its own colours")
			}
		})
	}
}

func TestABoardWithoutTheOrderOfItsColumnsPutsProductionLast(t *testing.T) {
	t.Parallel()
	p := newPorter(t).recorded("GET /api/board?limit=1000", "board.json")
	r := p.run(piped, cli.Config{}, "release", "board")
	head, _, _ := strings.Cut(r.stdout, "\n")
	if got := strings.Fields(head); strings.Join(got[2:5], " ") != "dev preprod prod" {
		t.Errorf("columns = %q", got)
	}
}

func TestAnEmptyBoardTeachesTheNextStep(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /api/board?limit=1000", 200, `{"items":[]}`)
	r := p.run(onScreen, cli.Config{}, "release", "board")
	if r.code != 0 || r.stdout != "" || !strings.Contains(r.stderr, "nightporter.yaml") {
		t.Errorf("%+v", r)
	}
	if r = p.run(piped, cli.Config{}, "release", "board", "--json"); r.stdout != "{\n  \"items\": []\n}\n" {
		t.Errorf("JSON = %q", r.stdout)
	}
}

func TestBoardJSONHasTheAPIsFields(t *testing.T) {
	t.Parallel()
	r := withBoard(t).run(piped, cli.Config{}, "release", "board", "--json")
	var b struct {
		Items []map[string]json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal([]byte(r.stdout), &b); err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"service", "owner", "repo", "environments", "production"} {
		if len(b.Items) != 4 || b.Items[0][field] == nil {
			t.Errorf("no %s in %s", field, r.stdout)
		}
	}
}

func TestALocalBoardNeedsNoServer(t *testing.T) {
	t.Parallel()
	p := newPorter(t)
	p.env["NIGHTPORTER_CONFIG"] = "/etc/porter.yaml"
	asked := cli.LocalOptions{}
	cfg := cli.Config{LocalBoard: localBoard(&asked)}
	r := p.run(piped, cfg, "release", "board", "--local")
	want := "Service  Owner  dev            prod    Behind  Oldest\nledger          1.4.0 unknown  –     2 merges\n"
	if r.code != 0 || r.stdout != want {
		t.Errorf("exit %d, got\n%s\nwant\n%s", r.code, r.stdout, want)
	}
	if asked.Config != "/etc/porter.yaml" || len(p.seen) > 0 {
		t.Errorf("config %q, requests %q", asked.Config, p.seen)
	}
	if r := p.run(piped, cli.Config{}, "release", "board", "--local"); r.code != 2 {
		t.Errorf("without the function the flag exists: %+v", r)
	}
	if r := p.run(piped, cfg, "release", "board", "--local", "--watch"); r.code != 2 {
		t.Errorf("--local with --watch: exit %d, want 2", r.code)
	}
}

func rows() []client.BoardRow {
	return []client.BoardRow{{
		Service:      "ledger",
		Environments: map[string]client.Cell{"dev": {Version: "1.4.0", State: "unknown"}, "prod": {State: "none"}},
		Production:   client.Production{Behind: 2},
	}}
}

// TestWatchShowsEveryChangeOnce: three hints, one of which changed nothing. The
// stream then ends with the token, which ends the watch.
func TestWatchShowsEveryChangeOnce(t *testing.T) {
	t.Parallel()
	behind := func(n int) string {
		return fmt.Sprintf(`{"items":[{"service":"ledger","repo":"github/ledger","environments":{},"production":{"behind":%d,"changes":[]}}]}`, n)
	}
	recorded := func() *porter {
		return newPorter(t).
			says("GET /api/board?limit=1000", 200, behind(0)).says("GET /api/board?limit=1000", 200, behind(1)).
			says("GET /api/board?limit=1000", 200, behind(1)).says("GET /api/board?limit=1000", 200, behind(2)).
			says("GET /events?topics=board", 200, "data: a\n\ndata: b\n\nid: e-3\ndata: c\n\n").
			says("GET /events?topics=board", 401, `{"code":"unauthenticated","detail":"the token has ended"}`)
	}
	r := recorded().run(piped, cli.Config{}, "release", "board", "--watch", "--json")
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if r.code != 5 || len(lines) != 3 || !strings.Contains(lines[2], `"behind":2`) {
		t.Errorf("exit %d, %d lines:\n%s\n%s", r.code, len(lines), r.stdout, r.stderr)
	}
	for _, line := range lines {
		if !json.Valid([]byte(line)) {
			t.Errorf("not one JSON value a line: %q", line)
		}
	}
	r = recorded().run(onScreen, cli.Config{}, "release", "board", "--watch", "--no-color")
	if n := strings.Count(r.stdout, "\x1b[H\x1b[2J"); n != 3 || !strings.Contains(r.stdout, "as of 12:04:31, live") {
		t.Errorf("drawn %d times, want 3:\n%q", n, r.stdout)
	}
}

func localBoard(asked *cli.LocalOptions) func(context.Context, cli.LocalOptions) (cli.LocalBoard, error) {
	return func(_ context.Context, o cli.LocalOptions) (cli.LocalBoard, error) {
		*asked = o
		return cli.LocalBoard{Environments: []string{"dev", "prod"}, Rows: rows()}, nil
	}
}
