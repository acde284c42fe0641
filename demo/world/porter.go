package world

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Porter is the real binary, used as its users do.
type Porter struct {
	Binary   string
	Dir      string // of its configuration
	ClockURL string

	// What init said.
	Config    string
	RootToken string

	env     []string
	address string // where it listens, since the first start

	mu    sync.Mutex
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	died  error         // how, once it has
}

// startWithin bounds a start. The budget is half a second; this is for busy
// machines.
const startWithin = 20 * time.Second

// Command runs the binary to its end, for whoever has the token, and returns what
// it wrote to stdout. The error is an [*exec.ExitError] with what it wrote to
// stderr.
func (p *Porter) Command(ctx context.Context, token string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.Binary, args...)
	cmd.Env = slices.Clone(p.env)
	if p.address != "" {
		cmd.Env = append(cmd.Env, "NIGHTPORTER_ADDR="+p.URL(), "NIGHTPORTER_TOKEN="+token)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return out, fmt.Errorf("nightporter %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// Init runs nightporter init.
func (p *Porter) Init(ctx context.Context) error {
	out, err := p.Command(ctx, "", "init", p.Dir, "--json")
	if err != nil {
		return err
	}
	var made struct {
		Config    string `json:"config"`
		RootToken string `json:"root_token"`
	}
	if err := json.Unmarshal(out, &made); err != nil || made.Config == "" || made.RootToken == "" {
		return fmt.Errorf("nightporter init answered %q: %w", out, err)
	}
	p.Config, p.RootToken = made.Config, made.RootToken
	return nil
}

// Start runs nightporter server until Stop or Kill, and returns when it is ready.
// After the first time it listens where it did before.
func (p *Porter) Start(ctx context.Context) error {
	file := filepath.Join(p.Dir, "address")
	listen := p.address
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
		return err
	}
	log, err := os.OpenFile(p.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // the child has its own
	cmd := exec.Command(p.Binary, "server", "--config", p.Config, "--listen", listen, "--address-file", file, "--demo-clock", p.ClockURL)
	cmd.Env, cmd.Stdout, cmd.Stderr = p.env, log, log
	// A group of its own: Ctrl-C is for us, who end things in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start nightporter: %w", err)
	}
	ended := make(chan struct{})
	p.mu.Lock()
	p.cmd, p.ended = cmd, ended
	p.mu.Unlock()
	go func() {
		err := cmd.Wait()
		p.mu.Lock()
		p.died = err
		p.mu.Unlock()
		close(ended)
	}()
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for !p.ready(ctx, file) {
		select {
		case <-ended:
			return fmt.Errorf("nightporter server ended at once:\n%s", strings.Join(p.LastLines(20), "\n"))
		case <-ctx.Done():
			return fmt.Errorf("nightporter server was not ready in %v: %w\n%s", startWithin, ctx.Err(), strings.Join(p.LastLines(20), "\n"))
		case <-time.After(20 * time.Millisecond):
		}
	}
	return nil
}

func (p *Porter) ready(ctx context.Context, file string) bool {
	address, err := os.ReadFile(file)
	if err != nil {
		return false
	}
	p.address = strings.TrimSpace(string(address))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL()+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// URL is where it listens.
func (p *Porter) URL() string { return "http://" + p.address }

// Store is the file of its store.
func (p *Porter) Store() string { return filepath.Join(p.Dir, "data", "nightporter.db") }

// Stop asks it to end and waits. It is fine when it does not run.
func (p *Porter) Stop() error {
	err := p.end(syscall.SIGTERM)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return fmt.Errorf("nightporter server, asked to end: %w", err)
	}
	return err
}

// Kill is kill -9.
func (p *Porter) Kill() error {
	err := p.end(syscall.SIGKILL)
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return nil // as it should
	}
	return err
}

// stopWithin is how long it may take to end; its requests have 10 s.
const stopWithin = 15 * time.Second

func (p *Porter) end(signal syscall.Signal) error {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.cmd = nil
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-ended:
	case <-time.After(stopWithin):
		_ = cmd.Process.Kill()
		<-ended
		return fmt.Errorf("nightporter did not end within %v of %v", stopWithin, signal)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.died
}

func (p *Porter) logFile() string { return filepath.Join(p.Dir, "server.log") }

// LastLines are the last lines of its log that tell more than that a request was
// answered well.
func (p *Porter) LastLines(n int) []string {
	b, err := os.ReadFile(p.logFile())
	if err != nil {
		return []string{err.Error()}
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(b)), "\n"), func(line string) bool {
		return strings.Contains(line, " request ") && strings.Contains(line, " status=2")
	})
	return lines[max(0, len(lines)-n):]
}
