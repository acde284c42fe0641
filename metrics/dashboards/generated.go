package dashboards

import (
	"encoding/json"
	"strings"
)

// generatedPrefix begins the uid of every generated dashboard.
const generatedPrefix = "nightporter-"

// ownWorkspace is that of Nightporter's own metrics.
const ownWorkspace = "nightporter"

// made is a generated dashboard.
type made struct {
	uid  string
	json []byte
}

// generated finds one by its uid.
func (d *Dashboards) generated(workspace, uid string) (made, bool) {
	if !strings.HasPrefix(uid, generatedPrefix) {
		return made{}, false
	}
	for _, g := range d.allGenerated(workspace) {
		if g.uid == uid {
			return g, true
		}
	}
	return made{}, false
}

// allGenerated are the dashboards of a workspace: services and environments, each
// with the one to look at as a variable, and in the porter's own workspace one of
// itself. They read the labels service and environment, and the names that
// Prometheus' client libraries give.
func (d *Dashboards) allGenerated(workspace string) []made {
	if workspace == ownWorkspace {
		return []made{porter()}
	}
	return []made{service(), environment()}
}

// sketch is a dashboard being made: panels fill rows of 24 columns.
type sketch struct {
	panels  []any
	x, y, h int
}

func (s *sketch) row(title string) {
	s.wrap()
	s.panels = append(s.panels, map[string]any{"id": len(s.panels) + 1, "type": "row", "title": title, "collapsed": false, "panels": []any{}, "gridPos": grid(0, s.y, 24, 1)})
	s.y++
}

func (s *sketch) wrap() {
	s.y += s.h
	s.x, s.h = 0, 0
}

func grid(x, y, w, h int) map[string]any { return map[string]any{"x": x, "y": y, "w": w, "h": h} }

// panel adds a panel; targets are expression and legend, in pairs.
func (s *sketch) panel(kind, title, unit string, w, h int, targets ...string) {
	if s.x+w > 24 {
		s.wrap()
	}
	var list []any
	for i := 0; i+1 < len(targets); i += 2 {
		list = append(list, map[string]any{"refId": string(rune('A' + i/2)), "expr": targets[i], "legendFormat": targets[i+1], "datasource": map[string]any{"type": "prometheus", "uid": "${datasource}"}})
	}
	defaults := map[string]any{"unit": unit, "custom": map[string]any{"lineWidth": 1.5, "fillOpacity": 8, "showPoints": "never"}}
	options := map[string]any{"legend": map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true}, "tooltip": map[string]any{"mode": "multi"}}
	if kind == "stat" {
		defaults = map[string]any{"unit": unit, "noValue": "no data"}
		options = map[string]any{"colorMode": "none", "graphMode": "area", "reduceOptions": map[string]any{"calcs": []any{"lastNotNull"}}}
	}
	s.panels = append(s.panels, map[string]any{
		"id": len(s.panels) + 1, "type": kind, "title": title, "gridPos": grid(s.x, s.y, w, h), "datasource": map[string]any{"type": "prometheus", "uid": "${datasource}"},
		"targets": list, "fieldConfig": map[string]any{"defaults": defaults, "overrides": []any{}}, "options": options,
	})
	s.x += w
	s.h = max(s.h, h)
}

// finish writes the dashboard.
func (s *sketch) finish(uid, title, description string, variables ...any) made {
	list := append([]any{map[string]any{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "current": map[string]any{}}}, variables...)
	raw, err := json.MarshalIndent(map[string]any{
		"uid": uid, "title": title, "description": description, "tags": []any{"nightporter"}, "schemaVersion": 41, "editable": true, "refresh": "30s",
		"time": map[string]any{"from": "now-6h", "to": "now"}, "templating": map[string]any{"list": list}, "panels": s.panels, "annotations": map[string]any{"list": []any{}},
	}, "", "  ")
	if err != nil {
		panic(err) // maps of strings and numbers
	}
	return made{uid, append(raw, '\n')}
}

// asked is a variable whose values the workspace knows.
func asked(name, label, query string, all bool) map[string]any {
	v := map[string]any{
		"name": name, "label": label, "type": "query", "query": query, "datasource": map[string]any{"type": "prometheus", "uid": "${datasource}"},
		"refresh": 2, "sort": 1, "includeAll": all, "multi": false, "current": map[string]any{},
	}
	if all {
		v["allValue"], v["current"] = ".*", map[string]any{"text": "All", "value": "$__all"}
	}
	return v
}

// service is a service's page: what it is asked, how it answers, what it uses.
func service() made {
	var s sketch
	const of = `{service="$service",environment=~"$environment"}`
	red(&s, of)
	process(&s, of)
	return s.finish(generatedPrefix+"service", "Service $service", "Rate, errors and duration of one service, and its processes.",
		asked("service", "Service", "label_values(up, service)", false), asked("environment", "Environment", `label_values(up{service="$service"}, environment)`, true))
}

// red are rate, errors and duration.
func red(s *sketch, of string) {
	failed := strings.TrimSuffix(of, "}") + `,code=~"5.."}`
	s.panel("stat", "Up", "none", 6, 4, `count(up`+of+` == 1)`, "instances")
	s.panel("stat", "Requests", "reqps", 6, 4, `sum(rate(http_requests_total`+of+`[$__rate_interval]))`, "requests")
	s.panel("stat", "Errors", "percentunit", 6, 4, `sum(rate(http_requests_total`+failed+`[$__rate_interval])) / sum(rate(http_requests_total`+of+`[$__rate_interval]))`, "errors")
	s.panel("stat", "Slowest 5 %", "s", 6, 4, `histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket`+of+`[$__rate_interval])))`, "p95")
	s.panel("timeseries", "Requests by answer", "reqps", 8, 8, `sum by (code) (rate(http_requests_total`+of+`[$__rate_interval]))`, "{{code}}")
	s.panel("timeseries", "Share of errors", "percentunit", 8, 8, `sum by (environment) (rate(http_requests_total`+failed+`[$__rate_interval])) / sum by (environment) (rate(http_requests_total`+of+`[$__rate_interval]))`, "{{environment}}")
	s.panel("timeseries", "Duration", "s", 8, 8,
		`histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket`+of+`[$__rate_interval])))`, "half",
		`histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket`+of+`[$__rate_interval])))`, "95 %",
		`histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket`+of+`[$__rate_interval])))`, "99 %")
}

// process is what processes use, those written in Go in more detail.
func process(s *sketch, of string) {
	s.row("Processes")
	s.panel("timeseries", "CPU", "short", 8, 7, `rate(process_cpu_seconds_total`+of+`[$__rate_interval])`, "{{environment}} {{instance}}")
	s.panel("timeseries", "Resident memory", "bytes", 8, 7, `process_resident_memory_bytes`+of, "{{environment}} {{instance}}")
	s.panel("timeseries", "Open files", "short", 8, 7, `process_open_fds`+of, "{{environment}} {{instance}}")
	s.panel("timeseries", "Goroutines", "short", 8, 7, `go_goroutines`+of, "{{environment}} {{instance}}")
	s.panel("timeseries", "Heap in use", "bytes", 8, 7, `go_memstats_heap_inuse_bytes`+of, "{{environment}} {{instance}}")
	s.panel("timeseries", "Collecting garbage", "s", 8, 7, `rate(go_gc_duration_seconds_sum`+of+`[$__rate_interval])`, "{{environment}} {{instance}}")
}

// environment is what all services of an environment do.
func environment() made {
	var s sketch
	const of = `{environment="$environment"}`
	s.panel("stat", "Services up", "none", 8, 4, `count(count by (service) (up`+of+` == 1))`, "services")
	s.panel("stat", "Instances down", "none", 8, 4, `count(up`+of+` == 0) or vector(0)`, "instances")
	s.panel("stat", "Requests", "reqps", 8, 4, `sum(rate(http_requests_total`+of+`[$__rate_interval]))`, "requests")
	s.panel("timeseries", "Requests by service", "reqps", 12, 8, `sum by (service) (rate(http_requests_total`+of+`[$__rate_interval]))`, "{{service}}")
	s.panel("timeseries", "Share of errors by service", "percentunit", 12, 8,
		`sum by (service) (rate(http_requests_total{environment="$environment",code=~"5.."}[$__rate_interval])) / sum by (service) (rate(http_requests_total`+of+`[$__rate_interval]))`, "{{service}}")
	s.panel("timeseries", "Slowest 5 % by service", "s", 12, 8, `histogram_quantile(0.95, sum by (service, le) (rate(http_request_duration_seconds_bucket`+of+`[$__rate_interval])))`, "{{service}}")
	s.panel("timeseries", "Up by service", "none", 12, 8, `sum by (service) (up`+of+`)`, "{{service}}")
	s.panel("timeseries", "CPU by service", "short", 12, 8, `sum by (service) (rate(process_cpu_seconds_total`+of+`[$__rate_interval]))`, "{{service}}")
	s.panel("timeseries", "Memory by service", "bytes", 12, 8, `sum by (service) (process_resident_memory_bytes`+of+`)`, "{{service}}")
	return s.finish(generatedPrefix+"environment", "Environment $environment", "All services of one environment.", asked("environment", "Environment", "label_values(up, environment)", false))
}

// porter is Nightporter's page of itself.
func porter() made {
	var s sketch
	s.panel("stat", "Requests", "reqps", 8, 4, `sum(rate(nightporter_http_requests_total[$__rate_interval]))`, "requests")
	s.panel("stat", "Errors", "percentunit", 8, 4, `(sum(rate(nightporter_http_requests_total{code=~"5.."}[$__rate_interval])) or vector(0)) / sum(rate(nightporter_http_requests_total[$__rate_interval]))`, "errors")
	s.panel("stat", "Resident memory", "bytes", 8, 4, `process_resident_memory_bytes`, "memory")
	s.panel("timeseries", "Requests by answer", "reqps", 12, 8, `sum by (code) (rate(nightporter_http_requests_total[$__rate_interval]))`, "{{code}}")
	s.panel("timeseries", "Resident memory", "bytes", 12, 8, `process_resident_memory_bytes`, "resident")
	s.panel("timeseries", "Duration", "s", 12, 8,
		`histogram_quantile(0.5, sum by (le) (rate(nightporter_http_request_seconds_bucket[$__rate_interval])))`, "half",
		`histogram_quantile(0.95, sum by (le) (rate(nightporter_http_request_seconds_bucket[$__rate_interval])))`, "95 %")
	s.panel("timeseries", "CPU", "short", 12, 8, `rate(go_cpu_seconds_total[$__rate_interval])`, "cores")
	s.panel("timeseries", "Goroutines", "short", 12, 8, `go_goroutines`, "goroutines")
	return s.finish(generatedPrefix+"self", "Nightporter itself", "What the porter is asked, and what it uses.")
}
