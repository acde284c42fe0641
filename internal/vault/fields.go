package vault

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Fields reads the fields of a request in the forms that Vault takes: a number
// as a number or as text, a duration as seconds or as "1h", a list as a JSON
// array or as "a,b". The first field that cannot be read is Err; what nobody has
// asked for when the answer is written becomes a warning.
type Fields struct {
	data map[string]any
	seen map[string]bool
	err  error
	// prefix stands before the error in paths that check their fields first.
	prefix string
}

// Fields returns the request's fields. Ask for every field before acting on any.
func (r *Request) Fields() *Fields {
	if r.fields == nil {
		r.fields = &Fields{data: r.Data, seen: map[string]bool{}}
	}
	return r.fields
}

// Validated makes the errors those of paths that check their fields first.
func (f *Fields) Validated() *Fields {
	f.prefix = "Field validation failed: "
	return f
}

// Err is what was wrong with the first field that could not be read, or nil.
func (f *Fields) Err() error { return f.err }

// ignored names the fields that nobody asked for, sorted.
func (f *Fields) ignored() []string {
	var names []string
	for name := range f.data {
		if !f.seen[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (f *Fields) fail(name string, format string, args ...any) {
	if f.err == nil {
		f.err = Bad("%serror converting input for field %q: %s", f.prefix, name, fmt.Sprintf(format, args...))
	}
}

func (f *Fields) get(name string) (any, bool) {
	f.seen[name] = true
	v, ok := f.data[name]
	return v, ok && v != nil
}

// Has says whether the field was sent.
func (f *Fields) Has(name string) bool {
	_, ok := f.get(name)
	return ok
}

// Ignore says that a field of Vault's is known and has no effect here.
func (f *Fields) Ignore(names ...string) {
	for _, n := range names {
		f.seen[n] = true
	}
}

// String reads a text; numbers and truths are taken as their text.
func (f *Fields) String(name string) string {
	v, ok := f.get(name)
	if !ok {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		return strconv.FormatBool(v)
	}
	f.fail(name, "'' expected type 'string', got unconvertible type '%T'", v)
	return ""
}

// Int reads a whole number.
func (f *Fields) Int(name string) int {
	v, ok := f.get(name)
	if !ok {
		return 0
	}
	text := fmt.Sprint(v)
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		f.fail(name, "'' cannot parse value as 'int': strconv.ParseInt: %s", strings.TrimPrefix(numError(err), "strconv.ParseInt: "))
		return 0
	}
	return int(n)
}

// numError is the reason in an error of strconv, without the value.
func numError(err error) string {
	if e, ok := err.(*strconv.NumError); ok {
		return e.Err.Error()
	}
	return err.Error()
}

// Bool reads a truth; otherwise is what a missing field means.
func (f *Fields) Bool(name string, otherwise bool) bool {
	v, ok := f.get(name)
	if !ok {
		return otherwise
	}
	switch v := v.(type) {
	case bool:
		return v
	case string, json.Number:
		b, err := strconv.ParseBool(fmt.Sprint(v))
		if err == nil {
			return b
		}
	}
	f.fail(name, "'' cannot parse value as 'bool'")
	return otherwise
}

// Duration reads seconds, or text such as "1h30m".
func (f *Fields) Duration(name string) time.Duration {
	v, ok := f.get(name)
	if !ok {
		return 0
	}
	d, err := ParseDuration(v)
	switch {
	case err != nil:
		f.fail(name, "%s", err)
	case d < 0:
		f.fail(name, "cannot provide negative value '%d'", seconds(d))
	default:
		return d
	}
	return 0
}

// maxDuration keeps sums of times far from overflowing: a hundred years.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads a duration in the forms that Vault takes: a number of
// seconds, that number as text, or Go's own text with "d" for days.
func ParseDuration(v any) (time.Duration, error) {
	text := strings.TrimSpace(fmt.Sprint(v))
	if text == "" {
		return 0, nil
	}
	var d time.Duration
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		if n > int64(maxDuration/time.Second) || n < -int64(maxDuration/time.Second) {
			return 0, fmt.Errorf("duration %q is out of range", text)
		}
		d = time.Duration(n) * time.Second
	} else if days, ok := strings.CutSuffix(text, "d"); ok {
		n, err := strconv.ParseFloat(days, 64)
		if err != nil || math.Abs(n) > maxDuration.Hours()/24 {
			return 0, fmt.Errorf("time: invalid duration %q", text)
		}
		d = time.Duration(n * 24 * float64(time.Hour))
	} else if d, err = time.ParseDuration(text); err != nil {
		return 0, err
	}
	if d > maxDuration || d < -maxDuration {
		return 0, fmt.Errorf("duration %q is out of range", text)
	}
	return d, nil
}

// List reads texts: an array, or one text with commas.
func (f *Fields) List(name string) []string {
	v, ok := f.get(name)
	if !ok {
		return nil
	}
	var out []string
	switch v := v.(type) {
	case string:
		for s := range strings.SplitSeq(v, ",") {
			if s = strings.TrimSpace(s); s != "" {
				out = append(out, s)
			}
		}
	case []any:
		for _, e := range v {
			switch e := e.(type) {
			case string:
				out = append(out, strings.TrimSpace(e))
			case json.Number:
				out = append(out, e.String())
			default:
				f.fail(name, "expected a list of strings")
			}
		}
	default:
		f.fail(name, "expected a list of strings")
	}
	return out
}

// Ints reads whole numbers: an array, or one text with commas.
func (f *Fields) Ints(name string) []int {
	var out []int
	for _, s := range f.List(name) {
		n, err := strconv.Atoi(s)
		if err != nil {
			f.fail(name, "'' cannot parse value as 'int': strconv.ParseInt: %s", numError(err))
			return nil
		}
		out = append(out, n)
	}
	return out
}

// Map reads an object.
func (f *Fields) Map(name string) map[string]any {
	v, ok := f.get(name)
	if !ok {
		return nil
	}
	m, ok := v.(map[string]any)
	if !ok {
		f.fail(name, "'' expected type 'map[string]interface {}', got unconvertible type '%T'", v)
	}
	return m
}

// Texts reads an object of texts, also when it came as JSON in a text.
func (f *Fields) Texts(name string) map[string]string {
	v, ok := f.get(name)
	if !ok {
		return nil
	}
	if text, ok := v.(string); ok {
		var m map[string]any
		if text == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			f.fail(name, "expected an object of strings")
			return nil
		}
		v = m
	}
	m, ok := v.(map[string]any)
	if !ok {
		f.fail(name, "expected an object of strings")
		return nil
	}
	out := make(map[string]string, len(m))
	for k, e := range m {
		switch e := e.(type) {
		case string:
			out[k] = e
		case json.Number, bool:
			out[k] = fmt.Sprint(e)
		default:
			f.fail(name, "expected an object of strings")
		}
	}
	return out
}

// Networks reads a list of addresses and networks. Its error is Vault's.
func (f *Fields) Networks(name string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range f.List(name) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			var a netip.Addr
			if a, err = netip.ParseAddr(s); err == nil {
				p, err = a.Unmap().Prefix(a.Unmap().BitLen())
			}
		}
		if err != nil {
			if f.err == nil {
				f.err = Bad("error parsing address %q: Unable to convert %q to an IPv4 or IPv6 address, or a UNIX Socket", s, s)
			}
			return nil
		}
		out = append(out, p.Masked())
	}
	return out
}
