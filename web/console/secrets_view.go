package console

import "time"

// Secrets answers "who can log in to what right now, and until when?". It shows
// what the person may act on, and counts nothing else.
type Secrets struct {
	Layout
	Headline string
	Detail   []string
	Logins   []LoginRow // what fails to end first, then what ends soonest
	// From, To and Total place Logins within all that match.
	From, To, Total int
	Filter          SecretsFilter
	Databases       []DatabaseRow
	Newer, Older    string
	// Hint teaches the one next step where there is nothing; a command.
	Hint string
	CLI  string
}

// SecretsFilter is what the form above the list holds. All of it is in the URL.
type SecretsFilter struct {
	Environment, Database, Owner string
	// Environments, Databases and Owners are offered; nil leaves the form out.
	Environments, Databases []string
}

// Any says whether something is filtered out.
func (f SecretsFilter) Any() bool { return f.Environment+f.Database+f.Owner != "" }

// LoginRow is one login in the list.
type LoginRow struct {
	Username    string
	URL         string
	Database    string // "database/ledger"
	Role        string // "" for a person's own
	Owner       string // who asked for it; "" for one that was found without a lease
	Environment string
	Badge       Badge
	Note        string // what keeps it from ending
	Issued      time.Time
	Expires     time.Time
	// Left is how much of its time is left, from 0 to 100.
	Left int
}

// DatabaseRow is a database that logins are made in.
type DatabaseRow struct {
	Name        string
	Kind        string // "PostgreSQL"
	Environment string
	Badge       Badge
	Note        string // its trouble
	// Counted is set for people who see all of its logins; the numbers mean
	// nothing without it.
	Counted  bool
	Logins   int
	Ending   int
	Findings int
	// Compared is when its logins were compared with the leases; zero when
	// that was not since the start.
	Compared time.Time
	// Form hands out the person's own login; nil when they may not have one.
	Form *Form
}

// LoginPage answers "who has this login, what would end with it, and is it gone?".
type LoginPage struct {
	Layout
	Username string
	Headline string
	Badge    Badge
	Facts    []Fact
	// Moments are what the register has about it, oldest first: the last one
	// says whether it is gone.
	Moments []Moment
	// Sessions are what the database says is connected with it.
	Sessions []SessionRow
	// SessionsNote says why there are none, or none to see.
	SessionsNote string
	Forms        []Form
	// NotYou says why somebody who sees it may not end it.
	NotYou string
	// Tree is what hangs together with it: a token, its tokens, their logins.
	Tree []Branch
	CLI  string
}

// Moment is one thing that happened, with its evidence.
type Moment struct {
	Badge
	Text string
	At   time.Time
	URL  string // the register's entry; "" while there is none
}

// SessionRow is one open connection.
type SessionRow struct {
	ID, Client, Program, Database, State string
	Since                                time.Time
}

// Branch is a lease with what hangs from it.
type Branch struct {
	Text     string // "ana's session", "v-ana-ledger-7Qx"
	URL      string // "" for what has no page
	Sub      string // "token by userpass"
	Badge    Badge
	Expires  time.Time
	Here     bool // the page is about this one
	Children []Branch
	// More is how many others are not listed.
	More int
}

// IssuedLogin shows a person's own login, once. The page is the answer to the
// form and has no address of its own: whoever loads it again asks for another.
type IssuedLogin struct {
	Layout
	Database string
	Username string
	Password string
	// Address is where to log in, without the password; "" when unknown.
	Address string
	// Command opens the database and asks for the password; "" when unknown.
	Command string
	Ends    time.Time // at the latest
	// Session is when the person's session ends if they leave it alone, and the
	// login with it; zero when that is not before Ends.
	Session time.Time
	Warning string // of the engine
	URL     string // the page about it
	CLI     string
}

func (*Secrets) template() string     { return "secrets" }
func (*LoginPage) template() string   { return "login" }
func (*IssuedLogin) template() string { return "issued" }
