package dashboard

import (
	"fmt"
	"math"
)

// Tile is one number of a stat, gauge, bar gauge or pie chart.
type Tile struct {
	Name  string `json:"name,omitempty"`
	Text  string `json:"text"`
	Color string `json:"color,omitempty"`
	// Value is the number itself, and Part where it stands on the scale, from 0 to
	// 1; of a pie, its share. Unknown values are null.
	Value Numbers `json:"value"`
	Part  float64 `json:"part"`
	// Low and High are the ends of the scale, written out.
	Low  string `json:"low,omitempty"`
	High string `json:"high,omitempty"`
	// Zones are the thresholds along the scale.
	Zones []Zone `json:"zones,omitempty"`
	// Spark is the series behind a stat.
	Spark Numbers `json:"spark,omitempty"`
	Link  string  `json:"link,omitempty"`
}

// Zone is the colour of a scale from a part on.
type Zone struct {
	From  float64 `json:"from"`
	Color string  `json:"color"`
}

// Layout is how tiles are arranged.
type Layout struct {
	Orientation string `json:"orientation"` // auto, horizontal or vertical
	Color       string `json:"color"`       // value, background or none
	Names       bool   `json:"names"`
	Values      bool   `json:"values"`
	Donut       bool   `json:"donut,omitempty"`
	Graph       bool   `json:"graph,omitempty"`
}

func (v *View) tiles(d *Drawing, p *Panel, frames []Frame, s scope) {
	o := p.Options
	chosen := wanted(o.Fields)
	var tiles []Tile
	fallback := ofData
	if p.Kind == Gauge {
		fallback = [2]float64{0, 100}
	}
	index, cutOff := 0, 0
	for i := range frames {
		frame := &frames[i]
		for j := range frame.Fields {
			f := &frame.Fields[j]
			if !chosen(f) || f.config.Custom.HideViz {
				continue
			}
			b := bounds(f, frames, fallback)
			add := func(name string, value shown, number float64) {
				if len(tiles) >= maxTiles {
					cutOff++
					return
				}
				t := Tile{Name: name, Text: o.Prefix + value.Text + o.Postfix, Color: value.Color, Value: Numbers{number}, Low: f.config.unit().Format(b[0], v.Now), High: f.config.unit().Format(b[1], v.Now)}
				if p.Kind == PieChart || f.config.Color.Mode == "palette-classic" || f.config.Color.Mode == "palette-classic-by-name" {
					t.Color = f.config.colorOf(index, number, b[0], b[1])
				}
				if b[1] > b[0] && !math.IsNaN(number) {
					t.Part = min(1, max(0, (number-b[0])/(b[1]-b[0])))
				}
				if p.Kind == Gauge || p.Kind == BarGauge {
					t.Zones = zones(f, b)
				}
				if len(f.config.Links) > 0 {
					t.Link = safeLink(s.link(f.config.Links[0].URL))
				}
				index++
				tiles = append(tiles, t)
			}
			if o.AllValues {
				for row := range min(f.len(), max(1, o.Limit)) {
					number := math.NaN()
					if f.Type != StringField {
						number = f.Numbers[row]
					}
					add(rowName(frame, f, row), v.show(f, row, b), number)
				}
				continue
			}
			for n, calc := range o.Calcs {
				name := f.label()
				if len(o.Calcs) > 1 {
					name = calcName(calc) + " " + name
				}
				switch {
				case f.Type == StringField:
					if f.len() > 0 {
						at := f.len() - 1
						if calc == "first" || calc == "firstNotNull" {
							at = 0
						}
						add(name, v.show(f, at, b), math.NaN())
					}
				default:
					number := reduce(f.Numbers, calc)
					add(name, v.showNumber(f, number, b), number)
					if t := len(tiles) - 1; t >= 0 && n == 0 && p.Kind == Stat && o.GraphMode == "area" && frame.timeField() != nil && f.len() > 1 && cutOff == 0 {
						tiles[t].Spark = thin(f.Numbers, 120)
					}
				}
			}
		}
	}
	if cutOff > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d of %d values are shown.", maxTiles, maxTiles+cutOff))
	}
	if len(tiles) == 0 {
		text := p.Field.NoValue
		// What a mapping says of "no data" holds here too.
		for _, m := range p.Field.Mappings {
			if mapped, ok := m.matches("", math.NaN(), true); ok {
				text = mapped
				break
			}
		}
		if text == "" {
			d.Empty = "No data in this time."
			return
		}
		tiles = []Tile{{Text: text, Value: Numbers{math.NaN()}}}
	}
	if p.Kind == PieChart {
		share(tiles)
	}
	d.Tiles = tiles
	d.Layout = &Layout{Orientation: o.Orient, Color: o.ColorMode, Donut: o.PieDonut, Graph: o.GraphMode == "area", Values: true}
	d.Layout.Names = len(tiles) > 1 || p.Kind == PieChart
	switch o.TextMode {
	case "value_and_name":
		d.Layout.Names = true
	case "value":
		d.Layout.Names = false
	case "name":
		d.Layout.Names, d.Layout.Values = true, false
	case "none":
		d.Layout.Names, d.Layout.Values = false, false
	}
}

// rowName is the name of a row: its texts, or the field's name.
func rowName(frame *Frame, f *Field, row int) string {
	name := ""
	for i := range frame.Fields {
		if g := &frame.Fields[i]; g.Type == StringField && g != f && row < len(g.Strings) {
			if name != "" {
				name += " "
			}
			name += g.Strings[row]
		}
	}
	if name == "" {
		return f.label()
	}
	return name
}

func zones(f *Field, b [2]float64) []Zone {
	var all []Zone
	for _, s := range f.config.Thresholds.Steps {
		z := Zone{Color: hex(s.Color)}
		if s.Value != nil && b[1] > b[0] {
			z.From = min(1, max(0, (f.config.Thresholds.at(s, b[0], b[1])-b[0])/(b[1]-b[0])))
		}
		all = append(all, z)
	}
	return all
}

// share turns values into parts of their sum.
func share(tiles []Tile) {
	sum := 0.0
	for _, t := range tiles {
		if !math.IsNaN(t.Value[0]) {
			sum += math.Abs(t.Value[0])
		}
	}
	for i := range tiles {
		tiles[i].Part = 0
		if sum > 0 && !math.IsNaN(tiles[i].Value[0]) {
			tiles[i].Part = math.Abs(tiles[i].Value[0]) / sum
		}
	}
}

// thin keeps at most n values, the last of each stretch.
func thin(values Numbers, n int) Numbers {
	if len(values) <= n {
		return values
	}
	kept := make(Numbers, n)
	for i := range kept {
		kept[i] = values[(i+1)*len(values)/n-1]
	}
	return kept
}
