package security

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Observe keeps what something proved, in the place of what the same check of the
// same thing said before. A claim that is older than the kept one changes nothing,
// so that an event which comes twice or late does no harm.
func (s *Security) Observe(ctx context.Context, claims ...Claim) error {
	for _, c := range claims {
		if !slices.ContainsFunc(Checks(), func(k Check) bool { return k.ID == c.Check }) {
			return nightporter.E(nightporter.Invalid, "there is no check %q", c.Check)
		}
		action := nightporter.Action{Name: "posture.observe", Capability: nightporter.Update, Path: "api/security/posture"}
		err := s.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "posture", ID: c.Check + "/" + c.About}, func(tx *gate.Tx) error {
			tx.Detail("state", string(c.State))
			tx.Detail("event", c.Event)
			_, err := tx.Exec(ctx, `INSERT INTO security_evidence (check_id, about, state, at, event, proof, page) VALUES (?, ?, ?, ?, ?, ?, ?)
				ON CONFLICT (check_id, about) DO UPDATE SET state = excluded.state, at = excluded.at, event = excluded.event,
				proof = excluded.proof, page = excluded.page WHERE excluded.at >= security_evidence.at`,
				c.Check, c.About, string(c.State), store.Micros(c.At), cut(c.Event, 200), cut(c.Proof, 1000), c.Page)
			return err
		})
		if err != nil {
			return fmt.Errorf("keep the proof of %s: %w", c.Check, err)
		}
	}
	return nil
}

// evidence reads what was kept.
func evidence(ctx context.Context, tx *store.Tx) ([]Claim, error) {
	var out []Claim
	err := tx.Each(ctx, `SELECT check_id, about, state, at, event, proof, page FROM security_evidence ORDER BY check_id, about`, nil,
		func(scan func(...any) error) error {
			var c Claim
			var at int64
			if err := scan(&c.Check, &c.About, (*string)(&c.State), &at, &c.Event, &c.Proof, &c.Page); err != nil {
				return err
			}
			c.At, c.kept = store.Time(at), true
			out = append(out, c)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the kept proof: %w", err)
	}
	return out, nil
}

// Rebuilt hears [nightporter.DrillPassed]: A1.
func (s *Security) Rebuilt(ctx context.Context, e nightporter.DrillPassed) error {
	proof := fmt.Sprintf("%s was rebuilt from nothing in %s", e.Environment, e.FinishedAt.Sub(e.StartedAt).Round(time.Second))
	if e.Commit != "" {
		proof += " at " + shortCommit(e.Commit)
	}
	if e.Budget > 0 {
		proof += ", of " + e.Budget.String() + " allowed"
	}
	c := Claim{
		Check: "A1", About: "environment/" + e.Environment, State: Pass, At: e.FinishedAt, Event: "DrillPassed " + e.Run,
		Proof: proof, Page: "/environments/" + e.Environment,
	}
	if e.FellBackFrom != "" {
		// It came back, but not from the code as it is: that would not have.
		c.State = Fail
		c.Proof = fmt.Sprintf("%s came back from an older commit only: %s could not be built", e.Environment, shortCommit(e.FellBackFrom))
	}
	return s.Observe(ctx, c)
}

// NotRebuilt hears [nightporter.DrillFailed]: A1.
func (s *Security) NotRebuilt(ctx context.Context, e nightporter.DrillFailed) error {
	return s.Observe(ctx, Claim{
		Check: "A1", About: "environment/" + e.Environment, State: Fail, At: e.FinishedAt, Event: "DrillFailed " + e.Run,
		Proof: fmt.Sprintf("%s did not come back: %s", e.Environment, e.Reason), Page: "/environments/" + e.Environment,
	})
}

// Slept hears [nightporter.EnvironmentDown]: M1 and M2. The far end was asked, and
// had nothing left.
func (s *Security) Slept(ctx context.Context, e nightporter.EnvironmentDown) error {
	c := Claim{
		Check: "M2", About: "environment/" + e.Environment, State: Pass, At: e.Evidence.ObservedAt, Event: "EnvironmentDown " + e.Run,
		Proof: "the inventory of " + e.Environment + " was empty when it went down", Page: "/environments/" + e.Environment,
	}
	return s.Observe(ctx, c)
}

// Shipped hears [nightporter.ReleaseHealthy]: I3, and A2 when it was a rollback.
func (s *Security) Shipped(ctx context.Context, e nightporter.ReleaseHealthy) error {
	page, event := "/releases/"+e.Release, "ReleaseHealthy "+e.Release
	about := "service/" + e.Service
	if e.Kind == "rollback" {
		return s.Observe(ctx, Claim{
			Check: "A2", About: about, State: Pass, At: e.FinishedAt, Event: event, Page: page,
			Proof: fmt.Sprintf("%s was rolled back to %s in %s", e.Environment, e.Version, e.FinishedAt.Sub(e.StartedAt).Round(time.Second)),
		})
	}
	c := Claim{Check: "I3", About: about, State: Pass, At: e.FinishedAt, Event: event, Page: page}
	bad := unreviewed(e.Merges)
	switch {
	case len(e.Merges) == 0:
		c.State, c.Proof = Unknown, fmt.Sprintf("%s is the first that was seen in %s: nobody knows what came before it", e.Version, e.Environment)
	case len(bad) > 0:
		c.State, c.Proof = Fail, fmt.Sprintf("%s brought %s to %s", e.Version, strings.Join(bad[:min(3, len(bad))], ", "), e.Environment)
	default:
		c.Proof = fmt.Sprintf("each of the %d merges that %s brought to %s has a pull request, and the approval of somebody who did not write it",
			len(e.Merges), e.Version, e.Environment)
		if len(e.ApprovedBy) > 0 {
			c.Proof += "; " + strings.Join(e.ApprovedBy, ", ") + " approved the release"
		}
	}
	return s.Observe(ctx, c)
}

// unreviewed says which merges nobody but their authors looked at.
func unreviewed(merges []nightporter.Merged) (bad []string) {
	for _, m := range merges {
		other := slices.ContainsFunc(m.Reviewers, func(r string) bool { return !slices.Contains(m.Authors, r) })
		switch {
		case m.PullRequest == 0:
			bad = append(bad, shortCommit(m.Commit)+" without a pull request")
		case !other:
			bad = append(bad, fmt.Sprintf("#%d without the approval of somebody else", m.PullRequest))
		}
	}
	return bad
}

// WentBack hears [nightporter.ReleaseRolledBack]: A2. A version that was not healthy
// and was replaced by the one before is a rollback that worked.
func (s *Security) WentBack(ctx context.Context, e nightporter.ReleaseRolledBack) error {
	if e.BackTo == "" {
		return nil // nothing ran before it
	}
	return s.Observe(ctx, Claim{
		Check: "A2", About: "service/" + e.Service, State: Pass, At: cmp.Or(e.At, e.Evidence.ObservedAt), Event: "ReleaseRolledBack " + e.Release,
		Proof: fmt.Sprintf("%s was not healthy in %s, and %s ran on", e.Version, e.Environment, shortCommit(e.BackTo)), Page: "/releases/" + e.Release,
	})
}

// Verified hears [nightporter.AuditVerified]: I5.
func (s *Security) Verified(ctx context.Context, e nightporter.AuditVerified) error {
	c := Claim{Check: "I5", About: "house", State: Pass, At: e.At, Event: fmt.Sprintf("AuditVerified %d entries", e.Entries), Page: "/audit"}
	switch {
	case len(e.Damage) > 0:
		c.State, c.Proof = Fail, "the audit log is damaged: "+e.Damage[0]
	case e.Anchor == "":
		c.State, c.Proof = Unknown, fmt.Sprintf("%d entries are whole, but no checkpoint is kept outside: whoever owns the store could have rewritten all of it", e.Entries)
	default:
		c.Proof = fmt.Sprintf("%d entries are whole, and agree with the checkpoint at %s", e.Entries, e.Anchor)
	}
	return s.Observe(ctx, c)
}

// Scan is what a scan of a repository's history for secrets came to.
type Scan struct {
	Repo   string // "github/ledger"
	Commit string // the head of the default branch that it reached
	Rules  string // the version of the rules
	At     time.Time
	// Failure is why it did not get to its end; "" when it did. What it found
	// comes through [Security.Record].
	Failure string
}

// Scanned keeps that a repository was scanned: C1. A scan that failed proves
// nothing, and takes no earlier proof away: that grows stale by itself.
func (s *Security) Scanned(ctx context.Context, scan Scan) error {
	c := Claim{
		Check: "C1", About: "repo/" + scan.Repo, State: Pass, At: scan.At, Event: "scan of " + shortCommit(scan.Commit),
		Proof: fmt.Sprintf("its history up to %s was scanned with the rules %s", shortCommit(scan.Commit), scan.Rules),
	}
	if scan.Failure != "" {
		var kept State
		err := s.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(ctx, `SELECT state FROM security_evidence WHERE check_id = 'C1' AND about = ?`, c.About).Scan((*string)(&kept))
		})
		if err != nil && !store.IsNotFound(err) || kept == Pass {
			return err
		}
		c.State, c.Proof = Unknown, "the last scan did not get to its end: "+scan.Failure
	}
	return s.Observe(ctx, c)
}

func shortCommit(c string) string { return c[:min(len(c), 8)] }
