package script_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

// docs/configuration.md is what `nightporter config schema` says, for people.
func TestThePageOfTheConfigurationSaysWhatTheSchemaSays(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(filepath.Join(binary, "nightporter"), "config", "schema").Output()
	if err != nil {
		t.Fatal(err)
	}
	s := schema{sections: map[string]yaml.MapSlice{}}
	var root yaml.MapSlice // JSON is YAML, and this keeps the order
	if err := yaml.UnmarshalWithOptions(out, &root, yaml.UseOrderedMap()); err != nil {
		t.Fatal(err)
	}
	for _, d := range object(root, "$defs") {
		s.sections[d.Key.(string)] = d.Value.(yaml.MapSlice)
	}
	text := s.page()
	if len(s.open) > 0 {
		t.Errorf("sections that the page does not reach: %v", s.open)
	}
	const file = "../../docs/configuration.md"
	if *update {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(text, string(have)); diff != "" {
		t.Errorf("docs/configuration.md is old; refresh it with: go test ./test/script -run Page -update\n%s", diff)
	}
}

// schema writes the sections of a JSON Schema as tables.
type schema struct {
	sections map[string]yaml.MapSlice
	open     []string // sections that nothing refers to
}

const preface = `<!-- Made by go test ./test/script -run Page -update. Edit the comments in internal/config instead. -->

# Configuration

One YAML file, ` + "`nightporter.yaml`" + `. Everything may be left out. ` + "`nightporter validate`" + ` checks it: an unknown key, a name
that refers to nothing and a value of the wrong kind are errors with their line. ` + "`nightporter config schema`" + ` prints the
same as JSON Schema, for your editor.

- Relative paths start at the file's folder.
- Durations are numbers with units, large to small: ` + "`30s`, `5m`, `1h30m`, `30d`, `2w`" + `.
- Secrets never stand in the file. A key that ends in ` + "`_file`" + ` takes the path of a file that only its owner may read. The same
  key without ` + "`_file`" + ` takes ` + "`env:NAME`, `file:path`, or `secret:PATH#KEY`" + ` for one of the [porter's own secrets](secrets.md#secrets-of-the-configuration).
- After a change, send the server a SIGHUP. A file with mistakes changes nothing. [Operate](operate.md) says what needs a restart.
- The file may speak of more than this version does: the table in the [README](../README.md) says what is here.

`

// page walks from the root, so that a section follows the one that mentions it.
func (s *schema) page() string {
	var b strings.Builder
	b.WriteString(preface)
	done := map[string]bool{}
	s.section(&b, "Config", "The file", done)
	for name := range s.sections {
		if !done[name] {
			s.open = append(s.open, name)
		}
	}
	slices.Sort(s.open)
	return b.String()
}

// section writes one table, and then those of the sections in it.
func (s *schema) section(b *strings.Builder, name, title string, done map[string]bool) {
	done[name] = true
	def := s.sections[name]
	if about := text(def, "description"); name != "Config" && about != "" {
		fmt.Fprintf(b, "## %s\n\n%s\n\n", title, about)
	} else {
		fmt.Fprintf(b, "## %s\n\n", title)
	}
	fields, required := object(def, "properties"), list(def, "required")
	for _, one := range list(def, "oneOf") { // a word, or a section
		if alternative, ok := one.(yaml.MapSlice); ok && len(object(alternative, "properties")) > 0 {
			fields = object(alternative, "properties")
		}
	}
	b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
	type child struct{ name, title string }
	var children []child
	for _, f := range fields {
		key, field := f.Key.(string), f.Value.(yaml.MapSlice)
		if strings.HasPrefix(text(field, "description"), "The same, as env:NAME") {
			continue // the preface says it once
		}
		kind, ref, path := s.kind(field, key)
		initial := ""
		if v, ok := get(field, "default"); ok {
			initial = fmt.Sprintf("`%v`", v)
		}
		meaning := cell(text(field, "description"))
		if slices.Contains(required, any(key)) {
			meaning += " Required."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", key, kind, initial, meaning)
		if ref != "" && !done[ref] && !slices.ContainsFunc(children, func(c child) bool { return c.name == ref }) {
			if name != "Config" {
				path = strings.TrimSuffix(title, "`") + "." + path + "`"
			} else {
				path = "`" + path + "`"
			}
			children = append(children, child{ref, path})
		}
	}
	b.WriteString("\n")
	for _, c := range children {
		if !done[c.name] {
			s.section(b, c.name, c.title, done)
		}
	}
}

// kind says what a value looks like, and which section describes it.
func (s *schema) kind(field yaml.MapSlice, key string) (kind, ref, path string) {
	if r := text(field, "$ref"); r != "" {
		ref = strings.TrimPrefix(r, "#/$defs/")
		return s.link(ref), ref, key
	}
	if more := object(field, "additionalProperties"); more != nil {
		inner, ref, _ := s.kind(more, key)
		return "by name: " + inner, ref, key + ".NAME"
	}
	if items := object(field, "items"); items != nil {
		inner, ref, _ := s.kind(items, key)
		return "list of " + inner, ref, key + "[]"
	}
	for _, one := range append(list(field, "oneOf"), list(field, "anyOf")...) {
		if m, ok := one.(yaml.MapSlice); ok {
			if k, r, p := s.kind(m, key); r != "" {
				return k, r, p
			}
		}
	}
	if words := list(field, "enum"); len(words) > 0 {
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, fmt.Sprintf("`%v`", w))
		}
		return strings.Join(quoted, ", "), "", ""
	}
	switch kind := text(field, "type"); {
	case strings.Contains(text(field, "pattern"), "[0-9]+w"):
		return "duration", "", ""
	case kind == "string":
		return "text", "", ""
	case kind == "boolean":
		return "true or false", "", ""
	case kind == "integer", kind == "number":
		return "number", "", ""
	case kind != "":
		return kind, "", ""
	}
	return "text or list", "", ""
}

// link names a section in a cell.
func (s *schema) link(ref string) string {
	for _, one := range list(s.sections[ref], "oneOf") {
		if m, ok := one.(yaml.MapSlice); ok {
			if word, ok := get(m, "const"); ok {
				return fmt.Sprintf("`%v`, or a section", word)
			}
		}
	}
	return "section"
}

func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", "\\|"), "\n", " ") }

func get(m yaml.MapSlice, key string) (any, bool) {
	for _, item := range m {
		if item.Key == key {
			return item.Value, true
		}
	}
	return nil, false
}

func object(m yaml.MapSlice, key string) yaml.MapSlice {
	v, _ := get(m, key)
	o, _ := v.(yaml.MapSlice)
	return o
}

func list(m yaml.MapSlice, key string) []any {
	v, _ := get(m, key)
	l, _ := v.([]any)
	return l
}

func text(m yaml.MapSlice, key string) string {
	v, _ := get(m, key)
	s, _ := v.(string)
	return s
}
