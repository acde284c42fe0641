package dashboard

import (
	"context"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Limits on what one panel may hold, so that a careless query does not freeze a
// browser. What is cut off is said in a note.
const (
	maxSeries = 500
	maxRows   = 1000
	maxTiles  = 200
)

// Drawing is a panel with everything that a browser needs to paint it: numbers in
// their places, words and colours. Exactly one of Chart, Tiles, Tables, Heat and
// HTML is set, or Empty or Problem says why there is nothing.
type Drawing struct {
	Key         string   `json:"key"`
	Kind        Kind     `json:"kind"`
	Title       string   `json:"title"`
	Description string   `json:"description,omitempty"`
	From        int64    `json:"from"` // milliseconds since 1970
	To          int64    `json:"to"`
	Step        string   `json:"step,omitempty"`
	Queries     []string `json:"queries,omitempty"`
	// Notes are what is not drawn as Grafana would, and what was cut off.
	Notes []string `json:"notes,omitempty"`
	// Empty says that there is no data; Problem that it could not be asked for.
	Empty   string `json:"empty,omitempty"`
	Problem string `json:"problem,omitempty"`

	Chart  *Chart   `json:"chart,omitempty"`
	Tiles  []Tile   `json:"tiles,omitempty"`
	Layout *Layout  `json:"layout,omitempty"` // of the tiles
	Tables []Grille `json:"tables,omitempty"`
	Heat   *Heat    `json:"heat,omitempty"`
	// HTML is a text panel, made from its source with a list of allowed tags.
	HTML  string `json:"html,omitempty"`
	Links []Link `json:"links,omitempty"`
}

// Draw asks for the data of a place and makes a drawing of it. Points is how many
// points wide the panel is; 0 means 1000. The error is [nightporter.NotFound] for a
// key that is not on the page; what goes wrong with the data is in the drawing.
func (v *View) Draw(ctx context.Context, q Querier, key string, points int) (*Drawing, error) {
	place, ok := v.Place(key)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "The dashboard has no panel %q.", cut(key, 60))
	}
	p := place.Panel
	w := v.window(p, clamp(points, 0, maxPoints))
	s := v.within(place.Scope)
	d := &Drawing{
		Key: key, Kind: p.Kind, Title: place.Title, Description: s.text(p.Description), From: w.from.UnixMilli(), To: w.to.UnixMilli(),
		Notes: slices.Clone(p.Notes),
	}
	for _, l := range p.Links {
		if address := safeLink(s.link(l.URL)); address != "" {
			d.Links = append(d.Links, Link{Title: s.text(l.Title), URL: address})
		}
	}
	if p.Kind == Text {
		d.HTML = textHTML(p.Options.TextFormat, s.text(p.Options.Content))
		return d, nil
	}
	asked := v.queries(p, place.Scope, w)
	for _, a := range asked {
		d.Queries = append(d.Queries, a.expr)
		d.Step = promDuration(a.step)
	}
	if len(asked) == 0 {
		d.Empty = "This panel asks nothing that can be answered here."
		return d, nil
	}
	frames, warnings, err := v.frames(ctx, q, asked, w)
	if err != nil {
		d.Problem = nightporter.MessageOf(err)
		return d, nil
	}
	for _, text := range warnings {
		if !slices.Contains(d.Notes, text) && len(d.Notes) < 20 {
			d.Notes = append(d.Notes, text)
		}
	}
	frames = p.finish(frames, s)
	v.paint(d, p, frames, s)
	return d, nil
}

// Frames returns the frames of a place after its transformations, as tests and
// other renderers need them.
func (v *View) Frames(ctx context.Context, q Querier, key string, points int) ([]Frame, error) {
	place, ok := v.Place(key)
	if !ok {
		return nil, nightporter.E(nightporter.NotFound, "The dashboard has no panel %q.", cut(key, 60))
	}
	w := v.window(place.Panel, points)
	frames, _, err := v.frames(ctx, q, v.queries(place.Panel, place.Scope, w), w)
	if err != nil {
		return nil, err
	}
	frames = place.Panel.finish(frames, v.within(place.Scope))
	for i := range frames {
		for j := range frames[i].Fields {
			frames[i].Fields[j].Name = frames[i].Fields[j].label()
		}
	}
	return frames, nil
}

// finish transforms frames and configures their fields.
func (p *Panel) finish(frames []Frame, s scope) []Frame {
	for _, t := range p.Transforms {
		frames = t(frames, s)
	}
	p.configure(frames, s)
	return frames
}

func (v *View) paint(d *Drawing, p *Panel, frames []Frame, s scope) {
	rows := 0
	for i := range frames {
		rows += frames[i].rows()
	}
	if rows == 0 && p.Kind != Stat && p.Kind != Gauge {
		d.Empty = "No data in this time."
		return
	}
	switch p.Kind {
	case TimeSeries:
		if slices.ContainsFunc(frames, func(f Frame) bool { return f.timeField() != nil }) {
			v.chart(d, p, frames)
			return
		}
		d.Notes = append(d.Notes, "The data has no times, so that it is shown as a table.")
		v.tables(d, p, frames)
	case Stat, Gauge, BarGauge, PieChart:
		v.tiles(d, p, frames, s)
	case Heatmap:
		v.heat(d, p, frames)
	default:
		v.tables(d, p, frames)
	}
}

// show writes the value at i of a field, and says its colour.
func (v *View) show(f *Field, i int, bounds [2]float64) shown {
	c := &f.config
	if f.Type == StringField {
		text := f.Strings[i]
		for _, m := range c.Mappings {
			if mapped, ok := m.matches(text, math.NaN(), false); ok {
				if mapped == "" {
					mapped = text
				}
				return shown{mapped, hex(m.Color)}
			}
		}
		return shown{text, ""}
	}
	return v.showNumber(f, f.Numbers[i], bounds)
}

func (v *View) showNumber(f *Field, n float64, bounds [2]float64) shown {
	c := &f.config
	if f.Type == TimeField {
		unit := Unit{Special: "dateTimeAsIso"}
		if u, ok := UnitOf(c.Unit); ok && u.Special != "" {
			unit = u
		}
		if math.IsNaN(n) {
			return shown{}
		}
		return shown{unit.Format(n, v.Now), ""}
	}
	color := ""
	if c.Color.Mode == "thresholds" || strings.HasPrefix(c.Color.Mode, "continuous-") || c.Color.Mode == "fixed" {
		color = c.colorOf(0, n, bounds[0], bounds[1])
	}
	unit := c.unit()
	text := unit.Format(n, v.Now)
	if math.IsNaN(n) {
		text = c.NoValue
		color = ""
	}
	for _, m := range c.Mappings {
		mapped, ok := m.matches(decimalText(n), n, true)
		if !ok {
			continue
		}
		if mapped == "" {
			mapped = text
		}
		if m.Color != "" {
			color = hex(m.Color)
		}
		return shown{mapped, color}
	}
	return shown{text, color}
}

// unit is the field's unit with its decimals.
func (f *fieldConfig) unit() Unit {
	u, _ := UnitOf(f.Unit)
	u.Decimals = f.Decimals
	return u
}

// bounds are the ends of a field's scale: what is set, else what a unit has, else
// those of the data.
func bounds(f *Field, frames []Frame, fallback [2]float64) [2]float64 {
	b := fallback
	if f.config.Unit == "percent" {
		b = [2]float64{0, 100}
	}
	if f.config.Unit == "percentunit" {
		b = [2]float64{0, 1}
	}
	if math.IsNaN(b[0]) || math.IsNaN(b[1]) {
		low, high := math.Inf(1), math.Inf(-1)
		for i := range frames {
			for j := range frames[i].Fields {
				if g := &frames[i].Fields[j]; g.Type == NumberField {
					for _, n := range g.Numbers {
						if !math.IsNaN(n) && !math.IsInf(n, 0) {
							low, high = min(low, n), max(high, n)
						}
					}
				}
			}
		}
		if low > high {
			low, high = 0, 100
		}
		b = [2]float64{low, high}
	}
	if f.config.Min != nil {
		b[0] = *f.config.Min
	}
	if f.config.Max != nil {
		b[1] = *f.config.Max
	}
	return b
}

var ofData = [2]float64{math.NaN(), math.NaN()}

// wanted compiles the option that chooses fields to show: "" numbers only, /…/ by
// name.
func wanted(fields string) func(*Field) bool {
	if fields == "" {
		return func(f *Field) bool { return f.Type == NumberField }
	}
	re, err := grafanaRegex(fields)
	if err != nil {
		re = regexp.MustCompile("^" + regexp.QuoteMeta(fields) + "$")
	}
	return func(f *Field) bool { return re.MatchString(f.label()) || re.MatchString(f.Name) }
}

func iso(ms float64) string {
	return time.UnixMilli(int64(ms)).UTC().Format(time.DateTime)
}
