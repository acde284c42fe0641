package story_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/provider/deploy"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/forge"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/versions"
)

func TestMergeReachesProduction(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second) // the first sweep sees the repository
		commit := h.merge("add interest", "minor")
		r := h.waits("0.1.0")
		h.wantRuns("0.1.0", "0.1.0", "nothing")
		tags, err := h.forge.Tags(context.Background(), "ledger")
		if err != nil {
			t.Fatal(err)
		}
		if tags["v0.1.0"] != commit || tags["dev"] != commit || tags["prod"] != "" {
			t.Errorf("git has %v, want v0.1.0 and dev on %s and no prod", tags, commit)
		}
		if err := h.approve(r, "sam"); err != nil {
			t.Fatal(err)
		}
		h.until("it is healthy", func(r *releases.Release) bool { return r.State == releases.Healthy })
		h.wantRuns("0.1.0", "0.1.0", "0.1.0")
		h.until("the tag moves", func(*releases.Release) bool {
			tags, _ := h.forge.Tags(context.Background(), "ledger")
			return tags["prod"] == commit
		})
		if n := h.deploy.Builds(commit); n != 1 {
			t.Errorf("the commit was built %d times, want once", n)
		}
	})
}

func TestMergeReachesProductionOnPostgres(t *testing.T) {
	t.Parallel()
	onPostgres(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		h.app.Sweep(context.Background())
		h.merge("one", "minor")
		h.release("0.1.0")
		h.deploy.Rule(deploymem.Rule{Version: "0.1.1", Behaviour: deploymem.Behaviour{Fails: "exited with status 3"}})
		h.merge("two", "patch")
		h.until("it rolled back", func(r *releases.Release) bool { return r.State == releases.RolledBack })
		h.wantRuns("0.1.0", "0.1.0", "0.1.0")
		board, err := h.app.Board(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if n := board[0].Production.Behind; n != 1 {
			t.Errorf("production is %d behind, want 1", n)
		}

		// The same store, the next process: nothing is lost, nothing starts twice.
		h.stop()
		h.open()
		h.wantRuns("0.1.0", "0.1.0", "0.1.0")
		h.merge("three", "patch")
		h.release("0.1.2")
		for _, key := range h.deploy.Keys() {
			if n := h.deploy.Starts(key); n != 1 {
				t.Errorf("%s started %d times, want once", key, n)
			}
		}
	})
}

func TestALostWebhookIsFoundByTheSweep(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second)
		h.webhook = false
		h.merge("one", "patch")
		h.merge("two", "minor")
		h.waits("0.2.0")
		h.wantRuns("0.2.0", "0.2.0", "nothing")
	})
}

func TestApproval(t *testing.T) {
	t.Parallel()
	setup := func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second)
		h.merge("first", "minor")
		h.release("0.1.0")
	}
	t.Run("an author whose change nobody else reviewed may not approve it", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			setup(t, h)
			number := h.forge.Open("ledger", prBy("ana-gh", "patch"))
			h.forge.MergePull("ledger", number)
			r := h.waits("0.1.1")
			if err := h.approve(r, "ana"); nightporter.CodeOf(err) != nightporter.OwnChange {
				t.Errorf("got %v, want own_change", err)
			}
			if err := h.approve(r, "guest"); nightporter.CodeOf(err) != nightporter.Denied {
				t.Errorf("got %v, want a stranger to the team denied", err)
			}
			if err := h.approve(r, "sam"); err != nil {
				t.Errorf("somebody else: %v", err)
			}
		})
	})
	t.Run("an approval is given once, and only while the release waits", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			setup(t, h)
			h.merge("second", "patch")
			r := h.waits("0.1.1")
			if err := h.approve(r, "sam"); err != nil {
				t.Fatal(err)
			}
			if err := h.approve(r, "sam"); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("got %v, want a conflict the second time", err)
			}
			h.until("healthy", func(r *releases.Release) bool { return r.State == releases.Healthy })
			if err := h.approve(r, "ana"); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("got %v, want a conflict when nothing waits", err)
			}
		})
	})
	t.Run("one that waits is never forgotten", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			setup(t, h)
			h.merge("second", "patch")
			r := h.waits("0.1.1")
			before := len(h.told.Shown())
			time.Sleep(72*time.Hour + time.Minute)
			synctest.Wait()
			var keys []string
			for _, m := range h.told.Shown()[before:] {
				keys = append(keys, m.Key)
			}
			prefix := "release/" + r.ID + "/prod/remind/"
			want := []string{prefix + "0", prefix + "1", prefix + "2", prefix + "3"}
			if !slices.Equal(keys, want) {
				t.Errorf("in three days people were told %v, want %v", keys, want)
			}
			if r := h.waits("0.1.1"); r.State != releases.Waiting {
				t.Errorf("it lapsed: %s", r.State)
			}
		})
	})
	t.Run("a newer release takes the place of one that waits", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			setup(t, h)
			h.merge("second", "patch")
			old := h.waits("0.1.1")
			h.merge("third", "minor")
			h.waits("0.2.0")
			list, err := h.app.Releases(context.Background(), releases.Filter{Service: "ledger"})
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(list, func(r *releases.Release) bool { return r.ID == old.ID })
			if list[i].State != releases.Superseded {
				t.Errorf("0.1.1 is %s, want superseded", list[i].State)
			}
			h.wantRuns("0.2.0", "0.2.0", "0.1.0")
		})
	})
}

func TestAnUnhealthyVersionNeverTakesOver(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second)
		h.merge("good", "minor")
		h.release("0.1.0")
		h.deploy.Rule(deploymem.Rule{Version: "0.1.1", Environment: "dev", Behaviour: deploymem.Behaviour{Fails: "exited with status 3", Lines: []string{"panic: no database"}}})
		h.merge("bad", "patch")
		r := h.until("it rolled back", func(r *releases.Release) bool { return r.State == releases.RolledBack })
		if r.Bad == "" {
			t.Error("the version is not marked bad")
		}
		if got := h.runs("dev"); got != "0.1.0" {
			t.Errorf("dev runs %s, want what ran before", got)
		}
		if got := h.runs("prod"); got != "0.1.0" {
			t.Errorf("prod runs %s, want 0.1.0", got)
		}
		d, err := h.app.Release(context.Background(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if s := d.Work.Step("deploy dev"); !slices.Contains(s.Lines, "panic: no database") {
			t.Errorf("the release shows %q, want the last lines of the log", s.Lines)
		}

		// The regression that this guards: after a rollback the same version
		// can be deployed again.
		h.deploy.Rule(deploymem.Rule{Version: "0.1.1"})
		if err := h.app.Retry(as("sam"), r.ID); err != nil {
			t.Fatal(err)
		}
		h.release("0.1.1")
		h.wantRuns("0.1.1", "0.1.1", "0.1.1")
	})
}

func TestAFailedRegistryIsNotABadVersion(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second)
		h.deploy.Rule(deploymem.Rule{Environment: "dev", Times: 2, Behaviour: deploymem.Behaviour{Fails: "registry away", Retryable: true}})
		h.merge("good", "minor")
		if r := h.waits("0.1.0"); r.Bad != "" {
			t.Errorf("the version is marked bad: %s", r.Bad)
		}
	})
}

func TestHoldAndFreeze(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.forge.AddRepo("ledger")
		time.Sleep(2 * time.Second)
		h.merge("first", "minor")
		r := h.waits("0.1.0")
		if err := h.app.Hold(as("sam"), "ledger", "audit week"); err != nil {
			t.Fatal(err)
		}
		if err := h.approve(r, "sam"); err != nil {
			t.Fatal(err)
		}
		h.until("it is held", func(r *releases.Release) bool {
			return r.State == releases.Held && r.Message == "on hold by sam: audit week"
		})
		if err := h.app.Freeze(as("sam"), "prod", time.Now().Add(2*time.Hour), "holidays"); err != nil {
			t.Fatal(err)
		}
		if err := h.app.Unhold(as("sam"), "ledger"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := h.runs("prod"); got != "nothing" {
			t.Errorf("prod runs %s during a freeze", got)
		}
		time.Sleep(time.Hour + time.Minute)
		h.until("the freeze ended", func(r *releases.Release) bool { return r.State == releases.Healthy })
		h.wantRuns("0.1.0", "0.1.0", "0.1.0")
	})
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	held := func(h *house, message string) {
		h.t.Helper()
		h.until("it is held: "+message, func(r *releases.Release) bool { return r.State == releases.Held && r.Message == message })
	}
	t.Run("a deployment to any frozen environment waits, and goes on by itself", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			time.Sleep(2 * time.Second)
			until := time.Now().Add(2 * time.Hour)
			if err := h.app.Freeze(as("sam"), "dev", until, "load test"); err != nil {
				t.Fatal(err)
			}
			h.merge("first", "minor")
			message := "frozen until " + until.UTC().Format("2006-01-02 15:04 MST") + " by sam: load test"
			held(h, "dev is "+message)
			h.pass()
			h.wantRuns("nothing", "0.1.0", "nothing")
			r := h.until("held", func(r *releases.Release) bool { return r.State == releases.Held })
			d, err := h.app.Release(context.Background(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if s := d.Work.Step("deploy dev"); s.State != run.Pending || s.Message != message || d.Work.State != run.Waiting {
				t.Errorf("the step is %s, %q in a run that is %s; want it to wait: %q", s.State, s.Message, d.Work.State, message)
			}
			if len(d.Freezes) != 1 || d.Freezes[0].Environment != "dev" {
				t.Errorf("the release shows the freezes %+v, want dev's", d.Freezes)
			}
			board, err := h.app.Board(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if c := board[0].Environments["dev"]; c.State != "held" || c.Frozen == nil || c.Frozen.Reason != "load test" {
				t.Errorf("dev on the board is %+v, want it held by a freeze", c)
			}
			time.Sleep(2*time.Hour + time.Second)
			h.waits("0.1.0")
			h.wantRuns("0.1.0", "0.1.0", "nothing")
		})
	})
	t.Run("it outlives the process, and ends with unfreeze", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			time.Sleep(2 * time.Second)
			if err := h.app.Freeze(as("sam"), "preprod", time.Now().Add(time.Hour), "load test"); err != nil {
				t.Fatal(err)
			}
			h.merge("first", "minor")
			h.until("it is held", func(r *releases.Release) bool { return r.State == releases.Held })
			h.stop()
			h.open()
			synctest.Wait()
			h.wantRuns("0.1.0", "nothing", "nothing")
			if err := h.app.Unfreeze(as("sam"), "preprod"); err != nil {
				t.Fatal(err)
			}
			h.waits("0.1.0")
			h.wantRuns("0.1.0", "0.1.0", "nothing")

			// An end that comes while nobody runs is found at the start.
			if err := h.app.Freeze(as("sam"), "prod", time.Now().Add(time.Hour), "holidays"); err != nil {
				t.Fatal(err)
			}
			if err := h.approve(h.waits("0.1.0"), "sam"); err != nil {
				t.Fatalf("an approval during a freeze: %v", err)
			}
			h.until("it is held", func(r *releases.Release) bool { return r.State == releases.Held })
			h.stop()
			time.Sleep(2 * time.Hour)
			h.open()
			h.until("the freeze has ended", func(r *releases.Release) bool { return r.State == releases.Healthy })
			h.wantRuns("0.1.0", "0.1.0", "0.1.0")
		})
	})
	t.Run("a rollback is never frozen", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			time.Sleep(2 * time.Second)
			h.merge("first", "minor")
			h.release("0.1.0")
			h.merge("second", "patch")
			h.release("0.1.1")
			if err := h.app.Freeze(as("sam"), "prod", time.Now().Add(time.Hour), "holidays"); err != nil {
				t.Fatal(err)
			}
			if err := h.app.Rollback(as("sam"), "ledger", "prod", "slow"); err != nil {
				t.Fatal(err)
			}
			h.until("it is back", func(r *releases.Release) bool { return r.Kind == releases.Rollback && r.State == releases.Healthy })
			h.wantRuns("0.1.1", "0.1.1", "0.1.0")
		})
	})
	t.Run("an override needs its own policy, says why, and counts for one release", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			time.Sleep(2 * time.Second)
			if err := h.app.Freeze(as("sam"), "prod", time.Now().Add(time.Hour), "holidays"); err != nil {
				t.Fatal(err)
			}
			h.merge("first", "minor")
			r := h.waits("0.1.0")
			owner := nightporter.WithActor(context.Background(), nightporter.Actor{
				Kind: nightporter.Person, Name: "ana", Method: "test", Policies: []string{"service-owner-payments"},
			})
			past := h.app.OverrideFreeze("customers cannot pay")
			if err := past.Approve(owner, r.ID, ""); nightporter.CodeOf(err) != nightporter.Denied {
				t.Errorf("an owner without the policy: got %v, want denied", err)
			}
			if err := h.app.Approve(owner, r.ID, ""); err != nil {
				t.Fatal(err)
			}
			h.until("it is held", func(r *releases.Release) bool { return r.State == releases.Held })
			if err := h.approve(r, "sam"); nightporter.CodeOf(err) != nightporter.Conflict {
				t.Errorf("a second approval without an override: got %v, want a conflict", err)
			}
			if err := past.Approve(as("sam"), r.ID, ""); err != nil {
				t.Fatal(err)
			}
			h.until("it passed", func(r *releases.Release) bool { return r.State == releases.Healthy })
			d, err := h.app.Release(context.Background(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Overrides) != 1 || d.Overrides[0].Person != "sam" || d.Overrides[0].Reason != "customers cannot pay" {
				t.Errorf("the release shows %+v, want who let it pass and why", d.Overrides)
			}
			if !h.audited("release.approve", `"override_freeze":"customers cannot pay"`) {
				t.Error("the register does not say why the freeze was passed")
			}
			h.merge("second", "patch")
			if err := past.Approve(as("sam"), h.waits("0.1.1").ID, ""); err != nil {
				t.Fatal(err)
			}
			h.until("the next one passed with an override of its own", func(r *releases.Release) bool {
				return r.Version.String() == "0.1.1" && r.State == releases.Healthy
			})
			h.merge("third", "patch")
			if err := h.approve(h.waits("0.1.2"), "sam"); err != nil {
				t.Fatal(err)
			}
			h.until("the third is held", func(r *releases.Release) bool { return r.State == releases.Held })
			if err := h.app.Reject(as("sam"), h.newest().ID, "not now"); err != nil {
				t.Fatal(err)
			}
			h.until("it was rejected", func(r *releases.Release) bool { return r.State == releases.Rejected })
		})
	})
	t.Run("one of the configuration is not changed by command, and ends with a reload", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.reload(strings.Replace(declared, "preprod: {kind: staging}",
				`preprod: {kind: staging, freezes: [{from: 1999-12-31, to: "2000-01-03 09:00", reason: party}]}`, 1))
			time.Sleep(2 * time.Second)
			for what, err := range map[string]error{
				"freeze":   h.app.Freeze(as("sam"), "preprod", time.Now().Add(time.Hour), "mine"),
				"unfreeze": h.app.Unfreeze(as("sam"), "preprod"),
			} {
				if nightporter.CodeOf(err) != nightporter.Declared {
					t.Errorf("%s: got %v, want declared", what, err)
				}
			}
			h.merge("first", "minor")
			held(h, "preprod is frozen until 2000-01-03 09:00 UTC by the configuration: party")
			h.reload(declared)
			h.waits("0.1.0")
		})
	})
}

func TestAFreezeOnPostgres(t *testing.T) {
	t.Parallel()
	onPostgres(t, func(t *testing.T, h *house) {
		h.app.Sweep(context.Background())
		if err := h.app.Freeze(as("sam"), "dev", time.Now().Add(time.Hour), "load test"); err != nil {
			t.Fatal(err)
		}
		h.merge("first", "minor")
		h.until("it is held", func(r *releases.Release) bool { return r.State == releases.Held })
		h.stop()
		h.open()
		if got := h.runs("dev"); got != "nothing" {
			t.Errorf("dev runs %s in a freeze", got)
		}
		if err := h.app.Unfreeze(as("sam"), "dev"); err != nil {
			t.Fatal(err)
		}
		h.waits("0.1.0")
		h.wantRuns("0.1.0", "0.1.0", "nothing")
	})
}

// The house's own history, measured: what went to production, what came back and
// what fixed it.
func TestDelivery(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		time.Sleep(2 * time.Second)
		h.merge("first", "minor")
		h.release("0.1.0")
		time.Sleep(24 * time.Hour)
		h.merge("second", "patch")
		h.waits("0.1.1")
		time.Sleep(time.Hour)
		h.release("0.1.1")
		time.Sleep(time.Hour)
		if err := h.app.Rollback(as("sam"), "ledger", "prod", "slow"); err != nil {
			t.Fatal(err)
		}
		h.until("it is back", func(r *releases.Release) bool { return r.Kind == releases.Rollback && r.State == releases.Healthy })
		h.deploy.Rule(deploymem.Rule{Version: "0.1.2", Environment: "prod", Behaviour: deploymem.Behaviour{Fails: "exited with status 3"}})
		h.merge("third", "patch")
		if err := h.approve(h.waits("0.1.2"), "sam"); err != nil {
			t.Fatal(err)
		}
		h.until("it rolled back", func(r *releases.Release) bool { return r.State == releases.RolledBack })
		h.merge("fourth", "patch")
		h.release("0.1.3")
		h.pass()
		check := func() {
			t.Helper()
			d, err := h.app.Dora(context.Background(), "ledger", 30*24*time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			var kinds []string
			for _, one := range d.Deployments {
				kinds = append(kinds, one.Version+" "+one.Kind)
			}
			if want := []string{"0.1.0 merge", "0.1.1 merge", "0.1.0 rollback", "0.1.2 merge", "0.1.3 merge"}; !slices.Equal(kinds, want) {
				t.Fatalf("production went through %q, want %q", kinds, want)
			}
			// Of four deployments 0.1.1 and 0.1.2 failed; 0.1.2 and 0.1.3 came
			// after one that had.
			for what, f := range map[string]float64{"fail": d.ChangeFailRate.Numerator, "rework": d.ReworkRate.Numerator} {
				if f != 2 || d.ChangeFailRate.Denominator != 4 {
					t.Errorf("%s counts %v of %v, want 2 of 4", what, f, d.ChangeFailRate.Denominator)
				}
			}
			// 0.1.1 brought one change, 0.1.3 the three that 0.1.0 lacks.
			var lead []string
			for _, c := range d.Changes {
				lead = append(lead, c.FinishedAt.Sub(c.CommittedAt).Truncate(time.Hour).String())
			}
			if len(lead) != 4 || lead[0] != "1h0m0s" {
				t.Errorf("the changes took %v, want four, the first an hour", lead)
			}
			if v := d.RecoveryTime.Value; v == nil || d.RecoveryTime.Denominator != 2 || *v < 1700 || *v > 1900 {
				t.Errorf("recovery is %+v, want the middle of an hour and nothing", d.RecoveryTime)
			}
		}
		check()
		if err := h.app.RebuildDora(as("sam")); err != nil {
			t.Fatal(err)
		}
		check()
	})
}

// builtByCI is the configuration of a service whose image CI builds.
var builtByCI = strings.Replace(declared, "owner: payments,",
	`owner: payments, artifact: {image: "registry.acme.test:5000/ledger:{version}", wait_for: {api: true}},`, 1)

func TestAReleaseWaitsForWhatCIBuildsOnPostgres(t *testing.T) {
	t.Parallel()
	onPostgres(t, func(t *testing.T, h *house) {
		h.reload(builtByCI)
		h.app.Sweep(context.Background())
		commit := h.merge("first", "minor")
		h.until("it waits for its artifact", func(r *releases.Release) bool { return r.State == releases.WaitingForArtifact })
		for range 2 {
			if err := h.app.HasArtifact(as("sam"), releases.Artifact{
				Service: "ledger", Commit: commit, Image: "registry.acme.test:5000/ledger:0.1.0", Digest: "sha256:" + strings.Repeat("ab", 32),
			}); err != nil {
				t.Fatal(err)
			}
		}
		h.waits("0.1.0")
	})
}

// The far end is the judge of what is deployed: the image of the template.
func TestAReleaseWaitsForACheck(t *testing.T) {
	t.Parallel()
	checked := strings.Replace(builtByCI, "{api: true}", "{check: build}", 1)
	status := func(h *house, commit string, s forge.StatusState) {
		h.t.Helper()
		if err := h.forge.SetStatus(context.Background(), "ledger", commit, forge.Status{Context: "build", State: s}); err != nil {
			h.t.Fatal(err)
		}
	}
	inHouse(t, func(t *testing.T, h *house) {
		h.reload(checked)
		h.begin()
		commit := h.merge("first", "minor")
		says := func(what string) {
			t.Helper()
			h.until("it says "+what, func(r *releases.Release) bool {
				return r.State == releases.WaitingForArtifact && strings.HasSuffix(r.Message, what)
			})
		}
		says("nobody has reported the check build yet")
		status(h, commit, forge.Pending)
		says("the check build is running")
		status(h, commit, forge.Failure)
		says("the check build is red")
		if got := h.runs("dev"); got != "nothing" {
			t.Errorf("dev runs %s before the check is green", got)
		}

		// A restart in between loses nothing, and a check that nobody reports is
		// not asked for day and night.
		h.stop()
		h.open()
		h.reload(checked)
		before := h.forge.Calls("Check")
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if n := h.forge.Calls("Check") - before; n < 24 || n > 1000 {
			t.Errorf("the forge was asked %d times in a day", n)
		}
		if !h.wasTold("ledger 0.1.0 has waited 4h0m0s for the check build") {
			t.Error("nobody was reminded")
		}
		status(h, commit, forge.Success)
		h.waits("0.1.0")
		instances, err := h.deploy.Running(context.Background(), "ledger", "dev")
		if err != nil {
			t.Fatal(err)
		}
		if i, ok := deploy.Find(instances, deploy.Serving); !ok || string(i.Artifact) != "registry.acme.test:5000/ledger:0.1.0" {
			t.Errorf("dev runs %q, want the image of the template", i.Artifact)
		}

		// A check that was green before the merge was seen is not waited for.
		h.forge.SetFault(forgemem.Fault{Webhooks: forgemem.Lose})
		commit = h.merge("second", "patch")
		status(h, commit, forge.Success)
		h.waits("0.1.1")
	})
}

func TestAReleaseWaitsForWhatCIBuilds(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.reload(builtByCI)
		time.Sleep(2 * time.Second)
		commit := h.merge("first", "minor")
		waiting := func(r *releases.Release) bool { return r.State == releases.WaitingForArtifact }
		r := h.until("it waits for its artifact", waiting)
		if !strings.HasPrefix(r.Message, "waiting for its artifact since 2000-01-01 00:0") {
			t.Errorf("the release says %q", r.Message)
		}
		board, err := h.app.Board(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if got := board[0].Environments; got["dev"].State != "waiting_for_artifact" || got["prod"].State != "none" {
			t.Errorf("the board shows %+v", got)
		}
		before := len(h.told.Shown())
		time.Sleep(5 * time.Hour)
		synctest.Wait()
		if told := h.told.Shown()[before:]; len(told) != 1 || !strings.Contains(told[0].Title, "has waited 4h0m0s for CI") {
			t.Errorf("people were told %+v, want one reminder", told)
		}
		h.stop()
		h.open() // with the first configuration: the file is read again at the start
		h.reload(builtByCI)
		digest := "sha256:" + strings.Repeat("ab", 32)
		good := releases.Artifact{Service: "ledger", Commit: commit, Image: "registry.acme.test:5000/ledger:0.1.0", Digest: digest}
		for what, c := range map[string]struct {
			change func(*releases.Artifact)
			code   nightporter.Code
		}{
			"an unknown service":   {func(a *releases.Artifact) { a.Service = "nobody" }, nightporter.NotFound},
			"half a commit":        {func(a *releases.Artifact) { a.Commit = commit[:10] }, nightporter.Invalid},
			"a tag for a digest":   {func(a *releases.Artifact) { a.Digest = "latest" }, nightporter.Invalid},
			"somebody else's name": {func(a *releases.Artifact) { a.Image = "evil.test/ledger:0.1.0" }, nightporter.Invalid},
		} {
			bad := good
			c.change(&bad)
			if err := h.app.HasArtifact(as("sam"), bad); nightporter.CodeOf(err) != c.code {
				t.Errorf("%s: got %v, want %s", what, err, c.code)
			}
		}
		for range 2 {
			if err := h.app.HasArtifact(as("sam"), good); err != nil {
				t.Fatal(err)
			}
		}
		other := good
		other.Digest = "sha256:" + strings.Repeat("cd", 32)
		if err := h.app.HasArtifact(as("sam"), other); nightporter.CodeOf(err) != nightporter.Conflict {
			t.Errorf("another digest for the same commit: got %v, want a conflict", err)
		}
		h.release("0.1.0")
		for _, env := range []string{"dev", "preprod", "prod"} {
			instances, err := h.deploy.Running(context.Background(), "ledger", env)
			if err != nil {
				t.Fatal(err)
			}
			if i, ok := deploy.Find(instances, deploy.Serving); !ok || string(i.Artifact) != "registry.acme.test:5000/ledger@"+digest {
				t.Errorf("%s runs %q, want the digest that CI named", env, i.Artifact)
			}
		}
		if n := h.deploy.Builds(commit); n != 0 {
			t.Errorf("the commit was built %d times here", n)
		}

		// CI may be faster than the webhook; and one that never comes is overtaken.
		h.merge("second", "patch")
		h.until("it waits", waiting)
		third := h.merge("third", "patch")
		good.Commit, good.Image = third, "registry.acme.test:5000/ledger:0.1.2"
		if err := h.app.HasArtifact(as("sam"), good); err != nil {
			t.Fatal(err)
		}
		h.waits("0.1.2")
		list, err := h.app.Releases(context.Background(), releases.Filter{Service: "ledger", State: releases.Superseded})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != 1 || list[0].Version.String() != "0.1.1" {
			t.Errorf("superseded are %+v, want 0.1.1, which nobody built", list)
		}
	})
}

func TestVersions(t *testing.T) {
	t.Parallel()
	t.Run("a tag that somebody pushed by hand is adopted, never moved", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.forge.AddRepo("ledger")
			h.forge.PushTag("ledger", "v3.1.4", h.forge.Push("ledger", "by hand", "ana-gh").Commit)
			time.Sleep(2 * time.Second)
			h.merge("next", "patch")
			h.waits("3.1.5")
		})
	})
	t.Run("a label that was changed after the merge does not count", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.forge.AddRepo("ledger")
			time.Sleep(2 * time.Second)
			h.webhook = false
			number := h.forge.Open("ledger", prBy("ana-gh", "patch"))
			h.forge.MergePull("ledger", number)
			time.Sleep(2 * time.Second)
			h.forge.Unlabel("ledger", number, "patch")
			h.forge.Label("ledger", number, "major")
			h.forge.PushTag("ledger", "v1.0.0", h.first("ledger"))
			h.waits("1.0.1")
		})
	})
	t.Run("a merge without a label counts as patch and is flagged", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.forge.AddRepo("ledger")
			h.forge.PushTag("ledger", "v1.0.0", h.first("ledger"))
			time.Sleep(2 * time.Second)
			h.merge("no label", "")
			h.waits("1.0.1")
			rows := h.ledger()
			if len(rows) != 1 || rows[0].Flag == "" {
				t.Errorf("got %+v, want one flagged row", rows)
			}
		})
	})
	t.Run("a commit without a pull request gets no version and rides with the next", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.forge.AddRepo("ledger")
			h.forge.PushTag("ledger", "v1.0.0", h.first("ledger"))
			time.Sleep(2 * time.Second)
			h.forge.Push("ledger", "typo", "ana-gh")
			h.merge("next", "patch")
			h.waits("1.0.1")
			rows := h.ledger()
			if len(rows) != 2 || rows[1].State != versions.Rides {
				t.Errorf("got %+v, want the push to ride", rows)
			}
			board, err := h.app.Board(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			if n := board[0].Production.Behind; n != 2 {
				t.Errorf("production is %d behind, want both commits counted", n)
			}
		})
	})
	t.Run("an open pull request is told which label is missing", func(t *testing.T) {
		t.Parallel()
		inHouse(t, func(t *testing.T, h *house) {
			h.forge.AddRepo("ledger")
			time.Sleep(2 * time.Second)
			number := h.forge.Open("ledger", prBy("ana-gh"))
			time.Sleep(2 * time.Second)
			synctest.Wait()
			head := h.forge.HeadOf("ledger", number)
			s, ok := h.forge.StatusOf("ledger", head, versions.StatusContext)
			if !ok || s.State != "failure" || s.Description != "add one label: major, minor, patch or skip-release" {
				t.Errorf("got %+v, want a failure that says how to fix it", s)
			}
			h.forge.Label("ledger", number, "minor")
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if s, _ := h.forge.StatusOf("ledger", head, versions.StatusContext); s.State != "success" {
				t.Errorf("got %+v, want success once it is labelled", s)
			}
		})
	})
}
