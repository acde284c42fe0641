package security

import (
	"cmp"
	"context"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// longestAcceptance bounds how long anybody may live with a finding without being
// asked again.
const longestAcceptance = 366 * 24 * time.Hour

// Triage notes that a person looked at a finding and that it is real. owner is a team
// or a person; "" leaves it with whom it is. Errors: invalid for an owner whom nobody
// knows, conflict for a finding that is fixed.
func (s *Security) Triage(ctx context.Context, id, owner, note string) (*Finding, error) {
	if owner != "" && !s.known(owner) {
		return nil, nightporter.E(nightporter.Invalid, "no team or person is called %q", owner)
	}
	if len(note) > 1000 {
		return nil, nightporter.E(nightporter.Invalid, "a note has at most 1000 characters")
	}
	return s.act(ctx, id, "triage", func(tx *gate.Tx, f Finding) error {
		if f.State == Fixed {
			return nightporter.E(nightporter.Conflict, "%s is fixed: %s", id, f.Proof)
		}
		owner := cmp.Or(owner, f.Owner)
		tx.Detail("owner", owner)
		_, err := tx.Exec(ctx, `UPDATE security_finding SET state = ?, owner = ?, note = ?, changed_at = ?, accepted_until = 0, accepted_by = '',
			accepted_why = '' WHERE id = ?`, string(Triaged), owner, strings.TrimSpace(note), store.Micros(tx.Now()), id)
		return err
	})
}

// Accept notes that somebody lives with a finding until a day. It opens by itself
// then. Errors: invalid without a reason or with a day that has passed or is more
// than a year away, conflict for a finding that is fixed.
func (s *Security) Accept(ctx context.Context, id string, until time.Time, why string) (*Finding, error) {
	why = strings.TrimSpace(why)
	now := s.cfg.Now()
	switch {
	case why == "" || len(why) > 1000:
		return nil, nightporter.E(nightporter.Invalid, "say why, in at most 1000 characters")
	case !until.After(now) || until.After(now.Add(longestAcceptance)):
		return nil, nightporter.E(nightporter.Invalid, "accept until a day within the next year: it opens by itself then")
	}
	return s.act(ctx, id, "accept", func(tx *gate.Tx, f Finding) error {
		if f.State == Fixed {
			return nightporter.E(nightporter.Conflict, "%s is fixed: %s", id, f.Proof)
		}
		tx.Detail("until", until.UTC().Format(time.RFC3339))
		tx.Detail("why", why)
		_, err := tx.Exec(ctx, `UPDATE security_finding SET state = ?, changed_at = ?, accepted_until = ?, accepted_by = ?, accepted_why = ? WHERE id = ?`,
			string(Accepted), store.Micros(tx.Now()), store.Micros(until), nightporter.ActorFrom(ctx).Cause(), why, id)
		return err
	})
}

// Reopen takes an acceptance, or somebody's triage, back. Errors: conflict for a
// finding that is open or fixed: only what finds it again reopens the latter.
func (s *Security) Reopen(ctx context.Context, id string) (*Finding, error) {
	return s.act(ctx, id, "reopen", func(tx *gate.Tx, f Finding) error {
		if f.State != Accepted && f.State != Triaged {
			return nightporter.E(nightporter.Conflict, "%s is %s", id, f.State)
		}
		return reopen(ctx, tx, f, nightporter.ActorFrom(ctx).Cause()+" reopened it")
	})
}

func (s *Security) known(name string) bool {
	w := s.cfg.Catalog.Current()
	_, team := w.Team(name)
	_, person := w.PersonByUserName(name)
	return team || person
}

// act changes one finding. Who may is asked of the service that it is about.
func (s *Security) act(ctx context.Context, id, verb string, fn func(tx *gate.Tx, f Finding) error) (*Finding, error) {
	var out *Finding
	err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		out, err = GetFinding(ctx, tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = s.cfg.Gate.Do(ctx, out.Action(verb), nightporter.Resource{Kind: "finding", ID: id}, func(tx *gate.Tx) error {
		f, err := GetFinding(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		tx.Detail("service", f.Service)
		if err := fn(tx, *f); err != nil {
			return err
		}
		out, err = GetFinding(ctx, tx.Tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Action is what somebody wants who triages, accepts or reopens this finding. Its
// path names the service, so that its owner decides; "-" for a finding of none.
func (f Finding) Action(verb string) nightporter.Action {
	return nightporter.Action{
		Name: "finding." + verb, Capability: nightporter.Update, Path: "api/security/findings/" + cmp.Or(f.Service, "-") + "/" + verb,
	}
}

// expire opens the findings whose acceptance has ended.
func (s *Security) expire(ctx context.Context, now time.Time) error {
	var over []Finding
	err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		over, err = findings(ctx, tx, `WHERE state = ? AND accepted_until <= ? ORDER BY id LIMIT ?`, string(Accepted), store.Micros(now), recordedAtOnce)
		return err
	})
	for _, f := range over {
		if err != nil {
			return err
		}
		action := nightporter.Action{Name: "finding.expire"}
		err = s.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "finding", ID: f.ID}, func(tx *gate.Tx) error {
			now, err := findings(ctx, tx.Tx, `WHERE id = ? AND state = ? AND accepted_until <= ?`, f.ID, string(Accepted), store.Micros(now))
			if err != nil || len(now) == 0 {
				return err
			}
			return reopen(ctx, tx, now[0], "it was accepted until "+f.Accepted.Until.Format(time.DateOnly))
		})
	}
	return err
}
