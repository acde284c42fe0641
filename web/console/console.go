package console

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	"nightporter.dev/nightporter/metrics/dashboards"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
)

// Config is what a [Console] needs.
type Config struct {
	Gate     *gate.Gate         // required
	Catalog  *catalog.Catalog   // required
	Identity *identity.Identity // required
	Releases *releases.Releases // required
	// Databases hands out logins, and Vault answers for a person's own; nil,
	// both, means that there are no pages about secrets.
	Databases *database.Engine
	Vault     *vault.Vault
	// Environments is nil where there are no pages about environments.
	Environments *environments.Environments
	// Repos is nil where there are no pages about repositories.
	Repos *repos.Repos
	// Security is nil where there are no pages about security.
	Security *security.Security
	// Dashboards is nil where there are no pages of graphs.
	Dashboards *dashboards.Dashboards
	Log        *slog.Logger // nil is silent
	// Now is the schedules' clock. nil means time.Now.
	Now func() time.Time
	// RealNow is the time of sessions, and of all that pages show. Its
	// location is the one that times are shown in. nil means time.Now.
	RealNow func() time.Time
	// Demo is set when Now is a demo's clock: every page then shows it in red.
	Demo bool
	// Version is the program's own; it stands in the help. "" shows none.
	Version string
	// Refused says how many webhooks had a wrong signature, by forge. nil
	// means that nobody counts.
	Refused func() map[string]int64
	// NextEvent says what the schedule does next; nil, or a nil answer, means
	// that there is no schedule.
	NextEvent func() *NextEvent
}

// Console answers browsers. Make one with [New], give its Routes and its
// WriteError to the front door, call Notify when something changed, and Close it
// when the server shuts down.
type Console struct {
	cfg      Config
	renderer *Renderer
	hub      *hub
	boards   boards
}

// New makes a console. It starts nothing.
func New(cfg Config) (*Console, error) {
	if cfg.Gate == nil || cfg.Catalog == nil || cfg.Identity == nil || cfg.Releases == nil {
		return nil, errors.New("console: Gate, Catalog, Identity and Releases are required")
	}
	if cfg.Databases != nil && cfg.Vault == nil {
		return nil, errors.New("console: Databases goes with Vault")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.RealNow == nil {
		cfg.RealNow = time.Now
	}
	if cfg.Refused == nil {
		cfg.Refused = func() map[string]int64 { return nil }
	}
	if cfg.NextEvent == nil {
		cfg.NextEvent = func() *NextEvent { return nil }
	}
	renderer, err := NewRenderer()
	if err != nil {
		return nil, err
	}
	return &Console{cfg: cfg, renderer: renderer, hub: newHub()}, nil
}

// Notify has every open page look again. It never blocks, and may be called more
// often than anything changes.
func (c *Console) Notify() { c.hub.notify() }

// Close ends the open streams and refuses new ones, so that the server can shut
// down. It may be called twice.
func (c *Console) Close() { c.hub.close() }

// WhenSealed lists the paths that must be answered while the store is sealed, so
// that the page which says so has its style.
func (c *Console) WhenSealed() []string {
	var paths []string
	for path := range c.renderer.assets.version {
		paths = append(paths, "/"+path)
	}
	return paths
}

// maxForm bounds a form: the longest field is a comment.
const maxForm = 64 << 10

// Routes are the console's ways in. The pages ask for what the API's routes of
// the same content ask for, so that a policy need not know that there are pages.
func (c *Console) Routes() []httpapi.Route {
	look := func(pattern string, action httpapi.Action, p page) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodGet, Pattern: pattern, Action: action, Handler: c.show(p), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		}
	}
	routes := []httpapi.Route{
		look("/{$}", httpapi.Does("board.read", nightporter.Read, "api/board"), page{c.home, nil}),
		look("/services", httpapi.Does("board.read", nightporter.Read, "api/board"), page{c.board, boardTwin}),
		look("/services/{name}", httpapi.DoesTo("service.read", nightporter.Read, "api/services/{name}", "service", "name"), page{c.service, serviceTwin}),
		look("/releases/{id}", httpapi.DoesTo("release.read", nightporter.Read, "api/releases/{id}", "release", "id"), page{c.release, c.releaseTwin}),
		look("/activity", httpapi.Does("audit.list", nightporter.Read, "api/audit"), page{c.activity, activityTwin}),
		look("/activity/{entry}", httpapi.DoesTo("audit.proof", nightporter.Read, "api/audit/{entry}", "audit", "entry"), page{c.entry, entryTwin}),
		{
			Method: http.MethodGet, Pattern: "/events", Action: httpapi.Does("event.listen", nightporter.Read, "api/events"),
			Handler: c.events, Credential: httpapi.TokenOrSession, Timeout: -1, LogLevel: slog.LevelDebug,
		},
		{Method: http.MethodGet, Pattern: "/static/", Access: httpapi.Public, Handler: httpapi.Plain(c.renderer.Static()), LogLevel: slog.LevelDebug},
		{Method: http.MethodGet, Pattern: "/favicon.ico", Access: httpapi.Public, Handler: c.favicon, LogLevel: slog.LevelDebug},
	}
	return slices.Concat(routes, c.secretRoutes(), c.environmentRoutes(), c.repoRoutes(), c.dashboardRoutes(), c.deliveryRoutes(), c.securityRoutes(), c.signInRoutes(), c.formRoutes())
}

// favicon is for browsers that ask without reading a page.
func (c *Console) favicon(w http.ResponseWriter, r *http.Request) error {
	address, err := c.renderer.assets.url("favicon.svg")
	if err != nil {
		return err
	}
	http.Redirect(w, r, address, http.StatusFound)
	return nil
}

// page is a page and its twin in JSON, which answers as the API does. Both read
// from one snapshot. A nil twin leaves programs to the API.
type page struct {
	html func(ctx context.Context, v *visit) (Page, error)
	json func(ctx context.Context, v *visit) (any, error)
}

// show makes the handler of a page.
func (c *Console) show(p page) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		ctx := r.Context()
		action, resource := httpapi.ActionFrom(ctx)
		w.Header().Set("Vary", "Accept, Cookie")
		asJSON := !wantsHTML(r) && p.json != nil && strings.Contains(r.Header.Get("Accept"), "json")
		var html Page
		var twin any
		change := c.hub.last() // before the snapshot: what comes between them counts as new
		err := c.cfg.Gate.View(ctx, action, resource, func(tx *store.Tx) (err error) {
			v := c.visit(r, tx, change)
			if asJSON {
				twin, err = p.json(ctx, v)
			} else {
				html, err = p.html(ctx, v)
			}
			return err
		})
		switch {
		case err != nil:
			return err
		case asJSON:
			return httpapi.WriteJSON(w, http.StatusOK, twin)
		}
		return c.write(w, http.StatusOK, html)
	}
}

// write answers with a page. Nothing is written when it returns an error.
func (c *Console) write(w http.ResponseWriter, status int, p Page) error {
	var b bytes.Buffer
	if err := c.renderer.Render(&b, p); err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", ContentSecurityPolicy)
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = b.WriteTo(w) // a browser that went away is no fault of ours
	return nil
}

// wantsHTML says whether a browser asks: programs do not name text/html.
func wantsHTML(r *http.Request) bool { return strings.Contains(r.Header.Get("Accept"), "text/html") }
