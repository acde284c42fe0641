// Package services holds the source of acme's small services and turns each into
// the files of a repository of its own: a module that builds offline, from the
// standard library and, where it has a database, the driver that it vendors. The
// repository of affordability, which is not small, is examples/affordability as it
// is, with the modules that it vendors.
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

//go:embed serve/serve.go */main.go ledger/books.go
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

// here and example are paths in import lines; in a repository they are the
// repository's own module.
const (
	here    = "nightporter.dev/nightporter/demo/services"
	example = "example.org/affordability"
)

// driver is the module with which the ledger speaks to its database.
const driver = "github.com/lib/pq"

// Files are the files of the repository of a service, by path.
func Files(ctx context.Context, service, description string) (map[string]string, error) {
	module := "acme.test/" + service
	files := map[string]string{
		"go.mod":            "module " + module + "\n\ngo 1.26\n",
		"README.md":         "# " + service + "\n\n" + description + "\n",
		".gitignore":        "/bin/\n",
		".nightporter.yaml": fmt.Sprintf(settings, description, service),
		"build.sh":          fmt.Sprintf(build, module, service),
	}
	own := map[string]string{"main.go": service + "/main.go", "serve/serve.go": "serve/serve.go"}
	if service == "ledger" {
		own["books.go"] = "ledger/books.go"
		if err := borrow(ctx, files); err != nil {
			return nil, err
		}
	}
	for path, name := range own {
		text, err := source.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("the source of %s: %w", service, err)
		}
		files[path] = strings.NewReplacer(here, module, example, module).Replace(string(text))
	}
	return files, nil
}

// borrow adds what the ledger has of affordability: how it gets a login, and the
// vendored driver.
func borrow(ctx context.Context, files map[string]string) error {
	from, err := Affordability(ctx)
	if err != nil {
		return err
	}
	for path, text := range from {
		source := strings.HasPrefix(path, "credentials/") && !strings.HasSuffix(path, "_test.go")
		if source || strings.HasPrefix(path, "vendor/"+driver+"/") {
			files[path] = text
		}
	}
	// modules.txt tells of one module after the other, each after a "# ".
	for _, section := range strings.Split("\n"+from["vendor/modules.txt"], "\n# ") {
		if require, _, _ := strings.Cut(section, "\n"); strings.HasPrefix(require, driver+" ") {
			files["vendor/modules.txt"] = "# " + strings.TrimSpace(section) + "\n"
			files["go.mod"] += "\nrequire " + require + "\n"
			return nil
		}
	}
	return fmt.Errorf("affordability does not vendor %s any more", driver)
}

const settings = `description: %s
build: [./build.sh]
run: [./bin/%s]
health: {http: /healthz, within: 8s}
`

const build = `#!/bin/sh
# The commit is compiled in, so that the binary cannot pass for another one. Without
# paths, what is vendored is compiled once and not in each folder again.
exec go build -trimpath -buildvcs=false -ldflags "-X %s/serve.commit=$NIGHTPORTER_COMMIT" -o bin/%s .
`
