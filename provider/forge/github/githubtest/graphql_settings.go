package githubtest

import (
	"maps"
	"slices"
	"strings"
)

// How repositories are set up, as GraphQL tells it and changes it.

// settingsFields are a repository's own settings.
func (s *Server) settingsFields(r *repository) fields {
	c := r.conf
	if s.fault.Stale && r.stale != nil {
		c = *r.stale
	}
	return fields{
		"isFork": give(c.Fork), "hasIssuesEnabled": give(c.Issues), "hasWikiEnabled": give(c.Wiki), "hasProjectsEnabled": give(c.Projects),
		"mergeCommitAllowed": give(c.MergeCommit), "squashMergeAllowed": give(c.Squash), "rebaseMergeAllowed": give(c.Rebase),
		"squashMergeCommitTitle": give(c.SquashTitle), "squashMergeCommitMessage": give(c.SquashMessage),
		"deleteBranchOnMerge": give(c.DeleteBranchOnMerge), "autoMergeAllowed": give(c.AutoMerge),
		"labels": func(a arguments) (any, error) {
			if c.HiddenLabels {
				return nil, forbidden()
			}
			var list []*thing
			for _, l := range c.Labels {
				list = append(list, settingsLabel(l))
			}
			return connection("LabelConnection", list, a)
		},
		"repositoryTopics": func(a arguments) (any, error) {
			var list []*thing
			for _, name := range c.Topics {
				list = append(list, &thing{"RepositoryTopic", fields{"topic": give(&thing{"Topic", fields{"name": give(name)}})}})
			}
			return connection("RepositoryTopicConnection", list, a)
		},
		"rulesets": func(a arguments) (any, error) {
			if s.cfg.Plan == ClassicPlan {
				return nil, nil
			}
			if c.HiddenRules {
				return nil, forbidden()
			}
			return s.rulesetsPage(s.rulesOf(r), a)
		},
		"branchProtectionRules": func(a arguments) (any, error) {
			if c.HiddenRules {
				e := forbidden()
				e.propagate = true // the field may not be null, so its repository is
				return nil, e
			}
			var list []*thing
			if c.Protection != nil {
				list = append(list, protectionThing(r, c.Protection))
			}
			return connection("BranchProtectionRuleConnection", list, a)
		},
	}
}

func forbidden() *queryError {
	return &queryError{Type: "FORBIDDEN", Message: "Resource not accessible by integration"}
}

func settingsLabel(l Label) *thing {
	return &thing{"Label", fields{
		"id": give(node("LA", l.id)), "name": give(l.Name), "color": give(l.Color), "description": give(l.Description),
	}}
}

func protectionThing(r *repository, p *Protection) *thing {
	var checks []*thing
	for _, check := range p.Checks {
		app := give(nil)
		if check.App != 0 {
			app = give(&thing{"App", fields{"databaseId": give(check.App)}})
		}
		checks = append(checks, &thing{"RequiredStatusCheckDescription", fields{"context": give(check.Name), "app": app}})
	}
	return &thing{"BranchProtectionRule", fields{
		"id": give(node("BPR", r.id)), "pattern": give("main"),
		"requiresApprovingReviews": give(p.Reviews > 0), "requiredApprovingReviewCount": give(p.Reviews),
		"requiresStatusChecks": give(len(p.Checks) > 0), "requiresStrictStatusChecks": give(p.UpToDate), "requiredStatusChecks": give(checks),
		"requiresLinearHistory": give(p.Linear), "requiresCommitSignatures": give(p.SignedCommit),
	}}
}

func (s *Server) rulesetsPage(list []*Ruleset, a arguments) (any, error) {
	var things []*thing
	for _, rs := range list {
		things = append(things, s.rulesetThing(rs))
	}
	return connection("RepositoryRulesetConnection", things, a)
}

func (s *Server) rulesetThing(rs *Ruleset) *thing {
	source := &thing{"Organization", fields{"login": give(s.cfg.Organisation)}}
	names := give(nil)
	if rs.Repo != "" {
		source = &thing{"Repository", fields{"name": give(rs.Repo)}}
	} else {
		names = give(&thing{"RepositoryNameConditionTarget", fields{
			"include": give(anys(rs.Include)), "exclude": give(anys(rs.Exclude)), "protected": give(false),
		}})
	}
	return &thing{"RepositoryRuleset", fields{
		"id": give(node("RRS", rs.ID)), "databaseId": give(rs.ID), "name": give(rs.Name), "target": give("BRANCH"),
		"enforcement": give(strings.ToUpper(rs.Enforcement)), "source": give(source),
		"conditions": give(&thing{"RepositoryRuleConditions", fields{
			"refName":        give(&thing{"RefNameConditionTarget", fields{"include": give(anys(rs.Refs)), "exclude": give([]any{})}}),
			"repositoryName": names,
		}}),
		"rules": func(a arguments) (any, error) {
			var list []*thing
			for i, rule := range rs.Rules {
				list = append(list, &thing{"RepositoryRule", fields{
					"id": give(node("RR", rs.ID*100+int64(i))), "type": give(strings.ToUpper(rule.Type)), "parameters": give(parametersThing(rule)),
				}})
			}
			return connection("RepositoryRuleConnection", list, a)
		},
	}}
}

func parametersThing(rule Rule) *thing {
	p := rule.Parameters
	flag := func(name string) func(arguments) (any, error) {
		b, _ := p[name].(bool)
		return give(b)
	}
	switch rule.Type {
	case "pull_request":
		return &thing{"PullRequestParameters", fields{"requiredApprovingReviewCount": give(number(p["required_approving_review_count"]))}}
	case "required_status_checks":
		var checks []*thing
		list, _ := p["required_status_checks"].([]any)
		for _, v := range list {
			check, _ := v.(map[string]any)
			app := any(nil)
			if id, ok := check["integration_id"]; ok {
				app = number(id)
			}
			checks = append(checks, &thing{"StatusCheckConfiguration", fields{"context": give(check["context"]), "integrationId": give(app)}})
		}
		return &thing{"RequiredStatusChecksParameters", fields{
			"requiredStatusChecks": give(checks), "strictRequiredStatusChecksPolicy": flag("strict_required_status_checks_policy"),
		}}
	}
	return nil
}

func (s *Server) organisationThing(a arguments) (any, error) {
	if a.text("login") != s.cfg.Organisation {
		return nil, &queryError{Type: "NOT_FOUND", Message: "Could not resolve to an Organization with the login of '" + a.text("login") + "'."}
	}
	return &thing{"Organization", fields{
		"login": give(s.cfg.Organisation),
		"teams": func(a arguments) (any, error) {
			if s.fault.HideTeams {
				return nil, &queryError{Type: "FORBIDDEN", Message: "Resource not accessible by integration", propagate: true}
			}
			var list []*thing
			for _, slug := range slices.Sorted(maps.Keys(s.teams)) {
				list = append(list, s.teamThing(slug))
			}
			return connection("TeamConnection", list, a)
		},
		"team": func(a arguments) (any, error) {
			if s.teams[a.text("slug")] == 0 {
				return nil, nil
			}
			return s.teamThing(a.text("slug")), nil
		},
		"rulesets": func(a arguments) (any, error) {
			if s.cfg.Plan != FullPlan || s.fault.HideOrganisationRules {
				return nil, &queryError{Type: "FORBIDDEN", Message: "Upgrade to GitHub Team to enable this feature."}
			}
			var list []*Ruleset
			for _, rs := range s.rulesets {
				if rs.Repo == "" {
					list = append(list, rs)
				}
			}
			return s.rulesetsPage(list, a)
		},
	}}, nil
}

func (s *Server) teamThing(slug string) *thing {
	return &thing{"Team", fields{
		"id": give(node("T", s.teams[slug])), "slug": give(slug),
		"repositories": func(a arguments) (any, error) {
			var nodes []*thing
			var edges []*thing
			for _, r := range s.sorted() {
				if p := r.conf.Teams[slug]; p != "" {
					repo := &thing{"Repository", fields{"name": give(r.name), "id": give(node("R", r.id))}}
					nodes = append(nodes, repo)
					edges = append(edges, &thing{"TeamRepositoryEdge", fields{"permission": give(p), "node": give(repo)}})
				}
			}
			page, err := connection("TeamRepositoryConnection", nodes, a)
			if err != nil {
				return nil, err
			}
			listed, err := connection("", edges, a)
			if err != nil {
				return nil, err
			}
			page.(*thing).fields["edges"] = listed.(*thing).fields["nodes"]
			return page, nil
		},
	}}
}

// nodesOf answers nodes(ids:), for rulesets.
func (s *Server) nodesOf(a arguments) (any, error) {
	list := []any{}
	for _, id := range a.words("ids") {
		i := slices.IndexFunc(s.rulesets, func(rs *Ruleset) bool { return node("RRS", rs.ID) == id })
		if i < 0 {
			list = append(list, nil)
			continue
		}
		list = append(list, s.rulesetThing(s.rulesets[i]))
	}
	return list, nil
}

func anys(list []string) []any {
	out := []any{}
	for _, s := range list {
		out = append(out, s)
	}
	return out
}

// mutations are the root of a mutation. They run one after another, as GraphQL
// says.
func (s *Server) mutations() *thing {
	return &thing{"Mutation", fields{
		"createLabel":           s.mutation(s.graphCreateLabel),
		"updateLabel":           s.mutation(s.graphUpdateLabel),
		"deleteLabel":           s.mutation(s.graphDeleteLabel),
		"updateTeamsRepository": s.mutation(s.graphUpdateTeams),
	}}
}

func (s *Server) mutation(fn func(in map[string]any) (*thing, error)) func(arguments) (any, error) {
	return func(a arguments) (any, error) {
		if s.fault.Forbidden != "" {
			return nil, forbidden()
		}
		in, _ := a["input"].(map[string]any)
		s.mutated++
		return fn(in)
	}
}

func word(in map[string]any, name string) string {
	w, _ := in[name].(string)
	return w
}

func (s *Server) repoByNode(id string) (*repository, error) {
	for _, r := range s.repos {
		if node("R", r.id) == id {
			if r.archived {
				return nil, &queryError{Type: "FORBIDDEN", Message: "Repository was archived so is read-only."}
			}
			return r, nil
		}
	}
	return nil, missingNode(id)
}

func missingNode(id string) *queryError {
	return &queryError{Type: "NOT_FOUND", Message: "Could not resolve to a node with the global id of '" + id + "'"}
}

func (s *Server) graphCreateLabel(in map[string]any) (*thing, error) {
	r, err := s.repoByNode(word(in, "repositoryId"))
	if err != nil {
		return nil, err
	}
	if r.label(word(in, "name")) >= 0 {
		return nil, &queryError{Type: "UNPROCESSABLE", Message: "Name has already been taken"}
	}
	l := Label{Name: word(in, "name"), Color: word(in, "color"), Description: word(in, "description"), id: s.id()}
	r.conf.Labels = append(r.conf.Labels, l)
	s.emit(r, "label", "created", botLogin, object{"label": s.renderLabelOf(r, l)})
	return &thing{"CreateLabelPayload", fields{"label": give(settingsLabel(l)), "clientMutationId": give(nil)}}, nil
}

func (s *Server) labelByNode(id string) (*repository, int, error) {
	for _, r := range s.repos {
		for i, l := range r.conf.Labels {
			if node("LA", l.id) == id {
				return r, i, nil
			}
		}
	}
	return nil, 0, missingNode(id)
}

func (s *Server) graphUpdateLabel(in map[string]any) (*thing, error) {
	r, i, err := s.labelByNode(word(in, "id"))
	if err != nil {
		return nil, err
	}
	l := &r.conf.Labels[i]
	for name, field := range map[string]*string{"name": &l.Name, "color": &l.Color, "description": &l.Description} {
		if v, ok := in[name].(string); ok {
			*field = v
		}
	}
	s.emit(r, "label", "edited", botLogin, object{"label": s.renderLabelOf(r, *l), "changes": object{}})
	return &thing{"UpdateLabelPayload", fields{"label": give(settingsLabel(*l)), "clientMutationId": give(nil)}}, nil
}

func (s *Server) graphDeleteLabel(in map[string]any) (*thing, error) {
	r, i, err := s.labelByNode(word(in, "id"))
	if err != nil {
		return nil, err
	}
	l := r.conf.Labels[i]
	r.conf.Labels = slices.Delete(r.conf.Labels, i, i+1)
	s.emit(r, "label", "deleted", botLogin, object{"label": s.renderLabelOf(r, l)})
	return &thing{"DeleteLabelPayload", fields{"clientMutationId": give(nil)}}, nil
}

func (s *Server) graphUpdateTeams(in map[string]any) (*thing, error) {
	r, err := s.repoByNode(word(in, "repositoryId"))
	if err != nil {
		return nil, err
	}
	for _, id := range arguments(in).words("teamIds") {
		slug := ""
		for name, n := range s.teams {
			if node("T", n) == id {
				slug = name
			}
		}
		if slug == "" {
			return nil, missingNode(id)
		}
		r.conf.Teams[slug] = word(in, "permission")
		s.emit(r, "team", "added_to_repository", botLogin, object{"team": s.renderTeam(slug)})
	}
	return &thing{"UpdateTeamsRepositoryPayload", fields{"clientMutationId": give(nil)}}, nil
}
