package app

import (
	"net/http"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// identityRoutes are how people and programs sign in, and how tokens, policies
// and local users are kept.
func (a *App) identityRoutes() []httpapi.Route {
	return []httpapi.Route{
		{
			Method: http.MethodPost, Pattern: "/api/login", Access: httpapi.Public, Answer: httpapi.NotKept,
			Summary: "Trade a name and a password for a token", Request: loginBody{}, Response: tokenBody{}, Handler: a.postLogin,
		},
		{
			Method: http.MethodPost, Pattern: "/api/login/code", Answer: httpapi.NotKept,
			Action:  httpapi.Does("login.code", nightporter.Update, "auth/token/create"),
			Summary: "A one-time code that signs a browser on this machine in", Request: codeBody{}, Response: codeAnswer{}, Handler: a.postCode,
		},
		{
			Method: http.MethodGet, Pattern: "/api/whoami", Action: httpapi.Does("token.self", nightporter.Read, "auth/token/lookup-self"),
			Summary: "Who the caller is", Response: whoami{}, Handler: a.getWhoami,
		},
		{
			Method: http.MethodPost, Pattern: "/api/tokens", Action: httpapi.Does("token.create", nightporter.Update, "api/tokens"), Answer: httpapi.NotKept,
			Summary: "Make a token for a program", Request: newTokenBody{}, Response: tokenBody{}, Handler: a.postToken,
		},
		{
			Method: http.MethodDelete, Pattern: "/api/tokens/{accessor}",
			Action:  httpapi.DoesTo("token.revoke", nightporter.Delete, "api/tokens/{accessor}", "token", "accessor"),
			Summary: "End a token, and everything that was made with it", Handler: a.deleteToken,
		},
		{
			Method: http.MethodDelete, Pattern: "/api/tokens/self",
			Action:  httpapi.Does("token.revoke_self", nightporter.Update, "auth/token/revoke-self"),
			Summary: "End the caller's own token", Handler: a.deleteOwnToken,
		},
		{
			Method: http.MethodPost, Pattern: "/api/users", Action: httpapi.Does("user.write", nightporter.Update, "auth/userpass/users"), Answer: httpapi.NotKept,
			Summary: "Write a local user", Request: userBody{}, Handler: a.postUser,
		},
		{
			Method: http.MethodGet, Pattern: "/api/policies", Action: httpapi.Does("policy.list", nightporter.List, "sys/policies/acl"),
			Summary: "The policies' names", Handler: a.getPolicies,
		},
		{
			Method: http.MethodGet, Pattern: "/api/policies/{name}",
			Action:  httpapi.DoesTo("policy.read", nightporter.Read, "sys/policies/acl/{name}", "policy", "name"),
			Summary: "One policy's text", Response: policyBody{}, Handler: a.getPolicy,
		},
		{
			Method: http.MethodPut, Pattern: "/api/policies/{name}",
			Action:  httpapi.DoesTo("policy.write", nightporter.Update, "sys/policies/acl/{name}", "policy", "name"),
			Summary: "Write a policy", Request: policyText{}, Handler: a.putPolicy,
		},
		{
			Method: http.MethodDelete, Pattern: "/api/policies/{name}",
			Action:  httpapi.DoesTo("policy.delete", nightporter.Delete, "sys/policies/acl/{name}", "policy", "name"),
			Summary: "Remove a policy", Handler: a.deletePolicy,
		},
	}
}

type (
	loginBody struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	tokenBody struct {
		Token     string    `json:"token"`
		Accessor  string    `json:"accessor"`
		ExpiresAt time.Time `json:"expires_at,omitzero"`
	}
	codeBody struct {
		Person string `json:"person"`
	}
	codeAnswer struct {
		Code string `json:"code"`
		URL  string `json:"url"`
	}
	whoami struct {
		Kind      nightporter.ActorKind `json:"kind"`
		Name      string                `json:"name"`
		Policies  []string              `json:"policies"`
		Roles     []string              `json:"roles,omitempty"`
		Accessor  string                `json:"accessor"`
		ExpiresAt time.Time             `json:"expires_at,omitzero"`
	}
	newTokenBody struct {
		DisplayName string   `json:"display_name"`
		Policies    []string `json:"policies"`
		TTL         string   `json:"ttl"`
	}
	userBody struct {
		Name     string   `json:"name"`
		Password string   `json:"password"`
		Policies []string `json:"policies"`
	}
	policyText struct {
		Policy string `json:"policy"`
	}
	policyBody struct {
		Name      string `json:"name"`
		Policy    string `json:"policy"`
		Generated bool   `json:"generated"`
	}
)

func (a *App) postLogin(w http.ResponseWriter, r *http.Request) error {
	var body loginBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	token, info, err := a.identity.Login(r.Context(), body.Username, body.Password, httpapi.SourceFrom(r.Context()).String(), identity.Service)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, tokenBody{token, info.Accessor, info.Lease.ExpiresAt})
}

func (a *App) postCode(w http.ResponseWriter, r *http.Request) error {
	var body codeBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	if !httpapi.SourceFrom(r.Context()).IsLoopback() {
		return nightporter.E(nightporter.Denied, "one-time codes are for browsers on the server's own machine")
	}
	code, err := a.identity.NewCode(r.Context(), body.Person)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, codeAnswer{code, "http://" + r.Host + "/sign-in/code?code=" + code})
}

func (a *App) getWhoami(w http.ResponseWriter, r *http.Request) error {
	actor := nightporter.ActorFrom(r.Context())
	out := whoami{Kind: actor.Kind, Name: actor.Name, Policies: actor.Policies, Accessor: actor.Accessor}
	if actor.Kind == nightporter.Person {
		out.Roles = a.identity.Roles(actor.Name)
	}
	err := a.db.View(r.Context(), func(tx *store.Tx) error {
		info, err := identity.Find(r.Context(), tx, actor.Accessor)
		out.ExpiresAt = info.Lease.ExpiresAt
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, out)
}

func (a *App) postToken(w http.ResponseWriter, r *http.Request) error {
	var body newTokenBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	actor := nightporter.ActorFrom(r.Context())
	name := strings.TrimSpace(body.DisplayName)
	if name == "" || strings.ContainsAny(name, "/*+,\x00") || len(name) > 100 {
		return nightporter.E(nightporter.Invalid, "display_name must say whose token this is, without / * + ,")
	}
	ttl := time.Duration(0)
	if body.TTL != "" {
		var err error
		if ttl, err = time.ParseDuration(body.TTL); err != nil || ttl <= 0 {
			return nightporter.E(nightporter.Invalid, "ttl must be a duration such as 1h30m")
		}
	}
	if err := a.mayGive(actor, body.Policies); err != nil {
		return err
	}
	var out tokenBody
	action, _ := httpapi.ActionFrom(r.Context())
	err := a.gate.Do(r.Context(), action, nightporter.Resource{Kind: "token", ID: name}, func(tx *gate.Tx) error {
		token, info, err := a.identity.Create(r.Context(), tx, identity.Spec{
			ActorKind: nightporter.Machine, Actor: name, Method: "token", Policies: body.Policies, Parent: actor.Accessor,
			Path: "auth/token/create", TTL: ttl,
		})
		out = tokenBody{token, info.Accessor, info.Lease.ExpiresAt}
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, out)
}

// mayGive keeps anybody but root from making tokens that can do more than their
// own: Vault's rule, that a child's policies are a subset of its parent's.
func (a *App) mayGive(actor nightporter.Actor, policies []string) error {
	has := map[string]bool{"default": true}
	for _, p := range actor.Policies {
		has[p] = true
	}
	for _, p := range policies {
		if p = strings.ToLower(strings.TrimSpace(p)); !has[p] && !has["root"] {
			return nightporter.E(nightporter.Denied, "a token cannot be given the policy %s, which you do not have", p)
		}
	}
	return nil
}

func (a *App) deleteOwnToken(w http.ResponseWriter, r *http.Request) error {
	action, _ := httpapi.ActionFrom(r.Context())
	return a.revoke(w, r, action, nightporter.Resource{Kind: "token", ID: nightporter.ActorFrom(r.Context()).Accessor})
}

func (a *App) deleteToken(w http.ResponseWriter, r *http.Request) error {
	action, resource := httpapi.ActionFrom(r.Context())
	return a.revoke(w, r, action, resource)
}

func (a *App) revoke(w http.ResponseWriter, r *http.Request, action nightporter.Action, resource nightporter.Resource) error {
	err := a.gate.Do(r.Context(), action, resource, func(tx *gate.Tx) error {
		tx.AfterCommit(a.reaper.Wake)
		return a.identity.Revoke(r.Context(), tx, resource.ID, "revoked")
	})
	return noContent(w, err)
}

func (a *App) postUser(w http.ResponseWriter, r *http.Request) error {
	var body userBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	if err := a.mayGive(nightporter.ActorFrom(r.Context()), body.Policies); err != nil {
		return err
	}
	return noContent(w, a.identity.SetPassword(r.Context(), body.Name, body.Password, body.Policies))
}

func (a *App) getPolicies(w http.ResponseWriter, r *http.Request) error {
	return listOf(w, r, a.policies.Names(), func(n string) policyBody {
		return policyBody{Name: n, Generated: a.identity.Generated(n)}
	}, func(p policyBody) string { return p.Name })
}

func (a *App) getPolicy(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("name")
	p, ok := a.policies.Get(name)
	if !ok {
		return nightporter.E(nightporter.NotFound, "there is no policy %s", name)
	}
	return httpapi.WriteJSON(w, http.StatusOK, policyBody{Name: name, Policy: p.Text, Generated: a.identity.Generated(name)})
}

func (a *App) putPolicy(w http.ResponseWriter, r *http.Request) error {
	var body policyText
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	return noContent(w, a.identity.PutPolicy(r.Context(), r.PathValue("name"), body.Policy))
}

func (a *App) deletePolicy(w http.ResponseWriter, r *http.Request) error {
	return noContent(w, a.identity.DeletePolicy(r.Context(), r.PathValue("name")))
}

func noContent(w http.ResponseWriter, err error) error {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
	}
	return err
}
