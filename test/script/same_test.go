package script_test

import "testing"

// A judge that never says no is none.
func TestAPageThatShowsSomethingElseIsNoticed(t *testing.T) {
	t.Parallel()
	const printed = "Service  prod\nledger  0.3.0  2 min\ngateway  0.1.0  now\n"
	for _, c := range []struct {
		page string
		same bool
	}{
		{"Service prod\nledger 0.3.0  3 d\ngateway 0.1.0  1 h", true},
		{"Service prod\n...\ngateway 0.1.0 now", true},
		{"...\ngateway 0.1.0 now", true},
		{"Service prod\n...", true},
		{"Service prod\n...\nledger 0.3.0 now", false},
		{"Service prod\nledger 0.3.1  3 d\ngateway 0.1.0  1 h", false},
		{"Service prod\nledger 0.3.0 now", false},
		{"...\nstatements 0.1.0 now", false},
		{"Other\n...", false},
	} {
		if got := same(printed, c.page); got != c.same {
			t.Errorf("same is %v for the page\n%s", got, c.page)
		}
	}
}

func TestAPageIsReadAsAScript(t *testing.T) {
	t.Parallel()
	p, err := readPage("page.md", []byte("Text.\n\n<!-- test: forge start\nforge repo ledger x -->\n```yaml a.yaml\nk: v\n```\n"+
		"<!-- not tested: it needs systemd -->\n```console\n$ systemctl\n```\n\n```console\n$ one\nout\n$ two\n```\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range p.acts {
		got = append(got, a.hidden+a.file+a.command)
	}
	want := []string{"forge start", "forge repo ledger x", "a.yaml", "one", "two"}
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("act %d is %q, want %q", i, got[i], want[i])
		}
	}
	if out := p.text(p.acts[3]); out != "out" {
		t.Errorf("the output of one is %q", out)
	}
	for _, broken := range []string{"```console\n$ x\n", "<!-- test: x\n", "<!-- not tested: -->\n"} {
		if _, err := readPage("page.md", []byte(broken)); err == nil {
			t.Errorf("%q was read", broken)
		}
	}
}
