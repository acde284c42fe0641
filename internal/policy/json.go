package policy

import (
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"
)

// readJSON reads a policy in JSON. It does not use HCL's JSON parser, which
// drops booleans from lists: `allowed_parameters = {"x": [true]}` would then
// allow every value. The standard decoder is strict, and its tokens come one by
// one, so that depth is bounded and duplicate keys are seen.
func readJSON(text string) (node, *ParseError) {
	r := &jsonReader{text: text, at: position{1, 1}}
	r.dec = json.NewDecoder(strings.NewReader(text))
	r.dec.UseNumber()
	root, err := r.value(0)
	if err != nil {
		return node{}, err
	}
	pos := r.next()
	if _, err := r.dec.Token(); !errors.Is(err, io.EOF) {
		return node{}, pos.errorf("there is more text after the policy")
	}
	return root, nil
}

type jsonReader struct {
	dec  *json.Decoder
	text string
	// offset and at are the same place, as bytes and as line and column.
	offset int
	at     position
}

// next is the position of the token to come. It only moves forward, so that
// reading a text stays linear.
func (r *jsonReader) next() position {
	for r.offset < len(r.text) {
		behind := r.offset >= int(r.dec.InputOffset())
		c := r.text[r.offset]
		if behind && c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != ',' && c != ':' {
			break
		}
		_, size := utf8.DecodeRuneInString(r.text[r.offset:])
		r.offset += size
		if c == '\n' {
			r.at = position{r.at.line + 1, 1}
		} else {
			r.at.column++
		}
	}
	return r.at
}

func (r *jsonReader) token() (json.Token, position, *ParseError) {
	pos := r.next()
	tok, err := r.dec.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, pos, pos.errorf("the text ends too early")
	case err != nil:
		return nil, pos, pos.errorf("%s", err)
	}
	return tok, pos, nil
}

func (r *jsonReader) value(depth int) (node, *ParseError) {
	tok, pos, err := r.token()
	if err != nil {
		return node{}, err
	}
	n := node{position: pos}
	switch tok := tok.(type) {
	case json.Delim:
		if depth++; depth > maxDepth {
			return node{}, pos.errorf("objects and lists nest more than %d deep", maxDepth)
		}
		if tok == '{' {
			return r.object(n, depth)
		}
		return r.list(n, depth)
	case string:
		n.kind, n.value = stringNode, tok
	case json.Number:
		n.kind = numberNode
		if n.value, err = number(pos, tok.String()); err != nil {
			return node{}, err
		}
	case bool:
		n.kind, n.value = boolNode, tok
	case nil:
		n.kind = nullNode
	}
	return n, nil
}

func (r *jsonReader) object(n node, depth int) (node, *ParseError) {
	n.kind = objectNode
	for r.dec.More() {
		tok, pos, err := r.token()
		if err != nil {
			return node{}, err
		}
		key, ok := tok.(string)
		if !ok {
			return node{}, pos.errorf("a key must be a string")
		}
		f := field{position: pos, key: key, assigned: pos.line}
		if f.value, err = r.value(depth); err != nil {
			return node{}, err
		}
		n.fields = append(n.fields, f)
	}
	_, _, err := r.token() // the closing brace
	return n, err
}

func (r *jsonReader) list(n node, depth int) (node, *ParseError) {
	n.kind = listNode
	for r.dec.More() {
		item, err := r.value(depth)
		if err != nil {
			return node{}, err
		}
		n.items = append(n.items, item)
	}
	_, _, err := r.token() // the closing bracket
	return n, err
}

// number reads 1 as int64 and 1.5 as float64, as HCL does.
func number(pos position, s string) (any, *ParseError) {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i, nil
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, pos.errorf("%s is not a number that fits", s)
	}
	return f, nil
}
