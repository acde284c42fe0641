package httpapi_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

type release struct {
	ID       string              `json:"id"`
	Version  nightporter.Version `json:"version"`
	OpenedAt time.Time           `json:"opened_at"`
	Changes  int                 `json:"changes,omitempty"`
	Extra    map[string]float64  `json:"extra,omitempty"`
	Raw      json.RawMessage     `json:"raw,omitempty"`
	Before   *release            `json:"before,omitempty"`
	Hidden   string              `json:"-"`
	private  string
	Evidence nightporter.Evidence `json:"evidence"`
}

// kin-openapi, which knows the specification, is the judge.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	_ = release{}.private
	describe := httpapi.DoesWhat(func(*http.Request) (nightporter.Action, nightporter.Resource, error) {
		return nightporter.Action{}, nightporter.Resource{}, nil
	})
	routes := []httpapi.Route{
		{Method: "GET", Pattern: "/api/releases", Handler: hello, Action: httpapi.Does("release.list", nightporter.List, "api/releases"), Summary: "List releases.", Response: httpapi.List[release]{}},
		{Method: "GET", Pattern: "/api/releases/{id}", Handler: hello, Action: describe, Summary: "Show a release.", Response: release{}},
		{Method: "POST", Pattern: "/api/releases/{id}/approve", Handler: hello, Action: describe, Summary: "Approve a release.", Request: struct {
			Comment string `json:"comment,omitempty"`
		}{}, Response: release{}},
		{Method: "GET", Pattern: "/api/files/{path...}", Handler: hello, Access: httpapi.Public, Summary: "Show a file."},
		{Method: "GET", Pattern: "/api/secret", Handler: hello, Access: httpapi.Public},
		{Pattern: "/v1/{path...}", Handler: hello, Access: httpapi.Public, Summary: "Vault's own."},
	}
	d := open(t, append(routes, httpapi.OpenAPIRoute("1.4.0", routes))...)
	w := ask(d, "", "GET", "/api/openapi.json", "", nil)
	doc, err := openapi3.NewLoader().LoadFromData(w.Body.Bytes())
	if err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	paths := doc.Paths.InMatchingOrder()
	if len(paths) != 4 || doc.Paths.Find("/api/files/{path}") == nil {
		t.Errorf("described: %v", paths)
	}
	approve := doc.Paths.Find("/api/releases/{id}/approve").Post
	if approve.Summary != "Approve a release." || approve.Parameters.GetByInAndName("header", "Idempotency-Key") == nil || approve.Security == nil {
		t.Errorf("approve: %+v", approve)
	}
	schema := doc.Components.Schemas["Release"].Value
	if diff := cmp.Diff([]string{"id", "version", "opened_at", "evidence"}, schema.Required); diff != "" {
		t.Error(diff)
	}
	// What we write is what we describe.
	b, err := json.Marshal(release{ID: "42", Extra: map[string]float64{"a": 1}, Before: &release{}})
	if err != nil {
		t.Fatal(err)
	}
	var written any
	if err := json.Unmarshal(b, &written); err != nil {
		t.Fatal(err)
	}
	if err := schema.VisitJSON(written); err != nil {
		t.Errorf("%v in %s", err, b)
	}
	if err := doc.Components.Schemas["Problem"].Value.VisitJSON(map[string]any{"type": "x", "title": "x", "status": 400.0, "code": "invalid"}); err != nil {
		t.Error(err)
	}
	if ps := schema.Properties; ps["Hidden"] != nil || ps["private"] != nil {
		t.Error("hidden fields are described")
	}
}
