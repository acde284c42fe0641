package security_test

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/security"
)

// staticcheck writes SARIF of its own accord: it is the judge that we read what
// tools write, not what we think they do.
const report = `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"osv","rules":[
	{"id":"CVE-1","shortDescription":{"text":"a bad library"},"properties":{"security-severity":"9.8"}},{"id":"CVE-2","defaultConfiguration":{"level":"note"}}]}},
	"results":[%s]}]}`

func result(rule, file string, line int) string {
	return fmt.Sprintf(`{"ruleId":%q,"message":{"text":"%s is old\nand more"},"locations":[{"physicalLocation":{"artifactLocation":{"uri":%q},"region":{"startLine":%d}}}]}`, rule, rule, file, line)
}

func TestSARIF(t *testing.T) {
	t.Parallel()
	h := newHouse(t, storetest.SQLite(t, tables))
	send := func(results ...string) *security.Report {
		t.Helper()
		r, err := h.security.Receive(as("ci"), "ledger", []byte(fmt.Sprintf(report, strings.Join(results, ","))))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	h.want("ledger", "I6", security.Unknown, "no source of advisories")
	if r := send(result("CVE-1", "go.mod", 3), result("CVE-2", "go.mod", 9)); r.New != 2 || !slices.Equal(r.Tools, []string{"osv"}) {
		t.Errorf("got %+v", r)
	}
	h.want("ledger", "I6", security.Pass, "osv looked and found 2 things") // each has its time
	h.now = monday.Add(2 * day)
	h.want("ledger", "I6", security.Fail, "CVE-1 is old") // critical: one day
	if r := send(result("CVE-2", "go.mod", 12)); r.Known != 1 || r.Fixed != 1 {
		t.Errorf("got %+v, want the moved line known and the other one fixed", r)
	}
	h.want("ledger", "I6", security.Pass, "found 1 things")
	for what, body := range map[string]string{
		"no JSON": "{", "no SARIF": `{"version":"1"}`, "no tool": `{"version":"2.1.0","runs":[{}]}`,
		"a tool that failed": `{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"osv"}},"invocations":[{"executionSuccessful":false}]}]}`,
	} {
		if _, err := h.security.Receive(as("ci"), "ledger", []byte(body)); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want invalid", what, err)
		}
	}
	if _, err := h.security.Receive(as("ci"), "nothing", []byte(`{}`)); nightporter.CodeOf(err) != nightporter.NotFound {
		t.Errorf("got %v, want not_found", err)
	}
}

func TestSARIFOfARealTool(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("go", "tool", "-modfile=../tools/go.mod", "staticcheck", "-f", "sarif", "./testdata/flawed")
	out, err := cmd.Output() // it exits with 1 when it found something
	if !json.Valid(out) {
		t.Fatalf("staticcheck: %v\n%s", err, out)
	}
	list, tools, err := security.ReadSARIF("ledger", out)
	if err != nil || len(tools) != 1 {
		t.Fatalf("got %v, %v", tools, err)
	}
	if !slices.ContainsFunc(list, func(f security.Finding) bool {
		return f.Rule == "SA4006" || strings.HasPrefix(f.Rule, "SA") && strings.Contains(f.Evidence, "flawed.go line")
	}) {
		t.Errorf("got %+v from\n%s", list, out)
	}
}

func FuzzReadSARIF(f *testing.F) {
	f.Add([]byte(fmt.Sprintf(report, result("CVE-1", "go.mod", 3))))
	f.Add([]byte(`{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"x"}},"results":[{"ruleIndex":-1}]}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		list, _, err := security.ReadSARIF("ledger", body)
		for _, one := range list {
			if err == nil && (one.Key == "" || one.Rule == "" || one.Title == "" || one.Severity.Rank() == 0) {
				t.Errorf("a finding that could not be kept: %+v", one)
			}
		}
	})
}
