package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/invopop/jsonschema"
)

var update = flag.Bool("update", false, "write the golden files anew")

// comments are the doc comments of this package's types and fields: "Config",
// "Config.Listen".
func comments(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), e.Name(), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			spec := g.Specs[0].(*ast.TypeSpec)
			found[spec.Name.Name] = flatten(g.Doc.Text())
			if s, ok := spec.Type.(*ast.StructType); ok {
				for _, field := range s.Fields.List {
					for _, n := range field.Names {
						found[spec.Name.Name+"."+n.Name] = flatten(field.Doc.Text())
					}
				}
			}
		}
	}
	return found
}

// flatten joins the lines of a comment, as a description wants them.
func flatten(s string) string {
	var p doc.Package
	return strings.Join(strings.Fields(string(p.Text(s))), " ")
}

// generate makes the schema from the structs, their tags and their comments.
func generate(t *testing.T) []byte {
	t.Helper()
	said := comments(t)
	r := jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Anonymous:                  true,
		LookupComment: func(typ reflect.Type, name string) string {
			if name == "" {
				return said[typ.Name()]
			}
			return said[typ.Name()+"."+name]
		},
		Mapper: func(typ reflect.Type) *jsonschema.Schema {
			switch typ {
			case reflect.TypeFor[Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: `^([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$`}
			case reflect.TypeFor[Date]():
				return &jsonschema.Schema{Type: "string", Format: "date"}
			case reflect.TypeFor[Remind]():
				return &jsonschema.Schema{Type: "string", Pattern: `^[0-9a-z]+ +[^ ]+$`}
			case reflect.TypeFor[Repo]():
				return &jsonschema.Schema{Type: "string", Pattern: `^[^/]+/.+$`}
			case reflect.TypeFor[SecretRef]():
				return &jsonschema.Schema{Type: "string"}
			case reflect.TypeFor[Calendar]():
				return &jsonschema.Schema{OneOf: []*jsonschema.Schema{
					{Type: "string"},
					{Type: "array", Items: &jsonschema.Schema{Type: "string", Format: "date"}},
				}}
			}
			return nil
		},
		// token beside token_file.
		AdditionalFields: func(typ reflect.Type) []reflect.StructField {
			var more []reflect.StructField
			for i := range typ.NumField() {
				f := typ.Field(i)
				name := f.Tag.Get("yaml")
				if f.Type != reflect.TypeFor[SecretRef]() {
					continue
				}
				f.Tag = reflect.StructTag(`yaml:"` + strings.TrimSuffix(name, "_file") + `" jsonschema_description:"The same, as env:NAME, secret:path#key or file:path."`)
				f.Name += "Reference"
				more = append(more, f)
			}
			return more
		},
	}
	s := r.Reflect(&Config{})
	s.Title = "nightporter.yaml"
	for name, word := range map[string]string{"TLS": "off", "Approval": "none", "Artifact": "none", "WaitFor": "none"} {
		def := s.Definitions[name]
		s.Definitions[name] = &jsonschema.Schema{
			Description: def.Description,
			OneOf:       []*jsonschema.Schema{{Const: word}, def},
		}
		def.Description = ""
	}
	s.Definitions["Person"].AdditionalProperties = &jsonschema.Schema{Type: "string"}
	for _, def := range s.Definitions {
		relaxSecrets(def)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// relaxSecrets lets token stand for a required token_file.
func relaxSecrets(def *jsonschema.Schema) {
	if def.Properties == nil {
		return
	}
	var keep []string
	for _, name := range def.Required {
		base := strings.TrimSuffix(name, "_file")
		if _, ok := def.Properties.Get(base); !ok || base == name {
			keep = append(keep, name)
			continue
		}
		def.OneOf = append(def.OneOf, &jsonschema.Schema{Required: []string{name}}, &jsonschema.Schema{Required: []string{base}})
	}
	def.Required = keep
}

func TestSchema(t *testing.T) {
	got := generate(t)
	if *update {
		if err := os.WriteFile("schema.json", got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(Schema()), string(got)); diff != "" {
		t.Errorf("schema.json is not what the structs say; go generate ./internal/config (-file +structs):\n%s", diff)
	}
}

func TestEveryKeyIsDocumented(t *testing.T) {
	t.Parallel()
	said := comments(t)
	seen := map[reflect.Type]bool{}
	var visit func(reflect.Type)
	visit = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			visit(typ.Elem())
			return
		}
		if typ.Kind() != reflect.Struct || seen[typ] || !strings.HasSuffix(typ.PkgPath(), "internal/config") {
			return
		}
		seen[typ] = true
		for i := range typ.NumField() {
			f := typ.Field(i)
			if !f.IsExported() {
				continue
			}
			if f.Tag.Get("yaml") != "" && said[typ.Name()+"."+f.Name] == "" {
				t.Errorf("%s.%s has no comment, and the comment is its documentation", typ.Name(), f.Name)
			}
			visit(f.Type)
		}
	}
	visit(reflect.TypeFor[Config]())
	visit(reflect.TypeFor[RepoFile]())
	if len(seen) < 30 {
		t.Errorf("visited %d structs only", len(seen))
	}
}
