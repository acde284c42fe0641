package console

import (
	"context"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/metrics/dashboard"
	"nightporter.dev/nightporter/metrics/dashboards"
)

// shownOptions is how many values of a variable a page offers.
const shownOptions = 500

// dashboardRoutes are the pages of graphs.
func (c *Console) dashboardRoutes() []httpapi.Route {
	if c.cfg.Dashboards == nil {
		return nil
	}
	// A page of graphs asks the workspace, and so does its policy.
	ask := httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
		workspace := r.PathValue("workspace")
		return nightporter.Action{Name: "dashboard.draw", Capability: nightporter.Read, Path: "api/workspaces/" + workspace + "/query"},
			nightporter.Resource{Kind: "workspace", ID: workspace}, nil
	})
	look := func(pattern string, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodGet, Pattern: pattern, Action: ask, Handler: h, Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug, Timeout: 2 * time.Minute,
		}
	}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/dashboards", Action: httpapi.Does("workspace.list", nightporter.List, "api/workspaces"),
			Handler: c.show(page{c.dashboards, nil}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		look("/metrics/{workspace}/dashboards/{uid}", c.dashboard),
		look("/metrics/{workspace}/dashboards/{uid}/panels/{panel}", c.panel),
	}
}

// dashboards answers GET /dashboards: those of every workspace that one may ask.
func (c *Console) dashboards(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Dashboards", "Dashboards")
	if err != nil {
		return nil, err
	}
	l.Draws = true
	p := &Dashboards{Layout: l, CLI: "nightporter metrics dashboard list"}
	for _, workspace := range c.cfg.Dashboards.Workspaces() {
		if !c.cfg.Gate.May(ctx, dashboards.Act(workspace, "", "list", nightporter.List)) {
			continue
		}
		all, err := c.cfg.Dashboards.List(ctx, v.tx, workspace)
		if err != nil {
			return nil, err
		}
		w := DashboardGroup{Workspace: workspace}
		for _, s := range all {
			row := DashboardRow{Title: s.Title, URL: dashboardURL(workspace, s.UID), Panels: s.Panels, Saved: s.SavedAt, SavedBy: s.SavedBy, Generated: s.Source == dashboards.Generated}
			switch {
			case s.Missing > 0:
				row.Badge = Badge{State: Attention, Word: things(s.Missing, "panel", "panels") + " shown as data"}
			case s.Changed > 0:
				row.Badge = Badge{State: Muted, Word: things(s.Changed, "panel", "panels") + " simplified"}
			}
			w.Rows = append(w.Rows, row)
		}
		p.Groups = append(p.Groups, w)
		p.Count += len(w.Rows)
	}
	return p, nil
}

func dashboardURL(workspace, uid string) string {
	return "/metrics/" + url.PathEscape(workspace) + "/dashboards/" + url.PathEscape(uid)
}

// looked is what a page of graphs starts from.
type looked struct {
	layout    Layout
	compiled  *dashboard.Dashboard
	detail    *dashboards.Detail
	view      *dashboard.View
	marks     []dashboards.Mark
	workspace string
	uid       string
	query     url.Values
}

// look reads a dashboard and lays it out. The store is let go before the workspace
// is asked, which may take long.
func (c *Console) look(r *http.Request, panel string) (*looked, error) {
	ctx := r.Context()
	action, resource := httpapi.ActionFrom(ctx)
	l := &looked{workspace: r.PathValue("workspace"), uid: r.PathValue("uid")}
	var err error
	if l.query, err = url.ParseQuery(r.URL.RawQuery); err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the query cannot be read")
	}
	if l.query.Get("from") == "" {
		l.query.Del("from")
	}
	if l.query.Get("to") == "" {
		l.query.Del("to")
	}
	change := c.hub.last()
	err = c.cfg.Gate.View(ctx, action, resource, func(tx *store.Tx) (err error) {
		if l.compiled, l.detail, err = c.cfg.Dashboards.Show(ctx, tx, l.workspace, l.uid); err != nil {
			return err
		}
		l.layout, err = c.visit(r, tx, change).layout(ctx, l.compiled.Title, "Dashboards")
		return err
	})
	if err != nil {
		return nil, err
	}
	// The script asks for the panels anew; the page itself stays.
	l.layout.Live, l.layout.Draws = false, true
	ask := dashboards.AskOf(l.query)
	ask.Now, ask.Panel = l.layout.Now, panel
	if l.view, err = l.compiled.Resolve(ctx, c.cfg.Dashboards.Querier(l.workspace), ask); err != nil {
		return nil, err
	}
	err = c.cfg.Gate.View(ctx, action, resource, func(tx *store.Tx) (err error) {
		values := l.view.Values()
		l.marks, err = c.cfg.Dashboards.Marks(ctx, tx, l.view.From, l.view.To, only(values["service"]), only(values["environment"]))
		return err
	})
	return l, err
}

// only is the value of a variable that has one; "" for all.
func only(values []string) string {
	if len(values) != 1 || values[0] == dashboard.AllValue {
		return ""
	}
	return values[0]
}

// address is where the page leads with some of its query changed: name, value, name,
// value.
func (l *looked) address(path string, changes ...string) string {
	q := url.Values{}
	for name, values := range l.view.Values() {
		q["var-"+name] = values
	}
	for _, name := range []string{"from", "to"} {
		if value := l.query.Get(name); value != "" {
			q.Set(name, value)
		}
	}
	for i := 0; i+1 < len(changes); i += 2 {
		if changes[i+1] == "" {
			q.Del(changes[i])
		} else {
			q.Set(changes[i], changes[i+1])
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// ranges are the times that a page offers.
var ranges = []struct{ from, text string }{
	{"now-15m", "15 min"},
	{"now-1h", "1 h"},
	{"now-6h", "6 h"},
	{"now-24h", "24 h"},
	{"now-7d", "7 d"},
	{"now-30d", "30 d"},
}

// dashboard answers GET /metrics/{workspace}/dashboards/{uid}.
func (c *Console) dashboard(w http.ResponseWriter, r *http.Request) error {
	l, err := c.look(r, "")
	if err != nil {
		return err
	}
	here := dashboardURL(l.workspace, l.uid)
	p := &DashboardPage{
		Layout: l.layout, Workspace: l.workspace, Name: l.view.Text(l.compiled.Title), Description: l.view.Text(l.compiled.Description), URL: here,
		Generated: l.detail.Source == dashboards.Generated, From: l.query.Get("from"), To: l.query.Get("to"),
		Shown:  l.view.From.In(l.layout.Now.Location()).Format("Mon 2 Jan 15:04") + " to " + l.view.To.In(l.layout.Now.Location()).Format("Mon 2 Jan 15:04"),
		Export: "/api/workspaces/" + url.PathEscape(l.workspace) + "/dashboards/" + url.PathEscape(l.uid) + "/export",
		CLI:    "nightporter metrics dashboard show " + l.workspace + " " + l.uid,
	}
	from, to := l.query.Get("from"), l.query.Get("to")
	if from == "" && to == "" {
		from, to = l.compiled.From, l.compiled.To
	}
	if to == "" || to == "now" {
		p.Refresh = int(l.compiled.Refresh / time.Second)
	}
	for _, one := range ranges {
		p.Ranges = append(p.Ranges, RangeLink{Text: one.text, URL: l.address(here, "from", one.from, "to", "now"), Current: one.from == from && (to == "now" || to == "")})
	}
	span := l.view.To.Sub(l.view.From)
	ms := func(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }
	p.Earlier = l.address(here, "from", ms(l.view.From.Add(-span)), "to", ms(l.view.From))
	if l.view.To.Add(span).Before(l.layout.Now.Add(span / 2)) {
		p.Later = l.address(here, "from", ms(l.view.To), "to", ms(l.view.To.Add(span)))
	}
	for i := range l.view.Variables {
		if f, ok := field(&l.view.Variables[i]); ok {
			p.Variables = append(p.Variables, f)
		}
	}
	for _, link := range l.compiled.Links {
		if address := l.view.Link(link.URL); address != "" {
			p.Links = append(p.Links, Link{Text: l.view.Text(link.Title), URL: address})
		}
	}
	for _, s := range l.view.Sections {
		section := DashboardSection{Key: s.Key, Title: s.Title, Open: s.Open}
		for i := range s.Places {
			one, err := c.place(r.Context(), l, &s.Places[i])
			if err != nil {
				return err
			}
			section.Panels = append(section.Panels, one)
		}
		p.Sections = append(p.Sections, section)
	}
	if p.Marks, p.Happened, err = happened(l.marks); err != nil {
		return err
	}
	for _, i := range l.detail.Issues {
		p.Issues = append(p.Issues, DashboardIssue{Title: i.Title, Text: i.Message, Missing: i.Severity == dashboard.Missing})
	}
	return c.write(w, http.StatusOK, p)
}

// place is a panel on a page. Words stand on it already; graphs are drawn by the
// script, or seen as tables by the link.
func (c *Console) place(ctx context.Context, l *looked, at *dashboard.Place) (DashboardPanel, error) {
	here := dashboardURL(l.workspace, l.uid) + "/panels/" + url.PathEscape(at.Key)
	p := DashboardPanel{
		Key: at.Key, Title: at.Title, X: at.Grid.X + 1, W: at.Grid.W, H: min(at.Grid.H, 40), Table: l.address(here),
		Source: l.address("/api/workspaces/" + url.PathEscape(l.workspace) + "/dashboards/" + url.PathEscape(l.uid) + "/panels/" + url.PathEscape(at.Key)),
		Kind:   string(at.Panel.Kind), Description: l.view.Text(at.Panel.Description), Notes: at.Panel.Notes,
	}
	for name, value := range at.Scope {
		p.Table = withValue(p.Table, "var-"+name, value)
		p.Source = withValue(p.Source, "var-"+name, value)
	}
	if at.Panel.Kind == dashboard.Text {
		drawing, err := l.view.Draw(ctx, nil, at.Key, 0)
		if err != nil {
			return p, err
		}
		p.HTML = template.HTML(drawing.HTML) // made by package dashboard from a list of tags
	}
	return p, nil
}

func withValue(address, name, value string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	q := u.Query()
	q.Set(name, value)
	// A panel is repeated for the values that are chosen, so that the first one
	// must stay among them.
	u.RawQuery = q.Encode()
	return u.String()
}

// field is the control of a variable.
func field(v *dashboard.Chosen) (VariableField, bool) {
	if v.Variable.Hidden {
		return VariableField{}, false
	}
	f := VariableField{Name: "var-" + v.Variable.Name, Label: v.Variable.Label, Multi: v.Variable.Multi, Text: v.Variable.Kind == "textbox", Problem: v.Problem}
	if f.Label == "" {
		f.Label = v.Variable.Name
	}
	if f.Text {
		if len(v.Values) > 0 {
			f.Value = v.Values[0]
		}
		return f, true
	}
	if v.Variable.All {
		f.Options = append(f.Options, VariableOption{Text: "All", Value: dashboard.AllValue, Chosen: v.Has(dashboard.AllValue)})
	}
	offered := map[string]bool{}
	for _, o := range v.Options {
		if len(f.Options) < shownOptions || v.Has(o.Value) {
			f.Options = append(f.Options, VariableOption{Text: o.Text, Value: o.Value, Chosen: v.Has(o.Value)})
			offered[o.Value] = true
		}
	}
	// What the address names is shown even where the data has it no more.
	for _, value := range v.Values {
		if value != dashboard.AllValue && !offered[value] {
			f.Options = append(f.Options, VariableOption{Text: value, Value: value, Chosen: true})
		}
	}
	return f, true
}

// happened are the marks for the script, and for people.
func happened(marks []dashboards.Mark) (string, []DashboardMark, error) {
	type line struct {
		Time float64 `json:"time"`
		Kind string  `json:"kind"`
		Text string  `json:"text"`
	}
	lines := make([]line, len(marks))
	var rows []DashboardMark
	icons := map[string]Badge{
		dashboards.Deploy: {State: OK, Word: "deployed"}, dashboards.Rollback: {State: Failed, Word: "rolled back", Icon: IconRolledBack},
		dashboards.Night: {State: Muted, Word: "night", Icon: IconAsleep}, dashboards.Morning: {State: OK, Word: "rebuilt"}, dashboards.Failure: {State: Failed, Word: "not rebuilt"},
	}
	for i, m := range marks {
		lines[i] = line{float64(m.At.UnixMilli()) / 1000, m.Kind, m.Text}
		rows = append(rows, DashboardMark{At: m.At, Badge: icons[m.Kind], Text: m.Text, URL: m.URL})
	}
	slices.Reverse(rows)
	text, err := json.Marshal(lines)
	return string(text), rows, err
}

// panel answers GET /metrics/{workspace}/dashboards/{uid}/panels/{panel}: one
// panel large, with its data as a table.
func (c *Console) panel(w http.ResponseWriter, r *http.Request) error {
	key := r.PathValue("panel")
	l, err := c.look(r, key)
	if err != nil {
		return err
	}
	at, ok := l.view.Place(key)
	if !ok {
		return nightporter.E(nightporter.NotFound, "The dashboard has no such panel at these values.")
	}
	one, err := c.place(r.Context(), l, at)
	if err != nil {
		return err
	}
	drawing, err := l.view.Draw(r.Context(), c.cfg.Dashboards.Querier(l.workspace), key, 200)
	if err != nil {
		return err
	}
	one.X, one.W, one.H = 1, 24, 14
	p := &PanelPage{
		Layout: l.layout, Workspace: l.workspace, Name: at.Title, Of: l.view.Text(l.compiled.Title), Back: l.address(dashboardURL(l.workspace, l.uid)), Panel: one,
		Queries: drawing.Queries, Step: drawing.Step, Notes: drawing.Notes, Problem: drawing.Problem, Empty: drawing.Empty,
	}
	if p.Name == "" {
		p.Name = "Panel " + key
	}
	p.Title = p.Name
	if p.Marks, _, err = happened(l.marks); err != nil {
		return err
	}
	for _, t := range l.view.Twin(drawing) {
		p.Tables = append(p.Tables, dataTable(t))
	}
	return c.write(w, http.StatusOK, p)
}

// dataTable is a table for a template.
func dataTable(t dashboard.Grille) DataTable {
	d := DataTable{Caption: t.Caption}
	for _, c := range t.Columns {
		d.Columns = append(d.Columns, DataColumn{Name: c.Name, Right: c.Right})
	}
	for _, row := range t.Rows {
		cells := make([]DataCell, len(row))
		for i, c := range row {
			cells[i] = DataCell{Text: c.Text, URL: c.Link, Right: i < len(t.Columns) && t.Columns[i].Right}
		}
		d.Rows = append(d.Rows, cells)
	}
	return d
}
