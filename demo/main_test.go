package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"sync"
	"testing"

	"nightporter.dev/nightporter/demo/sabotage"
)

// enabled says whether the long tests are wanted: `make test` sets it.
const enabled = "NIGHTPORTER_DEMO_TESTS"

// binary is the nightporter to use; without it, the tests build it.
const binary = "NIGHTPORTER_DEMO_BINARY"

func play(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var out bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(""), &out, &out)
	return code, out.String()
}

// nightporter returns the binary to test with.
func nightporter(t *testing.T) string {
	t.Helper()
	if os.Getenv(enabled) != "1" {
		t.Skipf("this takes minutes and the whole binary: set %s=1, as make test does", enabled)
	}
	if path := os.Getenv(binary); path != "" {
		return path
	}
	var out bytes.Buffer
	path, err := build(t.Context(), &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	return path
}

func TestTheStoryHolds(t *testing.T) {
	path := nightporter(t)
	t.Parallel()
	if code, out := play(t, "--story", "--binary", path); code != exitDone {
		t.Errorf("exit %d:\n%s", code, out)
	}
}

func TestTheStoryNoticesEverySabotage(t *testing.T) {
	path := nightporter(t)
	for _, s := range sabotage.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			code, out := play(t, "--sabotage", s.Name, "--binary", path)
			if code != exitFailed || !strings.Contains(out, "FAILED  "+s.Step+"\n") {
				t.Errorf("exit %d, want %d at %q:\n%s", code, exitFailed, s.Step, out)
			}
			if !strings.Contains(out, "No process and no file is left.") {
				t.Errorf("something is left:\n%s", out)
			}
		})
	}
}

func TestCtrlCEndsTheLiveDemoAndLeavesNothing(t *testing.T) {
	path := nightporter(t)
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &until{word: "Ctrl-C ends everything", then: interrupt}
	code := run(ctx, []string{"--no-open", "--binary", path}, strings.NewReader("\n+4h\nwhat\n"), out, out)
	if got := out.String(); code != exitDone || !strings.Contains(got, "/sign-in/code?code=") || !strings.Contains(got, "No process and no file is left.") {
		t.Errorf("exit %d:\n%s", code, got)
	}
}

func TestWithoutADatabaseTheDemoSaysSoAndGoesOn(t *testing.T) {
	path := nightporter(t)
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	out := &until{word: "Ctrl-C ends everything", then: interrupt}
	code := run(ctx, []string{"--no-open", "--no-database", "--binary", path}, strings.NewReader(""), out, out)
	if got := out.String(); code != exitDone || !strings.Contains(got, "NO POSTGRESQL (--no-database)") || !strings.Contains(got, "No process and no file is left.") {
		t.Errorf("exit %d:\n%s", code, got)
	}
}

// until collects what is written, and does something when a word has come.
type until struct {
	mu   sync.Mutex
	text bytes.Buffer
	word string
	then func()
}

func (u *until) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, err := u.text.Write(b)
	if strings.Contains(u.text.String(), u.word) {
		u.then()
	}
	return n, err
}

func (u *until) String() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.text.String()
}

func TestTheCommandLineSaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"--list-sabotages", exitDone, "tag-not-moved"},
		{"--help", exitDone, "-story"},
		{"--sabotage=rain", exitUsage, "no sabotage is called"},
		{"now", exitUsage, "not understood"},
		{"--now", exitUsage, "not defined"},
		{"--story --binary /nowhere", exitFailed, "/nowhere"},
	} {
		code, out := play(t, strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(out, c.says) {
			t.Errorf("%s: exit %d, want %d:\n%s", c.args, code, c.code, out)
		}
	}
}
