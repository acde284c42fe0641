package gitea

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"nightporter.dev/nightporter/provider/forge"
)

// lacks is what Gitea does not have, by the setting's name.
var lacks = map[string]string{
	"squash_title":   "not offered by this forge: a squash's title is a template in the repository",
	"squash_message": "not offered by this forge: a squash's message is a template in the repository",
	"linear_history": "not offered by this forge: it follows from the ways to merge",
}

const noRules = "this forge has branch protections and no rulesets"

type team struct {
	ID         int64
	Name       string
	Permission string
}

// protection is what is demanded of a branch.
type protection struct {
	Rule      string   `json:"rule_name"`
	Approvals int64    `json:"required_approvals"`
	Check     bool     `json:"enable_status_check"`
	Contexts  []string `json:"status_check_contexts"`
	Outdated  bool     `json:"block_on_outdated_branch"`
	Signed    bool     `json:"require_signed_commits"`
}

// Survey implements [forge.Surveyor]: a page of repositories, and three questions
// about each.
func (f *Forge) Survey(ctx context.Context, want forge.SurveyWants) (forge.Survey, error) {
	const doing = "survey the repositories"
	list, requests, err := all[repository](ctx, f, f.org()+"/repos", nil, "repositories")
	if err != nil {
		return forge.Survey{}, f.fail(ctx, doing, "organisation "+f.cfg.Organisation, err)
	}
	s := forge.Survey{
		Repos: make([]forge.Settings, len(list)), OrganisationRules: forge.Offered{Why: noRules}, Unknown: map[forge.Part]string{}, ObservedAt: f.cfg.Now().UTC(),
	}
	teams, n, err := all[team](ctx, f, f.org()+"/teams", nil, "teams")
	requests += n
	if isStatus(err, http.StatusForbidden, http.StatusNotFound) {
		s.Unknown[forge.PartTeams] = "our token may not read the organisation's teams"
	} else if err != nil {
		return forge.Survey{}, f.fail(ctx, doing, "organisation "+f.cfg.Organisation, err)
	}
	for _, t := range granted(teams) {
		s.Teams = append(s.Teams, forge.Team{ID: strconv.FormatInt(t.ID, 10), Slug: t.Name, Permission: permission(t)})
	}
	slices.SortFunc(s.Teams, func(a, b forge.Team) int { return strings.Compare(a.Slug, b.Slug) })
	var asked atomic.Int64
	err = f.each(ctx, len(list), func(ctx context.Context, i int) error {
		r, n, err := f.settings(ctx, list[i])
		asked.Add(int64(n))
		s.Repos[i] = r
		return err
	})
	if err != nil {
		return forge.Survey{}, f.fail(ctx, doing, "organisation "+f.cfg.Organisation, err)
	}
	s.Cost.Requests = requests + int(asked.Load())
	slices.SortFunc(s.Repos, func(a, b forge.Settings) int { return strings.Compare(a.Name, b.Name) })
	if want.Properties {
		for i := range s.Repos {
			s.Repos[i].Unknown[forge.PartProperties] = "not offered by this forge"
		}
	}
	return s, nil
}

// granted leaves out the owners, who are given nothing: they own.
func granted(list []team) []team {
	return slices.DeleteFunc(list, func(t team) bool { return t.Permission == "owner" })
}

// permission is what a team may do in all of its repositories.
func permission(t team) forge.Permission {
	if slices.Contains(forge.Permissions, forge.Permission(t.Permission)) {
		return forge.Permission(t.Permission)
	}
	return forge.Read // its parts differ: at least it sees
}

// Inspect implements [forge.Surveyor].
func (f *Forge) Inspect(ctx context.Context, repo string) (forge.Settings, error) {
	doing, what := "look at "+repo, "repository "+repo
	var r repository
	if _, err := f.call(ctx, http.MethodGet, f.repo(repo), nil, nil, &r); err != nil {
		return forge.Settings{}, f.fail(ctx, doing, what, err)
	}
	s, _, err := f.settings(ctx, r)
	if err != nil {
		return forge.Settings{}, f.fail(ctx, doing, what, err)
	}
	return s, nil
}

// settings reads what a list of repositories does not say.
func (f *Forge) settings(ctx context.Context, r repository) (s forge.Settings, requests int, err error) {
	s = forge.Settings{
		Name: r.Name, ID: strconv.FormatInt(r.ID, 10), Archived: r.Archived, Fork: r.Fork, Empty: r.Empty, Topics: r.Topics,
		Wiki: r.HasWiki, Issues: r.HasIssues, Projects: r.HasProjects, DeleteBranchOnMerge: r.DeleteBranch,
		Teams: map[string]forge.Permission{}, RepositoryRules: forge.Offered{Why: noRules}, Unknown: map[forge.Part]string{}, NotOffered: lacks,
	}
	if !r.Empty {
		s.DefaultBranch = r.DefaultBranch
	}
	for method, allowed := range map[forge.MergeMethod]bool{forge.MergeCommit: r.AllowMerge, forge.Rebase: r.AllowRebase, forge.Squash: r.AllowSquash} {
		if allowed {
			s.MergeMethods = append(s.MergeMethods, method)
		}
	}
	slices.Sort(s.MergeMethods)
	unseen := func(part forge.Part, err error) error {
		if isStatus(err, http.StatusForbidden, http.StatusNotFound) {
			s.Unknown[part] = "our token may not read it: " + err.Error()
			return nil
		}
		return err
	}
	labels, n, err := all[label](ctx, f, f.repo(r.Name)+"/labels", nil, "labels of "+r.Name)
	requests += n
	if err := unseen(forge.PartLabels, err); err != nil {
		return s, requests, err
	}
	for _, l := range labels {
		s.Labels = append(s.Labels, forge.Label{ID: strconv.FormatInt(l.ID, 10), Name: l.Name, Color: strings.ToLower(strings.TrimPrefix(l.Color, "#")), Description: l.Description})
	}
	slices.SortFunc(s.Labels, func(a, b forge.Label) int { return strings.Compare(a.Name, b.Name) })
	var teams []team
	_, err = f.call(ctx, http.MethodGet, f.repo(r.Name)+"/teams", nil, nil, &teams)
	requests++
	if err := unseen(forge.PartTeams, err); err != nil {
		return s, requests, err
	}
	for _, t := range granted(teams) {
		s.Teams[t.Name] = permission(t)
	}
	var protections []protection
	_, err = f.call(ctx, http.MethodGet, f.repo(r.Name)+"/branch_protections", nil, nil, &protections)
	requests++
	if err := unseen(forge.PartRules, err); err != nil {
		return s, requests, err
	}
	for _, p := range protections {
		if ok, err := path.Match(p.Rule, r.DefaultBranch); p.Rule == r.DefaultBranch || err == nil && ok {
			s.Rules = append(s.Rules, ruleset(r.Name, p))
		}
	}
	return s, requests, nil
}

func ruleset(repo string, p protection) forge.Ruleset {
	out := forge.Ruleset{
		ID: p.Rule, Scope: forge.ClassicScope, Name: p.Rule, Repo: repo, Branch: p.Rule,
		Demands: forge.Demands{Reviews: int(p.Approvals), UpToDate: p.Outdated, SignedCommits: p.Signed},
	}
	if p.Check {
		for _, name := range p.Contexts {
			out.Demands.Checks = append(out.Demands.Checks, forge.Check{Name: name})
		}
	}
	return out
}

// SetRepository implements [forge.Governor].
func (f *Forge) SetRepository(ctx context.Context, repo string, p forge.Patch) error {
	if p.SquashTitle != nil || p.SquashMessage != nil {
		return &forge.NotOfferedError{What: "the title and message of a squash"}
	}
	doing, what := "set up "+repo, "repository "+repo
	var r repository
	if _, err := f.call(ctx, http.MethodGet, f.repo(repo), nil, nil, &r); err != nil {
		return f.fail(ctx, doing, what, err)
	}
	if r.Archived { // Gitea would do it
		return &forge.ForbiddenError{Doing: doing, Reason: "it is archived"}
	}
	body := map[string]any{}
	for name, v := range map[string]*bool{
		"has_wiki": p.Wiki, "has_issues": p.Issues, "has_projects": p.Projects, "default_delete_branch_after_merge": p.DeleteBranchOnMerge,
	} {
		if v != nil {
			body[name] = *v
		}
	}
	if p.DefaultBranch != nil {
		body["default_branch"] = *p.DefaultBranch
	}
	if p.MergeMethods != nil {
		may := func(m forge.MergeMethod) bool { return slices.Contains(p.MergeMethods, m) }
		body["has_pull_requests"] = true // without it, Gitea takes no notice of the rest
		body["allow_merge_commits"], body["allow_squash_merge"], body["allow_rebase"] = may(forge.MergeCommit), may(forge.Squash), may(forge.Rebase)
		body["allow_rebase_explicit"] = may(forge.Rebase) && may(forge.MergeCommit) // rebase, and then a merge commit
		body["allow_fast_forward_only_merge"] = may(forge.Rebase)
		if len(p.MergeMethods) > 0 { // the first that is offered must be one that is allowed
			body["default_merge_style"] = string(p.MergeMethods[len(p.MergeMethods)-1])
		}
	}
	if _, err := f.call(ctx, http.MethodPatch, f.repo(repo), nil, body, nil); err != nil {
		return f.fail(ctx, doing, what, err)
	}
	return nil
}

// ChangeLabels implements [forge.Governor], one after another.
func (f *Forge) ChangeLabels(ctx context.Context, changes []forge.LabelChange) ([]error, error) {
	each := make([]error, len(changes))
	for i, c := range changes {
		if err := f.changeLabel(ctx, c); err != nil {
			each[i] = f.fail(ctx, "set label "+c.Label.Name+" of "+c.Repo, "label "+c.Label.Name+" of "+c.Repo, err)
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
		}
	}
	return each, nil
}

func (f *Forge) changeLabel(ctx context.Context, c forge.LabelChange) error {
	labels := f.repo(c.Repo) + "/labels"
	body := map[string]string{"name": c.Label.Name, "color": "#" + c.Label.Color, "description": c.Label.Description}
	if c.Label.ID == "" {
		// Gitea lets two labels have one name.
		there, _, err := all[label](ctx, f, labels, nil, "labels of "+c.Repo)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(there, func(l label) bool { return strings.EqualFold(l.Name, c.Label.Name) }) {
			return &answerError{status: http.StatusConflict, message: "there is a label of that name"}
		}
		_, err = f.call(ctx, http.MethodPost, labels, nil, body, nil)
		return err
	}
	if c.Remove {
		_, err := f.call(ctx, http.MethodDelete, labels+"/"+url.PathEscape(c.Label.ID), nil, nil, nil)
		return err
	}
	_, err := f.call(ctx, http.MethodPatch, labels+"/"+url.PathEscape(c.Label.ID), nil, body, nil)
	return err
}

// GrantTeams implements [forge.Governor]. A team has one permission for all of its
// repositories, so one can be given that, or nothing.
func (f *Forge) GrantTeams(ctx context.Context, grants []forge.Grant) ([]error, error) {
	list, _, err := all[team](ctx, f, f.org()+"/teams", nil, "teams")
	if err != nil {
		return nil, f.fail(ctx, "give teams permissions", "organisation "+f.cfg.Organisation, err)
	}
	each := make([]error, len(grants))
	for i, g := range grants {
		doing, method := "give "+g.Team+" access to "+g.Repo, http.MethodPut
		n := slices.IndexFunc(list, func(t team) bool { return strconv.FormatInt(t.ID, 10) == g.TeamID })
		switch {
		case n < 0:
			each[i] = &forge.NotFoundError{What: "team " + g.Team}
			continue
		case g.Permission == "":
			doing, method = "take "+g.Team+"'s access to "+g.Repo+" away", http.MethodDelete
		case permission(list[n]) != g.Permission:
			each[i] = &forge.NotOfferedError{What: fmt.Sprintf("%s for %s in one repository alone (it has %s in all of its own)", g.Permission, g.Team, permission(list[n]))}
			continue
		}
		_, err := f.call(ctx, method, f.repo(g.Repo)+"/teams/"+url.PathEscape(list[n].Name), nil, nil, nil)
		if isStatus(err, http.StatusUnprocessableEntity) {
			err = nil // it is so already
		}
		if err != nil {
			each[i] = f.fail(ctx, doing, "repository "+g.Repo, err)
		}
	}
	return each, nil
}

// PutRules implements [forge.Governor].
func (f *Forge) PutRules(ctx context.Context, r forge.Ruleset) error {
	switch {
	case r.Scope != forge.ClassicScope:
		return &forge.NotOfferedError{What: "branch rules of the scope " + string(r.Scope)}
	case r.Demands.LinearHistory:
		return &forge.NotOfferedError{What: "a linear history as a branch rule"}
	}
	contexts := []string{}
	for _, c := range r.Demands.Checks {
		if c.App != 0 {
			return &forge.NotOfferedError{What: "a check that one App alone may set"}
		}
		contexts = append(contexts, c.Name)
	}
	doing, what := "set the branch rules "+cmp.Or(r.Name, r.Branch)+" of "+r.Repo, "repository "+r.Repo
	body := map[string]any{
		"rule_name": r.Branch, "required_approvals": r.Demands.Reviews, "enable_status_check": len(contexts) > 0, "status_check_contexts": contexts,
		"block_on_outdated_branch": r.Demands.UpToDate, "require_signed_commits": r.Demands.SignedCommits,
	}
	rules := f.repo(r.Repo) + "/branch_protections"
	_, err := f.call(ctx, http.MethodPatch, rules+"/"+url.PathEscape(r.Branch), nil, body, nil)
	if isStatus(err, http.StatusNotFound) {
		_, err = f.call(ctx, http.MethodPost, rules, nil, body, nil)
	}
	if err != nil {
		return f.fail(ctx, doing, what, err)
	}
	return nil
}

// DeleteRules implements [forge.Governor].
func (f *Forge) DeleteRules(ctx context.Context, r forge.Ruleset) error {
	_, err := f.call(ctx, http.MethodDelete, f.repo(r.Repo)+"/branch_protections/"+url.PathEscape(cmp.Or(r.Branch, r.ID)), nil, nil, nil)
	if err == nil || isStatus(err, http.StatusNotFound) {
		return nil
	}
	return f.fail(ctx, "remove the branch rules "+r.Name, "repository "+r.Repo, err)
}
