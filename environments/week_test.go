package environments_test

import (
	"context"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud"
)

func (h *house) week(at time.Time) *environments.Week {
	h.t.Helper()
	var w *environments.Week
	if err := h.db.View(context.Background(), func(tx *store.Tx) (err error) {
		w, err = h.Week(context.Background(), tx, "dev", at)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return w
}

// whole fails unless the spans of each day cover it without a gap, and say what
// the schedule itself decides.
func whole(t *testing.T, w *environments.Week) {
	t.Helper()
	for i, d := range w.Days {
		at := d.From
		for _, s := range d.Spans {
			if !s.From.Equal(at) || !s.To.After(s.From) {
				t.Errorf("day %d: a span from %s to %s after %s", i, s.From, s.To, at)
			}
			at = s.To
		}
		if !at.Equal(d.To) || i > 0 && !w.Days[i-1].To.Equal(d.From) {
			t.Errorf("day %d from %s to %s is covered until %s", i, d.From, d.To, at)
		}
	}
}

func TestTheWeekOfAnEnvironment(t *testing.T) {
	t.Parallel()
	storetest.Each(t, migrations, func(t *testing.T, db *store.DB) {
		w := newWorld(t)
		h := open(t, db, w, options{})
		defer h.stop()
		h.is(environments.Up)
		week := h.week(noon)
		whole(t, week)
		if got := week.Days[0].From; !got.Equal(at("2026-06-14T23:00:00Z")) { // midnight of Monday in London
			t.Errorf("the week begins at %s", got)
		}
		wednesday := week.Days[2]
		if len(wednesday.Spans) != 3 || wednesday.Spans[1].State != schedule.On || !wednesday.Spans[1].From.Equal(at("2026-06-17T06:00:00Z")) || !wednesday.Spans[1].To.Equal(dusk) {
			t.Errorf("Wednesday is %+v", wednesday.Spans)
		}
		if got := week.Days[6].Spans; len(got) != 1 || got[0].State != schedule.Off {
			t.Errorf("Sunday is %+v", got)
		}

		if _, err := h.Keep(as("ana"), "dev", environments.Wish{State: schedule.On, Until: night, Reason: "load test"}); err != nil {
			t.Fatal(err)
		}
		spans := h.week(noon).Days[2].Spans
		kept := spans[len(spans)-2]
		if kept.Rule != schedule.ByOverride || !kept.From.Equal(noon) || !kept.To.Equal(night) {
			t.Errorf("the wish is the span %+v of %+v", kept, spans)
		}
		if err := h.Unkeep(as("ana"), "dev"); err != nil {
			t.Fatal(err)
		}

		w.clock.Set(dusk)
		h.is(environments.Down)
		w.clock.Set(dawn)
		h.is(environments.Up)
		week = h.week(noon)
		whole(t, week)
		if got := week.Days[2].Dark; len(got) != 1 || !got[0].From.Equal(dusk) || !got[0].To.Equal(week.Days[2].To) {
			t.Errorf("Wednesday was seen dark %+v", got)
		}
		if got := week.Days[3]; len(got.Dark) != 1 || !got.Dark[0].To.Equal(dawn) || len(got.Drills) != 1 || !got.Drills[0].At.Equal(dawn) || !got.Drills[0].Passed {
			t.Errorf("Thursday was seen dark %+v, with the drills %+v", got.Dark, got.Drills)
		}
		if err := db.View(t.Context(), func(tx *store.Tx) error {
			_, err := h.Week(t.Context(), tx, "nowhere", noon)
			return err
		}); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("the week of no environment: %v", err)
		}
	})
}

func TestAWeekInWhichClocksChangeIsShorterOrLonger(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t, migrations), newWorld(t), options{})
	defer h.stop()
	for day, want := range map[string]time.Duration{"2026-03-27T12:00:00Z": 23 * time.Hour, "2026-10-23T12:00:00Z": 25 * time.Hour, "2026-06-17T12:00:00Z": 24 * time.Hour} {
		week := h.week(at(day))
		whole(t, week)
		sunday := week.Days[6]
		if got := sunday.To.Sub(sunday.From); got != want {
			t.Errorf("the Sunday after %s has %s, want %s", day, got, want)
		}
		if length := week.Days[6].To.Sub(week.Days[0].From); length != 6*24*time.Hour+want {
			t.Errorf("the week of %s has %s", day, length)
		}
	}
}

func TestProductionIsOnAllWeek(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t, migrations), newWorld(t), options{})
	defer h.stop()
	if err := h.db.View(t.Context(), func(tx *store.Tx) error {
		w, err := h.Week(t.Context(), tx, "prod", noon)
		for _, d := range w.Days {
			if len(d.Spans) != 1 || d.Spans[0].Rule != schedule.ByProtection {
				t.Errorf("a day of production is %+v", d.Spans)
			}
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Go(as("ana"), "prod", cloud.Down, environments.Press{}); nightporter.CodeOf(err) != nightporter.Protected {
		t.Errorf("production was torn down: %v", err)
	}
}
