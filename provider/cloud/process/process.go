// Package process builds environments out of plain Linux processes and folders on
// this machine, from a file that is committed in the infrastructure's repository:
//
//	# dev/environment.yaml
//	components:
//	  - name: db
//	    kind: process
//	    prepare: [/usr/lib/postgresql/17/bin/initdb, -D, "{data}/pg"]
//	    command: [/usr/lib/postgresql/17/bin/postgres, -D, "{data}/pg", -p, "{port}"]
//	    port: 25432
//	    ready: {tcp: true}
//	    stop: INT
//	    keep: data
//	  - name: app
//	    kind: process
//	    command: ["{code}/app", --database, "127.0.0.1:{port:db}", --listen, ":{port}"]
//	    port: 28080
//	    needs: [db]
//	    ready: {http: /healthz}
//
// It is for laptops, demonstrations and tests, and the judge of the others: what
// it made can be checked with nothing but /proc and ls.
//
// A component is one process in a session of its own, known by its process id
// together with its start time, and one data folder that does not exist while the
// environment is dark. Every process carries a mark in its environment, so that
// also what a crash left behind is found.
//
// # One start for each key
//
// A caller may be killed between making a process and writing that it did. So it
// is the child that writes: a few lines of shell claim the key by creating a file
// that must not exist (O_EXCL) and only then become the program (spawn.go).
//
// # What is where
//
//	lock                              held while a Provider is open: one at a time
//	operations/<environment>/<id>/    what a key asked, how far it is, claims, output
//	live/<environment>/               gone while the environment is dark:
//	    components/<name>.json        what was built, by which operation
//	    data/<name>/                  the component's folder
//	    code/<commit>/                the files that it runs from
//	captures/<environment>/           state that outlives the night
package process

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// SameUser says whether components may run as the user that Nightporter runs as,
// who can read its keys.
type SameUser string

// The two answers. The zero value refuses.
const (
	Refused SameUser = ""
	Allowed SameUser = "allowed"
)

// Config makes a [Provider].
type Config struct {
	// Dir holds everything. It is made when it is not there. The user of RunAs
	// must be able to reach it. No default.
	Dir string
	// RunAs is the user that components run as; it needs root. "" means our
	// own user, which SameUser must allow.
	RunAs string
	// SameUser must be Allowed when RunAs is empty or our own user.
	SameUser SameUser
	// Environment is given to every component beside PATH, HOME and LANG.
	// Default: nothing.
	Environment map[string]string
	// Shell runs the few lines that claim a key. Default: /bin/sh.
	Shell string
	// Now tells the time. nil means time.Now.
	Now func() time.Time
}

// Provider builds environments of processes. Its methods may be called by many
// goroutines. It starts no goroutine itself.
type Provider struct {
	cfg    Config
	user   *account // nil: our own
	bootID string
	lock   *os.File
	client *http.Client

	mu    sync.Mutex
	doors map[string]*sync.Mutex // one for each environment
}

var _ cloud.Provider = (*Provider)(nil)

// New opens the provider of cfg.Dir. It is a Conflict while another one has the
// folder open. Close lets go of it; what runs goes on running.
func New(cfg Config) (*Provider, error) {
	if runtime.GOOS != "linux" {
		return nil, nightporter.E(nightporter.Invalid, "the process provider needs Linux: it knows its processes by /proc")
	}
	if cfg.Dir == "" {
		return nil, nightporter.E(nightporter.Invalid, "the process provider has no folder")
	}
	if cfg.Shell == "" {
		cfg.Shell = "/bin/sh"
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	user, err := runAs(cfg.RunAs, cfg.SameUser)
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = ownFolder(cfg.Dir); err != nil {
		return nil, fmt.Errorf("prepare the folder of environments: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read this boot's id: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	return &Provider{
		cfg: cfg, user: user, bootID: strings.TrimSpace(string(boot)), lock: lock, doors: map[string]*sync.Mutex{},
		client: &http.Client{
			Timeout:       3 * time.Second,
			Transport:     &http.Transport{Proxy: nil, DisableKeepAlives: true},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Close lets go of the folder. It ends no process.
func (p *Provider) Close() error { return p.lock.Close() }

// door locks one environment and returns the function that unlocks it.
func (p *Provider) door(environment string) (unlock func()) {
	p.mu.Lock()
	m := p.doors[environment]
	if m == nil {
		m = new(sync.Mutex)
		p.doors[environment] = m
	}
	p.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (p *Provider) path(parts ...string) string {
	return filepath.Join(append([]string{p.cfg.Dir}, parts...)...)
}

func (p *Provider) live(environment string, parts ...string) string {
	return filepath.Join(append([]string{p.cfg.Dir, "live", environment}, parts...)...)
}

func (p *Provider) data(environment, component string) string {
	return p.live(environment, "data", component)
}

func ownFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, sub := range []string{"operations", "live", "captures"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	// Processes carry the folder's name as their mark: it must be one name.
	return filepath.EvalSymlinks(dir)
}

// lockFolder takes the folder for this process. A child that a killed
// predecessor was just making holds the lock until it becomes the shell, some
// microseconds later: hence the further tries.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of environments: %w", err)
	}
	for tries := 0; ; tries++ {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) || tries == 20 {
			break
		}
		<-time.After(10 * time.Millisecond)
	}
	err = nightporter.Wrap(err, nightporter.Conflict, "another Nightporter holds %s", dir).
		WithHint("stop it first: two of them would build an environment twice")
	return nil, errors.Join(err, f.Close())
}

// notExist says whether err only says that a file is not there.
func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
