package console

import "time"

// Repos answers "which repository is not as it should be?".
type Repos struct {
	Layout
	Headline string
	Detail   []string
	Search   string
	Filters  []Filter // all, drift, exempt, unknown
	// Rules are the columns, as the configuration names them.
	Rules           []string
	Rows            []RepoRow
	From, To, Total int
	Newer, Older    string
	Plans           []PlanRow // the latest
	Forms           []Form
	CLI             string
}

// RepoRow is one repository of the matrix.
type RepoRow struct {
	ID    string // unique on the page, fit for an id
	Name  string // "github/ledger"
	URL   string
	Owner string // of the services that are built from it; "" for none
	Badge Badge
	Marks []RuleMark // as many as there are columns
}

// RuleMark is one cell of the matrix.
type RuleMark struct {
	Rule string
	// Badge says how it stands. The zero Badge is for a rule that is not asked
	// of this repository.
	Badge
	URL  string // the rule on the repository's page
	Note string // "to 31 Jan"; "" where the icon is enough
}

// RepoPage answers "how is this repository set up, who changed it, and since when?".
type RepoPage struct {
	Layout
	Name     string // "github/ledger"
	Headline string
	Badge    Badge
	Banner   *Notice
	Looked   time.Time
	Rules    []RuleRow
	History  []RuleChange
	Facts    []Fact
	Forms    []Form
	NotYou   string
	CLI      string
}

// RuleRow is one rule of one repository.
type RuleRow struct {
	Rule  string
	Badge Badge
	Have  string
	Want  string
	Note  string
	// By is who is known to have changed it: "@mallory-gh".
	By    string
	ByAt  time.Time
	Since time.Time // when it was first seen so
	From  string    // the section that asks for it
}

// RuleChange is one entry of a repository's history.
type RuleChange struct {
	At    time.Time
	Rule  string
	Badge Badge
	Have  string
	By    string
}

// PlanRow is a plan in a list.
type PlanRow struct {
	ID    string
	URL   string
	At    time.Time
	What  string // "everything", "ledger", "undoes plan_…"
	Cost  string // "3 changes in 2 requests"
	Badge Badge
}

// PlanPage answers "what would be changed, at what price, and what came of it?".
type PlanPage struct {
	Layout
	ID       string
	Headline string
	Badge    Badge
	Banner   *Notice
	Made     time.Time
	Notes    []string
	Repos    []PlannedRepo // of this page; only those that differ
	// Organisation are the writes of branch rules for the whole organisation.
	Organisation    []PlannedLine
	From, To, Total int
	Newer, Older    string
	Facts           []Fact
	Run             *RunView
	// Refused are the writes that did not come to be, with why.
	Refused []PlannedLine
	Forms   []Form
	NotYou  string
	CLI     string
}

// PlannedRepo is what a plan changes in one repository.
type PlannedRepo struct {
	ID    string // unique on the page, fit for an id
	Name  string
	URL   string
	Rules []RuleRow
}

// PlannedLine is a write in words.
type PlannedLine struct {
	Badge Badge
	Text  string
	Note  string
}

func (*Repos) template() string    { return "repos" }
func (*RepoPage) template() string { return "repo" }
func (*PlanPage) template() string { return "plan" }
