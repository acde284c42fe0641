package story_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/releases"
)

// cell is what the board says of ledger in an environment.
func (h *house) cell(env string) releases.Cell {
	h.t.Helper()
	rows, err := h.app.Board(context.Background())
	if err != nil || len(rows) != 1 {
		h.t.Fatalf("board: %d rows, %v", len(rows), err)
	}
	return rows[0].Environments[env]
}

// begin has the house look at the repository: what is there before was not merged
// under its eyes.
func (h *house) begin() {
	h.app.Sweep(context.Background())
}

// kill ends what serves in an environment, as a crash would.
func (h *house) kill(env string) deploy.Token {
	h.t.Helper()
	instances, err := h.deploy.Running(context.Background(), "ledger", env)
	if err != nil {
		h.t.Fatal(err)
	}
	i, ok := deploy.Find(instances, deploy.Serving)
	if !ok {
		h.t.Fatalf("nothing serves in %s", env)
	}
	if err := h.deploy.Kill(i.Token); err != nil {
		h.t.Fatal(err)
	}
	return i.Token
}

// soon lets time pass, some minutes at most, until holds says yes.
func (h *house) soon(what string, holds func() bool) {
	h.t.Helper()
	for range 6000 {
		if holds() {
			return
		}
		h.pass()
	}
	h.t.Fatalf("never: %s; prod is %+v", what, h.cell("prod"))
}

// alive asks the far end itself whether what serves lives.
func (h *house) alive(env string) bool {
	instances, err := h.deploy.Running(context.Background(), "ledger", env)
	i, ok := deploy.Find(instances, deploy.Serving)
	return err == nil && ok && i.State == deploy.Healthy
}

// The far end itself is the judge: what it has running.
func TestWhatDiesIsStartedAgain(t *testing.T) {
	t.Parallel()
	died := func(t *testing.T, h *house) {
		h.begin()
		h.merge("first", "minor")
		h.release("0.1.0")
		before := len(h.deploy.Keys())
		h.kill("prod")
		h.soon("it lives again", func() bool { return h.alive("prod") && h.cell("prod").State == "healthy" })
		h.wantRuns("0.1.0", "0.1.0", "0.1.0")
		if n := len(h.deploy.Keys()) - before; n != 1 {
			t.Errorf("%d instances were started for one death, want 1", n)
		}
		h.soon("the owner was told of both", func() bool {
			return h.wasTold("ledger 0.1.0 has died in prod and is being started again") && h.wasTold("ledger 0.1.0 is well again in prod")
		})
		if !h.audited("service.look", `"state":"down"`) {
			t.Error("the register does not say what was seen")
		}
	}
	t.Run("in memory", func(t *testing.T) {
		t.Parallel()
		inHouse(t, died)
	})
	t.Run("on PostgreSQL", func(t *testing.T) {
		t.Parallel()
		onPostgres(t, died)
	})
}

func TestADeathWhileNobodyLookedIsFound(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.begin()
		h.merge("first", "minor")
		h.release("0.1.0")
		h.stop()
		h.kill("prod")
		h.open()
		h.soon("it lives again", func() bool { return h.alive("prod") })
	})
}

func TestWhatDiesAgainAndAgain(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.begin()
		h.merge("first", "minor")
		h.release("0.1.0")
		starts := len(h.deploy.Keys())
		h.deploy.Rule(deploymem.Rule{Environment: "prod", Behaviour: deploymem.Behaviour{Fails: "exited with status 3"}})
		h.kill("prod")
		h.soon("the board says so", func() bool {
			c := h.cell("prod")
			return c.State == releases.Down && strings.Contains(c.Message, "exited with status 3")
		})
		time.Sleep(time.Hour)
		synctest.Wait()
		// At once, after 30 s, 1 min, 2, 4, 8 and then every 15 min.
		if n := len(h.deploy.Keys()) - starts; n < 5 || n > 12 {
			t.Errorf("in an hour it was started %d times, want a few", n)
		}
		told := 0
		for _, m := range h.told.Shown() {
			if strings.Contains(m.Title, "has died in prod") {
				told++
			}
		}
		if told != 1 {
			t.Errorf("the owner was told %d times, want once", told)
		}
		h.deploy.Rule(deploymem.Rule{Environment: "prod"})
		h.soon("it lives again", func() bool { return h.alive("prod") && h.cell("prod").State == "healthy" })

		// A new release is what ends the trouble of the old one for good.
		h.kill("prod")
		h.merge("second", "patch")
		h.release("0.1.1")
		h.wantRuns("0.1.1", "0.1.1", "0.1.1")
		if c := h.cell("prod"); c.State != "healthy" {
			t.Errorf("prod is %+v, want healthy", c)
		}
	})
}

func TestWhatCannotBeLookedAtIsUnknown(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.begin()
		h.merge("first", "minor")
		h.release("0.1.0")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		c := h.cell("prod")
		if c.State != "healthy" || time.Since(c.Evidence.ObservedAt) > time.Minute {
			t.Errorf("prod is %s as of %s ago, want healthy and seen just now", c.State, time.Since(c.Evidence.ObservedAt))
		}
		h.deploy.Fault("Running", -1, nightporter.E(nightporter.Unavailable, "the machine does not answer"))
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if c := h.cell("prod"); c.State != releases.Unknown {
			t.Errorf("prod is %s after ten minutes without a look, want unknown", c.State)
		}
		h.deploy.Fault("Running", 0, nil)
		h.soon("it is seen again", func() bool { return h.cell("prod").State == "healthy" })
	})
}
