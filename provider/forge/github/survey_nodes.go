package github

import (
	"path"
	"slices"
	"strings"

	"nightporter.dev/nightporter/provider/forge"
)

// What the documents of a survey answer, and what it means.

// counted is a connection that says how many there are, so that a page that is
// short is noticed.
type counted[T any] struct {
	connection[T]
	TotalCount int
}

type priced struct{ RateLimit struct{ Cost int } }

type settingsNode struct {
	ID               string
	Name             string
	IsArchived       bool
	IsFork           bool
	IsEmpty          bool
	DefaultBranchRef *named

	HasIssuesEnabled, HasWikiEnabled, HasProjectsEnabled       bool
	MergeCommitAllowed, SquashMergeAllowed, RebaseMergeAllowed bool
	DeleteBranchOnMerge                                        bool
	SquashMergeCommitTitle, SquashMergeCommitMessage           string
	Labels                                                     *counted[labelNode]
	Rulesets                                                   *counted[rulesetNode]
	RepositoryTopics                                           *connection[struct{ Topic named }]
	BranchProtectionRules                                      *connection[classicNode]
}

type labelNode struct{ ID, Name, Color, Description string }

type rulesetNode struct {
	ID          string
	DatabaseID  int64
	Name        string
	Enforcement string
	Target      string
	Source      struct {
		Typename string `json:"__typename"`
	}
	Conditions struct {
		RefName, RepositoryName *struct{ Include, Exclude []string }
	}
	Rules *counted[ruleNode]
}

type ruleNode struct {
	Type       string
	Parameters *struct {
		RequiredApprovingReviewCount     int
		StrictRequiredStatusChecksPolicy bool
		RequiredStatusChecks             []struct {
			Context       string
			IntegrationID *int64
		}
	}
}

type classicNode struct {
	ID, Pattern                                      string
	RequiresApprovingReviews                         bool
	RequiredApprovingReviewCount                     int
	RequiresStatusChecks, RequiresStrictStatusChecks bool
	RequiredStatusChecks                             []struct {
		Context string
		App     *struct{ DatabaseID int64 }
	}
	RequiresLinearHistory, RequiresCommitSignatures bool
}

type teamNode struct {
	ID, Slug     string
	Repositories struct {
		counted[struct{}]
		Edges []grantEdge
	}
}

type grantEdge struct {
	Permission string
	Node       *named
}

// settings turns what GitHub says into the contract's words. The rules of
// rulesets are filled in later.
func (n settingsNode) settings() forge.Settings {
	s := forge.Settings{
		Name: n.Name, ID: n.ID, Archived: n.IsArchived, Fork: n.IsFork, Empty: n.IsEmpty || n.DefaultBranchRef == nil,
		Wiki: n.HasWikiEnabled, Issues: n.HasIssuesEnabled, Projects: n.HasProjectsEnabled,
		SquashTitle: strings.ToLower(n.SquashMergeCommitTitle), SquashMessage: strings.ToLower(n.SquashMergeCommitMessage),
		DeleteBranchOnMerge: n.DeleteBranchOnMerge, Teams: map[string]forge.Permission{}, Unknown: map[forge.Part]string{},
	}
	if n.DefaultBranchRef != nil {
		s.DefaultBranch = n.DefaultBranchRef.Name
	}
	for method, allowed := range map[forge.MergeMethod]bool{
		forge.MergeCommit: n.MergeCommitAllowed, forge.Rebase: n.RebaseMergeAllowed, forge.Squash: n.SquashMergeAllowed,
	} {
		if allowed {
			s.MergeMethods = append(s.MergeMethods, method)
		}
	}
	slices.Sort(s.MergeMethods)
	if n.Labels != nil {
		s.Labels = labelsOf(n.Labels.Nodes)
	}
	if n.RepositoryTopics != nil {
		for _, t := range n.RepositoryTopics.Nodes {
			s.Topics = append(s.Topics, t.Topic.Name)
		}
	}
	s.RepositoryRules = forge.Offered{Yes: n.Rulesets != nil}
	if n.Rulesets == nil {
		s.RepositoryRules.Why = "GitHub offers no rulesets for this repository"
	}
	if n.BranchProtectionRules != nil {
		for _, c := range n.BranchProtectionRules.Nodes {
			if ok, err := path.Match(c.Pattern, s.DefaultBranch); c.Pattern == s.DefaultBranch || err == nil && ok {
				s.Rules = append(s.Rules, c.ruleset(s))
			}
		}
	}
	return s
}

func labelsOf(nodes []labelNode) []forge.Label {
	list := make([]forge.Label, 0, len(nodes))
	for _, l := range nodes {
		list = append(list, forge.Label{ID: l.ID, Name: l.Name, Color: strings.ToLower(l.Color), Description: l.Description})
	}
	slices.SortFunc(list, func(a, b forge.Label) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func (c classicNode) ruleset(s forge.Settings) forge.Ruleset {
	d := forge.Demands{
		UpToDate: c.RequiresStatusChecks && c.RequiresStrictStatusChecks, LinearHistory: c.RequiresLinearHistory, SignedCommits: c.RequiresCommitSignatures,
	}
	if c.RequiresApprovingReviews {
		d.Reviews = c.RequiredApprovingReviewCount
	}
	if c.RequiresStatusChecks {
		for _, check := range c.RequiredStatusChecks {
			demanded := forge.Check{Name: check.Context}
			if check.App != nil {
				demanded.App = check.App.DatabaseID
			}
			d.Checks = append(d.Checks, demanded)
		}
	}
	return forge.Ruleset{ID: c.ID, Scope: forge.ClassicScope, Name: c.Pattern, Repo: s.Name, Branch: s.DefaultBranch, Demands: d}
}

// holds says whether a set is in force on the default branch.
func (n rulesetNode) holds(branch string) bool {
	if n.Enforcement != "ACTIVE" || n.Target != "BRANCH" || n.Conditions.RefName == nil {
		return false
	}
	is := func(patterns []string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			ok, err := path.Match(p, "refs/heads/"+branch)
			return p == "~ALL" || p == "~DEFAULT_BRANCH" || err == nil && ok
		})
	}
	return is(n.Conditions.RefName.Include) && !is(n.Conditions.RefName.Exclude)
}

func (n rulesetNode) ruleset(repo string) forge.Ruleset {
	r := forge.Ruleset{ID: ruleID(n.DatabaseID), Scope: forge.OrganisationScope, Name: n.Name}
	if n.Source.Typename == "Repository" {
		r.Scope, r.Repo = forge.RepositoryScope, repo
	}
	if c := n.Conditions.RepositoryName; c != nil {
		r.Include, r.Exclude = c.Include, c.Exclude
	}
	if n.Rules == nil {
		return r
	}
	for _, rule := range n.Rules.Nodes {
		switch rule.Type {
		case "REQUIRED_LINEAR_HISTORY":
			r.Demands.LinearHistory = true
		case "REQUIRED_SIGNATURES":
			r.Demands.SignedCommits = true
		case "PULL_REQUEST":
			if rule.Parameters != nil {
				r.Demands.Reviews = rule.Parameters.RequiredApprovingReviewCount
			}
		case "REQUIRED_STATUS_CHECKS":
			if rule.Parameters == nil {
				continue
			}
			r.Demands.UpToDate = rule.Parameters.StrictRequiredStatusChecksPolicy
			for _, c := range rule.Parameters.RequiredStatusChecks {
				check := forge.Check{Name: c.Context}
				if c.IntegrationID != nil {
					check.App = *c.IntegrationID
				}
				r.Demands.Checks = append(r.Demands.Checks, check)
			}
		}
	}
	return r
}
