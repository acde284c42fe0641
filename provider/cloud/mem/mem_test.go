package mem_test

import (
	"context"
	"fmt"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/cloud"
	"nightporter.dev/nightporter/provider/cloud/cloudtest"
	"nightporter.dev/nightporter/provider/cloud/mem"
)

func acme(t testing.TB) *mem.Provider {
	t.Helper()
	p, err := mem.New(mem.Config{})
	if err != nil {
		t.Fatal(err)
	}
	db := mem.Definition{Component: cloud.Component{Name: "db", Keep: cloud.OnceItIs}}
	app := mem.Definition{Component: cloud.Component{Name: "app", Needs: []string{"db"}}}
	p.Define("dev", "good", app, db)
	app.Spec = "larger"
	p.Define("dev", "changed", app, db)
	db.Needs = []string{"app"}
	p.Define("dev", "broken", app, db)
	return p
}

func TestConformance(t *testing.T) {
	t.Parallel()
	cloudtest.Run(t, func(t *testing.T) cloudtest.World {
		p := acme(t)
		count := func(component string) int {
			n := 0
			for _, effect := range p.Ledger() {
				if effect == "up dev/"+component {
					n++
				}
			}
			return n
		}
		return cloudtest.World{
			Provider: p, Target: cloud.Target{Environment: "dev"},
			Good: cloud.Code{Commit: "good"}, Changed: cloud.Code{Commit: "changed"}, Broken: cloud.Code{Commit: "broken"},
			Made: count,
			Exists: func(component string) bool {
				_, ok := p.Data("dev", component)
				return ok
			},
			Write: func(_ *testing.T, data string) { p.SetData("dev", "db", data) },
			Read: func(*testing.T) string {
				data, _ := p.Data("dev", "db")
				return data
			},
			Plant:   func(*testing.T) { p.Plant(cloud.Resource{ID: "orphan", Environment: "dev"}) },
			Kill:    func(*testing.T) { p.Remove("dev", "app") },
			Restart: func(*testing.T) cloud.Provider { return p },
		}
	})
}

func TestRules(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	dev := cloud.Target{Environment: "dev"}
	up := func(p *mem.Provider, key string) cloud.Observation {
		t.Helper()
		token, err := p.Up(ctx, cloud.Request{Target: dev, Key: key, Component: "db", Code: cloud.Code{Commit: "good"}})
		if err != nil {
			t.Fatal(err)
		}
		o, err := p.Observe(ctx, dev, token)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	t.Run("a failure for want of capacity is over with the next key", func(t *testing.T) {
		p := acme(t)
		p.Rule(mem.Rule{Component: "db", Verb: "Up", Times: 1, Behaviour: mem.Behaviour{Fails: "no capacity", Retryable: true}})
		if o := up(p, "1"); o.State != cloud.Failed || !o.Retryable {
			t.Errorf("first: %+v", o)
		}
		if o := up(p, "2"); o.State != cloud.Succeeded {
			t.Errorf("second: %+v", o)
		}
	})
	t.Run("what is half done is in the inventory", func(t *testing.T) {
		p := acme(t)
		p.Rule(mem.Rule{Verb: "Up", Behaviour: mem.Behaviour{Fails: "timeout", HalfDone: true}})
		up(p, "1")
		if left, err := p.Inventory(ctx, dev); err != nil || len(left) != 1 {
			t.Errorf("inventory: %v %v", left, err)
		}
	})
	t.Run("a limit answers as often as it should", func(t *testing.T) {
		p := acme(t)
		p.Fault("Inventory", 1, nightporter.E(nightporter.Limited, "slow down"))
		if _, err := p.Inventory(ctx, dev); nightporter.CodeOf(err) != nightporter.Limited {
			t.Errorf("first: %v", err)
		}
		if _, err := p.Inventory(ctx, dev); err != nil {
			t.Errorf("second: %v", err)
		}
	})
}

func ExampleProvider() {
	p, _ := mem.New(mem.Config{})
	p.Define("dev", "",
		mem.Definition{Component: cloud.Component{Name: "app", Needs: []string{"db"}}},
		mem.Definition{Component: cloud.Component{Name: "db"}})
	plan, _ := p.Plan(context.Background(), cloud.PlanRequest{Target: cloud.Target{Environment: "dev"}, Direction: cloud.Up})
	for _, c := range plan.Components {
		fmt.Println(c.Name)
	}
	// Output:
	// db
	// app
}
