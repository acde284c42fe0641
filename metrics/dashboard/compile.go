package dashboard

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Limits on what a dashboard may hold. The largest that people publish have a few
// hundred panels in half a megabyte.
const (
	MaxBytes     = 4 << 20
	maxDepth     = 60
	maxPanels    = 1000
	maxTargets   = 50
	maxVariables = 100
)

// compiler carries what one compilation has found so far.
type compiler struct {
	d       Dashboard
	sources map[string]string // variable or input that stands for a data source → its type
	keys    map[string]bool
	panels  int
	order   []int // of the variables, each after those it needs
}

// Compile reads a dashboard in Grafana's classic JSON, also one wrapped as Grafana's
// API answers it. What cannot be drawn as asked becomes an [Issue]; an error means
// that this is no dashboard, and says what it is instead. Schema versions 8 to 42
// and the rows of older ones are read.
func Compile(raw []byte) (*Dashboard, error) {
	root, err := decode(raw)
	if err != nil {
		return nil, err
	}
	if version := root.at("apiVersion").str(); strings.Contains(version, "/v2") || root.at("elements").exists() && root.at("layout").exists() {
		return nil, nightporter.E(nightporter.Invalid, "This dashboard is in Grafana's second schema (elements and layout), which is not read yet.").
			WithHint("In Grafana, export it as classic JSON: Export, Export as JSON, model: Classic.")
	}
	switch {
	case root.at("spec", "panels").exists():
		uid := root.at("metadata", "name").str()
		root = root.at("spec")
		if object := root.object(); object["uid"] == nil && uid != "" {
			object["uid"] = uid
		}
	case root.at("dashboard").isObject():
		root = root.at("dashboard")
	}
	if !root.at("panels").exists() && !root.at("rows").exists() && !root.at("schemaVersion").exists() {
		return nil, nightporter.E(nightporter.Invalid, "This JSON is no dashboard: it has neither panels nor rows.").
			WithHint("Export a dashboard from Grafana (Export, Save as file) and import that file.")
	}
	c := &compiler{keys: map[string]bool{}, sources: map[string]string{}}
	c.d = Dashboard{
		UID: root.at("uid").str(), Title: root.at("title").or("Untitled"), Description: root.at("description").str(), Tags: root.at("tags").strs(),
		SchemaVersion: root.at("schemaVersion").integer(0), From: root.at("time", "from").or("now-6h"), To: root.at("time", "to").or("now"),
	}
	if every, ok := parseDuration(root.at("refresh").str()); ok && every > 0 {
		c.d.Refresh = max(every, 5*time.Second)
	}
	for _, in := range root.at("__inputs").list() {
		if in.at("type").str() == "datasource" {
			c.sources[in.at("name").str()] = in.at("pluginId").str()
		}
	}
	for _, v := range root.at("templating", "list").list() {
		if v.at("type").str() == "datasource" {
			c.sources[v.at("name").str()] = v.at("query").str()
		}
	}
	c.d.Variables = c.compileVariables(root.at("templating", "list").list())
	c.d.Links = links(root.at("links"))
	if root.at("panels").exists() {
		c.d.Panels = c.panelList(root.at("panels").list(), true)
	} else {
		c.d.Panels = c.oldRows(root.at("rows").list())
	}
	for _, a := range root.at("annotations", "list").list() {
		if source := a.at("datasource", "type").or(a.at("datasource").str()); a.at("enable").is() && a.at("builtIn").integer(0) == 0 && source != "grafana" && source != "-- Grafana --" {
			c.issue(nil, Changed, "annotation "+cut(a.at("name").str(), 60), "The annotation query %q is not run: deployments, nights and drills mark the graphs instead.", cut(a.at("name").str(), 60))
		}
	}
	c.d.order = c.order
	d := c.d
	return &d, nil
}

// decode reads JSON with limits: on bytes, and on depth before anything is built.
func decode(raw []byte) (node, error) {
	if len(raw) > MaxBytes {
		return node{}, nightporter.E(nightporter.Invalid, "The dashboard has %d bytes; at most %d are read.", len(raw), MaxBytes)
	}
	if depth(raw) > maxDepth {
		return node{}, nightporter.E(nightporter.Invalid, "The dashboard is nested more than %d levels deep.", maxDepth)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		at := d.InputOffset()
		if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
			at = syntax.Offset
		}
		line := 1 + bytes.Count(raw[:min(at, int64(len(raw)))], []byte("\n"))
		return node{}, nightporter.Wrap(err, nightporter.Invalid, "The dashboard is not JSON: line %d cannot be read.", line)
	}
	if _, ok := v.(map[string]any); !ok {
		return node{}, nightporter.E(nightporter.Invalid, "The dashboard is not a JSON object.")
	}
	return node{v}, nil
}

// depth is how deep brackets nest, strings apart.
func depth(raw []byte) int {
	deepest, now := 0, 0
	quoted, escaped := false, false
	for _, c := range raw {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped = c == '\\'
			quoted = c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// issue notes what is not drawn as Grafana would; p is nil for the dashboard.
func (c *compiler) issue(p *Panel, s Severity, feature, format string, args ...any) {
	i := Issue{Severity: s, Feature: feature, Message: fmt.Sprintf(format, args...)}
	if p != nil {
		i.Panel, i.Title = p.Key, p.Title
		p.Notes = append(p.Notes, i.Message)
	}
	c.d.Issues = append(c.d.Issues, i)
}

// panelList compiles panels in reading order.
func (c *compiler) panelList(list []node, top bool) []Panel {
	var panels []Panel
	for _, n := range list {
		if c.panels >= maxPanels {
			c.issue(nil, Missing, "panels", "Only the first %d panels are read.", maxPanels)
			break
		}
		p := c.panel(n)
		if p.Kind == Row && top {
			p.Panels = c.panelList(n.at("panels").list(), false)
			p.Collapsed = n.at("collapsed").is()
			if !p.Collapsed && len(p.Panels) > 0 {
				// An open row that still holds panels: Grafana shows them below it.
				inside := p.Panels
				p.Panels = nil
				panels = append(panels, p)
				panels = append(panels, inside...)
				continue
			}
		}
		panels = append(panels, p)
	}
	if top {
		sortPanels(panels)
	}
	return panels
}

// key names a panel, once.
func (c *compiler) key(n node) string {
	c.panels++
	key := n.at("id").str()
	if id, err := strconv.ParseInt(key, 10, 64); err != nil || id <= 0 || c.keys[key] {
		key = "n" + strconv.Itoa(c.panels)
		for c.keys[key] {
			key += "x"
		}
	}
	c.keys[key] = true
	return key
}

// oldRows lays out the rows of dashboards from before Grafana 5: each has a height
// in pixels, and its panels spans of twelve.
func (c *compiler) oldRows(rows []node) []Panel {
	var panels []Panel
	y := 0
	titled := false
	for _, r := range rows {
		titled = titled || r.at("showTitle").is() || r.at("collapse").is() || r.at("repeat").str() != ""
	}
	for _, r := range rows {
		pixels, ok := r.at("height").num()
		if !ok {
			pixels = 250
		}
		row := Panel{
			Key: c.key(node{}), Kind: Row, Source: "row", Title: r.at("title").str(), Grid: Grid{Y: y, W: 24, H: 1},
			Repeat: r.at("repeat").str(), Collapsed: r.at("collapse").is(),
		}
		var inside []Panel
		x, tall := 0, 0
		at := y
		if titled {
			at++
		}
		for _, n := range r.at("panels").list() {
			if c.panels >= maxPanels {
				c.issue(nil, Missing, "panels", "Only the first %d panels are read.", maxPanels)
				break
			}
			p := c.panel(n)
			own := pixels
			if h, ok := n.at("height").num(); ok {
				own = h
			}
			span, ok := n.at("span").num()
			if !ok {
				span = 4
			}
			p.Grid.W = max(1, min(24, int(span*2)))
			p.Grid.H = max(2, min(60, int(own+37)/38))
			if x+p.Grid.W > 24 {
				x, at, tall = 0, at+tall, 0
			}
			p.Grid.X, p.Grid.Y = x, at
			x += p.Grid.W
			tall = max(tall, p.Grid.H)
			inside = append(inside, p)
		}
		y = at + tall
		switch {
		case row.Collapsed:
			row.Panels = inside
			panels = append(panels, row)
		case titled:
			panels = append(append(panels, row), inside...)
		default:
			panels = append(panels, inside...)
		}
	}
	return panels
}

// prometheusSource reports whether a data source is, or stands for, Prometheus.
func prometheusSource(n node, sources map[string]string) bool {
	if !n.exists() {
		return true
	}
	kind := n.at("type").str()
	name := n.str()
	if n.isObject() {
		name = n.at("uid").str()
	}
	if m := reference.FindStringSubmatch(name); m != nil {
		if is, ok := sources[m[1]+m[2]+m[5]]; ok {
			return is == "" || isPrometheus(is)
		}
	}
	if kind != "" {
		return isPrometheus(kind)
	}
	switch name {
	case "-- Grafana --", "grafana", "-- Dashboard --", "__expr__":
		return false
	}
	// A bare name says nothing of its type: it is taken for the workspace.
	return true
}

func isPrometheus(kind string) bool {
	switch kind {
	case "prometheus", "grafana-amazonprometheus-datasource", "grafana-azureprometheus-datasource", "thanos", "mimir", "victoriametrics-metrics-datasource", "default":
		return true
	}
	return false
}

// links reads the links of a dashboard or panel that lead to an address.
func links(n node) []Link {
	var all []Link
	for _, l := range n.list() {
		address := l.at("url").str()
		if address == "" || l.at("type").str() == "dashboards" {
			continue
		}
		all = append(all, Link{Title: l.at("title").or(address), URL: address})
	}
	return all
}
