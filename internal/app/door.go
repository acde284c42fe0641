package app

import (
	"context"
	"net/http"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/web/console"
)

// openDoor builds the HTTP handler from everybody's routes.
func (a *App) openDoor() (err error) {
	routes := slices.Concat(
		httpapi.HealthRoutes(httpapi.HealthConfig{Sealed: a.Sealed, Ready: a.ready, Metrics: a.metrics}),
		a.routes(), a.moduleRoutes(), a.vault.Routes(), a.console.Routes(),
	)
	routes = append(routes, httpapi.OpenAPIRoute(a.opts.Version, routes))
	a.handler, err = httpapi.New(httpapi.Config{
		Routes: routes, Authenticate: a.authenticate, Authorise: a.authorise, Log: a.log, Metrics: a.metrics, Sealed: a.Sealed,
		Idempotency: idempotency{a}, RefusalsPerMinute: 120, WhenSealed: append(httpapi.DefaultWhenSealed(), a.console.WhenSealed()...),
		Errors: map[string]httpapi.ErrorWriter{
			"/": a.console.WriteError, "/api/": httpapi.WriteProblem, "/hooks/": httpapi.WriteProblem,
			"/v1/": a.vault.Errors(), "/workspaces/": metrics.WriteError,
		},
	})
	return err
}

// ready says why the house cannot work, or nil: the store must answer.
func (a *App) ready(ctx context.Context) error {
	return a.db.View(ctx, func(tx *store.Tx) error {
		var one int
		return tx.QueryRow(ctx, `SELECT 1`).Scan(&one)
	})
}

// authenticate says who sends a request: whoever holds the token in the header,
// or, on the routes that take one, the session in the cookie.
func (a *App) authenticate(r *http.Request) (nightporter.Actor, error) {
	token, byCookie := httpapi.TokenOrPasswordOf(r), false
	if token == "" {
		token, byCookie = console.TokenFromCookie(r), true
	}
	if token == "" {
		return nightporter.Actor{}, nightporter.E(nightporter.Unauthenticated, "sign in first").WithHint("nightporter login")
	}
	actor, info, err := a.identity.Authenticate(r.Context(), token, httpapi.SourceFrom(r.Context()).String())
	if err != nil || !byCookie {
		return actor, err
	}
	// Only a session may come in a cookie, and it must not be a token that
	// somebody planted in the browser.
	if info.Kind != identity.Session {
		return nightporter.Actor{}, nightporter.E(nightporter.Unauthenticated, "sign in first")
	}
	actor.Method = "session"
	return actor, a.identity.Touch(r.Context(), info)
}

// authorise asks the policies for a route. What is done to what is known by the
// time the gate is asked again.
func (a *App) authorise(ctx context.Context, action nightporter.Action) error {
	_, resource := httpapi.ActionFrom(ctx)
	return a.gate.Authorise(ctx, action, resource)
}

// idempotency keeps answers in the store.
type idempotency struct{ a *App }

func (i idempotency) keep(ctx context.Context, fn func(*store.Tx) error) error {
	return i.a.gate.Keep(ctx, "idempotency", fn)
}

func (i idempotency) Reserve(ctx context.Context, t httpapi.Attempt, now time.Time) (reserved bool, err error) {
	err = i.keep(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE expires_at <= ?`, store.Micros(now)); err != nil {
			return err
		}
		n, err := tx.Exec(ctx, `INSERT INTO idempotency (key, request, status, content_type, location, body, expires_at)
			VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING`, t.Key, t.Request, t.Status, t.ContentType, t.Location,
			append([]byte{}, t.Body...), store.Micros(t.Expires))
		reserved = n > 0
		return err
	})
	return reserved, err
}

func (i idempotency) Load(ctx context.Context, key string) (t httpapi.Attempt, err error) {
	err = i.a.db.View(ctx, func(tx *store.Tx) error {
		var expires int64
		err := tx.QueryRow(ctx, `SELECT key, request, status, content_type, location, body, expires_at FROM idempotency WHERE key = ?`, key).
			Scan(&t.Key, &t.Request, &t.Status, &t.ContentType, &t.Location, &t.Body, &expires)
		if store.IsNotFound(err) {
			return nightporter.E(nightporter.NotFound, "nothing is kept under this key")
		}
		t.Expires = store.Time(expires)
		return err
	})
	return t, err
}

func (i idempotency) Complete(ctx context.Context, t httpapi.Attempt) error {
	return i.keep(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `UPDATE idempotency SET request = ?, status = ?, content_type = ?, location = ?, body = ?, expires_at = ? WHERE key = ?`,
			t.Request, t.Status, t.ContentType, t.Location, append([]byte{}, t.Body...), store.Micros(t.Expires), t.Key)
		return err
	})
}

func (i idempotency) Forget(ctx context.Context, key string) error {
	return i.keep(ctx, func(tx *store.Tx) error {
		_, err := tx.Exec(ctx, `DELETE FROM idempotency WHERE key = ?`, key)
		return err
	})
}
