package script_test

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// page is a Markdown file as a script.
type page struct {
	name  string
	lines []string
	acts  []act
}

// act is one thing that a page does. One of command, hidden and file is set.
type act struct {
	line    int    // where it stands, from 1
	command string // after "$ " in a console block
	first   int    // the lines of output that the page shows: lines[first:last]
	last    int
	hidden  string // a line of a comment that begins with "test:"
	file    string // the name after ```yaml: what follows is written there
}

// reads turns a page into acts.
//
//	<!-- test: forge merge ledger 1 -->    something that the page leaves to the reader
//	```console                             commands after "$ ", each with its output
//	```yaml nightporter.yaml               a file that the reader writes
//	<!-- not tested: needs systemd -->     before a console block: why nobody types it here
func readPage(name string, src []byte) (*page, error) {
	p := &page{name: name, lines: strings.Split(string(src), "\n")}
	skip := ""
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		switch {
		case strings.HasPrefix(line, "<!-- not tested:"):
			if skip = strings.TrimSpace(strings.TrimSuffix(strings.TrimPrefix(line, "<!-- not tested:"), "-->")); skip == "" {
				return nil, fmt.Errorf("%s:%d: say why", name, i+1)
			}
			continue
		case strings.HasPrefix(line, "<!-- test:"):
			for text := strings.TrimPrefix(line, "<!-- test:"); ; text = p.lines[i] {
				p.hide(i+1, strings.TrimSuffix(strings.TrimSpace(text), "-->"))
				if strings.HasSuffix(text, "-->") {
					break
				}
				if i++; i == len(p.lines) {
					return nil, fmt.Errorf("%s: a comment has no end", name)
				}
			}
		case strings.HasPrefix(line, "```"):
			end := i + 1
			for end < len(p.lines) && p.lines[end] != "```" {
				end++
			}
			if end == len(p.lines) {
				return nil, fmt.Errorf("%s:%d: the block has no end", name, i+1)
			}
			kind, file, _ := strings.Cut(strings.TrimPrefix(line, "```"), " ")
			switch {
			case kind == "console" && skip == "":
				p.console(i+1, end)
			case file != "":
				p.acts = append(p.acts, act{line: i + 1, file: file, first: i + 1, last: end})
			}
			i = end
		case strings.TrimSpace(line) == "":
			continue
		}
		skip = ""
	}
	return p, nil
}

func (p *page) hide(line int, text string) {
	if text = strings.TrimSpace(text); text != "" {
		p.acts = append(p.acts, act{line: line, hidden: text})
	}
}

// console reads the block of lines[from:to].
func (p *page) console(from, to int) {
	for i := from; i < to; {
		if !strings.HasPrefix(p.lines[i], "$ ") {
			i++
			continue
		}
		a := act{line: i + 1, command: strings.TrimPrefix(p.lines[i], "$ "), first: i + 1}
		for i++; i < to && !strings.HasPrefix(p.lines[i], "$ "); i++ {
		}
		a.last = i
		p.acts = append(p.acts, a)
	}
}

func (p *page) text(a act) string { return strings.Join(p.lines[a.first:a.last], "\n") }

// script is the page for testscript: files and commands go by their number.
func (p *page) script() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "mkdir nightporter\ncd nightporter\n")
	for i, a := range p.acts {
		fmt.Fprintf(&b, "# %s:%d\n", p.name, a.line)
		switch {
		case a.hidden != "":
			fmt.Fprintln(&b, a.hidden)
		default:
			fmt.Fprintf(&b, "act %d\n", i)
		}
	}
	return b.Bytes()
}

func TestPages(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	names, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	tested := 0
	for _, name := range append(names, filepath.Join(root, "README.md")) {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		p, err := readPage(filepath.Base(name), src)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(p.acts, func(a act) bool { return a.command != "" }) {
			continue
		}
		tested++
		p.run(t, name)
	}
	if tested < 5 {
		t.Errorf("%d pages show commands, want at least 5: do the blocks still begin with ```console?", tested)
	}
}

func (p *page) run(t *testing.T, file string) {
	script := filepath.Join(t.TempDir(), strings.TrimSuffix(p.name, ".md")+".txtar")
	if err := os.WriteFile(script, p.script(), 0o600); err != nil {
		t.Fatal(err)
	}
	shown := map[int]string{} // what the page should show, by act
	cmds := commands()
	cmds["act"] = func(ts *testscript.TestScript, _ bool, args []string) {
		n, err := strconv.Atoi(args[0])
		ts.Check(err)
		if a := p.acts[n]; a.file != "" {
			text := strings.ReplaceAll(p.text(a), "https://api.github.com", cmp.Or(ts.Getenv("FORGE"), "https://api.github.com"))
			ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(a.file)), 0o755))
			ts.Check(os.WriteFile(ts.MkAbs(a.file), []byte(text+"\n"), 0o600))
			return
		}
		p.typed(ts, n, shown)
	}
	testscript.Run(t, testscript.Params{Files: []string{script}, Setup: setUp, Cmds: cmds, RequireExplicitExec: true})
	if *update {
		t.Cleanup(func() {
			if err := p.rewrite(file, shown); err != nil {
				t.Error(err)
			}
		})
	}
}

// typed runs a command of the page in a shell and compares what it prints.
func (p *page) typed(ts *testscript.TestScript, n int, shown map[int]string) {
	a := p.acts[n]
	if rest, ok := strings.CutPrefix(a.command, "nightporter server"); ok {
		serve(ts, false, strings.Fields(rest))
		return
	}
	cmd := command(ts, "sh", "-c", a.command)
	out, err := cmd.CombinedOutput()
	if token := rootToken.FindSubmatch(out); token != nil && strings.HasPrefix(a.command, "nightporter init") {
		ts.Setenv("NIGHTPORTER_TOKEN", string(token[1])) // as the reader of the page has it
	}
	got := strings.TrimRight(presentable(ts, string(out)), "\n ")
	if want := p.text(a); err != nil && !strings.Contains(want, "error:") && !*update {
		ts.Fatalf("%s:%d: %s: %v\n%s", p.name, a.line, a.command, err, out)
	}
	if *update {
		shown[n] = got
		return
	}
	// A command without output on the page is one whose output does not matter.
	if want := strings.TrimSpace(p.text(a)); want != "" && !same(got, want) {
		ts.Fatalf("%s:%d: %s prints\n%s\n\nand the page shows\n%s", p.name, a.line, a.command, got, want)
	}
}

var rootToken = regexp.MustCompile(`Root token +(npt_\S+)`)

// presentable puts the usual address and folder where the test's own are.
func presentable(ts *testscript.TestScript, text string) string {
	for from, to := range map[string]string{
		strings.TrimPrefix(ts.Getenv("NIGHTPORTER_ADDR"), "http://"): "127.0.0.1:8200",
		ts.Getenv("FORGE"): "https://api.github.com",
	} {
		if from != "" {
			text = strings.ReplaceAll(text, from, to)
		}
	}
	text = regexp.MustCompile(`npt_[\w-]{8,}`).ReplaceAllString(text, "npt_…")
	text = strings.ReplaceAll(text, ts.Getenv("HOME"), "/home/you")
	return strings.ReplaceAll(text, ts.Getenv("WORK"), "/srv")
}

// varies is what two runs of the same command may print differently.
var varies = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b(rel|run|inc)_[0-9a-f]+`), "${1}_ID"},
	{regexp.MustCompile(`\bnpt_(…|[\w-]+)`), "TOKEN"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?(\.\d+)?Z?`), "TIME"},
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ \w{3} \d{4} \d\d:\d\d \w+`), "TIME"},
	{regexp.MustCompile(`\b(now|just now|\d+ (s|min|h|d)( ago)?)\b`), "AGE"},
	{regexp.MustCompile(`\b\d+:\d\d\b`), "TOOK"},
	{regexp.MustCompile(`\b[0-9a-f]{7,64}\b`), "HASH"},
	{regexp.MustCompile(`\b[0-9a-v]{26}\b`), "REQUEST"},
	{regexp.MustCompile(`\b[A-Z0-9]{24}\b`), "ACCESSOR"},
	{regexp.MustCompile(`\b\d+ entries\b`), "N entries"},
	{regexp.MustCompile(`[A-Za-z0-9+/]{32,}=*`), "BYTES"},
	{regexp.MustCompile(`[ \t]+`), " "},
}

func plain(text string) string {
	for _, v := range varies {
		text = v.what.ReplaceAllString(text, v.as)
	}
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, l := range lines {
		lines[i] = strings.TrimSpace(l)
	}
	return strings.Join(lines, "\n")
}

// same compares but for what varies. A line "..." on the page stands for any
// number of lines.
func same(got, want string) bool {
	parts := strings.Split("\n"+plain(want)+"\n", "\n...\n")
	rest := "\n" + plain(got) + "\n"
	if len(parts) == 1 {
		return rest == parts[0]
	}
	for i, part := range parts {
		if i > 0 {
			part = "\n" + part
		}
		if i < len(parts)-1 {
			part += "\n"
		}
		part = strings.ReplaceAll(part, "\n\n", "\n")
		switch at := strings.Index(rest, part); {
		case at < 0, i == 0 && at != 0:
			return false
		case i == len(parts)-1:
			return strings.HasSuffix(rest, part)
		default:
			rest = rest[at+len(part)-1:]
		}
	}
	return true
}

// rewrite writes what the commands print into the page, where it differs.
func (p *page) rewrite(file string, shown map[int]string) error {
	for i, a := range slices.Backward(p.acts) {
		got, ok := shown[i]
		if want := strings.TrimSpace(p.text(a)); !ok || want == "" || same(got, want) {
			continue
		}
		p.lines = slices.Replace(p.lines, a.first, a.last, strings.Split(got, "\n")...)
	}
	return os.WriteFile(file, []byte(strings.Join(p.lines, "\n")), 0o644)
}

// A link to a page or a folder of ours leads somewhere.
func TestLinksOfThePagesLeadSomewhere(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#]+)[^)]*\)`)
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/decisions/*.md", "demo/*.md", "examples/*/*.md"} {
		names, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: %d pages, %v", pattern, len(names), err)
		}
		for _, name := range names {
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range link.FindAllSubmatch(src, -1) {
				if to := string(m[1]); !strings.Contains(to, "://") {
					if _, err := os.Stat(filepath.Join(filepath.Dir(name), to)); err != nil {
						t.Errorf("%s links to %s, which is not there", name, to)
					}
				}
			}
		}
	}
}
