package scan_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter/security/scan"
	"nightporter.dev/nightporter/test/corpus"
)

var (
	seed = flag.Uint64("seed", 0, "judge by the corpus of this seed alone; 0 means a few")
	show = flag.Bool("show", false, "print what was missed and what was wrongly found")
)

// quality is how well a detector did on a corpus. A finding is right when it holds
// the secret that was labelled, and no more than its ends.
type quality struct {
	databases, databasesFound int
	secrets, secretsFound     int
	right, wrong              int
	missed, false_            []string
}

func (q quality) recall() float64    { return float64(q.secretsFound) / float64(q.secrets) }
func (q quality) database() float64  { return float64(q.databasesFound) / float64(q.databases) }
func (q quality) precision() float64 { return float64(q.right) / float64(q.right+q.wrong) }

func judge(d *scan.Detector, samples []corpus.Sample) (q quality) {
	for _, s := range samples {
		found := false
		for _, h := range d.Scan(s.Path, s.Text) {
			got := string(h.Secret)
			if s.Secret != "" && strings.Contains(got, s.Secret) && len(got) <= len(s.Secret)+2 ||
				s.Secret != "" && strings.Contains(s.Secret, got) && len(got) > len(s.Secret)*9/10 {
				found = true
				q.right++
				continue
			}
			q.wrong++
			q.false_ = append(q.false_, fmt.Sprintf("%s by %s: %q", s.Path, h.Rule, got))
		}
		if s.Secret == "" {
			continue
		}
		q.secrets++
		if s.Database {
			q.databases++
		}
		switch {
		case found && s.Database:
			q.databasesFound++
			q.secretsFound++
		case found:
			q.secretsFound++
		default:
			q.missed = append(q.missed, fmt.Sprintf("%s: %q", s.Path, s.Secret))
		}
	}
	return q
}

func newDetector(t testing.TB) *scan.Detector {
	t.Helper()
	d, err := scan.New()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The judge is the corpus, which was written before the detector and shares
// nothing with it.
func TestQuality(t *testing.T) {
	t.Parallel()
	d := newDetector(t)
	seeds := []uint64{1, 2, 3, 4, 5, 6, 7, 8}
	if *seed != 0 {
		seeds = []uint64{*seed}
	}
	for _, n := range seeds {
		q := judge(d, corpus.Make(n, 10))
		t.Logf("seed %d: precision %.3f, recall %.3f, of databases %.3f", n, q.precision(), q.recall(), q.database())
		if q.database() < 0.95 || q.precision() < 0.9 || q.recall() < 0.95 {
			t.Errorf("seed %d: below the floor: precision %.3f, recall %.3f, recall of databases %.3f", n, q.precision(), q.recall(), q.database())
		}
		if *show {
			slices.Sort(q.missed)
			t.Log("missed:\n  " + strings.Join(q.missed, "\n  "))
			t.Log("wrong:\n  " + strings.Join(q.false_, "\n  "))
		}
	}
}

func BenchmarkQuality(b *testing.B) {
	d, n := newDetector(b), *seed
	if n == 0 {
		n = 1
	}
	samples := corpus.Make(n, 20)
	bytes := 0
	for _, s := range samples {
		bytes += len(s.Text)
	}
	b.SetBytes(int64(bytes))
	var q quality
	for b.Loop() {
		q = judge(d, samples)
	}
	b.ReportMetric(q.precision(), "precision")
	b.ReportMetric(q.recall(), "recall")
	b.ReportMetric(q.database(), "recall-databases")
}
