package policy

import (
	"strconv"
	"strings"
	"time"
)

// decodeParameters reads allowed_parameters and denied_parameters: names with
// the list of values that they stand for. Vault folds the names to lower case;
// two names that become equal would overwrite each other there, here they are
// refused.
func decodeParameters(f field) (map[string][]any, *ParseError) {
	if f.value.kind != objectNode {
		return nil, f.value.errorf("%s must be a block, not %s", f.key, f.value.kind)
	}
	params := make(map[string][]any, len(f.value.fields))
	for _, p := range f.value.fields {
		key := strings.ToLower(p.key)
		switch _, seen := params[key]; {
		case len(p.labels) > 0:
			return nil, p.labels[0].errorf("a parameter takes no label")
		case seen:
			return nil, duplicate(p)
		case p.value.kind != listNode:
			return nil, p.value.errorf("%s: the values of %q must be a list, not %s", f.key, p.key, p.value.kind)
		}
		values := make([]any, 0, len(p.value.items))
		for _, item := range p.value.items {
			switch item.kind {
			case stringNode, numberNode, boolNode:
				values = append(values, item.value)
			default:
				// Vault reads these and then never finds them equal to anything.
				return nil, item.errorf("%s: a value of %q cannot be %s", f.key, p.key, item.kind)
			}
		}
		params[key] = values
	}
	return params, nil
}

// decodeRequired reads required_parameters. The names fold to lower case, the
// names in a request do not: Vault compares so, and clients rely on it.
func decodeRequired(n node) ([]string, *ParseError) {
	if n.kind != listNode {
		return nil, n.errorf("required_parameters must be a list, not %s", n.kind)
	}
	names := make([]string, 0, len(n.items))
	for _, item := range n.items {
		name, ok := item.value.(string)
		if !ok {
			return nil, item.errorf("required_parameters must hold names, not %s", item.kind)
		}
		names = append(names, strings.ToLower(name))
	}
	return names, nil
}

// decodeDuration reads seconds as a number or a string of digits, Go's notation
// ("1h30m"), or whole days ("7d"), as Vault does everywhere.
func decodeDuration(f field) (time.Duration, *ParseError) {
	bad := func() (time.Duration, *ParseError) {
		return 0, f.value.errorf("%s must be a duration of at most ten years, such as 90, \"90s\" or \"1h\"", f.key)
	}
	var d time.Duration
	const most = 10 * 365 * 24 * time.Hour
	switch v := f.value.value.(type) {
	case int64:
		if v > int64(most/time.Second) {
			return bad()
		}
		d = time.Duration(v) * time.Second
	case string:
		unit := time.Second
		number := v
		if n, days := strings.CutSuffix(v, "d"); days {
			unit, number = 24*time.Hour, n
		}
		if n, err := strconv.ParseUint(number, 10, 32); err == nil {
			if n > uint64(most/unit) {
				return bad()
			}
			d = time.Duration(n) * unit
			break
		}
		var err error
		if d, err = time.ParseDuration(v); err != nil {
			return bad()
		}
	default:
		return bad()
	}
	if d < 0 || d > most {
		return bad()
	}
	return d, nil
}
