package process

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// procStat is what proc(5) says about a process in /proc/PID/stat.
type procStat struct {
	pid     int
	state   byte   // field 3: Z is a process that has ended and was not waited for
	ppid    int    // field 4
	session int    // field 6
	start   uint64 // field 22: clock ticks from boot
	// execing is a process that is just becoming another program: it has memory
	// (field 23) and no environment yet (field 50, 0 also where we may not look).
	execing bool
}

func readStat(pid int) (procStat, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(pid, string(b))
}

// parseStat reads a stat line. The name of the program stands in parentheses and
// may hold anything, spaces and parentheses included: fields count from the last
// one.
func parseStat(pid int, s string) (procStat, error) {
	end := strings.LastIndexByte(s, ')')
	if end < 0 {
		return procStat{}, fmt.Errorf("reading the stat of process %d: no program name", pid)
	}
	f := strings.Fields(s[end+1:])
	if len(f) < 20 || len(f[0]) != 1 {
		return procStat{}, fmt.Errorf("reading the stat of process %d: %d fields", pid, len(f))
	}
	ppid, err1 := strconv.Atoi(f[1])
	session, err2 := strconv.Atoi(f[3])
	start, err3 := strconv.ParseUint(f[19], 10, 64)
	if err := errors.Join(err1, err2, err3); err != nil {
		return procStat{}, fmt.Errorf("reading the stat of process %d: %w", pid, err)
	}
	execing := len(f) > 47 && f[20] != "0" && f[47] == "0"
	return procStat{pid: pid, state: f[0][0], ppid: ppid, session: session, start: start, execing: execing}, nil
}

func (s procStat) dead() bool { return s.state == 'Z' || s.state == 'X' }

// reap waits for an ended child of ours, without blocking. It reports false when
// pid is no ended child of ours.
func reap(pid int) (syscall.WaitStatus, bool) {
	var ws syscall.WaitStatus
	got, err := syscall.Wait4(pid, &ws, syscall.WNOHANG, nil)
	return ws, err == nil && got == pid
}

// life is what a look at a claimed process shows.
type life struct {
	alive bool
	// exit is how it ended, when that is known: only its parent is told.
	exit  syscall.WaitStatus
	known bool
}

// look says whether the process of a claim is alive, and collects it when it has
// ended and is our child.
func (d *Deployer) look(c claim) (life, error) {
	if c.PID == 0 || c.Boot != d.bootID {
		return life{}, nil
	}
	s, err := readStat(c.PID)
	if notExist(err) || errors.Is(err, syscall.ESRCH) || err == nil && s.start != c.Start {
		return life{}, nil
	}
	if err != nil {
		return life{}, err
	}
	if !s.dead() {
		return life{alive: true}, nil
	}
	if s.ppid != os.Getpid() {
		return life{}, nil
	}
	ws, ok := reap(c.PID)
	return life{exit: ws, known: ok}, nil
}

// Process is a live process of ours, found by the marks in its environment.
type Process struct {
	PID         int
	Key         string // of the instance or build that it belongs to
	Service     string
	Environment string // "" for a build
	Start       uint64 // clock ticks from boot
}

// The marks by which processes are found, besides those a service may use.
const (
	markDir         = "NIGHTPORTER_DIR"
	markKey         = "NIGHTPORTER_INSTANCE"
	markService     = "NIGHTPORTER_SERVICE"
	markEnvironment = "NIGHTPORTER_ENVIRONMENT"
)

// Processes lists every live process that carries this deployer's marks, whether
// or not our records know it: children of services and orphans too. It reads
// /proc only, so that it can judge the records.
func (d *Deployer) Processes() ([]Process, error) {
	var all []Process
	err := eachProcess(func(s procStat) {
		if p, ok := d.marked(s); ok {
			all = append(all, p)
		}
	})
	return all, err
}

// eachProcess calls visit for every live process.
func eachProcess(visit func(procStat)) error {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("listing processes: %w", err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil && !s.dead() { // else it has ended meanwhile
			visit(s)
		}
	}
	return nil
}

// marked reads the marks of a process. Those of other users, of other deployers
// and of the unmarked are not ours.
func (d *Deployer) marked(s procStat) (Process, bool) {
	if !d.ownedByUs(s.pid) {
		return Process{}, false
	}
	b, err := readEnviron(s.pid)
	if err != nil || !bytes.Contains(b, []byte(markDir+"="+d.cfg.Dir+"\x00")) {
		return Process{}, false
	}
	p := Process{PID: s.pid, Start: s.start}
	for entry := range strings.SplitSeq(string(b), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		switch name {
		case markKey:
			p.Key = value
		case markService:
			p.Service = value
		case markEnvironment:
			p.Environment = value
		}
	}
	return p, p.Key != ""
}

// readEnviron reads the environment that a process was given. In the middle of an
// exec there is none for a moment: whoever looked then would miss the process.
func readEnviron(pid int) ([]byte, error) {
	for tries := 0; ; tries++ {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if err != nil || len(b) > 0 || tries == 20 {
			return b, err
		}
		if s, err := readStat(pid); err != nil || !s.execing {
			return b, err
		}
		<-time.After(time.Millisecond)
	}
}

// ownedByUs says whether a process runs as the user that our processes run as.
// A service may write into its claim what it likes: nothing of another user is
// ever touched because of it.
func (d *Deployer) ownedByUs(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), "\nUid:")
	line, _, _ := strings.Cut(rest, "\n")
	ids := strings.Fields(line) // real, effective, saved, file system
	return len(ids) == 4 && ids[0] == strconv.FormatUint(uint64(d.uid()), 10)
}

// members lists the live processes of a claim: those of its session, as long as
// its first process is there to prove that the session is ours, and those that
// carry the key's mark wherever they went.
func (d *Deployer) members(c claim, key string) ([]Process, error) {
	leader, err := readStat(c.PID)
	sessionIsOurs := err == nil && c.PID != 0 && c.Boot == d.bootID && leader.start == c.Start && leader.session == c.PID
	var all []Process
	err = eachProcess(func(s procStat) {
		if sessionIsOurs && s.session == c.PID && d.ownedByUs(s.pid) {
			all = append(all, Process{PID: s.pid, Start: s.start, Key: key})
		} else if p, ok := d.marked(s); ok && p.Key == key {
			all = append(all, p)
		}
	})
	return all, err
}

// signal sends sig to exactly this process: the handle is taken first and the
// start time compared after, so a reused process id is never hit (os.FindProcess
// holds a pidfd).
func (p Process) signal(sig syscall.Signal) error {
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return nil // it has ended
	}
	defer func() { _ = handle.Release() }()
	if s, err := readStat(p.PID); err != nil || s.start != p.Start {
		return nil
	}
	if err := handle.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("sending %s to process %d: %w", sig, p.PID, err)
	}
	return nil
}
