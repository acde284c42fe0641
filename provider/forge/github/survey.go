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
	"sync"

	"nightporter.dev/nightporter/provider/forge"
)

var _ forge.Governor = (*Forge)(nil)

// survey is one survey being made.
type survey struct {
	f     *Forge
	parts surveyParts

	mu   sync.Mutex
	cost forge.Cost

	repos []forge.Settings
	sets  map[string]rulesetNode // by node id: rulesets with their rules
	found map[string][]string    // by repository: the ids of the sets that hold
}

// Survey implements [forge.Surveyor]. Repositories and teams are read side by
// side; a page of either waits for the one before.
func (f *Forge) Survey(ctx context.Context, want forge.SurveyWants) (forge.Survey, error) {
	s := &survey{
		f: f, parts: surveyParts{topics: want.Topics, classic: true},
		sets: map[string]rulesetNode{}, found: map[string][]string{},
	}
	out := forge.Survey{Unknown: map[forge.Part]string{}, ObservedAt: f.cfg.Now().UTC()}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	var reposErr, teamsErr error
	grants := map[string]map[string]forge.Permission{} // by repository
	all.Go(func() {
		if reposErr = s.pages(ctx); reposErr != nil {
			cancel()
		}
	})
	all.Go(func() {
		if teamsErr = s.organisation(ctx, &out, grants); teamsErr != nil {
			cancel()
		}
	})
	all.Wait()
	if err := firstReal(reposErr, teamsErr); err != nil {
		return forge.Survey{}, err
	}
	if err := s.readSets(ctx); err != nil {
		return forge.Survey{}, err
	}
	properties := map[string]map[string]string{}
	if want.Properties {
		if err := s.properties(ctx, &out, properties); err != nil {
			return forge.Survey{}, err
		}
	}
	for i := range s.repos {
		r := &s.repos[i]
		s.addRules(r)
		if g := grants[strings.ToLower(r.Name)]; g != nil {
			r.Teams = g
		}
		r.Properties = properties[r.Name]
		for part, why := range out.Unknown {
			r.Unknown[part] = why
		}
	}
	slices.SortFunc(s.repos, func(a, b forge.Settings) int { return strings.Compare(a.Name, b.Name) })
	out.Repos, out.Cost = s.repos, s.cost
	return out, nil
}

// firstReal is the error that ended a survey: not the one of the other half,
// which was only told to stop.
func firstReal(errs ...error) error {
	var stopped error
	for _, err := range errs {
		switch {
		case errors.Is(err, context.Canceled):
			stopped = err
		case err != nil:
			return err
		}
	}
	return stopped
}

// ask runs one query of the survey and counts it. What GitHub refused within an
// answer comes back beside it.
func (s *survey) ask(ctx context.Context, document string, variables map[string]any, out any, cost *priced) ([]graphError, error) {
	refused, err := s.f.queryRefused(ctx, "survey", document, variables, out)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cost.Requests++
	s.cost.Points += cost.RateLimit.Cost
	return refused, err
}

// pages reads all repositories and sees to it that they are all.
func (s *survey) pages(ctx context.Context) error {
	size, after, total := s.f.cfg.PageSize, "", 0
	seen := map[string]bool{}
	for {
		var answer struct {
			priced
			RepositoryOwner *struct{ Repositories counted[*settingsNode] }
		}
		variables := map[string]any{"owner": s.f.cfg.Organisation, "first": size}
		if after != "" {
			variables["after"] = after
		}
		refused, err := s.ask(ctx, s.parts.page(), variables, &answer, &answer.priced)
		if errors.Is(err, errSlow) && size > 1 {
			size /= 2
			continue
		}
		if err != nil {
			return err
		}
		if answer.RepositoryOwner == nil {
			return &forge.NotFoundError{What: "organisation " + s.f.cfg.Organisation}
		}
		page := answer.RepositoryOwner.Repositories
		nodes, err := s.complete(ctx, page.Nodes, refused, variables)
		if err != nil {
			return err
		}
		for _, n := range nodes {
			if seen[n.ID] {
				continue // it was renamed meanwhile and moved to this page
			}
			seen[n.ID] = true
			if err := s.add(ctx, n, refused); err != nil {
				return err
			}
		}
		total = page.TotalCount
		if !page.PageInfo.HasNextPage {
			break
		}
		after = page.PageInfo.EndCursor
	}
	if len(seen) < total {
		return &forge.PartialError{What: "repositories", Got: len(seen), Want: total}
	}
	return nil
}

// located is a node with its place in the page, which refusals name.
type located struct {
	*settingsNode
	place int
	bare  bool // its classic rules could not be read
}

// complete fills in repositories that GitHub answered with null because their
// classic rules, which may not be null, are not for us: the page is asked for
// once more without those.
func (s *survey) complete(ctx context.Context, page []*settingsNode, refused []graphError, variables map[string]any) ([]located, error) {
	var list []located
	if !slices.Contains(page, nil) {
		for i, n := range page {
			list = append(list, located{n, i, false})
		}
		return list, nil
	}
	var answer struct {
		priced
		RepositoryOwner *struct{ Repositories counted[*settingsNode] }
	}
	without := s.parts
	without.classic = false
	if _, err := s.ask(ctx, without.page(), variables, &answer, &answer.priced); err != nil {
		return nil, err
	}
	if answer.RepositoryOwner == nil || len(answer.RepositoryOwner.Repositories.Nodes) != len(page) {
		return nil, &forge.PartialError{What: "repositories of a page", Want: len(page)}
	}
	for i, n := range page {
		l := located{n, i, false}
		if n == nil {
			l = located{answer.RepositoryOwner.Repositories.Nodes[i], i, true}
		}
		if l.settingsNode == nil {
			return nil, &forge.PartialError{What: "repositories of a page", Got: len(list), Want: len(page)}
		}
		list = append(list, l)
	}
	return list, nil
}

// add takes in one repository.
func (s *survey) add(ctx context.Context, n located, refused []graphError) error {
	r := n.settings()
	for _, e := range refused {
		if place, field, ok := e.within("nodes"); ok && place == n.place {
			if part, known := partOf[field]; known {
				r.Unknown[part] = lacks(part, e.Message)
			}
		}
	}
	if n.bare && r.Unknown[forge.PartRules] == "" {
		r.Unknown[forge.PartRules] = lacks(forge.PartRules, "")
	}
	if err := s.allLabels(ctx, n.settingsNode, &r); err != nil {
		return err
	}
	s.holding(n.settingsNode, &r)
	s.repos = append(s.repos, r)
	return nil
}

// partOf is the part that a field of a repository belongs to.
var partOf = map[string]forge.Part{
	"labels": forge.PartLabels, "rulesets": forge.PartRules, "branchProtectionRules": forge.PartRules, "repositoryTopics": forge.PartTopics,
}

// needs is the permission of an App, in GitHub's words, that a part is read with.
var needs = map[forge.Part]string{
	forge.PartRules: "administration=read", forge.PartTeams: "members=read", forge.PartLabels: "issues=read",
	forge.PartTopics: "metadata=read", forge.PartProperties: "organization_custom_properties=read",
}

// lacks is why a part is unknown.
func lacks(part forge.Part, message string) string {
	text := "token lacks " + needs[part]
	if message != "" {
		text += " (GitHub: " + message + ")"
	}
	return text
}

// allLabels reads on where a repository has more labels than a page.
func (s *survey) allLabels(ctx context.Context, n *settingsNode, r *forge.Settings) error {
	if n.Labels == nil || r.Unknown[forge.PartLabels] != "" {
		if r.Unknown[forge.PartLabels] == "" {
			r.Unknown[forge.PartLabels] = lacks(forge.PartLabels, "")
		}
		return nil
	}
	nodes, page := n.Labels.Nodes, n.Labels.PageInfo
	for page.HasNextPage {
		var answer struct {
			priced
			Repository *struct{ Labels *counted[labelNode] }
		}
		_, err := s.ask(ctx, labelsDocument, map[string]any{"owner": s.f.cfg.Organisation, "name": n.Name, "after": page.EndCursor}, &answer, &answer.priced)
		if err != nil {
			return err
		}
		if answer.Repository == nil || answer.Repository.Labels == nil {
			return &forge.PartialError{What: "labels of " + n.Name, Got: len(nodes), Want: n.Labels.TotalCount}
		}
		nodes, page = append(nodes, answer.Repository.Labels.Nodes...), answer.Repository.Labels.PageInfo
	}
	if len(nodes) < n.Labels.TotalCount {
		return &forge.PartialError{What: "labels of " + n.Name, Got: len(nodes), Want: n.Labels.TotalCount}
	}
	r.Labels = labelsOf(nodes)
	return nil
}

// holding notes which sets hold on the default branch, to be read later.
func (s *survey) holding(n *settingsNode, r *forge.Settings) {
	if n.Rulesets == nil {
		return
	}
	if len(n.Rulesets.Nodes) < n.Rulesets.TotalCount {
		r.Unknown[forge.PartRules] = fmt.Sprintf("more than %d rulesets hold here", surveyRulesets)
	}
	for _, set := range n.Rulesets.Nodes {
		if set.holds(r.DefaultBranch) {
			s.found[r.Name] = append(s.found[r.Name], set.ID)
		}
	}
}

// organisation reads teams with what they may do, and the organisation's sets.
// What is not for us is unknown, not an error.
func (s *survey) organisation(ctx context.Context, out *forge.Survey, grants map[string]map[string]forge.Permission) error {
	variables := map[string]any{"owner": s.f.cfg.Organisation}
	var more []teamNode
	for first := true; ; first = false {
		var answer struct {
			priced
			Organization *struct {
				Teams    *counted[teamNode]
				Rulesets *counted[rulesetNode]
			}
		}
		refused, err := s.ask(ctx, organisationDocument, variables, &answer, &answer.priced)
		if err != nil {
			return err
		}
		o := answer.Organization
		if o == nil { // a person's account has neither; or teams, which may not be null, are not for us
			out.Unknown[forge.PartTeams] = lacks(forge.PartTeams, messageOf(refused, "teams"))
			out.OrganisationRules = forge.Offered{Why: messageOf(refused, "organization")}
			return s.organisationRules(ctx, out)
		}
		if first {
			s.takeRules(out, o.Rulesets, messageOf(refused, "rulesets"))
		}
		if o.Teams == nil {
			out.Unknown[forge.PartTeams] = lacks(forge.PartTeams, messageOf(refused, "teams"))
			return nil
		}
		for _, t := range o.Teams.Nodes {
			out.Teams = append(out.Teams, forge.Team{ID: t.ID, Slug: t.Slug})
			collect(grants, t)
			if t.Repositories.PageInfo.HasNextPage {
				more = append(more, t)
			}
		}
		if !o.Teams.PageInfo.HasNextPage {
			if len(out.Teams) < o.Teams.TotalCount {
				return &forge.PartialError{What: "teams", Got: len(out.Teams), Want: o.Teams.TotalCount}
			}
			break
		}
		variables["teams"] = o.Teams.PageInfo.EndCursor
	}
	slices.SortFunc(out.Teams, func(a, b forge.Team) int { return strings.Compare(a.Slug, b.Slug) })
	return s.restOfTeams(ctx, more, grants)
}

// organisationRules asks for the organisation's sets alone, when the teams beside
// them took the whole answer away.
func (s *survey) organisationRules(ctx context.Context, out *forge.Survey) error {
	var answer struct {
		priced
		Organization *struct{ Rulesets *counted[rulesetNode] }
	}
	const document = `
query rules($owner: String!) {
  rateLimit { cost }
  organization(login: $owner) { rulesets(first: 20) { totalCount nodes { ...ruleFields } } }
}` + ruleFields
	refused, err := s.ask(ctx, document, map[string]any{"owner": s.f.cfg.Organisation}, &answer, &answer.priced)
	if err != nil || answer.Organization == nil {
		return err
	}
	s.takeRules(out, answer.Organization.Rulesets, messageOf(refused, "rulesets"))
	return nil
}

func (s *survey) takeRules(out *forge.Survey, sets *counted[rulesetNode], why string) {
	if sets == nil {
		out.OrganisationRules = forge.Offered{Why: why}
		return
	}
	out.OrganisationRules = forge.Offered{Yes: true}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range sets.Nodes {
		s.sets[n.ID] = n
		out.Rules = append(out.Rules, n.ruleset(""))
	}
	slices.SortFunc(out.Rules, func(a, b forge.Ruleset) int { return strings.Compare(a.Name, b.Name) })
}

// collect notes what a page of a team says.
func collect(grants map[string]map[string]forge.Permission, t teamNode) {
	for _, e := range t.Repositories.Edges {
		if e.Node == nil {
			continue
		}
		name := strings.ToLower(e.Node.Name)
		if grants[name] == nil {
			grants[name] = map[string]forge.Permission{}
		}
		grants[name][t.Slug] = forge.Permission(strings.ToLower(e.Permission))
	}
}

// teamsBatch is how many teams are read on in one query.
const teamsBatch = 50

// restOfTeams reads on in teams with more than a page of repositories, many in a
// query by alias.
func (s *survey) restOfTeams(ctx context.Context, more []teamNode, grants map[string]map[string]forge.Permission) error {
	for len(more) > 0 {
		batch := more[:min(teamsBatch, len(more))]
		more = more[len(batch):]
		var parameters, body strings.Builder
		variables := map[string]any{"owner": s.f.cfg.Organisation}
		for i, t := range batch {
			fmt.Fprintf(&parameters, ", $slug%d: String!, $after%d: String", i, i)
			fmt.Fprintf(&body, "\n    t%d: team(slug: $slug%d) { id slug repositories(first: 100, after: $after%d) { totalCount pageInfo { hasNextPage endCursor } edges { permission node { name } } } }", i, i, i)
			variables[fmt.Sprint("slug", i)], variables[fmt.Sprint("after", i)] = t.Slug, t.Repositories.PageInfo.EndCursor
		}
		document := "query teams($owner: String!" + parameters.String() + ") {\n  rateLimit { cost }\n  organization(login: $owner) {" + body.String() + "\n  }\n}"
		var answer struct {
			priced
			Organization map[string]*teamNode
		}
		if _, err := s.ask(ctx, document, variables, &answer, &answer.priced); err != nil {
			return err
		}
		for i, t := range batch {
			n := answer.Organization[fmt.Sprint("t", i)]
			if n == nil {
				return &forge.PartialError{What: "repositories of team " + t.Slug, Got: 100, Want: t.Repositories.TotalCount}
			}
			collect(grants, *n)
			if n.Repositories.PageInfo.HasNextPage {
				more = append(more, *n)
			}
		}
	}
	return nil
}

// readSets reads the rules of sets that only repositories have, 100 at a time.
func (s *survey) readSets(ctx context.Context) error {
	var missing []string
	for _, ids := range s.found {
		for _, id := range ids {
			if _, ok := s.sets[id]; !ok && !slices.Contains(missing, id) {
				missing = append(missing, id)
			}
		}
	}
	slices.Sort(missing)
	for batch := range slices.Chunk(missing, rulesetBatch) {
		var answer struct {
			priced
			Nodes []*rulesetNode
		}
		if _, err := s.ask(ctx, rulesetsDocument, map[string]any{"ids": batch}, &answer, &answer.priced); err != nil {
			return err
		}
		for _, n := range answer.Nodes {
			if n != nil {
				s.sets[n.ID] = *n
			}
		}
	}
	return nil
}

// addRules puts the sets that hold into a repository's settings.
func (s *survey) addRules(r *forge.Settings) {
	for _, id := range s.found[r.Name] {
		n, ok := s.sets[id]
		switch {
		case !ok || n.Rules == nil:
			r.Unknown[forge.PartRules] = lacks(forge.PartRules, "")
		case len(n.Rules.Nodes) < n.Rules.TotalCount:
			r.Unknown[forge.PartRules] = fmt.Sprintf("the ruleset %q has more than %d rules", n.Name, surveyRules)
		default:
			r.Rules = append(r.Rules, n.ruleset(r.Name))
		}
	}
}

// properties reads the custom properties, which GraphQL does not have.
func (s *survey) properties(ctx context.Context, out *forge.Survey, into map[string]map[string]string) error {
	const doing = "read custom properties"
	for page := 1; page != 0; {
		var list []struct {
			Name       string `json:"repository_name"`
			Properties []struct {
				Name  string `json:"property_name"`
				Value any    `json:"value"`
			} `json:"properties"`
		}
		q := url.Values{"per_page": {"100"}, "page": {strconv.Itoa(page)}}
		resp, err := s.f.send(ctx, http.MethodGet, "orgs/"+url.PathEscape(s.f.cfg.Organisation)+"/properties/values?"+q.Encode(), nil, &list)
		s.cost.Requests++
		if err != nil {
			err = s.f.fail(ctx, doing, "custom properties", err)
			var forbidden *forge.ForbiddenError
			var missing *forge.NotFoundError
			if errors.As(err, &forbidden) || errors.As(err, &missing) {
				out.Unknown[forge.PartProperties] = lacks(forge.PartProperties, "")
				return nil
			}
			return err
		}
		for _, r := range list {
			values := map[string]string{}
			for _, p := range r.Properties {
				if text, ok := p.Value.(string); ok {
					values[p.Name] = text
				}
			}
			into[r.Name] = values
		}
		page = resp.NextPage
	}
	return nil
}

// Inspect implements [forge.Surveyor]. Of teams it tells nothing.
func (f *Forge) Inspect(ctx context.Context, repo string) (forge.Settings, error) {
	s := &survey{f: f, parts: surveyParts{topics: true, classic: true}, sets: map[string]rulesetNode{}, found: map[string][]string{}}
	for {
		var answer struct {
			priced
			Repository *settingsNode
		}
		refused, err := s.ask(ctx, s.parts.one(), map[string]any{"owner": f.cfg.Organisation, "name": repo}, &answer, &answer.priced)
		if err != nil {
			return forge.Settings{}, err
		}
		if answer.Repository == nil && s.parts.classic && len(refused) > 0 && refused[0].Type == "FORBIDDEN" {
			s.parts.classic = false
			continue
		}
		if answer.Repository == nil {
			return forge.Settings{}, &forge.NotFoundError{What: "repository " + repo}
		}
		if err := s.add(ctx, located{answer.Repository, 0, !s.parts.classic}, nil); err != nil {
			return forge.Settings{}, err
		}
		break
	}
	if err := s.readSets(ctx); err != nil {
		return forge.Settings{}, err
	}
	s.addRules(&s.repos[0])
	s.repos[0].Unknown[forge.PartTeams] = "not read for one repository"
	return s.repos[0], nil
}
