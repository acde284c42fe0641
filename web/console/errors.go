package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

// notPages are the paths under which nobody expects a page, whatever the browser
// says that it takes.
var notPages = []string{"/api/", "/v1/", "/workspaces/", "/hooks/", "/events", "/metrics", "/livez", "/readyz", "/static/"}

// WriteError answers with an error as people read it. It belongs under "/" in
// the front door's error writers. Somebody who is not signed in and asks for a
// page is sent to sign in; a program, and everything that is not a page, gets
// problem+json.
func (c *Console) WriteError(w http.ResponseWriter, r *http.Request, err error) {
	notPage := slices.ContainsFunc(notPages, func(p string) bool { return strings.HasPrefix(r.URL.Path, p) })
	if notPage || !wantsHTML(r) {
		httpapi.WriteProblem(w, r, err)
		return
	}
	problem := httpapi.ProblemOf(r.Context(), err)
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	if problem.Code == nightporter.Unauthenticated && reads {
		http.Redirect(w, r, signInFor(r.URL.RequestURI()), http.StatusSeeOther)
		return
	}
	if nightporter.ActorFrom(r.Context()).Name == "" && problem.Code != nightporter.Sealed {
		// Nobody asked who it is: the path is wrong. A page that has the rail
		// is of more use.
		if actor, _, err := c.cfg.Identity.Authenticate(r.Context(), TokenFromCookie(r), ""); err == nil {
			r = r.WithContext(nightporter.WithActor(r.Context(), actor))
		}
	}
	if problem.Code == nightporter.Unauthenticated {
		w.Header().Set("WWW-Authenticate", "Bearer") // RFC 9110 §15.5.2 demands one
	}
	if err := c.write(w, problem.Status, c.errorPage(r, problem)); err != nil {
		httpapi.WriteProblem(w, r, err)
	}
}

// signInFor is the sign-in page that leads back to a path.
func signInFor(path string) string {
	if next := localPath(path); next != "/" {
		return "/sign-in?next=" + url.QueryEscape(next)
	}
	return "/sign-in"
}

// errorPage puts a problem into words.
func (c *Console) errorPage(r *http.Request, p httpapi.Problem) *ErrorPage {
	e := &ErrorPage{
		Code: p.Code, Status: p.Status, RequestID: p.RequestID, Hint: sentence(p.Hint),
		Headline: sentence(p.Detail), Back: &Link{Text: "Back to Home", URL: "/"},
	}
	from := cameFrom(r)
	if r.Method == http.MethodPost {
		e.Message, e.Back = "Nothing was changed.", &Link{Text: "Back to the page", URL: from}
	}
	switch p.Code {
	case nightporter.Denied, nightporter.OwnChange, nightporter.Protected:
		e.Headline, e.Message = "You may not do this", sentence(p.Detail)+"."
	case nightporter.NotFound:
		if e.Hint == "" {
			e.Hint = "It may never have been there, or you may not see it."
		}
	case nightporter.Unauthenticated:
		e.Headline, e.Message, e.Hint = "Your session has ended", "Nothing was changed. Sign in and send it once more.", ""
		e.Back = &Link{Text: "Sign in", URL: signInFor(from)}
	case nightporter.Internal:
		e.Headline, e.Message = "Something went wrong on our side", "The cause is in the server's log under the request below."
	case nightporter.Sealed:
		e.Headline, e.Hint, e.Back, e.CLI = "The house is locked", "", nil, "nightporter status"
		e.Message = "The store is sealed: nothing is read, written, deployed or revoked until an operator unseals it."
	}
	e.Layout = c.layout(r, p.Title, "")
	return e
}

// cameFrom is the page of ours that a form was sent from, or Home.
func cameFrom(r *http.Request) string {
	u, err := url.Parse(r.Referer())
	if err != nil || u.Host != r.Host {
		return "/"
	}
	return localPath(u.RequestURI())
}
