package app

import (
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/secrets/database"
	"nightporter.dev/nightporter/security"
)

func TestWhatADatabaseProves(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	seen := database.Status{Database: "database/ledger", Logins: 3, Compared: now.Add(-time.Hour)}
	rotated := audit.Entry{Seq: 7, At: now.Add(-24 * time.Hour), Action: "database.rotate", Actor: nightporter.Actor{Name: "ana"}}
	with := func(change func(*database.Proof)) database.Proof {
		p := database.Proof{Status: seen, Standing: []string{"owner"}}
		change(&p)
		return p
	}
	for _, tc := range []struct {
		name    string
		proof   database.Proof
		rotated audit.Entry
		want    map[string]security.State
		says    string
	}{
		{"all is well", with(func(*database.Proof) {}), rotated, map[string]security.State{"C2": "pass", "C3": "pass", "C4": "pass"}, "audit entry 7"},
		{"a login that nobody leases", with(func(p *database.Proof) { p.Standing = append(p.Standing, "eve") }), rotated, map[string]security.State{"C2": "fail", "C3": "pass"}, "1 logins that nobody leases: eve"},
		{
			"a login that outlives its lease", with(func(p *database.Proof) { p.Overdue, p.Trouble = 2, "refused" }), rotated,
			map[string]security.State{"C3": "fail"},
			"2 logins of database/ledger outlive their lease: refused",
		},
		{"a lease that is too long", with(func(p *database.Proof) { p.TooLong = 1 }), rotated, map[string]security.State{"C3": "fail"}, "later than their maximum"},
		{"a list that nobody read", with(func(p *database.Proof) { p.Compared = time.Time{} }), rotated, map[string]security.State{"C2": "unknown"}, "have not been listed"},
		{"a database that sleeps", with(func(p *database.Proof) { p.Dark = true }), rotated, map[string]security.State{"C2": "n.a.", "C3": "n.a."}, "down with its environment"},
		{"a password that somebody knows", with(func(*database.Proof) {}), audit.Entry{}, map[string]security.State{"C4": "fail"}, "never changed by the porter"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			all := ""
			for _, c := range ofDatabase("service/ledger", tc.proof, []string{"owner"}, tc.rotated, now) {
				all += c.Proof + " " + c.Event + "\n"
				if want := tc.want[c.Check]; want != "" && c.State != want {
					t.Errorf("%s is %s: %s; want %s", c.Check, c.State, c.Proof, want)
				}
			}
			if !strings.Contains(all, tc.says) {
				t.Errorf("got\n%swant %q", all, tc.says)
			}
		})
	}
}

func TestWhatAnInventoryProves(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	declared := cloud.Resource{ID: "1", Kind: "process", Component: "api", Environment: "dev"}
	for name, tc := range map[string]struct {
		resource cloud.Resource
		want     security.State
	}{
		"what belongs to a component": {declared, security.Pass},
		"what belongs to none":        {cloud.Resource{ID: "2", Kind: "process", Environment: "dev"}, security.Fail},
		"what says it is another's":   {cloud.Resource{ID: "3", Kind: "process", Component: "api", Environment: "prod"}, security.Fail},
		"what is kept on purpose":     {cloud.Resource{ID: "4", Kind: "disk", Kept: true}, security.Pass},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c := undeclared("dev", []cloud.Resource{declared, tc.resource}, now); c.State != tc.want {
				t.Errorf("got %s: %s; want %s", c.State, c.Proof, tc.want)
			}
		})
	}
}
