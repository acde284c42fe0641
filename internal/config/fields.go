package config

import (
	"encoding"
	"reflect"
	"strconv"
	"strings"
)

// field is what the tags of one struct field say.
type field struct {
	name     string
	index    []int
	required bool
	enum     []string
	standard string // the default's text
	secret   bool
}

type fieldList struct {
	list   []field
	inline []int // the map that takes unknown keys, or nil
}

type fileSetting bool

const (
	isFileSetting  fileSetting = true  // token_file: a path, or a reference
	notFileSetting fileSetting = false // token: a reference only
)

// fieldsOf reads the tags of a struct: `yaml` for the name, `jsonschema` for what
// is required, allowed and assumed. The schema is made of the same tags.
func fieldsOf(t reflect.Type) fieldList {
	var l fieldList
	for i := range t.NumField() {
		f := t.Field(i)
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-":
			continue
		case option == "inline":
			l.inline = f.Index
			continue
		}
		read := field{name: name, index: f.Index, secret: f.Type == reflect.TypeFor[SecretRef]()}
		for rule := range strings.SplitSeq(f.Tag.Get("jsonschema"), ",") {
			key, value, _ := strings.Cut(rule, "=")
			switch key {
			case "required":
				read.required = true
			case "enum":
				read.enum = append(read.enum, value)
			case "default":
				read.standard = value
			}
		}
		l.list = append(l.list, read)
	}
	return l
}

// lookup finds a field by its key. A secret's key may leave out "_file" when it
// names another place than a file.
func (l fieldList) lookup(key string) (field, fileSetting, bool) {
	for _, f := range l.list {
		if f.name == key {
			return f, isFileSetting, true
		}
		if f.secret && f.name == key+"_file" {
			return f, notFileSetting, true
		}
	}
	return field{}, notFileSetting, false
}

func (l fieldList) names() []string {
	var names []string
	for _, f := range l.list {
		names = append(names, f.name)
		if f.secret {
			names = append(names, strings.TrimSuffix(f.name, "_file"))
		}
	}
	return names
}

// setDefaults fills a value with the defaults of its tags, and so on inside.
// What is behind a pointer, in a list or in a map gets its defaults when it is
// there.
func setDefaults(v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for _, f := range fieldsOf(v.Type()).list {
		target := v.FieldByIndex(f.index)
		if f.standard == "" {
			setDefaults(target)
			continue
		}
		if u, ok := target.Addr().Interface().(encoding.TextUnmarshaler); ok {
			if err := u.UnmarshalText([]byte(f.standard)); err != nil {
				panic("config: default of " + f.name + ": " + err.Error()) // a test sets every default
			}
			continue
		}
		switch target.Kind() {
		case reflect.String:
			target.SetString(f.standard)
		case reflect.Int, reflect.Int64:
			n, err := strconv.ParseInt(f.standard, 10, 64)
			if err != nil {
				panic("config: default of " + f.name + ": " + err.Error())
			}
			target.SetInt(n)
		default:
			panic("config: no default for a " + target.Type().String())
		}
	}
}
