package policy

import (
	"fmt"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
)

// ruleText is n rules as a team would write them: a third each exact, glob and
// segmented, spread over services.
func ruleText(n int) string {
	var b strings.Builder
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "path \"secret/data/team%d/config\" { capabilities = [\"read\"] }\n", i)
		case 1:
			fmt.Fprintf(&b, "path \"secret/data/team%d/*\" { capabilities = [\"read\", \"update\"] }\n", i)
		default:
			fmt.Fprintf(&b, "path \"api/releases/service%d/+/approve\" { capabilities = [\"update\"] }\n", i)
		}
	}
	return b.String()
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		s := newSet(b, Config{})
		put(b, s, "dev", ruleText(n))
		put(b, s, DefaultName, DefaultText)
		actor := nightporter.Actor{Kind: nightporter.Person, Name: "ana", Policies: []string{"dev", DefaultName}}
		for name, act := range map[string]nightporter.Action{
			"exact":   do("read", "secret/data/team3/config"),
			"glob":    do("update", "secret/data/team4/db/main"),
			"segment": do("update", "api/releases/service5/prod/approve"),
			"refused": do("update", "api/policies/dev"),
			"list":    do("list", "secret/data/team4/db"),
		} {
			b.Run(fmt.Sprintf("rules=%d/%s", n, name), func(b *testing.B) {
				want := name != "refused" && name != "list"
				b.ReportAllocs()
				for b.Loop() {
					if d := s.Decide(actor, act); d.Allowed != want {
						b.Fatal(d)
					}
				}
			})
		}
	}
}

// The worst case of the index: many segment wildcards behind one literal are
// tried one by one.
func BenchmarkDecideOneLiteral(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		var text strings.Builder
		for i := range n {
			fmt.Fprintf(&text, "path \"api/services/+/button%d\" { capabilities = [\"update\"] }\n", i)
		}
		acl := compileTexts(b, text.String())
		act := do("update", fmt.Sprintf("api/services/ledger/button%d", n/2))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				acl.Decide(act, Request{})
			}
		})
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, n := range []int{20, 200, 2000} {
		policies := parseTexts(b, ruleText(n))
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			for b.Loop() {
				Compile(policies, Identity{}, epoch)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	text := ruleText(200)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := Parse("dev", text); err != nil {
			b.Fatal(err)
		}
	}
}
