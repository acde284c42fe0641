package databasetest

import (
	"context"
	"testing"

	"nightporter.dev/nightporter/provider/database"
)

// sessionsAreTold is for implementations that can tell; the others pass.
func sessionsAreTold(t *testing.T, h Harness) {
	db := h.open(t)
	lister, ok := db.(database.SessionLister)
	if !ok {
		t.Skip("this one does not tell sessions")
	}
	name, password := made(t, h, db)
	other, otherPassword := made(t, h, db)
	sessions := func(name string) []database.Session {
		t.Helper()
		list, err := lister.Sessions(context.Background(), name)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if got := sessions(name); len(got) != 0 {
		t.Errorf("a login that nobody used has %+v", got)
	}
	h.Judge.Hold(t, name, password)
	h.Judge.Hold(t, other, otherPassword)
	got := sessions(name)
	if len(got) != 1 || got[0].ID == "" {
		t.Fatalf("a login with one session has %+v", got)
	}
	if theirs := sessions(other); len(theirs) != 1 {
		t.Errorf("the other login has %+v", theirs)
	}
	for _, stranger := range []string{name + "x", "' OR 1 = 1 -- ", "a\x00b", ""} {
		if got := sessions(stranger); len(got) != 0 {
			t.Errorf("a login %q has %+v", stranger, got)
		}
	}
}
