package story_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/provider/cloud"
	cloudmem "nightporter.dev/nightporter/provider/cloud/mem"
	deploymem "nightporter.dev/nightporter/provider/deploy/mem"
	forgemem "nightporter.dev/nightporter/provider/forge/mem"
	notifymem "nightporter.dev/nightporter/provider/notify/mem"
)

// TestADeploymentWakesADarkEnvironment merges at the weekend, with when_dark: wake.
// The judges are the far ends: what exists of dev, and what serves there.
func TestADeploymentWakesADarkEnvironment(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		h := &house{t: t, dir: dir, told: &notifymem.Notifier{}, webhook: true}
		code := &infra{head: first, dir: dir}
		clouds, err := cloudmem.New(cloudmem.Config{})
		if err != nil {
			t.Fatal(err)
		}
		clouds.Define("dev", first, cloudmem.Definition{Component: cloud.Component{Name: "db"}})
		clouds.Rule(cloudmem.Rule{Verb: "Up", Behaviour: cloudmem.Behaviour{Takes: 4 * time.Minute}})
		if h.forge, err = forgemem.New(forgemem.Config{Deliver: h.deliver}); err != nil {
			t.Fatal(err)
		}
		if h.deploy, err = deploymem.New(deploymem.Config{}); err != nil {
			t.Fatal(err)
		}
		h.openNights(strings.Replace(withNights, "first_night: act", "first_night: act\n    when_dark: wake", 1), clouds, code)
		defer func() { h.stop() }()
		later := func(d time.Duration) {
			time.Sleep(d) // fake time
			synctest.Wait()
		}
		alive := func() int {
			all, err := clouds.Inventory(context.Background(), cloud.Target{Environment: "dev"})
			if err != nil {
				t.Fatal(err)
			}
			return len(cloud.Alive(all))
		}
		h.forge.AddRepo("ledger")
		h.forge.AddRepo("infra")
		later(time.Minute)
		if alive() != 0 {
			t.Fatal("on Saturday dev is there")
		}

		// Somebody wants it dark: that goes before.
		wish := environments.Wish{State: schedule.Off, Until: time.Now().Add(2 * time.Hour), Reason: "moving house"}
		if _, err := h.app.Environments().Keep(as("sam"), "dev", wish); err != nil {
			t.Fatal(err)
		}
		h.merge("add interest", "minor")
		later(30 * time.Minute)
		if got := h.runs("dev"); alive() != 0 || got != "nothing" {
			t.Errorf("kept dark, dev has %d things and runs %s", alive(), got)
		}
		if err := h.app.Environments().Unkeep(as("sam"), "dev"); err != nil {
			t.Fatal(err)
		}

		// Nobody does: the release waiting there wakes it, two hours long.
		later(15 * time.Minute)
		if got := h.runs("dev"); alive() != 1 || got != "0.1.0" {
			t.Errorf("dev has %d things and runs %s, want db and 0.1.0", alive(), got)
		}
		if !h.audited("environment.wake", "deploys ledger 0.1.0") {
			t.Error("the audit log does not say why dev was woken")
		}
		later(3 * time.Hour)
		if got := h.runs("dev"); alive() != 0 || got != "nothing" {
			t.Errorf("three hours later dev has %d things and runs %s", alive(), got)
		}

		// The next one wakes it again.
		h.merge("round interest", "patch")
		later(15 * time.Minute)
		if got := h.runs("dev"); got != "0.1.1" {
			t.Errorf("dev runs %s, want 0.1.1", got)
		}
	})
}
