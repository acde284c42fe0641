package githubtest

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Plan is what an organisation pays for, as far as branch rules go.
type Plan string

// The plans.
const (
	// FullPlan has rulesets for the organisation and for its repositories.
	FullPlan Plan = ""
	// RepositoryRulesPlan has rulesets for single repositories.
	RepositoryRulesPlan Plan = "repository rules"
	// ClassicPlan has the old branch protection only.
	ClassicPlan Plan = "classic"
)

// Settings is how a repository is set up, with GitHub's own words.
type Settings struct {
	Issues, Wiki, Projects                bool
	MergeCommit, Squash, Rebase           bool
	SquashTitle                           string // PR_TITLE or COMMIT_OR_PR_TITLE
	SquashMessage                         string // PR_BODY, COMMIT_MESSAGES or BLANK
	DeleteBranchOnMerge, AutoMerge        bool
	Fork                                  bool
	Topics                                []string
	Properties                            map[string]string
	Labels                                []Label
	Teams                                 map[string]string // slug to READ, TRIAGE, WRITE, MAINTAIN or ADMIN
	Protection                            *Protection       // the classic one of the default branch
	HiddenRules, HiddenLabels, HiddenAway bool              // what our token may not see: rules, labels, or that it exists
}

// Label is a label of a repository.
type Label struct {
	Name, Color, Description string
	id                       int64
}

// Protection is a classic branch protection.
type Protection struct {
	Reviews                        int // 0 means that none are asked for
	Checks                         []RequiredCheck
	UpToDate, Linear, SignedCommit bool
}

// RequiredCheck is a check that must be green. App 0 is any.
type RequiredCheck struct {
	Name string
	App  int64
}

// Rule is one rule of a ruleset, as in GitHub's REST API.
type Rule struct {
	Type       string         `json:"type"`
	Parameters map[string]any `json:"parameters,omitempty"`
}

// Ruleset is a ruleset of the organisation, or of one repository.
type Ruleset struct {
	ID               int64
	Name             string
	Repo             string   // "" for the organisation's
	Include, Exclude []string // repositories, of the organisation's
	Enforcement      string   // active, disabled or evaluate
	Refs             []string // ~DEFAULT_BRANCH
	Rules            []Rule
}

// defaults are the settings of a new repository.
func defaults() Settings {
	return Settings{
		Issues: true, Wiki: true, Projects: true, MergeCommit: true, Squash: true, Rebase: true,
		SquashTitle: "COMMIT_OR_PR_TITLE", SquashMessage: "COMMIT_MESSAGES",
		Properties: map[string]string{}, Teams: map[string]string{},
	}
}

func (c Settings) clone() Settings {
	c.Topics, c.Labels = slices.Clone(c.Topics), slices.Clone(c.Labels)
	c.Properties, c.Teams = maps.Clone(c.Properties), maps.Clone(c.Teams)
	if c.Protection != nil {
		p := *c.Protection
		p.Checks = slices.Clone(p.Checks)
		c.Protection = &p
	}
	return c
}

// AddShell makes a repository of which only the settings exist: there is no git
// behind it. For organisations of a thousand.
func (s *Server) AddShell(name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.repos[name]; ok || name == "" {
		return fmt.Errorf("githubtest: cannot add repository %q: the name is taken or not one", name)
	}
	s.repos[name] = &repository{
		bare: &bare{commits: map[string]*commit{}}, shell: true, id: s.id(), name: name, created: s.now(),
		statuses: map[string][]*status{}, conf: defaults(),
	}
	return nil
}

// AddTeam makes a team of the organisation.
func (s *Server) AddTeam(slug string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.teams[slug] == 0 {
		s.teams[slug] = s.id()
	}
}

// SettingsOf returns how a repository is set up.
func (s *Server) SettingsOf(repo string) (c Settings, err error) {
	err = s.with(repo, func(r *repository) error {
		c = r.conf.clone()
		return nil
	})
	return c, err
}

// Configure changes how a repository is set up, as somebody would in its
// settings, and sends the webhooks that GitHub sends for that: none for merge
// methods, the wiki or issues.
func (s *Server) Configure(repo, login string, change func(*Settings)) error {
	return s.with(repo, func(r *repository) error {
		before := r.conf.clone()
		change(&r.conf)
		for i := range r.conf.Labels {
			if r.conf.Labels[i].id == 0 {
				r.conf.Labels[i].id = s.id()
			}
		}
		s.tellSettings(r, before, login)
		return nil
	})
}

// Rename gives a repository another name.
func (s *Server) Rename(repo, name string) error {
	return s.with(repo, func(r *repository) error {
		delete(s.repos, repo)
		r.name = name
		s.repos[name] = r
		return nil
	})
}

// Remove lets a repository disappear: deleted, or transferred elsewhere.
func (s *Server) Remove(repo string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.repos, repo)
}

// Rulesets returns all rulesets, in the order in which they were made.
func (s *Server) Rulesets() []Ruleset {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Ruleset
	for _, r := range s.rulesets {
		list = append(list, *r)
	}
	return list
}

// AddRuleset makes a ruleset by hand.
func (s *Server) AddRuleset(r Ruleset) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r.ID = s.id()
	if r.Enforcement == "" {
		r.Enforcement = "active"
	}
	if r.Refs == nil {
		r.Refs = []string{"~DEFAULT_BRANCH"}
	}
	s.rulesets = append(s.rulesets, &r)
}

// tellSettings sends the webhooks of a change by hand.
func (s *Server) tellSettings(r *repository, before Settings, login string) {
	was := map[string]Label{}
	for _, l := range before.Labels {
		was[l.Name] = l
	}
	for _, l := range r.conf.Labels {
		old, ok := was[l.Name]
		delete(was, l.Name)
		switch {
		case !ok:
			s.emit(r, "label", "created", login, object{"label": s.renderLabelOf(r, l)})
		case old != l:
			s.emit(r, "label", "edited", login, object{"label": s.renderLabelOf(r, l), "changes": object{}})
		}
	}
	for _, l := range was {
		s.emit(r, "label", "deleted", login, object{"label": s.renderLabelOf(r, l)})
	}
	for _, slug := range slices.Sorted(maps.Keys(r.conf.Teams)) {
		if before.Teams[slug] != r.conf.Teams[slug] {
			s.emit(r, "team", "added_to_repository", login, object{"team": s.renderTeam(slug)})
		}
	}
	if !slices.Equal(before.Topics, r.conf.Topics) {
		s.emit(r, "repository", "edited", login, object{"changes": object{}})
	}
}

// label finds a label by name, as GitHub does: whatever the case.
func (r *repository) label(name string) int {
	return slices.IndexFunc(r.conf.Labels, func(l Label) bool { return strings.EqualFold(l.Name, name) })
}

// rulesOf are the active rulesets that hold on the default branch.
func (s *Server) rulesOf(r *repository) []*Ruleset {
	var list []*Ruleset
	for _, rs := range s.rulesets {
		if rs.Repo == r.name || rs.Repo == "" && matches(rs.Include, r.name) && !matches(rs.Exclude, r.name) {
			list = append(list, rs)
		}
	}
	return list
}

func matches(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.ToLower(p), strings.ToLower(name))
		return p == "~ALL" || err == nil && ok
	})
}
