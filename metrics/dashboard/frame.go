package dashboard

import (
	"bytes"
	"math"
	"slices"
	"strconv"
)

// FieldType is what a field's values are.
type FieldType string

// The types of fields. Times are numbers: milliseconds since 1970.
const (
	TimeField   FieldType = "time"
	NumberField FieldType = "number"
	StringField FieldType = "string"
)

// Numbers are values of which some may be unknown: those are NaN here and null in
// JSON, as infinities are.
type Numbers []float64

// MarshalJSON writes unknown values as null.
func (n Numbers) MarshalJSON() ([]byte, error) {
	b := make([]byte, 0, 8*len(n)+2)
	b = append(b, '[')
	for i, v := range n {
		if i > 0 {
			b = append(b, ',')
		}
		if math.IsNaN(v) || math.IsInf(v, 0) {
			b = append(b, "null"...)
			continue
		}
		b = strconv.AppendFloat(b, v, 'g', -1, 64)
	}
	return append(b, ']'), nil
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (n *Numbers) UnmarshalJSON(b []byte) error {
	*n = nil
	b = bytes.Trim(bytes.TrimSpace(b), "[]")
	if len(b) == 0 {
		return nil
	}
	for _, part := range bytes.Split(b, []byte(",")) {
		part = bytes.TrimSpace(part)
		if string(part) == "null" {
			*n = append(*n, math.NaN())
			continue
		}
		v, err := strconv.ParseFloat(string(part), 64)
		if err != nil {
			return err
		}
		*n = append(*n, v)
	}
	return nil
}

// Field is a column of a frame. Numbers is set for times and numbers, Strings for
// strings.
type Field struct {
	Name    string            `json:"name"`
	Type    FieldType         `json:"type"`
	Labels  map[string]string `json:"labels,omitempty"`
	Numbers Numbers           `json:"numbers,omitempty"`
	Strings []string          `json:"strings,omitempty"`
	// display is the name to show where no override sets one; "" means Name.
	display string
	config  fieldConfig
	set     bool // config is the field's own already
}

// Frame is a table of fields of one length, as a target or a transformation
// returns it.
type Frame struct {
	Name   string  `json:"name,omitempty"`
	RefID  string  `json:"ref_id,omitempty"`
	Fields []Field `json:"fields"`
	// heat is true for the buckets of a histogram over time.
	heat bool
}

// rows is the length of the frame's fields.
func (f *Frame) rows() int {
	if len(f.Fields) == 0 {
		return 0
	}
	return f.Fields[0].len()
}

// field returns the first field called name, or nil.
func (f *Frame) field(name string) *Field {
	for i := range f.Fields {
		if f.Fields[i].Name == name || f.Fields[i].label() == name {
			return &f.Fields[i]
		}
	}
	return nil
}

// timeField returns the first field of times, or nil.
func (f *Frame) timeField() *Field {
	for i := range f.Fields {
		if f.Fields[i].Type == TimeField {
			return &f.Fields[i]
		}
	}
	return nil
}

// take returns the frame with its rows in the order of indexes.
func (f *Frame) take(indexes []int) Frame {
	taken := *f
	taken.Fields = make([]Field, len(f.Fields))
	for i, field := range f.Fields {
		taken.Fields[i] = field.take(indexes)
	}
	return taken
}

// label is the name that people see.
func (f *Field) label() string {
	if f.display != "" {
		return f.display
	}
	return f.Name
}

func (f *Field) len() int {
	if f.Type == StringField {
		return len(f.Strings)
	}
	return len(f.Numbers)
}

// take returns the field with the values at indexes; -1 is unknown.
func (f *Field) take(indexes []int) Field {
	taken := *f
	if f.Type == StringField {
		taken.Strings = make([]string, len(indexes))
		for i, at := range indexes {
			if at >= 0 && at < len(f.Strings) {
				taken.Strings[i] = f.Strings[at]
			}
		}
		return taken
	}
	taken.Numbers = make(Numbers, len(indexes))
	for i, at := range indexes {
		taken.Numbers[i] = math.NaN()
		if at >= 0 && at < len(f.Numbers) {
			taken.Numbers[i] = f.Numbers[at]
		}
	}
	return taken
}

// key is the value at i as text, for comparing.
func (f *Field) key(i int) string {
	if f.Type == StringField {
		return f.Strings[i]
	}
	return strconv.FormatFloat(f.Numbers[i], 'g', -1, 64)
}

// less orders the values at i and j; unknown numbers come first, as in Grafana.
func (f *Field) compare(i, j int) int {
	if f.Type == StringField {
		return natural(f.Strings[i], f.Strings[j])
	}
	a, b := f.Numbers[i], f.Numbers[j]
	switch {
	case math.IsNaN(a) && math.IsNaN(b), a == b:
		return 0
	case math.IsNaN(a), a < b:
		return -1
	}
	return 1
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
