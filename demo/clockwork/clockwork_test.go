package clockwork_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"nightporter.dev/nightporter/demo/clockwork"
)

func start(t *testing.T) *clockwork.Clock {
	t.Helper()
	c, err := clockwork.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func TestTheClockAnswersWhatNightporterReads(t *testing.T) {
	t.Parallel()
	c := start(t)
	if err := c.Run(60); err != nil {
		t.Fatal(err)
	}
	resp, err := http.Get(c.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var got struct {
		Now  time.Time
		Rate float64
	}
	if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
		t.Fatal(err)
	}
	if got.Rate != 60 || got.Now.IsZero() {
		t.Errorf("got %+v, want a time and the rate 60", got)
	}
}

func TestTheClockNeverGoesBack(t *testing.T) {
	t.Parallel()
	c := start(t)
	for _, err := range []error{c.Jump(-time.Second), c.Run(-1), c.Run(1e6)} {
		if err == nil {
			t.Error("it did what it must not")
		}
	}
	before := c.Now()
	for _, err := range []error{c.Run(3600), c.Run(0), c.Jump(4 * time.Hour), c.Run(1)} {
		if err != nil {
			t.Fatal(err)
		}
		after := c.Now()
		if after.Before(before) {
			t.Errorf("it showed %v and then %v", before, after)
		}
		before = after
	}
}

func TestAFastClockMakesAnHourOfASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c clockwork.Clock // without a server: synctest has no network
		if err := c.Run(3600); err != nil {
			t.Fatal(err)
		}
		before := c.Now()
		time.Sleep(2 * time.Second)
		if got := c.Now().Sub(before); got != 2*time.Hour {
			t.Errorf("two seconds took %v, want 2h", got)
		}
		if err := c.Jump(time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := c.Now().Sub(before); got != 3*time.Hour {
			t.Errorf("after the jump: %v, want 3h", got)
		}
	})
}
