package nightporter

import "time"

// Severity is how bad a finding or a failing check is.
type Severity string

// The severities, and how long a finding of each may stay open.
const (
	Critical Severity = "critical" // 1 day
	High     Severity = "high"     // 7 days
	Medium   Severity = "medium"   // 30 days
	Low      Severity = "low"      // 90 days
)

// Severities lists the severities, the worst first.
func Severities() []Severity { return []Severity{Critical, High, Medium, Low} }

// Rank orders severities: 4 for critical, 1 for low, 0 for anything else.
func (s Severity) Rank() int {
	for i, v := range Severities() {
		if s == v {
			return 4 - i
		}
	}
	return 0
}

// Within is how long a finding of this severity may stay open. 0 for what is not a
// severity.
func (s Severity) Within() time.Duration {
	const day = 24 * time.Hour
	switch s {
	case Critical:
		return day
	case High:
		return 7 * day
	case Medium:
		return 30 * day
	case Low:
		return 90 * day
	}
	return 0
}

// FindingOpened: something that is wrong was found, or was found again after it had
// been fixed or accepted.
type FindingOpened struct {
	ID       string    `json:"id"`
	Service  string    `json:"service,omitempty"`
	Repo     string    `json:"repo,omitempty"`
	Check    string    `json:"check,omitempty"`
	Rule     string    `json:"rule"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"`
	Owner    string    `json:"owner,omitempty"` // a team or a person
	Due      time.Time `json:"due"`
	// Again says why it is open again; empty the first time.
	Again string `json:"again,omitempty"`
	// Suspect is set for what a person has to look at first.
	Suspect bool `json:"suspect,omitempty"`
}

// FindingFixed: a new test showed that a finding is gone.
type FindingFixed struct {
	ID      string    `json:"id"`
	Service string    `json:"service,omitempty"`
	Repo    string    `json:"repo,omitempty"`
	Check   string    `json:"check,omitempty"`
	Rule    string    `json:"rule"`
	Proof   string    `json:"proof"` // what was tested
	At      time.Time `json:"at"`
}

// RiskReopened: the review date of an accepted risk has come, or what it was
// accepted for has changed.
type RiskReopened struct {
	ID    string `json:"id"`
	Title string `json:"title"`
	Owner string `json:"owner"`
	Why   string `json:"why"`
}

// AuditVerified: the whole audit log was read, and its tree computed again.
type AuditVerified struct {
	Entries int64    `json:"entries"`
	Damage  []string `json:"damage,omitempty"`
	// Anchor is where the checkpoint is kept that the log agrees with, outside of
	// the store; empty when there is none.
	Anchor string    `json:"anchor,omitempty"`
	At     time.Time `json:"at"`
}

func (AuditVerified) EventName() string { return "AuditVerified" }

func (AuditVerified) EventSubject() Resource { return Resource{"audit", "log"} }

func (FindingOpened) EventName() string { return "FindingOpened" }
func (FindingFixed) EventName() string  { return "FindingFixed" }
func (RiskReopened) EventName() string  { return "RiskReopened" }

func (e FindingOpened) EventSubject() Resource { return Resource{"finding", e.ID} }
func (e FindingFixed) EventSubject() Resource  { return Resource{"finding", e.ID} }
func (e RiskReopened) EventSubject() Resource  { return Resource{"risk", e.ID} }
