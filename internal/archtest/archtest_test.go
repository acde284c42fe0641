// Package archtest holds the import rule of docs/design.md as a test. Its
// messages say what to do instead, because whoever meets them is usually right
// to want the fact and wrong only about the way to it.
package archtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "nightporter.dev/nightporter"

// spine lists internal/* from the lowest to the highest: a package may import
// those to its left.
var spine = []string{
	"clock", "telemetry", "egress", "httpapi", "store", "seal", "audit", "outbox", "gate", "catalog", "config",
	"policy", "lease", "identity", "run", "mirror", "vault", "app", "cli",
}

// capabilities are the root folders of the table of contents.
var capabilities = []string{"secrets", "environments", "repos", "versions", "releases", "services", "metrics", "security"}

type pkg struct {
	ImportPath   string
	Dir          string
	GoFiles      []string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-tags", "nokube", "-json=ImportPath,Dir,GoFiles,Imports,TestImports,XTestImports", module+"/...")
	cmd.Dir = "../.."
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func TestImports(t *testing.T) {
	t.Parallel()
	all := packages(t)
	if len(all) < 20 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	for _, p := range all {
		from := rel(p.ImportPath)
		for _, path := range p.Imports {
			to, ours := strings.CutPrefix(path, module)
			if !ours {
				if strings.HasPrefix(path, "github.com/prometheus/prometheus") && from != "metrics/prom" {
					t.Errorf("%s must not import %s:\nevery release of Prometheus changes its constructors, so metrics/prom alone knows it.\n"+
						"What you need goes through metrics.Engine, in plain values.", name(from), path)
				}
				if from == "" && strings.Contains(strings.SplitN(path, "/", 2)[0], ".") {
					t.Errorf("the root package must import the standard library only, not %s:\nit holds the nouns that everybody shares, and must not bring anything with it", path)
				}
				continue
			}
			if why := refuse(from, strings.TrimPrefix(to, "/")); why != "" {
				t.Errorf("%s must not import %s:\n%s", name(from), name(strings.TrimPrefix(to, "/")), why)
			}
		}
	}
}

func rel(path string) string { return strings.TrimPrefix(strings.TrimPrefix(path, module), "/") }

func name(path string) string {
	if path == "" {
		return "the root package"
	}
	return path
}

// refuse says why from may not import to, or "".
func refuse(from, to string) string {
	switch {
	case to == "":
		return ""
	case from == "":
		return "the root package holds the nouns that everybody shares: it imports the standard library only."
	case strings.HasPrefix(from, "examples/"):
		return "examples are written as users would write them: they import nothing of ours."
	case strings.HasPrefix(from, "test/corpus") && !strings.HasPrefix(to, "test/corpus"):
		return "the corpus judges the detector of secrets: what it took from us, it would no longer see."
	case testOnly(from):
		return ""
	case testOnly(to):
		return "this is for tests only: nothing that is shipped may need it."
	}
	switch layerOf(from) {
	case "spine":
		return refuseSpine(from, to)
	case "contract":
		if parent(from) == to || strings.HasPrefix(to, contractOf(from)+"/") && layerOf(to) == "contract" {
			return ""
		}
		return "a provider's contract imports the root package only, so that every implementation can stand alone."
	case "implementation":
		if to == contractOf(from) || strings.HasPrefix(to, from+"/") || strings.HasPrefix(from, to+"/") {
			return ""
		}
		return "a provider's implementation imports the root package, its contract and its SDK.\n" +
			"What it needs from us (a client, a clock, a secret) is handed to it in its Config by internal/app."
	case "capability":
		return refuseCapability(from, to)
	case "client":
		return "the client is what others use to talk to us: it imports the root package only."
	}
	return "" // cmd and web/console see everything
}

func refuseSpine(from, to string) string {
	f, g := spineName(from), spineName(to)
	switch {
	case f == "cli" && (to == "client" || strings.HasPrefix(to, "internal/cli/")):
		return ""
	case f == "cli":
		return "the command line talks to a server through client/. What needs the house without a server\n" +
			"(init, server, validate, --local) is handed to it as functions by cmd/nightporter."
	case f == "app":
		return ""
	case g == "":
		return "the spine carries the capabilities and must not know them. Declare a small interface where you use it;\n" +
			"internal/app gives you the value."
	case f == g:
		return ""
	case !slices.Contains(spine, f):
		return fmt.Sprintf("internal/%s has no place in the order of the spine: give it one in internal/archtest.", f)
	case slices.Index(spine, g) > slices.Index(spine, f):
		return fmt.Sprintf("the spine imports to the left: %s.\nDeclare a small interface in internal/%s, or move the shared part to the left.", strings.Join(spine, " "), f)
	}
	return ""
}

func refuseCapability(from, to string) string {
	own := strings.SplitN(from, "/", 2)[0]
	switch {
	case strings.HasPrefix(to, own+"/") || to == own:
		return ""
	case layerOf(to) == "capability":
		return "a capability never imports another one. If it happened over there, keep a copy of the fact from its event\n" +
			"(internal/app/flows.go). If you need an answer now, declare a one-method interface here and let internal/app wire it."
	case layerOf(to) == "implementation":
		return "a capability works with a provider's contract; internal/app chooses the implementation."
	case to == "internal/app" || to == "internal/cli" || layerOf(to) == "top" || to == "client":
		return "capabilities are put together by internal/app, not the other way round."
	}
	return ""
}

func layerOf(path string) string {
	parts := strings.Split(path, "/")
	switch {
	case parts[0] == "internal":
		return "spine"
	case parts[0] == "provider" && len(parts) == 2:
		return "contract"
	case parts[0] == "provider":
		return "implementation"
	case slices.Contains(capabilities, parts[0]):
		return "capability"
	case parts[0] == "client":
		return "client"
	}
	return "top"
}

// testOnly says that a package is not shipped: suites, fakes, and tests.
func testOnly(path string) bool {
	last := filepath.Base(path)
	return strings.HasPrefix(path, "test/") || strings.HasPrefix(path, "internal/archtest") || path == "internal/dbtest" ||
		strings.HasSuffix(last, "test") && strings.Contains(path, "/") || last == "faultproxy"
}

func parent(path string) string { return filepath.Dir(path) }

func contractOf(path string) string {
	return strings.Join(strings.SplitN(path, "/", 3)[:2], "/")
}

func spineName(path string) string {
	rest, ok := strings.CutPrefix(path, "internal/")
	if !ok {
		return ""
	}
	return strings.SplitN(rest, "/", 2)[0]
}

// The rule is only as good as its judgement of made-up cases.
func TestRefuse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"releases", "internal/run", true},
		{"releases", "versions", false},
		{"releases", "provider/deploy", true},
		{"releases", "provider/deploy/process", false},
		{"releases", "internal/app", false},
		{"metrics/prom", "metrics", true},
		{"internal/gate", "internal/audit", true},
		{"internal/audit", "internal/gate", false},
		{"internal/run", "releases", false},
		{"internal/cli", "client", true},
		{"internal/cli", "internal/store", false},
		{"internal/app", "releases", true},
		{"provider/forge", "internal/store", false},
		{"provider/forge/github", "provider/forge", true},
		{"provider/forge/github", "provider/deploy", false},
		{"provider/forge/github", "internal/egress", false},
		{"web/console", "releases", true},
		{"examples/affordability", "client", false},
		{"internal/store/storetest", "internal/dbtest", true},
		{"internal/store", "internal/dbtest", false},
		{"test/corpus", "security/scan", false},
		{"test/corpus/write", "test/corpus", true},
		{"security/scan", "test/corpus", false},
	} {
		if why := refuse(c.from, c.to); (why == "") != c.allowed {
			t.Errorf("%s imports %s: got %q, want allowed %v", c.from, c.to, why, c.allowed)
		}
	}
}

// The gate has two doors that only the spine may use: Keep, which writes no audit
// entry, and store.Open. A capability that could use them could change things
// that nobody would ever read about.
func TestCapabilitiesComeThroughTheGate(t *testing.T) {
	t.Parallel()
	mayKeep := map[string]string{
		"repos": "webhooks and sweeps are data: counted and compared, not audited",
	}
	for _, p := range packages(t) {
		path := rel(p.ImportPath)
		if layerOf(path) != "capability" || testOnly(path) {
			continue
		}
		for _, file := range p.GoFiles {
			tree, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(tree, func(n ast.Node) bool {
				sel, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				if door, ok := sel.X.(*ast.SelectorExpr); ok && door.Sel.Name == "Gate" && sel.Sel.Name == "Keep" && mayKeep[path] == "" {
					t.Errorf("%s/%s calls Keep, which writes no audit entry:\nmake the change with gate.Do", path, file)
				}
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "store" && (sel.Sel.Name == "Open" || sel.Sel.Name == "DB") {
					t.Errorf("%s/%s uses store.%s:\na capability reaches the database through gate.Do, gate.Read and gate.View only", path, file, sel.Sel.Name)
				}
				return true
			})
		}
	}
}
