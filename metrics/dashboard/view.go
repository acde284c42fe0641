package dashboard

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// maxPlaces is how many panels a page may hold once repeated ones are laid out.
const maxPlaces = 2000

// Ask says what to look at.
type Ask struct {
	// From and To are Grafana's times; "" means the dashboard's own.
	From, To string
	// Values are the chosen values of variables by name; a variable that is absent
	// keeps its default, and [AllValue] is all.
	Values map[string][]string
	// Now is what "now" means. Zero means time.Now.
	Now time.Time
	// Scrape is how often the workspace is fed; 0 means 15 seconds.
	Scrape time.Duration
	// Panel is the place that is going to be drawn, where it is only one: then no
	// values are asked for that it does not need. "" means the whole page.
	Panel string
}

// View is a dashboard at a time, with values for its variables. It is not safe for
// use from several goroutines while it is made; drawing from several is.
type View struct {
	Dashboard *Dashboard
	From, To  time.Time
	Now       time.Time
	// Variables stand in the order of the dashboard, the hidden ones too.
	Variables []Chosen
	Sections  []Section

	scrape time.Duration
	scope  scope
	places map[string]*Place
}

// Section is a row and the panels below it. The first may have no row.
type Section struct {
	Key   string // "" for the panels above the first row
	Title string
	Open  bool
	// Places have their Y counted from the top of the section.
	Places []Place
}

// Place is a panel on the page: each repetition of a repeated panel is one.
type Place struct {
	Key   string
	Title string
	Grid  Grid
	Panel *Panel
	// Scope holds the values of the repetition by variable.
	Scope map[string]string
}

// Resolve finds the values of the variables and lays the panels out. An error
// means that what was asked for is not valid; a variable that cannot be asked for
// has a Problem instead.
func (d *Dashboard) Resolve(ctx context.Context, q Querier, ask Ask) (*View, error) {
	v := &View{Dashboard: d, Now: ask.Now, scrape: ask.Scrape, scope: scope{}, places: map[string]*Place{}}
	if v.Now.IsZero() {
		v.Now = time.Now()
	}
	if v.scrape <= 0 {
		v.scrape = defaultScrape
	}
	var err error
	if v.From, err = timeOr(ask.From, d.From, "now-6h", v.Now, Start); err != nil {
		return nil, err
	}
	if v.To, err = timeOr(ask.To, d.To, "now", v.Now, End); err != nil {
		return nil, err
	}
	if !v.From.Before(v.To) {
		return nil, nightporter.E(nightporter.Invalid, "The time range ends before it begins.")
	}
	v.builtins(v.From, v.To, stepOf(v.To.Sub(v.From), 0, v.scrape), v.scrape)
	v.Variables = make([]Chosen, len(d.Variables))
	for _, i := range d.order {
		variable := &d.Variables[i]
		if asked := ask.Values[variable.Name]; ask.Panel != "" && variable.Kind == "query" && plain(asked) {
			v.Variables[i] = Chosen{Variable: variable, Values: asked}
		} else {
			v.Variables[i] = variable.choose(ctx, q, asked, v.scope, v.From, v.To)
		}
		auto := max(stepOf(v.To.Sub(v.From), max(1, variable.autoN), 0), 0)
		if least, ok := parseDuration(variable.autoMin); ok {
			auto = max(auto, least)
		}
		v.scope[variable.Name] = v.Variables[i].value(auto)
	}
	v.layout()
	return v, nil
}

// plain reports whether values are given and none of them stands for others.
func plain(values []string) bool {
	return len(values) > 0 && !slices.Contains(values, AllValue) && !slices.Contains(values, "All") && !slices.Contains(values, "")
}

func timeOr(asked, own, fallback string, now time.Time, edge Edge) (time.Time, error) {
	if asked != "" {
		return ParseTime(asked, now, edge)
	}
	if at, err := ParseTime(own, now, edge); err == nil {
		return at, nil
	}
	return ParseTime(fallback, now, edge)
}

// builtins sets Grafana's own variables.
func (v *View) builtins(from, to time.Time, step, scrape time.Duration) {
	v.scope.builtins(v, from, to, step, scrape)
}

func (s scope) builtins(v *View, from, to time.Time, step, scrape time.Duration) {
	span := to.Sub(from)
	seconds := strconv.FormatInt(int64(span.Round(time.Second)/time.Second), 10)
	rate := rateInterval(step, scrape)
	for name, text := range map[string]string{
		"__interval": promDuration(step), "__interval_ms": strconv.FormatInt(step.Milliseconds(), 10),
		"__rate_interval": promDuration(rate), "__rate_interval_ms": strconv.FormatInt(rate.Milliseconds(), 10),
		"__range": seconds + "s", "__range_s": seconds, "__range_ms": strconv.FormatInt(span.Milliseconds(), 10),
		"__from": strconv.FormatInt(from.UnixMilli(), 10), "__to": strconv.FormatInt(to.UnixMilli(), 10),
		"__dashboard": v.Dashboard.Title, "__name": v.Dashboard.Title, "__org": "1",
		"__url_time_range": "from=" + strconv.FormatInt(from.UnixMilli(), 10) + "&to=" + strconv.FormatInt(to.UnixMilli(), 10),
	} {
		s[name] = single(text)
	}
	url := s["__url_time_range"]
	url.raw = true
	s["__url_time_range"] = url
}

// Place finds a panel on the page.
func (v *View) Place(key string) (*Place, bool) {
	p, ok := v.places[key]
	return p, ok
}

// Values returns the chosen values by variable, as an address holds them. Hidden
// data sources are left out.
func (v *View) Values() map[string][]string {
	all := map[string][]string{}
	for _, c := range v.Variables {
		if c.Variable.Kind != "datasource" && c.Variable.Kind != "constant" && len(c.Values) > 0 {
			all[c.Variable.Name] = c.Values
		}
	}
	return all
}

// Text expands the variables in words for people, such as a dashboard's title.
func (v *View) Text(text string) string { return v.scope.text(text) }

// Link expands the variables in an address, and returns "" for one that a page
// must not lead to.
func (v *View) Link(address string) string { return safeLink(v.scope.link(address)) }

// layout puts the panels into sections, repeats rows and panels, and closes gaps.
func (v *View) layout() {
	type open struct {
		row    *Panel
		panels []*Panel
	}
	sections := []open{{}}
	for i := range v.Dashboard.Panels {
		p := &v.Dashboard.Panels[i]
		if p.Kind != Row {
			last := &sections[len(sections)-1]
			last.panels = append(last.panels, p)
			continue
		}
		s := open{row: p}
		if p.Collapsed {
			for j := range p.Panels {
				s.panels = append(s.panels, &p.Panels[j])
			}
		}
		sections = append(sections, s)
		if p.Collapsed {
			continue
		}
	}
	for _, s := range sections {
		if s.row == nil {
			if len(s.panels) > 0 {
				v.section(Section{Open: true}, s.panels, nil)
			}
			continue
		}
		made := Section{Key: s.row.Key, Title: v.scope.text(s.row.Title), Open: !s.row.Collapsed}
		if s.row.Repeat == "" {
			v.section(made, s.panels, nil)
			continue
		}
		for _, value := range v.repeats(s.row.Repeat) {
			with := map[string]string{s.row.Repeat: value}
			one := made
			one.Key += suffix(with)
			one.Title = v.within(with).text(s.row.Title)
			v.section(one, s.panels, with)
		}
	}
}

// repeats are the values for which something is repeated.
func (v *View) repeats(variable string) []string {
	for _, c := range v.Variables {
		if c.Variable.Name != variable {
			continue
		}
		if !c.Has(AllValue) {
			return c.Values
		}
		var all []string
		for _, o := range c.Options {
			all = append(all, o.Value)
		}
		return all
	}
	return nil
}

// within is the scope inside a repetition.
func (v *View) within(with map[string]string) scope {
	if len(with) == 0 {
		return v.scope
	}
	s := maps.Clone(v.scope)
	for name, one := range with {
		text := one
		for _, c := range v.Variables {
			for _, o := range c.Options {
				if c.Variable.Name == name && o.Value == one {
					text = o.Text
				}
			}
		}
		s[name] = value{texts: []string{text}, values: []string{one}, many: s[name].many}
	}
	return s
}

func suffix(with map[string]string) string {
	var b strings.Builder
	for _, name := range sortedKeys(with) {
		b.WriteString("~" + name + "=" + with[name])
	}
	return b.String()
}

// section lays out the panels of one row.
func (v *View) section(s Section, panels []*Panel, with map[string]string) {
	if len(panels) > 0 {
		top := panels[0].Grid.Y
		for _, p := range panels {
			top = min(top, p.Grid.Y)
		}
		added := 0 // by repetitions above
		for _, p := range panels {
			if len(v.places) >= maxPlaces {
				break
			}
			grid := p.Grid
			grid.Y += added - top
			values := v.repeats(p.Repeat)
			if p.Repeat == "" || with[p.Repeat] != "" || len(values) == 0 {
				s.Places = append(s.Places, v.place(p, grid, with))
				continue
			}
			width, across := grid.W, 1
			if p.Across {
				across = max(1, min(len(values), p.MaxPerRow))
				width = 24 / across
				grid.X = 0
			}
			for i, one := range values {
				if len(v.places) >= maxPlaces {
					break
				}
				inner := maps.Clone(with)
				if inner == nil {
					inner = map[string]string{}
				}
				inner[p.Repeat] = one
				at := grid
				at.W = width
				if p.Across {
					at.X = i % across * width
				}
				at.Y += i / across * grid.H
				s.Places = append(s.Places, v.place(p, at, inner))
			}
			added += (len(values) - 1) / across * grid.H
		}
	}
	v.Sections = append(v.Sections, s)
	kept := v.Sections[len(v.Sections)-1].Places
	for i := range kept {
		v.places[kept[i].Key] = &kept[i]
	}
}

func (v *View) place(p *Panel, grid Grid, with map[string]string) Place {
	place := Place{Key: p.Key + suffix(with), Title: v.within(with).text(p.Title), Grid: grid, Panel: p, Scope: with}
	v.places[place.Key] = &place
	return place
}

var linkScheme = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9+.-]*:`)

// safeLink keeps addresses that lead to the web or within the site, and drops the
// rest: a dashboard is somebody else's file.
func safeLink(address string) string {
	address = strings.TrimSpace(address)
	if scheme := linkScheme.FindString(address); scheme != "" {
		switch strings.ToLower(scheme) {
		case "http:", "https:", "mailto:":
			return address
		}
		return ""
	}
	if strings.HasPrefix(address, "//") || strings.ContainsAny(address, "\\\x00\n\r\t") {
		return ""
	}
	return address
}
