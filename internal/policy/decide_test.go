package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

func do(c nightporter.Capability, path string) nightporter.Action {
	return nightporter.Action{Name: "test.act", Capability: c, Path: path}
}

func TestDecideNamesThePolicyThePatternAndTheReason(t *testing.T) {
	t.Parallel()
	policies := map[string]string{
		"dev": `
path "secret/*" { capabilities = ["read", "list"] }
path "secret/team/*" { capabilities = ["update"] required_parameters = ["owner"] }
path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }`,
		"ops": `
path "secret/*" { capabilities = ["update"] }
path "secret/prod/*" { capabilities = ["deny"] }
path "sys/audit" { capabilities = ["read"] }
path "wrapped" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "1h" }`,
	}
	acl := Compile(named(t, policies), Identity{}, epoch)
	sudo := func(a nightporter.Action) nightporter.Action { a.Sudo = true; return a }
	for _, c := range []struct {
		act  nightporter.Action
		req  Request
		want nightporter.Decision
	}{
		{do("read", "secret/a"), Request{}, nightporter.Decision{Allowed: true, Policy: "dev", Pattern: "secret/*", Reason: "policy dev grants read on secret/*"}},
		{do("update", "secret/a"), Request{}, nightporter.Decision{Allowed: true, Policy: "ops", Pattern: "secret/*", Reason: "policy ops grants update on secret/*"}},
		{do("delete", "secret/a"), Request{}, nightporter.Decision{Policy: "dev", Pattern: "secret/*", Reason: "policy dev rules secret/* and does not grant delete there"}},
		{do("read", "secret/prod/a"), Request{}, nightporter.Decision{Policy: "ops", Pattern: "secret/prod/*", Reason: "policy ops denies secret/prod/*"}},
		{do("update", "secret/team/a"), Request{}, nightporter.Decision{Policy: "dev", Pattern: "secret/team/*", Reason: "policy dev rules secret/team/* and demands the parameter owner"}},
		{do("update", "secret/team/a"), Request{Data: map[string]any{"owner": "ana"}}, nightporter.Decision{Allowed: true, Policy: "dev", Pattern: "secret/team/*", Reason: "policy dev grants update on secret/team/*"}},
		{sudo(do("list", "sys/leases/lookup/db")), Request{}, nightporter.Decision{Allowed: true, Policy: "dev", Pattern: "sys/leases/lookup/*", Reason: "policy dev grants list on sys/leases/lookup/*"}},
		{sudo(do("read", "sys/audit")), Request{}, nightporter.Decision{Policy: "ops", Pattern: "sys/audit", Reason: "policy ops rules sys/audit and does not grant sudo there"}},
		{do("read", "wrapped"), Request{}, nightporter.Decision{Policy: "ops", Pattern: "wrapped", Reason: "policy ops rules wrapped and asks for response wrapping"}},
		{do("read", "wrapped"), Request{WrapTTL: 2 * time.Hour}, nightporter.Decision{Policy: "ops", Pattern: "wrapped", Reason: "policy ops rules wrapped and allows response wrapping for at most 1h0m0s"}},
		{do("read", "wrapped"), Request{WrapTTL: time.Second}, nightporter.Decision{Policy: "ops", Pattern: "wrapped", Reason: "policy ops rules wrapped and asks for response wrapping for at least 1m0s"}},
		{do("read", "other"), Request{}, nightporter.Decision{Reason: "none of the policies dev, ops covers other"}},
		{do("deny", "secret/a"), Request{}, nightporter.Decision{Reason: "the action asks for no capability that a policy could grant"}},
		{do("", "secret/a"), Request{}, nightporter.Decision{Reason: "the action asks for no capability that a policy could grant"}},
		{do("read", "secret/../sys"), Request{}, nightporter.Decision{Reason: "the path has a segment of dots"}},
	} {
		if diff := cmp.Diff(c.want, acl.Decide(c.act, c.req)); diff != "" {
			t.Errorf("%s %s (-want +got)\n%s", c.act.Capability, c.act.Path, diff)
		}
	}
}

func named(t testing.TB, texts map[string]string) []*Policy {
	t.Helper()
	var policies []*Policy
	for name, text := range texts {
		p, err := Parse(name, text)
		if err != nil {
			t.Fatal(err)
		}
		policies = append(policies, p)
	}
	return policies
}

func TestReasonsNeverHoldAValue(t *testing.T) {
	t.Parallel()
	acl := compileTexts(t,
		`path "a" { capabilities = ["update"] allowed_parameters = { "x" = ["fine"] } }
path "b" { capabilities = ["update"] denied_parameters = { "x" = ["hunter2"] } }`)
	for _, path := range []string{"a", "b"} {
		d := acl.Decide(do("update", path), Request{Data: map[string]any{"x": "hunter2"}})
		if d.Allowed || strings.Contains(d.Reason, "hunter2") {
			t.Errorf("%s: %+v", path, d)
		}
	}
}

// Every action with a decision on it agrees with Capabilities: one index, two
// questions.
func TestDecideAgreesWithCapabilities(t *testing.T) {
	t.Parallel()
	n := 0
	recordedDecisions(t, func(d recordedDecision, acl *ACL) {
		if n++; n%10 != 0 || nonCanonical(d.Path) != "" || !strings.HasSuffix(d.Path, "/") {
			return
		}
		// Only LIST asks about paths with a slash at the end, as Capabilities does.
		got := acl.Decide(do(nightporter.List, d.Path), Request{})
		if granted := slices.Contains(d.Capabilities, "list"); got.Allowed && !granted {
			t.Errorf("list %s allowed by %s, capabilities %v", d.Path, got.Pattern, d.Capabilities)
		}
	})
}

func TestRootIsAllowedEverythingAndNobodyElseIs(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	root := nightporter.Actor{Kind: nightporter.Machine, Policies: []string{"x", RootName}}
	if d := s.Decide(root, do("delete", "api/policies/dev")); !d.Allowed || d.Policy != RootName {
		t.Errorf("root: %+v", d)
	}
	if diff := cmp.Diff([]string{"root"}, s.ACL(root).Capabilities("x")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, a := range map[string]nightporter.Actor{
		"nobody":          {},
		"system":          {Kind: nightporter.System, Policies: []string{RootName}},
		"unknown policy":  {Kind: nightporter.Person, Policies: []string{"gone"}},
		"root in capital": {Kind: nightporter.Person, Policies: []string{"ROOT"}},
	} {
		if d := s.Decide(a, do("read", "api/board")); d.Allowed || d.Reason == "" {
			t.Errorf("%s: %+v", name, d)
		}
	}
	if _, err := Parse(RootName, `path "a" { capabilities = ["read"] }`); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("parsing a text for root: %v, want invalid", err)
	}
}

func TestGrantsBelowShowsAMountToWhoeverHasARightInIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, prefix string
		want            bool
	}{
		{"secret/a", "secret/", true},
		{"secret/*", "secret/", true},
		{"*", "secret/", true},
		{"sec*", "secret/", true},
		{"secret", "secret/", false},
		{"other/*", "secret/", false},
		{"+/config", "secret/", true},
		{"+", "secret/", false},
		{"+/x/*", "secret/", true},
		{"secret/+/x", "secret/", true},
		{"secret/+", "secret/a/", false},
		{"secret/+/*", "secret/a/b/", true},
		{"other/+", "secret/", false},
		{"secret/a/b", "", true},
		{"+", "", true},
	} {
		acl := compileTexts(t, `path "`+c.pattern+`" { capabilities = ["read"] }`)
		if got := acl.GrantsBelow(c.prefix); got != c.want {
			t.Errorf("%q grants below %q: %v, want %v", c.pattern, c.prefix, got, c.want)
		}
		denies := compileTexts(t, `path "`+c.pattern+`" { capabilities = ["deny"] }`)
		if denies.GrantsBelow(c.prefix) {
			t.Errorf("deny on %q grants below %q", c.pattern, c.prefix)
		}
	}
}

func TestGrantsListsJoinedPatterns(t *testing.T) {
	t.Parallel()
	acl := compileTexts(t,
		`path "b/*" { capabilities = ["read"] } path "a" { capabilities = ["list"] }`,
		`path "b/*" { capabilities = ["update"] }`)
	want := []Grant{
		{Pattern: "a", Capabilities: []string{"list"}, Policies: []string{"p0"}},
		{Pattern: "b/*", Capabilities: []string{"read", "update"}, Policies: []string{"p0", "p1"}},
	}
	if diff := cmp.Diff(want, acl.Grants()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
