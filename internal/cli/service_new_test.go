package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter/internal/cli"
)

// repository is a folder with files, as a clone of acme/Ledger has them.
func repository(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(files, ".git/config") {
		text := ""
		if name == ".git/config" {
			text = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = git@github.com:acme/Ledger.git\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestServiceNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		screen screen
		typed  string
		files  []string
		args   string
		file   string
		entry  string
	}{
		{
			"three answers at a terminal", onScreen, "book\npayments\n/ready\n",
			[]string{"go.mod"},
			"",
			"build: [go, build, -o, bin/book, .]\nrun: [./bin/book]\nhealth: {http: /ready}\n",
			"  - {name: book, repo: github/Ledger, owner: payments, deploy: {kind: process}}\n",
		},
		{
			"an empty answer takes what was found", onScreen, "\npayments\n\n",
			[]string{"go.mod", "cmd/ledger/main.go"},
			"",
			"build: [go, build, -o, bin/ledger, ./cmd/ledger]\nrun: [./bin/ledger]\nhealth: {http: /healthz}\n",
			"  - {name: ledger, repo: github/Ledger, owner: payments, deploy: {kind: process}}\n",
		},
		{
			"flags answer everywhere", piped, "", nil, "--owner payments --name 1ledger --forge hub --run ./serve --health /",
			"run: [./serve]\nhealth: {http: /}\n",
			"  - {name: \"1ledger\", repo: hub/Ledger, owner: payments, deploy: {kind: process}}\n",
		},
		{
			"a flag is not asked for again", onScreen, "payments\n",
			[]string{"package.json"},
			"--name shop --health /up --repo git/web",
			"build: [npm, ci]\nrun: [npm, start]\nhealth: {http: /up}\n",
			"  - {name: shop, repo: git/web, owner: payments, deploy: {kind: process}}\n",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t, tt.files...)
			args := append([]string{"service", "new", dir}, strings.Fields(tt.args)...)
			p := newPorter(t)
			r := p.run(tt.screen, cli.Config{Stdin: strings.NewReader(tt.typed)}, args...)
			got, _ := os.ReadFile(filepath.Join(dir, ".nightporter.yaml"))
			if r.code != 0 || string(got) != tt.file || r.stdout != tt.entry {
				t.Errorf("exit %d\nwrote:\n%s\nwant:\n%s\nprinted:\n%s\nwant:\n%s\n%s", r.code, got, tt.file, r.stdout, tt.entry, r.stderr)
			}
			if len(p.seen) > 0 {
				t.Errorf("it asked the server %q", p.seen)
			}
			r = p.run(tt.screen, cli.Config{Stdin: strings.NewReader(tt.typed)}, args...)
			if again, _ := os.ReadFile(filepath.Join(dir, ".nightporter.yaml")); r.code != 1 || string(again) != tt.file {
				t.Errorf("the second time: exit %d, want 1 and nothing overwritten: %s", r.code, r.stderr)
			}
		})
	}
}

func TestServiceNewDoesNotGuess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, args, says string
		files            []string
	}{
		{"no owner and no terminal", "", "which team owns it?", []string{"go.mod"}},
		{"nothing says how to start it", "--owner payments", "nothing here says how to start it", nil},
		{"a name that no configuration takes", "--owner payments --name Ledger!", "cannot name a service", []string{"go.mod"}},
		{"a health check somewhere else", "--owner payments --health http://evil.test/", "a path on the service itself", []string{"go.mod"}},
		{"a repository without a forge", "--owner payments --repo ledger", "does not name a repository", []string{"go.mod"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := repository(t, tt.files...)
			r := newPorter(t).run(piped, cli.Config{Stdin: strings.NewReader("ledger\npayments\n/\n")}, append([]string{"service", "new", dir}, strings.Fields(tt.args)...)...)
			if r.code != 2 || !strings.Contains(r.stderr, tt.says) {
				t.Errorf("exit %d, %s; want 2 and %q", r.code, r.stderr, tt.says)
			}
			if _, err := os.Stat(filepath.Join(dir, ".nightporter.yaml")); err == nil {
				t.Error("it wrote the file all the same")
			}
		})
	}
}

func TestServiceNewDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	dir := repository(t, "Cargo.toml")
	r := newPorter(t).run(piped, cli.Config{}, "service", "new", dir, "--owner", "payments", "--dry-run", "--json")
	var got struct {
		Name, Repo, Owner, Health, File, Text, Entry string
		Run                                          []string
		Written                                      bool
	}
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil || r.code != 0 {
		t.Fatalf("exit %d, %v: %s%s", r.code, err, r.stdout, r.stderr)
	}
	if got.Written || got.Name != "ledger" || got.Repo != "github/Ledger" || len(got.Run) != 1 || got.Run[0] != "./target/release/ledger" || got.Text == "" || got.Entry == "" {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(got.File); err == nil {
		t.Error("--dry-run wrote the file")
	}
}
