package standard

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
)

// Plan is what differs, what would put it right, and what that costs.
type Plan struct {
	ID     string        `json:"id,omitempty"`
	Forge  string        `json:"forge"`
	MadeAt time.Time     `json:"made_at"`
	Repos  []RepoPlan    `json:"repos"`
	Writes []Write       `json:"writes"`
	Price  Price         `json:"price"`
	Survey forge.Cost    `json:"survey"`
	Notes  []string      `json:"notes,omitempty"`
	Counts map[State]int `json:"counts"`
	// Rules are those that writes are kept to; empty means all.
	Rules []Rule `json:"rules,omitempty"`
	// Undoes is the plan whose writes this one takes back; "" for none.
	Undoes string `json:"undoes,omitempty"`
}

// RepoPlan is one repository's rules.
type RepoPlan struct {
	Repo    string `json:"repo"`
	Skipped string `json:"skipped,omitempty"`
	Cells   []Cell `json:"cells"`
}

// Differs says whether a rule does not hold that should.
func (r RepoPlan) Differs() bool {
	return slices.ContainsFunc(r.Cells, func(c Cell) bool { return c.State == Drift })
}

// Differs says whether anything does not hold that should.
func (p *Plan) Differs() bool {
	return slices.ContainsFunc(p.Repos, RepoPlan.Differs) || len(p.Writes) > 0
}

// Price is what an apply costs.
type Price struct {
	Changes  int `json:"changes"`  // settings, labels, grants, sets of rules
	Requests int `json:"requests"` // writes, as the forge counts them
	// Duration is at one write request a second, which is what GitHub asks
	// for. Its limits on creation may make it longer.
	Duration Duration `json:"duration"`
}

// Duration is a time.Duration that is text in JSON: "19m0s".
type Duration time.Duration

// MarshalText writes "19m0s".
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Duration) UnmarshalText(b []byte) error {
	parsed, err := time.ParseDuration(string(b))
	*d = Duration(parsed)
	return err
}

// Pace is the time between two write requests that a plan's duration assumes.
const Pace = time.Second

// Input is what a plan is made from.
type Input struct {
	Survey forge.Survey
	Now    time.Time
	// Hooked says that webhooks of this forge arrive.
	Hooked bool
	// Who says who changed a part of a repository last, and when; nil for
	// nobody knows.
	Who func(repo string, rule Rule) (login string, at time.Time)
	// Only keeps to one rule or one repository, by name; "" means all.
	Only string
	// Rules keeps the writes, and nothing else, to these; nil means all.
	Rules []Rule
}

// fixes says whether a rule may be put right.
func (in Input) fixes(rule Rule) bool {
	if in.Rules != nil && !slices.Contains(in.Rules, rule) {
		return false
	}
	return !slices.Contains(Rules, Rule(in.Only)) || Rule(in.Only) == rule
}

// fixesBranch says whether any rule of the branch may be put right.
func (in Input) fixesBranch() bool { return slices.ContainsFunc(branchRules, in.fixes) }

// Make compares a survey with the standard. The error is invalid when the
// standard names a team that the forge does not have: nothing may be written
// then.
func (s *Standard) Make(in Input) (*Plan, error) {
	if err := s.checkTeams(in.Survey); err != nil {
		return nil, err
	}
	p := &Plan{
		Forge: s.world.Forge, MadeAt: in.Now.UTC(), Survey: in.Survey.Cost, Repos: []RepoPlan{}, Writes: []Write{}, Counts: map[State]int{},
		Rules: in.Rules,
	}
	if why := in.Survey.OrganisationRules.Why; why != "" && !in.Survey.OrganisationRules.Yes {
		p.Notes = append(p.Notes, "branch rules are set for each repository: "+why)
	}
	if err := s.checkOnly(in); err != nil {
		return nil, err
	}
	var branches []branch
	for _, r := range in.Survey.Repos {
		e := s.For(r)
		rp := RepoPlan{Repo: r.Name, Skipped: e.Skipped, Cells: []Cell{}}
		if e.Skipped != "" {
			branches = append(branches, branch{repo: r, skipped: true})
			if in.Only == "" || in.Only == r.Name {
				p.Repos = append(p.Repos, rp)
			}
			continue
		}
		verdicts := s.judge(e, r, in.Survey, in.Hooked)
		b, own := branch{repo: r, want: s.demands(e)}, ownDemands(r)
		w := repoWrites{repo: r}
		for i := range verdicts {
			v := &verdicts[i]
			s.except(v, r.Name, in.Now)
			if s.excused(v.Rule, r.Name, in.Now) {
				b.want = without(b.want, v.Rule)
			}
			if r.NotOffered[string(v.Rule)] != "" {
				b.want = without(b.want, v.Rule)
			}
			if !in.fixes(v.Rule) {
				// What is only reported stays as our own set has it now.
				b.want = as(b.want, own, v.Rule)
			}
			if partOf(v.Rule) == forge.PartRules && r.Unknown[forge.PartRules] != "" {
				b.unknown = true
			}
			if in.Who != nil && v.State == Drift {
				v.Who, v.WhoAt = in.Who(r.Name, v.Rule)
			}
			if in.Only != "" && in.Only != r.Name && in.Only != string(v.Rule) {
				continue
			}
			p.Counts[v.State]++
			rp.Cells = append(rp.Cells, v.Cell)
			if v.State == Drift && in.fixes(v.Rule) {
				w.add(v)
				b.lacks = b.lacks || v.rules
			}
		}
		b.want = plausible(b.want)
		branches = append(branches, b)
		p.Writes = append(p.Writes, w.writes()...)
		if len(rp.Cells) > 0 || in.Only == "" {
			p.Repos = append(p.Repos, rp)
		}
	}
	switch {
	case !in.fixesBranch():
	case in.Only == "" || s.isBranchRule(in.Only):
		p.Writes = append(p.Writes, ruleWrites(in.Survey, branches)...)
	default:
		p.Writes = append(p.Writes, ruleWritesOf(in.Survey, branches, in.Only)...)
	}
	Sort(p.Writes)
	for i := range p.Writes {
		p.Writes[i].N = i + 1
	}
	p.Price = price(p.Writes)
	return p, nil
}

func (s *Standard) isBranchRule(name string) bool {
	return slices.Contains(Rules, Rule(name)) && partOf(Rule(name)) == forge.PartRules
}

// checkOnly refuses an --only that names nothing: a typing error must not look
// like a plan without differences.
func (s *Standard) checkOnly(in Input) error {
	if in.Only == "" || slices.Contains(Rules, Rule(in.Only)) ||
		slices.ContainsFunc(in.Survey.Repos, func(r forge.Settings) bool { return r.Name == in.Only }) {
		return nil
	}
	return nightporter.E(nightporter.NotFound, "there is neither a rule nor a repository %q", in.Only).
		WithHint("rules are: %s", join(Rules))
}

// checkTeams refuses a standard that names a team that is not there.
func (s *Standard) checkTeams(survey forge.Survey) error {
	if survey.Unknown[forge.PartTeams] != "" {
		return nil
	}
	for _, l := range s.layers {
		if l.soft {
			continue
		}
		for _, team := range slices.Sorted(maps.Keys(l.rules.Teams)) {
			slug := s.world.SlugOf(team)
			if !slices.ContainsFunc(survey.Teams, func(t forge.Team) bool { return t.Slug == slug }) {
				return nightporter.E(nightporter.Invalid, "%s.teams%s names %s, and the forge has no team %q", l.name, s.world.at(l.path+".teams."+team), team, slug).
					WithHint("make the team there, or name the right one as teams.%s.forge", team)
			}
		}
	}
	return nil
}

// except turns drift that may be into an exemption, and says when one has ended.
func (s *Standard) except(v *verdict, repo string, now time.Time) {
	for _, e := range s.cfg.Exceptions {
		// A branch rule that holds now is let go with the next apply.
		may := v.State == Drift || v.State == OK && partOf(v.Rule) == forge.PartRules && !Ended(e, now)
		if Rule(e.Rule) != v.Rule || !s.isFor(e, repo) || !may {
			continue
		}
		if Ended(e, now) {
			v.Note = strings.TrimPrefix(v.Note+fmt.Sprintf("; the exception of %s (%s) ended on %s", e.Owner, e.Reason, e.Until), "; ")
			continue
		}
		v.State, v.Until, v.Note = Exempt, string(e.Until), fmt.Sprintf("%s (%s)", e.Reason, e.Owner)
		v.patch, v.labels, v.grants, v.rules = nil, nil, nil, false
	}
}

// excused says whether a rule need not hold now.
func (s *Standard) excused(rule Rule, repo string, now time.Time) bool {
	return slices.ContainsFunc(s.cfg.Exceptions, func(e config.Exception) bool {
		return Rule(e.Rule) == rule && s.isFor(e, repo) && !Ended(e, now)
	})
}

func (s *Standard) isFor(e config.Exception, repo string) bool {
	forgeName, name, ok := strings.Cut(e.Repo, "/")
	if !ok {
		return strings.EqualFold(e.Repo, repo)
	}
	return forgeName == s.world.Forge && strings.EqualFold(name, repo)
}

// Ended says whether an exception's last day is over, in UTC.
func Ended(e config.Exception, now time.Time) bool {
	last, err := time.Parse(time.DateOnly, string(e.Until))
	return err == nil && !now.UTC().Before(last.AddDate(0, 0, 1))
}

// price adds up.
func price(writes []Write) Price {
	p := Price{Changes: len(writes)}
	for _, b := range Batches(writes) {
		p.Requests += requests(writes[b.First:b.End])
	}
	p.Duration = Duration(time.Duration(p.Requests) * Pace)
	return p
}

// requests is how many requests a batch takes.
func requests(batch []Write) int {
	if batch[0].Rules != nil && batch[0].Rules.Scope == forge.ClassicScope && !batch[0].Delete {
		return 2
	}
	return 1
}
