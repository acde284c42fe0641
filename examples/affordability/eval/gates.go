package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// gate is one bar to pass.
type gate struct {
	Name   string  `json:"name"`
	Value  float64 `json:"value"`
	Want   float64 `json:"want"`
	AtMost bool    `json:"at_most,omitempty"`
	Passed bool    `json:"passed"`
}

func gates(r *report) (list []gate, passed bool) {
	for _, m := range []struct {
		name string
		measure
	}{{"codes on", r.Coded}, {"codes blanked", r.Blank}} {
		add := func(name string, value, want float64) {
			list = append(list, gate{Name: name + ", " + m.name, Value: value, Want: want, Passed: value >= want})
		}
		add("rent precision", m.Rent.Precision, .97)
		add("rent recall", m.Rent.Recall, .95)
		add("salary precision", m.SalaryPrecision, .99)
		add("salary recall", m.SalaryRecall, .97)
		add("tenants with rent within 2%", m.Rent.Tenants, .93)
		add("tenants with net income within 3%", m.NetRight, .95)
		add("lowest recall of any life", m.WorstRecall, .80)
		list = append(list, gate{"rent found where there is none, " + m.name, m.FalseRents, .02, true, m.FalseRents <= .02})
		add("better than the word “rent”", m.Rent.Tenants-m.Keyword.Tenants, .001)
		add("better than the largest outgoing", m.Rent.Tenants-m.Largest.Tenants, .001)
	}
	return list, !slices.ContainsFunc(list, func(g gate) bool { return !g.Passed })
}

func print(w io.Writer, r *report) {
	fmt.Fprintf(w, "%d tenants of seed %d\n\n", r.Tenants, r.Seed)
	fmt.Fprintf(w, "%-34s %10s %10s %14s\n", "", "precision", "recall", "tenants right")
	for _, m := range []struct {
		name string
		m    method
	}{{"rent, codes on", r.Coded.Rent}, {"rent, codes blanked", r.Blank.Rent}, {"baseline: the word “rent”", r.Blank.Keyword}, {"baseline: the largest outgoing", r.Blank.Largest}} {
		fmt.Fprintf(w, "%-34s %10.4f %10.4f %14.4f\n", m.name, m.m.Precision, m.m.Recall, m.m.Tenants)
	}
	fmt.Fprintf(w, "%-34s %10.4f %10.4f\n", "salary, codes blanked", r.Blank.SalaryPrecision, r.Blank.SalaryRecall)
	fmt.Fprintf(w, "%-34s %36.4f\n", "net income within 3%, blanked", r.Blank.NetRight)
	fmt.Fprintf(w, "%-34s %36.4f\n\n", "spending not categorised, blanked", r.Blank.Uncategorised)
	fmt.Fprintf(w, "%-18s %7s %7s %7s %7s %7s %9s %9s\n", "codes blanked", "tenants", "right", "extra", "missed", "recall", "rent ±2%", "net ±3%")
	for _, name := range slices.Sorted(maps.Keys(r.Blank.Lives)) {
		l := r.Blank.Lives[name]
		fmt.Fprintf(w, "%-18s %7d %7d %7d %7d %7.3f %9.3f %9.3f\n", name, l.Tenants, l.Rent.Right, l.Rent.Extra, l.Rent.Missed, l.Rent.recall(), ratio(l.RentRight, l.Tenants), ratio(l.NetRight, l.Tenants))
	}
	fmt.Fprintln(w)
	for _, g := range r.Gates {
		word, sign := "pass", ">="
		if !g.Passed {
			word = "FAIL"
		}
		if g.AtMost {
			sign = "<="
		}
		fmt.Fprintf(w, "%s  %-50s %.4f %s %.3f\n", word, g.Name, g.Value, sign, g.Want)
	}
}
