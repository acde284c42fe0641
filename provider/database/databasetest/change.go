package databasetest

import (
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

func renewing(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	if err := db.RenewUser(t.Context(), database.Renew{Username: name, Expiration: time.Now().Add(2 * time.Hour)}); err != nil {
		t.Errorf("renewing: %v", err)
	}
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
	wantCode(t, db.RenewUser(t.Context(), database.Renew{Username: Name(), Expiration: time.Now()}), nightporter.NotFound)
}

func changingPasswords(t *testing.T, h Harness) {
	db := h.open(t)
	name, old := made(t, h, db)
	for _, password := range []string{NewPassword(t), `q'u"o\te` + "`s;--{{name}}$$%s", "short"} {
		if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: password}); err != nil {
			t.Fatalf("changing to %q: %v", password, err)
		}
		if err := h.Judge.Login(name, password); err != nil {
			t.Errorf("the new password %q: %v", password, err)
		}
		if err := h.Judge.Login(name, old); err == nil {
			t.Errorf("the old password %q still works", old)
		}
		old = password
	}
	wantCode(t, db.ChangePassword(t.Context(), database.Change{Username: Name(), Password: old}), nightporter.NotFound)
}

// changingWildNames is about logins that somebody else made: the administrator
// and the static roles. The suite makes one through a statement of its own.
func changingWildNames(t *testing.T, h Harness) {
	db := h.open(t)
	name, _ := made(t, h, db)
	own := []string{"ALTER USER " + h.Quotes + "{{username}}" + h.Quotes + " " + passwordClause(h) + " '{{password}}'"}
	const password = `it's "quoted" \ and $more`
	if err := db.ChangePassword(t.Context(), database.Change{Username: name, Password: password, Statements: own}); err != nil {
		t.Fatalf("own statements: %v", err)
	}
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("a password of any characters: %v", err)
	}
	unquoted := []string{"ALTER USER " + h.Quotes + "{{username}}" + h.Quotes + " " + passwordClause(h) + " {{password}}"}
	wantCode(t, db.ChangePassword(t.Context(), database.Change{Username: name, Password: password, Statements: unquoted}), nightporter.Invalid)
}

func passwordClause(h Harness) string {
	if h.Quotes == "'" {
		return "IDENTIFIED BY"
	}
	return "PASSWORD"
}

func inventory(t *testing.T, h Harness) {
	db := h.open(t)
	name, _ := made(t, h, db)
	logins, err := db.Inventory(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(logins, func(a, b database.Login) int { return slices.Compare([]byte(a.Name), []byte(b.Name)) }) {
		t.Error("not sorted by name")
	}
	find := func(name string) database.Login {
		i := slices.IndexFunc(logins, func(l database.Login) bool { return l.Name == name })
		if i < 0 {
			t.Fatalf("no %s in the inventory", name)
		}
		return logins[i]
	}
	if l := find(name); !l.CanLogin || l.Superuser {
		t.Errorf("a fresh login: %+v", l)
	}
	if l := find(h.Config.Username); !l.CanLogin || !l.Superuser {
		t.Errorf("the administrator: %+v", l)
	}
}

func wrongAdministrator(t *testing.T, h Harness) {
	if err := h.open(t).Verify(t.Context()); err != nil {
		t.Errorf("the right one: %v", err)
	}
	h.Config.Password = "not-the-Password-1"
	db := h.open(t)
	err := db.Verify(t.Context())
	wantCode(t, err, nightporter.Denied)
	wantStates(t, db.RevokeUsers(t.Context(), []database.Revoke{{Username: "somebody"}}), database.Failed)
}

func settling(t *testing.T, h Harness) {
	db := h.open(t)
	name, password := made(t, h, db)
	if err := db.Settle(t.Context(), name, Name()); err != nil {
		t.Errorf("settle: %v", err)
	}
	if err := db.Settle(t.Context()); err != nil {
		t.Errorf("settle of nothing: %v", err)
	}
	if err := h.Judge.Login(name, password); err != nil {
		t.Errorf("settling harmed a login: %v", err)
	}
}
