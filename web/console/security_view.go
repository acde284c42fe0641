package console

import (
	"time"

	"nightporter.dev/nightporter"
)

// SecurityBoard answers "what may each service claim, and what is wrong?".
type SecurityBoard struct {
	Layout
	Headline string
	Detail   []string
	Pillars  []string
	Rows     []PostureRow
	Findings []FindingRow // the first due
	Total    int          // of those that stand
	Risks    int          // that nobody has approved
	CLI      string
}

// PostureRow is one service of the matrix.
type PostureRow struct {
	Service string
	URL     string
	Owner   string
	Marks   []PillarMark
}

// PillarMark is one pillar of a service.
type PillarMark struct {
	Badge
	Pillar string
	URL    string
	Fresh  string // "5 of 6 proven"
}

// PosturePage answers "what does this service claim, and what proves it?".
type PosturePage struct {
	Layout
	Service  string
	URL      string
	Owner    string
	Headline string
	Pillars  []PostureSection
	CLI      string
}

// PostureSection is one pillar with its checks.
type PostureSection struct {
	ID    string
	Title string
	Badge
	Fresh  string
	Checks []PostureCheck
}

// PostureCheck is one check with its evidence.
type PostureCheck struct {
	ID    string
	Claim string
	Badge
	Proof    string
	Severity nightporter.Severity
	Event    string
	At       time.Time
	Fresh    string // how old the proof may be; "" for proof that does not age
	URL      string // where the proof can be seen; "" for none
	CLI      string // shows it again
}

// FindingsPage answers "what is wrong, whose is it, and by when?".
type FindingsPage struct {
	Layout
	Headline string
	Filters  []Filter
	Rows     []FindingRow
	Older    string
	Newer    string
	CLI      string
}

// FindingRow is one finding in a list.
type FindingRow struct {
	ID       string
	URL      string
	Title    string
	Where    string
	Service  string
	Owner    string
	Severity Badge
	State    Badge
	Due      time.Time // zero when nothing is due any more
	Overdue  bool
}

// FindingPage answers "what is this, and what can I do about it?".
type FindingPage struct {
	Layout
	Title    string
	Headline string
	Badge    Badge
	Severity Badge
	Banner   *Notice
	Facts    []Fact
	Forms    []Form
	NotYou   string
	CLI      string
}

// RisksPage answers "what may happen, and what did we decide?".
type RisksPage struct {
	Layout
	Headline string
	Filters  []Filter
	Rows     []RiskRow
	CLI      string
}

// RiskRow is one risk with what can be done about it.
type RiskRow struct {
	ID       string
	Title    string
	Score    int
	Badge    Badge
	Meta     []string
	Plan     string
	Note     string // why it opened by itself, or what the evidence proposes
	Findings []Link
	Forms    []Form
	NotYou   string
}

func (*SecurityBoard) template() string { return "security" }
func (*PosturePage) template() string   { return "posture" }
func (*FindingsPage) template() string  { return "findings" }
func (*FindingPage) template() string   { return "finding" }
func (*RisksPage) template() string     { return "risks" }
