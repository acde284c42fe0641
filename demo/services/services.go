// Package services holds the source of acme's services and turns each into the
// files of a repository of its own: a module that builds offline, from the
// standard library alone.
package services

import (
	"embed"
	"fmt"
	"strings"
)

//go:embed serve/serve.go */main.go
var source embed.FS

// Names are the services that there are.
var Names = []string{"ledger", "gateway", "notifier", "affordability", "statements"}

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
