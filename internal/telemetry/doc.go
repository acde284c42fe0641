// Package telemetry is how Nightporter tells its operators about itself: log
// lines, numbers, and the id that ties the lines of one request together.
//
// Logs are for sentences and are written with log/slog: short text on a
// terminal, JSON everywhere else, each line with the request id of its context.
// Metrics are for counting and are served at /metrics in Prometheus's text
// format, version 0.0.4, from a [Registry] that somebody made and handed
// around; there is no default one.
//
// Neither may hold a secret, and no label may come from an outsider without a
// bound: a [Registry] stops making new series of a metric after
// [MaxSeries] and counts the rest together.
package telemetry
