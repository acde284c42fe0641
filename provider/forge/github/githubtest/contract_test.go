package githubtest_test

import (
	"strings"
	"testing"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// The judge of these tests is GitHub's published OpenAPI description and GraphQL
// schema.

func TestEveryAnswerThatPeopleCanGetIsGitHubs(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *githubtest.Config) { c.RequiredStatuses = []string{"nightporter/version"} })
	first := addLedger(t, s)
	const repo = "/repos/acme/ledger"
	must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Branch: "merged-later", Title: "One", Labels: []string{"minor"}}))
	must[int](t)(s.OpenPull("ledger", githubtest.NewPull{Branch: "two", Title: "Two"}))
	head := must[string](t)(s.HeadOf("ledger", 1))
	check(t, s.PushTag("ledger", "v1.0.0", first, "ana-gh", githubtest.Annotated))
	check(t, s.RequestChanges("ledger", 1, "ben-gh"))
	check(t, s.Approve("ledger", 1, "ben-gh"))
	annotated := mustGit(t, s.GitDir("ledger"), "rev-parse", "v1.0.0")
	for _, step := range []struct {
		method, path string
		body         any
		want         int
	}{
		{"GET", "/users/ana-gh", nil, 200},
		{"GET", "/orgs/acme/repos", nil, 200},
		{"GET", repo, nil, 200},
		{"GET", "/repos/acme/nothing", nil, 404},
		{"GET", repo + "/pulls", nil, 200},
		{"GET", repo + "/pulls/1", nil, 200},
		{"GET", repo + "/pulls/99", nil, 404},
		{"POST", repo + "/pulls", map[string]any{"title": "Three", "head": "two", "base": "main"}, 201},
		{"POST", repo + "/pulls", map[string]any{"title": "Four", "head": "nowhere", "base": "main"}, 422},
		{"POST", repo + "/issues/1/labels", map[string]any{"labels": []string{"docs"}}, 200},
		{"GET", repo + "/issues/1/labels", nil, 200},
		{"DELETE", repo + "/issues/1/labels/docs", nil, 200},
		{"DELETE", repo + "/issues/1/labels/docs", nil, 404},
		{"POST", repo + "/issues/1/comments", map[string]any{"body": "Released in v1.0.0."}, 201},
		{"PUT", repo + "/pulls/1/merge", map[string]any{"merge_method": "squash"}, 405},
		{"POST", repo + "/statuses/" + head, map[string]any{"state": "success", "context": "nightporter/version"}, 201},
		{"POST", repo + "/statuses/" + head, map[string]any{"state": "success", "description": strings.Repeat("x", 141)}, 422},
		{"GET", repo + "/commits/" + head + "/statuses", nil, 200},
		{"PUT", repo + "/pulls/1/merge", map[string]any{"merge_method": "squash", "sha": first}, 409},
		{"PUT", repo + "/pulls/1/merge", map[string]any{"merge_method": "squash", "sha": head}, 200},
		{"GET", repo + "/pulls?state=closed", nil, 200},
		{"GET", repo + "/commits/" + first, nil, 200},
		{"GET", repo + "/commits/" + first + "/pulls", nil, 200},
		{"GET", repo + "/git/ref/tags/v1.0.0", nil, 200},
		{"GET", repo + "/git/tags/" + annotated, nil, 200},
		{"POST", repo + "/git/refs", map[string]any{"ref": "refs/tags/env/prod", "sha": first}, 201},
		{"POST", repo + "/git/refs", map[string]any{"ref": "refs/tags/env/prod", "sha": first}, 422},
		{"PATCH", repo + "/git/refs/tags/env/prod", map[string]any{"sha": head, "force": true}, 200},
		{"PATCH", repo + "/git/refs/tags/env/prod", map[string]any{"sha": first}, 422},
		{"PATCH", repo + "/git/refs/tags/nowhere", map[string]any{"sha": first, "force": true}, 422},
		{"POST", repo + "/releases", map[string]any{"tag_name": "v1.0.0", "name": "1.0.0", "body": "* One"}, 201},
		{"POST", repo + "/releases", map[string]any{"tag_name": "v1.0.0"}, 422},
		{"GET", repo + "/releases", nil, 200},
		{"GET", repo + "/releases/tags/v1.0.0", nil, 200},
		{"GET", repo + "/releases/tags/v9.9.9", nil, 404},
	} {
		if got, body := call(t, s, step.method, step.path, step.body); got != step.want {
			t.Errorf("%s %s: got %d %v, want %d", step.method, step.path, got, body["message"], step.want)
		}
	}
	check(t, s.Archive("ledger"))
	if got, _ := call(t, s, "POST", repo+"/git/refs", map[string]any{"ref": "refs/tags/late", "sha": first}); got != 403 {
		t.Errorf("a write to an archived repository: got %d, want 403", got)
	}
	clean(t, s)
}

func TestWhatGitHubDoesNotKnowIsAViolation(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		method, path string
		body         any
	}{
		"an endpoint that is not there":  {"GET", "/repos/acme/ledger/merges-of-today", nil},
		"a method that is not there":     {"DELETE", "/repos/acme/ledger/pulls/1", nil},
		"a field that is missing":        {"POST", "/repos/acme/ledger/git/refs", map[string]any{"ref": "refs/tags/x"}},
		"a field of the wrong type":      {"POST", "/repos/acme/ledger/git/refs", map[string]any{"ref": "refs/tags/x", "sha": 7}},
		"a value that is not allowed":    {"POST", "/repos/acme/ledger/statuses/abc", map[string]any{"state": "green"}},
		"a GraphQL field":                {"POST", "/graphql", map[string]any{"query": `{ repository(owner: "acme", name: "ledger") { hasWiki } }`}},
		"a GraphQL argument":             {"POST", "/graphql", map[string]any{"query": `{ repository(org: "acme", name: "ledger") { id } }`}},
		"a GraphQL variable that is not": {"POST", "/graphql", map[string]any{"query": `query($x: Strang) { rateLimit { cost } }`}},
		"GraphQL that is none":           {"POST", "/graphql", map[string]any{"query": `{ repository(`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var told []string
			s := start(t, func(c *githubtest.Config) { c.Violation = func(v string) { told = append(told, v) } })
			addLedger(t, s)
			call(t, s, tt.method, tt.path, tt.body)
			if len(s.Violations()) == 0 || len(told) == 0 {
				t.Errorf("no violation was noticed (told of %q)", told)
			}
		})
	}
}

func TestGraphQLKeepsGitHubsLimits(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	addLedger(t, s)
	query := func(inner string) string {
		return `{ repositoryOwner(login: "acme") { ` + inner + ` } rateLimit { cost nodeCount remaining resetAt } }`
	}
	order := `orderBy: {field: NAME, direction: ASC}`
	for _, tt := range []struct{ query, want string }{
		{query(`repositories(first: 101, ` + order + `) { nodes { name } }`), "exceeds the `first` limit of 100"},
		{query(`repositories(` + order + `) { nodes { name } }`), "must provide a `first` or `last`"},
		{query(`repositories(first: 100, ` + order + `) { nodes { pullRequests(first: 100) { nodes { commits(first: 100) { nodes { commit { oid } } } } } } }`), "exceeds the maximum limit of 500000"},
		{query(`repositories(first: 1, after: "elsewhere", ` + order + `) { nodes { name } }`), "valid cursor"},
		{`mutation { addComment(input: {subjectId: "x", body: "y"}) { clientMutationId } }`, "doesn't exist on type 'Mutation'"},
		{`{ repository(owner: "acme", name: "nothing") { id } }`, "Could not resolve to a Repository"},
		{`{ repository(owner: "acme", name: "ledger") { pullRequest(number: 7) { id } } }`, "Could not resolve to a PullRequest"},
	} {
		_, answer := call(t, s, "POST", "/graphql", map[string]any{"query": tt.query})
		var got string
		if errs, ok := answer["errors"].([]any); ok {
			if first, ok := errs[0].(map[string]any); ok {
				got, _ = first["message"].(string)
			}
		}
		if !strings.Contains(got, tt.want) {
			t.Errorf("%s\ngot  %q\nwant %q", tt.query, got, tt.want)
		}
	}
	_, answer := call(t, s, "POST", "/graphql", map[string]any{"query": query(`repositories(first: 100, ` + order + `) { nodes { refs(first: 10, refPrefix: "refs/tags/") { nodes { name } } } }`)})
	data, _ := answer["data"].(map[string]any)
	limit, _ := data["rateLimit"].(map[string]any)
	// One connection, and one for each of a hundred repositories: 101 / 100.
	if limit["cost"] != 1.0 || limit["nodeCount"] != 1100.0 {
		t.Errorf("got cost %v and %v nodes, want 1 and 1100 by GitHub's formula", limit["cost"], limit["nodeCount"])
	}
	clean(t, s)
}

func BenchmarkContract(b *testing.B) {
	s := start(b, nil)
	addLedger(b, s)
	b.Run("load", func(b *testing.B) {
		for b.Loop() {
			must[*githubtest.Contract](b)(githubtest.LoadContract())
		}
	})
	b.Run("a_call_and_its_answer", func(b *testing.B) {
		for b.Loop() {
			call(b, s, "GET", "/repos/acme/ledger", nil)
		}
	})
}
