// Package services holds the source of acme's small services and turns each into
// the files of a repository of its own: a module that builds offline, from the
// standard library alone. The repository of affordability, which is not small, is
// examples/affordability as it is, with the modules that it vendors.
package services

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

//go:embed serve/serve.go */main.go
var source embed.FS

// Names are the small services that there are.
var Names = []string{"ledger", "gateway", "notifier", "statements"}

// Affordability are the files of the repository of the real service, by path.
func Affordability(ctx context.Context) (map[string]string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "nightporter.dev/nightporter").Output()
	if err != nil {
		return nil, fmt.Errorf("find the source of nightporter: %w", err)
	}
	dir := filepath.Join(strings.TrimSpace(string(out)), "examples", "affordability")
	files := map[string]string{}
	err = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil || strings.HasPrefix(name, "bin/") {
			return err
		}
		text, err := os.ReadFile(path)
		files[name] = string(text)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the source of affordability: %w", err)
	}
	return files, nil
}

// here is the path of this package in import lines; in a repository it is the
// repository's own module.
const here = "nightporter.dev/nightporter/demo/services"

// Files are the files of the repository of a service, by path.
func Files(service, description string) (map[string]string, error) {
	module := "acme.test/" + service
	files := map[string]string{
		"go.mod":            "module " + module + "\n\ngo 1.26\n",
		"README.md":         "# " + service + "\n\n" + description + "\n",
		".gitignore":        "/bin/\n",
		".nightporter.yaml": fmt.Sprintf(settings, description, service),
		"build.sh":          fmt.Sprintf(build, module, service),
	}
	for path, name := range map[string]string{"main.go": service + "/main.go", "serve/serve.go": "serve/serve.go"} {
		text, err := source.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("the source of %s: %w", service, err)
		}
		files[path] = strings.ReplaceAll(string(text), here, module)
	}
	return files, nil
}

const settings = `description: %s
build: [./build.sh]
run: [./bin/%s]
health: {http: /healthz, within: 8s}
`

const build = `#!/bin/sh
# The commit is compiled in, so that the binary cannot pass for another one.
exec go build -buildvcs=false -ldflags "-X %s/serve.commit=$NIGHTPORTER_COMMIT" -o bin/%s .
`
