package httpapi

import (
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Access says who may come through a route without a declared action.
type Access string

// The kinds of access. The zero value asks for an action.
const (
	// Declared: whoever the policies allow the route's action.
	Declared Access = ""
	// Public: everybody, without a token. For health, sign-in, and webhooks
	// that carry a signature.
	Public Access = "public"
	// PublicOnLoopback: everybody on this machine; from elsewhere, whoever the
	// policies allow the route's action.
	PublicOnLoopback Access = "public on loopback"
)

// Credential says what a route takes as proof of who is there.
type Credential string

// The credentials. The zero value is [Token].
const (
	// Token: a token in a header. Cookies are taken off the request, so that
	// no page in a browser can act with somebody else's session.
	Token Credential = ""
	// TokenOrSession: a token, or the console's session cookie. What is not
	// safe must then prove that it comes from a page of ours.
	TokenOrSession Credential = "token or session"
)

// Keeping says whether an answer may be kept for an Idempotency-Key.
type Keeping string

// The ways to treat an answer. The zero value is [Kept].
const (
	Kept Keeping = ""
	// NotKept is for answers that hold a secret: they are never written down,
	// and the key is ignored.
	NotKept Keeping = "not kept"
)

// Handler answers a request. Its error becomes a problem, so it must not have
// written anything when it returns one.
type Handler func(w http.ResponseWriter, r *http.Request) error

// Plain makes a Handler of a handler that answers errors itself.
func Plain(h http.Handler) Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		h.ServeHTTP(w, r)
		return nil
	}
}

// ActionFunc says what a request wants to do, and to what. It may look things up
// to name them (a release's service, say); it decides nothing. Its errors answer
// the request.
type ActionFunc func(r *http.Request) (nightporter.Action, nightporter.Resource, error)

// Action is what a route declares that it does. Make one with [Does], [DoesTo]
// or [DoesWhat].
type Action struct {
	of         ActionFunc
	name       string // "" when only of knows
	capability nightporter.Capability
	path       string
	param      string // the wildcard that holds the resource's id, or ""
}

// Does declares the action of a route without an id: the same for each request.
func Does(name string, c nightporter.Capability, path string) Action {
	a := nightporter.Action{Name: name, Capability: c, Path: path}
	kind, _, _ := strings.Cut(name, ".")
	return Action{name: name, capability: c, path: path, of: func(*http.Request) (nightporter.Action, nightporter.Resource, error) {
		return a, nightporter.Resource{Kind: kind}, nil
	}}
}

// DoesTo declares the action of a route whose id is a name and stands in the
// policy's path too. path holds the route's wildcards, and the one called param
// is the resource's id:
//
//	DoesTo("service.deploy", nightporter.Update, "api/services/{name}/deploy", "service", "name")
func DoesTo(name string, c nightporter.Capability, path, kind, param string) Action {
	return Action{name: name, capability: c, path: path, param: param, of: func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
		full := expand(path, r)
		return nightporter.Action{Name: name, Capability: c, Path: full}, nightporter.Resource{Kind: kind, ID: r.PathValue(param)}, nil
	}}
}

// DoesWhat declares the action of a route whose id must be looked up, or whose
// path is somebody else's language, such as Vault's.
func DoesWhat(of ActionFunc) Action { return Action{of: of} }

// expand puts the request's path values into path.
func expand(path string, r *http.Request) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if name, ok := wildcard(s); ok {
			segments[i] = r.PathValue(name)
		}
	}
	return strings.Join(segments, "/")
}

// wildcard reads "{name}" or "{name...}".
func wildcard(segment string) (name string, ok bool) {
	if !strings.HasPrefix(segment, "{") || !strings.HasSuffix(segment, "}") {
		return "", false
	}
	return strings.TrimSuffix(segment[1:len(segment)-1], "..."), true
}

func wildcards(path string) []string {
	var names []string
	for s := range strings.SplitSeq(path, "/") {
		if name, ok := wildcard(s); ok && name != "$" {
			names = append(names, name)
		}
	}
	return names
}

// Route is one way in. A route that declares neither an Action nor that it is
// Public is refused by [New].
type Route struct {
	// Method is the HTTP method. Empty means every method, for handlers that
	// speak a foreign protocol.
	Method string
	// Pattern is a path in the syntax of [http.ServeMux]:
	// "/api/releases/{id}/approve". Ending it in a slash matches all below;
	// end it in /{$} to match the slash alone.
	Pattern string
	// Access is who may come in without an action. Default: nobody.
	Access Access
	// Action is what the route does.
	Action Action
	// Handler answers. Required.
	Handler Handler
	// Credential is what the route takes as proof. Default: a token.
	Credential Credential
	// MaxBody bounds the request's body, in bytes. Default 1 MiB.
	MaxBody int64
	// MaxDepth, when not 0, has a body checked with [CheckJSON] before the
	// handler sees it, which reads it into memory. [ReadJSON] checks by itself;
	// this is for foreign handlers that decode JSON.
	MaxDepth int
	// Timeout bounds the handler's context. Default 30 s; less than 0 is no
	// limit, for streams.
	Timeout time.Duration
	// Answer says whether an answer may be kept for an Idempotency-Key.
	// Default: kept.
	Answer Keeping
	// LogLevel is the level of the route's access log. Default info.
	LogLevel slog.Level

	// Summary is one line for the API's description. A route under /api/ that
	// has one is listed in /api/openapi.json.
	Summary string
	// Request and Response are examples of the types of the bodies, for the
	// same description. Nil means none.
	Request, Response any
}

func (route Route) String() string { return strings.TrimSpace(route.Method + " " + route.Pattern) }

// check says what is wrong with a route's declaration.
func (route Route) check() error {
	declared := route.Action.of != nil
	switch {
	case !strings.HasPrefix(route.Pattern, "/"):
		return fmt.Errorf("route %s: the pattern must be a path, without a host", route)
	case route.Handler == nil:
		return fmt.Errorf("route %s has no handler", route)
	case route.Access == Declared && !declared:
		return fmt.Errorf("route %s declares no action: say what it does with httpapi.Does, DoesTo or DoesWhat, or that it is httpapi.Public", route)
	case route.Access == Public && declared:
		return fmt.Errorf("route %s is public and declares an action: nothing would check it", route)
	case route.Access == PublicOnLoopback && !declared:
		return fmt.Errorf("route %s declares no action for those who are not on loopback", route)
	case route.Access != Declared && route.Access != Public && route.Access != PublicOnLoopback:
		return fmt.Errorf("route %s: there is no access %q", route, route.Access)
	case route.Credential != Token && route.Credential != TokenOrSession:
		return fmt.Errorf("route %s: there is no credential %q", route, route.Credential)
	}
	if route.Action.name == "" { // public, or DoesWhat, which knows by itself
		return nil
	}
	ids, named := wildcards(route.Pattern), wildcards(route.Action.path)
	switch {
	case len(ids) > 0 && route.Action.param == "":
		return fmt.Errorf("route %s has an id and an action that does not name its resource: use httpapi.DoesTo or DoesWhat", route)
	case route.Action.param != "" && !slices.Contains(ids, route.Action.param):
		return fmt.Errorf("route %s names its resource by {%s}, which its pattern does not have", route, route.Action.param)
	case route.Method == http.MethodGet && route.Action.capability != nightporter.Read && route.Action.capability != nightporter.List:
		return fmt.Errorf("route %s asks for %s: a GET changes nothing, so it needs read or list", route, route.Action.capability)
	}
	for _, id := range ids {
		if !slices.Contains(named, id) {
			return fmt.Errorf("route %s: its action's path %s does not hold {%s}, so a policy could not tell two of them apart", route, route.Action.path, id)
		}
	}
	for _, name := range named {
		if !slices.Contains(ids, name) {
			return fmt.Errorf("route %s: its action's path %s holds {%s}, which the pattern does not have", route, route.Action.path, name)
		}
	}
	return nil
}
