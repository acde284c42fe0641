package httpapi_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

func TestARouteThatDoesNotSayWhatItDoesDoesNotStart(t *testing.T) {
	t.Parallel()
	does := httpapi.Does
	wrong := map[string]struct {
		route httpapi.Route
		says  string
	}{
		"no action and not public":         {httpapi.Route{Method: "GET", Pattern: "/api/x", Handler: hello}, "declares no action"},
		"public with an action":            {httpapi.Route{Method: "GET", Pattern: "/api/x", Handler: hello, Access: httpapi.Public, Action: does("x.read", nightporter.Read, "api/x")}, "public and declares"},
		"an invented access":               {httpapi.Route{Method: "GET", Pattern: "/api/x", Handler: hello, Access: "friends", Action: does("x.read", nightporter.Read, "api/x")}, "no access"},
		"an invented credential":           {httpapi.Route{Method: "GET", Pattern: "/api/x", Handler: hello, Credential: "charm", Action: does("x.read", nightporter.Read, "api/x")}, "no credential"},
		"loopback without an action":       {httpapi.Route{Method: "GET", Pattern: "/metrics", Handler: hello, Access: httpapi.PublicOnLoopback}, "declares no action"},
		"no handler":                       {httpapi.Route{Method: "GET", Pattern: "/api/x", Access: httpapi.Public}, "no handler"},
		"a host in the pattern":            {httpapi.Route{Method: "GET", Pattern: "evil.example/x", Handler: hello, Access: httpapi.Public}, "must be a path"},
		"an id that nothing names":         {httpapi.Route{Method: "POST", Pattern: "/api/releases/{id}/approve", Handler: hello, Action: does("release.approve", nightporter.Update, "api/releases")}, "does not name its resource"},
		"an id that the policy cannot see": {httpapi.Route{Method: "POST", Pattern: "/api/services/{name}/hold", Handler: hello, Action: httpapi.DoesTo("service.hold", nightporter.Update, "api/services", "service", "name")}, "could not tell"},
		"a name that is not there":         {httpapi.Route{Method: "POST", Pattern: "/api/services/{name}/hold", Handler: hello, Action: httpapi.DoesTo("service.hold", nightporter.Update, "api/services/{name}", "service", "id")}, "does not have"},
		"a path with a name too many":      {httpapi.Route{Method: "POST", Pattern: "/api/services/{name}/hold", Handler: hello, Action: httpapi.DoesTo("service.hold", nightporter.Update, "api/services/{name}/{env}", "service", "name")}, "does not have"},
		"a GET that changes something":     {httpapi.Route{Method: "GET", Pattern: "/api/x", Handler: hello, Action: does("x.make", nightporter.Update, "api/x")}, "GET changes nothing"},
		"a pattern that is wrong":          {httpapi.Route{Method: "GET", Pattern: "/api/{", Handler: hello, Access: httpapi.Public}, "/api/{"},
	}
	for name, w := range wrong {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := httpapi.New(new(door).config(w.route))
			if err == nil || !strings.Contains(err.Error(), w.says) {
				t.Errorf("got %v, want an error that says %q", err, w.says)
			}
		})
	}
	t.Run("two routes for the same requests", func(t *testing.T) {
		t.Parallel()
		if _, err := httpapi.New(new(door).config(board, board)); err == nil || !strings.Contains(err.Error(), "conflicts") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("nobody who says who is there", func(t *testing.T) {
		t.Parallel()
		for _, strip := range []func(*httpapi.Config){
			func(c *httpapi.Config) { c.Authenticate = nil },
			func(c *httpapi.Config) { c.Authorise = nil },
			func(c *httpapi.Config) { c.Log = nil },
			func(c *httpapi.Config) { c.Metrics = nil },
			func(c *httpapi.Config) { c.TrustedOrigins = []string{"not an origin"} },
		} {
			cfg := new(door).config(board)
			strip(&cfg)
			if _, err := httpapi.New(cfg); err == nil {
				t.Error("the door opened")
			}
		}
	})
}

func TestActions(t *testing.T) {
	t.Parallel()
	var seen []any
	note := func(w http.ResponseWriter, r *http.Request) error {
		a, res := httpapi.ActionFrom(r.Context())
		seen = append(seen, a, res, nightporter.ActorFrom(r.Context()))
		return hello(w, r)
	}
	d := open(t,
		httpapi.Route{Method: "GET", Pattern: "/api/board", Handler: note, Action: httpapi.Does("board.read", nightporter.Read, "api/board")},
		httpapi.Route{Method: "POST", Pattern: "/api/services/{name}/deploy", Handler: note, Action: httpapi.DoesTo("service.deploy", nightporter.Update, "api/services/{name}/deploy", "service", "name")},
		httpapi.Route{Method: "POST", Pattern: "/api/releases/{id}/approve", Handler: note, Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			if r.PathValue("id") != "42" {
				return nightporter.Action{}, nightporter.Resource{}, nightporter.E(nightporter.NotFound, "there is no release %s", r.PathValue("id"))
			}
			return nightporter.Action{Name: "release.approve", Capability: nightporter.Update, Path: "api/releases/ledger/prod/approve"}, nightporter.Resource{Kind: "release", ID: "42"}, nil
		})},
		httpapi.Route{Pattern: "/v1/{path...}", Handler: note, Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
			return nightporter.Action{Name: "vault", Capability: nightporter.List, Path: r.PathValue("path")}, nightporter.Resource{}, nil
		})},
	)
	ana := nightporter.Actor{Kind: nightporter.Person, Name: "ana", Method: "token", Remote: "192.0.2.1"}
	for _, c := range []struct {
		method, target string
		action         nightporter.Action
		resource       nightporter.Resource
	}{
		{"GET", "/api/board", nightporter.Action{Name: "board.read", Capability: nightporter.Read, Path: "api/board"}, nightporter.Resource{Kind: "board"}},
		{"POST", "/api/services/led%20ger/deploy", nightporter.Action{Name: "service.deploy", Capability: nightporter.Update, Path: "api/services/led ger/deploy"}, nightporter.Resource{Kind: "service", ID: "led ger"}},
		{"POST", "/api/releases/42/approve", nightporter.Action{Name: "release.approve", Capability: nightporter.Update, Path: "api/releases/ledger/prod/approve"}, nightporter.Resource{Kind: "release", ID: "42"}},
		{"LIST", "/v1/secret/metadata/", nightporter.Action{Name: "vault", Capability: nightporter.List, Path: "secret/metadata/"}, nightporter.Resource{}},
	} {
		seen = nil
		if w := ask(d, "ana", c.method, c.target, "", nil); w.Code != 200 {
			t.Fatalf("%s: %d %s", c.target, w.Code, w.Body)
		}
		if diff := cmp.Diff([]any{c.action, c.resource, ana}, seen); diff != "" {
			t.Errorf("%s: %s", c.target, diff)
		}
		asked := d.actions()
		if got := asked[len(asked)-1]; got != c.action {
			t.Errorf("%s: the policies were asked about %+v", c.target, got)
		}
	}
	seen = nil
	if p := problem(t, ask(d, "ana", "POST", "/api/releases/7/approve", "", nil)); p.Code != nightporter.NotFound || p.Detail != "there is no release 7" {
		t.Errorf("got %+v", p)
	}
	if w := ask(d, "bob", "GET", "/api/board", "", nil); problem(t, w).Code != nightporter.Denied || w.Code != 403 {
		t.Errorf("got %d %s", w.Code, w.Body)
	}
	if seen != nil {
		t.Errorf("a handler ran for a refused request: %v", seen)
	}
}
