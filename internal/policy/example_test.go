package policy_test

import (
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/policy"
)

func Example() {
	set, err := policy.NewSet(policy.Config{})
	if err != nil {
		panic(err)
	}
	dev, err := policy.Parse("dev", `
path "api/releases/+/dev/promote" {
  capabilities = ["update"]
}`)
	if err != nil {
		panic(err)
	}
	set.Put(dev)

	ana := nightporter.Actor{Kind: nightporter.Person, Name: "ana", Policies: []string{"dev"}}
	for _, environment := range []string{"dev", "prod"} {
		d := set.Decide(ana, nightporter.Action{
			Name:       "release.promote",
			Capability: nightporter.Update,
			Path:       "api/releases/ledger/" + environment + "/promote",
		})
		fmt.Println(d.Allowed, d.Reason)
	}
	// Output:
	// true policy dev grants update on api/releases/+/dev/promote
	// false policy dev does not cover api/releases/ledger/prod/promote
}

func ExampleParse() {
	_, err := policy.Parse("dev", "path \"secret/*\" {\n  capability = [\"read\"]\n}")
	fmt.Println(nightporter.MessageOf(err))
	// Output: policy "dev", line 2, column 3: path "secret/*": unknown key "capability"
}

func ExampleBundles() {
	bundles, err := policy.Bundles(policy.BundleConfig{NonProduction: []string{"dev"}})
	if err != nil {
		panic(err)
	}
	for _, b := range bundles {
		fmt.Println(b.Name+":", b.Summary)
	}
	// Output:
	// viewer: Sees everything that is not a secret, changes nothing.
	// developer: Deploys, and runs everything that is not production.
	// operator: Runs the house: every environment, freezes, runs, leases and repositories; not policies or tokens.
}
