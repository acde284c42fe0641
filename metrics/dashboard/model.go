package dashboard

import "time"

// Kind is how a panel is drawn.
type Kind string

// The kinds that are drawn as Grafana draws them. Any other is shown as a table
// of its data, with a note.
const (
	TimeSeries Kind = "timeseries"
	Stat       Kind = "stat"
	Gauge      Kind = "gauge"
	BarGauge   Kind = "bargauge"
	Table      Kind = "table"
	Text       Kind = "text"
	PieChart   Kind = "piechart"
	Heatmap    Kind = "heatmap"
	Row        Kind = "row"
)

// Dashboard is a compiled dashboard. It does not change after [Compile] and may be
// used from several goroutines.
type Dashboard struct {
	UID           string
	Title         string
	Description   string
	Tags          []string
	SchemaVersion int
	// From and To are Grafana's relative times, such as "now-6h" and "now".
	From, To string
	// Refresh is how often an open page asks again; 0 means never.
	Refresh   time.Duration
	Variables []Variable
	// Panels stand in reading order. The panels of a collapsed row are inside it,
	// those of an open row follow it.
	Panels []Panel
	Links  []Link
	// Issues say what is not drawn as Grafana would, in the order of the panels.
	Issues []Issue

	order []int // of Variables, each after those it refers to
}

// Grid is a panel's place on a grid 24 columns wide, as in Grafana. A unit of
// height is 30 pixels there.
type Grid struct{ X, Y, W, H int }

// Link leads away from a dashboard or panel.
type Link struct {
	Title string
	URL   string
}

// Panel is one compiled panel.
type Panel struct {
	// Key names the panel within its dashboard, also in addresses. It is Grafana's
	// id, or "n" and a number where that is absent or used twice.
	Key         string
	Kind        Kind
	Source      string // Grafana's type, such as "graph"
	Title       string
	Description string
	Grid        Grid
	Targets     []Target
	Transforms  []transform
	Field       fieldConfig
	Options     options
	Links       []Link
	// Repeat is the variable for each of whose values the panel is drawn once; ""
	// for none. Across puts them beside each other, else below.
	Repeat    string
	Across    bool
	MaxPerRow int
	// Interval is the smallest step, such as "1m" or "$interval"; "" for none.
	Interval  string
	MaxPoints int
	// TimeFrom and TimeShift move the panel's time away from the dashboard's.
	TimeFrom, TimeShift string
	// Collapsed is true for a row that hides its Panels.
	Collapsed bool
	Panels    []Panel
	// Notes are what a reader of this panel should know: the messages of its issues.
	Notes []string
}

// Target is one query of a panel.
type Target struct {
	RefID   string
	Expr    string
	Legend  string
	Format  string // time_series, table or heatmap
	Instant bool
	Range   bool
	Hidden  bool
	// Interval is the smallest step of this target; Factor multiplies the step.
	Interval string
	Factor   int
}

// options are a panel's own settings, those of all kinds together.
type options struct {
	Calcs      []string
	AllValues  bool // a value for each row, not a calculation over them
	Limit      int
	Fields     string
	Orient     string
	TextMode   string
	ColorMode  string
	GraphMode  string
	ShowLabels bool // the gauge's threshold labels
	Prefix     string
	Postfix    string

	LegendShow  bool
	LegendTable bool
	LegendRight bool
	LegendCalcs []string
	TooltipAll  bool

	TextFormat string
	Content    string

	ShowHeader bool
	SortBy     string
	SortDesc   bool

	PieDonut  bool
	PieValues []string

	HeatCalculate bool
	HeatReverse   bool
	HeatScheme    string
	HeatUnit      string
}

// Severity says how much of a panel is affected.
type Severity string

// Changed is drawn, but not as Grafana would; Missing is shown as a table of its
// data or as words, because the kind or its data cannot be drawn.
const (
	Changed Severity = "changed"
	Missing Severity = "missing"
)

// Issue is one thing that is not drawn as Grafana would draw it.
type Issue struct {
	Panel    string   `json:"panel,omitempty"` // the panel's key; "" for the dashboard
	Title    string   `json:"title,omitempty"`
	Severity Severity `json:"severity"`
	// Feature is the part of the JSON, such as "transformation reduce".
	Feature string `json:"feature"`
	Message string `json:"message"`
}
