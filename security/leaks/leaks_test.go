package leaks_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/mirror"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/security"
	"nightporter.dev/nightporter/security/leaks"
	"nightporter.dev/nightporter/security/scan"
)

// TestMain is also the scanner's child.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == scan.Command {
		if err := scan.Child(os.Args[2:], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, "error:", err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

var tables = slices.Concat(audit.Migrations, outbox.Migrations, run.Migrations, security.Migrations, leaks.Migrations)

type allowAll struct{}

func (allowAll) Decide(context.Context, nightporter.Actor, nightporter.Action) nightporter.Decision {
	return nightporter.Decision{Allowed: true, Policy: "test"}
}

// origin is a real repository; git itself made it.
type origin struct {
	t   *testing.T
	dir string
}

func (o origin) git(args ...string) string {
	o.t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = o.dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@test", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@test")
	out, err := cmd.CombinedOutput()
	if err != nil {
		o.t.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (o origin) commit(path, text string) string {
	o.t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, path), []byte(text), 0o644); err != nil {
		o.t.Fatal(err)
	}
	o.git("add", "-A")
	o.git("commit", "--quiet", "-m", "a commit")
	return o.git("rev-parse", "HEAD")
}

func (o origin) CloneURL(string) string { return "file://" + o.dir }

func (o origin) Credentials(context.Context, string) (mirror.Credentials, error) {
	return mirror.Credentials{}, nil
}

// databases is a server that knows passwords.
type databases struct {
	mu        sync.Mutex
	passwords map[string]string // by account
	away      bool
	heard     []string // logins that were tried
}

func (d *databases) Try(_ context.Context, l scan.Login, password string) ([]leaks.Tried, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = append(d.heard, l.User)
	if d.away {
		return []leaks.Tried{{Database: "database/db", User: l.User, State: leaks.Unknown, Reason: "it does not answer"}}, nil
	}
	state := leaks.Refused
	if d.passwords[l.User] == password {
		state = leaks.Live
	}
	return []leaks.Tried{{Database: "database/db", User: l.User, State: state}}, nil
}

func (d *databases) Repair(_ context.Context, database, user string) (leaks.Repaired, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.away {
		return leaks.Repaired{}, nightporter.E(nightporter.Unavailable, "it does not answer")
	}
	d.passwords[user] = "another"
	return leaks.Repaired{Database: database, User: user, Role: "database/creds/" + user}, nil
}

type house struct {
	t        *testing.T
	origin   origin
	db       *store.DB
	gate     *gate.Gate
	leaks    *leaks.Leaks
	server   *databases
	moved    chan string
	mayTry   bool
	mu       sync.Mutex
	now      time.Time
	scanned  []leaks.Scanned
	security *security.Security
}

var ledger = nightporter.Repo{Forge: "hub", Name: "ledger"}

func open(t *testing.T, db *store.DB) *house {
	t.Helper()
	h := &house{t: t, origin: origin{t, t.TempDir()}, db: db, server: &databases{passwords: map[string]string{}}, moved: make(chan string, 1000), now: time.Now(), mayTry: true}
	h.origin.git("init", "--quiet", "--initial-branch=main")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cat := &catalog.Catalog{}
	_, err := cat.Load(catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub"}}, People: []catalog.Person{{Name: "ana"}}, Teams: []catalog.Team{{Name: "team-payments", Members: []string{"ana"}}},
		Services: []catalog.Service{{Service: nightporter.Service{Name: "ledger", Repo: ledger, Owner: "team-payments"}, Deploy: catalog.Deploy{Kind: "mem"}}},
	})
	must(err)
	h.gate, err = gate.New(gate.Config{DB: db, Bus: outbox.NewBus(), Decider: allowAll{}})
	must(err)
	runs, err := run.New(run.Config{Gate: h.gate, Fence: db.Fence(), Changed: func(id string) {
		select {
		case h.moved <- id:
		default:
		}
	}})
	must(err)
	h.security, err = security.New(security.Config{Gate: h.gate, Catalog: cat})
	must(err)
	mirrored, err := mirror.New(mirror.Config{Dir: t.TempDir(), Remotes: map[string]mirror.Remote{"hub": h.origin}, Protocols: []string{"file"}})
	must(err)
	self, err := os.Executable()
	must(err)
	reader, err := scan.NewScanner(scan.Config{Command: []string{self, scan.Command}, Memory: 1 << 60})
	must(err)
	h.leaks, err = leaks.New(leaks.Config{
		Gate: h.gate, Runs: runs, Catalog: cat, Scanner: reader, Findings: h.security, Source: mirrored, Databases: h.server,
		MAC: func(purpose string, data []byte) ([]byte, error) {
			return fmt.Appendf(nil, "%x", sha256.Sum256(append([]byte(purpose), data...)))[:32], nil
		},
		MayTry: func() bool { return h.mayTry },
		Scanned: func(_ context.Context, s leaks.Scanned) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.scanned = append(h.scanned, s)
			return nil
		},
		Now: func() time.Time {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.now = h.now.Add(time.Millisecond)
			return h.now
		},
	})
	must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var loop sync.WaitGroup
	loop.Go(func() { runs.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		loop.Wait()
		h.gate.Close()
	})
	return h
}

func (h *house) advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

func ana() context.Context {
	return nightporter.WithActor(context.Background(), nightporter.Actor{Kind: nightporter.Person, Name: "ana"})
}

// wait waits for a run and returns it.
func (h *house) wait(id string, err error) *run.Run {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
	for deadline := time.After(time.Minute); ; {
		var r *run.Run
		err := h.db.View(h.t.Context(), func(tx *store.Tx) (err error) {
			r, err = run.Get(h.t.Context(), tx, id)
			return err
		})
		if err != nil {
			h.t.Fatal(err)
		}
		if r.State.Over() {
			return r
		}
		select {
		case <-h.moved:
		case <-deadline:
			h.t.Fatalf("the run stands at %+v", r)
		}
	}
}

// findings are those of the ledger, by rule.
func (h *house) findings() map[string]security.Finding {
	h.t.Helper()
	out := map[string]security.Finding{}
	err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
		list, err := security.Findings(h.t.Context(), tx, security.FindingFilter{State: "all"})
		for _, f := range list {
			out[f.Rule] = f
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return out
}

const leak = "const dsn = \"postgres://ledger:Maple7713!@db.acme.test/ledger\"\n"

func TestLeaks(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := open(t, db)
		h.origin.commit("main.go", "package main\n")
		h.server.passwords["ledger"] = "Maple7713!"

		t.Run("a scan of a clean history finds nothing and says how far it came", func(t *testing.T) {
			r := h.wait(h.leaks.Scan(ana(), ledger, false))
			if r.State != run.Succeeded || len(h.findings()) != 0 || len(h.scanned) != 1 || h.scanned[0].Failure != "" || h.scanned[0].Commit != h.origin.git("rev-parse", "HEAD") {
				t.Errorf("%+v %+v", r, h.scanned)
			}
		})
		bad := h.origin.commit("store.go", leak)
		t.Run("a push is scanned by itself, what works is critical, and it belongs to the owner", func(t *testing.T) {
			if err := h.leaks.Merged(ana(), nightporter.Merged{Repo: ledger, Commit: bad}); err != nil {
				t.Fatal(err)
			}
			if err := h.leaks.Look(ana()); err != nil {
				t.Fatal(err)
			}
			h.wait(h.last("security.scan"), nil)
			f := h.findings()["database-url"]
			if f.Severity != nightporter.Critical || f.Owner != "team-payments" || f.Service != "ledger" || f.State != security.Open || f.Check != "C1" ||
				!strings.Contains(f.Title, "ledger at db.acme.test works") || !strings.Contains(f.Evidence, "store.go, line 1, came in with "+bad[:8]) {
				t.Errorf("got %+v", f)
			}
		})
		f := h.findings()["database-url"]
		t.Run("nothing is written down that could be used", func(t *testing.T) {
			h.unwritten("Maple7713")
		})
		t.Run("a second scan without a push starts nothing, and a day later it reads everything", func(t *testing.T) {
			before := h.last("security.scan")
			if err := h.leaks.Look(ana()); err != nil || h.last("security.scan") != before {
				t.Errorf("it started %s: %v", h.last("security.scan"), err)
			}
			h.advance(25 * time.Hour)
			if err := h.leaks.Look(ana()); err != nil {
				t.Fatal(err)
			}
			if r := h.wait(h.last("security.scan"), nil); !strings.HasPrefix(r.Step("scan").Message, "2 commits") {
				t.Errorf("got %+v", r.Step("scan"))
			}
			if now := h.findings()["database-url"]; now.ID != f.ID || len(h.findings()) != 1 {
				t.Errorf("the same secret is another finding: %+v", h.findings())
			}
		})
		t.Run("a test while the database is away proves nothing", func(t *testing.T) {
			h.server.set(func() { h.server.away = true })
			defer h.server.set(func() { h.server.away = false })
			if r := h.wait(h.leaks.Test(ana(), f.ID)); r.State != run.Failed || h.findings()["database-url"].State != security.Open {
				t.Errorf("got %+v", r)
			}
			if _, err := h.leaks.Repair(ana(), f.ID); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("a repair of what was not seen to work: %v", err)
			}
		})
		t.Run("a repair changes the password, and only its refusal closes the finding", func(t *testing.T) {
			h.wait(h.leaks.Test(ana(), f.ID))
			r := h.wait(h.leaks.Repair(ana(), f.ID))
			now := h.findings()["database-url"]
			if r.State != run.Succeeded || now.State != security.Fixed || !strings.Contains(now.Proof, "database/db refused it as ledger") {
				t.Errorf("%+v %+v", r, now)
			}
			if _, err := h.leaks.Repair(ana(), f.ID); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("a second repair: %v", err)
			}
		})
		t.Run("a file that moves is the same finding, and one that works again opens it again", func(t *testing.T) {
			h.server.set(func() { h.server.passwords["ledger"] = "Maple7713!" })
			h.origin.git("mv", "store.go", "db.go")
			h.origin.commit("x", "x")
			h.wait(h.leaks.Scan(ana(), ledger, false))
			if now := h.findings()["database-url"]; now.ID != f.ID || now.State != security.Open || now.Reopened != 1 {
				t.Errorf("got %+v", now)
			}
		})
		t.Run("a scan that git could not finish is failed, keeps what is known, and is tried again", func(t *testing.T) {
			whole := h.origin.dir
			if err := os.Rename(whole, whole+".away"); err != nil {
				t.Fatal(err)
			}
			r := h.wait(h.leaks.Scan(ana(), ledger, true))
			if err := os.Rename(whole+".away", whole); err != nil {
				t.Fatal(err)
			}
			last := h.scanned[len(h.scanned)-1]
			if r.State != run.Failed || last.Failure == "" || h.findings()["database-url"].State != security.Open {
				t.Errorf("%+v %+v", r, last)
			}
			h.advance(11 * time.Minute)
			if err := h.leaks.Look(ana()); err != nil {
				t.Fatal(err)
			}
			if r := h.wait(h.last("security.scan"), nil); r.State != run.Succeeded {
				t.Errorf("got %+v", r)
			}
		})
		t.Run("where it is not allowed nothing is tried", func(t *testing.T) {
			h.mayTry = false
			before := len(h.server.heard)
			h.wait(h.leaks.Scan(ana(), ledger, true))
			if _, err := h.leaks.Test(ana(), f.ID); nightporter.CodeOf(err) != nightporter.Invalid || len(h.server.heard) != before {
				t.Errorf("got %v, tried %d times", err, len(h.server.heard)-before)
			}
		})
		t.Run("a repository that nobody declared is not scanned", func(t *testing.T) {
			if _, err := h.leaks.Scan(ana(), nightporter.Repo{Forge: "hub", Name: "other"}, true); nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("got %v", err)
			}
		})
	})
}

func (d *databases) set(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

// last is the newest run of a kind.
func (h *house) last(kind string) (id string) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(h.t.Context(), `SELECT id FROM run WHERE kind = ? ORDER BY created_at DESC, id DESC LIMIT 1`, kind).Scan(&id)
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return id
}

// unwritten checks that the store's files, whatever they are, do not hold a text.
func (h *house) unwritten(text string) {
	h.t.Helper()
	if h.db.Path() == "" {
		return // PostgreSQL's are elsewhere; the rows are the same
	}
	found := false
	for _, file := range []string{h.db.Path(), h.db.Path() + "-wal"} {
		b, err := os.ReadFile(file)
		if err != nil && !os.IsNotExist(err) {
			h.t.Fatal(err)
		}
		found = found || bytes.Contains(b, []byte("db.acme.test"))
		if bytes.Contains(b, []byte(text)) {
			h.t.Errorf("%s holds it", file)
		}
	}
	if !found {
		h.t.Error("the host is not there either, so this proves nothing")
	}
}
