package dashboard_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"nightporter.dev/nightporter/metrics/dashboard"
)

// large makes a dashboard of 125 panels in about half a megabyte, as large as the
// largest that people use.
func large(b *testing.B) []byte {
	raw, err := os.ReadFile("testdata/panels.json")
	if err != nil {
		b.Fatal(err)
	}
	var d map[string]any
	if err := json.Unmarshal(raw, &d); err != nil {
		b.Fatal(err)
	}
	own := d["panels"].([]any)
	var panels []any
	for i := range 125 {
		copied := map[string]any{}
		for k, v := range own[i%len(own)].(map[string]any) {
			copied[k] = v
		}
		copied["id"] = i + 1
		var overrides []any
		for j := range 6 {
			overrides = append(overrides, map[string]any{
				"matcher":    map[string]any{"id": "byRegexp", "options": fmt.Sprintf("/.*series %d.*/", j)},
				"properties": []any{map[string]any{"id": "color", "value": map[string]any{"mode": "fixed", "fixedColor": "#7EB26D"}}, map[string]any{"id": "custom.transform", "value": "negative-Y"}},
			})
		}
		config, _ := copied["fieldConfig"].(map[string]any)
		copied["fieldConfig"] = map[string]any{"defaults": config["defaults"], "overrides": overrides}
		panels = append(panels, copied)
	}
	d["panels"] = panels
	out, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func BenchmarkCompile125Panels(b *testing.B) {
	raw := large(b)
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := dashboard.Compile(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDraw125Panels(b *testing.B) {
	d, err := dashboard.Compile(large(b))
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		v := resolve(b, d, dashboard.Ask{})
		for _, s := range v.Sections {
			for _, p := range s.Places {
				if _, err := v.Draw(b.Context(), world{}, p.Key, 400); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
}
