package process

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// attempt is attempt.json: one try to build a commit. It is on disk before
// anything runs.
type attempt struct {
	Key       string        `json:"key"`
	Service   string        `json:"service"`
	Commit    string        `json:"commit"`
	Command   []string      `json:"command,omitempty"`
	Output    string        `json:"output"`
	Within    time.Duration `json:"within"`
	CreatedAt time.Time     `json:"created_at"`
}

// outcome is outcome.json: how an attempt ended. It is written once.
type outcome struct {
	State     deploy.BuildState `json:"state"`
	Artifact  deploy.Artifact   `json:"artifact,omitempty"`
	Message   string            `json:"message,omitempty"`
	Retryable bool              `json:"retryable,omitempty"`
	At        time.Time         `json:"at"`
}

// recipe names the folder of a commit's build. A changed command builds anew.
func recipe(r deploy.BuildRequest) string {
	sum := sha256.Sum256([]byte(strings.Join(append(r.Command, r.Output), "\x00")))
	return r.Commit + "-" + hex.EncodeToString(sum[:4])
}

// Build implements [deploy.Builder].
func (d *Deployer) Build(ctx context.Context, r deploy.BuildRequest) (deploy.Token, error) {
	if err := r.Validate(); err != nil {
		return "", err
	}
	if len(r.Command) > 0 {
		if err := validCommand("the build of "+r.Service, r.Command); err != nil {
			return "", err
		}
	}
	if r.Output == "" {
		r.Output = "."
	}
	if !filepath.IsLocal(r.Output) {
		return "", nightporter.E(nightporter.Invalid, "the build output %q of %s is not inside the checkout", r.Output, r.Service)
	}
	if r.Within == 0 {
		r.Within = deploy.DefaultBuildWithin
	}
	defer d.door("build " + r.Service)()

	name := recipe(r)
	id, err := d.chooseAttempt(r, name)
	if err != nil {
		return "", err
	}
	token := deploy.Token("build/" + r.Service + "/" + name + "/" + id)
	dir := d.path("builds", r.Service, name, id)
	if err := d.newAttempt(r, dir); err != nil {
		return "", fmt.Errorf("preparing the build of %s: %w", r.Service, err)
	}
	// Remember which attempt counts only now: it can be found from here on.
	if err := writeFile(d.path("builds", r.Service, name, "latest"), []byte(id)); err != nil {
		return "", fmt.Errorf("listing the build of %s: %w", r.Service, err)
	}
	_, claimed, err := readClaim(filepath.Join(dir, "run"))
	if err != nil || claimed || len(r.Command) == 0 {
		return token, err
	}
	home := d.path("cache", r.Service)
	if err := errors.Join(os.MkdirAll(home, 0o755), d.give(home)); err != nil {
		return "", fmt.Errorf("preparing the build of %s: %w", r.Service, err)
	}
	env := d.baseEnv(home)
	maps.Copy(env, r.Env)
	maps.Copy(env, map[string]string{"NIGHTPORTER_COMMIT": r.Commit, markService: r.Service, markKey: string(token), markDir: d.cfg.Dir})
	_, err = d.spawn(ctx, spawn{
		script: buildScript, run: filepath.Join(dir, "run"), dir: filepath.Join(dir, "tree"),
		log: filepath.Join(dir, "log"), command: r.Command, env: env,
	})
	if err != nil {
		return "", fmt.Errorf("starting the build of %s: %w", r.Service, err)
	}
	return token, nil
}

// chooseAttempt shares the latest attempt, unless it has failed and the key is new.
func (d *Deployer) chooseAttempt(r deploy.BuildRequest, name string) (string, error) {
	id := instanceID(r.Key)
	latest, err := readForeign(d.path("builds", r.Service, name, "latest"))
	if err != nil || !validID(latest) || latest == id {
		return id, err
	}
	o, err := d.settle(deploy.Token("build/"+r.Service+"/"+name+"/"+latest), d.path("builds", r.Service, name, latest))
	if err != nil {
		return "", err
	}
	if o.State != deploy.BuildFailed {
		return latest, nil
	}
	return id, nil
}

// newAttempt puts an attempt on disk with its copy of the checkout, whole or not
// at all, unless it is there.
func (d *Deployer) newAttempt(r deploy.BuildRequest, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	fresh, err := os.MkdirTemp(filepath.Dir(dir), ".new-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(fresh) }() // does nothing once it is renamed
	run := filepath.Join(fresh, "run")
	err = errors.Join(os.Chmod(fresh, 0o755), os.Mkdir(run, 0o700), d.give(run), copyTree(r.Source, filepath.Join(fresh, "tree"), writable, d.give),
		writeJSON(filepath.Join(fresh, "attempt.json"), attempt{
			Key: r.Key, Service: r.Service, Commit: r.Commit, Command: r.Command, Output: r.Output, Within: r.Within, CreatedAt: d.cfg.Now().UTC(),
		}))
	if err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// ObserveBuild implements [deploy.Builder].
func (d *Deployer) ObserveBuild(ctx context.Context, t deploy.Token) (deploy.BuildObservation, error) {
	if err := ctx.Err(); err != nil {
		return deploy.BuildObservation{}, err
	}
	parts := strings.Split(string(t), "/")
	if len(parts) != 4 || parts[0] != "build" || deploy.ValidateNames(parts[1], parts[2][:min(1, len(parts[2]))]) != nil ||
		strings.Trim(parts[2], "0123456789abcdef-") != "" || !validID(parts[3]) {
		return deploy.BuildObservation{}, nightporter.E(nightporter.NotFound, "no build is called %q", t)
	}
	defer d.door("build " + parts[1])()
	dir := d.path("builds", parts[1], parts[2], parts[3])
	o, err := d.settle(t, dir)
	if err != nil {
		return deploy.BuildObservation{}, err
	}
	lines, err := lastLines(filepath.Join(dir, "log"), deploy.LogLines)
	if err != nil {
		lines = []string{fmt.Sprintf("nightporter: the output cannot be read: %v", err)}
	}
	return deploy.BuildObservation{
		State: o.State, Artifact: o.Artifact, Message: o.Message, Retryable: o.Retryable, Lines: lines,
		Evidence: nightporter.Evidence{ObservedAt: o.At, Source: "build of " + parts[1] + " in " + dir},
	}, nil
}

// settle looks at an attempt and, when its command has ended, turns what it left
// into an artifact and writes the outcome down.
func (d *Deployer) settle(t deploy.Token, dir string) (outcome, error) {
	var o outcome
	if err := readJSON(filepath.Join(dir, "outcome.json"), &o); err == nil || !notExist(err) {
		return o, err
	}
	var a attempt
	if err := readJSON(filepath.Join(dir, "attempt.json"), &a); err != nil {
		if notExist(err) {
			return o, nightporter.E(nightporter.NotFound, "no build is called %q", t)
		}
		return o, err
	}
	o, err := d.ending(t, a, dir)
	if err != nil || o.State == deploy.Building {
		return o, err
	}
	if o.State == deploy.Built {
		if o, err = d.collect(a, dir, o); err != nil {
			return o, fmt.Errorf("collecting the build of %s: %w", a.Service, err)
		}
	}
	if err := writeJSON(filepath.Join(dir, "outcome.json"), o); err != nil {
		return o, fmt.Errorf("writing the outcome of the build of %s: %w", a.Service, err)
	}
	return o, os.RemoveAll(filepath.Join(dir, "tree"))
}

// ending says how the command of an attempt ended, or that it has not.
func (d *Deployer) ending(t deploy.Token, a attempt, dir string) (outcome, error) {
	now := d.cfg.Now().UTC()
	failed := func(message string) outcome {
		return outcome{State: deploy.BuildFailed, Message: message, At: now}
	}
	if len(a.Command) == 0 {
		return outcome{State: deploy.Built, At: now}, nil
	}
	run := filepath.Join(dir, "run")
	c, claimed, err := readClaim(run)
	if err != nil {
		return outcome{}, err
	}
	l, err := d.look(c)
	if err != nil {
		return outcome{}, err
	}
	late := now.Sub(a.CreatedAt) >= a.Within
	if (l.alive || !claimed) && !late {
		return outcome{State: deploy.Building, At: now}, nil
	}
	// What the command left running in the background ends with it: nothing may
	// write while the bytes are named.
	left, err := d.members(c, string(t))
	if err != nil {
		return outcome{}, err
	}
	for _, p := range left {
		if err := p.signal(syscall.SIGKILL); err != nil {
			return outcome{}, err
		}
	}
	if len(left) > 0 {
		return outcome{State: deploy.Building, At: now}, nil // until a look shows that they are gone
	}
	said, err := readForeign(filepath.Join(run, "exit"))
	if err != nil {
		return outcome{}, err
	}
	code, err := strconv.Atoi(strings.TrimSuffix(said, "\n"))
	switch {
	case late && (err != nil || !strings.HasSuffix(said, "\n")):
		return failed(fmt.Sprintf("the build took longer than %s", a.Within)), nil
	case err != nil || !strings.HasSuffix(said, "\n"):
		o := failed("the build was killed")
		o.Retryable = true
		return o, nil
	case code == exitTemporary:
		o := failed(fmt.Sprintf("the build exited with status %d: a temporary failure", code))
		o.Retryable = true
		return o, nil
	case code != 0:
		return failed(fmt.Sprintf("the build exited with status %d", code)), nil
	}
	return outcome{State: deploy.Built, At: now}, nil
}

// collect copies what the command left to the artifacts, under the name of its
// content. The copy is ours from its first byte, so that nothing the command
// left behind can change it.
func (d *Deployer) collect(a attempt, dir string, o outcome) (outcome, error) {
	failed := func(format string, args ...any) (outcome, error) {
		return outcome{State: deploy.BuildFailed, Message: fmt.Sprintf(format, args...), At: o.At}, nil
	}
	from := filepath.Join(dir, "tree", a.Output)
	// The command may have made its output a link to anywhere.
	if real, err := filepath.EvalSymlinks(from); err != nil || real != from {
		return failed("the build left no folder %s", a.Output)
	}
	fresh, err := os.MkdirTemp(d.path("artifacts"), ".new-")
	if err != nil {
		return o, err
	}
	defer func() { _ = os.RemoveAll(fresh) }() // does nothing once it is renamed
	err = copyTree(from, filepath.Join(fresh, "content"), readOnly, nil)
	var name deploy.Artifact
	if err == nil {
		name, err = hashTree(filepath.Join(fresh, "content"))
	}
	if nightporter.CodeOf(err) == nightporter.Invalid {
		return failed("the build's output cannot be deployed: %s", nightporter.MessageOf(err))
	}
	if err != nil {
		return o, err
	}
	to, err := d.artifactDir(name)
	if err != nil {
		return o, err
	}
	if d.checkArtifact(name) != nil { // not there, or spoilt
		if err := errors.Join(os.RemoveAll(to), os.Rename(filepath.Join(fresh, "content"), to)); err != nil {
			return o, err
		}
	}
	o.Artifact = name
	return o, nil
}
