package policy

import (
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Policy is a parsed policy. It does not change.
type Policy struct {
	// Name is in its only form, see [Name].
	Name string
	// Text is what was parsed, byte for byte.
	Text string

	rules []Rule
	// variables are the identity templates that the rules use, without
	// duplicates.
	variables []string
}

// Rules are the policy's path blocks in the order written. The caller must not
// change them.
func (p *Policy) Rules() []Rule { return p.rules }

// Rule is one path block.
type Rule struct {
	// Pattern is the path as written, without a slash at its start. It may
	// hold identity templates.
	Pattern string
	// Line is where the block starts in the text.
	Line int
	// Comment is OpenBao's comment key: text for the reader.
	Comment string
	// Expires is when the block stops to count. Zero is never.
	Expires time.Time

	grants  capabilities
	limits  limits
	pattern pattern
}

// Capabilities are what the rule grants, sorted. A rule that denies grants
// nothing else.
func (r Rule) Capabilities() []string { return r.grants.names() }

// Parse reads a policy in HCL or JSON. The name must have gone through [Name].
//
// It refuses what Vault refuses (unknown keys and capabilities, "+*"), and also
// duplicate keys, heredocs, nesting deeper than ten, texts over 256 KiB, and the
// keys that would restrict something that this server does not have
// (pagination_limit, mfa_methods, control_group): a limit that is not enforced
// must not be accepted. The error is [nightporter.Invalid], says line and
// column, and has a [*ParseError] in its chain.
func Parse(name, text string) (*Policy, error) { return parse(name, text, maxText) }

// Parse reads the bundle's text as [Parse] does. What we wrote ourselves from the
// catalog may be longer than what comes from outside: a team may own many services.
func (b Bundle) Parse() (*Policy, error) { return parse(b.Name, b.Text, maxBundle) }

func parse(name, text string, most int) (*Policy, error) {
	if canonical, err := Name(name); err != nil {
		return nil, err
	} else if canonical != name {
		return nil, fmt.Errorf("parsing policy %q: the name is not canonical", name)
	}
	if name == RootName {
		return nil, nightporter.E(nightporter.Invalid, "the root policy has no text and cannot be written")
	}
	root, bad := read(text, most)
	if bad == nil {
		p := &Policy{Name: name, Text: text}
		if p.rules, bad = decodePolicy(root); bad == nil {
			p.collectVariables()
			return p, nil
		}
	}
	bad.Policy = name
	return nil, bad.invalid()
}

func (p *Policy) collectVariables() {
	seen := map[string]bool{}
	for _, r := range p.rules {
		for _, v := range r.pattern.variables() {
			if !seen[v] {
				seen[v] = true
				p.variables = append(p.variables, v)
			}
		}
	}
}

// decodePolicy reads the top level: path blocks, and Vault's name key, which
// means nothing.
func decodePolicy(root node) ([]Rule, *ParseError) {
	var rules []Rule
	named := false
	for _, f := range root.fields {
		var err *ParseError
		switch f.key {
		case "path":
			rules, err = decodePaths(rules, f)
		case "name":
			switch {
			case named:
				err = duplicate(f)
			case f.value.kind != stringNode:
				err = f.value.errorf("name must be a string")
			}
			named = true
		default:
			err = f.errorf("unknown key %q; a policy holds path blocks", f.key).
				vault("1 error occurred:\n\t* invalid key %q on line %d\n\n", f.key, f.assigned)
		}
		if err != nil {
			return nil, err
		}
	}
	return rules, nil
}

func duplicate(f field) *ParseError { return f.errorf("the key %q was given before", f.key) }

// decodePaths reads `path "x" { … }`, JSON's {"path": {"x": {…}, …}}, and lists
// of either.
func decodePaths(rules []Rule, f field) ([]Rule, *ParseError) {
	switch len(f.labels) {
	case 0:
		if f.assigned == 0 || f.value.kind != objectNode && f.value.kind != listNode {
			return nil, f.errorf(`path needs a pattern: path "secret/*" { … }`)
		}
		return decodePathMap(rules, f.value)
	case 1:
		return decodeRules(rules, f.labels[0], f.value)
	}
	return nil, f.labels[1].errorf("path takes one pattern")
}

func decodePathMap(rules []Rule, n node) ([]Rule, *ParseError) {
	var err *ParseError
	switch n.kind {
	case listNode:
		for _, item := range n.items {
			if item.kind != objectNode {
				return nil, item.errorf("path must hold patterns and their blocks")
			}
			if rules, err = decodePathMap(rules, item); err != nil {
				return nil, err
			}
		}
	case objectNode:
		seen := map[string]bool{}
		for _, f := range n.fields {
			switch {
			case len(f.labels) > 0:
				return nil, f.labels[0].errorf("a pattern takes no label")
			case seen[f.key]:
				return nil, duplicate(f)
			}
			seen[f.key] = true
			if rules, err = decodeRules(rules, label{f.position, f.key}, f.value); err != nil {
				return nil, err
			}
		}
	}
	return rules, nil
}

// decodeRules reads one block, or JSON's list of blocks for one pattern.
func decodeRules(rules []Rule, pattern label, n node) ([]Rule, *ParseError) {
	blocks := []node{n}
	if n.kind == listNode {
		blocks = n.items
	}
	for _, b := range blocks {
		rule, err := decodeRule(pattern, b)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	return rules, nil
}

func decodeRule(l label, n node) (Rule, *ParseError) {
	if n.kind != objectNode {
		return Rule{}, n.errorf("path %q needs a block, not %s", l.text, n.kind)
	}
	text := strings.TrimPrefix(l.text, "/")
	rule := Rule{Pattern: text, Line: l.line}
	var problem string
	if rule.pattern, problem = parsePattern(text); problem != "" {
		return Rule{}, l.errorf("path %q: %s", text, problem)
	}
	seen := map[string]bool{}
	for _, f := range n.fields {
		if len(f.labels) > 0 {
			return Rule{}, f.labels[0].errorf("%s takes no label", f.key)
		}
		if seen[f.key] {
			return Rule{}, duplicate(f)
		}
		seen[f.key] = true
		if err := rule.decodeKey(f); err != nil {
			return Rule{}, err
		}
	}
	if rule.grants&denied != 0 {
		// Deny leaves nothing to limit. Vault drops the rest as well.
		rule.grants, rule.limits = denied, limits{}
	}
	if w := rule.limits.wrapping; w.min > 0 && w.max > 0 && w.max < w.min {
		return Rule{}, l.errorf("max_wrapping_ttl cannot be less than min_wrapping_ttl")
	}
	return rule, nil
}

func (r *Rule) decodeKey(f field) (err *ParseError) {
	switch f.key {
	case "capabilities":
		err = r.decodeCapabilities(f.value)
	case "policy":
		err = r.decodeLegacy(f.value)
	case "allowed_parameters":
		r.limits.allowed, err = decodeParameters(f)
	case "denied_parameters":
		r.limits.denied, err = decodeParameters(f)
	case "required_parameters":
		r.limits.required, err = decodeRequired(f.value)
	case "min_wrapping_ttl":
		r.limits.wrapping.min, err = decodeDuration(f)
	case "max_wrapping_ttl":
		r.limits.wrapping.max, err = decodeDuration(f)
	case "comment":
		r.Comment, err = decodeString(f)
	case "expiration":
		var text string
		if text, err = decodeString(f); err == nil {
			var bad error
			if r.Expires, bad = time.Parse(time.RFC3339, text); bad != nil {
				err = f.value.errorf("expiration must be a time such as 2027-01-31T18:00:00Z")
			}
		}
	default:
		err = f.errorf("path %q: unknown key %q", r.Pattern, f.key).
			vault("1 error occurred:\n\t* path %q: invalid key %q on line %d\n\n", r.Pattern, f.key, f.assigned)
	}
	return err
}

func (r *Rule) decodeCapabilities(n node) *ParseError {
	if n.kind != listNode {
		return n.errorf("path %q: capabilities must be a list, not %s", r.Pattern, n.kind)
	}
	for _, item := range n.items {
		name, ok := item.value.(string)
		c := capabilityOf(nightporter.Capability(name))
		if !ok || c == 0 {
			return item.errorf("path %q: invalid capability %q", r.Pattern, fmt.Sprint(item.value))
		}
		r.grants |= c
	}
	return nil
}

func (r *Rule) decodeLegacy(n node) *ParseError {
	name, ok := n.value.(string)
	if ok && name == "" {
		return nil
	}
	c, known := legacyCapabilities(name)
	if !ok || !known {
		return n.errorf("path %q: invalid policy %q", r.Pattern, fmt.Sprint(n.value))
	}
	r.grants |= c
	return nil
}

func decodeString(f field) (string, *ParseError) {
	text, ok := f.value.value.(string)
	if !ok {
		return "", f.value.errorf("%s must be a string, not %s", f.key, f.value.kind)
	}
	return text, nil
}
