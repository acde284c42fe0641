package dashboard

import (
	"cmp"
	"slices"
	"strings"
)

// kinds are the panel types that are drawn, under all names they have had.
var kinds = map[string]Kind{
	"timeseries": TimeSeries, "graph": TimeSeries, "graph-old": TimeSeries,
	"stat": Stat, "singlestat": Stat, "grafana-singlestat-panel": Stat,
	"gauge": Gauge, "bargauge": BarGauge,
	"table": Table, "table-old": Table, "text": Text, "row": Row,
	"piechart": PieChart, "grafana-piechart-panel": PieChart, "heatmap": Heatmap,
}

// panel compiles one panel of any age.
func (c *compiler) panel(n node) Panel {
	p := Panel{
		Key: c.key(n), Source: n.at("type").or("graph"), Title: n.at("title").str(), Description: n.at("description").str(),
		Grid: Grid{
			X: clamp(n.at("gridPos", "x").integer(0), 0, 23), Y: clamp(n.at("gridPos", "y").integer(0), 0, 1e6),
			W: clamp(n.at("gridPos", "w").integer(12), 1, 24), H: clamp(n.at("gridPos", "h").integer(8), 1, 100),
		},
		Links: links(n.at("links")), Repeat: n.at("repeat").str(), Across: n.at("repeatDirection").or("h") == "h",
		MaxPerRow: clamp(n.at("maxPerRow").integer(4), 1, 24), Interval: n.at("interval").str(), MaxPoints: n.at("maxDataPoints").integer(0),
		TimeFrom: n.at("timeFrom").str(), TimeShift: n.at("timeShift").str(),
	}
	kind, drawn := kinds[p.Source]
	p.Kind = kind
	if p.Kind == Row {
		return p
	}
	if n.at("libraryPanel").isObject() && !n.at("targets").exists() {
		p.Kind = Text
		p.Options = options{TextFormat: "plain", Content: "This panel stands in Grafana's library and the file does not hold it."}
		c.issue(&p, Missing, "library panel", "The panel stands in Grafana's library; export the dashboard with its library panels.")
		return p
	}
	c.targets(&p, n)
	p.Field = c.fields(&p, n.at("fieldConfig"))
	p.Options = readOptions(p.Kind, n.at("options"))
	switch p.Source {
	case "graph", "graph-old":
		c.oldGraph(&p, n)
	case "singlestat", "grafana-singlestat-panel":
		c.oldSingleStat(&p, n)
	case "table", "table-old":
		if n.at("styles").exists() || n.at("columns").exists() && !n.at("options").exists() {
			c.oldTable(&p, n)
		}
	case "gauge", "bargauge", "stat":
		if n.at("options", "fieldOptions").exists() {
			c.oldFieldOptions(&p, n.at("options", "fieldOptions"))
		}
	case "grafana-piechart-panel":
		c.oldPie(&p, n)
	case "heatmap":
		c.heatmap(&p, n)
	case "text":
		if !n.at("options").exists() {
			p.Options.TextFormat, p.Options.Content = n.at("mode").or("markdown"), n.at("content").str()
		}
	}
	p.Transforms = c.transforms(&p, n.at("transformations").list())
	if !drawn {
		p.Kind = Table
		p.Options = options{ShowHeader: true}
		if len(p.Targets) == 0 {
			p.Kind = Text
			p.Options = options{TextFormat: "plain", Content: "A panel of the kind " + cut(p.Source, 60) + " cannot be drawn here."}
			c.issue(&p, Missing, "panel "+cut(p.Source, 60), "A panel of the kind %q cannot be drawn, and it holds no query to show.", cut(p.Source, 60))
		} else {
			c.issue(&p, Missing, "panel "+cut(p.Source, 60), "A panel of the kind %q cannot be drawn; its data is shown as a table.", cut(p.Source, 60))
		}
	}
	if drawn && p.Kind != Text && len(p.Targets) == 0 && len(p.Notes) == 0 {
		c.issue(&p, Changed, "targets", "The panel asks nothing, so that there is nothing to draw.")
	}
	return p
}

// targets reads the queries of a panel.
func (c *compiler) targets(p *Panel, n node) {
	if p.Kind == Text {
		return
	}
	source := n.at("datasource")
	for i, t := range n.at("targets").list() {
		if i >= maxTargets {
			c.issue(p, Missing, "targets", "Only the first %d targets are read.", maxTargets)
			return
		}
		from := source
		if own := t.at("datasource"); own.exists() {
			from = own
		}
		ref := t.at("refId").or(string(rune('A' + i%26)))
		if !prometheusSource(from, c.sources) && from.str() != "-- Mixed --" && from.at("uid").str() != "-- Mixed --" {
			kind := from.at("type").or(from.str())
			c.issue(p, Missing, "data source "+cut(kind, 40), "Target %s asks %s, which is not Prometheus; it is left out.", cut(ref, 20), cut(kind, 40))
			continue
		}
		expr := t.at("expr").str()
		if strings.TrimSpace(expr) == "" {
			continue
		}
		target := Target{
			RefID: ref, Expr: expr, Legend: t.at("legendFormat").str(), Format: t.at("format").or("time_series"),
			Instant: t.at("instant").is(), Range: t.at("range").is(), Hidden: t.at("hide").is(),
			Interval: t.at("interval").or(t.at("step").str()), Factor: clamp(t.at("intervalFactor").integer(1), 1, 100),
		}
		if step, ok := t.at("step").num(); ok && t.at("interval").str() == "" {
			target.Interval = decimalText(step) + "s"
		}
		if !target.Instant {
			target.Range = true
		}
		p.Targets = append(p.Targets, target)
	}
}

// readOptions reads the settings of a panel since Grafana 7.
func readOptions(kind Kind, n node) options {
	reduce := n.at("reduceOptions")
	o := options{
		Calcs: reduce.at("calcs").strs(), AllValues: reduce.at("values").is(), Limit: reduce.at("limit").integer(25), Fields: reduce.at("fields").str(),
		Orient: n.at("orientation").or("auto"), TextMode: n.at("textMode").or("auto"), ColorMode: n.at("colorMode").or("value"), GraphMode: n.at("graphMode").or("area"),
		ShowLabels:  n.at("showThresholdLabels").is(),
		LegendShow:  n.at("legend", "showLegend").unless(true) && n.at("legend", "displayMode").str() != "hidden",
		LegendTable: n.at("legend", "displayMode").str() == "table", LegendRight: n.at("legend", "placement").str() == "right",
		LegendCalcs: n.at("legend", "calcs").strs(), TooltipAll: n.at("tooltip", "mode").or("single") == "multi",
		TextFormat: n.at("mode").or("markdown"), Content: n.at("content").str(),
		ShowHeader: n.at("showHeader").unless(true),
		PieDonut:   n.at("pieType").str() == "donut", PieValues: n.at("legend", "values").strs(),
		HeatCalculate: n.at("calculate").is(), HeatReverse: n.at("yAxis", "reverse").is(), HeatScheme: n.at("color", "scheme").str(),
	}
	if sorted := n.at("sortBy").list(); len(sorted) > 0 {
		o.SortBy, o.SortDesc = sorted[0].at("displayName").str(), sorted[0].at("desc").is()
	}
	if len(o.Calcs) == 0 {
		o.Calcs = []string{"lastNotNull"}
	}
	if kind == Heatmap {
		o.HeatUnit = n.at("yAxis", "unit").str()
	}
	return o
}

// sortPanels puts the panels below each row in reading order, which is not always
// that of the file.
func sortPanels(panels []Panel) {
	slices.SortStableFunc(panels, func(a, b Panel) int {
		return cmp.Or(cmp.Compare(a.Grid.Y, b.Grid.Y), cmp.Compare(a.Grid.X, b.Grid.X))
	})
}

func clamp(n, low, high int) int { return max(low, min(n, high)) }
