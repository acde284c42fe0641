package policy

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

// Published advisories about the policies of Vault and OpenBao, each replayed.

// A deny on "private/*" did not hold for listing "private" while a parent
// granted list: the slash at the end was dropped before the globs were asked.
func TestGHSA_xp3c_3jw3_4vcr_a_deny_below_a_granted_parent_also_denies_LIST(t *testing.T) {
	t.Parallel()
	acl := compileTexts(t, `
path "foo/metadata/*" { capabilities = ["list", "read"] }
path "foo/metadata/private/*" { capabilities = ["deny"] }`)
	for _, path := range []string{"foo/metadata/private", "foo/metadata/private/", "foo/metadata/private/app", "foo/metadata/private/app/"} {
		if d := acl.Decide(do(nightporter.List, path), Request{}); d.Allowed || d.Pattern != "foo/metadata/private/*" {
			t.Errorf("list %s: %+v, want denied by foo/metadata/private/*", path, d)
		}
	}
	if got := acl.Capabilities("foo/metadata/private/"); !slices.Equal(got, []string{"deny"}) {
		t.Errorf("capabilities %v, want deny", got)
	}
	if d := acl.Decide(do(nightporter.List, "foo/metadata/open"), Request{}); !d.Allowed {
		t.Errorf("list of the sibling: %+v, want allowed", d)
	}
}

// A user who may choose his own name called himself "*", "+" or "../x", and the
// template made a wildcard of it (CVE-2026-71543).
func TestGHSA_59w7_v8rr_pr4p_identity_values_never_become_path_syntax(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "home", `path "secret/{{identity.entity.name}}/*" { capabilities = ["read"] }
path "exact/{{identity.entity.name}}" { capabilities = ["read"] }
path "end/{{identity.entity.name}}" { capabilities = ["read"] }`)
	for _, name := range []string{"*", "+", "a/b", "a,b", "..", ".", "bob*", "+/+", "a\\b", "a%2fb", "{{identity.entity.id}}", "a\nb", ""} {
		actor := nightporter.Actor{Kind: nightporter.Person, Name: name, Policies: []string{"home"}}
		if grants := s.ACL(actor).Grants(); len(grants) != 0 {
			t.Errorf("the name %q grants %v", name, grants)
		}
		for _, path := range []string{"secret/bob/x", "exact/bob", "end/anything/below", "secret/a/b/x"} {
			if d := s.Decide(actor, do("read", path)); d.Allowed {
				t.Errorf("the name %q may read %s", name, path)
			}
		}
	}
	bob := nightporter.Actor{Kind: nightporter.Person, Name: "bob", Policies: []string{"home"}}
	for path, want := range map[string]bool{"secret/bob/x": true, "exact/bob": true, "secret/ana/x": false, "exact/ana": false} {
		if d := s.Decide(bob, do("read", path)); d.Allowed != want {
			t.Errorf("bob, %s: %+v, want %v", path, d, want)
		}
	}
}

// The same values in a rule that denies: leaving the rule out would grant what
// it was there to keep away.
func TestGHSA_59w7_v8rr_pr4p_a_deny_that_cannot_be_filled_in_closes_everything(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "home", `path "secret/*" { capabilities = ["read"] }
path "secret/{{identity.entity.name}}/locked" { capabilities = ["deny"] }`)
	actor := nightporter.Actor{Kind: nightporter.Person, Name: "*", Policies: []string{"home"}}
	d := s.Decide(actor, do("read", "secret/a"))
	if d.Allowed || d.Policy != "home" {
		t.Errorf("%+v, want denied by home", d)
	}
	if got := s.ACL(actor).Capabilities("secret/a"); !slices.Equal(got, []string{"deny"}) {
		t.Errorf("capabilities %v, want deny", got)
	}
	if s.ACL(actor).GrantsBelow("secret/") {
		t.Error("something is granted below secret/")
	}
}

// An operator without the right to root gave "ROOT" to an entity: the check
// compared the name as sent, the use folded it.
func TestCVE_2025_5999_the_case_of_a_policy_name_never_makes_it_root(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	for _, name := range []string{"ROOT", "Root", " root", "root ", "rooT\n", "ｒｏｏｔ", "root\x00"} {
		a := nightporter.Actor{Kind: nightporter.Person, Policies: []string{name}}
		if s.ACL(a).IsRoot() || s.Decide(a, do("read", "sys/mounts")).Allowed {
			t.Errorf("%q behind the edge is root", name)
		}
	}
	// At the edge every spelling becomes the one name that checks compare with.
	for _, name := range []string{"ROOT", "Root", " root", "root ", "rooT\n"} {
		if got, err := Name(name); got != RootName || err != nil {
			t.Errorf("Name(%q) = %q, %v; want root", name, got, err)
		}
	}
}

// The second fix of the same: identity groups had their own path to a policy
// list. There is one function for lists too, and a policy that was not brought
// into its only form cannot be parsed or stored under it.
func TestCVE_2025_64761_lists_of_names_go_through_the_same_edge(t *testing.T) {
	t.Parallel()
	got, err := Names([]string{"Dev", "ROOT", " root ", "dev"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dev", "root"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for _, name := range []string{"ROOT", "Root", "Dev", " dev"} {
		if _, err := Parse(name, ""); err == nil {
			t.Errorf("Parse took the name %q", name)
		}
	}
}

// Two spellings of one path: the policy judged the one, the handler served the
// other.
func TestCVE_2026_3605_a_path_with_two_readings_is_refused(t *testing.T) {
	t.Parallel()
	acl := compileTexts(t, `path "*" { capabilities = ["read", "list"] }
path "sys/*" { capabilities = ["deny"] }`)
	for _, path := range []string{
		"secret/../sys/seal", "secret/./a", "secret//a", "/secret/a", "secret/..", "..", ".", "../sys", "",
		"secret/a\x00", "secret/a\nb", "secret\\..\\sys", "secret/%2e%2e/sys", "secret/a%2fb", "secret/a%2Fb",
		"secret/%252e", "secret/%5c", "secret/%00", "secret/a\xff", "secret/a//", "secret/\x7f",
	} {
		for _, c := range []nightporter.Capability{nightporter.Read, nightporter.List} {
			if d := acl.Decide(do(c, path), Request{}); d.Allowed {
				t.Errorf("%s %q is allowed: %+v", c, path, d)
			}
		}
		if Canonical(path) == nil {
			t.Errorf("%q counts as canonical", path)
		}
	}
	for _, path := range []string{"secret/a", "secret/a/", "secret/.a", "secret/a..b", "secret/...", "secret/50%", "secret/ä+*b", "a b"} {
		if err := Canonical(path); err != nil {
			t.Error(err)
		}
	}
}
