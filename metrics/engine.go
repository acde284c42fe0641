package metrics

import (
	"context"
	"io"
	"net/http"
	"time"

	"nightporter.dev/nightporter/internal/config"
)

// Limits bound a workspace. 0 means no limit.
type Limits struct {
	ActiveSeries     int             `json:"active_series"`      // series in the head: those that got a sample in the last hours
	SamplesPerSecond int             `json:"samples_per_second"` // on average
	SamplesBurst     int             `json:"samples_burst"`      // above the average, at once
	Labels           int             `json:"labels"`             // of one series
	LabelBytes       int             `json:"label_bytes"`        // of one label's name or value
	Bytes            int64           `json:"bytes"`              // of blocks on disk; the oldest go first
	QuerySamples     int             `json:"query_samples"`      // in memory at once, for one query
	QueryTimeout     config.Duration `json:"query_timeout"`
	QueryConcurrency int             `json:"query_concurrency"`
}

// Settings are what an [Engine] keeps a workspace by.
type Settings struct {
	Retention time.Duration
	Limits    Limits
}

// Sender is who sent samples, for the counts of those that were refused.
type Sender string

// Usage is what a workspace uses now, beside its limits.
type Usage struct {
	// Open says whether its store is in memory; one that nobody uses is closed,
	// and opened by the next request.
	Open             bool      `json:"open"`
	ActiveSeries     int       `json:"active_series"`
	SamplesPerSecond float64   `json:"samples_per_second"` // of the last minute
	Samples          uint64    `json:"samples"`            // accepted since the server started
	Bytes            int64     `json:"bytes"`              // on disk, with what is not yet in a block
	Queries          int       `json:"queries"`            // running now
	Oldest           time.Time `json:"oldest,omitzero"`    // the oldest sample, as far as the store is open
	Refused          []Refused `json:"refused"`            // since the server started, most first
	Top              []Count   `json:"top"`                // metrics with the most active series
	TopLabels        []Count   `json:"top_labels"`         // labels with the most values
}

// Count is a name with how many there are.
type Count struct {
	Name  string `json:"name"`
	Count uint64 `json:"count"`
}

// Refused are samples that were not taken.
type Refused struct {
	Reason Reason `json:"reason"`
	Sender Sender `json:"sender"`
	Count  uint64 `json:"count"`
	// Message is the newest refusal in full: the limit, the label, the remedy.
	Message string    `json:"message"`
	At      time.Time `json:"at"` // of the newest one
}

// Reason says why samples are refused.
type Reason string

// The reasons.
const (
	TooManySeries Reason = "active_series"
	TooFast       Reason = "samples_per_second"
	TooManyLabels Reason = "labels"
	LabelTooLong  Reason = "label_bytes"
	OutOfOrder    Reason = "out_of_order" // older than the window for late samples
	Duplicate     Reason = "duplicate"    // another value for a time that has one
	Malformed     Reason = "malformed"    // cannot be read, or is not a series
	DiskFull      Reason = "disk_full"
)

// Engine keeps the samples of workspaces. Package prom has the only one. Every
// method is safe for concurrent use; a workspace that was not given to Configure
// does not exist for any of them.
type Engine interface {
	Querier
	// Configure makes a workspace, or changes its settings at once.
	Configure(name string, s Settings)
	// Remove forgets a workspace and deletes what it kept.
	Remove(ctx context.Context, name string) error
	// Forget closes a workspace and leaves its samples on disk.
	Forget(name string)
	// Serve answers a request of Prometheus's HTTP API. path is what follows
	// /api/v1, such as "/query".
	Serve(w http.ResponseWriter, r *http.Request, workspace, path string, from Sender)
	// Ingest writes metrics in Prometheus's text format, all with the time at
	// and with these labels added.
	Ingest(ctx context.Context, workspace string, text io.Reader, labels map[string]string, at time.Time) error
	// CheckRules says what is wrong with a file of rules in Prometheus's YAML, or
	// how many it has. Errors: invalid.
	CheckRules(text string) (int, error)
	// SetRules has a workspace evaluate these files, by name, from now on.
	SetRules(workspace string, files map[string]string) error
	// SetTargets has a workspace scrape these from now on.
	SetTargets(workspace string, targets []Target) error
	// Alerts are the alerts of a workspace that are pending or fire, as of now.
	Alerts(workspace string) ([]Alert, error)
	// Usage says what a workspace uses. It opens nothing.
	Usage(workspace string) (Usage, error)
	// Run closes what nobody uses, until ctx ends.
	Run(ctx context.Context)
	// Close closes every workspace.
	Close() error
}

// Target is something that a workspace scrapes.
type Target struct {
	Address string            // host and port
	Path    string            // default /metrics
	Labels  map[string]string // added to what it answers
}

// Alert is an alert that is pending or fires.
type Alert struct {
	Name        string            `json:"name"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	Firing      bool              `json:"firing"`
	ActiveAt    time.Time         `json:"active_at"`
	Value       float64           `json:"value"`
}
