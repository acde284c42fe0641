package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// RepoFileName is the file in which a repository speaks for itself.
const RepoFileName = ".nightporter.yaml"

// RepoFile is what a repository may say about the service that is built from it.
// Who owns the service, where it is deployed, who approves and which credentials
// it gets is said in the server's file only: whoever may merge to a repository
// must not be able to give it more.
type RepoFile struct {
	// One sentence about the service.
	Description string `yaml:"description"`

	// A link to what to do when it is unwell.
	Runbook string `yaml:"runbook"`

	// How to see that it is well.
	Health *Health `yaml:"health"`

	// The Helm values file: `helm.yaml`.
	Values string `yaml:"values"`

	// Grafana dashboards: `[dashboards/ledger.json]`.
	Dashboards []string `yaml:"dashboards"`

	// Prometheus rules: `[rules/ledger.yaml]`.
	Rules []string `yaml:"rules"`

	// How the process target builds it, an argument list:
	// `[go, build, -o, bin/app, .]`.
	Build []string `yaml:"build"`

	// How the process target starts it, an argument list: `[./bin/app]`.
	Run []string `yaml:"run"`
}

// The bounds of a repository's file, which anybody who may merge can write: it
// takes milliseconds at worst.
const (
	maxRepoFile   = 64 << 10
	maxRepoTokens = 5000
)

// elsewhere says why a repository cannot set what the server's file sets.
var elsewhere = map[string]string{
	"name":         "the service's name is the key of its history",
	"owner":        "whoever may merge could take the service over",
	"repo":         "the server's file says which repository a service is built from",
	"artifact":     "it decides which bytes reach production",
	"deploy":       "it decides where the service runs, and as whom",
	"environments": "they are shared by all services",
	"approval":     "whoever may merge could remove the approval",
	"credentials":  "whoever may merge could read another service's data",
	"pipeline":     "it is shared by all services",
	"databases":    "they are shared by all services",
	"notify":       "it decides who learns what",
}

// ParseRepoFile reads a repository's own file. Name is what errors call it:
// "ledger/.nightporter.yaml at 3f2c1a9". An empty file is fine. The error is a
// [*Error] with all problems.
func ParseRepoFile(src []byte, name string) (*RepoFile, error) {
	if len(src) > maxRepoFile {
		return nil, nightporter.E(nightporter.Invalid, "%s is larger than %d KiB", name, maxRepoFile>>10)
	}
	f, root := readFile(src, name, maxRepoTokens)
	r := &RepoFile{}
	b := binder{file: f}
	root = b.withoutServerKeys(root)
	b.root(root, r)
	r.check(f)
	if len(f.problems) > 0 {
		return nil, f.refuse(f.problems)
	}
	return r, nil
}

// withoutServerKeys refuses what only the server's file may say, with the reason,
// and gives the rest back.
func (b *binder) withoutServerKeys(root ast.Node) ast.Node {
	m, ok := root.(*ast.MappingNode)
	if !ok {
		return root
	}
	rest := *m
	rest.Values = slices.DeleteFunc(slices.Clone(m.Values), func(v *ast.MappingValueNode) bool {
		key, _ := scalar(v.Key)
		why, ok := elsewhere[key]
		if ok {
			b.fail(key, v.Key, "set it in the server's nightporter.yaml", "a repository cannot set %s: %s", key, why)
		}
		return ok
	})
	return &rest
}

func (r *RepoFile) check(f *file) {
	fail := func(path, hint, format string, args ...any) {
		f.problems = append(f.problems, f.locate(catalog.Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint}))
	}
	if r.Health != nil {
		if r.Health.HTTP != "" && !strings.HasPrefix(r.Health.HTTP, "/") {
			fail("health.http", "write /healthz", "the health check is a path on the service itself")
		}
		if r.Health.Within <= 0 {
			fail("health.within", "write 5m", "a health check needs a time above 0")
		}
	}
	files := func(path string, list []string) {
		for i, name := range list {
			if !localPath(name) {
				fail(catalog.At(path, i), "", "%q must be inside the repository", name)
			}
		}
	}
	files("dashboards", r.Dashboards)
	files("rules", r.Rules)
	if r.Values != "" && !localPath(r.Values) {
		fail("values", "", "%q must be inside the repository", r.Values)
	}
	for path, argv := range map[string][]string{"build": r.Build, "run": r.Run} {
		if argv != nil && (len(argv) == 0 || argv[0] == "") {
			fail(path, "write [./bin/app]", "%s needs a program", path)
		}
	}
}

// Apply is s with what the repository says about itself. What the server's file
// says about building and running stays.
func (r *RepoFile) Apply(s catalog.Service) catalog.Service {
	set := func(to *string, text string) {
		if text != "" {
			*to = text
		}
	}
	set(&s.Description, r.Description)
	set(&s.Runbook, r.Runbook)
	set(&s.Deploy.Values, r.Values)
	if r.Health != nil {
		s.Health = catalog.Health{HTTP: r.Health.HTTP, Within: r.Health.Within.Std()}
	}
	for _, list := range []struct {
		to       *[]string
		says     []string
		override bool
	}{
		{&s.Dashboards, r.Dashboards, true},
		{&s.Rules, r.Rules, true},
		{&s.Deploy.Build, r.Build, s.Deploy.Build == nil},
		{&s.Deploy.Run, r.Run, s.Deploy.Run == nil},
	} {
		if list.override && list.says != nil {
			*list.to = slices.Clone(list.says)
		}
	}
	return s
}
