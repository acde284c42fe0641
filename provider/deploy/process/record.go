package process

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// record is request.json: what was asked for an instance. It is written once,
// before anything starts. The environment's values are not in it: nothing needs
// them again, and they may be secrets.
type record struct {
	Key         string              `json:"key"`
	Service     string              `json:"service"`
	Environment string              `json:"environment"`
	Version     nightporter.Version `json:"version"`
	Commit      string              `json:"commit"`
	Artifact    deploy.Artifact     `json:"artifact,omitempty"`
	Command     []string            `json:"command"`
	Health      deploy.Health       `json:"health"`
	Drain       time.Duration       `json:"drain"`
	Port        int                 `json:"port"`
	CreatedAt   time.Time           `json:"created_at"`
}

// status is status.json: what was seen of an instance, and what was begun.
type status struct {
	Claim     *claim    `json:"claim,omitempty"`
	StartedAt time.Time `json:"started_at,omitzero"` // when the claim was first seen
	HealthyAt time.Time `json:"healthy_at,omitzero"` // when it was first seen healthy
	Exit      string    `json:"exit,omitempty"`      // how it ended by itself
	Temporary bool      `json:"temporary,omitempty"` // it said itself that trying again may help
	KillAt    time.Time `json:"kill_at,omitzero"`    // it was told to end, or is about to be
	Told      bool      `json:"told,omitempty"`      // the SIGTERM is sent
	Ended     bool      `json:"ended,omitempty"`     // nothing of it is left
}

// roles is roles.json of a service × environment. Switch replaces it in one act.
type roles struct {
	Serving  string   `json:"serving,omitempty"`
	Draining []string `json:"draining,omitempty"`
}

// instance is what the disk says about one instance.
type instance struct {
	id string
	record
	status
	role deploy.Role
}

func instanceID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:12])
}

func validID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 12
}

func (d *Deployer) instanceDir(id string) string { return d.path("instances", id) }
func (d *Deployer) placeDir(service, environment string) string {
	return d.path("services", service, environment)
}

func (i instance) place() string   { return i.Service + " in " + i.Environment }
func (i instance) address() string { return fmt.Sprintf("127.0.0.1:%d", i.Port) }
func (i instance) candidate() bool { return i.role == deploy.Candidate }

// load reads an instance. An id that is not there is NotFound.
func (d *Deployer) load(id string) (*instance, error) {
	unknown := nightporter.E(nightporter.NotFound, "no instance is called %q", id)
	if !validID(id) {
		return nil, unknown
	}
	i := &instance{id: id}
	if err := readJSON(filepath.Join(d.instanceDir(id), "request.json"), &i.record); err != nil {
		if notExist(err) {
			return nil, unknown
		}
		return nil, err
	}
	if err := readJSON(filepath.Join(d.instanceDir(id), "status.json"), &i.status); err != nil && !notExist(err) {
		return nil, err
	}
	r, err := d.roles(i.Service, i.Environment)
	if err != nil {
		return nil, err
	}
	i.setRole(r)
	return i, nil
}

func (i *instance) setRole(r roles) {
	switch {
	case i.Ended:
		i.role = deploy.Ended
	case !i.KillAt.IsZero() || slices.Contains(r.Draining, i.id):
		i.role = deploy.Draining
	case r.Serving == i.id:
		i.role = deploy.Serving
	default:
		i.role = deploy.Candidate
	}
}

func (d *Deployer) roles(service, environment string) (roles, error) {
	var r roles
	if err := readJSON(filepath.Join(d.placeDir(service, environment), "roles.json"), &r); err != nil && !notExist(err) {
		return roles{}, err
	}
	return r, nil
}

// create puts an instance on disk, whole or not at all, unless it is there. The
// list of what lives comes first: an entry without an instance is harmless, an
// instance that Stop cannot find is not.
func (d *Deployer) create(rec record) error {
	id := instanceID(rec.Key)
	live := filepath.Join(d.placeDir(rec.Service, rec.Environment), "live")
	if err := os.MkdirAll(live, 0o755); err != nil {
		return fmt.Errorf("listing an instance of %s: %w", rec.Service, err)
	}
	if err := writeFile(filepath.Join(live, id), nil); err != nil {
		return fmt.Errorf("listing an instance of %s: %w", rec.Service, err)
	}
	fresh, err := os.MkdirTemp(d.path("instances"), ".new-")
	if err != nil {
		return fmt.Errorf("making an instance of %s: %w", rec.Service, err)
	}
	defer func() { _ = os.RemoveAll(fresh) }() // does nothing once it is renamed
	run := filepath.Join(fresh, "run")
	err = errors.Join(os.Chmod(fresh, 0o755), os.Mkdir(run, 0o700), d.give(run), writeJSON(filepath.Join(fresh, "request.json"), rec))
	if err != nil {
		return fmt.Errorf("making an instance of %s: %w", rec.Service, err)
	}
	if err := os.Rename(fresh, d.instanceDir(id)); err != nil && !errors.Is(err, syscall.ENOTEMPTY) && !os.IsExist(err) {
		return fmt.Errorf("making an instance of %s: %w", rec.Service, err)
	}
	return nil
}

// save writes what was seen of an instance.
func (d *Deployer) save(i *instance) error {
	if err := writeJSON(filepath.Join(d.instanceDir(i.id), "status.json"), i.status); err != nil {
		return fmt.Errorf("writing the status of %s: %w", i.Key, err)
	}
	return nil
}

// at lists what has not ended of a service in an environment, oldest first.
func (d *Deployer) at(service, environment string) ([]*instance, error) {
	entries, err := os.ReadDir(filepath.Join(d.placeDir(service, environment), "live"))
	if err != nil && !notExist(err) {
		return nil, fmt.Errorf("listing instances of %s: %w", service, err)
	}
	var all []*instance
	for _, e := range entries {
		i, err := d.load(e.Name())
		if nightporter.CodeOf(err) == nightporter.NotFound {
			continue // listed, and then the caller was killed
		}
		if err != nil {
			return nil, err
		}
		if i.role != deploy.Ended && i.Service == service && i.Environment == environment {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, older)
	return all, nil
}

func older(a, b *instance) int {
	return cmp.Or(a.CreatedAt.Compare(b.CreatedAt), cmp.Compare(a.id, b.id))
}

// refresh looks at the instance's process and writes down what is new about it.
// It is also when a log that has grown too long is cut.
func (d *Deployer) refresh(i *instance) (alive bool, err error) {
	before := i.status
	if i.Claim == nil {
		c, ok, err := readClaim(filepath.Join(d.instanceDir(i.id), "run"))
		if err != nil || !ok {
			return false, err
		}
		i.Claim, i.StartedAt = &c, d.cfg.Now().UTC()
	}
	l, err := d.look(*i.Claim)
	if err != nil {
		return false, err
	}
	if err := d.trim(i.id); err != nil {
		return false, err
	}
	if l.known {
		i.Exit, i.Temporary = describeExit(l.exit), l.exit.ExitStatus() == exitTemporary
	}
	if i.status != before {
		return l.alive, d.save(i)
	}
	return l.alive, nil
}

// exitTemporary is EX_TEMPFAIL of sysexits.h: "the user is invited to retry".
const exitTemporary = 75

func describeExit(ws syscall.WaitStatus) string {
	if ws.Signaled() {
		return "was ended by " + ws.Signal().String()
	}
	switch n := ws.ExitStatus(); n {
	case 127: // sh(1): the command was not found
		return "could not start: its command was not found (status 127)"
	case 126:
		return "could not start: its command cannot be executed (status 126)"
	default:
		return fmt.Sprintf("exited with status %d", n)
	}
}

func readJSON(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("reading %s: %w", path, err)
	}
	return nil
}

func writeJSON(path string, v any) error {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(path, append(b, '\n'))
}

// writeFile replaces a file whole: a reader, and whoever comes after a crash,
// sees the old content or the new. It need not outlive a power cut, because the
// processes that it speaks of do not either.
func writeFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // does nothing once it is renamed
	_, err = f.Write(b)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
