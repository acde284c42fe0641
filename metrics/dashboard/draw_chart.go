package dashboard

import (
	"fmt"
	"math"
	"slices"
	"strconv"
)

// Chart is lines, bars and points over time.
type Chart struct {
	X      []float64 `json:"x"` // seconds since 1970
	Lines  []Line    `json:"lines"`
	Scales []Scale   `json:"scales"`
	// Legend says how series are listed; Calcs are the columns' headings.
	Legend Legend `json:"legend"`
	// Bands are thresholds drawn across the panel.
	Bands []Band `json:"bands,omitempty"`
	// TooltipAll shows every series at the crosshair, not only the nearest.
	TooltipAll bool `json:"tooltip_all"`
}

// Line is one series.
type Line struct {
	Name        string    `json:"name"`
	Color       string    `json:"color"` // #RRGGBB, or "text"
	Scale       int       `json:"scale"` // an index into Scales
	Style       string    `json:"style"` // line, bars or points
	Width       float64   `json:"width"`
	Fill        float64   `json:"fill"` // 0–1
	Dash        []float64 `json:"dash,omitempty"`
	Interpolate string    `json:"interpolate,omitempty"`
	Points      string    `json:"points,omitempty"` // auto, always or never
	PointSize   float64   `json:"point_size,omitempty"`
	Span        bool      `json:"span,omitempty"` // across gaps
	// Values are what the series says, in its unit; Drawn is where it is drawn,
	// where that differs: stacked or turned over.
	Values Numbers `json:"values"`
	Drawn  Numbers `json:"drawn,omitempty"`
	// Below is the line down to which a stacked one is filled; -1 means the axis.
	Below int `json:"below"`
	// Stats are the calculations of the legend, written out.
	Stats      []string `json:"stats,omitempty"`
	HideLegend bool     `json:"hide_legend,omitempty"`
	HideLine   bool     `json:"hide_line,omitempty"`
}

// Scale is a value axis.
type Scale struct {
	Side     string   `json:"side"` // left, right or hidden
	Unit     Unit     `json:"unit"`
	Label    string   `json:"label,omitempty"`
	Min      *float64 `json:"min,omitempty"`
	Max      *float64 `json:"max,omitempty"`
	SoftMin  *float64 `json:"soft_min,omitempty"`
	SoftMax  *float64 `json:"soft_max,omitempty"`
	Log      float64  `json:"log,omitempty"`
	Centered bool     `json:"centered,omitempty"`
}

// Legend lists the series.
type Legend struct {
	Show  bool     `json:"show"`
	Table bool     `json:"table"`
	Right bool     `json:"right"`
	Calcs []string `json:"calcs,omitempty"`
}

// Band is a threshold: a line, an area from From to To, or both.
type Band struct {
	From  *float64 `json:"from,omitempty"`
	To    *float64 `json:"to,omitempty"`
	Color string   `json:"color"`
	Line  bool     `json:"line"`
	Area  bool     `json:"area"`
}

func (v *View) chart(d *Drawing, p *Panel, frames []Frame) {
	c := &Chart{TooltipAll: p.Options.TooltipAll, Legend: Legend{Show: p.Options.LegendShow, Table: p.Options.LegendTable, Right: p.Options.LegendRight}}
	for _, calc := range p.Options.LegendCalcs {
		c.Legend.Calcs = append(c.Legend.Calcs, calcName(calc))
	}
	type source struct {
		times *Field
		value *Field
	}
	var sources []source
	cutOff := 0
	for i := range frames {
		times := frames[i].timeField()
		if times == nil {
			continue
		}
		for j := range frames[i].Fields {
			f := &frames[i].Fields[j]
			if f.Type != NumberField {
				continue
			}
			if len(sources) >= maxSeries {
				cutOff++
				continue
			}
			sources = append(sources, source{times, f})
		}
	}
	if cutOff > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d of %d series are drawn; narrow the query to see the others.", maxSeries, maxSeries+cutOff))
	}
	seen := map[float64]int{}
	var times []float64
	for _, s := range sources {
		for _, t := range s.times.Numbers {
			if _, ok := seen[t]; !ok && !math.IsNaN(t) {
				seen[t] = 0
				times = append(times, t)
			}
		}
	}
	if len(sources) == 0 || len(times) == 0 {
		d.Empty = "No data in this time."
		return
	}
	slices.Sort(times)
	c.X = make([]float64, len(times))
	for i, t := range times {
		seen[t] = i
		c.X[i] = t / 1000
	}
	scales := map[string]int{}
	for i, s := range sources {
		values := make(Numbers, len(times))
		for k := range values {
			values[k] = math.NaN()
		}
		for k, t := range s.times.Numbers {
			if !math.IsNaN(t) {
				values[seen[t]] = s.value.Numbers[k]
			}
		}
		c.Lines = append(c.Lines, v.line(c, p, s.value, i, values, scales))
	}
	stack(c.Lines, sources[0].value, func(i int) *custom { return &sources[i].value.config.Custom })
	first := sources[0].value
	c.Bands = bands(first)
	d.Chart = c
}

// line makes a line of a field and puts it on the scale of its unit and side.
func (v *View) line(c *Chart, p *Panel, f *Field, index int, values Numbers, scales map[string]int) Line {
	k := &f.config.Custom
	unit := f.config.unit()
	side := k.Axis
	// A second unit gets an axis of its own at the right, as in Grafana.
	key := f.config.Unit + "\x00" + k.AxisLabel + "\x00" + side + "\x00" + decimalText(k.Log) + "\x00" + maybeText(f.config.Min) + "\x00" + maybeText(f.config.Max)
	at, ok := scales[key]
	if !ok {
		at = len(c.Scales)
		scales[key] = at
		if side == "auto" || side == "" {
			side = "left"
			if at > 0 {
				side = "right"
			}
		}
		c.Scales = append(c.Scales, Scale{
			Side: side, Unit: unit, Label: k.AxisLabel, Min: f.config.Min, Max: f.config.Max, SoftMin: k.SoftMin, SoftMax: k.SoftMax, Log: k.Log, Centered: k.Centered,
		})
	}
	low, high := reduce(values, "min"), reduce(values, "max")
	at2 := reduce(values, "lastNotNull")
	switch f.config.Color.By {
	case "min":
		at2 = low
	case "max":
		at2 = high
	}
	color := f.config.colorOf(index, at2, low, high)
	if color == "" {
		color = Palette[index%len(Palette)]
	}
	l := Line{
		Name: f.label(), Color: color, Scale: at, Style: k.Style, Width: k.Width, Fill: k.Fill / 100, Dash: k.Dash, Points: k.ShowPoints,
		PointSize: k.PointSize, Span: k.SpanNulls, Values: values, Below: -1, HideLegend: k.HideLegend || k.HideViz, HideLine: k.HideViz,
	}
	if k.Interpolate != "linear" {
		l.Interpolate = k.Interpolate
	}
	for _, calc := range p.Options.LegendCalcs {
		l.Stats = append(l.Stats, v.showNumber(f, reduce(values, calc), [2]float64{low, high}).Text)
	}
	return l
}

func maybeText(v *float64) string {
	if v == nil {
		return ""
	}
	return strconv.FormatFloat(*v, 'g', -1, 64)
}

// stack adds lines of a group onto each other, negative ones downwards, and turns
// over what is drawn below the axis.
func stack(lines []Line, _ *Field, config func(int) *custom) {
	type pile struct {
		sum  Numbers
		last int
	}
	piles := map[string]*pile{}
	totals := map[string]Numbers{}
	group := func(i int) string {
		k := config(i)
		return k.Stack + "\x00" + k.StackGroup + "\x00" + k.Style + "\x00" + strconv.Itoa(lines[i].Scale) + "\x00" + strconv.FormatBool(k.Negative)
	}
	for i := range lines {
		if config(i).Stack == "percent" {
			g := group(i)
			if totals[g] == nil {
				totals[g] = make(Numbers, len(lines[i].Values))
			}
			for k, v := range lines[i].Values {
				if !math.IsNaN(v) {
					totals[g][k] += v
				}
			}
		}
	}
	for i := range lines {
		l, k := &lines[i], config(i)
		stacked := k.Stack == "normal" || k.Stack == "percent"
		if !stacked && !k.Negative || l.HideLine {
			continue
		}
		l.Drawn = slices.Clone(l.Values)
		if k.Negative {
			for n := range l.Drawn {
				l.Drawn[n] = -l.Drawn[n]
			}
		}
		if !stacked {
			continue
		}
		g := group(i)
		at := piles[g]
		if at == nil {
			at = &pile{sum: make(Numbers, len(l.Drawn)), last: -1}
			piles[g] = at
		}
		for n := range l.Drawn {
			v := l.Drawn[n]
			if k.Stack == "percent" && totals[g][n] != 0 {
				v /= totals[g][n]
			}
			if math.IsNaN(v) {
				v = 0
			}
			at.sum[n] += v
			l.Drawn[n] = at.sum[n]
		}
		l.Below, at.last = at.last, i
	}
}

// bands are the thresholds of a field that are drawn.
func bands(f *Field) []Band {
	style := f.config.Custom.ThresholdsAs
	if style == "" || style == "off" {
		return nil
	}
	low, high := 0.0, 100.0
	if f.config.Min != nil {
		low = *f.config.Min
	}
	if f.config.Max != nil {
		high = *f.config.Max
	}
	line := style == "line" || style == "dashed" || style == "line+area" || style == "dashed+area" || style == "series"
	area := style == "area" || style == "line+area" || style == "dashed+area"
	var all []Band
	steps := f.config.Thresholds.Steps
	for i, s := range steps {
		b := Band{Color: hex(s.Color), Area: area, Line: line && s.Value != nil}
		if s.Value != nil {
			from := f.config.Thresholds.at(s, low, high)
			b.From = &from
		}
		if i+1 < len(steps) {
			to := f.config.Thresholds.at(steps[i+1], low, high)
			b.To = &to
		}
		if b.Color != "" && (b.Line || b.Area) {
			all = append(all, b)
		}
	}
	return all
}
