package dashboard

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// fieldConfig is how fields look: the panel's defaults, and what its overrides set
// for some.
type fieldConfig struct {
	Unit        string
	Decimals    *int
	Min, Max    *float64
	DisplayName string
	NoValue     string
	Color       colorRule
	Thresholds  thresholds
	Mappings    []mapping
	Links       []Link
	Custom      custom

	overrides []override
}

// custom are the settings of time series and tables that a field may have of its
// own.
type custom struct {
	Style        string // line, bars or points
	Width        float64
	Fill         float64 // 0–100
	Gradient     string
	Interpolate  string
	Dash         []float64
	PointSize    float64
	ShowPoints   string
	SpanNulls    bool
	Stack        string // none, normal or percent
	StackGroup   string
	Axis         string // auto, left, right or hidden
	AxisLabel    string
	SoftMin      *float64
	SoftMax      *float64
	Centered     bool
	Log          float64 // the base; 0 for a linear axis
	Negative     bool
	Constant     bool
	ThresholdsAs string // off, line, area, line+area…
	HideViz      bool
	HideLegend   bool
	HideTooltip  bool
	FillBelow    string

	CellType    string
	CellMode    string
	ColumnWidth int
	Align       string
	HideColumn  bool
}

// override changes the fields that its matcher finds.
type override struct {
	matches    func(f *Frame, field *Field) bool
	properties []property
}

type property struct {
	id    string
	value node
}

func (c *compiler) fields(p *Panel, n node) fieldConfig {
	f := fieldConfig{Color: colorRule{Mode: defaultColor(p.Kind)}, Custom: custom{Style: "line", Width: 1, PointSize: 5, ShowPoints: "auto", Axis: "auto", Interpolate: "linear"}}
	f.Thresholds = thresholds{Steps: []threshold{{Color: "green"}}}
	for _, key := range []string{"unit", "decimals", "min", "max", "displayName", "displayNameFromDS", "noValue", "color", "thresholds", "mappings", "links"} {
		if v := n.at("defaults", key); v.exists() {
			c.property(p, &f, property{key, v})
		}
	}
	defaults := n.at("defaults", "custom").object()
	for _, key := range sortedKeys(defaults) {
		c.property(p, &f, property{"custom." + key, node{defaults[key]}})
	}
	for i, o := range n.at("overrides").list() {
		if i >= 500 {
			c.issue(p, Changed, "overrides", "Only the first 500 overrides are read.")
			break
		}
		matches, ok := c.matcher(p, o.at("matcher"))
		if !ok {
			continue
		}
		ov := override{matches: matches}
		for _, prop := range o.at("properties").list() {
			one := property{prop.at("id").str(), prop.at("value")}
			// Tried on a copy, so that what is unknown is reported at import.
			scratch := f
			c.property(p, &scratch, one)
			ov.properties = append(ov.properties, one)
		}
		f.overrides = append(f.overrides, ov)
	}
	return f
}

func defaultColor(k Kind) string {
	switch k {
	case TimeSeries, PieChart:
		return "palette-classic"
	}
	return "thresholds"
}

// matcher compiles the part of an override that chooses fields.
func (c *compiler) matcher(p *Panel, n node) (func(*Frame, *Field) bool, bool) {
	arg := n.at("options")
	switch id := n.at("id").str(); id {
	case "byName":
		name := arg.str()
		if arg.isObject() {
			name = arg.at("name").str()
		}
		return func(_ *Frame, f *Field) bool { return f.Name == name || f.label() == name }, true
	case "byNames":
		wanted := arg.at("names").strs()
		exclude := arg.at("mode").str() == "exclude"
		return func(_ *Frame, f *Field) bool {
			return exclude != (slices.Contains(wanted, f.Name) || slices.Contains(wanted, f.label()))
		}, true
	case "byRegexp":
		re, err := grafanaRegex(arg.str())
		if err != nil {
			c.issue(p, Changed, "override byRegexp", "The regular expression %s of an override is not one that Go can run; the override is left out.", cut(arg.str(), 80))
			return nil, false
		}
		return func(_ *Frame, f *Field) bool { return re.MatchString(f.label()) || re.MatchString(f.Name) }, true
	case "byFrameRefID":
		ref := arg.str()
		return func(frame *Frame, _ *Field) bool { return frame.RefID == ref }, true
	case "byType":
		kind := FieldType(arg.str())
		return func(_ *Frame, f *Field) bool { return f.Type == kind }, true
	case "byValue":
		calc, op, limit := arg.at("reducer").or("lastNotNull"), arg.at("op").or("gte"), 0.0
		if v, ok := arg.at("value").num(); ok {
			limit = v
		}
		return func(_ *Frame, f *Field) bool {
			return f.Type == NumberField && holds(reduce(f.Numbers, calc), op, limit)
		}, true
	default:
		c.issue(p, Changed, "override "+cut(id, 40), "Overrides that choose fields by %q are left out.", cut(id, 40))
		return nil, false
	}
}

func holds(v float64, op string, limit float64) bool {
	switch op {
	case "gte":
		return v >= limit
	case "gt":
		return v > limit
	case "lte":
		return v <= limit
	case "lt":
		return v < limit
	case "eq":
		return v == limit
	case "neq":
		return v != limit
	}
	return false
}

// property sets one property. p is nil when an override is applied while drawing:
// what is unknown was reported at import.
func (c *compiler) property(p *Panel, f *fieldConfig, prop property) {
	v := prop.value
	switch prop.id {
	case "unit":
		f.Unit = v.str()
	case "decimals":
		f.Decimals = nil
		if n, ok := v.num(); ok {
			places := clamp(int(n), 0, 20)
			f.Decimals = &places
		}
	case "min":
		f.Min = v.maybe()
	case "max":
		f.Max = v.maybe()
	case "displayName":
		f.DisplayName = v.str()
	case "displayNameFromDS":
	case "noValue":
		f.NoValue = v.str()
	case "color":
		f.Color = colorRule{Mode: v.at("mode").or("fixed"), Fixed: v.at("fixedColor").str(), By: v.at("seriesBy").or("last")}
	case "thresholds":
		f.Thresholds = readThresholds(v)
	case "mappings":
		f.Mappings = c.mappings(p, v.list())
	case "links":
		f.Links = links(v)
	case "filterable", "custom.filterable", "custom.inspect", "custom.barAlignment", "custom.barWidthFactor", "custom.lineColor", "custom.axisGridShow",
		"custom.axisColorMode", "custom.scaleDistribution.log", "custom.minWidth", "custom.insertNulls", "custom.axisWidth", "custom.footer", "custom.axisBorderShow",
		"custom.fieldMinMax", "fieldMinMax", "actions", "custom.tooltip", "description", "custom.showValues", "custom.wrapText", "custom.wrapHeaderText":
		// What changes the comfort of a panel, not what it says.
	default:
		name, ok := strings.CutPrefix(prop.id, "custom.")
		if !ok || !f.Custom.set(name, v) {
			if c != nil && p != nil {
				c.issue(p, Changed, "property "+cut(prop.id, 60), "The property %q is not known; it is left out.", cut(prop.id, 60))
			}
		}
	}
}

// set changes a custom setting and reports whether it is known.
func (k *custom) set(name string, v node) bool {
	num := func(fallback float64) float64 {
		if n, ok := v.num(); ok {
			return n
		}
		return fallback
	}
	switch name {
	case "drawStyle":
		k.Style = v.or("line")
	case "lineWidth":
		k.Width = min(10, max(0, num(1)))
	case "fillOpacity":
		k.Fill = min(100, max(0, num(0)))
	case "gradientMode":
		k.Gradient = v.str()
	case "lineInterpolation":
		k.Interpolate = v.or("linear")
	case "lineStyle":
		k.Dash = nil
		switch v.at("fill").str() {
		case "dash":
			k.Dash = []float64{10, 10}
		case "dot":
			k.Dash = []float64{1, 6}
		}
		if d := v.at("dash").list(); k.Dash != nil && len(d) > 1 {
			k.Dash = nil
			for _, one := range d[:min(len(d), 8)] {
				size, _ := one.num()
				k.Dash = append(k.Dash, min(100, max(0, size)))
			}
		}
	case "pointSize":
		k.PointSize = min(20, max(1, num(5)))
	case "showPoints":
		k.ShowPoints = v.or("auto")
	case "spanNulls":
		if n, ok := v.num(); ok {
			k.SpanNulls = n > 0
		} else {
			k.SpanNulls = v.is()
		}
	case "stacking":
		k.Stack, k.StackGroup = v.at("mode").or("none"), v.at("group").str()
	case "axisPlacement":
		k.Axis = v.or("auto")
	case "axisLabel":
		k.AxisLabel = v.str()
	case "axisSoftMin":
		k.SoftMin = v.maybe()
	case "axisSoftMax":
		k.SoftMax = v.maybe()
	case "axisCenteredZero":
		k.Centered = v.is()
	case "scaleDistribution":
		k.Log = 0
		if kind := v.at("type").str(); kind == "log" || kind == "symlog" {
			k.Log = 10
			if base, ok := v.at("log").num(); ok && base == 2 {
				k.Log = 2
			}
		}
	case "transform":
		k.Negative, k.Constant = v.str() == "negative-Y", v.str() == "constant"
	case "thresholdsStyle":
		k.ThresholdsAs = v.at("mode").str()
	case "hideFrom":
		k.HideViz, k.HideLegend, k.HideTooltip = v.at("viz").is() || v.at("graph").is(), v.at("legend").is(), v.at("tooltip").is()
	case "fillBelowTo":
		k.FillBelow = v.str()
	case "cellOptions":
		k.CellType, k.CellMode = v.at("type").str(), v.at("mode").str()
	case "displayMode":
		k.CellType = v.str()
	case "width":
		k.ColumnWidth = clamp(int(num(0)), 0, 2000)
	case "align":
		k.Align = v.str()
	case "hidden", "hideFrom.viz":
		k.HideColumn = v.is()
	case "neutral", "orientation", "hideValue", "mode", "pointShape", "pointStrokeWidth", "show":
	default:
		return false
	}
	return true
}

// configure gives every field its configuration: the defaults, then each override
// that matches, in order. Names that contain labels are filled in.
func (p *Panel) configure(frames []Frame, s scope) {
	for i := range frames {
		frame := &frames[i]
		for j := range frame.Fields {
			field := &frame.Fields[j]
			config := p.Field
			config.overrides = nil
			if field.set {
				config = field.config
			}
			for _, o := range p.Field.overrides {
				if !o.matches(frame, field) {
					continue
				}
				for _, prop := range o.properties {
					(*compiler)(nil).property(nil, &config, prop)
				}
			}
			config.Mappings = slices.Clone(config.Mappings)
			field.config, field.set = config, true
			if config.DisplayName != "" && field.Type != TimeField {
				field.display = strings.TrimSpace(fieldScope(s, frame, field).text(fieldPaths.ReplaceAllStringFunc(config.DisplayName, func(m string) string {
					return fieldPath(m, frame, field)
				})))
			}
		}
	}
}

// fieldPaths are the references to the field itself: ${__field.labels.pod}.
var fieldPaths = regexp.MustCompile(`\$\{__(?:field|series)\.[^}]*\}`)

func fieldPath(m string, frame *Frame, field *Field) string {
	path := strings.TrimSuffix(m[2:], "}")
	_, rest, _ := strings.Cut(path, ".")
	switch {
	case rest == "name" || rest == "displayName":
		return field.label()
	case rest == "labels":
		return seriesText(field.Labels)
	case strings.HasPrefix(rest, "labels."):
		return field.Labels[strings.TrimPrefix(rest, "labels.")]
	case strings.HasPrefix(rest, `labels["`):
		return field.Labels[strings.TrimSuffix(strings.TrimPrefix(rest, `labels["`), `"]`)]
	}
	return frame.Name
}

func fieldScope(s scope, frame *Frame, field *Field) scope {
	all := maps.Clone(s)
	if all == nil {
		all = scope{}
	}
	all["__series_name"], all["__cell_0"] = single(field.label()), single(frame.Name)
	return all
}
