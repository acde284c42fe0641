package process

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestParseStat(t *testing.T) {
	t.Parallel()
	for name, program := range map[string]string{
		"a plain name":              "ledger",
		"a name with spaces":        "tmux: server",
		"a name with parentheses":   "a) S 1 1 1 (b",
		"a name that ends like one": "x) ",
	} {
		s, err := parseStat(42, "42 ("+program+") S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 11 12")
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if s.state != 'S' || s.ppid != 7 || s.session != 42 || s.start != 987654 {
			t.Errorf("%s: got %+v", name, s)
		}
	}
	for _, bad := range []string{"", "42 (x", "42 (x) S 1 2", "42 (x) S a b c d e f g h i j k l m n o p q r s"} {
		if s, err := parseStat(42, bad); err == nil {
			t.Errorf("%q was read as %+v", bad, s)
		}
	}
}

func TestReadStatOfOurselves(t *testing.T) {
	t.Parallel()
	s, err := readStat(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if s.ppid != os.Getppid() || s.dead() || s.execing {
		t.Errorf("got %+v, want the parent %d, alive", s, os.Getppid())
	}
}

func TestParseClaim(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]claim{
		"42 987654 b0071d\n": {42, 987654, "b0071d"},
		"0 0 -\n":            {0, 0, "-"},
	} {
		if got, ok := parseClaim(text); !ok || got != want {
			t.Errorf("%q: got %+v, %t", text, got, ok)
		}
	}
	for _, bad := range []string{"", "\n", "42", "42 987654 b0071d", "42 987654", "-1 5 x\n", "1 5 x\n", "42 x y\n", "42 5 x\n43 6 y\n"} {
		if got, ok := parseClaim(bad); ok {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", tailBytes+10)
	for name, test := range map[string]struct {
		content string
		n       int
		want    []string
	}{
		"nothing":                {"", 3, nil},
		"fewer than asked":       {"a\nb\n", 3, []string{"a", "b"}},
		"more than asked":        {"a\nb\nc\nd\n", 2, []string{"c", "d"}},
		"no end of line":         {"a\nb", 1, []string{"b"}},
		"none asked":             {"a\n", 0, nil},
		"a line of empty":        {"a\n\nb\n", 2, []string{"", "b"}},
		"one line too long":      {long, 5, []string{long[:tailBytes]}},
		"half a line is no line": {long + "\nend\n", 5, []string{"end"}},
		"bytes that are no text": {"a\xff\n", 1, []string{"a\uFFFD"}},
	} {
		path := filepath.Join(t.TempDir(), "log")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := lastLines(path, test.n)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if got, err := lastLines(filepath.Join(t.TempDir(), "none"), 5); err != nil || got != nil {
		t.Errorf("a log that is not there: %q, %v", got, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add("42 (a) S 7 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 11 12")
	f.Fuzz(func(t *testing.T, s string) { _, _ = parseStat(42, s) })
}

func FuzzParseClaim(f *testing.F) {
	f.Add("42 987654 b0071d\n")
	f.Fuzz(func(t *testing.T, s string) {
		c, ok := parseClaim(s)
		if ok && (c.PID < 0 || c.PID == 1) {
			t.Errorf("%q claims process %d", s, c.PID)
		}
		if again, _ := parseClaim(fmt.Sprintf("%d %d %s\n", c.PID, c.Start, c.Boot)); ok && again != c {
			t.Errorf("%q reads as %+v and then as %+v", s, c, again)
		}
	})
}

func FuzzStated(f *testing.F) {
	f.Add("1.4.0", []byte(`{"version":"1.4.0","commit":"aaaaaaa"}`))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		s := stated(http.Header{"X-Version": {header}}, body)
		for _, said := range []string{s.version, s.commit} {
			if len(said) > 80 || !utf8.ValidString(said) || strings.ContainsFunc(said, func(c rune) bool { return c < ' ' || c > '~' }) {
				t.Errorf("%q got through", said)
			}
		}
	})
}
