package policy

import (
	"strings"

	"nightporter.dev/nightporter"
)

// Decide answers one action. The path must be canonical ([Canonical]); anything
// else is refused. A path that is to be listed gets the slash at its end that
// LIST has in Vault, so a rule for "private/*" also covers listing "private".
func (a *ACL) Decide(act nightporter.Action, r Request) nightporter.Decision {
	if a.root {
		return nightporter.Decision{Allowed: true, Policy: RootName, Reason: "the root policy allows everything"}
	}
	if problem := nonCanonical(act.Path); problem != "" {
		return refuse("the path " + problem)
	}
	if a.closed != "" {
		d := refuse("policy " + a.closed + " denies a path by an identity value that holds path syntax, so everything is denied")
		d.Policy = a.closed
		return d
	}
	need := capabilityOf(act.Capability)
	if need == 0 || need == denied {
		return refuse("the action asks for no capability that a policy could grant")
	}
	var g *grant
	if need == canList {
		path := act.Path
		if !strings.HasSuffix(path, "/") {
			path += "/"
		}
		g = a.findList(path)
	} else {
		g = a.find(act.Path)
	}
	if g == nil {
		return a.uncovered(act.Path)
	}
	if act.Sudo {
		need |= canSudo
	}
	return g.decide(need, act, r)
}

func (g *grant) decide(need capabilities, act nightporter.Action, r Request) nightporter.Decision {
	pattern := g.pattern.String()
	d := nightporter.Decision{Policy: g.sources[0].policy, Pattern: pattern}
	if g.can&denied != 0 {
		d.Policy = g.source(denied)
		d.Reason = "policy " + d.Policy + " denies " + pattern
		return d
	}
	if missing := need &^ g.can; missing != 0 {
		d.Reason = "policy " + d.Policy + " rules " + pattern + " and does not grant " +
			strings.Join(missing.names(), " and ") + " there"
		return d
	}
	if g.limited {
		if problem := g.limits.check(act.Capability, r); problem != "" {
			d.Reason = "policy " + d.Policy + " rules " + pattern + " and " + problem
			return d
		}
	}
	d.Allowed = true
	d.Policy = g.source(capabilityOf(act.Capability))
	d.Reason = "policy " + d.Policy + " grants " + string(act.Capability) + " on " + pattern
	return d
}

// source names the first policy that has a share in the capability.
func (g *grant) source(c capabilities) string {
	for _, s := range g.sources {
		if s.can&c != 0 {
			return s.policy
		}
	}
	return g.sources[0].policy
}

func (a *ACL) uncovered(path string) nightporter.Decision {
	switch len(a.names) {
	case 0:
		return refuse("no policy applies, so " + path + " is denied")
	case 1:
		return refuse("policy " + a.names[0] + " does not cover " + path)
	}
	return refuse("none of the policies " + strings.Join(a.names, ", ") + " covers " + path)
}

func refuse(reason string) nightporter.Decision { return nightporter.Decision{Reason: reason} }
