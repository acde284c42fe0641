package console

import (
	"time"

	"nightporter.dev/nightporter"
)

// SignIn is the page for people who are not signed in.
type SignIn struct {
	Layout
	URL  string // where the form posts name and password to
	Next string // the path to go to afterwards, posted as "next"
	// Name is what was typed before, if the sign-in failed.
	Name string
	// Problem says why the last try failed; "" on the first.
	Problem string
	// Code is a one-time code out of a link. The page then shows a single
	// button, which posts it as "code": a GET alone never signs anybody in.
	Code string
	// CodeURL is where that button posts to.
	CodeURL string
}

// Home answers "what needs a human now?".
type Home struct {
	Layout
	// Needs are what only a person may decide, the most urgent first.
	Needs []Need
	// Calm is a sentence for when there is nothing: "Everything on main is in
	// production."
	Calm string
	// Figures are the few numbers that say how the house is doing.
	Figures []Figure
	// Handled is what the porter did by itself lately, newest first.
	Handled []Handled
	// HandledTotal counts all of the last day; Handled may be fewer.
	HandledTotal int
	HandledURL   string
}

// Need is one thing that waits for a person.
type Need struct {
	ID      string // stable: "release/42"
	State   State
	Icon    Icon   // zero: the state's own
	Subject string // "affordability 1.8.1"
	What    string // "waits for approval to prod"
	URL     string
	Reason  string // "6 changes, healthy in preprod for 26 h"
	Owner   string // team or person
	Since   time.Time
	// Act is what to press; its page explains before anything happens. Nil
	// when there is nothing to do but to know.
	Act *Link
	// Snooze hides the need for a while, with a reason, which is audited. Nil
	// when that is not possible.
	Snooze *Form
}

// Figure is a number with where it comes from.
type Figure struct {
	Label  string // "Production behind main"
	Value  string // "3"
	Unit   string // "of 6 services"
	Detail string // "oldest change 3 d"
	URL    string // the evidence
}

// Handled is something that the porter did without anybody.
type Handled struct {
	At    time.Time
	State State
	Icon  Icon   // zero: the state's own
	Text  string // "Lights out: dev, preprod"
	More  string // "14 workloads, 3 database logins revoked"
	URL   string
}

// Release answers "where does this release stand, and what does it wait for?".
type Release struct {
	Layout
	ID         string
	Service    string
	ServiceURL string
	Version    string
	Commit     string // short
	CommitURL  string // at the forge; "" when unknown
	Owner      string
	// Badge is the release's state.
	Badge Badge
	// Headline is the state in one sentence: "waits for approval to prod".
	// The page puts service and version before it.
	Headline string
	Opened   time.Time
	OpenedBy string // "merge of #214 by ana"
	// Banner is for a version that is marked bad, a hold, a freeze or a newer
	// release that took over. Nil when there is none.
	Banner *Notice
	Stages []Stage
	Steps  []Step
	// Log is the end of the output of what failed; nil when nothing did.
	Log *Log
	// Forms are the actions that this person may take now. The first Primary
	// stands open; the others open on demand.
	Forms []Form
	// NotYou says why an action that the release waits for is not offered to
	// this person, and who may: "You wrote #214. team-lending may approve."
	NotYou string
	// Changes are what the release brings beyond what production runs, newest
	// first.
	Changes []Change
	// ChangesNote explains an empty or unusual list: "The first release."
	ChangesNote string
	// Rule is the approval that the configuration asks for, in words.
	Rule      string
	Approvals []Approval
	CLI       string // the command that shows this page
}

// Stage is a column of the pipeline strip: what happens at the same time.
type Stage struct {
	Items []StageItem
}

// StageItem is one environment, the build, or the approval.
type StageItem struct {
	Name string // "dev", "approval"
	Gate bool   // an approval: drawn as a gate
	Badge
	Detail string // "1.7.4 runs here", "1 of 1 from team-lending"
	Since  time.Time
	Took   time.Duration // zero while it runs
}

// Step is one line of what the run did.
type Step struct {
	Name        string // "start", "observe health"
	Environment string // "" for steps outside environments
	Badge
	Started  time.Time // zero: not yet
	Took     time.Duration
	Expected time.Duration // zero: unknown
	Attempts int           // shown when above 1
	Detail   string        // "GET http://127.0.0.1:4312/healthz answered 200"
}

// Approval is what somebody decided.
type Approval struct {
	Who     string
	Badge   // approved, rejected
	Comment string
	At      time.Time
}

// Service answers "what of this service runs where, and how did it get there?".
type Service struct {
	Layout
	Name        string
	Description string
	Owner       string
	OwnerURL    string
	Repo        string // "github/ledger"
	RepoURL     string
	Badge       Badge
	// Headline says how far production is behind: "Production is 2 changes
	// behind, the oldest 5 h old".
	Headline string
	Main     MainCell
	Cells    []Cell
	// Hold is set while releases to production are held back.
	Hold *Hold
	// Forms are the actions that this person may take: hold or lift.
	Forms   []Form
	Behind  Behind
	Deploys []Deploy
	Older   string // URL of the next page of Deploys; "" at the end
	Facts   []Fact
	// Current leads to the release on its way; nil when there is none.
	Current *Link
	CLI     string
}

// Hold is the one exception to "what is on main is in production".
type Hold struct {
	By     string
	Reason string
	Since  time.Time
}

// Deploy is one line of a service's history.
type Deploy struct {
	Version     string
	URL         string // its release
	Environment string
	Badge
	By      string // who approved or asked for it; "" when nobody had to
	At      time.Time
	Took    time.Duration
	Changes int
}

// Fact is a label and what stands there, for example the health URL.
type Fact struct {
	Label string
	Value string
	URL   string
}

// Activity answers "who did what?".
type Activity struct {
	Layout
	Entries []Entry // newest first
	Today   ActivityToday
	Filter  ActivityFilter
	Chain   Chain
	Newer   string // URLs of the pages before and after; "" for none
	Older   string
	CLI     string
}

// ActivityToday counts the entries since midnight.
type ActivityToday struct {
	Entries int
	People  int // different persons who did something
	Refused int
}

// Headline is the first line of the page.
func (a *Activity) Headline() string {
	switch {
	case len(a.Entries) == 0 && a.Filter.Any():
		return "Nobody did that"
	case len(a.Entries) == 0:
		return "Nothing happened yet"
	case a.Filter.Any():
		return "Who did that"
	case a.Today.Entries == 0:
		return "Nobody did anything today"
	}
	h := things(a.Today.Entries, "entry today", "entries today")
	if a.Today.People > 0 {
		h += ", by " + things(a.Today.People, "person", "people") + " and the porter"
	}
	if a.Today.Refused > 0 {
		h += "; " + count(a.Today.Refused) + " refused"
	}
	return h
}

// ActivityFilter is what the form above the list holds. All of it is in the URL.
type ActivityFilter struct {
	Actor, Action, Resource string
	Result                  string // "", "done", "denied" or "failed"
}

// Any says whether something is filtered out.
func (f ActivityFilter) Any() bool { return f != ActivityFilter{} }

// Entry is one line of the audit log.
type Entry struct {
	Number     int64
	At         time.Time
	Who        string
	Kind       nightporter.ActorKind
	OnBehalfOf string // "" when the actor acted for itself
	Did        string // "release.approve"
	To         string // "release/affordability-1.8.1"
	ToURL      string
	Result     Badge
	Reason     string // of a denial or failure
	RequestID  string
	Remote     string // address; "" for the system
}

// EntryPage answers "what exactly was written, and can it be proven?".
type EntryPage struct {
	Layout
	Entry
	// Facts are all columns of the entry.
	Facts []Fact
	// Detail is what the change wanted to be remembered by.
	Detail []Fact
	Proof  Proof
	CLI    string
}

// Proof shows that an entry is part of what was signed (RFC 6962 §2.1.1).
type Proof struct {
	State State
	// Text says in one sentence what was checked, or why nothing could be.
	Text   string
	Leaf   string   // base64 of the entry's hash
	Hashes []string // base64, from the leaf up
	Root   string
}

// Chain is what is known about the audit log's hash chain.
type Chain struct {
	State   State
	Entries int
	// Signed is how many entries the last checkpoint covers, and SignedAt when
	// it was signed; zero when there is none yet.
	Signed   int
	SignedAt time.Time
	// Problem says what does not match; "" when nothing is known to.
	Problem string
	CLI     string
}

// ErrorPage is shown instead of a page.
type ErrorPage struct {
	Layout
	Code   nightporter.Code
	Status int
	// Headline and Message are for people; the cause stays in the log.
	Headline string
	Message  string
	Hint     string
	// Needs is what a policy would have to grant: "update on
	// api/releases/ledger/prod/approve". Only for denied.
	Needs string
	// Grantors are who can grant it.
	Grantors  []string
	RequestID string
	Back      *Link
	CLI       string
}

func (*SignIn) template() string    { return "signin" }
func (*Home) template() string      { return "home" }
func (*Board) template() string     { return "board" }
func (*Release) template() string   { return "release" }
func (*Service) template() string   { return "service" }
func (*Activity) template() string  { return "activity" }
func (*EntryPage) template() string { return "entry" }
func (*ErrorPage) template() string { return "error" }
