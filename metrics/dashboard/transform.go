package dashboard

import (
	"cmp"
	"math"
	"regexp"
	"slices"
	"strings"
)

// transform changes the frames of a panel. It may use those it is given.
type transform func(frames []Frame, s scope) []Frame

// transforms compiles the transformations of a panel; those that are not known are
// reported and left out.
func (c *compiler) transforms(p *Panel, list []node) []transform {
	all := p.Transforms
	for i, n := range list {
		if i >= 50 {
			c.issue(p, Changed, "transformations", "Only the first 50 transformations are read.")
			break
		}
		if n.at("disabled").is() {
			continue
		}
		o := n.at("options")
		var t transform
		switch id := n.at("id").str(); id {
		case "organize":
			t = organize(o)
		case "joinByField", "seriesToColumns":
			t = joinBy(o.at("byField").str(), o.at("mode").or("outer"))
		case "calculateField":
			t = c.calculate(p, o)
		case "merge":
			t = merge
		case "groupBy":
			t = groupBy(o.at("fields"))
		case "sortBy":
			t = sortBy(o.at("sort").list())
		case "labelsToFields":
			t = labelsToFields(o)
		case "filterFieldsByName":
			t = c.filterByName(p, o)
		case "groupingToMatrix":
			t = matrix(o.at("columnField").or("Time"), o.at("rowField").or("Time"), o.at("valueField").or("Value"))
		case "reduce":
			if mode := o.at("mode").or("seriesToRows"); mode == "seriesToRows" && !o.at("labelsToFields").is() {
				t = reduceRows(o.at("reducers").strs())
			} else {
				c.issue(p, Changed, "transformation reduce", "The transformation reduce is known in the mode “series to rows” only; it is left out.")
			}
		case "renameByRegex":
			t = c.renameByRegex(p, o)
		case "limit":
			t = limit(o.at("limitField").integer(10))
		case "filterByRefId":
			t = c.filterByRef(p, o)
		default:
			c.issue(p, Changed, "transformation "+cut(id, 40), "The transformation %q is left out.", cut(id, 40))
		}
		if t == nil {
			continue
		}
		if filter := n.at("filter", "options").str(); n.at("filter", "id").str() == "byRefId" && filter != "" {
			t = only(filter, t)
		}
		all = append(all, t)
	}
	return all
}

// only applies a transformation to the frames of some targets.
func only(refs string, t transform) transform {
	re, err := grafanaRegex(refs)
	if err != nil {
		return t
	}
	return func(frames []Frame, s scope) []Frame {
		var in, out []Frame
		for _, f := range frames {
			if re.MatchString(f.RefID) {
				in = append(in, f)
			} else {
				out = append(out, f)
			}
		}
		return append(t(in, s), out...)
	}
}

// organize hides, orders and renames fields.
func organize(o node) transform {
	exclude, include, rename, order := o.at("excludeByName"), o.at("includeByName"), o.at("renameByName"), o.at("indexByName")
	return func(frames []Frame, _ scope) []Frame {
		out := make([]Frame, 0, len(frames))
		for _, frame := range frames {
			kept := frame
			kept.Fields = nil
			for _, f := range frame.Fields {
				if either(exclude, f).is() || len(include.object()) > 0 && !either(include, f).is() {
					continue
				}
				kept.Fields = append(kept.Fields, f)
			}
			if len(order.object()) > 0 {
				// Fields without a place stand behind those that have one.
				slices.SortStableFunc(kept.Fields, func(a, b Field) int {
					return cmp.Compare(either(order, a).integer(1e6), either(order, b).integer(1e6))
				})
			}
			for i := range kept.Fields {
				if name := either(rename, kept.Fields[i]).str(); name != "" {
					kept.Fields[i].display = name
				}
			}
			out = append(out, kept)
		}
		return out
	}
}

// either looks a field up by the name people see, or its own.
func either(n node, f Field) node {
	if v := n.at(f.label()); v.exists() {
		return v
	}
	return n.at(f.Name)
}

// joinBy makes one frame of all that have the field: a row for each of its values.
func joinBy(name, mode string) transform {
	return func(frames []Frame, _ scope) []Frame {
		var with []Frame
		for _, f := range frames {
			if joinField(f, name) != nil {
				with = append(with, f)
			}
		}
		if len(with) == 0 {
			return frames
		}
		if len(with) == 1 && mode != "inner" {
			return with
		}
		index := map[string]int{}
		counts := []int{}
		var key Field
		for n, frame := range with {
			f := joinField(frame, name)
			seen := map[string]bool{}
			for i := range f.len() {
				k := f.key(i)
				if _, ok := index[k]; !ok {
					index[k] = len(index)
					counts = append(counts, 0)
					if n == 0 && key.Type == "" {
						key = Field{Name: f.Name, Type: f.Type, display: f.display}
					}
					key.Type = cmp.Or(key.Type, f.Type)
					key.Name = cmp.Or(key.Name, f.Name)
					if f.Type == StringField {
						key.Strings = append(key.Strings, f.Strings[i])
					} else {
						key.Numbers = append(key.Numbers, f.Numbers[i])
					}
				}
				if !seen[k] {
					seen[k] = true
					counts[index[k]]++
				}
			}
		}
		joined := Frame{Fields: []Field{key}}
		for _, frame := range with {
			by := joinField(frame, name)
			rows := make([]int, len(index))
			for i := range rows {
				rows[i] = -1
			}
			for i := range by.len() {
				if at := index[by.key(i)]; rows[at] < 0 {
					rows[at] = i
				}
			}
			for i := range frame.Fields {
				if &frame.Fields[i] == by {
					continue
				}
				f := frame.Fields[i].take(rows)
				if f.display == "" && frame.Name != "" && len(with) > 1 && f.Type == NumberField && f.Name == "Value" {
					f.display = frame.Name
				}
				joined.Fields = append(joined.Fields, f)
			}
		}
		var rows []int
		for i, n := range counts {
			if mode != "inner" || n == len(with) {
				rows = append(rows, i)
			}
		}
		if key.Type == TimeField {
			slices.SortStableFunc(rows, func(a, b int) int { return cmp.Compare(key.Numbers[a], key.Numbers[b]) })
		}
		return []Frame{joined.take(rows)}
	}
}

// joinField is the field to join by: by name, or the time where there is none.
func joinField(f Frame, name string) *Field {
	if name == "" || name == "Time" || name == "time" {
		if t := (&f).timeField(); t != nil {
			return t
		}
	}
	return (&f).field(name)
}

// merge makes one table of all: rows that agree in the fields that they share
// become one, filling each other's gaps.
func merge(frames []Frame, _ scope) []Frame {
	if len(frames) < 2 {
		return frames
	}
	var fields []Field
	at := map[string]int{}
	shared := map[string]int{}
	total := 0
	for _, frame := range frames {
		seen := map[string]bool{}
		total += frame.rows()
		for _, f := range frame.Fields {
			name := f.label()
			if seen[name] {
				continue
			}
			seen[name] = true
			shared[name]++
			if _, ok := at[name]; !ok {
				at[name] = len(fields)
				f.Numbers, f.Strings = nil, nil
				fields = append(fields, f)
			}
		}
	}
	type cell struct {
		number float64
		text   string
		known  bool
	}
	var rows [][]cell
	byKey := map[string][]int{}
	for _, frame := range frames {
		for i := range frame.rows() {
			row := make([]cell, len(fields))
			var key strings.Builder
			for j := range frame.Fields {
				f := &frame.Fields[j]
				name := f.label()
				if at[name] >= len(row) || row[at[name]].known {
					continue
				}
				v := cell{known: true}
				if f.Type == StringField {
					v.text = f.Strings[i]
				} else {
					v.number = f.Numbers[i]
				}
				row[at[name]] = v
			}
			for j, f := range fields {
				if shared[f.label()] == len(frames) {
					key.WriteString(row[j].text)
					key.WriteByte(0)
					key.WriteString(decimalText(row[j].number))
					key.WriteByte(1)
				}
			}
			merged := false
			for _, r := range byKey[key.String()] {
				fits := true
				for j := range row {
					if row[j].known && rows[r][j].known && row[j] != rows[r][j] {
						fits = false
						break
					}
				}
				if fits {
					for j := range row {
						if row[j].known {
							rows[r][j] = row[j]
						}
					}
					merged = true
					break
				}
			}
			if !merged {
				byKey[key.String()] = append(byKey[key.String()], len(rows))
				rows = append(rows, row)
			}
		}
	}
	for _, row := range rows {
		for j := range fields {
			if fields[j].Type == StringField {
				fields[j].Strings = append(fields[j].Strings, row[j].text)
				continue
			}
			v := math.NaN()
			if row[j].known {
				v = row[j].number
			}
			fields[j].Numbers = append(fields[j].Numbers, v)
		}
	}
	return []Frame{{Fields: fields}}
}

// groupBy makes one row of all that agree in the grouping fields, and calculates
// the others.
func groupBy(o node) transform {
	return func(frames []Frame, _ scope) []Frame {
		out := make([]Frame, 0, len(frames))
		for _, frame := range frames {
			var keys []int
			for i, f := range frame.Fields {
				if either(o, f).at("operation").str() == "groupby" {
					keys = append(keys, i)
				}
			}
			if len(keys) == 0 {
				continue
			}
			groups := map[string]int{}
			var members [][]int
			for row := range frame.rows() {
				var k strings.Builder
				for _, i := range keys {
					k.WriteString(frame.Fields[i].key(row))
					k.WriteByte(0)
				}
				g, ok := groups[k.String()]
				if !ok {
					g = len(members)
					groups[k.String()] = g
					members = append(members, nil)
				}
				members[g] = append(members[g], row)
			}
			firsts := make([]int, len(members))
			for g := range members {
				firsts[g] = members[g][0]
			}
			grouped := Frame{Name: frame.Name, RefID: frame.RefID}
			for _, i := range keys {
				grouped.Fields = append(grouped.Fields, frame.Fields[i].take(firsts))
			}
			for _, f := range frame.Fields {
				spec := either(o, f)
				if spec.at("operation").str() != "aggregate" {
					continue
				}
				for _, calc := range spec.at("aggregations").strs() {
					grouped.Fields = append(grouped.Fields, aggregate(f, members, calc))
				}
			}
			out = append(out, grouped)
		}
		return out
	}
}

func aggregate(f Field, groups [][]int, calc string) Field {
	name := f.label() + " (" + calc + ")"
	made := Field{Name: name, Type: NumberField, config: f.config, set: f.set}
	if f.Type != NumberField && calc != "count" && calc != "distinctCount" {
		made.Type = f.Type
	}
	for _, rows := range groups {
		part := f.take(rows)
		switch {
		case f.Type == StringField && made.Type == NumberField:
			n := len(part.Strings)
			if calc == "distinctCount" {
				n = len(slices.Compact(slices.Sorted(slices.Values(part.Strings))))
			}
			made.Numbers = append(made.Numbers, float64(n))
		case f.Type == StringField:
			text := part.Strings[len(part.Strings)-1]
			if strings.HasPrefix(calc, "first") {
				text = part.Strings[0]
			}
			made.Strings = append(made.Strings, text)
		default:
			made.Numbers = append(made.Numbers, reduce(part.Numbers, calc))
		}
	}
	return made
}

// sortBy orders the rows of each frame by its first sort field.
func sortBy(sorts []node) transform {
	return func(frames []Frame, _ scope) []Frame {
		for i := range frames {
			frame := &frames[i]
			rows := sequence(frame.rows())
			slices.SortStableFunc(rows, func(a, b int) int {
				for _, s := range sorts {
					f := frame.field(s.at("field").str())
					if f == nil {
						continue
					}
					c := f.compare(a, b)
					if s.at("desc").is() {
						c = -c
					}
					if c != 0 {
						return c
					}
				}
				return 0
			})
			frames[i] = frame.take(rows)
		}
		return frames
	}
}

func sequence(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// labelsToFields makes columns of the labels of series, or rows of name and value.
func labelsToFields(o node) transform {
	keep, valueLabel, asRows := o.at("keepLabels").strs(), o.at("valueLabel").str(), o.at("mode").str() == "rows"
	return func(frames []Frame, s scope) []Frame {
		out := make([]Frame, 0, len(frames))
		for _, frame := range frames {
			var plain []Field
			for _, f := range frame.Fields {
				if len(f.Labels) == 0 || f.Type != NumberField {
					plain = append(plain, f)
				}
			}
			for _, f := range frame.Fields {
				if len(f.Labels) == 0 || f.Type != NumberField {
					continue
				}
				labels := sortedKeys(f.Labels)
				labels = slices.DeleteFunc(labels, func(l string) bool { return len(keep) > 0 && !slices.Contains(keep, l) })
				if asRows {
					rows := Frame{Name: frame.Name, RefID: frame.RefID, Fields: []Field{{Name: "label", Type: StringField}, {Name: "value", Type: StringField}}}
					for _, l := range labels {
						rows.Fields[0].Strings = append(rows.Fields[0].Strings, l)
						rows.Fields[1].Strings = append(rows.Fields[1].Strings, f.Labels[l])
					}
					out = append(out, rows)
					continue
				}
				wide := Frame{Name: frame.Name, RefID: frame.RefID, Fields: slices.Clone(plain)}
				name := "Value"
				if f.Name != "" {
					name = f.Name
				}
				for _, l := range labels {
					if l == valueLabel {
						name = f.Labels[l]
						continue
					}
					column := Field{Name: l, Type: StringField, Strings: make([]string, frame.rows())}
					for i := range column.Strings {
						column.Strings[i] = f.Labels[l]
					}
					wide.Fields = append(wide.Fields, column)
				}
				f.Labels, f.display, f.Name = nil, "", name
				wide.Fields = append(wide.Fields, f)
				out = append(out, wide)
			}
		}
		if asRows || len(out) < 2 {
			return out
		}
		return merge(out, s)
	}
}

// filterByName keeps the fields that are named or match.
func (c *compiler) filterByName(p *Panel, o node) transform {
	rule := func(n node) (func(Field) bool, bool) {
		wanted, pattern := n.at("names").strs(), n.at("pattern").str()
		if len(wanted) == 0 && pattern == "" {
			return nil, false
		}
		var re *regexp.Regexp
		if pattern != "" {
			compiled, err := grafanaRegex(pattern)
			if err != nil {
				c.issue(p, Changed, "transformation filterFieldsByName", "The regular expression %s is not one that Go can run.", cut(pattern, 80))
			}
			re = compiled
		}
		return func(f Field) bool {
			return slices.Contains(wanted, f.label()) || slices.Contains(wanted, f.Name) || re != nil && (re.MatchString(f.label()) || re.MatchString(f.Name))
		}, true
	}
	include, some := rule(o.at("include"))
	exclude, others := rule(o.at("exclude"))
	if !some && !others {
		return nil
	}
	return func(frames []Frame, _ scope) []Frame {
		var out []Frame
		for _, frame := range frames {
			kept := frame
			kept.Fields = nil
			for _, f := range frame.Fields {
				if some && !include(f) || others && exclude(f) {
					continue
				}
				kept.Fields = append(kept.Fields, f)
			}
			if len(kept.Fields) > 0 {
				out = append(out, kept)
			}
		}
		return out
	}
}

// matrix makes rows and columns of the values of two fields.
func matrix(column, row, value string) transform {
	return func(frames []Frame, s scope) []Frame {
		if len(frames) > 1 {
			frames = merge(frames, s)
		}
		if len(frames) != 1 {
			return frames
		}
		frame := &frames[0]
		c, r, v := frame.field(column), frame.field(row), frame.field(value)
		if c == nil || r == nil || v == nil {
			return frames
		}
		columns, rows := map[string]int{}, map[string]int{}
		var names []string
		var firsts []int
		for i := range frame.rows() {
			if _, ok := columns[c.key(i)]; !ok {
				columns[c.key(i)] = len(names)
				names = append(names, c.key(i))
			}
			if _, ok := rows[r.key(i)]; !ok {
				rows[r.key(i)] = len(firsts)
				firsts = append(firsts, i)
			}
		}
		head := r.take(firsts)
		head.Name, head.display = r.label()+`\`+c.label(), ""
		made := Frame{Name: frame.Name, RefID: frame.RefID, Fields: []Field{head}}
		at := make([][]int, len(names))
		for i := range at {
			at[i] = make([]int, len(firsts))
			for j := range at[i] {
				at[i][j] = -1
			}
		}
		for i := range frame.rows() {
			at[columns[c.key(i)]][rows[r.key(i)]] = i
		}
		for i, name := range names {
			f := v.take(at[i])
			f.Name, f.display, f.Labels = name, "", nil
			made.Fields = append(made.Fields, f)
		}
		return []Frame{made}
	}
}

// reduceRows makes a row of each series, with its calculations as columns.
func reduceRows(wanted []string) transform {
	if len(wanted) == 0 {
		wanted = []string{"max"}
	}
	return func(frames []Frame, _ scope) []Frame {
		made := Frame{Fields: []Field{{Name: "Field", Type: StringField}}}
		for _, calc := range wanted {
			made.Fields = append(made.Fields, Field{Name: calcName(calc), Type: NumberField})
		}
		for _, frame := range frames {
			for _, f := range frame.Fields {
				if f.Type != NumberField {
					continue
				}
				made.Fields[0].Strings = append(made.Fields[0].Strings, f.label())
				for i, calc := range wanted {
					made.Fields[i+1].Numbers = append(made.Fields[i+1].Numbers, reduce(f.Numbers, calc))
				}
			}
		}
		return []Frame{made}
	}
}

func (c *compiler) renameByRegex(p *Panel, o node) transform {
	re, err := grafanaRegex(o.at("regex").str())
	if err != nil {
		c.issue(p, Changed, "transformation renameByRegex", "The regular expression %s is not one that Go can run.", cut(o.at("regex").str(), 80))
		return nil
	}
	with := groups.ReplaceAllString(o.at("renamePattern").str(), "$${$1}")
	return func(frames []Frame, _ scope) []Frame {
		for i := range frames {
			for j := range frames[i].Fields {
				f := &frames[i].Fields[j]
				if f.Type != TimeField && re.MatchString(f.label()) {
					f.display = re.ReplaceAllString(f.label(), with)
				}
			}
		}
		return frames
	}
}

func limit(n int) transform {
	return func(frames []Frame, _ scope) []Frame {
		for i := range frames {
			if frames[i].rows() > n && n >= 0 {
				frames[i] = frames[i].take(sequence(n))
			}
		}
		return frames
	}
}

func (c *compiler) filterByRef(p *Panel, o node) transform {
	re, err := grafanaRegex(o.at("include").or(".*"))
	if err != nil {
		c.issue(p, Changed, "transformation filterByRefId", "The regular expression %s is not one that Go can run.", cut(o.at("include").str(), 80))
		return nil
	}
	return func(frames []Frame, _ scope) []Frame {
		return slices.DeleteFunc(frames, func(f Frame) bool { return !re.MatchString(f.RefID) })
	}
}
