package crash

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/store"
)

// judge asks the world whether the story ended as it should.
func (w *world) judge(m merges) {
	w.t.Helper()
	w.judgeProcesses()
	w.judgeReleases(m)
	w.judgeTokens()
	w.stop()
	// Nothing moves any more.
	w.judgeProcesses()
	w.judgeStarts()
	w.judgeGit(m)
	w.judgeAudit()
}

// judgeProcesses reads /proc: the one version in every environment, once, and
// nothing else of ours.
func (w *world) judgeProcesses() {
	w.t.Helper()
	w.until("each environment has one process", func() string {
		var got []string
		for _, p := range w.processes() {
			got = append(got, p.env["NIGHTPORTER_ENVIRONMENT"]+" "+p.env["NIGHTPORTER_VERSION"])
		}
		sort.Strings(got)
		return cmp.Diff([]string{"dev 0.1.1", "preprod 0.1.1", "prod 0.1.1"}, got)
	})
	for _, p := range w.processes() {
		var says struct{ Version string }
		if err := w.ask("http://127.0.0.1:"+p.env["PORT"], &says); err != nil || says.Version != p.env["NIGHTPORTER_VERSION"] {
			w.t.Errorf("the process of %s says it is %q: %v", p.env["NIGHTPORTER_ENVIRONMENT"], says.Version, err)
		}
	}
}

type proc struct {
	pid int
	env map[string]string
}

// processes lists the live processes that carry this world's mark, whatever they
// are: services, builds, shells on their way to become one.
func (w *world) processes() []proc {
	paths, _ := filepath.Glob("/proc/[0-9]*/environ") // the pattern is good
	dir := filepath.Join(w.dir, "data", "deploy")
	var out []proc
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil || !strings.Contains(string(b), "NIGHTPORTER_DIR="+dir+"\x00") {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		p := proc{pid: pid, env: map[string]string{}}
		for entry := range strings.SplitSeq(string(b), "\x00") {
			name, value, _ := strings.Cut(entry, "=")
			p.env[name] = value
		}
		out = append(out, p)
	}
	return out
}

// endServices ends what the house deployed. Only the test may.
func (w *world) endServices() {
	for _, p := range w.processes() {
		_ = syscall.Kill(p.pid, syscall.SIGKILL) // it may have ended by itself
	}
}

// judgeStarts reads what the services wrote when they were started. No attempt of
// the story fails for want of anything, so each release has one in each
// environment, and that is one start: of the key, and whatever its key.
func (w *world) judgeStarts() {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, "starts"))
	if err != nil {
		w.t.Fatal(err)
	}
	seen := map[string]int{}
	for line := range strings.Lines(string(b)) {
		key, place, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[key]++
		seen[place]++
	}
	for what, n := range seen {
		if n != 1 {
			w.t.Errorf("the machine saw %d starts of %s:\n%s", n, what, b)
		}
	}
	if seen["prod 0.1.0"] > 0 || seen["prod 0.1.2"] > 0 {
		w.t.Errorf("production saw a version that nobody approved:\n%s", b)
	}
}

func (w *world) git(args ...string) string {
	w.t.Helper()
	cmd := exec.Command("git", append([]string{"-C", w.hub.GitDir("ledger")}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatalf("git %s: %v", args[0], err)
	}
	return strings.TrimSpace(string(out))
}

// tags asks git for all tags and their commits.
func (w *world) tags() map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for line := range strings.Lines(w.git("for-each-ref", "--format=%(refname:short) %(objectname)", "refs/tags")) {
		name, commit, _ := strings.Cut(strings.TrimSpace(line), " ")
		out[name] = commit
	}
	return out
}

// judgeGit asks git: every merge has its version, in the order of main, none
// twice and none left out, and the environments' tags are on what runs there.
func (w *world) judgeGit(m merges) {
	w.t.Helper()
	want := map[string]string{"dev": m[1].commit, "preprod": m[1].commit, "prod": m[1].commit}
	var order []string
	for _, one := range m {
		want["v"+one.version] = one.commit
		order = append(order, one.commit)
	}
	if diff := cmp.Diff(want, w.tags()); diff != "" {
		w.t.Errorf("tags (-want +got):\n%s", diff)
	}
	line := strings.Fields(w.git("rev-list", "--first-parent", "--reverse", "main"))
	if diff := cmp.Diff(order, line[1:]); diff != "" {
		w.t.Errorf("main is not the order of the merges, the test is wrong (-want +got):\n%s", diff)
	}
	published, err := w.hub.Releases("ledger")
	if err != nil {
		w.t.Fatal(err)
	}
	var got []string
	for _, r := range published {
		got = append(got, r.Tag)
	}
	if diff := cmp.Diff([]string{"v0.1.0", "v0.1.1", "v0.1.2"}, got); diff != "" {
		w.t.Errorf("releases on the forge (-want +got):\n%s", diff)
	}
}

// judgeReleases asks the house what people would see: each version has one
// release, and nothing is left waiting.
func (w *world) judgeReleases(m merges) {
	w.t.Helper()
	w.until("no release is left on its way", func() string {
		list, err := w.releases()
		if err != nil {
			return err.Error()
		}
		if len(list) != len(m) {
			return fmt.Sprintf("there are %d releases, want one for each of %d merges", len(list), len(m))
		}
		over := []string{"healthy", "superseded", "rolled_back"}
		for _, r := range list {
			if !slices.Contains(over, r.State) {
				return r.Version + " is " + r.State
			}
		}
		return ""
	})
}

// judgeTokens holds the house to what it promised the load.
func (w *world) judgeTokens() {
	w.t.Helper()
	w.mu.Lock()
	tokens := slices.Clone(w.tokens)
	w.mu.Unlock()
	if len(tokens) == 0 {
		w.t.Error("the load got nothing done: this proved nothing about lost writes")
	}
	for _, token := range tokens {
		w.until("a token that was handed out works", func() string {
			if err := w.call(w.t.Context(), token, http.MethodGet, "/api/whoami", nil, nil); err != nil {
				return err.Error()
			}
			return ""
		})
	}
}

// judgeAudit recomputes the register's tree and holds it against every checkpoint
// that the load was given along the way.
func (w *world) judgeAudit() {
	w.t.Helper()
	ctx := context.Background()
	db, err := store.Open(ctx, store.Config{URL: w.store})
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	err = db.View(ctx, func(tx *store.Tx) error {
		var key []byte
		if err := tx.QueryRow(ctx, `SELECT value FROM setting WHERE name = 'audit.public_key'`).Scan(&key); err != nil {
			return err
		}
		if len(w.anchors) == 0 {
			w.t.Error("the load got no checkpoint: this proved little")
		}
		r, err := audit.Verify(ctx, tx, string(key), w.anchors...)
		for _, d := range r.Damage {
			w.t.Errorf("the register is damaged: %s", d)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) ask(url string, out any) error {
	other := &world{address: url}
	return other.call(w.t.Context(), "", http.MethodGet, "/healthz", nil, out)
}
