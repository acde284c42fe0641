package dashboard

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// AllValue is how addresses and files write that a variable holds all its values.
const AllValue = "$__all"

// maxOptions is how many values of a variable are offered; more are cut off with a
// note.
const maxOptions = 2000

// Variable is a compiled template variable.
type Variable struct {
	Name        string
	Label       string
	Description string
	// Kind is query, custom, interval, datasource, constant or textbox.
	Kind string
	// Hidden variables have no control on the page.
	Hidden bool
	Multi  bool
	All    bool
	// Default is what the file holds as current values.
	Default []string

	allValue string
	query    varQuery
	options  []Option
	regex    *regexp.Regexp
	sort     int
	auto     bool
	autoMin  string
	autoN    int
}

// Option is a value that a variable can take and how it is shown.
type Option struct{ Text, Value string }

// varQuery is a variable's query in one of Prometheus' forms.
type varQuery struct {
	form  string // values, names, metrics, result, series
	label string
	match string
	expr  string
}

// Chosen is a variable with the values to choose from and those chosen.
type Chosen struct {
	Variable *Variable
	Options  []Option
	Values   []string // AllValue alone for all
	// Problem says why there are no options; "" where all is well.
	Problem string
}

// Has reports whether value is chosen.
func (c Chosen) Has(value string) bool { return slices.Contains(c.Values, value) }

var (
	labelValuesForm = regexp.MustCompile(`(?s)^\s*label_values\(\s*(?:(.+),\s*)?("?[a-zA-Z_][\w.]*"?)\s*\)\s*$`)
	labelNamesForm  = regexp.MustCompile(`(?s)^\s*label_names\(\s*(.*?)\s*\)\s*$`)
	metricsForm     = regexp.MustCompile(`(?s)^\s*metrics\(\s*(.*?)\s*\)\s*$`)
	resultForm      = regexp.MustCompile(`(?s)^\s*query_result\(\s*(.*)\s*\)\s*$`)
	javaRegex       = regexp.MustCompile(`(?s)^/(.*)/([gimsuy]*)$`)
)

// compileVariables reads templating.list.
func (c *compiler) compileVariables(list []node) []Variable {
	var all []Variable
	for i, n := range list {
		if i >= maxVariables {
			c.issue(nil, Missing, "variables", "Only the first %d variables are read.", maxVariables)
			break
		}
		v := Variable{
			Name: n.at("name").str(), Label: n.at("label").str(), Description: n.at("description").str(), Kind: n.at("type").str(),
			Hidden: n.at("hide").integer(0) == 2, Multi: n.at("multi").is(), All: n.at("includeAll").is(),
			allValue: n.at("allValue").str(), sort: n.at("sort").integer(0),
		}
		if v.Name == "" {
			continue
		}
		v.Default = n.at("current", "value").strs()
		if len(v.Default) == 0 {
			v.Default = n.at("current", "text").strs()
		}
		if len(v.Default) == 1 && strings.EqualFold(v.Default[0], "all") && v.All {
			v.Default = []string{AllValue}
		}
		v.Default = slices.DeleteFunc(v.Default, func(s string) bool { return s == "" })
		switch v.Kind {
		case "query":
			if !prometheusSource(n.at("datasource"), c.sources) {
				c.issue(nil, Missing, "variable "+v.Name, "The variable %s asks a data source that is not Prometheus; it keeps the values that the file holds.", v.Name)
				v.Kind, v.options = "custom", fileOptions(n)
				break
			}
			c.compileQuery(&v, n)
		case "custom":
			v.options = customOptions(n.at("query").str())
			if len(v.options) == 0 {
				v.options = fileOptions(n)
			}
		case "interval":
			for _, text := range splitList(n.at("query").str()) {
				v.options = append(v.options, Option{text, text})
			}
			v.auto, v.autoMin, v.autoN = n.at("auto").is(), n.at("auto_min").or("10s"), n.at("auto_count").integer(30)
			if v.auto {
				v.options = append([]Option{{"auto", "auto"}}, v.options...)
				if len(v.Default) == 1 && strings.HasPrefix(v.Default[0], "$__auto") {
					v.Default[0] = "auto"
				}
			}
		case "datasource":
			// A workspace is the one data source there is.
			v.options, v.Default, v.Multi, v.All, v.Hidden = []Option{{"workspace", "workspace"}}, []string{"workspace"}, false, false, true
		case "constant":
			text := n.at("query").str()
			v.options, v.Default, v.Hidden = []Option{{text, text}}, []string{text}, true
		case "textbox":
			if len(v.Default) == 0 {
				v.Default = []string{n.at("query").str()}
			}
		default:
			c.issue(nil, Missing, "variable "+v.Name, "Variables of the type %s are not supported; %s keeps the values that the file holds.", cut(n.at("type").or("(none)"), 40), v.Name)
			v.Kind, v.options = "custom", fileOptions(n)
		}
		all = append(all, v)
	}
	return c.inOrder(all)
}

func (c *compiler) compileQuery(v *Variable, n node) {
	text := n.at("query").str()
	if text == "" {
		text = n.at("query", "query").str()
	}
	if text == "" {
		text = n.at("definition").str()
	}
	switch {
	case labelValuesForm.MatchString(text):
		m := labelValuesForm.FindStringSubmatch(text)
		v.query = varQuery{form: "values", match: strings.TrimSpace(m[1]), label: strings.Trim(m[2], `"`)}
	case labelNamesForm.MatchString(text):
		v.query = varQuery{form: "names", match: labelNamesForm.FindStringSubmatch(text)[1]}
	case metricsForm.MatchString(text):
		v.query = varQuery{form: "metrics", match: metricsForm.FindStringSubmatch(text)[1]}
	case resultForm.MatchString(text):
		v.query = varQuery{form: "result", expr: resultForm.FindStringSubmatch(text)[1]}
	case strings.TrimSpace(text) == "":
		c.issue(nil, Missing, "variable "+v.Name, "The variable %s has no query; it keeps the values that the file holds.", v.Name)
		v.Kind, v.options = "custom", fileOptions(n)
	default:
		v.query = varQuery{form: "series", match: strings.TrimSpace(text)}
	}
	pattern := n.at("regex").str()
	if pattern == "" {
		return
	}
	compiled, err := grafanaRegex(pattern)
	if err != nil {
		c.issue(nil, Changed, "variable "+v.Name, "The regular expression of %s is not one that Go can run (%s); all values are offered.", v.Name, cut(pattern, 80))
		return
	}
	v.regex = compiled
}

// grafanaRegex compiles /pattern/flags, or a bare pattern. RE2 has no lookahead;
// what it cannot compile is an error.
func grafanaRegex(pattern string) (*regexp.Regexp, error) {
	if len(pattern) > 1000 {
		return nil, fmt.Errorf("a regular expression of %d bytes", len(pattern))
	}
	flags := ""
	if m := javaRegex.FindStringSubmatch(pattern); m != nil {
		pattern = m[1]
		for _, f := range "ims" {
			if strings.ContainsRune(m[2], f) {
				flags += string(f)
			}
		}
	}
	pattern = strings.ReplaceAll(pattern, "(?<", "(?P<")
	pattern = strings.NewReplacer("(?P<=", "(?<=", "(?P<!", "(?<!").Replace(pattern)
	if flags != "" {
		pattern = "(?" + flags + ")" + pattern
	}
	return regexp.Compile(pattern)
}

// fileOptions are the values that the file was saved with.
func fileOptions(n node) []Option {
	var all []Option
	for _, o := range n.at("options").list() {
		if v := o.at("value").str(); v != "" && v != AllValue {
			all = append(all, Option{o.at("text").or(v), v})
		}
	}
	if len(all) == 0 {
		texts := n.at("current", "text").strs()
		for i, v := range n.at("current", "value").strs() {
			if v == AllValue || v == "" {
				continue
			}
			text := v
			if i < len(texts) {
				text = texts[i]
			}
			all = append(all, Option{text, v})
		}
	}
	return all
}

// customOptions reads "a, b, text : value"; \, is a comma in a value.
func customOptions(query string) []Option {
	var all []Option
	for _, entry := range splitList(query) {
		text, value, pair := strings.Cut(entry, " : ")
		if !pair {
			value = text
		}
		all = append(all, Option{strings.TrimSpace(text), strings.TrimSpace(value)})
	}
	return all
}

func splitList(list string) []string {
	const escaped = "\x00"
	var all []string
	for _, part := range strings.Split(strings.ReplaceAll(list, `\,`, escaped), ",") {
		if part = strings.TrimSpace(strings.ReplaceAll(part, escaped, ",")); part != "" {
			all = append(all, strings.Trim(part, `"`))
		}
	}
	return all
}

// inOrder puts each variable after those it refers to. Variables that refer to
// each other in a circle keep their order, with an issue.
func (c *compiler) inOrder(all []Variable) []Variable {
	at := map[string]int{}
	for i, v := range all {
		at[v.Name] = i
	}
	var sorted []int
	state := make([]int, len(all)) // 0 new, 1 being visited, 2 done
	var visit func(i int)
	visit = func(i int) {
		if state[i] != 0 {
			if state[i] == 1 {
				c.issue(nil, Changed, "variable "+all[i].Name, "The variable %s refers to itself through others.", all[i].Name)
			}
			return
		}
		state[i] = 1
		for _, name := range names(all[i].query.match, all[i].query.expr, all[i].query.label) {
			if j, ok := at[name]; ok && j != i {
				visit(j)
			}
		}
		state[i] = 2
		sorted = append(sorted, i)
	}
	for i := range all {
		visit(i)
	}
	c.order = sorted
	return all
}

// choose fills in what a variable can be and what it is: the values asked for, or
// else the file's, or else the first.
func (v *Variable) choose(ctx context.Context, q Querier, asked []string, s scope, from, to time.Time) Chosen {
	c := Chosen{Variable: v}
	options, err := v.load(ctx, q, s, from, to)
	if err != nil {
		c.Problem = "The values could not be asked for: " + messageOf(err)
	}
	if len(options) > maxOptions {
		c.Problem = fmt.Sprintf("Only the first %d of %d values are offered.", maxOptions, len(options))
		options = options[:maxOptions]
	}
	c.Options = options
	known := func(value string) bool {
		return value == AllValue && v.All || slices.ContainsFunc(options, func(o Option) bool { return o.Value == value || o.Text == value })
	}
	// An address may name any value, as in Grafana: it may be older than the data.
	for _, value := range asked {
		if value == "All" && v.All {
			value = AllValue
		}
		if value != "" {
			c.Values = append(c.Values, value)
		}
	}
	if len(c.Values) == 0 {
		for _, value := range v.Default {
			if v.Kind == "textbox" || known(value) || len(options) == 0 {
				c.Values = append(c.Values, value)
			}
		}
	}
	switch {
	case len(c.Values) == 0 && v.All && len(v.Default) > 0 && v.Default[0] == AllValue:
		c.Values = []string{AllValue}
	case len(c.Values) == 0 && len(options) > 0:
		c.Values = []string{options[0].Value}
	case len(c.Values) == 0 && v.All:
		c.Values = []string{AllValue}
	}
	if !v.Multi && len(c.Values) > 1 {
		c.Values = c.Values[:1]
	}
	if slices.Contains(c.Values, AllValue) {
		c.Values = []string{AllValue}
	}
	return c
}

// load asks for the values of a variable.
func (v *Variable) load(ctx context.Context, q Querier, s scope, from, to time.Time) ([]Option, error) {
	if v.Kind != "query" {
		return v.options, nil
	}
	var texts []string
	match := strings.TrimSpace(s.expr(v.query.match))
	ask := LabelQuery{Label: s.expr(v.query.label), Start: from, End: to}
	if match != "" && v.query.form != "metrics" {
		ask.Match = []string{match}
	}
	var err error
	switch v.query.form {
	case "values":
		texts, err = q.LabelValues(ctx, ask)
	case "names":
		texts, err = q.LabelNames(ctx, ask)
	case "metrics":
		ask.Label, ask.Match = "__name__", nil
		if texts, err = q.LabelValues(ctx, ask); err == nil && match != "" {
			re, bad := grafanaRegex(match)
			if bad != nil {
				return nil, bad
			}
			texts = slices.DeleteFunc(texts, func(t string) bool { return !re.MatchString(t) })
		}
	case "result":
		var result Result
		result, err = q.Instant(ctx, InstantQuery{Expr: s.expr(v.query.expr), At: to})
		for _, series := range result.Series {
			if n := len(series.Points); n > 0 {
				p := series.Points[n-1]
				texts = append(texts, fmt.Sprintf("%s %s %d", seriesText(series.Labels), decimalText(p.V), p.T))
			}
		}
	case "series":
		var all []map[string]string
		all, err = q.Series(ctx, ask)
		for _, labels := range all {
			texts = append(texts, seriesText(labels))
		}
	}
	if err != nil {
		return nil, err
	}
	return v.arrange(texts), nil
}

// arrange applies the variable's regular expression and order, and drops doubles.
func (v *Variable) arrange(texts []string) []Option {
	seen := map[string]bool{}
	var options []Option
	for _, text := range texts {
		o := Option{text, text}
		if v.regex != nil {
			m := v.regex.FindStringSubmatch(text)
			if m == nil {
				continue
			}
			o = captured(v.regex, m)
		}
		if seen[o.Value] {
			continue
		}
		seen[o.Value] = true
		options = append(options, o)
	}
	compare := strings.Compare
	switch v.sort {
	case 3, 4, 7, 8:
		compare = natural
	case 5, 6:
		compare = func(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }
	}
	if v.sort > 0 {
		slices.SortStableFunc(options, func(a, b Option) int {
			if v.sort%2 == 0 {
				a, b = b, a
			}
			return compare(a.Text, b.Text)
		})
	}
	return options
}

// captured is the option that a match makes: the groups named text and value, or
// the first group, or the whole match.
func captured(re *regexp.Regexp, m []string) Option {
	text, value := re.SubexpIndex("text"), re.SubexpIndex("value")
	switch {
	case text > 0 && value > 0:
		return Option{m[text], m[value]}
	case text > 0:
		return Option{m[text], m[text]}
	case value > 0:
		return Option{m[value], m[value]}
	case len(m) > 1 && m[1] != "":
		return Option{m[1], m[1]}
	}
	return Option{m[0], m[0]}
}

// value is what the chosen values stand for in queries.
func (c Chosen) value(auto time.Duration) value {
	v := c.Variable
	out := value{many: v.Multi || v.All}
	if v.Kind == "interval" && c.Has("auto") {
		return single(promDuration(auto))
	}
	if c.Has(AllValue) {
		if v.allValue != "" {
			return value{texts: []string{"All"}, values: []string{v.allValue}, many: true, raw: true}
		}
		out.texts = []string{"All"}
		for _, o := range c.Options {
			out.values = append(out.values, o.Value)
		}
		if len(out.values) == 0 {
			return value{texts: []string{"All"}, values: []string{".*"}, many: true, raw: true}
		}
		return out
	}
	for _, chosen := range c.Values {
		text := chosen
		for _, o := range c.Options {
			if o.Value == chosen {
				text = o.Text
			}
		}
		out.texts = append(out.texts, text)
		out.values = append(out.values, chosen)
	}
	return out
}
