package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

// send makes one REST request. The path has no slash at the start; body and out
// may be nil.
func (f *Forge) send(parent context.Context, method, path string, body, out any) (*gh.Response, error) {
	ctx, cancel := f.within(parent)
	defer cancel()
	req, err := f.rest.NewRequest(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	return f.rest.Do(req, out)
}

func (f *Forge) repoPath(repo string) string {
	return "repos/" + url.PathEscape(f.cfg.Organisation) + "/" + url.PathEscape(repo)
}

// SetRepository implements [forge.Governor]. Merge settings are REST only: the
// GraphQL mutation does not have them.
func (f *Forge) SetRepository(ctx context.Context, repo string, p forge.Patch) error {
	body := map[string]any{}
	for name, v := range map[string]*bool{
		"has_wiki": p.Wiki, "has_issues": p.Issues, "has_projects": p.Projects, "delete_branch_on_merge": p.DeleteBranchOnMerge,
	} {
		if v != nil {
			body[name] = *v
		}
	}
	if p.MergeMethods != nil {
		body["allow_merge_commit"] = slices.Contains(p.MergeMethods, forge.MergeCommit)
		body["allow_squash_merge"] = slices.Contains(p.MergeMethods, forge.Squash)
		body["allow_rebase_merge"] = slices.Contains(p.MergeMethods, forge.Rebase)
	}
	if p.SquashTitle != nil {
		body["squash_merge_commit_title"] = strings.ToUpper(*p.SquashTitle)
	}
	if p.SquashMessage != nil {
		body["squash_merge_commit_message"] = strings.ToUpper(*p.SquashMessage)
	}
	if p.DefaultBranch != nil {
		body["default_branch"] = *p.DefaultBranch
	}
	_, err := f.send(ctx, http.MethodPatch, f.repoPath(repo), body, nil)
	if err == nil {
		return nil
	}
	return f.fail(ctx, "set up "+repo, "repository "+repo, err)
}

// ChangeLabels implements [forge.Governor] with one document of mutations, which
// GitHub makes one after another.
func (f *Forge) ChangeLabels(ctx context.Context, changes []forge.LabelChange) ([]error, error) {
	m := mutations{}
	for _, c := range changes {
		doing, what := "set label "+c.Label.Name+" of "+c.Repo, "repository "+c.Repo
		switch {
		case c.Remove:
			m.add("deleteLabel", "DeleteLabelInput", doing, what, map[string]any{"id": c.Label.ID})
		case c.Label.ID != "":
			m.add("updateLabel", "UpdateLabelInput", doing, what, map[string]any{
				"id": c.Label.ID, "name": c.Label.Name, "color": c.Label.Color, "description": c.Label.Description,
			})
		default:
			m.add("createLabel", "CreateLabelInput", doing, what, map[string]any{
				"repositoryId": c.RepoID, "name": c.Label.Name, "color": c.Label.Color, "description": c.Label.Description,
			})
		}
	}
	return m.run(ctx, f, "set labels")
}

// GrantTeams implements [forge.Governor]. GraphQL has no mutation that takes a
// team's access away, so that is a request of its own for each.
func (f *Forge) GrantTeams(ctx context.Context, grants []forge.Grant) ([]error, error) {
	if i := slices.IndexFunc(grants, func(g forge.Grant) bool { return g.Permission == "" }); i >= 0 {
		return f.grantOneByOne(ctx, grants)
	}
	m := mutations{}
	for _, g := range grants {
		m.add("updateTeamsRepository", "UpdateTeamsRepositoryInput", "give "+g.Team+" "+string(g.Permission)+" on "+g.Repo, "repository "+g.Repo, map[string]any{
			"repositoryId": g.RepoID, "teamIds": []string{g.TeamID}, "permission": strings.ToUpper(string(g.Permission)),
		})
	}
	return m.run(ctx, f, "give teams permissions")
}

// grantOneByOne keeps the order, with which a later grant wins over an earlier.
func (f *Forge) grantOneByOne(ctx context.Context, grants []forge.Grant) ([]error, error) {
	each := make([]error, len(grants))
	for i, g := range grants {
		if g.Permission != "" {
			one, err := f.GrantTeams(ctx, grants[i:i+1])
			if err != nil {
				return nil, err
			}
			each[i] = one[0]
			continue
		}
		org := url.PathEscape(f.cfg.Organisation)
		_, err := f.send(ctx, http.MethodDelete, "orgs/"+org+"/teams/"+url.PathEscape(g.Team)+"/"+f.repoPath(g.Repo), nil, nil)
		if err != nil && !is404(err) {
			each[i] = f.fail(ctx, "take "+g.Team+"'s access to "+g.Repo+" away", "repository "+g.Repo, err)
		}
	}
	return each, nil
}

// mutations is a document of many changes.
type mutations struct {
	parameters, body strings.Builder
	variables        map[string]any
	doing, what      []string
}

func (m *mutations) add(field, kind, doing, what string, input map[string]any) {
	if m.variables == nil {
		m.variables = map[string]any{}
	}
	n := len(m.doing)
	if n > 0 {
		m.parameters.WriteString(", ")
	}
	fmt.Fprintf(&m.parameters, "$in%d: %s!", n, kind)
	fmt.Fprintf(&m.body, "\n  m%d: %s(input: $in%d) { clientMutationId }", n, field, n)
	m.variables[fmt.Sprint("in", n)] = input
	m.doing, m.what = append(m.doing, doing), append(m.what, what)
}

func (m *mutations) run(ctx context.Context, f *Forge, doing string) ([]error, error) {
	each := make([]error, len(m.doing))
	if len(m.doing) == 0 {
		return each, nil
	}
	if len(m.doing) > forge.MaxBatch {
		return nil, fmt.Errorf("%s: %d changes in one call, of at most %d", doing, len(m.doing), forge.MaxBatch)
	}
	answer := map[string]*struct{ ClientMutationID *string }{}
	refused, err := f.queryRefused(ctx, doing, "mutation changes("+m.parameters.String()+") {"+m.body.String()+"\n}", m.variables, &answer)
	if err != nil {
		return nil, err
	}
	for _, e := range refused {
		if len(e.Path) == 0 {
			return nil, &forge.UnavailableError{Doing: doing, Cause: errors.New(e.Message)}
		}
		alias, _ := e.Path[0].(string)
		n, err := strconv.Atoi(strings.TrimPrefix(alias, "m"))
		if err != nil || n < 0 || n >= len(each) {
			continue
		}
		each[n] = &forge.ForbiddenError{Doing: m.doing[n], Reason: e.Message}
		if e.Type == "NOT_FOUND" {
			each[n] = &forge.NotFoundError{What: m.what[n]}
		}
	}
	for i := range each {
		if each[i] == nil && answer[fmt.Sprint("m", i)] == nil {
			each[i] = &forge.UnavailableError{Doing: m.doing[i], Cause: errors.New("GitHub did not say what came of it")}
		}
	}
	return each, nil
}

func ruleID(n int64) string { return strconv.FormatInt(n, 10) }

// PutRules implements [forge.Governor].
func (f *Forge) PutRules(ctx context.Context, r forge.Ruleset) error {
	doing := "set the branch rules " + r.Name
	if r.Repo != "" {
		doing += " of " + r.Repo
	}
	if r.Scope == forge.ClassicScope {
		return f.protect(ctx, doing, r)
	}
	method, path := http.MethodPost, f.rulesPath(r)
	if r.ID != "" {
		method, path = http.MethodPut, path+"/"+url.PathEscape(r.ID)
	}
	_, err := f.send(ctx, method, path, rulesetBody(r), nil)
	if err == nil {
		return nil
	}
	return f.fail(ctx, doing, "the place of "+r.Name, err)
}

// DeleteRules implements [forge.Governor].
func (f *Forge) DeleteRules(ctx context.Context, r forge.Ruleset) error {
	path := f.rulesPath(r) + "/" + url.PathEscape(r.ID)
	if r.Scope == forge.ClassicScope {
		path = f.repoPath(r.Repo) + "/branches/" + url.PathEscape(r.Branch) + "/protection"
	}
	_, err := f.send(ctx, http.MethodDelete, path, nil, nil)
	if err == nil || is404(err) {
		return nil
	}
	return f.fail(ctx, "remove the branch rules "+r.Name, "the place of "+r.Name, err)
}

func (f *Forge) rulesPath(r forge.Ruleset) string {
	if r.Scope == forge.OrganisationScope {
		return "orgs/" + url.PathEscape(f.cfg.Organisation) + "/rulesets"
	}
	return f.repoPath(r.Repo) + "/rulesets"
}

// rulesetBody is a set as GitHub writes it. Deleting the branch and pushing over
// it by force are forbidden with it, as under a classic protection.
func rulesetBody(r forge.Ruleset) map[string]any {
	d := r.Demands
	rules := []map[string]any{{"type": "deletion"}, {"type": "non_fast_forward"}}
	if d.LinearHistory {
		rules = append(rules, map[string]any{"type": "required_linear_history"})
	}
	if d.SignedCommits {
		rules = append(rules, map[string]any{"type": "required_signatures"})
	}
	if d.Reviews > 0 {
		rules = append(rules, map[string]any{"type": "pull_request", "parameters": map[string]any{
			"required_approving_review_count": d.Reviews, "dismiss_stale_reviews_on_push": false, "require_code_owner_review": false,
			"require_last_push_approval": false, "required_review_thread_resolution": false,
		}})
	}
	if len(d.Checks) > 0 {
		checks := []map[string]any{}
		for _, c := range d.Checks {
			check := map[string]any{"context": c.Name}
			if c.App != 0 {
				check["integration_id"] = c.App
			}
			checks = append(checks, check)
		}
		rules = append(rules, map[string]any{"type": "required_status_checks", "parameters": map[string]any{
			"required_status_checks": checks, "strict_required_status_checks_policy": d.UpToDate,
		}})
	}
	conditions := map[string]any{"ref_name": map[string]any{"include": []string{"~DEFAULT_BRANCH"}, "exclude": []string{}}}
	if r.Scope == forge.OrganisationScope {
		conditions["repository_name"] = map[string]any{"include": noNull(r.Include), "exclude": noNull(r.Exclude)}
	}
	return map[string]any{
		"name": r.Name, "target": "branch", "enforcement": "active", "bypass_actors": []any{}, "conditions": conditions, "rules": rules,
	}
}

// noNull is a list that is not null in JSON.
func noNull(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// protect sets a classic branch protection: two requests, because signatures have
// an endpoint of their own.
func (f *Forge) protect(ctx context.Context, doing string, r forge.Ruleset) error {
	d := r.Demands
	body := map[string]any{
		// All four are required, and null turns one off.
		"required_status_checks": nil, "required_pull_request_reviews": nil, "enforce_admins": nil, "restrictions": nil,
		"required_linear_history": d.LinearHistory,
	}
	if len(d.Checks) > 0 || d.UpToDate {
		checks := []map[string]any{}
		for _, c := range d.Checks {
			check := map[string]any{"context": c.Name}
			if c.App != 0 {
				check["app_id"] = c.App
			}
			checks = append(checks, check)
		}
		body["required_status_checks"] = map[string]any{"strict": d.UpToDate, "contexts": []string{}, "checks": checks}
	}
	if d.Reviews > 0 {
		body["required_pull_request_reviews"] = map[string]any{"required_approving_review_count": d.Reviews}
	}
	path := f.repoPath(r.Repo) + "/branches/" + url.PathEscape(r.Branch) + "/protection"
	_, err := f.send(ctx, http.MethodPut, path, body, nil)
	if err != nil {
		return f.fail(ctx, doing, "branch "+r.Branch+" of "+r.Repo, err)
	}
	method := http.MethodDelete
	if d.SignedCommits {
		method = http.MethodPost
	}
	if _, err = f.send(ctx, method, path+"/required_signatures", nil, nil); err != nil && !(is404(err) && !d.SignedCommits) {
		return f.fail(ctx, doing, "branch "+r.Branch+" of "+r.Repo, err)
	}
	return nil
}
