package scan

import (
	"errors"
	"strings"
	"testing"
)

// Whatever is fed, every piece knows the line and the origin of each of its lines,
// and is no longer than two bounds.
func FuzzPatch(f *testing.F) {
	f.Add("\x00abc\n\ndiff --git a/x b/x\n--- /dev/null\n+++ b/x\n@@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n")
	f.Add("\x00abc\n\ndiff --cc x\n--- a/x\n+++ b/x\n@@@ -1,2 -1,1 +1,3 @@@\n  one\n +two\n++three\n")
	f.Add("+++ \"b/\\303\\244\"\n@@ -1 +1 @@\n-a\n+b\n")
	f.Fuzz(func(t *testing.T, text string) {
		d := &Detector{words: newWords(nil)}
		_, err := readPatch(strings.NewReader(text), func(h *hunk) error {
			if n := strings.Count(h.text.String(), "\n"); n != len(h.lines) || n != len(h.added) || n == 0 {
				t.Errorf("%d lines, %d numbers, %d origins", n, len(h.lines), len(h.added))
			}
			if h.text.Len() > 2*maxHunk {
				t.Errorf("a piece of %d bytes", h.text.Len())
			}
			return d.scanHunk(h, func(Hit) error { return nil })
		})
		if err != nil && !errors.Is(err, errPatch) {
			t.Error(err)
		}
	})
}

// The judge is the plain way to ask.
func TestWords(t *testing.T) {
	t.Parallel()
	list := []string{"he", "she", "hers", "his", "@tcp(", "://", "usher", "xoxb-", "e"}
	w := newWords(list)
	for _, text := range []string{"", "ushers", "HiS SHE", "root@tcp(", "postgres:/", "postgres://", "XOXB", "xxoxb-", "ushe", "heeeers", "ü://"} {
		got := map[int]int{}
		w.find(text, func(n int) { got[n]++ })
		for n, word := range list {
			want := 0
			if strings.Contains(strings.ToLower(text), word) {
				want = 1
			}
			if got[n] != want {
				t.Errorf("%q in %q: got %d, want %d", word, text, got[n], want)
			}
		}
	}
}

// What gitleaks' file says is what runs: its count, its keywords, its own
// compiler's syntax.
func TestRules(t *testing.T) {
	t.Parallel()
	theirs, global, err := readGitleaks()
	if err != nil {
		t.Fatal(err)
	}
	if own := ownRules(); len(theirs) != 222 || len(own) != ownCount || len(global.regexes) == 0 || len(global.paths) == 0 {
		t.Errorf("%d of theirs, %d of ours", len(theirs), len(own))
	}
	if strings.Count(gitleaksTOML, "[[rules]]\n") != gitleaksRules {
		t.Error("the file has another number of rules")
	}
	names := map[string]bool{}
	for _, r := range append(ownRules(), theirs...) {
		if names[r.id] || r.id == "" {
			t.Errorf("%q is there twice", r.id)
		}
		names[r.id] = true
		if len(r.keywords) == 0 && r.paths == nil {
			t.Errorf("%s runs on every text", r.id)
		}
	}
}
