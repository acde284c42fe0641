package environments_test

import (
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/run"
)

func TestADrillPassesWhenTheServicesAnswerRight(t *testing.T) {
	t.Parallel()
	h, w := asleep(t, options{})
	before := len(h.show().Drills)
	w.mu.Lock()
	w.does["probe"] = environments.Handover{State: run.Running, Message: "the profile of tenant 1: the answer does not hold what it should"}
	w.mu.Unlock()
	w.clock.Set(dawn)
	h.until("asking", func(d *environments.Detail) bool {
		return d.Work != nil && d.Work.Step("probe") != nil && strings.Contains(d.Work.Step("probe").Message, "the profile of tenant 1")
	})
	if d := h.show(); len(d.Drills) != before || d.State == environments.Up {
		t.Errorf("dev is %s with %d drills while an answer is wrong", d.State, len(d.Drills))
	}
	w.mu.Lock()
	w.does["probe"] = environments.Handover{State: run.Succeeded, Message: "1 questions answered right", Lines: []string{"the profile of tenant 1: GET http://127.0.0.1:1/v1/profiles/latest"}}
	w.mu.Unlock()
	d := h.is(environments.Up)
	if len(d.Drills) != before+1 || !d.Drills[0].Passed {
		t.Fatalf("the drills are %+v", d.Drills)
	}
	last := d.Drills[0].Steps[len(d.Drills[0].Steps)-1]
	if last.Name != "probe" || !slices.Contains(last.Lines, "the profile of tenant 1: GET http://127.0.0.1:1/v1/profiles/latest") {
		t.Errorf("the drill's record ends with %+v", last)
	}
}
