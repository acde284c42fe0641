package dashboard

import (
	"math"
	"regexp"
	"slices"
	"strings"
)

// oldGraph converts the graph panel, which Grafana replaced by time series in 8.
func (c *compiler) oldGraph(p *Panel, n node) {
	k := &p.Field.Custom
	switch {
	case n.at("bars").is():
		k.Style, k.Fill = "bars", 70
	case n.at("points").is() && !n.at("lines").unless(true):
		k.Style = "points"
	}
	if width, ok := n.at("linewidth").num(); ok {
		k.Width = min(10, max(0, width))
	}
	if fill, ok := n.at("fill").num(); ok && k.Style != "bars" {
		k.Fill = min(100, max(0, fill*10))
	}
	k.SpanNulls = n.at("nullPointMode").str() == "connected"
	if n.at("points").is() {
		k.ShowPoints = "always"
	}
	if size, ok := n.at("pointradius").num(); ok {
		k.PointSize = min(20, max(1, 2*size))
	}
	if n.at("stack").is() {
		k.Stack, k.StackGroup = "normal", "A"
		if n.at("percentage").is() {
			k.Stack = "percent"
		}
	}
	if n.at("steppedLine").is() {
		k.Interpolate = "stepAfter"
	}
	if n.at("dashes").is() {
		k.Dash = []float64{dashOf(n, "dashLength"), dashOf(n, "spaceLength")}
	}
	p.Field.Color.Mode = "palette-classic"
	axes := n.at("yaxes").list()
	if len(axes) == 0 { // before Grafana 2.6
		for i, format := range n.at("y_formats").strs() {
			axes = append(axes, node{map[string]any{"format": format, "min": n.at("grid", []string{"leftMin", "rightMin"}[i%2]).v, "max": n.at("grid", []string{"leftMax", "rightMax"}[i%2]).v}})
		}
	}
	p.Field.Decimals = nil
	if places, ok := n.at("decimals").num(); ok {
		whole := clamp(int(places), 0, 20)
		p.Field.Decimals = &whole
	}
	if len(axes) > 0 {
		axis(&p.Field, axes[0])
	}
	p.Options.LegendShow = n.at("legend", "show").unless(true)
	p.Options.LegendTable = n.at("legend", "alignAsTable").is()
	p.Options.LegendRight = n.at("legend", "rightSide").is()
	p.Options.LegendCalcs = nil
	if n.at("legend", "values").is() {
		for _, v := range [][2]string{{"min", "min"}, {"max", "max"}, {"avg", "mean"}, {"current", "lastNotNull"}, {"total", "sum"}} {
			if n.at("legend", v[0]).is() {
				p.Options.LegendCalcs = append(p.Options.LegendCalcs, v[1])
			}
		}
	}
	p.Options.TooltipAll = n.at("tooltip", "shared").unless(true)
	if mode := n.at("xaxis", "mode").or("time"); mode != "time" {
		c.issue(p, Changed, "xaxis "+cut(mode, 20), "A graph over %s instead of time is drawn over time.", cut(mode, 20))
	}
	colors := n.at("aliasColors").object()
	for _, alias := range sortedKeys(colors) {
		p.Field.overrides = append(p.Field.overrides, override{named1(alias), []property{{"color", node{map[string]any{"mode": "fixed", "fixedColor": node{colors[alias]}.str()}}}}})
	}
	for _, o := range n.at("seriesOverrides").list() {
		c.seriesOverride(p, o, axes)
	}
	for _, t := range n.at("thresholds").list() {
		color := map[string]string{"critical": "red", "warning": "orange", "ok": "green"}[t.at("colorMode").str()]
		if color == "" {
			color = t.at("lineColor").or("red")
		}
		if v, ok := t.at("value").num(); ok {
			k.ThresholdsAs = "line"
			if t.at("fill").is() {
				k.ThresholdsAs = "line+area"
			}
			p.Field.Thresholds.Steps = append(p.Field.Thresholds.Steps, threshold{&v, color})
		}
	}
	if k.ThresholdsAs != "" {
		p.Field.Thresholds.Steps[0].Color = "transparent"
	}
}

func dashOf(n node, key string) float64 {
	if v, ok := n.at(key).num(); ok {
		return min(100, max(0, v))
	}
	return 10
}

func axis(f *fieldConfig, a node) {
	f.Unit = a.at("format").str()
	f.Min, f.Max = a.at("min").maybe(), a.at("max").maybe()
	f.Custom.AxisLabel = a.at("label").str()
	if base, ok := a.at("logBase").num(); ok && base > 1 {
		f.Custom.Log = 10
		if base == 2 {
			f.Custom.Log = 2
		}
	}
	if a.at("show").exists() && !a.at("show").is() {
		f.Custom.Axis = "hidden"
	}
}

func named1(name string) func(*Frame, *Field) bool {
	return func(_ *Frame, f *Field) bool { return f.label() == name || f.Name == name }
}

// seriesOverride converts what a graph sets for the series of an alias, a name or
// /a regular expression/.
func (c *compiler) seriesOverride(p *Panel, n node, axes []node) {
	alias := n.at("alias").str()
	matches := named1(alias)
	if strings.HasPrefix(alias, "/") {
		re, err := grafanaRegex(alias)
		if err != nil {
			c.issue(p, Changed, "series override", "The regular expression %s of an override is not one that Go can run; the override is left out.", cut(alias, 80))
			return
		}
		matches = func(_ *Frame, f *Field) bool { return re.MatchString(f.label()) }
	}
	var props []property
	set := func(id string, v any) { props = append(props, property{id, node{v}}) }
	for _, key := range sortedKeys(n.object()) {
		v := n.at(key)
		switch key {
		case "alias":
		case "color":
			set("color", map[string]any{"mode": "fixed", "fixedColor": v.str()})
		case "yaxis":
			if v.integer(1) == 2 {
				set("custom.axisPlacement", "right")
				if len(axes) > 1 {
					set("unit", axes[1].at("format").str())
					set("min", axes[1].at("min").v)
					set("max", axes[1].at("max").v)
					set("custom.axisLabel", axes[1].at("label").str())
				}
			}
		case "fill":
			fill, _ := v.num()
			set("custom.fillOpacity", decimalText(fill*10))
		case "linewidth":
			set("custom.lineWidth", v.v)
		case "lines":
			if !v.is() {
				set("custom.lineWidth", "0")
			}
		case "bars":
			if v.is() {
				set("custom.drawStyle", "bars")
				set("custom.fillOpacity", "70")
			}
		case "points":
			if v.is() {
				set("custom.showPoints", "always")
			}
		case "transform":
			set("custom.transform", v.str())
		case "stack":
			mode := "none"
			group := v.str()
			if group != "false" {
				mode = "normal"
			}
			set("custom.stacking", map[string]any{"mode": mode, "group": group})
		case "dashes":
			if v.is() {
				set("custom.lineStyle", map[string]any{"fill": "dash", "dash": []any{decimalText(dashOf(n, "dashLength")), decimalText(dashOf(n, "spaceLength"))}})
			}
		case "nullPointMode":
			set("custom.spanNulls", v.str() == "connected")
		case "legend":
			set("custom.hideFrom", map[string]any{"legend": !v.is()})
		case "hiddenSeries":
			set("custom.hideFrom", map[string]any{"viz": v.is()})
		case "fillBelowTo":
			set("custom.fillBelowTo", v.str())
		case "steppedLine":
			if v.is() {
				set("custom.lineInterpolation", "stepAfter")
			}
		case "pointradius", "dashLength", "spaceLength", "zindex", "hideTooltip", "$$hashKey", "fillGradient", "lineInterpolation":
		default:
			c.issue(p, Changed, "series override "+cut(key, 40), "The setting %q of a series override is left out.", cut(key, 40))
		}
	}
	p.Field.overrides = append(p.Field.overrides, override{matches, props})
}

// oldCalcs are the names that calculations had.
var oldCalcs = map[string]string{"avg": "mean", "current": "lastNotNull", "total": "sum", "range": "range", "delta": "delta", "diff": "diff", "min": "min", "max": "max", "first": "first", "name": "name", "last_time": "lastNotNull"}

// oldSingleStat converts the singlestat panel, which Grafana replaced by stat and
// gauge in 7.
func (c *compiler) oldSingleStat(p *Panel, n node) {
	f := &p.Field
	f.Unit = n.at("format").str()
	if places, ok := n.at("decimals").num(); ok {
		whole := clamp(int(places), 0, 20)
		f.Decimals = &whole
	}
	f.NoValue = n.at("nullText").str()
	name := n.at("valueName").or("avg")
	calc, ok := oldCalcs[name]
	if !ok {
		calc = "lastNotNull"
	}
	p.Options.Calcs = []string{calc}
	if calc == "name" {
		p.Options.Calcs, p.Options.TextMode = []string{"lastNotNull"}, "name"
	}
	p.Options.Prefix, p.Options.Postfix = n.at("prefix").str(), n.at("postfix").str()
	p.Options.ColorMode = "none"
	if n.at("colorValue").is() {
		p.Options.ColorMode = "value"
	}
	if n.at("colorBackground").is() {
		p.Options.ColorMode = "background"
	}
	p.Options.GraphMode = "none"
	if n.at("sparkline", "show").is() {
		p.Options.GraphMode = "area"
	}
	if n.at("gauge", "show").is() {
		p.Kind = Gauge
		f.Min, f.Max = n.at("gauge", "minValue").maybe(), n.at("gauge", "maxValue").maybe()
	}
	colors := n.at("colors").strs()
	if len(colors) > 0 {
		f.Color.Mode = "thresholds"
		f.Thresholds = thresholds{Steps: []threshold{{Color: colors[0]}}}
		for i, text := range strings.Split(n.at("thresholds").str(), ",") {
			if v, ok := (node{text}).num(); ok && i+1 < len(colors) {
				f.Thresholds.Steps = append(f.Thresholds.Steps, threshold{&v, colors[i+1]})
			}
		}
	}
	var old []mapping
	for _, m := range n.at("valueMaps").list() {
		old = append(old, mapping{matches: equal(m.at("value").str(), m.at("text").str())})
	}
	for _, m := range n.at("rangeMaps").list() {
		low, high, text := m.at("from").maybe(), m.at("to").maybe(), m.at("text").str()
		unknown := m.at("from").str() == "null"
		old = append(old, mapping{matches: func(_ string, v float64, number bool) (string, bool) {
			if unknown {
				return text, number && math.IsNaN(v)
			}
			return text, number && (low == nil || v >= *low) && (high == nil || v <= *high) && !math.IsNaN(v)
		}})
	}
	f.Mappings = append(f.Mappings, old...)
	if column := n.at("tableColumn").str(); column != "" && slices.ContainsFunc(p.Targets, func(t Target) bool { return t.Format == "table" }) {
		p.Options.Fields = "/^" + regexp.QuoteMeta(column) + "$/"
	}
}

// oldFieldOptions converts options.fieldOptions of Grafana 6.
func (c *compiler) oldFieldOptions(p *Panel, n node) {
	defaults := n.at("defaults")
	f := c.fields(p, node{map[string]any{"defaults": defaults.v}})
	f.overrides = p.Field.overrides
	p.Field = f
	if calcs := n.at("calcs").strs(); len(calcs) > 0 {
		p.Options.Calcs = calcs
	}
	p.Options.AllValues = n.at("values").is()
	steps := n.at("thresholds")
	if !defaults.at("thresholds").exists() && len(steps.list()) > 0 {
		p.Field.Thresholds = readThresholds(node{map[string]any{"steps": steps.v}})
		p.Field.Color.Mode = "thresholds"
	}
	if list := n.at("mappings").list(); len(list) > 0 && !defaults.at("mappings").exists() {
		p.Field.Mappings = c.mappings(p, list)
	}
}

// oldTable converts the columns and styles of the table before Grafana 7.
func (c *compiler) oldTable(p *Panel, n node) {
	p.Options.ShowHeader = n.at("showHeader").unless(true)
	for i := range p.Targets {
		if n.at("transform").or("table") == "table" && p.Targets[i].Format == "time_series" && !n.at("columns").exists() {
			p.Targets[i].Format = "table"
		}
	}
	switch transform := n.at("transform").or("table"); transform {
	case "table":
		if len(p.Targets) > 1 {
			p.Transforms = append(p.Transforms, merge)
		}
	case "timeseries_to_columns":
		p.Transforms = append(p.Transforms, joinBy("Time", "outer"))
	case "timeseries_aggregations":
		var calcs []string
		for _, col := range n.at("columns").list() {
			if calc, ok := oldCalcs[col.at("value").str()]; ok {
				calcs = append(calcs, calc)
			}
		}
		p.Transforms = append(p.Transforms, reduceRows(calcs))
	default:
		c.issue(p, Changed, "table transform "+cut(transform, 40), "The table's transformation %q is left out.", cut(transform, 40))
	}
	for _, s := range n.at("styles").list() {
		pattern := s.at("pattern").str()
		matches := named1(pattern)
		if strings.HasPrefix(pattern, "/") {
			re, err := grafanaRegex(pattern)
			if err != nil {
				c.issue(p, Changed, "table style", "The regular expression %s of a column is not one that Go can run.", cut(pattern, 80))
				continue
			}
			matches = func(_ *Frame, f *Field) bool { return re.MatchString(f.Name) }
		}
		var props []property
		set := func(id string, v any) { props = append(props, property{id, node{v}}) }
		if alias := s.at("alias").str(); alias != "" {
			set("displayName", alias)
		}
		switch s.at("type").str() {
		case "hidden":
			set("custom.hidden", true)
		case "number":
			set("unit", s.at("unit").str())
			if s.at("decimals").exists() {
				set("decimals", s.at("decimals").str())
			}
			if mode := s.at("colorMode").str(); mode != "" {
				kind := "color-text"
				if mode == "cell" || mode == "row" {
					kind = "color-background"
				}
				set("custom.cellOptions", map[string]any{"type": kind})
				steps := []any{}
				colors := s.at("colors").strs()
				for i, color := range colors {
					step := map[string]any{"color": color}
					if i > 0 {
						if limits := s.at("thresholds").strs(); i <= len(limits) {
							step["value"] = limits[i-1]
						} else {
							continue
						}
					}
					steps = append(steps, step)
				}
				set("thresholds", map[string]any{"steps": steps})
				set("color", map[string]any{"mode": "thresholds"})
			}
		case "date":
			set("unit", "dateTimeAsIso")
		}
		if s.at("link").is() {
			set("links", []any{map[string]any{"title": s.at("linkTooltip").str(), "url": s.at("linkUrl").str()}})
		}
		maps := []any{}
		for _, m := range s.at("valueMaps").list() {
			maps = append(maps, map[string]any{"type": "1", "value": m.at("value").str(), "text": m.at("text").str()})
		}
		for _, m := range s.at("rangeMaps").list() {
			maps = append(maps, map[string]any{"type": "2", "from": m.at("from").str(), "to": m.at("to").str(), "text": m.at("text").str()})
		}
		if len(maps) > 0 {
			set("mappings", maps)
		}
		// The first style that matches a column is the one that counts.
		p.Field.overrides = append([]override{{matches, props}}, p.Field.overrides...)
	}
}

// oldPie converts the pie chart plug-in of before Grafana 8.
func (c *compiler) oldPie(p *Panel, n node) {
	p.Field.Unit = n.at("format").str()
	p.Field.Color.Mode = "palette-classic"
	calc, ok := oldCalcs[n.at("valueName").or("current")]
	if !ok {
		calc = "lastNotNull"
	}
	p.Options.Calcs, p.Options.PieDonut = []string{calc}, n.at("pieType").str() == "donut"
	p.Options.LegendShow = n.at("legend", "show").unless(true)
}

// heatmap reads both forms of the heatmap panel.
func (c *compiler) heatmap(p *Panel, n node) {
	if n.at("options", "calculate").exists() || n.at("options", "color").exists() {
		if p.Options.HeatCalculate {
			p.Options.HeatCalculate = true
		}
		return
	}
	p.Options.HeatCalculate = n.at("dataFormat").or("timeseries") == "timeseries"
	p.Options.HeatScheme = strings.TrimPrefix(n.at("color", "colorScheme").str(), "interpolate")
	p.Options.HeatUnit = n.at("yAxis", "format").str()
	p.Options.HeatReverse = n.at("reverseYBuckets").is()
}
