package judge

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Process is a live process of a folder: its program lies in there, or its
// environment says that it was deployed or built from there. A shell or an editor
// that somebody opened in the folder is theirs.
type Process struct {
	PID     int
	Exe     string // "" where it cannot be told
	Command string
	// Service, Environment, Instance and Port are set for a deployed service,
	// from its own environment; Component and Environment for a part of an
	// environment.
	Service, Environment, Instance string
	Component                      string
	Port                           int
}

func (p Process) String() string {
	name := p.Command
	if len(name) > 100 {
		name = name[:100] + "…"
	}
	return fmt.Sprintf("pid %d (%s)", p.PID, name)
}

// Proc looks for the processes of one folder.
type Proc struct{ Dir string }

// All are the live processes of the folder, except this one.
func (w Proc) All() ([]Process, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("look at processes: %w", err)
	}
	var list []Process
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		p, ok, err := w.look(pid)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// In are the processes of an environment: services, and what it is made of.
func (w Proc) In(environment string) ([]Process, error) {
	all, err := w.All()
	return slices.DeleteFunc(all, func(p Process) bool { return p.Environment != environment }), err
}

// Services are the processes that run a service in an environment.
func (w Proc) Services() ([]Process, error) {
	all, err := w.All()
	return slices.DeleteFunc(all, func(p Process) bool { return p.Environment == "" || p.Port == 0 || !w.inside(p.Exe) }), err
}

func (w Proc) look(pid int) (Process, bool, error) {
	p := Process{PID: pid}
	dir := fmt.Sprintf("/proc/%d", pid)
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false, gone(err)
	}
	if i := bytes.LastIndexByte(stat, ')'); i < 0 || i+2 >= len(stat) || stat[i+2] == 'Z' || stat[i+2] == 'X' {
		return p, false, nil // it has ended and nobody asked how
	}
	environ, err := os.ReadFile(filepath.Join(dir, "environ"))
	if gone(err) != nil {
		return p, false, err
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if gone(err) != nil {
		return p, false, err
	}
	p.Exe, _ = os.Readlink(filepath.Join(dir, "exe")) // not ours to see, or just gone
	p.Command = strings.TrimSpace(string(bytes.ReplaceAll(cmdline, []byte{0}, []byte{' '})))
	ours := w.inside(p.Exe)
	for line := range bytes.SplitSeq(environ, []byte{0}) {
		name, value, _ := strings.Cut(string(line), "=")
		switch name {
		case "NIGHTPORTER_COMPONENT":
			p.Component = value
		case "NIGHTPORTER_DIR", "NIGHTPORTER_CLOUD_DIR":
			ours = ours || w.inside(value)
		case "NIGHTPORTER_SERVICE":
			p.Service = value
		case "NIGHTPORTER_ENVIRONMENT":
			p.Environment = value
		case "NIGHTPORTER_INSTANCE":
			p.Instance = value
		case "PORT":
			p.Port, _ = strconv.Atoi(value) // 0 is no port
		}
	}
	return p, ours, nil
}

func (w Proc) inside(path string) bool { return strings.HasPrefix(path, w.Dir+"/") }

// gone leaves out what only says that the process has ended meanwhile, or is
// another user's.
func gone(err error) error {
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}
