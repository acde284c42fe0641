package console

import "time"

// Environments answers "what is up, what is dark, and what comes next?".
type Environments struct {
	Layout
	Headline string
	Rows     []EnvironmentRow
	CLI      string
}

// EnvironmentRow is one environment in the list.
type EnvironmentRow struct {
	Name  string
	URL   string
	Kind  string // "development"
	Badge Badge
	// Seen is when the far end was last asked; zero for never.
	Seen time.Time
	Note string // why it is not as it should be
	// Because says what it should be now, and why.
	Because string
	Next    string // "goes dark at 21:00"; "" when nothing comes
	Today   *CalendarDay
}

// EnvironmentPage answers "what is it now, what should it be, and does it come back?".
type EnvironmentPage struct {
	Layout
	Name     string
	Headline string
	Kind     string
	Badge    Badge
	Seen     time.Time // when the far end was last asked
	// Because says what it should be now, and why.
	Because string
	// Banner explains what is out of the ordinary; nil when nothing is.
	Banner *Notice
	Forms  []Form
	// NotYou says why nothing is offered.
	NotYou string
	Run    *RunView
	// Week is nil for what has no schedule.
	Week     *Calendar
	Recovery []Figure
	Trend    *Trend
	Drills   []DrillRow
	Savings  *SavingsView
	Facts    []Fact
	CLI      string
}

// RunView is a run in progress.
type RunView struct {
	Title    string // "Going dark"
	Started  time.Time
	Expected time.Duration // 0: nobody knows
	Steps    []Step
	Log      *Log // what the step at work wrote last
}

// Calendar is a week. Each day is drawn, and said in words beside it.
type Calendar struct {
	Title        string // "Week of 15 June"
	Zone         string
	Days         []CalendarDay
	Newer, Older string
}

// CalendarDay is one day of it. Places are parts of the day in percent.
type CalendarDay struct {
	Name  string // "Wed 17"
	Today bool
	// Clocks says that the day has not 24 hours: "clocks go back, 25 h".
	Clocks string
	Bars   []CalendarBar // what it should be
	Dark   []CalendarBar // what was seen dark
	Marks  []CalendarMark
	Ticks  []float64 // 06:00, 12:00 and 18:00
	Now    float64   // below 0: not today
	Words  []string
}

// CalendarBar is a stretch of a day.
type CalendarBar struct {
	X, W float64
	Kind string // on, off, kept, kept-off, also
}

// CalendarMark is a rebuild.
type CalendarMark struct {
	X     float64
	State State
}

// Trend is how long the last rebuilds took, drawn against what they may take.
type Trend struct {
	Width, Height int
	Bars          []TrendBar
	// Budget is where the line is; below 0 for no budget.
	Budget float64
	Label  string // the same in a sentence
}

// TrendBar is one rebuild, the oldest left.
type TrendBar struct {
	X, Y, W, H float64
	State      State
}

// DrillRow is one rebuild in the list.
type DrillRow struct {
	At     time.Time
	Took   time.Duration
	Badge  Badge
	Commit string
	Beside bool   // built under another name, beside the environment itself
	Note   string // why it failed, or what it fell back from
	Steps  []Step
	Log    *Log
}

// SavingsView is what dark hours spared, as far as it was observed.
type SavingsView struct {
	Rows  []SavingsRow
	Notes []string
	// Priced is false without a price list: then there are hours and no money.
	Priced bool
}

// SavingsRow is one period.
type SavingsRow struct {
	Period    string // "this week"
	Hours     string // "71.4 h in 5 nights"
	Scheduled string // "of 74 h scheduled off"
	List      string // "EUR 212.00"
	Cash      string
}

func (*Environments) template() string    { return "environments" }
func (*EnvironmentPage) template() string { return "environment" }
