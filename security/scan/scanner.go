package scan

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// Config is what a [Scanner] needs.
type Config struct {
	// Command starts [Child], which gets its memory as a further argument:
	// this binary and [Command]. Required.
	Command []string
	// Credential is the user that the child runs as. nil means our own.
	Credential *syscall.Credential
	Memory     uint64        // bytes; 0 means 512 MiB
	Timeout    time.Duration // of one history; 0 means 10 min
	MaxBytes   int64         // of what git prints; 0 means 4 GiB
	MaxHits    int           // of one history; 0 means 10,000
}

// Scanner reads histories in a child process.
type Scanner struct {
	cfg   Config
	rules int
}

// NewScanner makes a scanner. It reads the rules once, to know how many there
// must be.
func NewScanner(cfg Config) (*Scanner, error) {
	if len(cfg.Command) == 0 {
		return nil, errors.New("scan: Command is required")
	}
	if cfg.Memory == 0 {
		cfg.Memory = 512 << 20
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 10 * time.Minute
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 4 << 30
	}
	if cfg.MaxHits == 0 {
		cfg.MaxHits = 10_000
	}
	return &Scanner{cfg: cfg, rules: gitleaksRules + ownCount}, nil
}

// Rules is how many rules a run has.
func (s *Scanner) Rules() int { return s.rules }

// Result is what a whole run saw.
type Result struct {
	Rules   int
	Commits int
	Bytes   int64
	Hits    int
}

// History writes a history as git prints it with [GitLog], and returns git's own
// failure: a history that was not written to its end is not clean.
type History func(ctx context.Context, w io.Writer) error

// Scan reads a history and calls found for every hit. It fails, with the code
// unavailable, when anything was not seen: git or the child failed, there was
// more text, time or memory than allowed, the child has not all rules, or it
// missed one of the secrets that were planted around the history. What was found
// until then is real; that there is nothing else is not known.
func (s *Scanner) Scan(ctx context.Context, history History, found func(Hit) error) (Result, error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	// What ends it first is what went wrong; the rest follows from that.
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	cmd := exec.CommandContext(ctx, s.cfg.Command[0], append(s.cfg.Command[1:len(s.cfg.Command):len(s.cfg.Command)], strconv.FormatUint(s.cfg.Memory, 10))...)
	// Nothing of ours: no addresses, no tokens, not even a home.
	cmd.Env = []string{"GOMAXPROCS=1", "GOTRACEBACK=none", "LC_ALL=C"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: s.cfg.Credential}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var stderr start
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return Result{}, failed(err, "the scanner could not be started")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return Result{}, failed(err, "the scanner could not be started")
	}
	if err := cmd.Start(); err != nil {
		return Result{}, failed(err, "the scanner could not be started")
	}
	planted := newCanaries()
	fed := make(chan struct{})
	go func() {
		// The child must not take the end of its input for the end of the
		// history: it ends before its input does.
		if err := s.feed(ctx, in, history, planted); err != nil {
			end(err)
		}
		in.Close()
		close(fed)
	}()
	r, err := s.read(out, planted, found)
	if err != nil {
		end(&childError{err})
	}
	<-fed
	err = cmd.Wait()
	var ofChild *childError
	switch cause := context.Cause(ctx); {
	case errors.As(cause, &ofChild) && errors.Is(cause, errNoEnd) && err != nil:
		return r, failed(fmt.Errorf("%w: %s", err, stderr.String()), "the scanner did not finish")
	case errors.As(cause, &ofChild), errors.Is(cause, context.DeadlineExceeded):
		return r, failed(cause, "the scanner did not finish")
	case cause != nil:
		return r, failed(cause, "the history could not be read to its end")
	case err != nil:
		return r, failed(fmt.Errorf("%w: %s", err, stderr.String()), "the scanner did not finish")
	case r.Rules != s.rules:
		return r, failed(nil, "the scanner has %d rules, not %d", r.Rules, s.rules)
	case len(planted.left) > 0:
		return r, failed(nil, "the scanner missed %d of the secrets that were planted for it", len(planted.left))
	}
	r.Commits -= planted.commits
	return r, nil
}

func failed(cause error, format string, args ...any) error {
	if cause == nil {
		return nightporter.E(nightporter.Unavailable, format, args...)
	}
	return nightporter.Wrap(cause, nightporter.Unavailable, format, args...)
}

// childError is what went wrong on the child's side.
type childError struct{ err error }

func (e *childError) Error() string { return e.err.Error() }
func (e *childError) Unwrap() error { return e.err }

// feed writes the history between two planted ones.
func (s *Scanner) feed(ctx context.Context, in io.Writer, history History, planted *canaries) error {
	w := &bounded{w: in, left: s.cfg.MaxBytes}
	_, err := io.WriteString(w, planted.before)
	if err == nil {
		err = history(ctx, w)
	}
	if err == nil {
		_, err = io.WriteString(w, planted.behind)
	}
	if w.gone {
		return &childError{errNoEnd} // git only noticed
	}
	return err
}

var errNoEnd = errors.New("it ended before its report did")

// read reads the child's report, and trusts none of it: a child that was taken
// over can lie about what it found, but not flood us.
func (s *Scanner) read(out io.Reader, planted *canaries, found func(Hit) error) (r Result, err error) {
	lines := bufio.NewScanner(out)
	lines.Buffer(make([]byte, 0, 64<<10), 8*(maxSecret+maxPath))
	for lines.Scan() {
		var line report
		dec := json.NewDecoder(bytes.NewReader(lines.Bytes()))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&line); err != nil {
			return r, errors.New("it wrote what is no report") // without the text: it may hold a secret
		}
		switch {
		case line.Done != nil:
			r.Rules, r.Commits, r.Bytes = line.Done.Rules, line.Done.Commits, line.Done.Bytes
			return r, nil
		case line.Hit == nil:
			return r, errors.New("it wrote what is no report")
		case planted.take(line.Hit.Secret):
			continue
		}
		if r.Hits++; r.Hits > s.cfg.MaxHits {
			return r, fmt.Errorf("it found more than %d secrets", s.cfg.MaxHits)
		}
		if err := found(line.Hit.hit()); err != nil {
			return r, err
		}
	}
	if err := lines.Err(); err != nil {
		return r, err
	}
	return r, errNoEnd
}

// canaries are secrets that a run must find: one of a published rule and one of
// our own, in front of the history and behind it. They are new in every run.
type canaries struct {
	before, behind string
	commits        int
	left           map[string]bool
}

func newCanaries() *canaries {
	c := &canaries{left: map[string]bool{}}
	c.before, c.behind = c.plant(), c.plant()
	return c
}

func (c *canaries) plant() string {
	password, token := rand.Text(), "ghp_"+(rand.Text() + rand.Text())[:36]
	c.left[password], c.left[token] = true, true
	c.commits++
	var id [20]byte
	_, _ = rand.Read(id[:]) // never fails
	return fmt.Sprintf("\x00%s\n\ndiff --git a/canary b/canary\n--- /dev/null\n+++ b/canary\n@@ -0,0 +1,2 @@\n"+
		"+postgres://canary:%s@canary.invalid/canary\n+%s\n", hex.EncodeToString(id[:]), password, token)
}

func (c *canaries) take(secret string) bool {
	planted := c.left[secret]
	delete(c.left, secret)
	return planted
}

// bounded stops a history that is larger than allowed.
type bounded struct {
	w    io.Writer
	left int64
	gone bool // nobody reads any more
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, errors.New("there is more of it than may be read")
	}
	n, err := b.w.Write(p)
	b.gone = b.gone || err != nil
	return n, err
}

// start keeps the beginning of what a process says: a Go program that dies names
// its reason first.
type start struct{ b []byte }

func (s *start) Write(p []byte) (int, error) {
	s.b = append(s.b, p[:min(len(p), 300-len(s.b))]...)
	return len(p), nil
}

func (s *start) String() string { return strings.TrimSpace(string(s.b)) }
