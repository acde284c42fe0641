package vault_test

import (
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/identity"
)

// person is a token of somebody of the catalog, as the console's login makes it.
func (h *house) person(name string, policies ...string) string {
	h.t.Helper()
	token, _, err := h.identity.Open(h.t.Context(), identity.Spec{
		ActorKind: nightporter.Person, Actor: name, Method: "userpass", Path: "auth/userpass/login/" + name, Policies: policies, TTL: time.Hour,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func TestTheChildOfAPersonsTokenIsThatPerson(t *testing.T) {
	t.Parallel()
	h := openWith(t, options{unsealed: true, people: []catalog.Person{{Name: "ana"}}, teams: []catalog.Team{{Name: "team-a", Members: []string{"ana"}}}})
	h.policy("maker", `path "auth/token/create" { capabilities = ["update"] }`)
	made := h.want(200, h.person("ana", "maker"), "POST", "auth/token/create", m{"policies": []string{"developer", "default"}, "display_name": "script"})
	child := made.text("auth", "client_token")
	actor, info, err := h.identity.Authenticate(t.Context(), child, "")
	if err != nil {
		t.Fatal(err)
	}
	if actor.Kind != nightporter.Person || actor.Name != "ana" {
		t.Errorf("the child acts as %s %s", actor.Kind, actor.Name)
	}
	// A role is hers as long as the catalog says so, and not a part of the token.
	if slices.Contains(info.Policies, "developer") {
		t.Errorf("the role is written into the token: %v", info.Policies)
	}
}

func TestNoTokenMakesOneThatMayDoMore(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.policy("maker", `path "auth/token/create" { capabilities = ["update"] } path "auth/token/create-orphan" { capabilities = ["update"] }`)
	h.policy("sudoer", `path "auth/token/create" { capabilities = ["update", "sudo"] }`)
	h.policy("app", `path "kv/*" { capabilities = ["read"] }`)
	maker, sudoer := h.token(m{"policies": "maker"}), h.token(m{"policies": "sudoer"})
	bound := h.want(200, "root", "POST", "auth/token/create", m{"policies": "maker", "no_default_policy": true}).text("auth", "client_token")
	for name, c := range map[string]struct {
		token, path string
		body        m
		status      int
	}{
		"a policy of others":         {maker, "create", m{"policies": "app"}, 400},
		"an orphan with one":         {maker, "create-orphan", m{"policies": "app"}, 400},
		"root":                       {maker, "create", m{"policies": "root"}, 400},
		"root by sudo":               {sudoer, "create", m{"policies": "root"}, 400},
		"a policy of others by sudo": {sudoer, "create", m{"policies": "app"}, 200},
		"an orphan by sudo":          {sudoer, "create", m{"no_parent": true}, 200},
		"the wrapping policy":        {sudoer, "create", m{"policies": "response-wrapping"}, 400},
		"a generated prefix":         {sudoer, "create", m{"id": "npt_mine"}, 400},
		"an id without sudo":         {maker, "create", m{"id": "mine"}, 400},
		"a token by a batch token":   {"", "create", m{}, 403},
		"a role that is not there":   {maker, "create/none", m{}, 403},
		"what it has itself":         {maker, "create", m{"policies": "maker"}, 200},
		"nothing said":               {maker, "create", m{}, 200},
		"default where it has none":  {bound, "create", m{}, 200},
	} {
		a := h.ask(c.token, "POST", "auth/token/"+c.path, c.body)
		if a.Status != c.status {
			t.Errorf("%s: %d %s, want %d", name, a.Status, a.Raw, c.status)
		}
		if name == "default where it has none" {
			if p, _ := a.at("auth", "policies").([]any); slices.Contains(p, any("default")) {
				t.Errorf("the child of a token without the default policy has it: %v", p)
			}
		}
	}
	batch := h.token(m{"type": "batch", "policies": "sudoer", "ttl": "1h"})
	h.want(400, batch, "POST", "auth/token/create", m{})
}

func TestRevokingOneTokenEndsItsWholeTree(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.policy("maker", `path "auth/token/create" { capabilities = ["update"] }`)
	parent := h.token(m{"policies": "maker"})
	var children []string
	for range 20 {
		children = append(children, h.want(200, parent, "POST", "auth/token/create", m{}).text("auth", "client_token"))
	}
	h.want(204, "root", "POST", "auth/token/revoke", m{"token": parent})
	for _, c := range children {
		h.want(403, c, "GET", "auth/token/lookup-self", nil)
	}
}
