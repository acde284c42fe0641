package policy

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Request is what a decision may depend on beside the path: the fields of the
// body and the response wrapping that was asked for. The zero Request has
// neither.
type Request struct {
	// Data are the fields of the request's body, numbers as json.Number as the
	// body's decoder left them.
	Data map[string]any
	// WrapTTL is the wrapping that the request asks for, 0 for none.
	WrapTTL time.Duration
}

type requestKey struct{}

// WithRequest returns a context that carries r to the gate's Decider. Whoever
// serves /v1 sets it once per request; without it a rule that demands parameters
// or wrapping refuses, and a rule about values has none to look at.
func WithRequest(ctx context.Context, r Request) context.Context {
	return context.WithValue(ctx, requestKey{}, r)
}

// RequestFrom returns what [WithRequest] put into ctx, or the zero Request.
func RequestFrom(ctx context.Context) Request {
	r, _ := ctx.Value(requestKey{}).(Request)
	return r
}

// limits narrow what a rule grants.
type limits struct {
	allowed, denied map[string][]any
	required        []string
	wrapping        wrappingTTL
}

// wrappingTTL bounds the TTL of response wrapping. Zero is no bound; any bound
// makes wrapping mandatory.
type wrappingTTL struct{ min, max time.Duration }

// join adds the limits of another rule with the same pattern, as Vault does.
// Parameters of both hold together; of two wrapping bounds the shorter wins.
func (l limits) join(o limits) limits {
	shorter := func(a, b time.Duration) time.Duration {
		if a == 0 || b != 0 && b < a {
			return b
		}
		return a
	}
	return limits{
		allowed:  joinParameters(l.allowed, o.allowed),
		denied:   joinParameters(l.denied, o.denied),
		required: append(slices.Clone(l.required), o.required...),
		wrapping: wrappingTTL{shorter(l.wrapping.min, o.wrapping.min), shorter(l.wrapping.max, o.wrapping.max)},
	}
}

// joinParameters unites two rules' parameters. An empty list stands for every
// value, so it swallows the values of the other rule.
func joinParameters(a, b map[string][]any) map[string][]any {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 {
		return a
	}
	joined := make(map[string][]any, len(a)+len(b))
	for key, values := range a {
		joined[key] = values
	}
	for key, values := range b {
		have, ok := joined[key]
		switch {
		case ok && (len(have) == 0 || len(values) == 0):
			joined[key] = nil
		default:
			joined[key] = append(slices.Clone(have), values...)
		}
	}
	return joined
}

// check says what a request runs into, in words that name no value: values may
// be secrets. An empty answer is a pass.
func (l *limits) check(need nightporter.Capability, r Request) string {
	w := l.wrapping
	switch {
	case w.min > 0 && w.max > 0 && w.max < w.min:
		// Two policies can join to this although each is right.
		return "asks for response wrapping within bounds that no TTL meets"
	case (w.min > 0 || w.max > 0) && r.WrapTTL <= 0:
		return "asks for response wrapping"
	case w.max > 0 && r.WrapTTL > w.max:
		return "allows response wrapping for at most " + w.max.String()
	case w.min > 0 && r.WrapTTL < w.min:
		return "asks for response wrapping for at least " + w.min.String()
	}
	switch need {
	case nightporter.Create, nightporter.Read, nightporter.Update, nightporter.Patch:
		return l.checkParameters(r.Data)
	}
	return ""
}

func (l *limits) checkParameters(data map[string]any) string {
	for _, name := range l.required {
		if _, ok := data[name]; !ok {
			return "demands the parameter " + name
		}
	}
	if len(data) == 0 {
		return ""
	}
	if _, all := l.denied["*"]; all {
		return "allows no parameters"
	}
	for name, value := range data {
		if values, ok := l.denied[strings.ToLower(name)]; ok && inList(value, values) {
			return "denies the parameter " + name + " or its value"
		}
	}
	if len(l.allowed) == 0 {
		return ""
	}
	_, any := l.allowed["*"]
	if any && len(l.allowed) == 1 {
		return ""
	}
	for name, value := range data {
		values, ok := l.allowed[strings.ToLower(name)]
		switch {
		case !ok && !any:
			return "does not allow the parameter " + name
		case ok && !inList(value, values):
			return "does not allow this value of the parameter " + name
		}
	}
	return ""
}

// inList reports whether a value is among those of a rule; an empty list stands
// for every value. Text may match a star at either end. Types count: 1 is not
// "1", and a json.Number equals no number of a policy, which is how Vault
// compares.
func inList(value any, list []any) bool {
	if len(list) == 0 {
		return true
	}
	for _, want := range list {
		pattern, ok1 := want.(string)
		text, ok2 := value.(string)
		if ok1 && ok2 {
			if matchEnds(pattern, text) {
				return true
			}
		} else if reflect.DeepEqual(want, value) {
			return true
		}
	}
	return false
}

// matchEnds compares text with a pattern that may start or end with a star.
func matchEnds(pattern, text string) bool {
	if len(pattern) < 2 {
		return pattern == text
	}
	rest, front := strings.CutPrefix(pattern, "*")
	rest, back := strings.CutSuffix(rest, "*")
	switch {
	case front && back:
		return strings.Contains(text, rest)
	case front:
		return strings.HasSuffix(text, rest)
	case back:
		return strings.HasPrefix(text, rest)
	}
	return pattern == text
}
