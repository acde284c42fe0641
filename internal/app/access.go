package app

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security"
)

// access is what one person may do at a path, with the reason.
type access struct {
	Person     string                 `json:"person"`
	Path       string                 `json:"path"`
	Capability nightporter.Capability `json:"capability"`
	nightporter.Decision
}

func (a *App) accessRoutes() []httpapi.Route {
	return []httpapi.Route{{
		Method: http.MethodGet, Pattern: "/api/security/access", Action: httpapi.Does("access.list", nightporter.Read, "api/security/access"),
		Summary:  "Which people may do what, computed from the policies: ?path= ?capability= ?person= (with the reason of a refusal); without a path who can read production's credentials",
		Response: httpapi.List[access]{}, Handler: a.getAccess,
	}}
}

// people are everybody who could sign in as a person now, with the policies that
// such a session would have: the people of the configuration, and local users.
func (a *App) people(ctx context.Context, tx *store.Tx) ([]nightporter.Actor, error) {
	granted := map[string][]string{}
	for _, p := range a.catalog.Current().People() {
		granted[p.Name] = nil
	}
	users, err := identity.Users(ctx, tx, identity.LocalUsers)
	if err != nil {
		return nil, err
	}
	for _, name := range users {
		u, err := identity.FindUser(ctx, tx, identity.LocalUsers, name)
		if err != nil {
			return nil, err
		}
		granted[name] = u.Grants.Policies
	}
	out := make([]nightporter.Actor, 0, len(granted))
	for name, policies := range granted {
		out = append(out, a.identity.ActorOf(identity.Info{
			ActorKind: nightporter.Person, Actor: name, Policies: append(slices.Clone(policies), policy.DefaultName),
		}, ""))
	}
	slices.SortFunc(out, func(x, y nightporter.Actor) int { return strings.Compare(x.Name, y.Name) })
	return out, nil
}

// productionPaths are where the credentials of each service for production are lent.
func (a *App) productionPaths() map[string][]string {
	world := a.catalog.Current()
	out := map[string][]string{}
	for _, s := range world.Services() {
		for _, name := range world.EnvironmentsOf(s.Name) {
			if e, _ := world.Environment(name); e.Kind == nightporter.Production {
				out[s.Name] = append(out[s.Name], s.CredentialsIn(name)...)
			}
		}
	}
	return out
}

// readersAtMost is how many people may be able to read a service's production
// credentials.
const readersAtMost = 5

// proveReaders answers C5: the policies, asked for each person.
func (a *App) proveReaders(ctx context.Context, tx *store.Tx, now time.Time) ([]security.Claim, error) {
	people, err := a.people(ctx, tx)
	if err != nil {
		return nil, err
	}
	paths := a.productionPaths()
	var out []security.Claim
	for _, s := range a.catalog.Current().Services() {
		c := security.Claim{Check: "C5", About: "service/" + s.Name, At: now, State: security.Pass, Event: "the policies, evaluated now"}
		var who []string
		for _, p := range people {
			if slices.ContainsFunc(paths[s.Name], func(path string) bool {
				return a.identity.Decide(ctx, p, nightporter.Action{Name: "access.list", Capability: nightporter.Read, Path: path}).Allowed
			}) {
				who = append(who, p.Name)
			}
		}
		switch {
		case len(paths[s.Name]) == 0:
			c.State, c.Proof = security.NA, "it is lent no credentials in production"
		case len(who) > readersAtMost:
			c.State = security.Fail
			c.Proof = fmt.Sprintf("%d of %d people can read its production credentials, and %d should at most", len(who), len(people), readersAtMost)
		case len(who) == 0:
			c.Proof = fmt.Sprintf("none of %d people can read its production credentials", len(people))
		default:
			c.Proof = fmt.Sprintf("%d of %d people can read its production credentials: %s", len(who), len(people), strings.Join(who, ", "))
		}
		out = append(out, c)
	}
	return out, nil
}

func (a *App) getAccess(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	capability := nightporter.Capability(q.Get("capability"))
	if capability == "" {
		capability = nightporter.Read
	}
	var paths []string
	if path := q.Get("path"); path != "" {
		// What the policies are asked is a canonical path, as at every other door.
		if err := policy.Canonical(strings.TrimPrefix(path, "/")); err != nil {
			return err
		}
		paths = []string{strings.TrimPrefix(path, "/")}
	} else {
		for _, list := range a.productionPaths() {
			paths = append(paths, list...)
		}
		slices.Sort(paths)
		paths = slices.Compact(paths)
	}
	var rows []access
	err = a.view(r, func(ctx context.Context, tx *store.Tx) error {
		people, err := a.people(ctx, tx)
		if err != nil {
			return err
		}
		if name := q.Get("person"); name != "" {
			if people = slices.DeleteFunc(people, func(p nightporter.Actor) bool { return p.Name != name }); len(people) == 0 {
				return nightporter.E(nightporter.NotFound, "nobody is called %q", name)
			}
		}
		for _, path := range paths {
			for _, p := range people {
				d := a.identity.Decide(ctx, p, nightporter.Action{Name: "access.list", Capability: capability, Path: path})
				if d.Allowed || q.Get("person") != "" {
					rows = append(rows, access{p.Name, path, capability, d})
				}
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	cursor := func(v access) string { return v.Person + "@" + v.Path }
	if page.After != "" {
		i := slices.IndexFunc(rows, func(v access) bool { return cursor(v) == page.After })
		if i < 0 {
			return nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
		rows = rows[i+1:]
	}
	return httpapi.WriteList(w, page, rows, cursor)
}
