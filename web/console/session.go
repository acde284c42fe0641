package console

import (
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
)

// The cookie's names. __Host- keeps it to this host and to TLS (RFC 6265bis
// §4.1.3.2); plain HTTP, which is for loopback, cannot set such a cookie.
const (
	secureCookie = "__Host-nightporter"
	plainCookie  = "nightporter"
)

func cookieName(r *http.Request) string {
	if r.TLS != nil {
		return secureCookie
	}
	return plainCookie
}

// TokenFromCookie returns the session's token that a browser sent, or "". Whoever
// authenticates with it sets the actor's method to "session".
func TokenFromCookie(r *http.Request) string {
	cookie, err := r.Cookie(cookieName(r))
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setSession gives the browser its session, or takes it away with an empty token.
func setSession(w http.ResponseWriter, r *http.Request, token string) {
	cookie := &http.Cookie{
		Name: cookieName(r), Value: token, Path: "/", HttpOnly: true, Secure: r.TLS != nil, SameSite: http.SameSiteLaxMode,
		MaxAge: int(identity.SessionMax.Seconds()),
	}
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, cookie)
}

func (c *Console) signInRoutes() []httpapi.Route {
	// Redeeming a code is for whoever sits at this machine. Anybody else would
	// have to be allowed what making codes asks for.
	code := func(method string, can nightporter.Capability, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: method, Pattern: "/sign-in/code", Access: httpapi.PublicOnLoopback, Action: httpapi.Does("login.code", can, "auth/token/create"),
			Handler: h, Credential: httpapi.TokenOrSession, MaxBody: maxForm, Answer: httpapi.NotKept, LogLevel: slog.LevelDebug,
		}
	}
	return []httpapi.Route{
		{Method: http.MethodGet, Pattern: "/sign-in", Access: httpapi.Public, Handler: c.getSignIn, Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug},
		{
			Method: http.MethodPost, Pattern: "/sign-in", Access: httpapi.Public, Handler: c.postSignIn, Credential: httpapi.TokenOrSession,
			MaxBody: maxForm, Answer: httpapi.NotKept,
		},
		code(http.MethodGet, nightporter.Read, c.getCode),
		code(http.MethodPost, nightporter.Update, c.postCode),
		{
			Method: http.MethodPost, Pattern: "/sign-out", Action: httpapi.Does("logout", nightporter.Update, "auth/token/revoke-self"),
			Handler: c.postSignOut, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
		},
	}
}

// getSignIn shows the form, or goes on for a browser that has a session.
func (c *Console) getSignIn(w http.ResponseWriter, r *http.Request) error {
	next := localPath(r.URL.Query().Get("next"))
	if token := TokenFromCookie(r); token != "" {
		if _, _, err := c.cfg.Identity.Authenticate(r.Context(), token, httpapi.SourceFrom(r.Context()).String()); err == nil {
			http.Redirect(w, r, next, http.StatusSeeOther)
			return nil
		}
	}
	return c.signInPage(w, r, http.StatusOK, SignIn{Next: next})
}

func (c *Console) signInPage(w http.ResponseWriter, r *http.Request, status int, p SignIn) error {
	p.Layout = c.layout(r, "Sign in", "")
	p.Rail, p.Foot, p.Person = nil, nil, nil
	p.URL, p.CodeURL = "/sign-in", "/sign-in/code"
	return c.write(w, status, &p)
}

func (c *Console) postSignIn(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	p := SignIn{Name: r.PostForm.Get("username"), Next: localPath(r.PostForm.Get("next"))}
	token, _, err := c.cfg.Identity.Login(r.Context(), p.Name, r.PostForm.Get("password"), httpapi.SourceFrom(r.Context()).String(), identity.Session)
	return c.signedIn(w, r, p, token, err)
}

// getCode shows a button: a link alone must not sign anybody in, because mail
// programs and browsers fetch links that nobody pressed.
func (c *Console) getCode(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	p := SignIn{Next: localPath(q.Get("next")), Code: q.Get("code")}
	if p.Code == "" {
		p.Problem = "This link holds no code."
	}
	return c.signInPage(w, r, http.StatusOK, p)
}

func (c *Console) postCode(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	p := SignIn{Next: localPath(r.PostForm.Get("next"))}
	token, _, err := c.cfg.Identity.Redeem(r.Context(), r.PostForm.Get("code"), httpapi.SourceFrom(r.Context()).String())
	return c.signedIn(w, r, p, token, err)
}

// signedIn answers a sign-in: with the session and the way on, or with the form
// and what was wrong.
func (c *Console) signedIn(w http.ResponseWriter, r *http.Request, p SignIn, token string, err error) error {
	switch code := nightporter.CodeOf(err); code {
	case "":
		setSession(w, r, token)
		http.Redirect(w, r, p.Next, http.StatusSeeOther)
		return nil
	case nightporter.Unauthenticated, nightporter.Limited:
		p.Problem = sentence(nightporter.MessageOf(err)) + "."
		return c.signInPage(w, r, httpapi.StatusOf(code), p)
	}
	return err
}

// postSignOut ends the session, not only the browser's copy of it.
func (c *Console) postSignOut(w http.ResponseWriter, r *http.Request) error {
	ctx := r.Context()
	accessor := nightporter.ActorFrom(ctx).Accessor
	action, _ := httpapi.ActionFrom(ctx)
	err := c.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "token", ID: accessor}, func(tx *gate.Tx) error {
		return c.cfg.Identity.Revoke(ctx, tx, accessor, "signed out")
	})
	if err != nil {
		return err
	}
	setSession(w, r, "")
	c.Notify() // its open pages learn it at once
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
	return nil
}

// localPath returns a path of ours to go to after signing in, or "/". Everything
// that a browser could read as another host is refused: it treats \ as /, and
// drops tabs and line breaks (WHATWG URL, "basic URL parser").
func localPath(next string) string {
	if !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") || strings.ContainsFunc(next, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.Host != "" || u.Scheme != "" || u.User != nil || u.Path == "/sign-out" || u.Path == "/sign-in" || strings.HasPrefix(u.Path, "/sign-in/") {
		return "/"
	}
	return next
}

// readForm reads a form's fields into r.PostForm.
func readForm(r *http.Request) error {
	if err := r.ParseForm(); err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the form cannot be read")
	}
	return nil
}
