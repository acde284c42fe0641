package dashboard

import (
	"fmt"
	"slices"
	"strings"
)

// Grille is a table as a page shows it.
type Grille struct {
	Caption string   `json:"caption,omitempty"`
	Columns []Column `json:"columns"`
	Rows    [][]Cell `json:"rows"`
	Header  bool     `json:"header"`
}

// Column is a column of a table.
type Column struct {
	Name  string `json:"name"`
	Right bool   `json:"right,omitempty"` // for numbers
	Width int    `json:"width,omitempty"` // pixels; 0 for what fits
}

// Cell is one value.
type Cell struct {
	Text string `json:"text"`
	// Color marks the text, or fills the cell where Fill is set.
	Color string `json:"color,omitempty"`
	Fill  bool   `json:"fill,omitempty"`
	// Part is the length of a bar, from 0 to 1; nil for none.
	Part *float64 `json:"part,omitempty"`
	Link string   `json:"link,omitempty"`
}

func (v *View) tables(d *Drawing, p *Panel, frames []Frame) {
	if wide := wideSeries(frames); wide != nil {
		frames = wide
	}
	for i := range frames {
		frame := &frames[i]
		if p.Options.SortBy != "" {
			if f := frame.field(p.Options.SortBy); f != nil {
				rows := sequence(frame.rows())
				slices.SortStableFunc(rows, func(a, b int) int {
					if p.Options.SortDesc {
						a, b = b, a
					}
					return f.compare(a, b)
				})
				sorted := frame.take(rows)
				frame = &sorted
			}
		}
		g := Grille{Header: p.Options.ShowHeader}
		if len(frames) > 1 {
			g.Caption = frame.Name
			if g.Caption == "" {
				g.Caption = "Query " + frame.RefID
			}
		}
		var shownFields []*Field
		var scale [][2]float64
		for j := range frame.Fields {
			f := &frame.Fields[j]
			if f.config.Custom.HideColumn || f.config.Custom.HideViz {
				continue
			}
			shownFields = append(shownFields, f)
			scale = append(scale, bounds(f, []Frame{{Fields: []Field{*f}}}, ofData))
			g.Columns = append(g.Columns, Column{
				Name: f.label(), Right: f.Type == NumberField && f.config.Custom.Align != "left" && f.config.Custom.Align != "center" || f.config.Custom.Align == "right",
				Width: f.config.Custom.ColumnWidth,
			})
		}
		n := frame.rows()
		if n > maxRows {
			d.Notes = append(d.Notes, fmt.Sprintf("%d of %d rows are shown.", maxRows, n))
			n = maxRows
		}
		for row := range n {
			cells := make([]Cell, len(shownFields))
			for k, f := range shownFields {
				cells[k] = v.cell(frame, f, row, scale[k])
			}
			g.Rows = append(g.Rows, cells)
		}
		d.Tables = append(d.Tables, g)
		if len(d.Tables) >= 20 {
			break
		}
	}
}

// cell writes one value and colours it as its column says.
func (v *View) cell(frame *Frame, f *Field, row int, scale [2]float64) Cell {
	value := v.show(f, row, scale)
	c := Cell{Text: value.Text}
	kind := f.config.Custom.CellType
	switch {
	case strings.HasPrefix(kind, "color-background"):
		c.Color, c.Fill = value.Color, value.Color != ""
	case kind == "color-text":
		c.Color = value.Color
	case kind == "gauge" || strings.HasSuffix(kind, "gauge"):
		if f.Type == NumberField && scale[1] > scale[0] {
			part := min(1, max(0, (f.Numbers[row]-scale[0])/(scale[1]-scale[0])))
			c.Part, c.Color = &part, value.Color
		}
	}
	if len(f.config.Links) > 0 {
		c.Link = rowLink(f.config.Links[0].URL, frame, f, row, value.Text)
	}
	return c
}

// rowLink fills a row's values into an address.
func rowLink(address string, frame *Frame, f *Field, row int, text string) string {
	s := scope{"__cell": single(text)}
	for i := range frame.Fields {
		g := &frame.Fields[i]
		s[fmt.Sprintf("__cell_%d", i)] = single(g.key(row))
		for _, name := range []string{g.Name, g.label()} {
			for _, form := range []string{"${__data.fields." + name + "}", "${__data.fields[\"" + name + "\"]}", "${__data.fields['" + name + "']}"} {
				address = strings.ReplaceAll(address, form, formatted(single(g.key(row)), "percentencode"))
			}
		}
	}
	for _, form := range []string{"${__value.raw}", "${__value.text}"} {
		address = strings.ReplaceAll(address, form, formatted(single(f.key(row)), "percentencode"))
	}
	return safeLink(s.link(address))
}

// wideSeries makes one table of series that have the same times; nil where they are
// no series.
func wideSeries(frames []Frame) []Frame {
	if len(frames) < 2 {
		return nil
	}
	for _, f := range frames {
		if len(f.Fields) != 2 || f.Fields[0].Type != TimeField || f.Fields[1].Type != NumberField {
			return nil
		}
	}
	joined := joinBy("", "outer")(frames, nil)
	if len(joined) == 1 && len(joined[0].Fields) == len(frames)+1 && len(frames) <= 50 {
		return joined
	}
	return nil
}

// Twin is the drawing's data as tables, for whoever cannot see or use the picture.
func (v *View) Twin(d *Drawing) []Grille {
	switch {
	case d.Chart != nil:
		return []Grille{d.Chart.twin(v)}
	case len(d.Tiles) > 0:
		g := Grille{Header: true, Columns: []Column{{Name: "Name"}, {Name: "Value", Right: true}}}
		if d.Kind == PieChart {
			g.Columns = append(g.Columns, Column{Name: "Share", Right: true})
		}
		for _, t := range d.Tiles {
			name := t.Name
			if name == "" {
				name = d.Title
			}
			row := []Cell{{Text: name, Link: t.Link}, {Text: t.Text}}
			if d.Kind == PieChart {
				row = append(row, Cell{Text: Unit{Steps: []UnitStep{{Divide: 0.01, Suffix: "%"}}}.Format(t.Part, v.Now)})
			}
			g.Rows = append(g.Rows, row)
		}
		return []Grille{g}
	case d.Heat != nil:
		return []Grille{d.Heat.twin()}
	}
	return d.Tables
}

// twin lists the values of a chart by time, newest first.
func (c *Chart) twin(v *View) Grille {
	g := Grille{Header: true, Columns: []Column{{Name: "Time"}}}
	var lines []*Line
	for i := range c.Lines {
		if l := &c.Lines[i]; !l.HideLine && len(lines) < 50 {
			lines = append(lines, l)
			g.Columns = append(g.Columns, Column{Name: l.Name, Right: true})
		}
	}
	if len(lines) < len(c.Lines) {
		g.Caption = fmt.Sprintf("%d of %d series", len(lines), len(c.Lines))
	}
	for i := len(c.X) - 1; i >= 0 && len(g.Rows) < maxRows; i-- {
		row := []Cell{{Text: iso(c.X[i] * 1000)}}
		for _, l := range lines {
			text := ""
			if n := l.Values[i]; n == n {
				text = c.Scales[l.Scale].Unit.Format(n, v.Now)
			}
			row = append(row, Cell{Text: text})
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}
