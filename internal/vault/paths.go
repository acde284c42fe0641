package vault

import (
	"context"
	"fmt"
	"regexp"
	"strings"
)

// Handler answers one operation on a path.
type Handler func(ctx context.Context, r *Request) (*Response, error)

// Path is one path of a backend.
type Path struct {
	// Pattern is made of plain segments, {name} for one segment, and {name...}
	// for one or more, which may stand before further segments:
	// "mounts/{path...}/tune".
	Pattern string
	// What the path does; nil is 405.
	Read, List, Write, Patch, Delete Handler
	// Exists tells create from update; nil is always update.
	Exists func(ctx context.Context, r *Request) (bool, error)
	Rules
}

func (p *Path) handler(op Operation) Handler {
	switch op {
	case Read:
		return p.Read
	case List:
		return p.List
	case Write:
		return p.Write
	case Patch:
		return p.Patch
	case Delete:
		return p.Delete
	}
	return nil
}

// Paths is a [Backend] that is a list of paths. The first that matches answers.
type Paths struct {
	kind  string
	plain map[string]*Path
	rest  []pattern
}

type pattern struct {
	*Path
	re *regexp.Regexp
}

// NewPaths makes a backend of a type.
func NewPaths(kind string, paths ...Path) *Paths {
	p := &Paths{kind: kind, plain: map[string]*Path{}}
	for i := range paths {
		path := &paths[i]
		if !strings.Contains(path.Pattern, "{") {
			p.plain[path.Pattern] = path
			continue
		}
		p.rest = append(p.rest, pattern{path, compilePattern(path.Pattern)})
	}
	return p
}

// compilePattern panics on a wrong pattern: they are all ours.
func compilePattern(text string) *regexp.Regexp {
	var b strings.Builder
	b.WriteString(`\A`)
	for i, s := range strings.Split(text, "/") {
		if i > 0 {
			b.WriteByte('/')
		}
		name, ok := strings.CutPrefix(s, "{")
		switch name = strings.TrimSuffix(name, "}"); {
		case !ok:
			b.WriteString(regexp.QuoteMeta(s))
		case strings.HasSuffix(name, "..."):
			fmt.Fprintf(&b, `(?P<%s>.+)`, strings.TrimSuffix(name, "..."))
		default:
			fmt.Fprintf(&b, `(?P<%s>[^/]+)`, name)
		}
	}
	b.WriteString(`\z`)
	return regexp.MustCompile(b.String())
}

// find returns the path that answers, with the values of its variables. A slash
// at the end means the same path, to those that have variables or a list.
func (p *Paths) find(op Operation, path string) (*Path, map[string]string) {
	bare, slash := strings.CutSuffix(path, "/")
	if found, ok := p.plain[bare]; ok && (!slash && op != List || found.List != nil) {
		return found, nil
	}
	for _, c := range p.rest {
		m := c.re.FindStringSubmatch(bare)
		if m == nil {
			continue
		}
		vars := make(map[string]string, len(m)-1)
		for i, name := range c.re.SubexpNames()[1:] {
			vars[name] = m[i+1]
		}
		return c.Path, vars
	}
	return nil, nil
}

// Type implements [Backend].
func (p *Paths) Type() string { return p.kind }

// Find implements [Backend].
func (p *Paths) Find(op Operation, path string) Rules {
	if found, _ := p.find(op, path); found != nil {
		return found.Rules
	}
	return Rules{}
}

// Exists implements [Backend].
func (p *Paths) Exists(ctx context.Context, r *Request) (bool, error) {
	found, vars := p.find(r.Op, r.Path)
	if found == nil || found.Exists == nil {
		return true, nil
	}
	r.Vars = vars
	return found.Exists(ctx, r)
}

// Handle implements [Backend].
func (p *Paths) Handle(ctx context.Context, r *Request) (*Response, error) {
	found, vars := p.find(r.Op, r.Path)
	if found == nil {
		return nil, errPath
	}
	h := found.handler(r.Op)
	switch {
	case h != nil:
	case found.Bare:
		return nil, errMethod
	case found.Open:
		return nil, Refuse(errOperation.Status, "unsupported operation")
	default:
		return nil, errOperation
	}
	r.Vars = vars
	return h(ctx, r)
}
