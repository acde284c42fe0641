package terraform

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// childScript is what a child runs. $1 is its run folder, the rest is the command.
// It claims its key by creating a file that must not exist (set -C is O_EXCL), so
// that of all children that were ever made for it one gets further, and it writes
// down how the command ended. The claim names process, start time (field 22 of
// proc(5) stat) and boot. An interrupt is the command's to answer.
const childScript = `umask 077; set -fC; trap : INT
read -r NIGHTPORTER_BOOT </proc/sys/kernel/random/boot_id
read -r NIGHTPORTER_STAT </proc/$$/stat
nightporter_claim() { printf '%s %s %s\n' "$$" "${20}" "$NIGHTPORTER_BOOT"; }
nightporter_claim ${NIGHTPORTER_STAT##*) } 2>/dev/null >"$1/claim" || exit 111
set +fC; unset NIGHTPORTER_BOOT NIGHTPORTER_STAT
NIGHTPORTER_RUN=$1; shift; exec 3>&-; "$@"; printf '%s\n' "$?" >"$NIGHTPORTER_RUN/exit"`

// claimWait bounds how long a child may take to claim its key.
const claimWait = 10 * time.Second

// claim names the process that won a key.
type claim struct {
	pid   int
	start string
	boot  string
}

func readClaim(run string) (c claim, ok bool, err error) {
	b, err := os.ReadFile(filepath.Join(run, "claim"))
	if notExist(err) {
		return c, false, nil
	}
	line, whole := strings.CutSuffix(string(b), "\n")
	words := strings.Split(line, " ")
	if err != nil || !whole || len(words) != 3 {
		return c, false, err
	}
	c.pid, err = strconv.Atoi(words[0])
	c.start, c.boot = words[1], words[2]
	return c, err == nil, err
}

// spawn makes a child in a session of its own and waits until it has claimed its
// key, or has ended because another one had it.
func (p *Provider) spawn(ctx context.Context, run, dir, log string, env, command []string) error {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the output: %w", err)
	}
	defer func() { _ = out.Close() }() // the child has its own
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	settled, claiming, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe: %w", err)
	}
	defer func() { _ = settled.Close() }()
	attr := &os.ProcAttr{Dir: dir, Env: env, Files: []*os.File{null, out, out, claiming}, Sys: &syscall.SysProcAttr{Setsid: true}}
	if p.user != nil {
		attr.Sys.Credential = &p.user.credential
	}
	child, err := os.StartProcess("/bin/sh", append([]string{"sh", "-c", childScript, "nightporter", run}, command...), attr)
	_ = claiming.Close() // the child's copy is the one that counts
	if err != nil {
		return nightporter.Wrap(err, nightporter.Unavailable, "this machine could not start a process")
	}
	if err := errors.Join(child.Release(), settled.SetReadDeadline(time.Now().Add(claimWait))); err != nil {
		return fmt.Errorf("wait for a claim: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = settled.SetReadDeadline(time.Now()) })
	defer stop()
	if _, err := settled.Read(make([]byte, 1)); os.IsTimeout(err) {
		return nightporter.Wrap(err, nightporter.Unavailable, "the process did not get ready to start in time")
	}
	return nil
}

// session lists the live processes of a claim's session: the shell, terraform, its
// plugins and what provisioners started.
func (p *Provider) session(c claim) []int {
	if c.pid == 0 || c.boot != p.bootID {
		return nil
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil {
			continue
		}
		// proc(5): the name in parentheses may hold anything; state, parent,
		// group and session follow it, and the start is the 20th.
		f := strings.Fields(string(b)[strings.LastIndexByte(string(b), ')')+1:])
		if len(f) < 20 || f[3] != strconv.Itoa(c.pid) || !p.owns(pid) {
			continue // a claim is written by other people's code: it names no process of anybody else
		}
		if f[0] == "Z" || f[0] == "X" {
			if pid == c.pid && f[1] == strconv.Itoa(os.Getpid()) {
				_, _ = syscall.Wait4(pid, nil, syscall.WNOHANG, nil) // our child: collect it
			}
			continue
		}
		if pid == c.pid && f[19] != c.start {
			return nil // the number is somebody else's by now
		}
		all = append(all, pid)
	}
	return all
}

// child is how a command is doing.
type child struct {
	running bool
	code    int // -1 when it was killed
}

// run starts a command of an operation, or looks at the one that was started.
func (p *Provider) run(ctx context.Context, o *operation, name, dir string, env, command []string) (child, error) {
	run := p.operationDir(o.Environment, o.id, name)
	if err := errors.Join(os.MkdirAll(run, 0o755), p.give(run)); err != nil {
		return child{}, fmt.Errorf("prepare to run %s: %w", command[0], err)
	}
	c, claimed, err := readClaim(run)
	if err != nil {
		return child{}, err
	}
	if !claimed {
		if _, err := os.Lstat(filepath.Join(run, "claim")); err == nil {
			return child{running: true}, nil // it is writing it
		}
		if err := p.spawn(ctx, run, dir, p.operationDir(o.Environment, o.id, "output"), env, command); err != nil {
			return child{}, err
		}
		return child{running: true}, nil
	}
	if len(p.session(c)) > 0 {
		return child{running: true}, nil
	}
	b, err := os.ReadFile(filepath.Join(run, "exit"))
	if err != nil && !notExist(err) {
		return child{}, err
	}
	out := child{code: -1}
	if text := strings.TrimSpace(string(b)); text != "" {
		if out.code, err = strconv.Atoi(text); err != nil {
			out.code = -1
		}
	}
	return out, nil
}

func (c child) end() string {
	if c.code < 0 {
		return "was killed"
	}
	return fmt.Sprintf("exited with status %d", c.code)
}

// owns says whether a process runs as the user that terraform runs as.
func (p *Provider) owns(pid int) bool {
	info, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stat.Uid == p.uid()
}
