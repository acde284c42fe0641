package dbtest

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// keeper starts a server and stays with it. Its standard input is a pipe that
// only the test binary holds, so the read returns when that is gone, even by
// kill -9. It ignores what a terminal sends, to be there for the cleaning.
const keeper = `
trap '' INT TERM HUP
folder=$1; signal=$2; shift 2
"$@" </dev/null >"$folder/log" 2>&1 &
server=$!
read -r _
kill -s "$signal" $server
wait $server
rm -rf "$folder"
`

// errBusyPort means that somebody took the port between choosing and using it.
var errBusyPort = errors.New("the port was taken")

// folder is a server's home: a temporary folder that belongs to the user that
// the server runs as.
type folder struct {
	path  string
	owner *syscall.Credential // nil: ourselves
}

// newFolder makes a folder for a server. Neither server runs as root, so root
// gives it to the first of users that exists.
func newFolder(name string, users ...string) (*folder, error) {
	f := &folder{}
	parent := os.TempDir()
	if os.Geteuid() == 0 {
		owner, err := firstUser(append(users, "nobody"))
		if err != nil {
			return nil, err
		}
		f.owner = owner
		parent = "/tmp" // TMPDIR may be root's own
	}
	path, err := os.MkdirTemp(parent, "nightporter-"+name+"-")
	if err != nil {
		return nil, err
	}
	f.path = path
	return f, f.give("")
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// write makes a file that only the server's user reads.
func (f *folder) write(name string, content []byte) error {
	if err := os.WriteFile(f.file(name), content, 0o600); err != nil {
		return err
	}
	return f.give(name)
}

func (f *folder) give(name string) error {
	if f.owner == nil {
		return nil
	}
	return os.Chown(f.file(name), int(f.owner.Uid), int(f.owner.Gid))
}

// run runs a command to its end as the server's user.
func (f *folder) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = f.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TMPDIR=" + f.path}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: f.owner}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(name), err, lastLines(string(out), 10))
	}
	return nil
}

// serve starts the server under its keeper and returns the leash: the server
// lives until that is closed. The signal ends this kind of server at once.
func (f *folder) serve(signal, name string, args ...string) (*os.File, error) {
	held, leash, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer held.Close()
	cmd := exec.Command("/bin/sh", append([]string{"-c", keeper, "keeper", f.path, signal, name}, args...)...)
	cmd.Dir = f.path
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C", "TMPDIR=" + f.path}
	cmd.Stdin = held
	// Its own process group: an interrupt of the test must not end the keeper.
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: f.owner, Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(err, leash.Close())
	}
	return leash, nil
}

// ready waits until try works. The log tells early when the port was lost.
func (f *folder) ready(try func() error, busy string) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return nil
		}
		log, _ := os.ReadFile(f.file("log"))
		if bytes.Contains(log, []byte(busy)) {
			return errBusyPort
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("no answer after %s: %w\n%s", patience, err, lastLines(string(log), 20))
		}
		time.Sleep(20 * time.Millisecond) // a server being started gives no other signal
	}
}

func firstUser(names []string) (*syscall.Credential, error) {
	for _, name := range names {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("none of the users %v exists, and a database server does not run as root", names)
}

// freePort returns a loopback port that nobody uses at this moment.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, errors.Join(err, l.Close())
}

// retryBusy runs start until it finds a port of its own.
func retryBusy(start func() (*Server, error)) (*Server, error) {
	var err error
	for range 5 {
		var s *Server
		if s, err = start(); !errors.Is(err, errBusyPort) {
			return s, err
		}
	}
	return nil, err
}
