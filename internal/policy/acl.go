package policy

import (
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// ACL is a set of policies, joined and indexed. It does not change and may be
// used by many goroutines.
type ACL struct {
	root  bool
	exact map[string]*grant
	globs index
	all   []*grant
	names []string // of the policies, for reasons

	// closed names the policy whose deny rule could not be put in place. The
	// ACL then refuses everything: leaving the rule out would grant.
	closed string
	// validUntil is when the first rule that expires does so; zero is never.
	validUntil time.Time
}

// grant is what one pattern gives, joined over the policies that hold it.
type grant struct {
	pattern pattern
	can     capabilities
	limits  limits
	limited bool
	sources []source
}

// source is one policy's share in a grant.
type source struct {
	policy string
	can    capabilities
}

// Compile joins policies into an ACL for one identity at one time. The order of
// the policies does not matter. A rule is left out when it has expired, or when
// the identity lacks a value that its pattern asks for, as in Vault.
//
// A rule whose value holds path syntax ("*", "a/b") is left out too; if that
// rule would deny something, the whole ACL refuses everything, because nobody
// can say what the rule was meant to protect.
func Compile(policies []*Policy, id Identity, now time.Time) *ACL {
	policies = slices.Clone(policies)
	slices.SortFunc(policies, func(a, b *Policy) int { return strings.Compare(a.Name, b.Name) })
	a := &ACL{exact: map[string]*grant{}}
	type key struct {
		form form
		text string
	}
	joined := map[key]*grant{}
	for _, p := range policies {
		a.names = append(a.names, p.Name)
		for i := range p.rules {
			r := &p.rules[i]
			if !r.Expires.IsZero() {
				if !now.Before(r.Expires) {
					continue
				}
				if a.validUntil.IsZero() || r.Expires.Before(a.validUntil) {
					a.validUntil = r.Expires
				}
			}
			pat, how := r.pattern.fill(id)
			if how == unsafe && r.grants&denied != 0 && a.closed == "" {
				a.closed = p.Name
			}
			if how != fits {
				continue
			}
			k := key{pat.form, pat.String()}
			if joined[k] == nil {
				joined[k] = &grant{pattern: pat}
				a.all = append(a.all, joined[k])
			}
			joined[k].join(p.Name, r)
		}
	}
	a.build()
	return a
}

// rootACL allows everything.
func rootACL() *ACL { return &ACL{root: true, names: []string{RootName}} }

func (g *grant) join(policy string, r *Rule) {
	first := len(g.sources) == 0
	if last := len(g.sources) - 1; !first && g.sources[last].policy == policy {
		g.sources[last].can |= r.grants
	} else {
		g.sources = append(g.sources, source{policy, r.grants})
	}
	if first {
		g.limits = r.limits
	} else {
		g.limits = g.limits.join(r.limits)
	}
	if g.can |= r.grants; g.can&denied != 0 {
		g.can, g.limits = denied, limits{}
	}
}

func (a *ACL) build() {
	var matchers []*matcher
	for _, g := range a.all {
		l := &g.limits
		g.limited = len(l.allowed) > 0 || len(l.denied) > 0 || len(l.required) > 0 || l.wrapping != wrappingTTL{}
		if g.pattern.form == exact {
			a.exact[g.pattern.String()] = g
		} else {
			matchers = append(matchers, newMatcher(g.pattern, g))
		}
	}
	a.globs = newIndex(matchers)
}

// find returns the grant that rules path, or nil.
func (a *ACL) find(path string) *grant {
	if g, ok := a.exact[path]; ok {
		return g
	}
	return a.globs.find(path)
}

// findList is find for LIST, whose paths end in a slash. Authors forget that
// slash, so Vault also asks for the path without it: after the exact rule, and
// again after the globs. The order matters: asking without the slash first let
// a broad grant win over a deny on "private/*" (GHSA-xp3c-3jw3-4vcr).
func (a *ACL) findList(path string) *grant {
	bare, slash := strings.CutSuffix(path, "/")
	if !slash {
		return a.find(path)
	}
	if g, ok := a.exact[path]; ok {
		return g
	}
	if g, ok := a.exact[bare]; ok {
		return g
	}
	if g := a.globs.find(path); g != nil {
		return g
	}
	return a.globs.find(bare)
}

// Capabilities answers sys/capabilities for a path: sorted names, ["root"] for
// root, and ["deny"] where nothing is granted. The path is taken as it comes;
// slashes at its start are dropped.
func (a *ACL) Capabilities(path string) []string {
	if a.root {
		return []string{RootName}
	}
	path = strings.TrimLeft(path, "/")
	g := a.findList(path)
	if a.closed != "" || g == nil || g.can&^denied == 0 {
		return []string{string(nightporter.Deny)}
	}
	return g.can.names()
}

// GrantsBelow reports whether any pattern grants something on a path that starts
// with prefix, which ends in a slash. Vault shows a mount to whoever has a right
// below it.
func (a *ACL) GrantsBelow(prefix string) bool {
	if a.root {
		return true
	}
	if a.closed != "" {
		return false
	}
	for _, g := range a.all {
		if g.can&^denied == 0 {
			continue
		}
		if g.pattern.form == exact {
			if strings.HasPrefix(g.pattern.String(), prefix) {
				return true
			}
		} else if newMatcher(g.pattern, g).coversBelow(prefix) {
			return true
		}
	}
	return false
}

// Grant is one line of an ACL as [ACL.Grants] shows it.
type Grant struct {
	Pattern      string
	Capabilities []string
	// Policies that hold the pattern, sorted.
	Policies []string
}

// Grants lists the joined patterns, sorted, for the page that shows people their
// rights. The root ACL has none.
func (a *ACL) Grants() []Grant {
	grants := make([]Grant, 0, len(a.all))
	for _, g := range a.all {
		line := Grant{Pattern: g.pattern.String(), Capabilities: g.can.names()}
		for _, s := range g.sources {
			line.Policies = append(line.Policies, s.policy)
		}
		grants = append(grants, line)
	}
	slices.SortFunc(grants, func(a, b Grant) int { return strings.Compare(a.Pattern, b.Pattern) })
	return grants
}

// IsRoot reports whether the root policy is among the policies.
func (a *ACL) IsRoot() bool { return a.root }
