package process

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// claimScript is what a child runs before it becomes the program. $1 is its run
// folder, the rest is the command.
//
// It claims the key: with set -C the shell opens the file with O_EXCL, so one
// child of all that were ever made for the key gets past that line. The claim
// names the process (field 22 of proc(5) stat is its start time; after the last
// ")" that is the 20th word) and the boot. Descriptor 3 closes when the outcome
// is on disk, which is what the parent waits for. Only builtins are used, and
// only variables whose names a request cannot set.
const claimScript = `umask 022; set -fC
read -r NIGHTPORTER_BOOT </proc/sys/kernel/random/boot_id
read -r NIGHTPORTER_STAT </proc/$$/stat
nightporter_claim() { printf '%s %s %s\n' "$$" "${20}" "$NIGHTPORTER_BOOT"; }
nightporter_claim ${NIGHTPORTER_STAT##*) } 2>/dev/null >"$1/claim" || exit 111
set +fC; unset NIGHTPORTER_BOOT NIGHTPORTER_STAT PWD OLDPWD
`

// stayScript becomes the program: same process id, same start time.
const stayScript = claimScript + `shift; exec 3>&-; exec "$@"`

// endScript stays, to write down how the build ended.
const endScript = claimScript + `NIGHTPORTER_RUN=$1; shift; exec 3>&-; "$@"; printf '%s\n' "$?" >"$NIGHTPORTER_RUN/exit"`

// claimWait bounds how long a child may take to claim its key.
const claimWait = 10 * time.Second

// claim names the process that won a key. The zero claim is nobody's: the key
// was ended before anything started.
type claim struct {
	PID   int    `json:"pid"`
	Start uint64 `json:"start"` // clock ticks from boot
	Boot  string `json:"boot"`
}

// readClaim returns who won the key of a run folder, and false while nobody has.
// A claim that is being written right now counts as nobody's yet.
func readClaim(run string) (claim, bool, error) {
	b, err := readForeign(filepath.Join(run, "claim"), 256)
	if err != nil {
		return claim{}, false, fmt.Errorf("read a claim: %w", err)
	}
	c, ok := parseClaim(string(b))
	return c, ok, nil
}

func parseClaim(s string) (claim, bool) {
	line, complete := strings.CutSuffix(s, "\n")
	words := strings.Split(line, " ")
	if !complete || len(words) != 3 {
		return claim{}, false
	}
	pid, err := strconv.Atoi(words[0])
	if err != nil || pid < 0 || pid == 1 {
		return claim{}, false
	}
	start, err := strconv.ParseUint(words[1], 10, 64)
	if err != nil {
		return claim{}, false
	}
	return claim{PID: pid, Start: start, Boot: words[2]}, true
}

// forbidClaim takes the key of a run folder for nobody, so that a child which a
// killed predecessor left on its way can never start. It reports false when a
// child got there first. A claim that has been half written for long is one whose
// writer died: it never became the program.
func forbidClaim(run string) (bool, error) {
	path := filepath.Join(run, "claim")
	whole := filepath.Join(run, ".nobody")
	if err := os.WriteFile(whole, []byte("0 0 -\n"), 0o644); err != nil {
		return false, fmt.Errorf("close a key: %w", err)
	}
	defer func() { _ = os.Remove(whole) }()
	err := os.Link(whole, path)
	if err == nil {
		return true, nil
	}
	if !os.IsExist(err) {
		return false, fmt.Errorf("close a key: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return false, fmt.Errorf("close a key: %w", err)
	}
	_, claimed, err := readClaim(run)
	return err == nil && !claimed && time.Since(info.ModTime()) > claimWait, err
}

// spawn is one process to make.
type spawn struct {
	script  string
	run     string // folder of the claim
	dir     string // working directory
	log     string
	command []string
	env     map[string]string
}

// spawn makes a child and waits until it has claimed its key, or has ended
// because another child has it.
func (p *Provider) spawn(ctx context.Context, s spawn) (claim, error) {
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return claim{}, fmt.Errorf("open the output: %w", err)
	}
	defer func() { _ = log.Close() }() // the child has its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		return claim{}, err
	}
	defer func() { _ = null.Close() }()
	settled, claiming, err := os.Pipe()
	if err != nil {
		return claim{}, fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = settled.Close() }()

	attr := &os.ProcAttr{
		Dir: s.dir, Env: environ(s.env), Files: []*os.File{null, log, log, claiming},
		Sys: &syscall.SysProcAttr{Setsid: true},
	}
	if p.user != nil {
		attr.Sys.Credential = &p.user.credential
	}
	argv := append([]string{"sh", "-c", s.script, "nightporter", s.run}, s.command...)
	child, err := os.StartProcess(p.cfg.Shell, argv, attr)
	_ = claiming.Close() // the child's copy is the one that counts
	if err != nil {
		return claim{}, nightporter.Wrap(err, nightporter.Unavailable, "this machine could not start a process")
	}
	pid := child.Pid
	if err := child.Release(); err != nil {
		return claim{}, fmt.Errorf("let go of process %d: %w", pid, err)
	}
	deadline := time.Now().Add(claimWait)
	if t, ok := ctx.Deadline(); ok && t.Before(deadline) {
		deadline = t
	}
	if err := settled.SetReadDeadline(deadline); err != nil {
		return claim{}, fmt.Errorf("wait for a claim: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = settled.SetReadDeadline(time.Now()) })
	defer stop()
	if _, err := settled.Read(make([]byte, 1)); os.IsTimeout(err) {
		return claim{}, nightporter.Wrap(err, nightporter.Unavailable, "the process did not get ready to start in time")
	}
	c, won, err := s.winner(ctx, deadline)
	if err != nil {
		return claim{}, err
	}
	if !won || c.PID != pid {
		// It has just ended. The winner's end is collected later, by look:
		// its status is evidence.
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	if !won {
		return claim{}, nightporter.E(nightporter.Unavailable, "the process ended before it could start")
	}
	return c, nil
}

// winner reads who won the key, once a child is past the race for it. One that
// lost may be here before the winner has finished its line.
func (s spawn) winner(ctx context.Context, deadline time.Time) (claim, bool, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		c, won, err := readClaim(s.run)
		if won || err != nil {
			return c, won, err
		}
		if _, err := os.Lstat(filepath.Join(s.run, "claim")); err != nil || time.Now().After(deadline) {
			return claim{}, false, nil // nobody is writing one
		}
		select {
		case <-ctx.Done():
			return claim{}, false, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// environ lists the environment in a stable order.
func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
