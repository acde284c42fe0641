// Package world builds acme: a forge with repositories, people who merge and
// approve, a clock, an inbox, and a Nightporter that was installed and configured
// as its users do it. Everything is real and in one temporary folder, which is
// gone after [World.Close].
package world

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/clockwork"
	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/services"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// Organisation is the name of the company.
const Organisation = "acme"

// Options are what a world is made with.
type Options struct {
	// Binary is the nightporter to run. Required.
	Binary string
	// Sweep is how often Nightporter compares everything. Default: 5 s.
	Sweep time.Duration
	// Progress is told what is being done. Default: nobody is.
	Progress func(format string, args ...any)
	// Contract has the forge check every call against GitHub's own
	// description. Default: nothing is checked.
	Contract *githubtest.Contract
	// NoDatabase plays on a machine where no PostgreSQL is installed.
	NoDatabase bool

	// What follows is for those who sabotage the world.

	// ForgeFront returns the address that Nightporter is given for the forge,
	// and a function that takes it away again. Default: the forge's own.
	ForgeFront func(forge string) (address string, stop func(), err error)
	// PathFront is put in front of the PATH of builds. Default: nothing.
	PathFront string
	// Change may change the files of a pull request. Default: nobody does.
	Change func(repo, title string, files map[string]string)
}

// World is acme. Use [New].
type World struct {
	Options

	Dir    string
	Forge  *githubtest.Server
	Clock  *clockwork.Clock
	Inbox  *Inbox
	Porter *Porter
	// Database is acme's PostgreSQL server; nil where none could be started, and
	// WhyNoDatabase says why.
	Database      *Database
	WhyNoDatabase string
	// BankURL is where the bank answers, whose customers use affordability.
	BankURL string
	// Proc sees the processes of this world.
	Proc judge.Proc
	// StartLog is the file in which the services note their starts.
	StartLog string
	// RatesFile is what one version of the ledger cannot do without.
	RatesFile string

	root    *client.Client
	clients map[string]*client.Client // by person
	tokens  map[string]string         // by person
	stops   []func()
}

// New builds the world and starts everything. It returns when Nightporter has
// seen every repository.
func New(ctx context.Context, o Options) (_ *World, err error) {
	if o.Sweep == 0 {
		o.Sweep = 5 * time.Second
	}
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	dir, err := os.MkdirTemp("", "nightporter-demo-")
	if err != nil {
		return nil, fmt.Errorf("make the folder of the demo: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil { // /proc shows real paths
		return nil, err
	}
	w := &World{
		Options: o, Dir: dir, Proc: judge.Proc{Dir: dir}, clients: map[string]*client.Client{}, tokens: map[string]string{},
		StartLog: filepath.Join(dir, "starts.log"), RatesFile: filepath.Join(dir, "rates.json"),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	// Services run as whom the configuration says; they must reach their files.
	if err := os.Chmod(dir, 0o711); err != nil {
		return nil, err
	}
	if w.Clock, err = clockwork.Start(); err != nil {
		return nil, err
	}
	if err := w.Clock.Jump(time.Until(morning(time.Now()))); err != nil {
		return nil, err
	}
	if w.Inbox, err = startInbox(); err != nil {
		return nil, err
	}
	w.openDatabase(ctx)
	if err := w.found(ctx); err != nil {
		return nil, err
	}
	if err := w.install(ctx); err != nil {
		return nil, err
	}
	return w, w.signIn(ctx)
}

// morning is ten o'clock of the next day that has another working day after it,
// so that dev is up and a night can follow.
func morning(now time.Time) time.Time {
	local := now.In(London)
	for day := 0; ; day++ {
		m := time.Date(local.Year(), local.Month(), local.Day()+day, 10, 0, 0, 0, London)
		if m.After(now) && m.Weekday() >= time.Monday && m.Weekday() <= time.Thursday {
			return m
		}
	}
}

// found makes the forge and the repositories.
func (w *World) found(ctx context.Context) error {
	w.Progress("a forge with %d repositories", len(acme))
	secret, token := rand.Text(), rand.Text()
	if err := w.writeSecret("webhook-secret", secret); err != nil {
		return err
	}
	if err := w.writeSecret("forge-token", token); err != nil {
		return err
	}
	if err := w.writeSecret(sealKeyFile, sealKey()); err != nil {
		return err
	}
	hush := rand.Text()
	if err := w.writeSecret(bankSecret, hush); err != nil {
		return err
	}
	if err := w.openBank(hush); err != nil {
		return err
	}
	var err error
	w.Forge, err = githubtest.Start(githubtest.Config{
		Dir: filepath.Join(w.Dir, "forge"), Organisation: Organisation, Token: token, Secret: []byte(secret), Contract: w.Contract,
		Sample: func(_, title string) map[string]string { return note(title) },
	})
	if err != nil {
		return err
	}
	for _, s := range acme {
		files, err := services.Files(ctx, s.name, s.description)
		if s.name == affordability {
			files, err = services.Affordability(ctx)
		}
		if err != nil {
			return err
		}
		if _, err := w.Forge.AddRepo(s.name, files); err != nil {
			return err
		}
	}
	_, err = w.Forge.AddRepo(Infrastructure, Components("queue"))
	return err
}

// openDatabase starts acme's database server, or notes why there is none: the
// world does without, and the story says what it therefore did not show.
func (w *World) openDatabase(ctx context.Context) {
	if w.NoDatabase {
		w.WhyNoDatabase = "--no-database"
	} else if d, err := startDatabase(ctx); err != nil {
		w.WhyNoDatabase = err.Error()
	} else {
		w.Database = d
		w.Progress("PostgreSQL with databases for each environment")
		return
	}
	w.Progress("NO POSTGRESQL (%s): affordability and ledger keep everything in memory, and nothing is shown of leased logins", w.WhyNoDatabase)
}

// writeSecret writes a file that only its owner may read.
func (w *World) writeSecret(name, text string) error {
	return os.WriteFile(filepath.Join(w.Dir, name), []byte(text+"\n"), 0o600)
}

// install does what a new user does: init, the configuration, server.
func (w *World) install(ctx context.Context) error {
	address := w.Forge.URL()
	if w.ForgeFront != nil {
		front, stop, err := w.ForgeFront(address)
		if err != nil {
			return err
		}
		w.stops = append(w.stops, stop)
		address = front
	}
	w.Porter = &Porter{
		Binary: w.Binary, Dir: filepath.Join(w.Dir, "porter"), ClockURL: w.Clock.URL(), env: w.environment(),
	}
	w.Progress("nightporter init")
	if err := w.Porter.Init(ctx); err != nil {
		return err
	}
	if err := w.configure(address); err != nil {
		return err
	}
	w.Progress("nightporter server")
	if err := w.Porter.Start(ctx); err != nil {
		return err
	}
	w.Forge.AddHook(w.Porter.URL() + "/hooks/github")
	if w.Database != nil {
		w.Progress("PostgreSQL lends logins: vault write database/config/…, database/roles/…")
		if err := w.lendLogins(ctx); err != nil {
			return err
		}
	}
	var err error
	w.root, err = client.New(client.Config{Address: w.Porter.URL(), Token: w.Porter.RootToken})
	return err
}

// environment is what Nightporter and, where run_env lists it, builds inherit.
// Builds share the cache of whoever runs the demo: the standard library is in it
// since the porter was built.
func (w *World) environment() []string {
	path := os.Getenv("PATH")
	if w.PathFront != "" {
		path = w.PathFront + string(filepath.ListSeparator) + path
	}
	env := []string{"PATH=" + path, "HOME=" + w.Dir, "LANG=C.UTF-8", "GOPROXY=off", "GOTOOLCHAIN=local", "GOTELEMETRY=off", "GOFLAGS=", "GOWORK=off"}
	if out, err := exec.Command("go", "env", "GOCACHE").Output(); err == nil {
		env = append(env, "GOCACHE="+strings.TrimSpace(string(out)))
	}
	return env
}

// note is a change that cannot be in the way of another one.
func note(title string) map[string]string {
	slug := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(title))
	return map[string]string{"changes/" + slug + "-" + strings.ToLower(rand.Text()[:6]) + ".md": title + "\n"}
}

// Close ends everything: the porter, the services, whatever they left, the
// forge. Then it removes the folder.
func (w *World) Close() error {
	var errs []error
	if w.Porter != nil {
		errs = append(errs, w.Porter.Stop())
	}
	errs = append(errs, w.EndServices(syscall.SIGTERM), w.EndServices(syscall.SIGKILL))
	for _, stop := range slices.Backward(w.stops) {
		stop()
	}
	if w.Forge != nil {
		errs = append(errs, w.Forge.Close())
	}
	if w.Inbox != nil {
		errs = append(errs, w.Inbox.Close())
	}
	if w.Clock != nil {
		errs = append(errs, w.Clock.Close())
	}
	if w.Database != nil {
		errs = append(errs, w.Database.Close())
	}
	return errors.Join(append(errs, removeAll(w.Dir))...)
}

// removeAll removes a folder whose artifacts are read-only.
func removeAll(dir string) error {
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(path, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

// endWithin is how long the services may take to end when they are asked.
const endWithin = 5 * time.Second

// EndServices sends a signal to every process that was deployed or built here, and
// waits until they are gone, for a while. It is no error when some are not:
// SIGTERM may be refused.
func (w *World) EndServices(signal syscall.Signal) error {
	told := map[int]bool{}
	for deadline := time.Now().Add(endWithin); ; {
		all, err := w.Proc.All()
		if err != nil || len(all) == 0 || time.Now().After(deadline) {
			return err
		}
		for _, p := range all {
			if told[p.PID] {
				continue
			}
			if err := syscall.Kill(p.PID, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("end %s: %w", p, err)
			}
			told[p.PID] = true
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Git reads one of the forge's repositories.
func (w *World) Git(repo string) judge.Git { return judge.Git{Dir: w.Forge.GitDir(repo)} }

// Log copies the end of the porter's log, for when something went wrong.
func (w *World) Log(to io.Writer, lines int) {
	if w.Porter == nil {
		return
	}
	for _, line := range w.Porter.LastLines(lines) {
		fmt.Fprintln(to, "    "+line)
	}
}
