package security_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/security"
)

func (h *house) posture(service string) security.Posture {
	h.t.Helper()
	var p *security.Posture
	err := db(h, func(tx *store.Tx) (err error) {
		p, err = h.security.GetPosture(context.Background(), tx, service)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return *p
}

func (h *house) cell(service, check string) security.Cell {
	h.t.Helper()
	c, ok := h.posture(service).Cell(check)
	if !ok {
		h.t.Fatalf("there is no check %s", check)
	}
	return c
}

func (h *house) want(service, check string, state security.State, says string) {
	h.t.Helper()
	if c := h.cell(service, check); c.State != state || !strings.Contains(c.Proof+" "+c.Event, says) {
		h.t.Errorf("%s of %s is %s: %s [%s]; want %s and %q", check, service, c.State, c.Proof, c.Event, state, says)
	}
}

func (h *house) heard(err error) {
	h.t.Helper()
	if err != nil {
		h.t.Fatal(err)
	}
}

func TestPosture(t *testing.T) {
	t.Parallel()
	t.Run("a check that nobody proved is unknown with the reason, and nothing is green", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		seen := map[string]bool{}
		for _, v := range h.posture("ledger").Pillars {
			if v.Letter != "?" || v.Proven != 0 || v.Of != len(v.Cells) {
				t.Errorf("%s is %s, %d of %d", v.Pillar, v.Letter, v.Proven, v.Of)
			}
			for _, c := range v.Cells {
				seen[c.ID] = true
				if c.State != security.Unknown || c.Proof == "" || c.See == "" || strings.Contains(c.See, "{") {
					t.Errorf("%s: %+v", c.ID, c)
				}
			}
		}
		for _, id := range strings.Fields("C1 C2 C3 C4 C5 I1 I2 I3 I4 I5 I6 A1 A2 A3 A4 A5 A6 M1 M2 M3") {
			if !seen[id] {
				t.Errorf("%s is missing", id)
			}
		}
	})
	t.Run("a rebuild is proof for a week, and a failed one fails every service there", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			passed := nightporter.DrillPassed{
				Environment: "dev", Run: "run_1", Commit: "0123456789abcdef", StartedAt: monday.Add(-6 * time.Minute), FinishedAt: monday, Budget: 30 * time.Minute,
			}
			for range 2 { // at least once is what a listener is promised
				h.heard(h.security.Rebuilt(porter(), passed))
			}
			h.want("ledger", "A1", security.Pass, "rebuilt from nothing in 6m0s at 01234567")
			h.want("web", "A1", security.Pass, "DrillPassed run_1")
			h.now = monday.Add(7*day + time.Second)
			h.want("ledger", "A1", security.Stale, "rebuilt")
			if got := h.posture("ledger").Pillar(security.Availability).Letter; got != "?" {
				t.Errorf("availability is %s with stale proof, want ?", got)
			}
			h.heard(h.security.NotRebuilt(porter(), nightporter.DrillFailed{Environment: "dev", Run: "run_2", FinishedAt: h.now, Reason: "no disk"}))
			h.want("web", "A1", security.Fail, "no disk")
			if got := h.posture("ledger").Pillar(security.Availability).Letter; got != "D" {
				t.Errorf("availability is %s, want D: the worst that fails is high", got)
			}
			h.heard(h.security.Rebuilt(porter(), passed)) // a late one
			h.want("web", "A1", security.Fail, "no disk")
		})
	})
	t.Run("an environment that came back from an older commit has not come back", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		h.heard(h.security.Rebuilt(porter(), nightporter.DrillPassed{Environment: "dev", Run: "run_1", FinishedAt: monday, FellBackFrom: "feedbeef99"}))
		h.want("ledger", "A1", security.Fail, "feedbeef")
	})
	t.Run("production came by reviewed pull requests, or not", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		merge := func(n int, reviewers ...string) nightporter.Merged {
			return nightporter.Merged{Commit: "c0ffee", PullRequest: n, Authors: []string{"ana-gh"}, Reviewers: reviewers}
		}
		ship := func(at time.Time, kind string, merges ...nightporter.Merged) {
			h.heard(h.security.Shipped(porter(), nightporter.ReleaseHealthy{
				Release: "rel_1", Service: "ledger", Environment: "prod", Kind: kind, Merges: merges, ApprovedBy: []string{"ben"},
				StartedAt: at.Add(-41 * time.Second), FinishedAt: at,
			}))
		}
		ship(monday, "merge")
		h.want("ledger", "I3", security.Unknown, "nobody knows what came before")
		ship(monday.Add(time.Second), "merge", merge(1, "ben-gh"), merge(2, "ana-gh", "ben-gh"))
		h.want("ledger", "I3", security.Pass, "ben approved the release")
		h.now = monday.Add(300 * day)
		h.want("ledger", "I3", security.Pass, "each of the 2 merges") // it holds until the next deployment
		ship(monday.Add(2*time.Second), "merge", merge(3, "ana-gh"), merge(0))
		h.want("ledger", "I3", security.Fail, "#3 without the approval of somebody else, c0ffee without a pull request")
		if got := h.posture("ledger").Pillar(security.Integrity).Letter; got != "E" {
			t.Errorf("integrity is %s, want E", got)
		}
		h.now = monday
		ship(monday.Add(3*time.Second), "rollback", merge(0))
		h.want("ledger", "A2", security.Pass, "rolled back to 0.0.0 in 41s")
		h.want("ledger", "I3", security.Fail, "#3") // a rollback brings nothing new
		h.want("web", "A2", security.Unknown, "no rollback")
		h.heard(h.security.WentBack(porter(), nightporter.ReleaseRolledBack{Service: "web", At: monday}))
		h.want("web", "A2", security.Unknown, "no rollback") // nothing ran before
		h.heard(h.security.WentBack(porter(), nightporter.ReleaseRolledBack{Release: "rel_2", Service: "web", Environment: "dev", BackTo: "c0ffee", At: monday}))
		h.want("web", "A2", security.Pass, "c0ffee ran on")
	})
	t.Run("a leak fails confidentiality until a scan proves that it is gone", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			scan := security.Scan{Repo: "hub/ledger", Commit: "0123456789", Rules: "v1", At: monday, Failure: "the canary was not found"}
			h.heard(h.security.Scanned(porter(), scan))
			h.want("ledger", "C1", security.Unknown, "canary")
			scan.Failure = ""
			h.heard(h.security.Scanned(porter(), scan))
			h.want("ledger", "C1", security.Pass, "scanned with the rules v1")
			suspect := leak("s1")
			suspect.Suspect = true
			h.record(suspect)
			h.want("ledger", "C1", security.Pass, "scanned") // a person looks first
			h.record(leak("k1"))
			h.want("ledger", "C1", security.Fail, "a database password in the repository")
			if c := h.cell("ledger", "C1"); c.Page != "/security/findings/"+security.FindingID("k1") {
				t.Errorf("its page is %s", c.Page)
			}
			h.want("web", "C1", security.Unknown, "no scan")
			if _, err := h.security.Accept(as("ana"), security.FindingID("k1"), monday.Add(5*day), "test data"); err != nil {
				t.Fatal(err)
			}
			h.want("ledger", "C1", security.Pass, "scanned")
			h.now = monday.Add(6 * day)
			h.look()
			h.want("ledger", "C1", security.Fail, "password")
			h.heard(h.security.Fixed(porter(), "k1", "the login was refused"))
			h.want("ledger", "C1", security.Stale, "scanned")
			scan.At, scan.Failure = h.now, "git did not answer"
			h.heard(h.security.Scanned(porter(), scan))
			h.want("ledger", "C1", security.Stale, "scanned") // a failed scan proves nothing, and does not take away
		})
	})
	t.Run("an audit log without an anchor outside is not proven", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		h.heard(h.security.Verified(porter(), nightporter.AuditVerified{Entries: 7, At: monday}))
		h.want("web", "I5", security.Unknown, "no checkpoint is kept outside")
		h.heard(h.security.Verified(porter(), nightporter.AuditVerified{Entries: 7, Anchor: "git", At: monday.Add(time.Second)}))
		h.want("web", "I5", security.Pass, "checkpoint at git")
		h.heard(h.security.Verified(porter(), nightporter.AuditVerified{Entries: 7, Anchor: "git", Damage: []string{"entry 3 was changed"}, At: monday.Add(2 * time.Second)}))
		h.want("ledger", "I5", security.Fail, "entry 3")
	})
	t.Run("of several places the worst counts, and one that is not concerned does not", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		claim := func(about string, state security.State, at time.Time) security.Claim {
			return security.Claim{Check: "M1", About: about, State: state, At: at, Proof: about + " " + string(state)}
		}
		h.heard(h.security.Observe(porter(), claim("environment/dev", security.NA, monday)))
		h.want("ledger", "M1", security.NA, "dev")
		if v := h.posture("ledger").Pillar(security.Misuse); v.Of != len(v.Cells)-1 {
			t.Errorf("%d of %d concern it", v.Of, len(v.Cells))
		}
		h.heard(h.security.Observe(porter(), claim("environment/prod", security.Pass, monday)))
		h.want("ledger", "M1", security.Pass, "prod")
		h.heard(h.security.Observe(porter(), claim("environment/dev", security.Fail, monday.Add(time.Second))))
		h.want("ledger", "M1", security.Fail, "dev")
		if err := h.security.Observe(porter(), security.Claim{Check: "C99"}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want invalid", err)
		}
	})
}

func draft() security.RiskDraft {
	return security.RiskDraft{
		Title: "one person knows the provider", Asset: "ledger", Pillar: security.Availability, Likelihood: 2, Impact: 4, Treatment: security.Reduce,
		Review: monday.Add(90 * day),
	}
}

func (h *house) risk(id string) security.Risk {
	h.t.Helper()
	var r *security.Risk
	err := db(h, func(tx *store.Tx) (err error) {
		r, err = security.GetRisk(context.Background(), tx, id, h.now)
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return *r
}

func TestRisks(t *testing.T) {
	t.Parallel()
	t.Run("the owner may not approve, and the approval ends with the review", func(t *testing.T) {
		t.Parallel()
		storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
			h := newHouse(t, db)
			r, err := h.security.AddRisk(as("ben"), draft())
			if err != nil {
				t.Fatal(err)
			}
			if r.Owner != "payments" || r.Score != 8 || r.State != security.RiskOpen || r.CreatedBy != "ben" {
				t.Errorf("got %+v", r)
			}
			if _, err := h.security.ApproveRisk(as("ana"), r.ID); nightporter.CodeOf(err) != nightporter.OwnChange {
				t.Errorf("got %v, want own_change: ana is in payments", err)
			}
			if _, err := h.security.ApproveRisk(porter(), r.ID); nightporter.CodeOf(err) != nightporter.Denied {
				t.Errorf("got %v, want denied: no person", err)
			}
			if r, err = h.security.ApproveRisk(as("ben"), r.ID); err != nil || r.State != security.RiskApproved || r.Approver != "ben" {
				t.Fatalf("got %+v, %v", r, err)
			}
			h.now = monday.Add(89 * day)
			h.look()
			if got := h.risk(r.ID); got.State != security.RiskApproved {
				t.Errorf("got %+v, want it approved still", got)
			}
			h.now = monday.Add(90 * day)
			for range 2 {
				h.look()
			}
			if got := h.risk(r.ID); got.State != security.RiskOpen || got.Approver != "" || !strings.Contains(got.Reopened, "review was due") {
				t.Errorf("got %+v, want it open by itself", got)
			}
			if got := h.events(); !slices.Equal(got, []string{"RiskReopened"}) {
				t.Errorf("told %q, want one RiskReopened", got)
			}
			if _, err := h.security.ApproveRisk(as("ben"), r.ID); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("got %v, want a conflict: it needs another day first", err)
			}
		})
	})
	t.Run("evidence proposes, and a person confirms", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		h.record(leak("k1"))
		d := draft()
		d.Findings = []string{security.FindingID("k1")}
		r, err := h.security.AddRisk(as("ana"), d)
		if err != nil {
			t.Fatal(err)
		}
		if r.Proposal == nil || r.Proposal.Likelihood != 3 || r.Likelihood != 2 {
			t.Errorf("got %+v, want 3 proposed while one stands", r.Proposal)
		}
		h.now = monday.Add(2 * day)
		if p := h.risk(r.ID).Proposal; p == nil || p.Likelihood != 5 {
			t.Errorf("got %+v, want 5: it is overdue", p)
		}
		if r, err = h.security.ConfirmRisk(as("ana"), r.ID); err != nil || r.Likelihood != 5 || r.Score != 20 || r.Proposal != nil {
			t.Errorf("got %+v, %v", r, err)
		}
		if _, err = h.security.CloseRisk(as("ana"), r.ID, "gone"); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("got %v, want a conflict while its finding stands", err)
		}
		h.heard(h.security.Fixed(porter(), "k1", "the login was refused"))
		if p := h.risk(r.ID).Proposal; p == nil || p.Likelihood != 1 {
			t.Errorf("got %+v, want 1: all of it is fixed", p)
		}
		if _, err := h.security.ApproveRisk(as("ben"), r.ID); err != nil {
			t.Fatal(err)
		}
		h.now = monday.Add(3 * day)
		h.record(leak("k1"))
		h.look()
		if got := h.risk(r.ID); got.State != security.RiskOpen || !strings.Contains(got.Reopened, "opened again") {
			t.Errorf("got %+v, want it open: what it was approved with came back", got)
		}
	})
	t.Run("nonsense is refused", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, storetest.SQLite(t, tables))
		for what, change := range map[string]func(*security.RiskDraft){
			"no title": func(d *security.RiskDraft) { d.Title = " " }, "likelihood": func(d *security.RiskDraft) { d.Likelihood = 6 },
			"impact": func(d *security.RiskDraft) { d.Impact = 0 }, "pillar": func(d *security.RiskDraft) { d.Pillar = "speed" },
			"treatment": func(d *security.RiskDraft) { d.Treatment = "pray" }, "owner": func(d *security.RiskDraft) { d.Owner = "nobody" },
			"no owner": func(d *security.RiskDraft) { d.Asset = "the office" }, "review": func(d *security.RiskDraft) { d.Review = monday },
		} {
			d := draft()
			change(&d)
			if _, err := h.security.AddRisk(as("ana"), d); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want invalid", what, err)
			}
		}
		d := draft()
		d.Findings = []string{"fnd_nothing"}
		if _, err := h.security.AddRisk(as("ana"), d); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("got %v, want not_found for a finding that nobody knows", err)
		}
	})
}
