package security

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// FindingState is how far a finding has come.
type FindingState string

// The states of findings.
const (
	Open     FindingState = "open"     // nobody has looked yet
	Triaged  FindingState = "triaged"  // somebody looked: it is real, and who repairs it is known
	Accepted FindingState = "accepted" // somebody lives with it until a day; then it opens by itself
	Fixed    FindingState = "fixed"    // a new test showed that it is gone
)

// Finding is something that is wrong, and whose it is.
type Finding struct {
	ID string `json:"id"` // made from Key
	// Key names the same thing in every run of whoever found it: for a leaked
	// secret HMAC(secret), repository and rule, never a line or a commit. At most
	// 300 bytes; it is not shown.
	Key     string `json:"-"`
	Service string `json:"service,omitempty"`
	Repo    string `json:"repo,omitempty"` // "github/ledger"
	// Check is the check of the posture that it counts for: "C1". "" for none.
	Check    string               `json:"check,omitempty"`
	Rule     string               `json:"rule"`
	Severity nightporter.Severity `json:"severity"`
	Title    string               `json:"title"`
	// Evidence says where it was seen, in words that hold no secret: "config/app.yaml
	// line 12 in 3efba60".
	Evidence string `json:"evidence"`
	Source   string `json:"source"` // who found it: "secret scan", "sarif: CodeQL"
	// Suspect is set where a person must look first. It fails no check until
	// somebody has triaged it.
	Suspect bool `json:"suspect,omitempty"`

	// What follows is ours: Record takes no notice of it, except of an Owner.

	// Owner is a team or a person. "" when recorded means the service's team.
	Owner       string       `json:"owner,omitempty"`
	State       FindingState `json:"state"`
	Note        string       `json:"note,omitempty"` // of the triage
	Due         time.Time    `json:"due"`
	FirstSeenAt time.Time    `json:"first_seen_at"`
	LastSeenAt  time.Time    `json:"last_seen_at"`
	ChangedAt   time.Time    `json:"changed_at"` // of its state
	Accepted    *Acceptance  `json:"accepted,omitempty"`
	FixedAt     time.Time    `json:"fixed_at,omitzero"`
	Proof       string       `json:"proof,omitempty"` // what showed that it is gone
	Reopened    int          `json:"reopened,omitempty"`
}

// Acceptance is somebody's decision to live with something for a while.
type Acceptance struct {
	Until time.Time `json:"until"`
	By    string    `json:"by"`
	Why   string    `json:"why"`
}

// Standing says whether the finding is something that is wrong now and that nobody
// has accepted.
func (f Finding) Standing() bool { return f.State == Open || f.State == Triaged }

// Counts says whether it fails its check.
func (f Finding) Counts() bool { return f.State == Triaged || f.State == Open && !f.Suspect }

// Recorded says what a report of findings changed.
type Recorded struct {
	New      int `json:"new"`
	Reopened int `json:"reopened"` // were fixed, and are there again
	Known    int `json:"known"`
}

// recordedAtOnce bounds a transaction.
const recordedAtOnce = 200

// FindingID is the id of the finding with a key.
func FindingID(key string) string {
	sum := sha256.Sum256([]byte(key))
	return "fnd_" + hex.EncodeToString(sum[:10])
}

// Record notes what was found. One that is new opens, is given to its owner and is
// due by its severity; one that was fixed opens again; one that somebody accepted
// stays accepted until its day. What is not among findings is not touched: only a
// test that looked for it may say [Security.Fixed]. It is for callers inside the
// house, which act as the system; a report from outside comes through its route.
//
// Errors: invalid for a finding without key, rule, title or severity.
func (s *Security) Record(ctx context.Context, findings ...Finding) (Recorded, error) {
	return s.record(ctx, nightporter.Action{Name: "finding.record", Capability: nightporter.Update, Path: "api/security/findings"},
		nightporter.Resource{Kind: "finding"}, findings)
}

func (s *Security) record(ctx context.Context, action nightporter.Action, resource nightporter.Resource, findings []Finding) (all Recorded, err error) {
	seen := map[string]bool{}
	list := make([]Finding, 0, len(findings))
	for _, f := range findings {
		if err := f.check(); err != nil {
			return all, err
		}
		if seen[f.Key] {
			continue
		}
		seen[f.Key] = true
		list = append(list, s.placed(f))
	}
	for len(list) > 0 {
		part := list[:min(recordedAtOnce, len(list))]
		list = list[len(part):]
		var r Recorded
		err := s.cfg.Gate.Do(ctx, action, resource, func(tx *gate.Tx) error {
			r = Recorded{}
			for _, f := range part {
				if err := note(ctx, tx, f, &r); err != nil {
					return fmt.Errorf("record %s: %w", f.ID, err)
				}
			}
			tx.Detail("new", r.New)
			tx.Detail("reopened", r.Reopened)
			tx.Detail("known", r.Known)
			return nil
		})
		if err != nil {
			return all, err
		}
		all.New, all.Reopened, all.Known = all.New+r.New, all.Reopened+r.Reopened, all.Known+r.Known
	}
	return all, nil
}

func (f *Finding) check() error {
	switch {
	case f.Key == "" || len(f.Key) > 300:
		return nightporter.E(nightporter.Invalid, "a finding needs a key of at most 300 bytes")
	case f.Rule == "" || f.Title == "":
		return nightporter.E(nightporter.Invalid, "a finding needs a rule and a title")
	case f.Severity.Rank() == 0:
		return nightporter.E(nightporter.Invalid, "%q is no severity", f.Severity).WithHint("critical, high, medium or low")
	}
	f.Rule, f.Title, f.Evidence, f.Source = cut(f.Rule, 200), cut(f.Title, 300), cut(f.Evidence, 1000), cut(f.Source, 100)
	return nil
}

// cut shortens a text from outside to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n-3], "") + "…"
}

// placed gives a finding to its service and its owner.
func (s *Security) placed(f Finding) Finding {
	f.ID = FindingID(f.Key)
	w := s.cfg.Catalog.Current()
	if repo, err := nightporter.ParseRepo(f.Repo); err == nil {
		if services := w.ServicesOf(repo); len(services) == 1 && f.Service == "" {
			f.Service = services[0].Name
		} else if len(services) > 0 {
			f.Owner = cmp.Or(f.Owner, services[0].Owner)
		}
	}
	if team, ok := w.OwnerOf(f.Service); ok {
		f.Owner = cmp.Or(f.Owner, team.Name)
	}
	return f
}

// note writes one finding as the one before it allows.
func note(ctx context.Context, tx *gate.Tx, f Finding, r *Recorded) error {
	now := tx.Now()
	known, err := findings(ctx, tx.Tx, `WHERE id = ?`, f.ID)
	if err != nil {
		return err
	}
	if len(known) == 0 {
		r.New++
		f.State, f.Due, f.FirstSeenAt, f.LastSeenAt, f.ChangedAt = Open, now.Add(f.Severity.Within()), now, now, now
		tx.Publish(f.opened(""))
		return insertFinding(ctx, tx.Tx, f)
	}
	old := known[0]
	f.Owner = cmp.Or(old.Owner, f.Owner)
	if old.State == Fixed {
		r.Reopened++
		old.Title, old.Severity, old.Suspect = f.Title, f.Severity, f.Suspect
		if err := reopen(ctx, tx, old, "it is there again"); err != nil {
			return err
		}
		old.Due = now.Add(f.Severity.Within())
	} else {
		r.Known++
		if f.Severity.Rank() > old.Severity.Rank() {
			if due := now.Add(f.Severity.Within()); due.Before(old.Due) {
				old.Due = due
			}
		}
	}
	_, err = tx.Exec(ctx, `UPDATE security_finding SET service = ?, repo = ?, check_id = ?, rule = ?, severity = ?, title = ?, evidence = ?,
		source = ?, suspect = ?, owner = ?, due_at = ?, last_seen_at = ? WHERE id = ?`,
		f.Service, f.Repo, f.Check, f.Rule, string(f.Severity), f.Title, f.Evidence, f.Source, store.Bool(f.Suspect), f.Owner,
		store.Micros(old.Due), store.Micros(now), f.ID)
	return err
}

func (f Finding) opened(again string) nightporter.FindingOpened {
	return nightporter.FindingOpened{
		ID: f.ID, Service: f.Service, Repo: f.Repo, Check: f.Check, Rule: f.Rule, Severity: f.Severity, Title: f.Title,
		Owner: f.Owner, Due: f.Due, Again: again, Suspect: f.Suspect,
	}
}

// reopen makes a finding open again, due by its severity from now on.
func reopen(ctx context.Context, tx *gate.Tx, f Finding, why string) error {
	now := tx.Now()
	f.Due = now.Add(f.Severity.Within())
	tx.Publish(f.opened(why))
	_, err := tx.Exec(ctx, `UPDATE security_finding SET state = ?, due_at = ?, changed_at = ?, accepted_until = 0, accepted_by = '', accepted_why = '',
		fixed_at = 0, proof = '', reopened = reopened + 1 WHERE id = ?`, string(Open), store.Micros(f.Due), store.Micros(now), f.ID)
	return err
}

// Fixed notes that a new test showed the finding with this key to be gone. proof says
// what was tested; it holds no secret. A key that nobody knows, or that is fixed
// already, changes nothing.
func (s *Security) Fixed(ctx context.Context, key, proof string) error {
	id := FindingID(key)
	if proof = cut(strings.TrimSpace(proof), 1000); proof == "" {
		return nightporter.E(nightporter.Invalid, "a finding is fixed by proof: say what was tested")
	}
	var known []Finding
	err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		known, err = findings(ctx, tx, `WHERE id = ? AND state <> ?`, id, string(Fixed))
		return err
	})
	if err != nil || len(known) == 0 {
		return err
	}
	action := nightporter.Action{Name: "finding.fix", Capability: nightporter.Update, Path: "api/security/findings"}
	return s.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "finding", ID: id}, func(tx *gate.Tx) error {
		now := tx.Now()
		n, err := tx.Exec(ctx, `UPDATE security_finding SET state = ?, changed_at = ?, fixed_at = ?, proof = ?, accepted_until = 0,
			accepted_by = '', accepted_why = '' WHERE id = ? AND state <> ?`,
			string(Fixed), store.Micros(now), store.Micros(now), proof, id, string(Fixed))
		if err != nil || n == 0 {
			return err
		}
		tx.Detail("proof", proof)
		f := known[0]
		tx.Publish(nightporter.FindingFixed{ID: id, Service: f.Service, Repo: f.Repo, Check: f.Check, Rule: f.Rule, Proof: proof, At: now})
		return nil
	})
}

const findingColumns = `id, finding_key, service, repo, check_id, rule, severity, title, evidence, source, suspect, owner, state, note, due_at,
	first_seen_at, last_seen_at, changed_at, accepted_until, accepted_by, accepted_why, fixed_at, proof, reopened`

func findings(ctx context.Context, tx *store.Tx, where string, args ...any) ([]Finding, error) {
	var out []Finding
	err := tx.Each(ctx, `SELECT `+findingColumns+` FROM security_finding `+where, args, func(scan func(...any) error) error {
		var f Finding
		var a Acceptance
		var suspect, due, first, last, changed, until, fixed, reopened int64
		if err := scan(&f.ID, &f.Key, &f.Service, &f.Repo, &f.Check, &f.Rule, (*string)(&f.Severity), &f.Title, &f.Evidence, &f.Source, &suspect,
			&f.Owner, (*string)(&f.State), &f.Note, &due, &first, &last, &changed, &until, &a.By, &a.Why, &fixed, &f.Proof, &reopened); err != nil {
			return err
		}
		f.Suspect, f.Reopened = suspect == 1, int(reopened)
		f.Due, f.FirstSeenAt, f.LastSeenAt, f.ChangedAt, f.FixedAt = store.Time(due), store.Time(first), store.Time(last), store.Time(changed), store.Time(fixed)
		if until != 0 {
			a.Until = store.Time(until)
			f.Accepted = &a
		}
		out = append(out, f)
		return nil
	})
	return out, err
}

func insertFinding(ctx context.Context, tx *store.Tx, f Finding) error {
	_, err := tx.Exec(ctx, `INSERT INTO security_finding (`+findingColumns+`)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, 0, '', '', 0, '', 0)`,
		f.ID, f.Key, f.Service, f.Repo, f.Check, f.Rule, string(f.Severity), f.Title, f.Evidence, f.Source, store.Bool(f.Suspect), f.Owner,
		string(f.State), store.Micros(f.Due), store.Micros(f.FirstSeenAt), store.Micros(f.LastSeenAt), store.Micros(f.ChangedAt))
	return err
}
