package terraform

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
)

// FileName is the file that says of which components an environment is made. It
// may be missing.
const FileName = "environment.yaml"

const (
	maxFile       = 1 << 20
	maxComponents = 100
)

// File is an environment.yaml. In commands {environment} is the name, {capture} the
// folder of a capture and {id} what is to be removed.
type File struct {
	Components []Definition `yaml:"components"`
	// Inventory prints what carries the environment's mark at the far end,
	// whatever any state says: a JSON object a line, {"id", "kind"}. The id is
	// what the state has as id.
	Inventory []string `yaml:"inventory"`
	// Remove destroys one of those that no state knows.
	Remove []string `yaml:"remove"`
}

// Definition is what environment.yaml says of one component.
type Definition struct {
	Name string `yaml:"name" json:"name"`
	// Dir is the folder of its configuration. Default: its name.
	Dir   string   `yaml:"dir" json:"dir"`
	Needs []string `yaml:"needs" json:"needs,omitempty"`
	// Ready is a command that ends well once it is good. Default: it is good
	// when it is built.
	Ready []string `yaml:"ready" json:"ready,omitempty"`
	// Within is how long it may take: "40m". Default: 20 min.
	Within string `yaml:"within" json:"within,omitempty"`
	// Keep says what outlives the night: dump (made by Dump, read by Load), or
	// nothing.
	Keep string   `yaml:"keep" json:"keep,omitempty"`
	Dump []string `yaml:"dump" json:"dump,omitempty"`
	Load []string `yaml:"load" json:"load,omitempty"`
}

// ParseFile reads an environment.yaml. What it cannot mean is Invalid.
func ParseFile(text []byte) (File, error) {
	var f File
	invalid := func(format string, args ...any) (File, error) {
		return File{}, nightporter.E(nightporter.Invalid, format, args...)
	}
	if len(text) > maxFile {
		return invalid("%s is larger than %d KiB", FileName, maxFile>>10)
	}
	if err := yaml.UnmarshalWithOptions(text, &f, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		// The message has line, column and an excerpt of a committed file.
		return invalid("%s: %s", FileName, strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if len(f.Components) > maxComponents {
		return invalid("%s has more than %d components", FileName, maxComponents)
	}
	for i := range f.Components {
		d := &f.Components[i]
		if d.Dir == "" {
			d.Dir = d.Name
		}
		switch {
		case !filepath.IsLocal(d.Dir):
			return invalid("the folder of component %s leads out of the environment's", d.Name)
		case d.Keep != "" && d.Keep != "dump":
			return invalid("component %s: %q cannot be kept; choose dump, or leave it out", d.Name, d.Keep)
		case d.Keep == "dump" && (len(d.Dump) == 0 || len(d.Load) == 0):
			return invalid("component %s keeps a dump and does not say how", d.Name)
		}
		if v, err := time.ParseDuration(d.Within); d.Within != "" && (err != nil || v <= 0) {
			return invalid("component %s: %q is not a duration", d.Name, d.Within)
		}
	}
	_, err := cloud.Order(f.components())
	return f, err
}

func (d Definition) component() cloud.Component {
	c := cloud.Component{Name: d.Name, Kind: "terraform", Needs: d.Needs}
	c.Within, _ = time.ParseDuration(d.Within) // it was read before
	if d.Keep == "dump" {
		c.Keep = cloud.OnceItIs
	}
	return c
}

func (f File) components() []cloud.Component {
	out := make([]cloud.Component, len(f.Components))
	for i, d := range f.Components {
		out[i] = d.component()
	}
	return out
}

// readFile reads the file of a checkout; without one the folder is one component.
func readFile(dir string) (File, error) {
	text, err := os.ReadFile(filepath.Join(dir, FileName))
	if err != nil && !notExist(err) {
		return File{}, err
	}
	f := File{Components: []Definition{{Name: "terraform", Dir: "."}}}
	if err == nil {
		if f, err = ParseFile(text); err != nil {
			return f, err
		}
	}
	for _, d := range f.Components {
		if !configured(filepath.Join(dir, d.Dir)) {
			return f, nightporter.E(nightporter.Invalid, "component %s: the folder %q has no configuration", d.Name, d.Dir)
		}
	}
	return f, nil
}

func configured(dir string) bool {
	for _, pattern := range []string{"*.tf", "*.tf.json", "*.tofu"} {
		if found, err := filepath.Glob(filepath.Join(dir, pattern)); err == nil && len(found) > 0 {
			return true
		}
	}
	return false
}

// expand replaces placeholders.
func expand(words []string, pairs ...string) []string {
	r := strings.NewReplacer(pairs...)
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = r.Replace(w)
	}
	return out
}
