package dashboard

import (
	"encoding/json"
	"strconv"
	"strings"
)

// node is a value of Grafana's JSON. Its versions disagree about types (a height
// may be 300, "300" or "300px", an absent object may be null), so that a node
// answers with what fits and with nothing where it does not.
type node struct{ v any }

// at follows keys into objects. What is not there is an empty node.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		object, ok := n.v.(map[string]any)
		if !ok {
			return node{}
		}
		n = node{object[key]}
	}
	return n
}

func (n node) exists() bool { return n.v != nil }

func (n node) isObject() bool { _, ok := n.v.(map[string]any); return ok }

// object returns the members of an object, or nil.
func (n node) object() map[string]any {
	object, _ := n.v.(map[string]any)
	return object
}

// list returns the elements of an array, or nil.
func (n node) list() []node {
	array, _ := n.v.([]any)
	nodes := make([]node, len(array))
	for i, v := range array {
		nodes[i] = node{v}
	}
	return nodes
}

// str returns the value as text: numbers and booleans too, objects not.
func (n node) str() string {
	switch v := n.v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	return ""
}

// or returns the text, or fallback where there is none.
func (n node) or(fallback string) string {
	if s := n.str(); s != "" {
		return s
	}
	return fallback
}

// strs returns an array of text, or a single text as one.
func (n node) strs() []string {
	if _, ok := n.v.([]any); !ok {
		if s := n.str(); s != "" {
			return []string{s}
		}
		return nil
	}
	var all []string
	for _, e := range n.list() {
		all = append(all, e.str())
	}
	return all
}

// num returns a number, also one written as text ("300", "300px").
func (n node) num() (float64, bool) {
	switch v := n.v.(type) {
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	case string:
		f, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(v), "px"), 64)
		return f, err == nil
	}
	return 0, false
}

// maybe returns a number or nil.
func (n node) maybe() *float64 {
	if f, ok := n.num(); ok {
		return &f
	}
	return nil
}

// integer returns a whole number, or fallback.
func (n node) integer(fallback int) int {
	if f, ok := n.num(); ok && f > -1e9 && f < 1e9 {
		return int(f)
	}
	return fallback
}

// is reports whether the value is true.
func (n node) is() bool {
	switch v := n.v.(type) {
	case bool:
		return v
	case string:
		return v == "true"
	}
	return false
}

// unless returns the boolean, or fallback where there is none.
func (n node) unless(fallback bool) bool {
	if v, ok := n.v.(bool); ok {
		return v
	}
	return fallback
}
