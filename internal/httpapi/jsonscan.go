package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strconv"

	"nightporter.dev/nightporter"
)

// fieldPaths remembers where in a body each field name stands first, because
// encoding/json names an unknown field without saying where it is.
type fieldPaths map[string]string

func (f fieldPaths) path(name string) string {
	if p, ok := f[name]; ok {
		return p
	}
	return name
}

// frame is one open object or list.
type frame struct {
	path  string
	names map[string]bool // of an object; nil for a list
	index int             // of the list's next element
	name  string          // of the object's field whose value comes next
	value bool            // the next token is that value
}

// scanFields walks over the one value that body must hold, refuses a field that
// is there twice, which two readers would read differently, and returns where
// the fields are.
func scanFields(body []byte) (fieldPaths, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	fields := fieldPaths{}
	var open []*frame
	for {
		token, err := d.Token()
		if err != nil {
			return nil, syntaxError(err, d)
		}
		delim, isDelim := token.(json.Delim)
		if top := last(open); top != nil && top.names != nil && !top.value && !isDelim {
			name := token.(string) // the decoder has checked that it is one
			path := join(top.path, name)
			if top.names[name] {
				return nil, nightporter.E(nightporter.Invalid, "%s is there twice", path)
			}
			if _, ok := fields[name]; !ok {
				fields[name] = path
			}
			top.names[name], top.name, top.value = true, name, true
			continue
		}
		switch {
		case isDelim && (delim == '{' || delim == '['):
			f := &frame{path: valuePath(last(open))}
			if delim == '{' {
				f.names = make(map[string]bool)
			}
			open = append(open, f)
			continue
		case isDelim:
			open = open[:len(open)-1]
		}
		if done(last(open)) {
			break
		}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, nightporter.E(nightporter.Invalid, "the body goes on after its JSON value")
	}
	return fields, nil
}

// valuePath is where the value stands that starts inside of top.
func valuePath(top *frame) string {
	switch {
	case top == nil:
		return ""
	case top.names != nil:
		return join(top.path, top.name)
	}
	return top.path + "[" + strconv.Itoa(top.index) + "]"
}

// done notes that a value inside of top has ended, and says whether it was the
// outermost one.
func done(top *frame) bool {
	if top == nil {
		return true
	}
	top.index++
	top.value = false
	return false
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func last(open []*frame) *frame {
	if len(open) == 0 {
		return nil
	}
	return open[len(open)-1]
}

func syntaxError(err error, d *json.Decoder) error {
	at := d.InputOffset()
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		at = syntax.Offset
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nightporter.Wrap(err, nightporter.Invalid, "the body ends in the middle of its JSON, at byte %d", at)
	}
	return nightporter.Wrap(err, nightporter.Invalid, "the body is not JSON, at byte %d", at)
}
