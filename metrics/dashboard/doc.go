// Package dashboard reads dashboards as Grafana exports them and says what to
// draw. It keeps nothing, asks nobody but the [Querier] it is given, and knows
// neither HTTP nor a database: a dashboard goes in as JSON, panels with finished
// numbers, colours and words come out.
//
// Three steps follow one another. [Compile] turns the JSON into a [Dashboard] and
// notes, panel by panel, what this package cannot draw as Grafana would ([Issue]).
// [Dashboard.Resolve] asks for the values of the variables and lays out rows and
// repeated panels. [View.Draw] runs the targets of one panel, applies its
// transformations, overrides, mappings and thresholds and answers with a [Drawing]
// that a browser has only to paint, and that a person can read as a table.
//
// A panel is never blank: what cannot be drawn as asked is drawn as a table of its
// data, and what cannot be asked says why.
//
// The JSON stays the dashboard. Nothing here rewrites it, so what was imported can
// be exported byte for byte.
package dashboard
