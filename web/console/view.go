package console

import (
	"time"

	"nightporter.dev/nightporter"
)

// State is what a colour and an icon stand for. There is always a word beside
// them: colour is never the only carrier of a meaning.
type State string

// The states. Only evidence makes something OK; what nobody has seen lately is
// Unknown, and Muted is for what is at rest on purpose: asleep, superseded, not
// started yet.
const (
	OK        State = "ok"
	Attention State = "attention" // a person should look
	Failed    State = "failed"
	Unknown   State = "unknown"
	Running   State = "running" // being worked on by the porter
	Muted     State = "muted"
)

// Icon names a drawing in templates/icons.html, without its "i-". The zero Icon
// draws the one of the state beside it.
type Icon string

// Icons that views choose between. templates/icons.html has more, which
// templates use by themselves.
const (
	IconWaiting    Icon = "waiting"
	IconHold       Icon = "hold"
	IconRolledBack Icon = "back"
	IconAsleep     Icon = "moon"
	IconHome       Icon = "home"
	IconServices   Icon = "services"
	IconEnvs       Icon = "environments"
	IconSecrets    Icon = "key"
	IconRepos      Icon = "branch"
	IconMetrics    Icon = "chart"
	IconSecurity   Icon = "shield"
	IconActivity   Icon = "activity"
)

// Badge is a state in one or two words: "healthy", "rolled back".
type Badge struct {
	State State
	Word  string
	Icon  Icon // zero: the state's own
}

// Link is some text and where it leads.
type Link struct {
	Text string
	URL  string
}

// Page is a view model with a template of its own: [*SignIn], [*Home],
// [*Board], [*Release], [*Service], [*Activity], [*EntryPage], [*Secrets],
// [*LoginPage], [*IssuedLogin], [*Environments], [*EnvironmentPage], [*Repos], [*RepoPage],
// [*PlanPage], [*Dashboards], [*DashboardPage], [*PanelPage] or [*ErrorPage].
type Page interface {
	template() string
}

// Layout is what every page has around it. Page structs embed it.
type Layout struct {
	// Title is the document's title without the product's name.
	Title string
	// Rail and Foot are the links at the left. A page that does not exist is
	// not in them. Nil on pages for people who are not signed in.
	Rail, Foot []RailItem
	// Now is when the data of this page was read. Its location is the one that
	// all times on the page are shown in.
	Now time.Time
	// Live is set when static/console.js should follow /events and refresh the
	// page. Error pages and the sign-in page do not.
	Live bool
	// Draws is set on pages of graphs, which load the script that draws them.
	Draws bool
	// Theme is the content of the theme cookie: "light", "dark" or "" for what
	// the browser prefers.
	Theme string
	// Person is who is signed in; nil when nobody is.
	Person *Viewer
	// NextEvent is what the schedule does next; nil when there is no schedule.
	NextEvent *NextEvent
	// DemoClock is what the clock of schedules says when that is one that can
	// run fast; zero otherwise. It is shown in red on every page.
	DemoClock time.Time
	// Program is the program's own version, shown in the help; "" for none.
	Program string
	// Query is what the search box holds.
	Query string
	// Notices are shown above the page: what just happened after a form was
	// sent, or that the data is older than it should be.
	Notices []Notice
}

// Viewer is the person who looks at the page.
type Viewer struct {
	Name string // "ana"
	// Role is the person's role in a few words: "owner in team-lending".
	Role string
}

// RailItem is one link of the left rail.
type RailItem struct {
	Text    string
	URL     string
	Icon    Icon
	Key     string // the letter after g that opens it: "h"; "" for none
	Count   int    // shown when not zero: things that need somebody
	Current bool
}

// NextEvent is what the schedule does next.
type NextEvent struct {
	Text string // "dev, preprod go dark"
	At   time.Time
	URL  string // "" for none
}

// Notice is a line above the page.
type Notice struct {
	State State
	Title string // "Released. affordability 1.8.1 is on its way to prod."
	Text  string // more, in one sentence; may be empty
	Link  *Link
}

// Form is an action that somebody may take. It is a plain POST, answered with
// 303; the button does nothing that the command beside it would not.
type Form struct {
	ID    string // unique on the page: "approve"
	URL   string // where it posts to
	Label string // the button: "Approve for prod"
	Kind  FormKind
	// Explain says in one sentence what will happen.
	Explain string
	// Comment is the label of the comment field, posted as "comment"; "" for
	// a form without one.
	Comment string
	// CommentRequired is set when the action needs a reason.
	CommentRequired Requirement
	// Until asks for a time, posted as "until"; nil for none.
	Until *Until
	// Confirm is a name that has to be typed, posted as "confirm"; "" for none.
	// The server checks it too.
	Confirm string
	// Key is the idempotency key, posted as "idempotency_key": sending the
	// form twice acts once.
	Key string
	// CLI is the command that does the same.
	CLI string
}

// Until is a field for a local day and time.
type Until struct {
	Label    string // names the zone
	Value    string // "2026-06-17T23:00", as the next two
	Min, Max string
}

// FormKind says how much a form stands out.
type FormKind string

// The kinds of form. A page has one Primary at most.
const (
	Primary FormKind = "primary"
	Plain   FormKind = "plain"
	Danger  FormKind = "danger"
)

// Requirement says whether a field may stay empty.
type Requirement string

// The requirements. The zero Requirement is Optional.
const (
	Optional Requirement = ""
	Required Requirement = "required"
)

// Change is one merge that a release brings, or that waits on main.
type Change struct {
	// Number is the pull request's; 0 for a commit that came without one.
	Number  int
	Title   string
	URL     string // at the forge; "" when unknown
	Authors []string
	// Bump is the label at the merge. "" when there was not exactly one.
	Bump nightporter.Bump
	// Version is what the merge became; "" when it got none.
	Version string
	Commit  string // short
	Merged  time.Time
	// Flags are what a reviewer should know: "migration", "config",
	// "no label: counted as patch".
	Flags []string
}

// Cell is what runs in one environment.
type Cell struct {
	Environment string
	Kind        nightporter.EnvironmentKind
	Version     string // "" when nothing was ever deployed
	Commit      string // short
	State       State
	// Word is the state in words: "healthy", "rolled back", "never released".
	Word  string
	Icon  Icon // zero: the state's own
	Since time.Time
	// URL leads to the release behind the cell; "" for none.
	URL string
	// Note is a second line where the word is not enough: "0.9.0 failed here".
	Note string
	// Behind is set when main has a newer version than this environment.
	Behind bool
}

// Log is the end of what something wrote that failed, or is at work.
type Log struct {
	Title string // "ledger 0.9.0 in preprod, last 20 lines"
	Lines []string
	URL   string // the whole log; "" for none
	// State is Running for what is at work; the zero State is a failure.
	State State
}
