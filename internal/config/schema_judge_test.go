package config

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// An editor judges a file by the schema, and must not contradict us. The judge is
// a validator of JSON Schema that is not ours.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("nightporter.json", doc); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("nightporter.json")
	if err != nil {
		t.Fatal(err)
	}
	judge := func(t *testing.T, file string) error {
		t.Helper()
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		// We read texts as they are written; YAML for an editor needs quotes
		// where a text looks like a number.
		text := strings.NewReplacer("chart_version: 1.10", `chart_version: "1.10"`, "WORKERS: 4", `WORKERS: "4"`).Replace(string(src))
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		value, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		return compiled.Validate(value)
	}
	for _, name := range []string{"design", "everything"} {
		if err := judge(t, filepath.Join("testdata", "good", name+".yaml")); err != nil {
			t.Errorf("%s.yaml is right, and the schema says: %v", name, err)
		}
	}
	for _, name := range []string{"unknown_key", "unknown_keys_everywhere", "wrong_kinds", "enums", "durations", "missing", "tls_word", "a_list"} {
		if err := judge(t, filepath.Join("testdata", "bad", name+".yaml")); err == nil {
			t.Errorf("%s.yaml is wrong, and the schema does not notice", name)
		}
	}
}
