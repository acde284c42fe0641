package security

import (
	"time"

	"nightporter.dev/nightporter"
)

// Pillar is what a check is about.
type Pillar string

// The pillars. Misuse is the part of security that the other three do not name: what
// nobody declared, what is alive in the dark, what is used for something else.
const (
	Confidentiality Pillar = "confidentiality"
	Integrity       Pillar = "integrity"
	Availability    Pillar = "availability"
	Misuse          Pillar = "misuse"
)

// Pillars lists the pillars in the order of the pages.
func Pillars() []Pillar { return []Pillar{Confidentiality, Integrity, Availability, Misuse} }

// Check is one claim that every service should be able to make.
type Check struct {
	ID       string               `json:"id"`
	Pillar   Pillar               `json:"pillar"`
	Claim    string               `json:"claim"`
	Severity nightporter.Severity `json:"severity"` // when it fails
	// Fresh is how old its proof may be; 0 for proof that holds until the next
	// event, such as the last deployment.
	Fresh time.Duration `json:"-"`
	// Missing says why it is unknown while nothing has been heard.
	Missing string `json:"-"`
	// See is the command that shows the same again.
	See string `json:"-"`
}

const day = 24 * time.Hour

// Checks are all checks, in the order of the pages. docs/security.md says where the
// proof of each comes from.
func Checks() []Check {
	return []Check{
		{
			"C1", Confidentiality, "No live static credential is in the history of the repository", nightporter.Critical, day,
			"no scan of the repository has been finished", "nightporter security findings --check C1 --service {service}",
		},
		{
			"C2", Confidentiality, "Every login of its databases is a lease, or is listed", nightporter.High, day,
			"its databases have not been listed since the server started", "nightporter secret orphans",
		},
		{
			"C3", Confidentiality, "Every lease is within its maximum, and no revocation is overdue", nightporter.High, 15 * time.Minute,
			"its leases have not been looked at", "nightporter secret lease list",
		},
		{
			"C4", Confidentiality, "The administrator's password of its databases was changed within 90 days, by the porter", nightporter.Medium, 90 * day,
			"no change of the password is in the audit log", "nightporter secret db list",
		},
		{
			"C5", Confidentiality, "Few people can read its production secrets", nightporter.Medium, day,
			"the policies have not been evaluated", "nightporter security access",
		},
		{
			"I1", Integrity, "The last 50 commits of main are signed and verified", nightporter.Medium, day,
			"the signatures of commits are not read yet", "nightporter repo list",
		},
		{
			"I2", Integrity, "Its repository is as the standard says", nightporter.High, day,
			"no survey of the repository has been made: the configuration asks nothing of repositories, or the forge has not answered", "nightporter repo plan",
		},
		{
			"I3", Integrity, "What runs in production came by pull requests that somebody else approved", nightporter.Critical, 0,
			"nothing has been deployed to production yet", "nightporter release list --service {service}",
		},
		{
			"I4", Integrity, "What runs has the digest that was released", nightporter.High, time.Hour,
			"nobody asks the place where it runs for the digest between deployments", "nightporter release board",
		},
		{
			"I5", Integrity, "The audit log was verified, and a checkpoint of it is kept outside", nightporter.Critical, day,
			"the audit log has not been verified", "nightporter audit verify",
		},
		{
			"I6", Integrity, "No known vulnerability of its dependencies is older than its date", nightporter.High, 7 * day,
			"no source of advisories is configured: send the report of your scanner with nightporter security sarif", "nightporter security findings --check I6 --service {service}",
		},
		{
			"A1", Availability, "An environment of it was rebuilt from code, in time", nightporter.High, 7 * day,
			"no rebuild of its environments has been finished", "nightporter env runs {environment}",
		},
		{
			"A2", Availability, "A rollback worked", nightporter.High, 30 * day,
			"no rollback has happened, and none was tried on purpose", "nightporter release list --service {service}",
		},
		{
			"A3", Availability, "A backup was restored and compared", nightporter.Critical, 30 * day,
			"no restore has been rehearsed", "nightporter security posture {service}",
		},
		{
			"A4", Availability, "An alert for being down and one for errors exist, and fired in a test", nightporter.Medium, 90 * day,
			"no alert has been tested", "nightporter security posture {service}",
		},
		{
			"A5", Availability, "Production is not far behind main", nightporter.Medium, time.Hour,
			"it was never in production", "nightporter release board",
		},
		{
			"A6", Availability, "It has an owner who is still there", nightporter.High, day,
			"nobody has looked whether its owners are still in the organisation", "nightporter service show {service}",
		},
		{
			"M1", Misuse, "Nothing runs in its environments that nobody declared", nightporter.High, day,
			"no inventory of its environments has been read", "nightporter env status {environment}",
		},
		{
			"M2", Misuse, "Nothing is alive in the dark", nightporter.High, day,
			"none of its environments sleeps, or none has slept yet", "nightporter env status {environment}",
		},
		{
			"M3", Misuse, "It is used for its purpose, by whom it is meant for", nightporter.Medium, day,
			"no purpose is declared for it, and its use is not measured", "nightporter service show {service}",
		},
	}
}
