package databasetest

import (
	"context"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

func createdLoginsWork(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	wantLogin(t, h, name, true)
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("logging in: %v", err)
	}
	if err := db.Try(t.Context(), name, password); err != nil {
		t.Errorf("trying the right password: %v", err)
	}
	wantCode(t, db.Try(t.Context(), name, password+"x"), nightporter.Denied)
	wantCode(t, db.Try(t.Context(), Name(), password), nightporter.Denied)
	if exists, err := db.Exists(t.Context(), name); err != nil || !exists {
		t.Errorf("exists: %v, %v", exists, err)
	}
}

func halfCreationsLeaveNothing(t *testing.T, h Harness) {
	db := h.open(t)
	for _, broken := range []string{"NONSENSE", "GRANT no_such_group_of_anybody TO " + h.Quotes + "{{name}}" + h.Quotes} {
		c := h.create(Name(), NewPassword(t))
		c.Statements = append(append([]string{}, h.Creation...), broken)
		err := db.CreateUser(t.Context(), c)
		wantCode(t, err, nightporter.Invalid)
		wantLogin(t, h, c.Username, false)
	}
	c := h.create(Name(), NewPassword(t))
	c.Statements = nil
	wantCode(t, db.CreateUser(t.Context(), c), nightporter.Invalid)
}

func otherNamesAreRefused(t *testing.T, h Harness) {
	db := h.open(t)
	other := Name()
	cleanUp(t, h, other)
	c := h.create(Name(), NewPassword(t))
	c.Statements = nil
	for _, s := range h.Creation {
		c.Statements = append(c.Statements, strings.ReplaceAll(s, "{{name}}", other))
	}
	wantCode(t, db.CreateUser(t.Context(), c), nightporter.Invalid)
	wantLogin(t, h, c.Username, false)
}

func creatingTwice(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	wantCode(t, db.CreateUser(t.Context(), h.create(name, NewPassword(t))), nightporter.Conflict)
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("the first login does not work any more: %v", err)
	}
}

// wildNames are names of security.md R19: quotes, NUL, other scripts, comments and
// names that a database would cut.
func wildNames() []string {
	return []string{
		"", `a"b`, "a'b", "a`b", `a\b`, "a\x00b", "a;b", "a--b", "a/*b", "a b", "ünï", "имя", "a\nb", "{{name}}", "$$", "%s",
		`x" SUPERUSER; --`, `x'; DROP TABLE t; --`, strings.Repeat("a", 64), strings.Repeat("é", 40),
	}
}

func wildNamesAreRefused(t *testing.T, h Harness) {
	db := h.open(t)
	for _, name := range wildNames() {
		wantCode(t, db.CreateUser(t.Context(), h.create(name, NewPassword(t))), nightporter.Invalid)
		if exists, err := db.Exists(t.Context(), name); err != nil || exists {
			t.Errorf("exists(%q): %v, %v", name, exists, err)
		}
		wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: name}}), database.Gone)
		wantCode(t, db.RenewUser(t.Context(), database.Renew{Username: name}), nightporter.NotFound)
		wantCode(t, db.ChangePassword(t.Context(), database.Change{Username: name, Password: "p"}), nightporter.NotFound)
		if err := db.Settle(t.Context(), name); err != nil {
			t.Errorf("settle(%q): %v", name, err)
		}
	}
	for _, login := range h.Judge.Logins(t) {
		if login != "" && slices.Contains(wildNames(), login) {
			t.Errorf("the database has a login %q", login)
		}
	}
}

func errorsHoldNoPassword(t *testing.T, h Harness) {
	db := h.open(t)
	const password = "hunter2-Abcdef-XyZ99876"
	for _, statement := range []string{
		"NONSENSE '{{password}}'",
		"CREATE {{password}} NONSENSE",
		"NONSENSE '{{password}}' " + strings.Repeat("x ", 40) + "'{{password}}'",
	} {
		c := h.create(Name(), password)
		c.Statements = []string{statement}
		err := db.CreateUser(t.Context(), c)
		if err == nil {
			t.Fatalf("%s worked", statement)
		}
		for _, text := range []string{err.Error(), nightporter.MessageOf(err), nightporter.HintOf(err)} {
			for _, piece := range []string{password, "hunter2", "Abcdef", "XyZ99876"} {
				if strings.Contains(text, piece) {
					t.Errorf("the error of %s holds %q: %s", statement, piece, text)
				}
			}
		}
	}
	err := db.Try(t.Context(), Name(), password)
	if err == nil || strings.Contains(err.Error(), password) {
		t.Errorf("trying: %v", err)
	}
}

func cancelled(t *testing.T, h Harness) {
	db := h.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := h.create(Name(), NewPassword(t))
	cleanUp(t, h, c.Username)
	wantCode(t, db.CreateUser(ctx, c), nightporter.Unavailable)
	wantLogin(t, h, c.Username, false)
	name, password := made(t, h, db)
	wantStates(t, db.RevokeUsers(ctx, []database.Revoke{{Username: name}}), database.Failed)
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("a revocation that never began: %v", err)
	}
}
