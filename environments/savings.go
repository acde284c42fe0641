package environments

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/cloud"
)

// Prices is a user's own price list. Nightporter ships none: prices go stale, and
// terms differ.
type Prices struct {
	Currency string           `yaml:"currency"` // "EUR"
	Items    map[string]Price `yaml:"prices"`   // by the key that a provider names
}

// Price is what an hour of something costs.
type Price struct {
	Hour float64 `yaml:"hour"`
	// AsOf is when the price was looked up: "2026-11-01".
	AsOf string `yaml:"as_of"`
	// Source is list, contract, guess or sample.
	Source string `yaml:"source"`
	// Covered is the part that a commitment pays for whether it runs or not,
	// from 0 to 1: not using that part saves no cash.
	Covered float64 `yaml:"covered"`
}

// ParsePrices reads a price list. It must say where each price comes from.
func ParsePrices(text []byte) (Prices, error) {
	var p Prices
	if err := yaml.UnmarshalWithOptions(text, &p, yaml.Strict()); err != nil && !errors.Is(err, io.EOF) {
		return Prices{}, nightporter.E(nightporter.Invalid, "the price list: %s", strings.TrimSpace(yaml.FormatError(err, false, false)))
	}
	if p.Currency == "" && len(p.Items) > 0 {
		return Prices{}, nightporter.E(nightporter.Invalid, "the price list has no currency")
	}
	for _, key := range slices.Sorted(maps.Keys(p.Items)) {
		v := p.Items[key]
		if !(v.Hour >= 0 && v.Hour < 1e9) || !(v.Covered >= 0 && v.Covered <= 1) {
			return Prices{}, nightporter.E(nightporter.Invalid, "the price of %s is not one: hour and covered must not be negative, covered at most 1", key)
		}
		if !slices.Contains([]string{"list", "contract", "guess", "sample"}, v.Source) {
			return Prices{}, nightporter.E(nightporter.Invalid, "the price of %s does not say where it comes from", key).
				WithHint("write source: list, contract, guess or sample")
		}
		if _, err := time.Parse(time.DateOnly, v.AsOf); err != nil {
			return Prices{}, nightporter.E(nightporter.Invalid, "the price of %s does not say of when it is", key).WithHint("write as_of: 2026-11-01")
		}
	}
	return p, nil
}

// spared is what does not run while an environment is dark.
type spared struct {
	Usage map[string]used `json:"usage,omitempty"` // by key
	// Free are resources that the provider names no key for.
	Free int `json:"free,omitempty"`
}

type used struct {
	Quantity  float64 `json:"quantity"`
	Resources int     `json:"resources"`
}

// spares sums up what the resources that a tear-down takes away use.
func spares(p cloud.Provider, resources []cloud.Resource) spared {
	s := spared{Usage: map[string]used{}}
	for _, r := range resources {
		if u, ok := p.Price(r); ok {
			sum := s.Usage[u.Key]
			s.Usage[u.Key] = used{sum.Quantity + u.Quantity, sum.Resources + 1}
		} else {
			s.Free++
		}
	}
	return s
}

// Savings is what the dark hours of an environment spared. Hours were observed,
// by the schedules' clock: from the proof that nothing was left to the proof that
// all was back. They are not read off the schedule.
type Savings struct {
	Environment string    `json:"environment"`
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Hours       float64   `json:"hours"` // dark
	Nights      int       `json:"nights"`
	// ScheduledHours is how long the schedule wanted it off, to compare.
	ScheduledHours float64 `json:"scheduled_hours"`
	Currency       string  `json:"currency,omitempty"`
	// AtListPrice is usage avoided; Cash takes off what commitments pay for
	// anyway.
	AtListPrice float64       `json:"usage_avoided_at_list_price"`
	Cash        float64       `json:"estimated_cash"`
	Items       []SavingsItem `json:"items"`
	// Priced of Resources could be priced; the others count as nothing.
	Priced    int      `json:"priced"`
	Resources int      `json:"resources"`
	Notes     []string `json:"notes"`
}

// SavingsItem is one key of the price list.
type SavingsItem struct {
	Key         string  `json:"key"`
	UnitHours   float64 `json:"unit_hours"`
	AtListPrice float64 `json:"usage_avoided_at_list_price"`
	Cash        float64 `json:"estimated_cash"`
	Source      string  `json:"source,omitempty"` // of the price; "" for an unknown one
	AsOf        string  `json:"as_of,omitempty"`
}

// darkness is one observed stretch.
type darkness struct {
	dusk, dawn time.Time // dawn is zero while it lasts
	spared     spared
}

// savings counts what stretches spared between two instants. It is pure.
func savings(stretches []darkness, p Prices, from, to time.Time) Savings {
	s := Savings{From: from, To: to, Currency: p.Currency, Items: []SavingsItem{}, Notes: []string{
		"Hours are counted from the proof that nothing was left to the proof that all was back.",
		"Not saved: what stays while it is dark (captures, disks, addresses), minimum charges, and the rebuilds themselves.",
	}}
	unitHours := map[string]float64{}
	for _, d := range stretches {
		start, end := d.dusk, d.dawn
		if end.IsZero() || end.After(to) {
			end = to
		}
		if start.Before(from) {
			start = from
		}
		if !end.After(start) {
			continue
		}
		hours := end.Sub(start).Hours() // instants: nights on which clocks change are shorter or longer
		s.Hours += hours
		s.Nights++
		priced, all := 0, d.spared.Free
		for key, u := range d.spared.Usage {
			unitHours[key] += u.Quantity * hours
			all += u.Resources
			if _, ok := p.Items[key]; ok {
				priced += u.Resources
			}
		}
		if all >= s.Resources { // of the largest night
			s.Priced, s.Resources = priced, all
		}
	}
	sample := false
	for _, key := range slices.Sorted(maps.Keys(unitHours)) {
		price := p.Items[key]
		item := SavingsItem{Key: key, UnitHours: unitHours[key], Source: price.Source, AsOf: price.AsOf}
		item.AtListPrice = unitHours[key] * price.Hour
		item.Cash = item.AtListPrice * (1 - price.Covered)
		s.AtListPrice += item.AtListPrice
		s.Cash += item.Cash
		s.Items = append(s.Items, item)
		sample = sample || price.Source == "sample"
	}
	if s.Resources > s.Priced {
		s.Notes = append(s.Notes, fmt.Sprintf("%d of %d resources are priced; the others count as nothing.", s.Priced, s.Resources))
	}
	if sample {
		s.Notes = append(s.Notes, "Some prices are SAMPLES and mean nothing.")
	}
	return s
}

// Savings counts what the dark hours of an environment spared between two
// instants of the schedules' clock.
func (e *Environments) Savings(ctx context.Context, tx *store.Tx, name string, from, to time.Time) (Savings, error) {
	w := e.cfg.Catalog.Current()
	env, ok := w.Environment(name)
	if !ok {
		return Savings{}, nightporter.E(nightporter.NotFound, "no environment is called %q", name)
	}
	if !to.After(from) {
		return Savings{}, nightporter.E(nightporter.Invalid, "from must be before to")
	}
	var all []darkness
	err := tx.Each(ctx, `SELECT dusk, dawn, spared FROM environment_dark WHERE environment = ? AND dusk < ? AND (dawn = 0 OR dawn > ?) ORDER BY dusk`,
		[]any{name, store.Micros(to), store.Micros(from)}, func(scan func(...any) error) error {
			var d darkness
			var start, end int64
			var text string
			if err := scan(&start, &end, &text); err != nil {
				return err
			}
			d.dusk, d.dawn = store.Time(start), store.Time(end)
			if err := json.Unmarshal([]byte(text), &d.spared); err != nil {
				return err
			}
			all = append(all, d)
			return nil
		})
	if err != nil {
		return Savings{}, fmt.Errorf("read the nights of %s: %w", name, err)
	}
	if now := e.cfg.Clock.Now(); to.After(now) {
		to = now // what has not been spared yet is not counted
	}
	s := savings(all, e.cfg.Prices(), from, to)
	s.Environment = name
	if plan, err := e.schedule(w, env); err == nil && to.After(from) {
		s.ScheduledHours = to.Sub(from).Hours() - plan.OnFor(from, to, wishes(nil)).Hours()
	}
	return s, nil
}
