package githubtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"
)

// pointsHeader carries a query's points from the executor to the note of it.
const (
	pointsHeader    = "X-Githubtest-Points"
	mutationsHeader = "X-Githubtest-Mutations"
	nodesHeader     = "X-Githubtest-Nodes"
)

// The limits of GitHub's GraphQL API.
const (
	maxPage  = 100
	maxNodes = 500_000
)

// thing is a value of one GraphQL type whose fields are worked out when a query
// asks for them, so that what is asked is what is answered.
type thing struct {
	kind   string
	fields map[string]func(arguments) (any, error)
}

type arguments map[string]any

// queryError is an error that GitHub reports beside the data.
type queryError struct {
	Type    string `json:"type,omitempty"`
	Message string `json:"message"`
	Path    []any  `json:"path,omitempty"`
	// propagate makes the parent null, for a field that may not be.
	propagate bool
}

func (e *queryError) Error() string { return e.Message }

func (s *Server) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query     string
		Variables map[string]any
	}
	if !decode(w, r, &in) {
		return
	}
	if s.cfg.Contract != nil {
		if errs := s.cfg.Contract.checkQuery(in.Query, in.Variables); len(errs) > 0 {
			for _, e := range errs {
				s.violate("GraphQL: %s", e)
			}
			writeErrors(w, errs...)
			return
		}
	}
	doc, err := parser.ParseQuery(&ast.Source{Input: in.Query})
	if err != nil {
		writeErrors(w, err.Error())
		return
	}
	if len(doc.Operations) != 1 || doc.Operations[0].Operation == ast.Subscription {
		writeErrors(w, "githubtest answers documents with one query or mutation")
		return
	}
	e := &execution{server: s, doc: doc, variables: in.Variables}
	operation := doc.Operations[0]
	for _, v := range operation.VariableDefinitions {
		if _, given := in.Variables[v.Variable]; !given && v.DefaultValue != nil {
			if e.variables == nil {
				e.variables = map[string]any{}
			}
			e.variables[v.Variable], _ = v.DefaultValue.Value(nil)
		}
	}
	if err := e.price(operation.SelectionSet, 1, 1); err != nil {
		writeErrors(w, err.Error())
		return
	}
	w.Header().Set(pointsHeader, strconv.Itoa(e.points()))
	if slow := s.faultNow().SlowAbove; slow > 0 && e.repositories > slow {
		writeJSON(w, http.StatusBadGateway, object{
			"data":   nil,
			"errors": []any{object{"message": "Something went wrong while executing your query. This may be the result of a timeout, or it could be a GitHub bug."}},
		})
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	root, before := s.rootThing(e), s.mutated
	if operation.Operation == ast.Mutation {
		root = s.mutations()
	}
	data, err := e.object(root, operation.SelectionSet, nil)
	w.Header().Set(mutationsHeader, strconv.Itoa(s.mutated-before))
	w.Header().Set(nodesHeader, strconv.Itoa(e.answered))
	if err != nil {
		writeErrors(w, err.Error())
		return
	}
	answer := object{"data": data}
	if len(e.errors) > 0 {
		answer["errors"] = e.errors
	}
	if s.cfg.Contract != nil {
		if err := s.cfg.Contract.checkAnswer(in.Query, data); err != nil {
			s.violate("GraphQL answer: %v", err)
		}
	}
	writeJSON(w, http.StatusOK, answer)
}

func writeErrors(w http.ResponseWriter, messages ...string) {
	var list []any
	for _, m := range messages {
		list = append(list, object{"message": m})
	}
	writeJSON(w, http.StatusOK, object{"errors": list})
}

// execution is one query being answered.
type execution struct {
	server       *Server
	doc          *ast.QueryDocument
	variables    map[string]any
	errors       []*queryError
	requests     int // by GitHub's formula, one for each time a connection is asked for
	nodes        int
	repositories int // the largest page of repositories
	answered     int // nodes in the answer
}

// points is GitHub's formula: the connections asked for, by a hundred, at least 1.
func (e *execution) points() int { return max(1, (e.requests+50)/100) }

// price adds up what the selections cost when there are many of their parent,
// and refuses what GitHub refuses.
func (e *execution) price(set ast.SelectionSet, many, depth int) error {
	for _, f := range e.flatten(set, "") {
		args, err := e.arguments(f)
		if err != nil {
			return err
		}
		below := many
		if n, ok := pageSize(args); ok {
			if n < 1 || n > maxPage {
				return fmt.Errorf("requesting %d records on the `%s` connection exceeds the `first` limit of %d records", n, f.Name, maxPage)
			}
			e.requests += many
			e.nodes += many * n
			below = many * n
			if f.Name == "repositories" {
				e.repositories = max(e.repositories, n)
			}
		}
		if f.Name == "repository" {
			e.repositories++ // by alias
		}
		if e.nodes > maxNodes {
			return fmt.Errorf("this query requests up to %d possible nodes which exceeds the maximum limit of %d", e.nodes, maxNodes)
		}
		if err := e.price(f.SelectionSet, below, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// object answers a selection set of t.
func (e *execution) object(t *thing, set ast.SelectionSet, path []any) (object, error) {
	out := object{}
	for _, f := range e.flatten(set, t.kind) {
		at := append(append([]any(nil), path...), f.Alias)
		if f.Name == "__typename" {
			out[f.Alias] = t.kind
			continue
		}
		resolve, ok := t.fields[f.Name]
		if !ok {
			return nil, fmt.Errorf("field '%s' doesn't exist on type '%s' here", f.Name, t.kind)
		}
		args, err := e.arguments(f)
		if err != nil {
			return nil, err
		}
		v, err := resolve(args)
		if err != nil {
			var qe *queryError
			if !errors.As(err, &qe) || qe.Type != "NOT_FOUND" && qe.Type != "FORBIDDEN" && qe.Type != "UNPROCESSABLE" {
				return nil, err // what may not be null takes the whole answer with it
			}
			reported := *qe
			reported.Path = at
			e.errors = append(e.errors, &reported)
			if qe.propagate {
				return nil, errNulled
			}
			out[f.Alias] = nil
			continue
		}
		out[f.Alias], err = e.value(v, f.SelectionSet, at)
		if errors.Is(err, errNulled) {
			out[f.Alias] = nil
			continue
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (e *execution) value(v any, set ast.SelectionSet, path []any) (any, error) {
	switch v := v.(type) {
	case *thing:
		if v == nil {
			return nil, nil
		}
		return e.object(v, set, path)
	case []*thing:
		list := make([]any, len(v))
		e.answered += len(v)
		for i, t := range v {
			o, err := e.object(t, set, append(append([]any(nil), path...), i))
			if errors.Is(err, errNulled) {
				list[i] = nil
				continue
			}
			if err != nil {
				return nil, err
			}
			list[i] = o
		}
		return list, nil
	case []any:
		list := make([]any, len(v))
		for i, e1 := range v {
			o, err := e.value(e1, set, append(append([]any(nil), path...), i))
			if err != nil {
				return nil, err
			}
			list[i] = o
		}
		return list, nil
	}
	return v, nil
}

// errNulled says that an object became null for one of its fields.
var errNulled = errors.New("null where the schema allows none")

// flatten returns the fields of a selection set, those of fragments included. A
// kind of "" takes every fragment.
func (e *execution) flatten(set ast.SelectionSet, kind string) []*ast.Field {
	var list []*ast.Field
	for _, sel := range set {
		switch sel := sel.(type) {
		case *ast.Field:
			list = append(list, sel)
		case *ast.InlineFragment:
			if kind == "" || isA(kind, sel.TypeCondition) {
				list = append(list, e.flatten(sel.SelectionSet, kind)...)
			}
		case *ast.FragmentSpread:
			f := e.doc.Fragments.ForName(sel.Name)
			if f != nil && (kind == "" || isA(kind, f.TypeCondition)) {
				list = append(list, e.flatten(f.SelectionSet, kind)...)
			}
		}
	}
	return list
}

// isA says whether a kind fulfils a type condition.
func isA(kind, condition string) bool {
	switch condition {
	case "", kind:
		return true
	case "Node":
		return true
	case "Actor", "RepositoryOwner":
		return kind == "User" || kind == "Organization" || kind == "Bot"
	case "GitObject":
		return kind == "Commit" || kind == "Tag"
	}
	return false
}

func (e *execution) arguments(f *ast.Field) (arguments, error) {
	args := arguments{}
	for _, a := range f.Arguments {
		v, err := a.Value.Value(e.variables)
		if err != nil {
			return nil, err
		}
		if v != nil {
			args[a.Name] = v
		}
	}
	return args, nil
}

// pageSize is how many a connection is asked for.
func pageSize(args arguments) (int, bool) {
	for _, name := range []string{"first", "last"} {
		if v, ok := args[name]; ok {
			return number(v), true
		}
	}
	return 0, false
}

func number(v any) int {
	switch v := v.(type) {
	case int64:
		return int(v)
	case float64:
		return int(v)
	case json.Number:
		n, _ := v.Int64()
		return int(n)
	case int:
		return v
	}
	return 0
}

func (a arguments) text(name string) string {
	s, _ := a[name].(string)
	return s
}

// words reads a list of enum values.
func (a arguments) words(name string) []string {
	switch v := a[name].(type) {
	case string:
		return []string{v}
	case []any:
		var list []string
		for _, w := range v {
			list = append(list, fmt.Sprint(w))
		}
		return list
	}
	return nil
}

// order reads an orderBy argument: the field, and whether it descends.
func (a arguments) order() (field string, descending bool) {
	o, _ := a["orderBy"].(map[string]any)
	field, _ = o["field"].(string)
	return field, o["direction"] == "DESC"
}

// connection answers a page of a list.
func connection(kind string, list []*thing, args arguments) (any, error) {
	n, ok := pageSize(args)
	if !ok {
		return nil, &queryError{Type: "MISSING_PAGINATION_BOUNDARIES", Message: "You must provide a `first` or `last` value to properly paginate the `" + kind + "` connection."}
	}
	from := 0
	if after := args.text("after"); after != "" {
		i, err := strconv.Atoi(strings.TrimPrefix(after, "cursor:"))
		if err != nil {
			return nil, &queryError{Type: "INVALID_CURSOR_ARGUMENTS", Message: "`" + after + "` does not appear to be a valid cursor."}
		}
		from = min(i, len(list))
	}
	to := min(from+n, len(list))
	if _, last := args["last"]; last {
		from, to = max(0, len(list)-n), len(list)
	}
	return page(kind, list[from:to], len(list), to < len(list), "cursor:"+strconv.Itoa(to)), nil
}

// halfPage answers half of a page and says that it was the last: a forge that is
// not well.
func halfPage(kind string, list []*thing, args arguments) (any, error) {
	n, _ := pageSize(args)
	half := min(n, len(list)) / 2
	return page(kind, list[:half], len(list), false, "cursor:"+strconv.Itoa(half)), nil
}

func page(kind string, nodes []*thing, total int, more bool, cursor string) *thing {
	end := any(cursor)
	if len(nodes) == 0 {
		end = nil
	}
	return &thing{kind: kind, fields: map[string]func(arguments) (any, error){
		"nodes":      give(nodes),
		"totalCount": give(total),
		"pageInfo": give(&thing{kind: "PageInfo", fields: map[string]func(arguments) (any, error){
			"hasNextPage": give(more),
			"endCursor":   give(end),
		}}),
	}}
}

func give(v any) func(arguments) (any, error) {
	return func(arguments) (any, error) { return v, nil }
}
