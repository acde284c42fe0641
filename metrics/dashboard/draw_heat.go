package dashboard

import (
	"math"
	"slices"
	"strconv"
)

// Heat is a heatmap: how many observations fell into each bucket over time.
type Heat struct {
	X []float64 `json:"x"` // seconds since 1970, where each column begins
	// Y are the names of the buckets, lowest first.
	Y []string `json:"y"`
	// Cells are the counts by bucket and column.
	Cells []Numbers `json:"cells"`
	Max   float64   `json:"max"`
	// Colors go from the fewest to the most.
	Colors []string `json:"colors"`
}

// schemes are colours for heatmaps, by the names that Grafana uses.
var schemes = map[string][]string{
	"Oranges": {"#FFF5EB", "#FDAE6B", "#E6550D", "#7F2704"}, "Spectral": {"#3288BD", "#ABDDA4", "#FEE08B", "#D53E4F"}, "RdYlGn": {"#1A9850", "#FEE08B", "#D73027"},
	"Blues": {"#DEEBF7", "#6BAED6", "#08306B"}, "Greens": {"#E5F5E0", "#74C476", "#00441B"}, "Viridis": {"#440154", "#31688E", "#35B779", "#FDE725"},
	"Turbo": {"#30123B", "#28BCEB", "#A4FC3C", "#FB7E21", "#7A0403"},
}

func (v *View) heat(d *Drawing, p *Panel, frames []Frame) {
	colors := schemes[p.Options.HeatScheme]
	if colors == nil {
		colors = schemes["Oranges"]
	}
	h := &Heat{}
	for _, c := range colors {
		h.Colors = append(h.Colors, hex(c))
	}
	var times Numbers
	var rows []*Field
	if p.Options.HeatCalculate && !slices.ContainsFunc(frames, func(f Frame) bool { return f.heat }) {
		times, rows = histogram(frames)
	} else {
		joined := frames
		if len(frames) > 1 {
			joined = joinBy("", "outer")(frames, nil)
		}
		if len(joined) > 0 && joined[0].timeField() != nil {
			times = joined[0].timeField().Numbers
			for i := range joined[0].Fields {
				if f := &joined[0].Fields[i]; f.Type == NumberField && len(rows) < 200 {
					rows = append(rows, f)
				}
			}
		}
		if len(frames) > 1 {
			slices.SortStableFunc(rows, func(a, b *Field) int { return compareBounds(a.label(), b.label()) })
		}
	}
	if len(rows) == 0 || len(times) == 0 {
		d.Empty = "No data in this time."
		return
	}
	unit, _ := UnitOf(p.Options.HeatUnit)
	if p.Options.HeatUnit == "" {
		unit = p.Field.unit()
	}
	for _, t := range times {
		h.X = append(h.X, t/1000)
	}
	for _, f := range rows {
		name := f.label()
		if bound, err := strconv.ParseFloat(name, 64); err == nil {
			name = unit.Format(bound, v.Now)
		}
		h.Y = append(h.Y, name)
		h.Cells = append(h.Cells, f.Numbers)
		for _, n := range f.Numbers {
			if !math.IsNaN(n) && !math.IsInf(n, 0) {
				h.Max = max(h.Max, n)
			}
		}
	}
	if p.Options.HeatReverse {
		slices.Reverse(h.Y)
		slices.Reverse(h.Cells)
	}
	d.Heat = h
}

func compareBounds(a, b string) int {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	if errX != nil || errY != nil {
		return natural(a, b)
	}
	switch {
	case x < y:
		return -1
	case x > y:
		return 1
	}
	return 0
}

// histogram counts the values of plain series into buckets: one column of time in
// sixty, one bucket in twelve.
func histogram(frames []Frame) (Numbers, []*Field) {
	low, high := math.Inf(1), math.Inf(-1)
	first, last := math.Inf(1), math.Inf(-1)
	for i := range frames {
		times := frames[i].timeField()
		if times == nil {
			continue
		}
		for _, t := range times.Numbers {
			first, last = min(first, t), max(last, t)
		}
		for j := range frames[i].Fields {
			if f := &frames[i].Fields[j]; f.Type == NumberField {
				for _, n := range f.Numbers {
					if !math.IsNaN(n) && !math.IsInf(n, 0) {
						low, high = min(low, n), max(high, n)
					}
				}
			}
		}
	}
	if low > high {
		return nil, nil
	}
	const columns, buckets = 60, 12
	width, height := max((last-first)/columns, 1), (high-low)/buckets
	if height <= 0 {
		height = max(math.Abs(low)/buckets, 1e-9)
	}
	times := make(Numbers, columns)
	rows := make([]*Field, buckets)
	for i := range times {
		times[i] = first + float64(i)*width
	}
	for i := range rows {
		rows[i] = &Field{Name: strconv.FormatFloat(low+float64(i+1)*height, 'g', 4, 64), Type: NumberField, Numbers: make(Numbers, columns)}
	}
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
			for k, n := range f.Numbers {
				if math.IsNaN(n) || math.IsInf(n, 0) {
					continue
				}
				x := clamp(int((times.Numbers[k]-first)/width), 0, columns-1)
				y := clamp(int((n-low)/height), 0, buckets-1)
				rows[y].Numbers[x]++
			}
		}
	}
	return times, rows
}

func (h *Heat) twin() Grille {
	g := Grille{Header: true, Columns: []Column{{Name: "Time"}}}
	for _, y := range h.Y {
		g.Columns = append(g.Columns, Column{Name: y, Right: true})
	}
	for i := len(h.X) - 1; i >= 0 && len(g.Rows) < maxRows; i-- {
		row := []Cell{{Text: iso(h.X[i] * 1000)}}
		for _, cells := range h.Cells {
			text := ""
			if n := cells[i]; n == n {
				text = decimal(n, nil)
			}
			row = append(row, Cell{Text: text})
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}
