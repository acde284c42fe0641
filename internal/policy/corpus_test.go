package policy

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

// compileTexts parses texts under the names p0, p1, … and joins them.
func compileTexts(t testing.TB, texts ...string) *ACL {
	t.Helper()
	return Compile(parseTexts(t, texts...), Identity{}, time.Unix(1_800_000_000, 0))
}

func parseTexts(t testing.TB, texts ...string) []*Policy {
	t.Helper()
	var policies []*Policy
	for i, text := range texts {
		p, err := Parse(fmt.Sprintf("p%d", i), text)
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		policies = append(policies, p)
	}
	return policies
}

// lines decodes a file of one JSON object a line.
func lines[T any](t *testing.T, r io.Reader, each func(T)) {
	t.Helper()
	s := bufio.NewScanner(r)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		var v T
		d := json.NewDecoder(strings.NewReader(s.Text()))
		d.UseNumber() // as a Vault server reads a body
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		each(v)
	}
	if err := s.Err(); err != nil {
		t.Fatal(err)
	}
}

type recordedDecision struct {
	Policies     []string
	Path         string
	Capabilities []string
}

func recordedDecisions(t *testing.T, each func(recordedDecision, *ACL)) {
	t.Helper()
	f, err := os.Open("testdata/decisions.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var of []string
	var acl *ACL
	lines(t, z, func(d recordedDecision) {
		if acl == nil || !slices.Equal(of, d.Policies) {
			of, acl = d.Policies, compileTexts(t, d.Policies...)
		}
		each(d, acl)
	})
}

func TestCapabilitiesAreThoseOfARecordedServer(t *testing.T) {
	t.Parallel()
	n, wrong := 0, 0
	recordedDecisions(t, func(d recordedDecision, acl *ACL) {
		n++
		if diff := cmp.Diff(d.Capabilities, acl.Capabilities(d.Path)); diff != "" {
			if wrong++; wrong <= 5 {
				t.Errorf("%s (-recorded +got)\n%s\n%s", d.Path, diff, strings.Join(d.Policies, "---\n"))
			}
		}
	})
	if n != 40_000 || wrong != 0 {
		t.Errorf("%d of %d decisions differ, want 0 of 40000", wrong, n)
	}
}

func TestParameterRulesAreThoseOfARecordedServer(t *testing.T) {
	t.Parallel()
	f, err := os.Open("testdata/parameters.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	type recorded struct {
		Policies []string
		Method   string
		Path     string
		Body     map[string]any
		Headers  map[string]string
		Exists   bool
		Status   int
	}
	n := 0
	lines(t, f, func(r recorded) {
		n++
		act := nightporter.Action{Name: "secret.write", Path: r.Path}
		switch {
		case r.Method == "GET":
			act.Capability = nightporter.Read
		case r.Method == "DELETE":
			act.Capability = nightporter.Delete
		case r.Exists:
			act.Capability = nightporter.Update
		default:
			act.Capability = nightporter.Create
		}
		req := Request{Data: r.Body}
		if ttl := r.Headers["X-Vault-Wrap-TTL"]; ttl != "" {
			req.WrapTTL, err = time.ParseDuration(ttl)
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, reversed := range []bool{false, true} {
			texts := slices.Clone(r.Policies)
			if reversed {
				slices.Reverse(texts)
			}
			d := compileTexts(t, texts...).Decide(act, req)
			if want := r.Status != 403; d.Allowed != want {
				t.Errorf("line %d, %s %s %v: allowed %v (%s), recorded status %d\n%s",
					n, r.Method, r.Path, r.Body, d.Allowed, d.Reason, r.Status, strings.Join(texts, "---\n"))
			}
		}
	})
	if n != 480 {
		t.Errorf("replayed %d cases, want 480", n)
	}
}
