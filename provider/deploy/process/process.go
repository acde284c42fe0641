// Package process deploys services as plain Linux processes on this machine.
//
// An instance is one process in a session of its own, with a port, a log file
// and an environment that is listed, never inherited. It is known by its process
// id together with its start time, so that a reused id is never taken for it. It
// does not need us: it keeps serving while Nightporter is stopped or dead, and is
// found again afterwards. (Under systemd, set KillMode=process on Nightporter's
// unit, or systemd ends the services with it.)
//
// # One start for each key
//
// A caller may be killed between making a process and writing that it did. So it
// is the child that writes: a few lines of shell claim the key by creating a file
// that must not exist (O_EXCL) and only then become the service. However many
// children a dying caller and its successor make, one of them wins the claim and
// the others end without a trace. See spawn.go.
//
// # What is where
//
//	lock                                 held while a Deployer is open: one at a time
//	instances/<id>/request.json          what was asked, without the environment's values
//	              /status.json           what was seen: process, health, end
//	              /run/                  the service's home; its claim, the one-use token of its credentials
//	              /log                   what it wrote, cut at Config.MaxLog; the last 20 are kept
//	services/<service>/<environment>/    live/<id> for each instance that has not ended, ended/… for the others,
//	                                     roles.json: which one serves, which ones drain
//	artifacts/<sha256>/                  what builds made, by content
//	builds/<service>/<commit>-<recipe>/  attempts, and the artifact once there is one
//	cache/<service>/                     the home of the service's builds
//	jobs/<id>/                           commands that were run to their end: job.json, run/, log, end.json
//
// All of it survives kill -9 at any instruction: files are replaced by renaming,
// and each intent is on disk before the act.
//
// # What it does not do
//
// A service has no stable address here: [deploy.Instance.Address] says where each
// instance answers. A proxy inside Nightporter would die with it, and the
// services must not. A process that leaves its session and clears its
// environment as well cannot be found again; only a cgroup could hold it.
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
	"nightporter.dev/nightporter/provider/deploy"
)

// SameUser says whether services may run as the user that Nightporter runs as,
// who can read its keys.
type SameUser string

// The two answers. The zero value refuses.
const (
	Refused SameUser = ""
	Allowed SameUser = "allowed"
)

// Config makes a [Deployer].
type Config struct {
	// Dir holds everything the deployer knows. It is made when it is not
	// there. The user of RunAs must be able to reach it: each folder above
	// needs the x bit for others. No default.
	Dir string
	// RunAs is the user that services and builds run as. Anything but our own
	// user needs root. "" means our own user, which SameUser must allow.
	RunAs string
	// SameUser must be Allowed when RunAs is empty or our own user.
	SameUser SameUser
	// Environment is given to every service and build, in addition to PATH,
	// HOME and LANG; a request's own Env wins. Default: nothing.
	Environment map[string]string
	// FirstPort and LastPort bound the ports that instances get. Default:
	// 20000 to 29999, below the range that Linux takes for outgoing
	// connections.
	FirstPort, LastPort int
	// MaxLog is the size in bytes at which an instance's log is emptied, after
	// its last 128 KiB were kept beside it as log.old. Default: 64 MiB.
	MaxLog int64
	// Shell runs the few lines that claim a key. It must be a POSIX shell.
	// Default: /bin/sh.
	Shell string
	// Now tells the time for deadlines. nil means time.Now.
	Now func() time.Time
}

// Deployer runs services as processes. Its methods may be called by many
// goroutines. It starts no goroutine itself.
type Deployer struct {
	cfg    Config
	user   *account // nil: our own
	bootID string
	lock   *os.File
	client *http.Client

	mu    sync.Mutex
	doors map[string]*sync.Mutex // one for each service × environment, and for each service's builds
	ports map[int]bool           // handed out by us, perhaps not listening yet
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Builder  = (*Deployer)(nil)
)

// New opens the deployer of cfg.Dir. It is a Conflict while another one has the
// folder open, in this process or another. Call Close to let go of it; what runs
// goes on running.
func New(cfg Config) (*Deployer, error) {
	if runtime.GOOS != "linux" {
		return nil, nightporter.E(nightporter.Invalid, "the process provider needs Linux: it knows its processes by /proc")
	}
	if cfg.Dir == "" {
		return nil, nightporter.E(nightporter.Invalid, "the process provider has no folder")
	}
	if cfg.FirstPort == 0 && cfg.LastPort == 0 {
		cfg.FirstPort, cfg.LastPort = 20000, 29999
	}
	if cfg.FirstPort < 1 || cfg.LastPort > 65535 || cfg.FirstPort > cfg.LastPort {
		return nil, nightporter.E(nightporter.Invalid, "%d to %d is not a range of ports", cfg.FirstPort, cfg.LastPort)
	}
	if cfg.MaxLog <= 0 {
		cfg.MaxLog = 64 << 20
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
		return nil, fmt.Errorf("preparing the folder of deployed processes: %w", err)
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("reading this boot's id: %w", err)
	}
	lock, err := lockFolder(cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := closeOnExec(); err != nil {
		return nil, errors.Join(fmt.Errorf("keeping our descriptors to ourselves: %w", err), lock.Close())
	}
	return &Deployer{
		cfg: cfg, user: user, bootID: strings.TrimSpace(string(boot)), lock: lock, client: newHealthClient(),
		doors: map[string]*sync.Mutex{}, ports: map[int]bool{},
	}, nil
}

// Close lets go of the folder. It ends no process.
func (d *Deployer) Close() error {
	d.client.CloseIdleConnections()
	return d.lock.Close()
}

// door locks one service × environment, or the builds of one service, and
// returns the function that unlocks it. Nobody holds two.
func (d *Deployer) door(name string) (unlock func()) {
	d.mu.Lock()
	m := d.doors[name]
	if m == nil {
		m = new(sync.Mutex)
		d.doors[name] = m
	}
	d.mu.Unlock()
	m.Lock()
	return m.Unlock
}

func (d *Deployer) path(parts ...string) string {
	return filepath.Join(append([]string{d.cfg.Dir}, parts...)...)
}

func ownFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	for _, sub := range []string{"instances", "services", "artifacts", "builds", "cache"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			return "", err
		}
	}
	// Processes carry the folder's name as their mark: it must be one name.
	return filepath.EvalSymlinks(dir)
}

// lockFolder takes the folder for this process. A child that a killed
// predecessor was just making holds the lock until it becomes the shell, some
// microseconds later: hence the second try.
func lockFolder(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock of deployed processes: %w", err)
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
		WithHint("stop it first: two of them would start services twice")
	return nil, errors.Join(err, f.Close())
}

// closeOnExec marks every descriptor we have, so that those which we inherited
// ourselves do not reach services. Those that Go opens are marked from birth.
func closeOnExec() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, e := range entries {
		var fd int
		if _, err := fmt.Sscan(e.Name(), &fd); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}

// notExist says whether err only says that a file is not there.
func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }
