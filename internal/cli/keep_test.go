package cli

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// granted is an answer to a renewal: seconds, or an error.
type granted struct {
	seconds int64
	err     error
}

func TestALeaseIsRenewedAtHalfItsLife(t *testing.T) {
	t.Parallel()
	away := nightporter.E(nightporter.Unavailable, "nothing answers")
	for _, tt := range []struct {
		name    string
		answers []granted // the last one for ever
		for_    time.Duration
		asked   []string
		warned  []string
	}{
		{"again and again", []granted{{3600, nil}}, 100 * time.Minute, []string{"30m0s", "1h0m0s", "1h30m0s"}, nil},
		{
			"until its maximum",
			[]granted{{3600, nil}, {1805, nil}},
			5 * time.Hour,
			[]string{"30m0s", "1h0m0s"},
			[]string{"the login has met its maximum"},
		},
		{
			"after a failure soon",
			[]granted{{0, away}, {0, away}, {3600, nil}},
			37 * time.Minute,
			[]string{"30m0s", "33m0s", "36m0s"},
			[]string{"the login was not renewed and is tried again: nothing answers", "the login is renewed again"},
		},
		{
			"not after a refusal",
			[]granted{{0, nightporter.E(nightporter.Invalid, "lease not found")}},
			5 * time.Hour,
			[]string{"30m0s"},
			[]string{"the login cannot be renewed any more: lease not found"},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.for_)
				defer cancel()
				began := time.Now()
				var asked, warned []string
				answers := tt.answers
				k := keeper{
					life: time.Hour, warn: func(s string) { warned = append(warned, s) },
					renew: func(context.Context) (*client.Secret, error) {
						asked = append(asked, time.Since(began).String())
						a := answers[0]
						if len(answers) > 1 {
							answers = answers[1:]
						}
						return &client.Secret{LeaseDuration: a.seconds}, a.err
					},
				}
				if why := k.run(ctx); why != "" {
					warned = append(warned, why)
				}
				if diff := cmp.Diff(tt.asked, asked); diff != "" {
					t.Errorf("asked (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(tt.warned, warned); diff != "" {
					t.Errorf("warned (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestALeaseThatCannotBeKeptGetsASuccessor(t *testing.T) {
	t.Parallel()
	gone := nightporter.E(nightporter.Invalid, "invalid lease")
	for _, tt := range []struct {
		name  string
		fixed bool
		look  func(since time.Duration) error
		for_  time.Duration // 0 is as long as it takes
		why   string
		after time.Duration
	}{
		{"in its last quarter when it cannot be renewed", true, nil, 0, "the login has met its maximum", 45 * time.Minute},
		{
			"soon after somebody revoked it", false,
			func(since time.Duration) error {
				if since > 3*time.Minute {
					return gone
				}
				return nil
			},
			0, "the login was taken away", 3*time.Minute + watchEvery,
		},
		{
			"not because the server could not be asked", true,
			func(time.Duration) error { return nightporter.E(nightporter.Unavailable, "nothing answers") },
			0, "the login has met its maximum", 45 * time.Minute,
		},
		{
			"not because looking is not allowed", true,
			func(time.Duration) error { return nightporter.E(nightporter.Denied, "permission denied") },
			0, "the login has met its maximum", 45 * time.Minute,
		},
		{"not after the command ended", true, nil, time.Minute, "", time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if tt.for_ > 0 {
					ctx, cancel = context.WithTimeout(t.Context(), tt.for_)
				}
				defer cancel()
				began := time.Now()
				k := keeper{life: time.Hour, fixed: tt.fixed, warn: func(s string) { t.Errorf("warned: %s", s) }}
				if tt.look != nil {
					k.look = func(context.Context) error { return tt.look(time.Since(began)) }
				}
				why := k.run(ctx)
				if took := time.Since(began); why != tt.why || took != tt.after {
					t.Errorf("got %q after %s, want %q after %s", why, took, tt.why, tt.after)
				}
			})
		})
	}
}

func TestWherePsqlGoesIsReadOffTheAddress(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"postgresql://{{username}}:{{password}}@db:5432/ledger?sslmode=require": {"PGUSER=ana", "PGPASSWORD=p", "PGHOST=db", "PGPORT=5432", "PGDATABASE=ledger", "PGSSLMODE=require"},
		"postgres://root:*****@db/ledger":                                       {"PGUSER=ana", "PGPASSWORD=p", "PGHOST=db", "PGDATABASE=ledger"},
		"host=db port=5433 user={{username}} password={{password}} dbname=x":    {"PGUSER=ana", "PGPASSWORD=p", "PGHOST=db", "PGPORT=5433", "PGDATABASE=x"},
		"{{username}}:{{password}}@tcp(db:3306)/ledger":                         nil,
		"": nil,
	} {
		if diff := cmp.Diff(want, psqlEnv(login{Username: "ana", Password: "p", ConnectionURL: address})); diff != "" {
			t.Errorf("%q (-want +got):\n%s", address, diff)
		}
	}
}
