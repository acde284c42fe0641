package httpapi

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"nightporter.dev/nightporter"
)

// through is the way of a request once its route is known.
func (a *api) through(route Route) http.Handler {
	maxBody := route.MaxBody
	if maxBody <= 0 {
		maxBody = 1 << 20
	}
	timeout := route.Timeout
	if timeout == 0 {
		timeout = 30 * time.Second
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x := exchangeOf(r.Context())
		x.route = &route
		if timeout > 0 {
			ctx, cancel := context.WithTimeout(r.Context(), timeout)
			defer cancel()
			r = r.WithContext(ctx)
		} else if r.ContentLength == 0 {
			// The server's ReadTimeout also ends the wait for a client to hang
			// up, which net/http takes for the client hanging up.
			_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
		}
		if r.ContentLength > maxBody {
			a.fail(x, r, &http.MaxBytesError{Limit: maxBody})
			return
		}
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		r, err := a.admit(x, r, route)
		if err == nil && route.MaxDepth > 0 {
			err = checkBody(r, route.MaxDepth)
		}
		if err == nil {
			err = a.answer(x, r, route)
		}
		if err != nil {
			a.fail(x, r, err)
		}
	})
}

// admit finds out who sends r and what for, and whether they may. The request it
// returns carries both.
func (a *api) admit(x *exchange, r *http.Request, route Route) (*http.Request, error) {
	if a.cfg.Sealed() && !slices.Contains(a.cfg.WhenSealed, r.URL.Path) {
		return r, nightporter.E(nightporter.Sealed, "the store is sealed").WithHint("nightporter status says how to unseal it")
	}
	// Before asking who it is: signing somebody in from a foreign page is an
	// attack as well.
	if err := a.sameOrigin(r, route); err != nil {
		a.numbers.refused.With("cross_origin").Inc()
		return r, err
	}
	if route.Access == Public || route.Access == PublicOnLoopback && onLoopback(r) {
		return r, nil
	}

	actor, err := a.cfg.Authenticate(r)
	if err == nil && actor.Name == "" {
		err = nightporter.E(nightporter.Unauthenticated, "sign in first").WithHint("nightporter login")
	}
	if nightporter.CodeOf(err) == nightporter.Unauthenticated {
		return r, a.refuse(x, err)
	}
	if err != nil {
		return r, err
	}
	actor.Remote = x.source.String()
	x.actor = actor
	ctx := nightporter.WithActor(r.Context(), actor)
	r = r.WithContext(ctx)

	action, resource, err := route.Action.of(r)
	if err != nil {
		return r, err
	}
	ctx = context.WithValue(ctx, declaredKey{}, declared{action, resource})
	if err := a.cfg.Authorise(ctx, action); err != nil {
		return r, err
	}
	return r.WithContext(ctx), nil
}

// sameOrigin keeps what a browser sends along by itself, cookies and remembered
// passwords, from acting for a foreign page.
func (a *api) sameOrigin(r *http.Request, route Route) error {
	if route.Credential == TokenOrSession && TokenOf(r) == "" {
		return crossOrigin(a.origins, r)
	}
	r.Header.Del("Cookie")
	if _, _, basic := r.BasicAuth(); basic {
		if err := a.origins.Check(r); err != nil {
			return nightporter.Wrap(err, nightporter.Denied, "this request did not come from a page of ours")
		}
	}
	return nil
}

// refuse counts a request without a valid token.
func (a *api) refuse(x *exchange, err error) error {
	if wait := a.refusals.note(x.source, time.Now()); wait > 0 {
		a.numbers.refused.With("limited").Inc()
		retryAfter(x, wait)
		return nightporter.Wrap(err, nightporter.Limited, "too many requests without a valid token").WithHint("wait a minute")
	}
	a.numbers.refused.With("unauthenticated").Inc()
	return err
}

// answer calls the handler, or repeats what it answered before.
func (a *api) answer(x *exchange, r *http.Request, route Route) error {
	key := r.Header.Get("Idempotency-Key")
	if key == "" || r.Method != http.MethodPost || a.cfg.Idempotency == nil || x.actor.Name == "" {
		return route.Handler(x, r)
	}
	if route.Answer == NotKept {
		x.Header().Set("Idempotency-Key-Status", "not-kept")
		return route.Handler(x, r)
	}
	return a.once(x, r, route, key)
}

type declaredKey struct{}

type declared struct {
	action   nightporter.Action
	resource nightporter.Resource
}

// ActionFrom returns what the context's request was allowed to do, and to what,
// for handing on to the gate. Both are zero on a public route.
func ActionFrom(ctx context.Context) (nightporter.Action, nightporter.Resource) {
	d, _ := ctx.Value(declaredKey{}).(declared)
	return d.action, d.resource
}

// checkBody reads a body, checks it with CheckJSON and puts it back.
func checkBody(r *http.Request, depth int) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return CheckJSON(b, depth)
}
