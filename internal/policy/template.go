package policy

import "strings"

// Identity is what the templates in patterns are filled from. The zero Identity
// is nobody: patterns with templates then grant nothing.
type Identity struct {
	// ID and Name are the entity's: {{identity.entity.id}},
	// {{identity.entity.name}}.
	ID, Name string
	// Metadata is read by {{identity.entity.metadata.KEY}}.
	Metadata map[string]string
	// Aliases are the logins of the entity, by mount accessor:
	// {{identity.entity.aliases.ACCESSOR.name}}.
	Aliases map[string]Alias
	// Groups are read by {{identity.groups.names.NAME.id}} and
	// {{identity.groups.ids.ID.name}}, if the entity is a member.
	Groups []Group
}

// Alias is a login of an entity on one mount.
type Alias struct {
	ID, Name string
	Metadata map[string]string
}

// Group is a group that an entity belongs to.
type Group struct {
	ID, Name string
	Metadata map[string]string
}

// templatePart is a piece of a pattern: text, or the name of a variable.
type templatePart struct {
	text     string
	variable bool
}

// parseTemplate splits a pattern at its {{…}}. Without any it returns nil.
func parseTemplate(s string) ([]templatePart, string) {
	if !strings.Contains(s, "{{") {
		if strings.Contains(s, "}}") {
			return nil, "'}}' without '{{' before it"
		}
		return nil, ""
	}
	var parts []templatePart
	for {
		text, rest, found := strings.Cut(s, "{{")
		if strings.Contains(text, "}}") {
			return nil, "'}}' without '{{' before it"
		}
		if text != "" {
			parts = append(parts, templatePart{text: text})
		}
		if !found {
			return parts, ""
		}
		name, after, closed := strings.Cut(rest, "}}")
		name = strings.TrimSpace(name)
		switch {
		case !closed:
			return nil, "'{{' is not closed"
		case !knownVariable(name):
			return nil, "{{" + name + "}} is not known; templates start with identity.entity. or identity.groups."
		}
		parts = append(parts, templatePart{text: name, variable: true})
		s = after
	}
}

func (p pattern) variables() []string {
	var names []string
	for _, part := range p.parts {
		if part.variable {
			names = append(names, part.text)
		}
	}
	return names
}

// filled is what became of a pattern's templates.
type filled uint8

const (
	fits    filled = iota
	missing        // the identity has no such value
	unsafe         // a value holds path syntax
)

// fill puts identity values into a pattern.
func (p pattern) fill(id Identity) (pattern, filled) {
	if p.parts == nil {
		return p, fits
	}
	var b strings.Builder
	for _, part := range p.parts {
		if !part.variable {
			b.WriteString(part.text)
			continue
		}
		value, ok := id.lookup(part.text)
		switch {
		case !ok:
			return pattern{}, missing
		case !safeValue(value):
			return pattern{}, unsafe
		}
		b.WriteString(value)
	}
	p.text, p.parts = b.String(), nil
	return p, fits
}

// safeValue refuses values that a path gives a meaning to. A user who calls
// himself "*" or "../admin" must not widen a pattern (GHSA-59w7-v8rr-pr4p).
func safeValue(s string) bool {
	if s == "." || s == ".." {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return strings.ContainsRune(`/*+,\%{}`, r) || r < 0x20 || r == 0x7f || r == '\uFFFD'
	})
}

// knownVariable checks a variable's form when the policy is written.
func knownVariable(name string) bool {
	if rest, ok := strings.CutPrefix(name, "identity.entity."); ok {
		if rest == "id" || rest == "name" {
			return true
		}
		if key, ok := strings.CutPrefix(rest, "metadata."); ok {
			return key != ""
		}
		if rest, ok := strings.CutPrefix(rest, "aliases."); ok {
			accessor, property, _ := strings.Cut(rest, ".")
			return accessor != "" && knownProperty(property)
		}
	}
	for _, by := range []string{"identity.groups.ids.", "identity.groups.names."} {
		if rest, ok := strings.CutPrefix(name, by); ok {
			group, property, _ := strings.Cut(rest, ".")
			return group != "" && knownProperty(property)
		}
	}
	return false
}

func knownProperty(p string) bool {
	key, isMetadata := strings.CutPrefix(p, "metadata.")
	return p == "id" || p == "name" || isMetadata && key != ""
}

// lookup finds the value of a known variable. An empty value counts as missing.
func (id Identity) lookup(name string) (string, bool) {
	value := ""
	if rest, ok := strings.CutPrefix(name, "identity.entity."); ok {
		if rest, ok := strings.CutPrefix(rest, "aliases."); ok {
			accessor, p, _ := strings.Cut(rest, ".")
			a := id.Aliases[accessor]
			value = property(p, a.ID, a.Name, a.Metadata)
		} else {
			value = property(rest, id.ID, id.Name, id.Metadata)
		}
	}
	if rest, ok := strings.CutPrefix(name, "identity.groups.ids."); ok {
		value = id.group(rest, func(g Group) string { return g.ID })
	}
	if rest, ok := strings.CutPrefix(name, "identity.groups.names."); ok {
		value = id.group(rest, func(g Group) string { return g.Name })
	}
	return value, value != ""
}

func (id Identity) group(rest string, key func(Group) string) string {
	want, p, _ := strings.Cut(rest, ".")
	for _, g := range id.Groups {
		if key(g) == want {
			return property(p, g.ID, g.Name, g.Metadata)
		}
	}
	return ""
}

func property(p, id, name string, metadata map[string]string) string {
	switch p {
	case "id":
		return id
	case "name":
		return name
	}
	return metadata[strings.TrimPrefix(p, "metadata.")]
}
