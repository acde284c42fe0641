package security

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/store"
)

// State is what a check says of a service. Only Pass is green.
type State string

// The states of a check.
const (
	Pass    State = "pass"
	Fail    State = "fail"
	Stale   State = "stale"   // it passed, too long ago
	Unknown State = "unknown" // nobody can say; the cell says why
	NA      State = "n.a."    // it does not concern this service
)

// Claim is what some proof says about a check, of a service or of something that
// services share.
type Claim struct {
	Check string
	// About names what it is of: "service/ledger", "repo/github/ledger",
	// "environment/dev", or "house" for every service.
	About string
	State State     // Pass, Fail, Unknown or NA
	At    time.Time // when it was seen, not when it was written down
	// Event is what proves it: "DrillPassed run_12", "audit entry 4711", "the
	// leases, read now".
	Event string
	Proof string // one sentence
	Page  string // of ours, where the proof can be seen; "" for none

	kept bool // what something said before: the same check of the same thing may be known better now
}

// Source answers claims from facts of another capability, as they are now.
// internal/app makes one of each. It is a few queries, whatever the number of
// services.
type Source func(ctx context.Context, tx *store.Tx, now time.Time) ([]Claim, error)

// Cell is one check of one service.
type Cell struct {
	Check
	State State     `json:"state"`
	Proof string    `json:"proof"` // what was seen; the reason when unknown
	Event string    `json:"event,omitempty"`
	At    time.Time `json:"at,omitzero"`
	// Age is how old the proof is, and FreshFor how old it may be; "" for proof
	// that does not age.
	Age      string `json:"age,omitempty"`
	FreshFor string `json:"fresh_for,omitempty"`
	See      string `json:"see"` // the command that shows it again
	Page     string `json:"page,omitempty"`
}

// PillarView is a pillar of a service. Letter says the worst that fails: A nothing,
// B low, C medium, D high, E critical. It is "?" while nothing fails but something
// is stale or unknown, because that is never green, and "–" where nothing concerns
// the service.
type PillarView struct {
	Pillar Pillar `json:"pillar"`
	Letter string `json:"letter"`
	Proven int    `json:"proven"` // checks with fresh proof, passed or failed
	Of     int    `json:"of"`     // checks that concern the service
	Cells  []Cell `json:"cells"`
}

// Posture is what a service may claim.
type Posture struct {
	Service string       `json:"service"`
	Owner   string       `json:"owner"`
	Pillars []PillarView `json:"pillars"`
}

// Pillar returns one of its pillars.
func (p Posture) Pillar(name Pillar) PillarView {
	i := slices.IndexFunc(p.Pillars, func(v PillarView) bool { return v.Pillar == name })
	if i < 0 {
		return PillarView{Pillar: name, Letter: "?"}
	}
	return p.Pillars[i]
}

// Cell returns one of its checks.
func (p Posture) Cell(check string) (Cell, bool) {
	for _, v := range p.Pillars {
		if i := slices.IndexFunc(v.Cells, func(c Cell) bool { return c.ID == check }); i >= 0 {
			return v.Cells[i], true
		}
	}
	return Cell{}, false
}

// Postures says what every service may claim now, by the order of the catalog.
func (s *Security) Postures(ctx context.Context, tx *store.Tx) ([]Posture, error) {
	now := s.cfg.Now()
	claims, err := evidence(ctx, tx)
	if err != nil {
		return nil, err
	}
	for _, source := range append([]Source{s.fromFindings}, s.cfg.Sources...) {
		more, err := source(ctx, tx, now)
		if err != nil {
			return nil, fmt.Errorf("read the proof of the posture: %w", err)
		}
		claims = append(claims, more...)
	}
	by := map[[2]string][]Claim{}
	for _, c := range claims {
		key := [2]string{c.Check, c.About}
		by[key] = append(by[key], c)
	}
	for key, list := range by {
		by[key] = newest(list)
	}
	w := s.cfg.Catalog.Current()
	checks := Checks()
	out := make([]Posture, 0, len(w.Services()))
	for _, service := range w.Services() {
		out = append(out, posture(w, service, checks, by, now))
	}
	return out, nil
}

// newest drops what was kept where something newer is known of the same.
func newest(list []Claim) []Claim {
	return slices.DeleteFunc(slices.Clone(list), func(c Claim) bool {
		return c.kept && slices.ContainsFunc(list, func(o Claim) bool { return !o.kept && o.At.After(c.At) })
	})
}

// posture puts the claims that concern one service into its cells.
func posture(w *catalog.World, service catalog.Service, checks []Check, by map[[2]string][]Claim, now time.Time) Posture {
	environments := w.EnvironmentsOf(service.Name)
	about := []string{"service/" + service.Name, "repo/" + service.Repo.String(), "house"}
	for _, e := range environments {
		about = append(about, "environment/"+e)
	}
	p := Posture{Service: service.Name, Owner: service.Owner}
	for _, pillar := range Pillars() {
		v := PillarView{Pillar: pillar}
		for _, check := range checks {
			if check.Pillar != pillar {
				continue
			}
			var claims []Claim
			for _, a := range about {
				claims = append(claims, by[[2]string{check.ID, a}]...)
			}
			v.Cells = append(v.Cells, cell(check, claims, now))
		}
		for i := range v.Cells {
			c := &v.Cells[i]
			environment := ""
			if len(environments) > 0 {
				environment = environments[0]
			}
			c.See = strings.NewReplacer("{service}", service.Name, "{environment}", environment).Replace(c.Check.See)
		}
		v.grade()
		p.Pillars = append(p.Pillars, v)
	}
	return p
}

// cell joins claims to one state: the worst of them, and among equals the oldest.
func cell(check Check, claims []Claim, now time.Time) Cell {
	c := Cell{Check: check, State: Unknown, Proof: check.Missing}
	if check.Fresh > 0 {
		c.FreshFor = short(check.Fresh)
	}
	var worst *Claim
	state := NA
	for i := range claims {
		one := &claims[i]
		got := one.State
		if got == Pass && check.Fresh > 0 && now.Sub(one.At) > check.Fresh {
			got = Stale
		}
		if worst == nil || rank(got) > rank(state) || rank(got) == rank(state) && one.At.Before(worst.At) {
			worst, state = one, got
		}
	}
	if worst == nil {
		return c
	}
	c.State, c.Proof, c.Event, c.At, c.Page = state, worst.Proof, worst.Event, worst.At, worst.Page
	if !worst.At.IsZero() {
		c.Age = short(max(0, now.Sub(worst.At)))
	}
	return c
}

func rank(s State) int { return slices.Index([]State{NA, Pass, Stale, Unknown, Fail}, s) }

func (v *PillarView) grade() {
	worst, open := 0, false
	for _, c := range v.Cells {
		switch c.State {
		case Fail:
			worst = max(worst, c.Severity.Rank())
		case Stale, Unknown:
			open = true
		}
		if c.State != NA {
			v.Of++
		}
		if c.State == Pass || c.State == Fail {
			v.Proven++
		}
	}
	switch {
	case v.Of == 0:
		v.Letter = "–"
	case worst > 0:
		v.Letter = string("ABCDE"[worst])
	case open:
		v.Letter = "?"
	default:
		v.Letter = "A"
	}
}

// short writes an age in its two largest units at most: "3d4h", "15m".
func short(d time.Duration) string {
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%dm", d/time.Minute)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}

// fromFindings fails the checks that findings count for. That a check passes needs
// proof of its own: nothing found is not the same as looked for.
func (s *Security) fromFindings(ctx context.Context, tx *store.Tx, now time.Time) ([]Claim, error) {
	list, err := findings(ctx, tx, `WHERE check_id <> '' AND state IN ('open', 'triaged') ORDER BY due_at, id`)
	if err != nil {
		return nil, fmt.Errorf("read the findings: %w", err)
	}
	var out []Claim
	for _, f := range list {
		// I6 gives a vulnerability its time; everything else is wrong at once.
		if !f.Counts() || f.Check == "I6" && now.Before(f.Due) {
			continue
		}
		about := "service/" + f.Service
		if f.Service == "" {
			about = "repo/" + f.Repo
		}
		out = append(out, Claim{
			Check: f.Check, About: about, State: Fail, At: f.LastSeenAt, Event: "FindingOpened " + f.ID,
			Proof: f.Title + " (" + cmp.Or(f.Evidence, f.Rule) + ")", Page: "/security/findings/" + f.ID,
		})
	}
	return out, nil
}

// GetPosture says what one service may claim now. Errors: not_found.
func (s *Security) GetPosture(ctx context.Context, tx *store.Tx, service string) (*Posture, error) {
	all, err := s.Postures(ctx, tx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(p Posture) bool { return p.Service == service })
	if i < 0 {
		return nil, nightporter.E(nightporter.NotFound, "no service is called %q", service)
	}
	return &all[i], nil
}
