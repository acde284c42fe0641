package githubtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

//go:embed testdata/slim.json.gz testdata/schema.graphql.gz
var descriptions embed.FS

// Contract is GitHub's own description of its APIs. It takes a moment to load and
// is safe to share, so load it once per process.
type Contract struct {
	router routers.Router
	schema *ast.Schema
}

// SharedContract returns the one Contract of the process, loading it on the first
// call.
var SharedContract = sync.OnceValues(LoadContract)

// LoadContract reads GitHub's descriptions, which are part of this package.
func LoadContract() (*Contract, error) {
	router, err := loadREST()
	if err != nil {
		return nil, fmt.Errorf("githubtest: load GitHub's OpenAPI description: %w", err)
	}
	sdl, err := unzip("testdata/schema.graphql.gz")
	if err != nil {
		return nil, fmt.Errorf("githubtest: load GitHub's GraphQL schema: %w", err)
	}
	schema, err := gqlparser.LoadSchema(&ast.Source{Name: "schema.graphql", Input: string(sdl)})
	if err != nil {
		return nil, fmt.Errorf("githubtest: load GitHub's GraphQL schema: %w", err)
	}
	return &Contract{router: router, schema: schema}, nil
}

func loadREST() (routers.Router, error) {
	raw, err := unzip("testdata/slim.json.gz")
	if err != nil {
		return nil, err
	}
	if raw, err = prune(raw); err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	// The server is whatever the test listens on.
	doc.Servers = nil
	return gorillamux.NewRouter(doc)
}

func unzip(name string) ([]byte, error) {
	f, err := descriptions.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// checkCall checks one call of the API and its answer. What the server does not
// have is no violation; what GitHub does not have is.
func (c *Contract) checkCall(r *http.Request, body []byte, rec *httptest.ResponseRecorder) error {
	if r.URL.Path == "/graphql" {
		return nil // checked against the schema
	}
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return fmt.Errorf("GitHub has no such endpoint: %w", err)
	}
	if len(body) > 0 {
		r.Header.Set("Content-Type", "application/json") // GitHub does not insist
	}
	options := &openapi3filter.Options{
		AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true,
	}
	in := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route, Options: options}
	bad := openapi3filter.ValidateRequest(r.Context(), in)
	if undescribed[rec.Code] && route.Operation.Responses.Status(rec.Code) == nil {
		return bad
	}
	out := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: in, Status: rec.Code, Header: rec.Header(), Options: options,
		Body: io.NopCloser(bytes.NewReader(rec.Body.Bytes())),
	}
	return errors.Join(bad, openapi3filter.ValidateResponse(r.Context(), out))
}

// undescribed are answers that endpoints give although GitHub's description names
// them for few: a status for an unknown commit is a 422, for example.
var undescribed = map[int]bool{
	http.StatusUnauthorized: true, http.StatusForbidden: true, http.StatusNotFound: true, http.StatusUnprocessableEntity: true,
}

func (c *Contract) checkWebhook(name string, w Webhook) error {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "/_webhooks/"+name, bytes.NewReader(w.Body))
	if err != nil {
		return err
	}
	r.Header = w.Header.Clone()
	route, params, err := c.router.FindRoute(r)
	if err != nil {
		return fmt.Errorf("GitHub sends no such webhook: %w", err)
	}
	return openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc},
	})
}

// checkQuery says what is wrong with a document, or with the variables that came
// with it, by GitHub's schema.
func (c *Contract) checkQuery(query string, variables map[string]any) []string {
	doc, errs := gqlparser.LoadQueryWithRules(c.schema, query, rules.NewDefaultRules())
	var list []string
	for _, e := range errs {
		list = append(list, e.Error())
	}
	if len(list) > 0 {
		return list
	}
	for _, op := range doc.Operations {
		if _, err := validator.VariableValues(c.schema, op, variables); err != nil {
			list = append(list, err.Error())
		}
	}
	return list
}

// checkAnswer says whether data has the types that the schema gives to the fields
// that query asks for.
func (c *Contract) checkAnswer(query string, data object) error {
	doc, errs := gqlparser.LoadQueryWithRules(c.schema, query, rules.NewDefaultRules())
	if len(errs) > 0 {
		return errs
	}
	return c.checkSet(doc.Operations[0].SelectionSet, data, "data")
}

func (c *Contract) checkSet(set ast.SelectionSet, data object, at string) error {
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			v, ok := data[sel.Alias]
			if !ok || sel.Name == "__typename" {
				continue // a fragment for another type
			}
			if err := c.checkValue(sel.Definition.Type, sel.SelectionSet, v, at+"."+sel.Alias); err != nil {
				return err
			}
		case *ast.InlineFragment:
			if err := c.checkSet(sel.SelectionSet, data, at); err != nil {
				return err
			}
		case *ast.FragmentSpread:
			if err := c.checkSet(sel.Definition.SelectionSet, data, at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Contract) checkValue(want *ast.Type, set ast.SelectionSet, v any, at string) error {
	if v == nil {
		// The root's fields may be null for an error that is reported.
		if want.NonNull {
			return fmt.Errorf("%s is null and must not be", at)
		}
		return nil
	}
	if want.Elem != nil {
		list, ok := v.([]any)
		if !ok {
			return fmt.Errorf("%s is no list", at)
		}
		for i, e := range list {
			if err := c.checkValue(want.Elem, set, e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	}
	if o, ok := v.(object); ok {
		return c.checkSet(set, o, at)
	}
	return c.checkLeaf(c.schema.Types[want.Name()], v, at)
}

func (c *Contract) checkLeaf(def *ast.Definition, v any, at string) error {
	ok := true
	switch {
	case def.Kind == ast.Enum:
		s, text := v.(string)
		ok = text && def.EnumValues.ForName(s) != nil
	case def.Name == "Int":
		switch v.(type) {
		case int, int64:
		default:
			ok = false
		}
	case def.Name == "Boolean":
		_, ok = v.(bool)
	default: // String, ID and GitHub's own scalars are all written as text
		_, ok = v.(string)
	}
	if !ok {
		return fmt.Errorf("%s is %v (%T), which is no %s", at, v, v, def.Name)
	}
	return nil
}

// prune leaves out of an OpenAPI document what this server does not speak, and
// what nothing refers to then. It cuts the time to load by nine tenths.
func prune(raw []byte) ([]byte, error) {
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	paths, _ := doc["paths"].(map[string]any)
	kept := map[string]any{}
	for path, item := range paths {
		if spoken(path) {
			// A ref's name has slashes: tags/prod.
			kept[strings.NewReplacer("/git/ref/{ref}", "/git/ref/{ref:.+}", "/git/refs/{ref}", "/git/refs/{ref:.+}", "/tags/{tag}", "/tags/{tag:.+}").Replace(path)] = item
		}
	}
	doc["paths"] = kept
	components, _ := doc["components"].(map[string]any)
	used := map[string]map[string]any{}
	var follow func(v any)
	follow = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				follow(e)
			}
		case map[string]any:
			if to, ok := v["$ref"].(string); ok {
				part := strings.Split(strings.TrimPrefix(to, "#/components/"), "/")
				if used[part[0]] == nil {
					used[part[0]] = map[string]any{}
				}
				if _, seen := used[part[0]][part[1]]; !seen {
					section, _ := components[part[0]].(map[string]any)
					used[part[0]][part[1]] = section[part[1]]
					follow(section[part[1]])
				}
			}
			for _, e := range v {
				follow(e)
			}
		}
	}
	follow(kept)
	doc["components"] = used
	return json.Marshal(doc)
}

// spoken says whether this server, or a client of it, uses a path of GitHub's.
func spoken(path string) bool {
	for _, prefix := range []string{
		"/_webhooks/pull-request-opened", "/_webhooks/pull-request-closed", "/_webhooks/pull-request-labeled",
		"/_webhooks/pull-request-unlabeled", "/_webhooks/pull-request-synchronize", "/_webhooks/pull-request-review-submitted",
		"/_webhooks/push", "/_webhooks/create", "/_webhooks/release-published", "/_webhooks/repository-created", "/_webhooks/repository-archived",
		"/_webhooks/label-", "/_webhooks/team-added-to-repository", "/_webhooks/repository-edited", "/_webhooks/repository-renamed",
		"/orgs/{org}/rulesets", "/orgs/{org}/properties/values", "/repos/{owner}/{repo}/rulesets", "/repos/{owner}/{repo}/labels",
		"/repos/{owner}/{repo}/branches/{branch}/protection",
		"/app/installations/{installation_id}/access_tokens", "/users/", "/orgs/{org}/repos", "/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}",
		"/repos/{owner}/{repo}/pulls", "/repos/{owner}/{repo}/issues/", "/repos/{owner}/{repo}/git/",
		"/repos/{owner}/{repo}/commits/", "/repos/{owner}/{repo}/statuses/", "/repos/{owner}/{repo}/check-runs", "/repos/{owner}/{repo}/releases",
		"/repos/{owner}/{repo}/deployments",
	} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return path == "/repos/{owner}/{repo}"
}
