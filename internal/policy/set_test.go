package policy

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

func newSet(t testing.TB, c Config) *Set {
	t.Helper()
	s, err := NewSet(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func put(t testing.TB, s *Set, name, text string) {
	t.Helper()
	p, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	s.Put(p)
}

func person(policies ...string) nightporter.Actor {
	return nightporter.Actor{Kind: nightporter.Person, Name: "ana", Policies: policies}
}

func TestSetAnswersWithItsNewestPolicies(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	allowed := func() bool { return s.Decide(person("dev"), do("read", "a")).Allowed }
	g := s.Generation()
	if allowed() {
		t.Error("allowed before the policy exists")
	}
	put(t, s, "dev", `path "a" { capabilities = ["read"] }`)
	if !allowed() || s.Generation() <= g {
		t.Errorf("allowed %v, generation %d after %d", allowed(), s.Generation(), g)
	}
	put(t, s, "dev", `path "a" { capabilities = ["deny"] }`)
	if allowed() {
		t.Error("allowed by the text of before")
	}
	put(t, s, "dev", `path "a" { capabilities = ["read"] }`)
	s.Delete("dev", "never")
	if allowed() {
		t.Error("allowed after the policy was deleted")
	}
	s.Replace(parseTexts(t, ``, ``)...)
	if diff := cmp.Diff([]string{"p0", "p1"}, s.Names()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if p, ok := s.Get("p1"); !ok || p.Name != "p1" {
		t.Errorf("Get: %v, %v", p, ok)
	}
}

// Combinations are told apart by length, not by a separator that a name could
// hold.
func TestSetNeverMixesUpCombinations(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "a", `path "x" { capabilities = ["read"] }`)
	put(t, s, "b", `path "y" { capabilities = ["read"] }`)
	for _, c := range []struct {
		policies []string
		x, y     bool
	}{
		{[]string{"a", "b"}, true, true},
		{[]string{"b", "a"}, true, true},
		{[]string{"a"}, true, false},
		{[]string{"a\x01b"}, false, false},
		{[]string{"a,b"}, false, false},
		{[]string{"ab"}, false, false},
		{[]string{"a", "a", ""}, true, false},
		{nil, false, false},
		{[]string{""}, false, false},
	} {
		for range 2 { // cold, then cached
			x, y := s.Decide(person(c.policies...), do("read", "x")).Allowed, s.Decide(person(c.policies...), do("read", "y")).Allowed
			if x != c.x || y != c.y {
				t.Errorf("%q may read x %v, y %v; want %v, %v", c.policies, x, y, c.x, c.y)
			}
		}
	}
}

func TestSetStopsCountingRulesThatExpire(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 31, 17, 59, 59, 0, time.UTC)
	s := newSet(t, Config{Now: func() time.Time { return now }})
	put(t, s, "dev", `
path "a" { capabilities = ["read"] expiration = "2027-01-31T18:00:00Z" }
path "*" { capabilities = ["list"] }
path "own/{{identity.entity.name}}" { capabilities = ["read"] expiration = "2027-01-31T19:00:00+01:00" }`)
	for _, path := range []string{"a", "own/ana"} {
		if d := s.Decide(person("dev"), do("read", path)); !d.Allowed {
			t.Errorf("before it expires: %+v", d)
		}
	}
	now = now.Add(time.Second)
	for _, path := range []string{"a", "own/ana"} {
		if d := s.Decide(person("dev"), do("read", path)); d.Allowed || d.Pattern != "*" {
			t.Errorf("at the minute it expires: %+v, want * to rule", d)
		}
	}
}

func TestSetFillsTemplatesPerIdentity(t *testing.T) {
	t.Parallel()
	ids := map[string]Identity{
		"ana": {
			ID: "e1", Name: "ana", Metadata: map[string]string{"team": "pay.ments"},
			Aliases: map[string]Alias{"acc1": {ID: "i1", Name: "ana-gh", Metadata: map[string]string{"org": "acme"}}},
			Groups:  []Group{{ID: "g1", Name: "payments", Metadata: map[string]string{"tier": "one"}}},
		},
		"ben": {ID: "e2", Name: "ben"},
	}
	s := newSet(t, Config{Identity: func(a nightporter.Actor) Identity { return ids[a.Name] }})
	put(t, s, "t", `
path "id/{{identity.entity.id}}" { capabilities = ["read"] }
path "name/{{ identity.entity.name }}/*" { capabilities = ["read"] }
path "team/{{identity.entity.metadata.team}}" { capabilities = ["read"] }
path "alias/{{identity.entity.aliases.acc1.name}}/{{identity.entity.aliases.acc1.metadata.org}}" { capabilities = ["read"] }
path "group/{{identity.groups.ids.g1.name}}/{{identity.groups.names.payments.id}}" { capabilities = ["read"] }
path "tier/{{identity.groups.names.payments.metadata.tier}}/+" { capabilities = ["read"] }
path "plain" { capabilities = ["read"] }`)
	for path, who := range map[string]string{
		"id/e1": "ana", "name/ana/x": "ana", "team/pay.ments": "ana", "alias/ana-gh/acme": "ana",
		"group/payments/g1": "ana", "tier/one/x": "ana", "id/e2": "ben", "name/ben/x": "ben", "plain": "both",
		"team/": "nobody", "alias//": "nobody", "group//": "nobody",
	} {
		for range 2 { // cold, then cached
			for _, name := range []string{"ana", "ben"} {
				a := person("t")
				a.Name = name
				if got, want := s.Decide(a, do("read", path)).Allowed, who == name || who == "both"; got != want {
					t.Errorf("%s reads %s: %v, want %v", name, path, got, want)
				}
			}
		}
	}
}

func TestSetGivesMachinesNoIdentityByDefault(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "t", `path "name/{{identity.entity.name}}" { capabilities = ["read"] }`)
	a := person("t")
	if d := s.Decide(a, do("read", "name/ana")); !d.Allowed {
		t.Errorf("the person: %+v", d)
	}
	a.Kind = nightporter.Machine // whoever makes a token may call it "ana"
	if d := s.Decide(a, do("read", "name/ana")); d.Allowed {
		t.Errorf("the machine of the same name: %+v", d)
	}
}

func TestSetKeepsItsCacheBounded(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{MaxCached: 8})
	put(t, s, "t", `path "name/{{identity.entity.name}}" { capabilities = ["read"] }`)
	for i := range 100 {
		a := person("t")
		a.Name = fmt.Sprint("user", i)
		if !s.Decide(a, do("read", "name/"+a.Name)).Allowed {
			t.Errorf("%s is refused", a.Name)
		}
		if n := len(*s.current.Load().cache.Load()); n > 8 {
			t.Fatalf("the cache holds %d entries, want at most 8", n)
		}
	}
}

func TestSetIsReadWhileItChanges(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "dev", `path "a/{{identity.entity.name}}" { capabilities = ["read"] }`)
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for i := range 4 {
		readers.Go(func() {
			a := person("dev", fmt.Sprint("other", i))
			for {
				select {
				case <-stop:
					return
				default:
				}
				if d := s.Decide(a, do("read", "a/ana")); !d.Allowed {
					t.Errorf("refused: %+v", d)
					return
				}
			}
		})
	}
	for i := range 500 {
		put(t, s, fmt.Sprint("other", i%4), fmt.Sprintf(`path "b/%d" { capabilities = ["read"] }`, i))
	}
	close(stop)
	readers.Wait()
}

func TestSetLooksAtTheRequestInTheContext(t *testing.T) {
	t.Parallel()
	s := newSet(t, Config{})
	put(t, s, "dev", `path "a" { capabilities = ["update"] required_parameters = ["ttl"] allowed_parameters = { "ttl" = ["1h"] } }`)
	for name, c := range map[string]struct {
		ctx  context.Context
		want bool
	}{
		"no request":    {t.Context(), false},
		"a right value": {WithRequest(t.Context(), Request{Data: map[string]any{"ttl": "1h"}}), true},
		"a wrong value": {WithRequest(t.Context(), Request{Data: map[string]any{"ttl": "2h"}}), false},
	} {
		if d := s.DecideRequest(person("dev"), do("update", "a"), RequestFrom(c.ctx)); d.Allowed != c.want {
			t.Errorf("%s: %+v, want %v", name, d, c.want)
		}
	}
}
