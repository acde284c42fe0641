package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"
)

// The gates hold on a small town of a seed that nobody looked at while the detector was made. The full thousand is
// `go run ./eval --seed N`.
func TestTheGatesHoldOnAnUnseenSeed(t *testing.T) {
	t.Parallel()
	if _, err := findBank("../../sandboxbank"); err != nil {
		t.Skip("LOUD: the sandbox bank is not beside this example, so the detector is not measured here")
	}
	var out, problems bytes.Buffer
	code := run(t.Context(), []string{"--seed", "20260622", "--tenants", "280", "--bank", "../../sandboxbank", "--json"}, &out, &problems)
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v %s", err, &problems)
	}
	if code != 0 || !r.Passed || r.Tenants != 280 || len(r.Coded.Lives) != 14 {
		for _, g := range r.Gates {
			if !g.Passed {
				t.Errorf("%s: %.4f, want %.3f", g.Name, g.Value, g.Want)
			}
		}
		t.Errorf("exit %d, %d tenants, %d lives", code, r.Tenants, len(r.Coded.Lives))
	}
}

func TestAGateThatFailsIsExitOne(t *testing.T) {
	t.Parallel()
	r := &report{}
	r.Coded.WorstRecall = .79
	list, passed := gates(r)
	if passed || len(list) != 20 {
		t.Errorf("%d gates, passed %v", len(list), passed)
	}
	var b bytes.Buffer
	print(&b, &report{Gates: list})
	if !strings.Contains(b.String(), "FAIL  lowest recall of any life, codes on") {
		t.Errorf("%s", &b)
	}
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/dump"
	for name, text := range map[string]string{"not JSON": "{", "a label without a row": `{"labels":[{"account_id":"a","index":3,"kind":"rent"}]}`} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if code := run(t.Context(), []string{"--dump", file}, io.Discard, io.Discard); code != 1 {
			t.Errorf("%s: exit %d", name, code)
		}
	}
	if code := run(t.Context(), []string{"--dump", "/no/such/file"}, io.Discard, io.Discard); code != 1 {
		t.Errorf("no file: exit %d", code)
	}
	if code := run(t.Context(), []string{"--sed", "4"}, io.Discard, io.Discard); code != 2 {
		t.Errorf("a wrong flag: exit %d", code)
	}
}
