// Package databasetest is the conformance suite of provider/database: what every
// implementation must do, whatever database it talks to.
//
// An implementation's test hands in a [Harness] and calls [Run]. What the database
// holds is asked through a [Judge], which must not be the implementation itself: a
// connection of the test's own, made by other means.
package databasetest

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// Judge says what is true in the database.
type Judge interface {
	// Logins are the names of all logins and groups.
	Logins(t testing.TB) []string
	// Login tries a name and a password.
	Login(username, password string) error
	// Hold opens a session of a login and returns how to find out that the server
	// ended it.
	Hold(t testing.TB, username, password string) (alive func() bool)
}

// Harness is one implementation with a server behind it.
type Harness struct {
	// Config connects as an administrator.
	Config database.Config
	// Open is the implementation's constructor.
	Open func(database.Config) (database.Database, error)
	// Judge is asked about the same server.
	Judge Judge
	// Creation makes a login.
	Creation []string
	// Quotes are around a name in a statement: `"` or `'`.
	Quotes string
}

func (h Harness) open(t testing.TB) database.Database {
	t.Helper()
	db, err := h.Open(h.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// Run runs the suite. Start is called once.
func Run(t *testing.T, start func(t testing.TB) Harness) {
	h := start(t)
	for name, test := range map[string]func(*testing.T, Harness){
		"a created login can log in, with its password only":          createdLoginsWork,
		"it tells the sessions of a login, and of no other":           sessionsAreTold,
		"a creation that fails half way leaves nothing":               halfCreationsLeaveNothing,
		"statements that make another login are refused":              otherNamesAreRefused,
		"creating what is there already is a conflict and harms none": creatingTwice,
		"names that could be read as SQL are refused":                 wildNamesAreRefused,
		"no error holds the password":                                 errorsHoldNoPassword,
		"a renewed login goes on, and a missing one is not found":     renewing,
		"a revoked login is gone, and its sessions with it":           revoking,
		"revoking many answers for each in order":                     revokingMany,
		"revoking what was never there is gone":                       revokingNothing,
		"the connection's own login cannot be revoked":                revokingOneself,
		"own revocation statements replace the default":               ownRevocation,
		"a login that survives its own statements is disabled":        survivingLoginsAreDisabled,
		"one login that cannot be revoked does not hold up others":    oneBadStatement,
		"a changed password replaces the old one":                     changingPasswords,
		"an existing login of any name can get a password":            changingWildNames,
		"inventory lists each login as the database has it":           inventory,
		"a wrong administrator is denied":                             wrongAdministrator,
		"settling what nobody changes is nothing":                     settling,
		"a cancelled call is an error and leaves nothing":             cancelled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, h)
		})
	}
}

// Name makes a name that no other test uses.
func Name() string { return "dbt-" + strings.ToLower(rand.Text()[:12]) }

// NewPassword is the default generator, for tests.
func NewPassword(t testing.TB) string {
	t.Helper()
	p, err := database.Password()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// made makes a login that is revoked at the end.
func made(t testing.TB, h Harness, db database.Database) (name, password string) {
	t.Helper()
	name, password = Name(), NewPassword(t)
	cleanUp(t, h, name)
	if err := db.CreateUser(t.Context(), h.create(name, password)); err != nil {
		t.Fatalf("creating %s: %v", name, err)
	}
	return name, password
}

func (h Harness) create(name, password string) database.Create {
	return database.Create{Username: name, Password: password, Expiration: time.Now().Add(time.Hour), Statements: h.Creation}
}

// cleanUp revokes whatever is left of a login, and fails the test if that is not
// possible: the servers are shared.
func cleanUp(t testing.TB, h Harness, names ...string) {
	t.Helper()
	t.Cleanup(func() {
		db, err := h.Open(h.Config)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var users []database.Revoke
		for _, name := range names {
			users = append(users, database.Revoke{Username: name})
		}
		for _, o := range db.RevokeUsers(context.Background(), users) {
			if o.State != database.Gone {
				t.Errorf("cleaning up %s: %s: %s (%v)", o.Username, o.State, o.Reason, o.Err)
			}
		}
	})
}

func wantCode(t testing.TB, err error, want nightporter.Code) {
	t.Helper()
	if got := nightporter.CodeOf(err); got != want {
		t.Errorf("got code %q, want %q: %v", got, want, err)
	}
}

func wantLogin(t testing.TB, h Harness, name string, there bool) {
	t.Helper()
	if got := slices.Contains(h.Judge.Logins(t), name); got != there {
		t.Errorf("the database has login %s: %v, want %v", name, got, there)
	}
}

func wantStates(t testing.TB, outcomes []database.Outcome, want ...database.State) {
	t.Helper()
	var got []database.State
	for _, o := range outcomes {
		got = append(got, o.State)
		if (o.State == database.Gone) != (o.Err == nil) || (o.State == database.Gone) != (o.Reason == "") {
			t.Errorf("%s is %s with reason %q and error %v", o.Username, o.State, o.Reason, o.Err)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("states (-want +got):\n%s\n%s", diff, Describe(outcomes))
	}
}

// Describe prints outcomes for a failure message.
func Describe(outcomes []database.Outcome) string {
	var b strings.Builder
	for _, o := range outcomes {
		fmt.Fprintf(&b, "%s: %s: %s (%v)\n", o.Username, o.State, o.Reason, o.Err)
	}
	return b.String()
}
