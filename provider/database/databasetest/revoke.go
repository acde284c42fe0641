package databasetest

import (
	"testing"

	"nightporter.dev/nightporter/provider/database"
)

func revoking(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	alive := h.Judge.Hold(t, name, password)
	if !alive() {
		t.Fatal("the session ended by itself")
	}
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name}}), database.Gone)
	wantLogin(t, h, name, false)
	if err := h.Judge.Login(name, password); err == nil {
		t.Error("the password still works")
	}
	if alive() {
		t.Error("the session is still there")
	}

	t.Run("unless sessions are to be kept", func(t *testing.T) {
		h.Config.KeepSessions = true
		db := h.open(t)
		name, password := made(t, h, db)
		alive := h.Judge.Hold(t, name, password)
		wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name}}), database.Gone)
		if !alive() {
			t.Error("the session was ended")
		}
	})
}

func revokingMany(t *testing.T, h Harness) {
	db := h.open(t)
	var users []database.Revoke
	var want []database.State
	for range 7 {
		name, _ := made(t, h, db)
		users = append(users, database.Revoke{Username: name}, database.Revoke{Username: Name()})
		want = append(want, database.Gone, database.Gone)
	}
	outcomes := db.RevokeUsers(t.Context(), users)
	wantStates(t, outcomes, want...)
	for i, o := range outcomes {
		if o.Username != users[i].Username {
			t.Errorf("answer %d is for %s, want %s", i, o.Username, users[i].Username)
		}
		wantLogin(t, h, o.Username, false)
	}
}

func revokingNothing(t *testing.T, h Harness) {
	db := h.open(t)
	wantStates(t, db.RevokeUsers(t.Context(), nil))
	name, _ := made(t, h, db)
	for range 2 {
		wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name}}), database.Gone)
	}
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name}, {Username: name}}), database.Gone, database.Gone)
}

func revokingOneself(t *testing.T, h Harness) {
	db := h.open(t)
	name, _ := made(t, h, db)
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: h.Config.Username}, {Username: name}}), database.Failed, database.Gone)
	if err := h.Judge.Login(h.Config.Username, h.Config.Password); err != nil {
		t.Errorf("the administrator: %v", err)
	}
}

func ownRevocation(t *testing.T, h Harness) {
	db := h.open(t)
	name, _ := made(t, h, db)
	own := []string{"DROP USER " + h.Quotes + "{{name}}" + h.Quotes}
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name, Statements: own}}), database.Gone)
	wantLogin(t, h, name, false)
}

func survivingLoginsAreDisabled(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	alive := h.Judge.Hold(t, name, password)
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name, Statements: []string{"SELECT 1"}}}), database.Disabled)
	if err := h.Judge.Login(name, password); err == nil {
		t.Error("the password still works")
	}
	if alive() {
		t.Error("the session is still there")
	}
	wantLogin(t, h, name, true)
}

func oneBadStatement(t *testing.T, h Harness) {
	db := h.open(t)
	first, _ := made(t, h, db)
	bad, password := made(t, h, db)
	last, _ := made(t, h, db)
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{
		{Username: first}, {Username: bad, Statements: []string{"NONSENSE"}}, {Username: last},
	}), database.Gone, database.Disabled, database.Gone)
	if err := h.Judge.Login(bad, password); err == nil {
		t.Error("the password of the one that failed still works")
	}
}
