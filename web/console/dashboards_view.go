package console

import (
	"html/template"
	"time"
)

// Dashboards answers "which graphs are there?".
type Dashboards struct {
	Layout
	Count  int
	Groups []DashboardGroup
	CLI    string
}

// DashboardGroup is a workspace with its dashboards.
type DashboardGroup struct {
	Workspace string
	Rows      []DashboardRow
}

// DashboardRow is one dashboard of a list.
type DashboardRow struct {
	Title     string
	URL       string
	Panels    int
	Generated bool
	// Badge says how much of it cannot be drawn as Grafana would; zero for a
	// whole one.
	Badge   Badge
	Saved   time.Time
	SavedBy string
}

// DashboardPage is a page of graphs.
type DashboardPage struct {
	Layout
	Workspace   string
	Name        string
	Description string
	URL         string // without its query
	Generated   bool
	// From and To are what the address says; "" where the dashboard's own hold.
	From, To string
	// Shown is the time in words.
	Shown          string
	Ranges         []RangeLink
	Earlier, Later string // addresses; "" for none
	Variables      []VariableField
	Links          []Link
	Sections       []DashboardSection
	// Marks are what happened, for the script, as JSON; Happened the same for
	// people, newest first.
	Marks    string
	Happened []DashboardMark
	// Refresh is how often the script asks again, in seconds; 0 for never.
	Refresh int
	Issues  []DashboardIssue
	Export  string
	CLI     string
}

// RangeLink opens the page at another time.
type RangeLink struct {
	Text    string
	URL     string
	Current bool
}

// VariableField is the control of a variable.
type VariableField struct {
	Name    string // of the field
	Label   string
	Multi   bool
	Text    bool // anything may be typed
	Value   string
	Options []VariableOption
	// Problem says why there is little to choose from; "" where all is well.
	Problem string
}

// VariableOption is a value to choose.
type VariableOption struct {
	Text, Value string
	Chosen      bool
}

// DashboardSection is a row with its panels. The first has no title.
type DashboardSection struct {
	Key    string
	Title  string
	Open   bool
	Panels []DashboardPanel
}

// DashboardPanel is a panel and its place on a grid of 24 columns.
type DashboardPanel struct {
	Key         string
	Title       string
	Description string
	Kind        string
	X, W, H     int
	// Source answers with its drawing, Table is the page that shows its data.
	Source string
	Table  string
	Notes  []string
	// HTML is a panel of words, which needs no script.
	HTML template.HTML
}

// DashboardMark is something that happened.
type DashboardMark struct {
	At    time.Time
	Badge Badge
	Text  string
	URL   string
}

// DashboardIssue is one thing that is not drawn as Grafana would.
type DashboardIssue struct {
	Title   string // of the panel; "" for the dashboard
	Text    string
	Missing bool
}

// PanelPage is one panel, and its data as a table.
type PanelPage struct {
	Layout
	Workspace string
	Name      string
	Of        string // the dashboard
	Back      string
	Panel     DashboardPanel
	Queries   []string
	Step      string
	Notes     []string
	Problem   string
	Empty     string
	Tables    []DataTable
	Marks     string
}

// DataTable is numbers in rows.
type DataTable struct {
	Caption string
	Columns []DataColumn
	Rows    [][]DataCell
}

// DataColumn is the head of a column.
type DataColumn struct {
	Name  string
	Right bool
}

// DataCell is one value.
type DataCell struct {
	Text  string
	URL   string
	Right bool
}

func (*Dashboards) template() string    { return "dashboards" }
func (*DashboardPage) template() string { return "dashboard" }
func (*PanelPage) template() string     { return "panel" }
