package policy

import (
	"strings"
	"unicode/utf8"
)

// The limits that are checked before or while a text is read. The largest
// policies in the field have a few hundred rules; a rule in JSON nests seven
// deep.
const (
	maxText   = 256 << 10 // bytes
	maxBundle = 32 << 20  // of a text that we generated
	maxDepth  = 10        // braces and brackets open at once
)

// kind is what a node is.
type kind uint8

const (
	stringNode kind = iota
	numberNode      // value is an int64 or a float64
	boolNode        // value is a bool
	nullNode
	listNode
	objectNode
)

func (k kind) String() string {
	return [...]string{"a string", "a number", "true or false", "null", "a list", "a block"}[k]
}

// node is a value of a policy's text. HCL and JSON are both read into this
// tree, so that one decoder holds all the rules.
type node struct {
	position
	kind   kind
	value  any     // string, int64, float64 or bool
	items  []node  // of a list
	fields []field // of an object, in the order written
}

// field is one entry of an object. In HCL it may have labels:
// path "secret/*" { … } has the key "path" and the label "secret/*".
type field struct {
	position
	key    string
	labels []label
	// assigned is the line of the equals sign, or 0 for a block. Vault's
	// messages count with it.
	assigned int
	value    node
}

type label struct {
	position
	text string
}

// read turns a policy's text into a tree. Like Vault it takes a text whose first
// character is a brace for JSON and everything else for HCL.
func read(text string, most int) (node, *ParseError) {
	start := position{1, 1}
	if len(text) > most {
		return node{}, start.errorf("a policy has at most %d bytes, this one has %d", most, len(text))
	}
	if !utf8.ValidString(text) {
		return node{}, start.errorf("a policy must be valid UTF-8")
	}
	if strings.HasPrefix(strings.TrimSpace(text), "{") {
		return readJSON(text)
	}
	return readHCL(text)
}
