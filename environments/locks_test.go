package environments_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store/storetest"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

// TestLocks has one test for each of the locks that keep the night away. The judge
// is the far end: nothing was taken down.
func TestLocks(t *testing.T) {
	t.Parallel()
	with := func(change func(*mem.Definition)) []mem.Definition {
		parts := acme()
		change(&parts[2])
		return parts
	}
	settings := func(text string) func(*catalog.Environment) {
		return func(e *catalog.Environment) { e.Cloud.Settings = json.RawMessage(text) }
	}
	own := filepath.Join(t.TempDir(), "data")
	if err := os.MkdirAll(filepath.Join(own, "store"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string
		parts []mem.Definition
		o     options
		says  string
	}{
		{"3 a mark of another environment", with(func(d *mem.Definition) { d.Mark = "prod" }), options{}, "is marked as prod, not as dev"},
		{"4 a plan that is larger than expected", acme(), options{env: settings(`{"max_destroy": 3}`)}, "the plan destroys 4 resources, and at most 3 are expected"},
		{"5 something protected", with(func(d *mem.Definition) { d.Protected = true }), options{}, "is protected"},
		{"6 the process that we are", with(func(d *mem.Definition) { d.PID = os.Getpid() }), options{}, "a process that Nightporter runs in"},
		{"6 the process that started us", with(func(d *mem.Definition) { d.PID = os.Getppid() }), options{}, "a process that Nightporter runs in"},
		{
			"6 the folder that we keep our store in", with(func(d *mem.Definition) { d.Path = own }),
			options{self: environments.Self{Paths: []string{filepath.Join(own, "store", "nightporter.db")}}},
			"where Nightporter keeps nightporter.db",
		},
		{
			"6 the database that we store in", with(func(d *mem.Definition) { d.Address = "127.0.0.1:5432" }),
			options{self: environments.Self{Addresses: []string{"localhost:5432"}}},
			"what Nightporter stores in",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.cloud.Define("dev", "aaaaaaaa", tt.parts...)
			h := open(t, storetest.SQLite(t, migrations), w, tt.o)
			defer h.stop()
			h.is(environments.Up)
			w.cloud.Forget()
			w.clock.Set(dusk)
			d := h.until("refused", func(d *environments.Detail) bool { return d.Failures == 1 && d.Run == "" })
			if !strings.Contains(d.Message, tt.says) || d.State != environments.Up {
				t.Errorf("%s, and says %q, want %q", d.State, d.Message, tt.says)
			}
			if ledger := w.cloud.Ledger(); len(ledger) > 0 {
				t.Errorf("it did %v", ledger)
			}
			if !d.NotBefore.After(time.Now().Add(30 * time.Minute)) {
				t.Error("a lock does not open by itself: do not try again at once")
			}
			if n := count(h.events(), "DrillFailed"); n != 1 {
				t.Errorf("people are told %d times, want at once", n)
			}
		})
	}
	t.Run("1 production", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cloud.Define("prod", "", acme()...)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		if _, err := h.Go(as("ana"), "prod", cloud.Down, environments.Press{}); nightporter.CodeOf(err) != nightporter.Protected {
			t.Errorf("by hand: %v, want protected", err)
		}
		s := declared(nil)
		s.Environments[1].Schedule = catalog.Schedule{Windows: "Mon-Fri 07:00-21:00", Timezone: "Europe/London"}
		if _, err := new(catalog.Catalog).Load(s); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("by a schedule: %v, want the configuration refused", err)
		}
	})
	t.Run("2 an account that nobody allowed", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cloud.SetAccounts("aws:123456789012")
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		w.clock.Set(dusk)
		d := h.until("refused", func(d *environments.Detail) bool { return d.Failures == 1 && d.Run == "" })
		if !strings.Contains(d.Message, `touches "aws:123456789012"`) {
			t.Errorf("says %q", d.Message)
		}
		wantAlive(t, w, allParts()...)
	})
	t.Run("a limit is lifted once by hand", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		h := open(t, storetest.SQLite(t, migrations), w, options{env: settings(`{"max_destroy": 3}`)})
		defer h.stop()
		h.is(environments.Up)
		if _, err := h.Go(as("ana"), "dev", cloud.Down, environments.Press{Destroy: 4, Until: noon.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		h.is(environments.Down)
	})
	t.Run("a wish does not open one", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.cloud.Define("dev", "aaaaaaaa", with(func(d *mem.Definition) { d.Protected = true })...)
		h := open(t, storetest.SQLite(t, migrations), w, options{})
		defer h.stop()
		h.is(environments.Up)
		if _, err := h.Keep(as("ana"), "dev", environments.Wish{State: schedule.Off, Until: noon.Add(time.Hour), Reason: "x"}); err != nil {
			t.Fatal(err)
		}
		h.until("refused", func(d *environments.Detail) bool { return d.Failures == 1 && d.Run == "" })
		wantAlive(t, w, allParts()...)
	})
}
