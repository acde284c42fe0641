package scan

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime/debug"
	"strconv"
	"strings"
)

// Command is the hidden word of our command line that runs [Child].
const Command = "scan-child"

// The child's lines, JSON. A line that is not the last reports a hit, the last
// that everything was read.
type report struct {
	Hit  *wireHit `json:"hit,omitempty"`
	Done *done    `json:"done,omitempty"`
}

// wireHit is a hit with its secret in clear, as it goes through the pipe to the
// parent and nowhere else.
type wireHit struct {
	Rule    string `json:"rule"`
	Commit  string `json:"commit"`
	Path    string `json:"path"`
	Line    int    `json:"line"`
	Secret  string `json:"secret"`
	Login   *Login `json:"login,omitempty"`
	Allowed bool   `json:"allowed,omitempty"`
}

func (w *wireHit) hit() Hit {
	if strings.Trim(w.Commit, "0123456789abcdef") != "" {
		w.Commit = ""
	}
	return Hit{Rule: w.Rule, Commit: w.Commit, Path: w.Path, Line: w.Line, Secret: Secret(w.Secret), Login: w.Login, Allowed: w.Allowed}
}

// done is what the child has seen.
type done struct {
	Rules   int   `json:"rules"`
	Commits int   `json:"commits"`
	Bytes   int64 `json:"bytes"`
}

// The bounds of what a child reports.
const (
	maxSecret = 16 << 10 // the rest of a longer one is cut off
	maxPath   = 4 << 10
)

// Child is the process that reads: a history as git prints it with [GitLog] on
// in, reports on out. args are its memory in bytes, which it takes as a limit
// before it reads anything. It has no other input: no environment, no files, no
// store.
func Child(args []string, in io.Reader, out io.Writer) error {
	if len(args) != 1 {
		return errors.New("how much memory may be used?")
	}
	memory, err := strconv.ParseUint(args[0], 10, 63)
	if err != nil {
		return errors.New("how much memory may be used?")
	}
	if memory > 0 {
		debug.SetMemoryLimit(int64(memory) / 2)
	}
	if err := confine(memory); err != nil {
		return err
	}
	d, err := New()
	if err != nil {
		return err
	}
	w := bufio.NewWriter(out)
	enc := json.NewEncoder(w)
	counted := &counter{r: in}
	commits, err := readPatch(counted, func(h *hunk) error {
		return d.scanHunk(h, func(hit Hit) error {
			return enc.Encode(report{Hit: &wireHit{
				Rule: hit.Rule, Commit: hit.Commit, Path: cut(hit.Path, maxPath), Line: hit.Line,
				Secret: cut(string(hit.Secret), maxSecret), Login: hit.Login, Allowed: hit.Allowed,
			}})
		})
	})
	if err != nil {
		return fmt.Errorf("read the history: %w", err)
	}
	if err := enc.Encode(report{Done: &done{Rules: d.Rules(), Commits: commits, Bytes: counted.n}}); err != nil {
		return err
	}
	return w.Flush()
}

// scanHunk reports the hits on lines that the commit brought.
func (d *Detector) scanHunk(h *hunk, each func(Hit) error) error {
	for _, hit := range d.Scan(h.path, h.text.String()) {
		n := hit.Line - 1
		if !h.added[n] {
			continue
		}
		hit.Commit, hit.Line = h.commit, h.lines[n]
		if err := each(hit); err != nil {
			return err
		}
	}
	return nil
}

func cut(s string, n int) string {
	if len(s) > n {
		return s[:n]
	}
	return s
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}
