// Package security says what each service may claim about its confidentiality,
// integrity, availability and use, and proves each claim with something that the
// platform itself did or saw: a rebuild that passed, a rollback that worked, a
// login that ended on time. A claim whose proof is old is stale, and one that
// nobody can prove is unknown, with the reason; neither is ever green.
//
// What is wrong is a [Finding], with an owner and a date. It is closed by a new test
// and by nothing else; somebody may accept it for a while, and when the while is
// over it opens by itself. A [Risk] is what people decided to live with, or to do
// something about, and it opens by itself too when its review is due.
//
// The package asks nobody for facts of other capabilities. They come as events
// (internal/app/flows.go), or from the small interfaces in [Config].
package security

import (
	"errors"
	"log/slog"
	"time"

	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Config is what [Security] needs.
type Config struct {
	Gate    *gate.Gate       // required
	Catalog *catalog.Catalog // required: services, and who owns them
	// Now is the time of due dates, of ages and of what is fresh. nil means
	// time.Now. It is never a demo's clock: proof ages in real time.
	Now func() time.Time
	Log *slog.Logger // nil is silent
	// Sources answer what other capabilities know now. None leaves their checks
	// unknown.
	Sources []Source
}

// Security keeps findings, risks and the evidence of posture.
type Security struct {
	cfg Config
}

// New makes the capability.
func New(cfg Config) (*Security, error) {
	if cfg.Gate == nil || cfg.Catalog == nil {
		return nil, errors.New("security: Gate and Catalog are required")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Security{cfg: cfg}, nil
}

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "security/0001", SQL: `
CREATE TABLE security_finding (
	id TEXT PRIMARY KEY,
	finding_key TEXT NOT NULL UNIQUE,
	service TEXT NOT NULL,
	repo TEXT NOT NULL,
	check_id TEXT NOT NULL,
	rule TEXT NOT NULL,
	severity TEXT NOT NULL,
	title TEXT NOT NULL,
	evidence TEXT NOT NULL,
	source TEXT NOT NULL,
	suspect BIGINT NOT NULL,
	owner TEXT NOT NULL,
	state TEXT NOT NULL,
	note TEXT NOT NULL,
	due_at BIGINT NOT NULL,
	first_seen_at BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	changed_at BIGINT NOT NULL,
	accepted_until BIGINT NOT NULL,
	accepted_by TEXT NOT NULL,
	accepted_why TEXT NOT NULL,
	fixed_at BIGINT NOT NULL,
	proof TEXT NOT NULL,
	reopened BIGINT NOT NULL
);
CREATE INDEX security_finding_state ON security_finding (state, due_at, id);
CREATE INDEX security_finding_service ON security_finding (service, state);
CREATE INDEX security_finding_repo ON security_finding (repo, state);
`}, {Name: "security/0002", SQL: `
CREATE TABLE security_evidence (
	check_id TEXT NOT NULL,
	about TEXT NOT NULL,
	state TEXT NOT NULL,
	at BIGINT NOT NULL,
	event TEXT NOT NULL,
	proof TEXT NOT NULL,
	page TEXT NOT NULL,
	PRIMARY KEY (check_id, about)
);
CREATE TABLE security_risk (
	id TEXT PRIMARY KEY,
	title TEXT NOT NULL,
	asset TEXT NOT NULL,
	pillar TEXT NOT NULL,
	likelihood BIGINT NOT NULL,
	impact BIGINT NOT NULL,
	treatment TEXT NOT NULL,
	plan TEXT NOT NULL,
	owner TEXT NOT NULL,
	state TEXT NOT NULL,
	review_at BIGINT NOT NULL,
	findings TEXT NOT NULL,
	approver TEXT NOT NULL,
	approved_at BIGINT NOT NULL,
	created_by TEXT NOT NULL,
	created_at BIGINT NOT NULL,
	changed_at BIGINT NOT NULL,
	reopened TEXT NOT NULL
);
`}}
