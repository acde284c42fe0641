package policy

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

// productActions is what the product can be asked to do, with the paths of
// docs/design.md, section 5, and who may by role alone.
func productActions() []struct {
	act   nightporter.Action
	roles string
} {
	type row = struct {
		act   nightporter.Action
		roles string
	}
	const all = "viewer developer owner operator"
	sudo := do("update", "sys/leases/revoke-prefix/database")
	sudo.Sudo = true
	ofLookup := do("list", "sys/leases/lookup/database/creds/ledger")
	ofLookup.Sudo = true
	return []row{
		{do("read", "api/board"), all},
		{do("list", "api/services"), all},
		{do("read", "api/services/ledger"), all},
		{do("read", "api/services/ledger/dora"), all},
		{do("read", "api/releases/42"), all},
		{do("read", "api/versions"), all},
		{do("read", "api/runs/7"), all},
		{do("read", "api/environments/dev/schedule"), all},
		{do("read", "api/audit"), all},
		{do("read", "api/audit/checkpoint"), all},
		{do("update", "api/services/ledger/deploy"), "developer owner operator"},
		{do("update", "api/services/billing/deploy"), "developer operator"},
		{do("update", "api/releases/ledger/dev/retry"), "developer owner operator"},
		{do("update", "api/releases/ledger/dev/promote"), "developer owner operator"},
		{do("update", "api/releases/billing/dev/promote"), "developer operator"},
		{do("update", "api/releases/ledger/prod/promote"), "owner operator"},
		{do("update", "api/releases/ledger/prod/approve"), "owner operator"},
		{do("update", "api/releases/ledger/prod/reject"), "owner operator"},
		{do("update", "api/releases/ledger/prod/rollback"), "owner operator"},
		{do("update", "api/releases/billing/prod/approve"), "operator"},
		{do("update", "api/services/ledger/hold"), "owner operator"},
		{do("delete", "api/services/ledger/hold"), "owner operator"},
		{do("update", "api/services/billing/hold"), "operator"},
		{do("update", "api/environments/dev/keep"), "developer operator"},
		{do("delete", "api/environments/dev/keep"), "developer operator"},
		{do("update", "api/environments/dev/up"), "developer operator"},
		{do("update", "api/environments/dev/down"), "operator"},
		{do("update", "api/environments/dev/drill"), "developer operator"},
		{do("update", "api/environments/prod/keep"), "operator"},
		{do("update", "api/freezes/prod"), "operator"},
		{do("delete", "api/freezes/prod"), "operator"},
		{do("update", "api/freezes/prod/override"), "operator"},
		{do("list", "api/freezes"), all},
		{do("update", "api/services/ledger/artifacts"), "owner operator"},
		{do("update", "api/services/billing/artifacts"), "operator"},
		{do("update", "api/dora/rebuild"), "operator"},
		{do("list", "api/services/ledger/incidents"), all},
		{do("update", "api/services/ledger/incidents"), "developer operator"},
		{do("update", "api/services/ledger/incidents/inc_1/close"), "developer operator"},
		{do("update", "api/runs/7/cancel"), "operator"},
		{do("create", "api/repos/plan"), "operator"},
		{do("update", "api/repos/plans/p1/apply"), "operator"},
		{do("update", "api/repos/plans/p1/undo"), "operator"},
		{do("update", "sys/leases/revoke"), "operator"},
		{do("update", "sys/leases/revoke/database/creds/ledger/abc"), "owner"},
		{do("update", "sys/leases/revoke/database/creds/billing/abc"), ""},
		{do("update", "sys/leases/revoke/database/creds/ledger-other/abc"), ""},
		{ofLookup, "owner operator"},
		{do("read", "api/security/posture"), all},
		{do("list", "api/security/findings"), "developer owner operator"},
		{do("read", "api/security/findings/ledger"), "developer owner operator"},
		{do("update", "api/security/findings/ledger/accept"), "owner operator"},
		{do("update", "api/security/findings/billing/accept"), "operator"},
		{do("update", "api/security/findings/-/triage"), "operator"},
		{do("list", "api/security/risks"), "developer owner operator"},
		{do("update", "api/security/risks"), "developer owner operator"},
		{do("update", "api/security/risks/approve"), "owner operator"},
		{do("update", "api/services/ledger/sarif"), "owner operator"},
		{do("update", "api/services/billing/sarif"), "operator"},
		{sudo, "operator"},
		{do("update", "api/policies/dev"), ""},
		{do("read", "api/policies/dev"), ""},
		{do("create", "api/tokens"), ""},
		{do("update", "sys/policies/acl/dev"), ""},
		{do("update", "auth/token/create"), ""},
		{do("update", "sys/seal"), ""},
		{do("read", "secret/data/ledger"), ""},
		{do("read", "database/creds/ledger"), ""},
	}
}

func bundleSet(t *testing.T) *Set {
	t.Helper()
	bundles, err := Bundles(BundleConfig{
		NonProduction: []string{"preprod", "dev"},
		Owners:        map[string][]string{"team-payments": {"ledger", "gateway"}, "Team-Empty": nil},
		Credentials:   map[string][]string{"ledger": {"database/creds/ledger"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := newSet(t, Config{})
	for _, b := range bundles {
		put(t, s, b.Name, b.Text)
		if b.Summary == "" {
			t.Errorf("%s has no summary", b.Name)
		}
	}
	return s
}

func TestBundlesGrantEachRoleItsButtons(t *testing.T) {
	t.Parallel()
	s := bundleSet(t)
	if diff := cmp.Diff([]string{"developer", "operator", "service-owner-team-empty", "service-owner-team-payments", "viewer"}, s.Names()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	roles := map[string]string{
		"viewer": ViewerName, "developer": DeveloperName, "owner": OwnerName("team-payments"), "operator": OperatorName,
	}
	for _, row := range productActions() {
		for role, name := range roles {
			d := s.Decide(person(name), row.act)
			if want := strings.Contains(" "+row.roles+" ", " "+role+" "); d.Allowed != want {
				t.Errorf("%s, %s %s: %v (%s), want %v", role, row.act.Capability, row.act.Path, d.Allowed, d.Reason, want)
			}
		}
	}
}

// Only the most specific pattern counts, so a second role could take away what
// the first one gives. The bundles are written so that none does.
func TestBundlesNeverTakeAwayWhatAnotherOneGives(t *testing.T) {
	t.Parallel()
	s := bundleSet(t)
	put(t, s, DefaultName, DefaultText)
	for _, a := range s.Names() {
		for _, b := range s.Names() {
			for _, row := range productActions() {
				alone := s.Decide(person(a), row.act).Allowed || s.Decide(person(b), row.act).Allowed
				if both := s.Decide(person(a, b), row.act).Allowed; both != alone {
					t.Errorf("%s with %s, %s %s: %v, alone %v", a, b, row.act.Capability, row.act.Path, both, alone)
				}
			}
		}
	}
}

func TestBundlesRefuseNamesThatArePathSyntax(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"*", "+", "a/b", "", "..", "a\"b", "a${b}", "a\nb", "a,b", "{{identity.entity.name}}"} {
		for _, c := range []BundleConfig{
			{NonProduction: []string{name}},
			{Owners: map[string][]string{name: {"ledger"}}},
			{Owners: map[string][]string{"team": {name}}},
		} {
			if b, err := Bundles(c); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%q: got %d bundles, %v; want invalid", name, len(b), err)
			}
		}
	}
}

// A catalog with a thousand services may belong to one team: what follows from it is
// not bounded like a policy that somebody sends.
func TestBundlesOfATeamWithAThousandServicesAreRead(t *testing.T) {
	t.Parallel()
	c := BundleConfig{Owners: map[string][]string{}, Credentials: map[string][]string{}}
	for i := range 1000 {
		name := fmt.Sprintf("service-with-a-long-name-%04d", i)
		c.Owners["everything"] = append(c.Owners["everything"], name)
		c.Credentials[name] = []string{"database/creds/" + name}
	}
	bundles, err := Bundles(c)
	if err != nil {
		t.Fatal(err)
	}
	s := newSet(t, Config{})
	for _, b := range bundles {
		p, err := b.Parse()
		if err != nil {
			t.Fatalf("%s, %d bytes: %v", b.Name, len(b.Text), err)
		}
		s.Replace(p)
	}
	if d := s.Decide(person(OwnerName("everything")), do("update", "api/releases/service-with-a-long-name-0999/prod/approve")); !d.Allowed {
		t.Errorf("the owner of the last service may not approve: %s", d.Reason)
	}
	if _, err := Parse("mine", bundles[len(bundles)-1].Text); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("got %v, want invalid: from outside such a text is refused", err)
	}
}

func TestBundlesRefuseTeamsThatWouldShareAPolicy(t *testing.T) {
	t.Parallel()
	_, err := Bundles(BundleConfig{Owners: map[string][]string{"Payments": {"a"}, "payments": {"b"}}})
	if nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("%v, want invalid", err)
	}
}

func TestDefaultLetsATokenLookAfterItselfOnly(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{Identity: func(nightporter.Actor) Identity { return Identity{ID: "e1", Name: "ana"} }})
	put(t, s, DefaultName, DefaultText)
	put(t, s, WrappingName, WrappingText)
	for _, c := range []struct {
		policy string
		act    nightporter.Action
		want   bool
	}{
		{DefaultName, do("read", "auth/token/lookup-self"), true},
		{DefaultName, do("update", "auth/token/renew-self"), true},
		{DefaultName, do("update", "auth/token/revoke-self"), true},
		{DefaultName, do("update", "sys/capabilities-self"), true},
		{DefaultName, do("read", "sys/internal/ui/resultant-acl"), true},
		{DefaultName, do("update", "sys/leases/renew"), true},
		{DefaultName, do("update", "sys/leases/lookup"), true},
		{DefaultName, do("create", "cubbyhole/a/b"), true},
		{DefaultName, do("list", "cubbyhole"), true},
		{DefaultName, do("update", "sys/wrapping/wrap"), true},
		{DefaultName, do("update", "sys/wrapping/lookup"), true},
		{DefaultName, do("update", "sys/wrapping/unwrap"), true},
		{DefaultName, do("read", "identity/entity/id/e1"), true},
		{DefaultName, do("read", "identity/entity/name/ana"), true},
		{DefaultName, do("read", "identity/entity/name/ben"), false},
		{DefaultName, do("update", "auth/token/create"), false},
		{DefaultName, do("update", "auth/token/lookup"), false},
		{DefaultName, do("update", "sys/leases/revoke"), false},
		{DefaultName, do("read", "api/board"), false},
		{WrappingName, do("read", "cubbyhole/response"), true},
		{WrappingName, do("update", "sys/wrapping/unwrap"), true},
		{WrappingName, do("read", "cubbyhole/other"), false},
		{WrappingName, do("read", "auth/token/lookup-self"), false},
	} {
		if d := s.Decide(person(c.policy), c.act); d.Allowed != c.want {
			t.Errorf("%s, %s %s: %v (%s), want %v", c.policy, c.act.Capability, c.act.Path, d.Allowed, d.Reason, c.want)
		}
	}
}
