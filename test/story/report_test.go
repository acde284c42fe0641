package story_test

import (
	"strings"
	"testing"
	"time"

	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	"nightporter.dev/nightporter/provider/forge"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	"nightporter.dev/nightporter/releases"
)

// The forge is the judge: what it shows beside the commit.
func TestTheForgeShowsWhereAVersionIs(t *testing.T) {
	t.Parallel()
	inHouse(t, func(t *testing.T, h *house) {
		h.begin()
		commit := h.merge("Book a payment for @everyone", "minor")
		shows := func(env string, want forge.DeploymentState, status forge.StatusState) func() bool {
			return func() bool {
				s, _ := h.forge.StatusOf("ledger", commit, "nightporter/"+env)
				for _, d := range h.forge.Deployments("ledger") {
					if d.Commit == commit && d.Environment == env {
						return d.State == want && d.Production == (env == "prod") && strings.Contains(d.LogURL, "/releases/rel_") && s.State == status
					}
				}
				return false
			}
		}
		r := h.waits("0.1.0")
		h.soon("dev runs it", shows("dev", forge.DeploymentSucceeded, forge.Success))
		h.soon("prod waits", shows("prod", forge.DeploymentQueued, forge.Pending))
		if err := h.approve(r, "sam"); err != nil {
			t.Fatal(err)
		}
		h.soon("prod runs it", shows("prod", forge.DeploymentSucceeded, forge.Success))
		h.soon("the notes say so", func() bool {
			rel, _ := h.forge.ReleaseOf("ledger", "v0.1.0")
			return strings.Contains(rel.Notes, "### In prod since") && strings.Contains(rel.Notes, "* Book a payment for @\u200beveryone (#1)")
		})
		if n := len(h.forge.Deployments("ledger")); n != 3 {
			t.Errorf("the forge has %d deployments, want one for each environment", n)
		}

		// A bad version, while the forge is away for a while.
		h.deploy.Rule(deploymem.Rule{Version: "0.1.1", Environment: "dev", Behaviour: deploymem.Behaviour{Fails: "exited with status 3"}})
		commit = h.merge("bad", "patch")
		h.until("it rolled back", func(r *releases.Release) bool { return r.State == releases.RolledBack })
		h.forge.SetFault(forgemem.Fault{Down: true})
		time.Sleep(10 * time.Minute)
		h.forge.SetFault(forgemem.Fault{})
		h.soon("dev refused it", shows("dev", forge.DeploymentFailed, forge.Failure))
	})
}
