package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

var _ deploy.Jobs = (*Deployer)(nil)

// job is job.json: a command to run to its end, on disk before it runs.
type job struct {
	Key         string        `json:"key"`
	Service     string        `json:"service"`
	Environment string        `json:"environment"`
	Command     []string      `json:"command"`
	Within      time.Duration `json:"within"`
	CreatedAt   time.Time     `json:"created_at"`
}

// jobEnd is end.json: how a job ended. It is written once.
type jobEnd struct {
	Exit    int       `json:"exit"`
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at"`
}

func (d *Deployer) jobDir(key string) string { return d.path("jobs", instanceID(key)) }

// Run implements [deploy.Jobs].
func (d *Deployer) Run(ctx context.Context, j deploy.Job) error {
	if err := validJob(j); err != nil {
		return err
	}
	if j.Key == "" || len(j.Key) > 250 {
		return nightporter.E(nightporter.Invalid, "%q cannot be the key of a command", j.Key)
	}
	defer d.door("job " + j.Service + "/" + j.Environment)()
	dir := d.jobDir(j.Key)
	if err := d.newJob(j, dir); err != nil {
		return fmt.Errorf("preparing a command of %s: %w", j.Service, err)
	}
	run := filepath.Join(dir, "run")
	if _, claimed, err := readClaim(run); err != nil || claimed {
		return err
	}
	where, err := d.jobFolder(j, run)
	if err != nil {
		return err
	}
	env, err := d.jobEnv(ctx, j, run)
	if err != nil {
		return err
	}
	_, err = d.spawn(ctx, spawn{
		script: buildScript, run: run, dir: where, log: filepath.Join(dir, "log"), command: j.Command, env: env,
	})
	if err != nil {
		return fmt.Errorf("starting a command of %s: %w", j.Service, err)
	}
	return nil
}

func validJob(j deploy.Job) error {
	if err := deploy.ValidateNames(j.Service, j.Environment); err != nil {
		return err
	}
	return validCommand(j.Service, j.Command)
}

// newJob puts a job on disk, whole or not at all, unless it is there.
func (d *Deployer) newJob(j deploy.Job, dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if j.Artifact != "" {
		if err := d.checkArtifact(j.Artifact); err != nil {
			return err
		}
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
	within := j.Within
	if within == 0 {
		within = deploy.DefaultBuildWithin
	}
	err = errors.Join(os.Chmod(fresh, 0o755), os.Mkdir(run, 0o700), d.give(run), writeJSON(filepath.Join(fresh, "job.json"), job{
		Key: j.Key, Service: j.Service, Environment: j.Environment, Command: j.Command, Within: within, CreatedAt: d.cfg.Now().UTC(),
	}))
	if err != nil {
		return err
	}
	return os.Rename(fresh, dir)
}

// jobFolder is where a command runs.
func (d *Deployer) jobFolder(j deploy.Job, run string) (string, error) {
	if j.Artifact == "" {
		return run, nil
	}
	root, err := d.artifactDir(j.Artifact)
	if err != nil || j.Dir == "" {
		return root, err
	}
	if !filepath.IsLocal(j.Dir) {
		return "", nightporter.E(nightporter.Invalid, "the folder %q of %s is not inside its repository", j.Dir, j.Service)
	}
	where := filepath.Join(root, j.Dir)
	real, err := filepath.EvalSymlinks(where)
	if err != nil || real != where {
		return "", nightporter.E(nightporter.Invalid, "the repository of %s has no folder %s", j.Service, j.Dir)
	}
	return where, nil
}

// jobEnv is the whole environment of a command: nothing is inherited.
func (d *Deployer) jobEnv(ctx context.Context, j deploy.Job, run string) (map[string]string, error) {
	env := d.baseEnv(run)
	maps.Copy(env, j.Env)
	maps.Copy(env, map[string]string{
		markService: j.Service, markEnvironment: j.Environment, markKey: j.Key, markDir: d.cfg.Dir,
		deploy.ReportVariable: filepath.Join(run, "report"),
	})
	if j.Credentials == nil {
		return env, nil
	}
	token, err := j.Credentials.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("handing credentials to %s in %s: %w", j.Service, j.Environment, err)
	}
	file := filepath.Join(run, "token")
	if err := d.putToken(file, token); err != nil {
		return nil, fmt.Errorf("handing credentials to %s in %s: %w", j.Service, j.Environment, err)
	}
	env[deploy.AddressVariable], env[deploy.TokenFileVariable] = j.Credentials.Address, file
	return env, nil
}

// Look implements [deploy.Jobs].
func (d *Deployer) Look(ctx context.Context, key string) (deploy.JobState, error) {
	if err := ctx.Err(); err != nil {
		return deploy.JobState{}, err
	}
	dir := d.jobDir(key)
	var j job
	if err := readJSON(filepath.Join(dir, "job.json"), &j); err != nil {
		if notExist(err) {
			return deploy.JobState{}, nightporter.E(nightporter.NotFound, "no command was started for %q", key)
		}
		return deploy.JobState{}, err
	}
	defer d.door("job " + j.Service + "/" + j.Environment)()
	s := deploy.JobState{StartedAt: j.CreatedAt}
	end, err := d.jobEnding(j, dir)
	if err != nil {
		return s, err
	}
	if end != nil {
		s.Ended, s.Exit, s.Message, s.EndedAt = true, end.Exit, end.Message, end.At
	}
	if _, s.Started, err = readClaim(filepath.Join(dir, "run")); err != nil {
		return s, err
	}
	if s.Lines, err = lastLines(filepath.Join(dir, "log"), deploy.LogLines); err != nil {
		s.Lines = []string{fmt.Sprintf("nightporter: the output cannot be read: %v", err)}
	}
	s.Report, err = readReport(filepath.Join(dir, "run", "report"))
	return s, err
}

// jobEnding says how a job ended, or nil while it has not. One that took too long
// is killed with everything that it started.
func (d *Deployer) jobEnding(j job, dir string) (*jobEnd, error) {
	var end jobEnd
	if err := readJSON(filepath.Join(dir, "end.json"), &end); err == nil || !notExist(err) {
		return &end, err
	}
	run, now := filepath.Join(dir, "run"), d.cfg.Now().UTC()
	c, claimed, err := readClaim(run)
	if err != nil {
		return nil, err
	}
	l, err := d.look(c)
	if err != nil {
		return nil, err
	}
	said, err := readForeign(filepath.Join(run, "exit"))
	if err != nil {
		return nil, err
	}
	code, bad := strconv.Atoi(strings.TrimSuffix(said, "\n"))
	told := bad == nil && strings.HasSuffix(said, "\n")
	late := now.Sub(j.CreatedAt) >= j.Within
	switch {
	case told && !l.alive:
		end = jobEnd{Exit: code, Message: exitMessage(code)}
	case l.alive && !late, !claimed && !late:
		return nil, nil
	case late:
		if done, err := d.killJob(j, c, claimed, run); err != nil || !done {
			return nil, err
		}
		end = jobEnd{Exit: -1, Message: fmt.Sprintf("took longer than %s", j.Within)}
	default:
		end = jobEnd{Exit: -1, Message: "was killed"}
	}
	end.At = now
	return &end, writeJSON(filepath.Join(dir, "end.json"), end)
}

func exitMessage(code int) string {
	if code == 0 {
		return ""
	}
	if code > 128 && code < 160 { // sh(1): 128 and the number of the signal
		return "was ended by " + syscall.Signal(code-128).String()
	}
	return describeExit(syscall.WaitStatus(code << 8))
}

// killJob pushes the end of a job on.
func (d *Deployer) killJob(j job, c claim, claimed bool, run string) (done bool, err error) {
	if !claimed {
		return forbidClaim(run)
	}
	left, err := d.members(c, j.Key)
	if err != nil {
		return false, err
	}
	for _, p := range left {
		if err := p.signal(syscall.SIGKILL); err != nil {
			return false, err
		}
	}
	_, err = d.look(c) // collects it
	return len(left) == 0, err
}

// Kill implements [deploy.Jobs].
func (d *Deployer) Kill(ctx context.Context, key string) (deploy.Progress, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	dir := d.jobDir(key)
	var j job
	if err := readJSON(filepath.Join(dir, "job.json"), &j); err != nil {
		if notExist(err) {
			return deploy.Done, nil
		}
		return "", err
	}
	defer d.door("job " + j.Service + "/" + j.Environment)()
	if end, err := d.jobEnding(j, dir); err != nil || end != nil {
		return deploy.Done, err // it has ended by itself: what it left behind is its work
	}
	c, claimed, err := readClaim(filepath.Join(dir, "run"))
	if err != nil {
		return "", err
	}
	done, err := d.killJob(j, c, claimed, filepath.Join(dir, "run"))
	if err != nil || !done {
		return deploy.Pending, err
	}
	return deploy.Done, writeJSON(filepath.Join(dir, "end.json"), jobEnd{Exit: -1, Message: "was ended", At: d.cfg.Now().UTC()})
}

// Ask implements [deploy.Jobs]. The command is a child of ours in a session of its
// own: it is not found again after a restart, and ends by itself soon.
func (d *Deployer) Ask(ctx context.Context, j deploy.Job) (deploy.JobState, error) {
	if err := validJob(j); err != nil {
		return deploy.JobState{}, err
	}
	if err := os.MkdirAll(d.path("asked"), 0o711); err != nil {
		return deploy.JobState{}, err
	}
	run, err := os.MkdirTemp(d.path("asked"), "")
	if err != nil {
		return deploy.JobState{}, err
	}
	defer func() { _ = os.RemoveAll(run) }()
	if err := d.give(run); err != nil {
		return deploy.JobState{}, err
	}
	where, err := d.jobFolder(j, run)
	if err != nil {
		return deploy.JobState{}, err
	}
	j.Key = "ask/" + filepath.Base(run)
	env, err := d.jobEnv(ctx, j, run)
	if err != nil {
		return deploy.JobState{}, err
	}
	out := &tailWriter{max: tailBytes}
	cmd := exec.CommandContext(ctx, d.cfg.Shell, append([]string{"-c", `exec "$@"`, "nightporter"}, j.Command...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = where, environ(env), out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if d.user != nil {
		cmd.SysProcAttr.Credential = &d.user.credential
	}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second // what it left in the background may hold its output open
	s := deploy.JobState{StartedAt: d.cfg.Now().UTC()}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		s.Exit, s.Message = -1, "took too long"
	case err == nil, errors.Is(err, exec.ErrWaitDelay):
	case errors.As(err, &exit):
		ws, _ := exit.Sys().(syscall.WaitStatus)
		s.Exit, s.Message = exit.ExitCode(), describeExit(ws)
	default:
		return s, nightporter.Wrap(err, nightporter.Unavailable, "this machine could not start a process")
	}
	s.Started, s.Ended, s.EndedAt, s.Lines = true, true, d.cfg.Now().UTC(), out.lines(deploy.LogLines)
	s.Report, err = readReport(filepath.Join(run, "report"))
	return s, err
}

// maxReport bounds what a command may report.
const maxReport = 4 << 10

// readReport reads lines of name=value from a file that belongs to the command's
// user. What is not such a line is left out.
func readReport(path string) (map[string]string, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if notExist(err) || errors.Is(err, syscall.ELOOP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, maxReport))
	if err != nil {
		return nil, nil // it made something else than a file
	}
	out := map[string]string{}
	for line := range strings.Lines(string(b)) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && name != "" {
			out[name] = strings.ToValidUTF8(value, "\uFFFD")
		}
	}
	return out, nil
}

// tailWriter keeps the end of what is written to it.
type tailWriter struct {
	max int
	b   []byte
}

func (w *tailWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	if len(w.b) > 2*w.max {
		w.b = append([]byte(nil), w.b[len(w.b)-w.max:]...)
	}
	return len(p), nil
}

func (w *tailWriter) lines(n int) []string {
	text := strings.ToValidUTF8(string(bytes.TrimRight(w.b, "\n")), "\uFFFD")
	if text == "" {
		return nil
	}
	lines := strings.Split(text, "\n")
	return lines[max(0, len(lines)-n):]
}
