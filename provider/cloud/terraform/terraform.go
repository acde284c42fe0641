// Package terraform builds environments with the user's own terraform or tofu, from
// configurations that are committed in the infrastructure's repository. Without
// more, the folder is one component; an environment.yaml in it says otherwise:
//
//	components:
//	  - {name: db, dir: db, keep: dump, dump: [./dump, "{capture}"], load: [./load, "{capture}"]}
//	  - {name: app, dir: app, needs: [db], ready: [curl, -fsS, "https://app.dev.acme.test/healthz"]}
//	inventory: [./tagged, "{environment}"]      # one JSON object a line: what carries the mark
//	remove: [./delete, "{id}"]                  # what no state knows any more
//
// Each component has a state of its own. A build is init, plan, a look at the plan,
// apply of that very plan, and a second plan, which must be empty. Whatever a plan
// changes or destroys must say itself that it belongs to the environment, by a tag
// or label nightporter:environment, nightporter_environment or
// nightporter-environment; the variable environment holds the value.
//
// # Terraform outlives its caller
//
// A terraform that dies in the middle of an apply forgets what it was making. So it
// is never a child that dies with us: each command runs in a session of its own,
// claims its key by creating a file, and writes down how it ended. Whoever comes
// after a crash finds it at work, or its end. It is asked to stop with SIGINT, and
// killed only after half a minute. What a killed one left at work is waited for,
// and what no state knows is found by the inventory.
//
// # What is where
//
//	lock                              held while a Provider is open: one at a time
//	operations/<environment>/<id>/    what a key asked, how far it is, claims, output
//	live/<environment>/<component>/   record.json, code/, data/, terraform.tfstate
//	captures/<environment>/           state that outlives the night
package terraform

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// SameUser says whether terraform may run as the user that Nightporter runs as, who
// can read its keys.
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
	// RunAs is the user that terraform runs as; it needs root. "" means our own
	// user, which SameUser must allow.
	RunAs string
	// SameUser must be Allowed when RunAs is empty or our own user.
	SameUser SameUser
	// Environment is given to terraform beside PATH, HOME and LANG: the logins of
	// clouds. Default: nothing.
	Environment map[string]string
	// Now tells the time. nil means time.Now.
	Now func() time.Time
}

// Provider builds environments with terraform. Its methods may be called by many
// goroutines. It starts no goroutine itself.
type Provider struct {
	cfg    Config
	user   *account // nil: our own
	bootID string
	lock   *os.File

	mu    sync.Mutex
	doors map[string]*sync.Mutex // one for each environment
}

var (
	_ cloud.Provider  = (*Provider)(nil)
	_ cloud.Scratcher = (*Provider)(nil)
)

// New opens the provider of cfg.Dir. It is a Conflict while another one has the
// folder open. Close lets go of it; what runs goes on running.
func New(cfg Config) (*Provider, error) {
	if runtime.GOOS != "linux" {
		return nil, nightporter.E(nightporter.Invalid, "the terraform provider needs Linux: it knows its processes by /proc")
	}
	if cfg.Dir == "" {
		return nil, nightporter.E(nightporter.Invalid, "the terraform provider has no folder")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	user, err := runAs(cfg.RunAs, cfg.SameUser)
	if err != nil {
		return nil, err
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	for _, sub := range []string{"operations", "live", "captures"} {
		if err := os.MkdirAll(filepath.Join(cfg.Dir, sub), 0o755); err != nil {
			return nil, fmt.Errorf("prepare the folder of environments: %w", err)
		}
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return nil, fmt.Errorf("read this boot's id: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cfg.Dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock of environments: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = nightporter.Wrap(err, nightporter.Conflict, "another Nightporter holds %s", cfg.Dir).
			WithHint("stop it first: two of them would build an environment twice")
		return nil, errors.Join(err, lock.Close())
	}
	return &Provider{cfg: cfg, user: user, bootID: strings.TrimSpace(string(boot)), lock: lock, doors: map[string]*sync.Mutex{}}, nil
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

func (p *Provider) live(environment string, parts ...string) string {
	return filepath.Join(append([]string{p.cfg.Dir, "live", environment}, parts...)...)
}

// settings are an environment's, as the configuration has them.
type settings struct {
	Binary     string            `json:"binary,omitempty"`
	Workspace  string            `json:"workspace,omitempty"`
	Variables  map[string]string `json:"variables,omitempty"`
	State      string            `json:"state,omitempty"` // backend, local
	MaxDestroy int               `json:"max_destroy,omitempty"`
	// Allow holds accounts, which are the caller's to check, and types that
	// cannot carry a mark: "type:random_password".
	Allow []string `json:"allow,omitempty"`
	// ScratchOf is the environment that this one is built beside.
	ScratchOf string `json:"scratch_of,omitempty"`
}

func settingsOf(t cloud.Target) (settings, error) {
	var s settings
	if err := cloud.ValidateName("environment", t.Environment); err != nil {
		return s, err
	}
	if len(t.Settings) > 0 {
		if err := json.Unmarshal(t.Settings, &s); err != nil {
			return s, nightporter.Wrap(err, nightporter.Invalid, "the settings of %s cannot be read", t.Environment)
		}
	}
	return s, nil
}

// unmarked says that resources of a type cannot carry a mark.
func (s settings) unmarked(kind string) bool { return slices.Contains(s.Allow, "type:"+kind) }

// Scratch implements [cloud.Scratcher]. Only what keeps its state with us can be
// built twice: a backend's state would be the same one.
func (*Provider) Scratch(t cloud.Target, name string) (cloud.Target, error) {
	s, err := settingsOf(t)
	if err != nil {
		return cloud.Target{}, err
	}
	if s.State != "local" {
		return cloud.Target{}, nightporter.E(nightporter.Invalid, "%s keeps its Terraform state in a backend, which a second one would share", t.Environment)
	}
	s.ScratchOf = t.Environment
	b, err := json.Marshal(s)
	if err != nil {
		return cloud.Target{}, err
	}
	return cloud.Target{Environment: name, Settings: b}, cloud.ValidateName("environment", name)
}

// binary finds the user's terraform.
func (s settings) binary() (string, error) {
	for _, name := range []string{s.Binary, "terraform", "tofu"} {
		if name == "" {
			continue
		}
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		if name == s.Binary {
			break
		}
	}
	return "", nightporter.E(nightporter.Unavailable, "there is no terraform and no tofu on this machine").WithHint("install one, or name it: cloud.binary")
}

// environment is all that terraform and the commands get: nothing is inherited.
func (p *Provider) environment(env, component string, s settings) []string {
	vars := map[string]string{"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": p.live(env, component), "LANG": "C.UTF-8"}
	maps.Copy(vars, p.cfg.Environment)
	vars["TF_VAR_environment"] = env
	for name, value := range s.Variables {
		vars["TF_VAR_"+name] = value
	}
	maps.Copy(vars, map[string]string{
		"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1", "TF_DATA_DIR": p.live(env, component, "data"),
		"NIGHTPORTER_ENVIRONMENT": env, "NIGHTPORTER_COMPONENT": component,
	})
	if s.Workspace != "" {
		vars["TF_WORKSPACE"] = s.Workspace
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, name+"="+vars[name])
	}
	return list
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// writeJSON replaces a file whole, and safe against a power cut: what it speaks of
// outlives the machine.
func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
	_, err = f.Write(append(b, '\n'))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
