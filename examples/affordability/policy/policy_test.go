package policy_test

import (
	"fmt"
	"testing"

	"example.org/affordability/money"
	"example.org/affordability/policy"
)

func current(t *testing.T) *policy.Policy {
	t.Helper()
	p, err := policy.Current()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestGrossIsTheInverseOfNet(t *testing.T) {
	t.Parallel()
	tax := current(t).Tax
	for _, d := range []policy.Deductions{policy.None, policy.PensionAndLoan} {
		for pounds := money.Amount(10_000); pounds <= 200_000; pounds++ {
			gross := pounds * 100
			net := tax.Net(gross, d)
			back := tax.Gross(net, d)
			if tax.Net(back, d) < net || back > gross || gross-back > 10 {
				t.Fatalf("deductions %d: gross %s leaves %s, which leads back to %s", d, gross, net, back)
			}
		}
	}
}

// The figure comes from the specification's test vector.
func ExampleTax_Net() {
	p, _ := policy.Current()
	fmt.Println(p.Tax.Net(35_000_00, policy.None))
	// Output: £28,719.60
}

func TestParse(t *testing.T) {
	t.Parallel()
	for name, raw := range map[string]string{
		"not JSON": "{", "an unknown name": `{"version":"1","dated":"2026-04-06","interest":5}`, "no version": `{"dated":"2026-04-06"}`,
		"no months": `{"version":"1","dated":"2026-04-06"}`,
	} {
		if _, err := policy.Parse([]byte(raw)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
}

func TestLivingFloorGrowsWithTheHousehold(t *testing.T) {
	t.Parallel()
	f := current(t).LivingFloor
	if one, two := f.Living(1, 0), f.Living(2, 1); two-one != f.SecondAdult+f.Child {
		t.Errorf("one adult %s, two and a child %s", one, two)
	}
}
