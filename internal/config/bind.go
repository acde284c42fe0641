package config

import (
	"encoding"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// binder puts a tree of YAML nodes into Go values. The library's own decoder
// stops at the first mistake, and reads chart_version: 1.10 as the number 1.1;
// this one takes texts as they are written and collects every mistake.
type binder struct {
	file *file
	dir  string // what relative paths start at
}

// nodeReader is a type that reads its own node, such as one that is either a word
// or a map.
type nodeReader interface {
	readNode(b *binder, n ast.Node, path string)
}

// valueOf is the settable value that p points to.
func valueOf(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

// root fills the struct that p points to, with defaults for what is not there.
func (b *binder) root(n ast.Node, p any) {
	setDefaults(valueOf(p))
	if n == nil || isNull(n) {
		return
	}
	b.value(n, valueOf(p), "")
}

func isNull(n ast.Node) bool { return n == nil || n.Type() == ast.NullType }

func (b *binder) fail(path string, n ast.Node, hint, format string, args ...any) {
	b.file.fail(path, place(n), hint, format, args...)
}

// value puts n into v, which stands at path.
func (b *binder) value(n ast.Node, v reflect.Value, path string) {
	if v.Kind() == reflect.Pointer {
		if !isNull(n) {
			v.Set(reflect.New(v.Type().Elem()))
			setDefaults(v.Elem())
			b.value(n, v.Elem(), path)
		}
		return
	}
	switch target := v.Addr().Interface().(type) {
	case nodeReader:
		if !isNull(n) {
			target.readNode(b, n, path)
		}
		return
	case encoding.TextUnmarshaler:
		if text, ok := b.text(n, path); ok {
			if err := target.UnmarshalText([]byte(text)); err != nil {
				b.failWith(path, n, err)
			}
		}
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		b.structure(n, v, path)
	case reflect.Map:
		b.mapping(n, v, path)
	case reflect.Slice:
		b.list(n, v, path)
	case reflect.Bool:
		t := n.GetToken()
		if n.Type() != ast.BoolType || t.Value != "true" && t.Value != "false" {
			b.fail(path, n, "write true or false", "%s is not true or false", path)
			return
		}
		v.SetBool(t.Value == "true")
	case reflect.Int, reflect.Int64:
		text, _ := scalar(n)
		i, err := strconv.ParseInt(text, 10, v.Type().Bits())
		if err != nil || n.Type() != ast.IntegerType {
			b.fail(path, n, "", "%s is not a whole number", path)
			return
		}
		v.SetInt(i)
	case reflect.String:
		if text, ok := b.text(n, path); ok {
			if v.Type() == reflect.TypeFor[Path]() {
				text = b.absolute(text)
			}
			v.SetString(text)
		}
	default:
		panic("config: no way to read a " + v.Type().String()) // a test reads every field
	}
}

// failWith records a type's own error, with its hint.
func (b *binder) failWith(path string, n ast.Node, err error) {
	message := err.Error()
	if m := new(nightporter.Error); errors.As(err, &m) {
		message = m.Message
	}
	b.fail(path, n, nightporter.HintOf(err), "%s: %s", path, message)
}

func (b *binder) absolute(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(b.dir, path)
}

// scalar is a node's text as it is written, without quotes.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.NullNode:
		return "", false
	case ast.ScalarNode:
		return n.GetToken().Value, true
	}
	return "", false
}

func (b *binder) text(n ast.Node, path string) (string, bool) {
	text, ok := scalar(n)
	switch {
	case ok:
		return text, true
	case isNull(n):
		b.fail(path, n, "give it one, or remove the line", "%s has no value", path)
	default:
		b.fail(path, n, "", "%s is %s, and should be one value", path, kindOf(n))
	}
	return "", false
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a map"
	case *ast.SequenceNode:
		return "a list"
	}
	return "one value"
}

// entry is one key of a map.
type entry struct {
	name  string
	key   ast.Node
	value ast.Node
}

// entries lists the keys of a map and refuses those given twice.
func (b *binder) entries(n ast.Node, path string) []entry {
	if isNull(n) {
		return nil
	}
	m, ok := n.(ast.MapNode)
	if !ok {
		b.fail(path, n, "", "%s is %s, and should be a map", orFile(path), kindOf(n))
		return nil
	}
	var list []entry
	first := map[string]ast.Node{}
	for it := m.MapRange(); it.Next(); {
		key := it.Key()
		name, ok := scalar(key)
		if !ok {
			b.fail(path, key, "", "this cannot be a key")
			continue
		}
		if first[name] != nil {
			b.fail(catalog.Key(path, name), key, "keep one of them", "%q is given twice; the first is on line %d", name, place(first[name]).line)
			continue
		}
		first[name] = key
		list = append(list, entry{name, key, it.Value()})
	}
	return list
}

func orFile(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// mark remembers where path stands: a single value at the value, so that the
// caret points to it, anything larger at its key.
func (b *binder) mark(path string, e entry) {
	if _, ok := scalar(e.value); ok {
		b.file.at[path] = place(e.value)
		return
	}
	b.file.at[path] = place(e.key)
}

func (b *binder) mapping(n ast.Node, v reflect.Value, path string) {
	entries := b.entries(n, path)
	if entries == nil {
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(entries)))
	for _, e := range entries {
		here := catalog.Key(path, e.name)
		b.mark(here, e)
		elem := reflect.New(v.Type().Elem()).Elem()
		setDefaults(elem)
		b.value(e.value, elem, here)
		v.SetMapIndex(reflect.ValueOf(e.name), elem)
	}
}

func (b *binder) list(n ast.Node, v reflect.Value, path string) {
	if isNull(n) {
		return
	}
	seq, ok := n.(*ast.SequenceNode)
	if !ok {
		hint := ""
		if text, ok := scalar(n); ok {
			hint = fmt.Sprintf("write [%s]", text)
		}
		b.fail(path, n, hint, "%s is %s, and should be a list", path, kindOf(n))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, item := range seq.Values {
		here := catalog.At(path, i)
		b.file.at[here] = place(item)
		setDefaults(v.Index(i))
		b.value(item, v.Index(i), here)
	}
}

func (b *binder) structure(n ast.Node, v reflect.Value, path string) {
	fields := fieldsOf(v.Type())
	given := map[string]ast.Node{}
	for _, e := range b.entries(n, path) {
		here := catalog.Key(path, e.name)
		b.mark(here, e)
		f, asFile, ok := fields.lookup(e.name)
		switch {
		case !ok && fields.inline != nil:
			inline := v.FieldByIndex(fields.inline)
			if inline.IsNil() {
				inline.Set(reflect.MakeMap(inline.Type()))
			}
			if text, ok := b.text(e.value, here); ok {
				inline.SetMapIndex(reflect.ValueOf(e.name), reflect.ValueOf(text))
			}
			continue
		case !ok:
			b.unknown(e, path, fields)
			continue
		case given[f.name] != nil: // token and token_file
			b.fail(here, e.key, "keep one of them", "%s and %s are both given", strings.TrimSuffix(f.name, "_file"), f.name)
			continue
		}
		given[f.name] = e.key
		if ref, ok := v.FieldByIndex(f.index).Addr().Interface().(*SecretRef); ok {
			b.secret(e.value, ref, here, asFile)
			continue
		}
		b.value(e.value, v.FieldByIndex(f.index), here)
		b.checkEnum(e.value, f, v.FieldByIndex(f.index), here)
	}
	for _, f := range fields.list {
		if f.required && given[f.name] == nil {
			at := b.file.find(path)
			if at == (position{}) && !isNull(n) {
				at = place(n)
			}
			b.file.fail(catalog.Key(path, f.name), at, "add "+f.name+": …", "%s needs %s", orFile(path), f.name)
		}
	}
}

// unknown refuses a key and guesses what was meant. The value is shown only when
// the guess is no secret: "pasword: hunter2" must not end up in a log.
func (b *binder) unknown(e entry, path string, fields fieldList) {
	known := fields.names()
	near := catalog.Nearest(e.name, known)
	hint := "known here: " + strings.Join(known, ", ")
	if near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if len(known) > 12 {
		hint = "nightporter config schema lists all keys"
	}
	where := ""
	if path != "" {
		where = " in " + path
	}
	at := place(e.key)
	if meant, _, ok := fields.lookup(near); !ok || meant.secret {
		b.file.hide(at.line, at.column-1+utf8.RuneCountInString(e.name))
	}
	b.file.fail(catalog.Key(path, e.name), at, hint, "unknown key %q%s", e.name, where)
}

func (b *binder) checkEnum(n ast.Node, f field, v reflect.Value, path string) {
	if len(f.enum) == 0 || isNull(n) {
		return
	}
	if v.Kind() == reflect.Slice {
		if seq, ok := n.(*ast.SequenceNode); ok {
			for i, item := range seq.Values {
				b.checkEnum(item, f, v.Index(i), catalog.At(path, i))
			}
		}
		return
	}
	if text := v.String(); text != "" && !slices.Contains(f.enum, text) {
		hint := "choose " + strings.Join(f.enum, ", ")
		if near := catalog.Nearest(text, f.enum); near != "" {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		b.fail(path, n, hint, "%s cannot be %q", path, text)
	}
}

// secret reads a reference. Its text is never repeated: it may be the secret.
func (b *binder) secret(n ast.Node, ref *SecretRef, path string, asFile fileSetting) {
	text, ok := b.text(n, path)
	if !ok {
		return
	}
	r, err := parseSecretRef(text, asFile == isFileSetting)
	if err != nil {
		b.failWith(path, n, err)
		return
	}
	if r.kind == secretFile {
		r.value = b.absolute(r.value)
	}
	*ref = r
}

// readWordOr reads a node that is either one word, which sets flag, or a map with
// the fields of p.
func readWordOr(b *binder, n ast.Node, path, word string, flag *bool, p any) {
	text, ok := scalar(n)
	if !ok {
		b.value(n, valueOf(p), path)
		return
	}
	if text == word {
		*flag = true
		return
	}
	b.fail(path, n, fmt.Sprintf("write %s, or a map with %s", word, strings.Join(fieldsOf(valueOf(p).Type()).names(), ", ")),
		"%s cannot be %q", path, text)
}
