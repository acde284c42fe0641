package scan

import (
	"crypto/sha256"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter/test/corpus"
)

//go:embed testdata/gitleaks-8.30.1.txt
var recorded string

// The judge is gitleaks itself, whose answers were recorded: its rules mean to our
// engine what they mean to its own.
func TestTheirRulesFindWhatTheyFindThere(t *testing.T) {
	t.Parallel()
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range d.rules {
		switch {
		case r.judge != nil: // ours
			r.judge = func(groups) (*Login, bool) { return nil, false }
		case r.rank == ofGuess: // without what we allow beyond it
			r.allow = r.allow[:len(r.allow)-1]
		}
	}
	var got, want []string
	for _, s := range corpus.Make(7, 4) {
		for _, h := range d.Scan(s.Path, s.Text) {
			got = append(got, fmt.Sprintf("%s %s %x", s.Path, h.Rule, sha256.Sum256([]byte(h.Secret))))
		}
	}
	for line := range strings.Lines(recorded) {
		if !strings.HasPrefix(line, "#") {
			want = append(want, strings.TrimSpace(line))
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if len(want) < 80 || !slices.Equal(got, want) {
		for _, line := range want {
			if !slices.Contains(got, line) {
				t.Errorf("gitleaks alone finds %s", line)
			}
		}
		for _, line := range got {
			if !slices.Contains(want, line) {
				t.Errorf("we alone find %s", line)
			}
		}
	}
}
