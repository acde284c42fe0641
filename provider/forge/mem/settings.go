package mem

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter/provider/forge"
)

var _ forge.Governor = (*Forge)(nil)

// defaults are the settings of a new repository: GitHub's.
func defaults() forge.Settings {
	return forge.Settings{
		Wiki: true, Issues: true, Projects: true,
		MergeMethods: []forge.MergeMethod{forge.MergeCommit, forge.Rebase, forge.Squash},
		SquashTitle:  "commit_or_pr_title", SquashMessage: "commit_messages", Teams: map[string]forge.Permission{},
	}
}

// AddTeam makes a team.
func (f *Forge) AddTeam(slug string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.teams == nil {
		f.teams = map[string]string{}
	}
	if f.teams[slug] == "" {
		f.serial++
		f.teams[slug] = "team-" + strconv.Itoa(f.serial)
	}
}

// Configure changes the settings of a repository by hand. Part is what the
// webhook says of it; "" sends none, as GitHub does for merge methods.
func (f *Forge) Configure(repo, login string, part forge.Part, change func(*forge.Settings)) {
	f.change(repo, func(r *repository) {
		change(&r.settings)
		for i := range r.settings.Labels {
			if r.settings.Labels[i].ID == "" {
				f.serial++
				r.settings.Labels[i].ID = "label-" + strconv.Itoa(f.serial)
			}
		}
	})
	if part != "" {
		f.send("settings/"+string(part), repo, login)
	}
}

// SettingsOf returns the settings of a repository.
func (f *Forge) SettingsOf(repo string) (s forge.Settings) {
	f.change(repo, func(r *repository) { s = f.settings(r) })
	return s
}

// Rename gives a repository another name.
func (f *Forge) Rename(repo, name string) {
	f.change(repo, func(r *repository) {
		delete(f.repos, repo)
		r.name = name
		f.repos[name] = r
	})
}

// Remove lets a repository disappear.
func (f *Forge) Remove(repo string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.repos, repo)
}

// Survey implements [forge.Surveyor].
func (f *Forge) Survey(ctx context.Context, _ forge.SurveyWants) (forge.Survey, error) {
	if err := f.enter(ctx, "Survey"); err != nil {
		return forge.Survey{}, err
	}
	defer f.mu.Unlock()
	if f.fault.HalfPages {
		return forge.Survey{}, &forge.PartialError{What: "repositories", Got: len(f.repos) / 2, Want: len(f.repos)}
	}
	s := forge.Survey{
		OrganisationRules: forge.Offered{Yes: !f.cfg.ClassicRules, Why: "not on this plan"},
		Unknown:           map[forge.Part]string{}, Cost: forge.Cost{Requests: 1}, ObservedAt: f.now(),
	}
	for _, r := range f.repos {
		s.Repos = append(s.Repos, f.settings(r))
	}
	slices.SortFunc(s.Repos, func(a, b forge.Settings) int { return strings.Compare(a.Name, b.Name) })
	for _, slug := range slices.Sorted(maps.Keys(f.teams)) {
		s.Teams = append(s.Teams, forge.Team{ID: f.teams[slug], Slug: slug})
	}
	for _, r := range f.rules {
		if r.Scope == forge.OrganisationScope {
			s.Rules = append(s.Rules, *r)
		}
	}
	slices.SortFunc(s.Rules, func(a, b forge.Ruleset) int { return strings.Compare(a.Name, b.Name) })
	return s, nil
}

// Inspect implements [forge.Surveyor].
func (f *Forge) Inspect(ctx context.Context, repo string) (forge.Settings, error) {
	r, err := f.open(ctx, "Inspect", repo)
	if err != nil {
		return forge.Settings{}, err
	}
	defer f.mu.Unlock()
	return f.settings(r), nil
}

// settings is what one look sees. The caller holds the lock.
func (f *Forge) settings(r *repository) forge.Settings {
	s := r.settings
	s.Name, s.ID, s.Archived, s.Fork, s.Empty = r.name, r.id, r.archived, r.fork, len(r.line) == 0
	if !s.Empty {
		s.DefaultBranch = "main"
	}
	s.MergeMethods, s.Topics = slices.Clone(s.MergeMethods), slices.Clone(s.Topics)
	s.Labels, s.Teams, s.Properties = slices.Clone(s.Labels), maps.Clone(s.Teams), maps.Clone(s.Properties)
	slices.SortFunc(s.Labels, func(a, b forge.Label) int { return strings.Compare(a.Name, b.Name) })
	s.RepositoryRules = forge.Offered{Yes: !f.cfg.ClassicRules, Why: "not on this plan"}
	s.Unknown = map[forge.Part]string{}
	maps.Copy(s.Unknown, f.fault.Unknown[r.name])
	for _, set := range f.rules {
		if set.Scope == forge.OrganisationScope && set.Covers(r.name) || set.Scope != forge.OrganisationScope && set.Repo == r.name {
			s.Rules = append(s.Rules, *set)
		}
	}
	return s
}

// SetRepository implements [forge.Governor].
func (f *Forge) SetRepository(ctx context.Context, repo string, p forge.Patch) (err error) {
	r, err := f.openToWrite(ctx, "SetRepository", repo)
	if err != nil {
		return err
	}
	defer f.leave("SetRepository", &err)
	s := &r.settings
	for from, to := range map[*bool]*bool{p.Wiki: &s.Wiki, p.Issues: &s.Issues, p.Projects: &s.Projects, p.DeleteBranchOnMerge: &s.DeleteBranchOnMerge} {
		if from != nil {
			*to = *from
		}
	}
	if p.MergeMethods != nil {
		s.MergeMethods = slices.Sorted(slices.Values(p.MergeMethods))
	}
	if p.SquashTitle != nil {
		s.SquashTitle = *p.SquashTitle
	}
	if p.SquashMessage != nil {
		s.SquashMessage = *p.SquashMessage
	}
	if p.DefaultBranch != nil && *p.DefaultBranch != "main" {
		return &forge.ForbiddenError{Doing: "set up " + repo, Reason: "there is no branch " + *p.DefaultBranch}
	}
	return nil
}

// ChangeLabels implements [forge.Governor].
func (f *Forge) ChangeLabels(ctx context.Context, changes []forge.LabelChange) (each []error, err error) {
	if err := f.enter(ctx, "ChangeLabels"); err != nil {
		return nil, err
	}
	defer f.leave("ChangeLabels", &err)
	for _, c := range changes {
		each = append(each, f.changeLabel(c))
	}
	return each, nil
}

func (f *Forge) changeLabel(c forge.LabelChange) error {
	r := f.byID(c.RepoID)
	if r == nil {
		return &forge.NotFoundError{What: "repository " + c.Repo}
	}
	if r.archived {
		return readOnly("set label " + c.Label.Name + " of " + c.Repo)
	}
	labels := &r.settings.Labels
	if c.Label.ID == "" {
		if slices.ContainsFunc(*labels, func(l forge.Label) bool { return strings.EqualFold(l.Name, c.Label.Name) }) {
			return &forge.ForbiddenError{Doing: "make label " + c.Label.Name + " in " + c.Repo, Reason: "it exists"}
		}
		f.serial++
		c.Label.ID = "label-" + strconv.Itoa(f.serial)
		*labels = append(*labels, c.Label)
		return nil
	}
	i := slices.IndexFunc(*labels, func(l forge.Label) bool { return l.ID == c.Label.ID })
	switch {
	case i < 0:
		return &forge.NotFoundError{What: fmt.Sprintf("label %s of %s", c.Label.Name, c.Repo)}
	case c.Remove:
		*labels = slices.Delete(*labels, i, i+1)
	default:
		(*labels)[i] = c.Label
	}
	return nil
}

// GrantTeams implements [forge.Governor].
func (f *Forge) GrantTeams(ctx context.Context, grants []forge.Grant) (each []error, err error) {
	if err := f.enter(ctx, "GrantTeams"); err != nil {
		return nil, err
	}
	defer f.leave("GrantTeams", &err)
	for _, g := range grants {
		r := f.byID(g.RepoID)
		switch {
		case r == nil:
			each = append(each, &forge.NotFoundError{What: "repository " + g.Repo})
		case f.teams[g.Team] == "" || f.teams[g.Team] != g.TeamID:
			each = append(each, &forge.NotFoundError{What: "team " + g.Team})
		case r.archived:
			each = append(each, readOnly("give "+g.Team+" access to "+g.Repo))
		case g.Permission == "":
			delete(r.settings.Teams, g.Team)
			each = append(each, nil)
		default:
			r.settings.Teams[g.Team] = g.Permission
			each = append(each, nil)
		}
	}
	return each, nil
}

// PutRules implements [forge.Governor].
func (f *Forge) PutRules(ctx context.Context, r forge.Ruleset) (err error) {
	if err := f.enter(ctx, "PutRules"); err != nil {
		return err
	}
	defer f.leave("PutRules", &err)
	if r.Scope != forge.ClassicScope && f.cfg.ClassicRules {
		return &forge.ForbiddenError{Doing: "set the branch rules " + r.Name, Reason: "not on this plan"}
	}
	if r.Scope != forge.OrganisationScope && f.repos[r.Repo] == nil {
		return &forge.NotFoundError{What: "repository " + r.Repo}
	}
	if r.Scope == forge.ClassicScope {
		r.Name = r.Branch
	}
	i := slices.IndexFunc(f.rules, func(o *forge.Ruleset) bool {
		return o.ID == r.ID || r.Scope == forge.ClassicScope && o.Scope == r.Scope && o.Repo == r.Repo && o.Branch == r.Branch
	})
	switch {
	case i >= 0:
		r.ID = f.rules[i].ID
		f.rules[i] = &r
	case r.ID != "":
		return &forge.NotFoundError{What: "the place of " + r.Name}
	default:
		f.serial++
		r.ID = strconv.Itoa(f.serial)
		f.rules = append(f.rules, &r)
	}
	return nil
}

// DeleteRules implements [forge.Governor].
func (f *Forge) DeleteRules(ctx context.Context, r forge.Ruleset) (err error) {
	if err := f.enter(ctx, "DeleteRules"); err != nil {
		return err
	}
	defer f.leave("DeleteRules", &err)
	f.rules = slices.DeleteFunc(f.rules, func(o *forge.Ruleset) bool { return o.ID == r.ID })
	return nil
}

// openToWrite is open for a repository that must not be archived.
func (f *Forge) openToWrite(ctx context.Context, method, repo string) (*repository, error) {
	r, err := f.open(ctx, method, repo)
	if err == nil && r.archived {
		f.mu.Unlock()
		return nil, readOnly(method + " " + repo)
	}
	return r, err
}

func readOnly(doing string) error {
	return &forge.ForbiddenError{Doing: doing, Reason: "it is archived"}
}

func (f *Forge) byID(id string) *repository {
	for _, r := range f.repos {
		if r.id == id {
			return r
		}
	}
	return nil
}
