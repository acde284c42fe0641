package town_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"example.org/sandboxbank/town"
)

var asOf = time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC)

func build(t *testing.T, seed uint64, n int) *town.Town {
	t.Helper()
	got, err := town.New(town.Config{Seed: seed, Tenants: n, AsOf: asOf})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func hash(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// golden is the town of seed 1 with 28 tenants. A change here changes everybody's data: say so in the change.
const golden = "d2b969681c0545fbb69d8db38e0c46639d945010866b2d5fcdbdc96cc9a0ec1e"

func TestTown(t *testing.T) {
	t.Parallel()
	t.Run("the same seed and date give the same bytes on every machine", func(t *testing.T) {
		t.Parallel()
		if got := hash(t, build(t, 1, 28).Tenants()); got != golden {
			t.Errorf("hash of seed 1 = %s, want %s", got, golden)
		}
	})
	t.Run("another seed gives another town", func(t *testing.T) {
		t.Parallel()
		if hash(t, build(t, 2, 3).Tenants()) == hash(t, build(t, 1, 3).Tenants()) {
			t.Error("seeds 1 and 2 built the same town")
		}
	})
	t.Run("a tenant does not depend on how many others there are", func(t *testing.T) {
		t.Parallel()
		if hash(t, build(t, 1, 5).Tenants()[4]) != hash(t, build(t, 1, 28).Tenants()[4]) {
			t.Error("tenant 5 of 5 differs from tenant 5 of 28")
		}
	})
	t.Run("sizes and dates out of range are refused", func(t *testing.T) {
		t.Parallel()
		for _, cfg := range []town.Config{{Tenants: 0, AsOf: asOf}, {Tenants: 30000, AsOf: asOf}, {Tenants: 1}} {
			if _, err := town.New(cfg); err == nil {
				t.Errorf("New(%+v) succeeded", cfg)
			}
		}
	})
}

func TestEveryLife(t *testing.T) {
	t.Parallel()
	for _, p := range build(t, 3, 140).Tenants() {
		t.Run(fmt.Sprintf("%s is a %s", p.ID, p.Truth.Archetype), func(t *testing.T) {
			kinds := map[town.Kind]int{}
			balance := make([]town.Pence, len(p.Accounts))
			for i, a := range p.Accounts {
				balance[i] = a.Opening
			}
			ids := map[string]bool{}
			for i, e := range p.Entries {
				kinds[e.Kind]++
				if i > 0 && e.At.Before(p.Entries[i-1].At) {
					t.Fatalf("row %d is older than the one before", i)
				}
				if e.At.Before(p.From) || e.At.After(p.AsOf.AddDate(0, 0, 1)) || e.Amount == 0 {
					t.Errorf("row %d: %s of %d pence is outside the history", i, e.At, e.Amount)
				}
				if !e.Pending {
					balance[e.Account] += e.Amount
				}
				if e.Balance != balance[e.Account] {
					t.Fatalf("row %d shows a balance of %d, the rows add up to %d", i, e.Balance, balance[e.Account])
				}
				if ids[e.ID] {
					t.Errorf("row id %s is used twice", e.ID)
				}
				ids[e.ID] = true
			}
			if noRent := p.Truth.Archetype == "no-rent"; noRent != (kinds[town.KindRent] == 0) || noRent != (p.Truth.RentMonthly == 0) {
				t.Errorf("%d rows of rent at %d a month", kinds[town.KindRent], p.Truth.RentMonthly)
			}
			want := map[string]town.Kind{"sharer": town.KindShare, "gig-worker": town.KindGig, "housing-benefit": town.KindBenefit, "friend-landlord": town.KindFriend, "moved": town.KindDeposit}
			if k, ok := want[p.Truth.Archetype]; ok && kinds[k] == 0 {
				t.Errorf("no row of kind %s", k)
			}
			var transfers town.Pence
			for _, e := range p.Entries {
				if e.Kind == town.KindOwnTransfer {
					transfers += e.Amount
				}
			}
			if transfers != 0 {
				t.Errorf("own transfers add up to %d, want 0: each has two sides", transfers)
			}
		})
	}
}

func TestFourteenLives(t *testing.T) {
	t.Parallel()
	if got := len(town.Archetypes()); got != 14 {
		t.Errorf("%d archetypes, want 14", got)
	}
}

func ExampleBuild() {
	p := town.Build(1, 13, time.Date(2026, 6, 15, 0, 0, 0, 0, time.UTC))
	fmt.Println(p.Truth.Archetype, p.Truth.RentEvery)
	// Output: friend-landlord month
}
