package forge

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// Surveyor is offered by forges that tell how repositories are set up.
type Surveyor interface {
	// Survey reads the settings of every repository of the organisation that
	// the token may see. It is whole or an error: when a page is missing or
	// short, the error is a [*PartialError]. What alone could not be read of a
	// repository is in its Unknown.
	Survey(ctx context.Context, want SurveyWants) (Survey, error)
	// Inspect reads one repository as a survey does.
	Inspect(ctx context.Context, repo string) (Settings, error)
}

// Governor is offered by forges whose repositories we can set up. Each write sets
// a state and may be repeated.
type Governor interface {
	Surveyor
	// SetRepository changes the fields of p that are not nil, in one write.
	SetRepository(ctx context.Context, repo string, p Patch) error
	// ChangeLabels makes, corrects or removes up to [MaxBatch] labels in one
	// request where the forge allows it. The errors belong to the changes, nil
	// for one that was made; err is about the request, and then nothing is
	// known of any change.
	ChangeLabels(ctx context.Context, changes []LabelChange) (each []error, err error)
	// GrantTeams gives up to [MaxBatch] permissions, with errors as above. One
	// of "" takes the team's access away; what is not there is no error.
	GrantTeams(ctx context.Context, grants []Grant) (each []error, err error)
	// PutRules makes a set of branch rules, or replaces the one with r.ID.
	PutRules(ctx context.Context, r Ruleset) error
	// DeleteRules removes a set of branch rules. One that is gone is no error.
	DeleteRules(ctx context.Context, r Ruleset) error
}

// MaxBatch is how many changes one call of a batching write takes.
const MaxBatch = 50

// SurveyWants says what is read only when somebody needs it, because it costs
// more.
type SurveyWants struct {
	Topics     bool
	Properties bool // custom properties
}

// Survey is the settings of an organisation.
type Survey struct {
	Repos []Settings // sorted by name
	Teams []Team     // sorted by slug
	// Rules are the organisation's sets of branch rules, sorted by name.
	Rules []Ruleset
	// OrganisationRules says whether the forge's plan offers rules for the
	// whole organisation, and if not why: the forge's own words.
	OrganisationRules Offered
	// Unknown says what could not be read of any repository, by part.
	Unknown    map[Part]string
	Cost       Cost
	ObservedAt time.Time
}

// Offered says whether a forge has something. The zero value is no.
type Offered struct {
	Yes bool
	Why string // why not
}

// Cost is what reading took.
type Cost struct {
	Requests int `json:"requests"`
	Points   int `json:"points"` // of the forge's own quota; 0 when it has none
}

// Part is a group of settings that is read, and forbidden, together.
type Part string

// The parts.
const (
	PartSettings   Part = "settings"
	PartLabels     Part = "labels"
	PartTeams      Part = "teams"
	PartRules      Part = "rules"
	PartTopics     Part = "topics"
	PartProperties Part = "properties"
)

// Settings is how one repository is set up.
type Settings struct {
	Name string
	ID   string // stays when the repository is renamed
	// DefaultBranch is empty for a repository without commits.
	DefaultBranch string
	Archived      bool
	Fork          bool
	Empty         bool
	Topics        []string
	Properties    map[string]string

	Wiki, Issues, Projects bool
	MergeMethods           []MergeMethod // in the order merge, rebase, squash
	SquashTitle            string        // pr_title or commit_or_pr_title
	SquashMessage          string        // pr_body, commit_messages or blank
	DeleteBranchOnMerge    bool

	Labels []Label // sorted by name
	// Teams are the permissions that teams have, by the team's slug.
	Teams map[string]Permission
	// Rules are the sets that hold on the default branch now, wherever they
	// come from.
	Rules []Ruleset
	// RepositoryRules says whether this repository may have a ruleset of its
	// own; if not, classic protection is what is left.
	RepositoryRules Offered
	// Unknown says what could not be read, and why. What stands in the
	// fields of such a part means nothing.
	Unknown map[Part]string
	// NotOffered is what this forge does not have, by the setting's name in the
	// configuration ("squash_title"), and why. What stands in such a field means
	// nothing.
	NotOffered map[string]string
}

// MergeMethod is a way to merge that a repository allows.
type MergeMethod string

// The ways to merge.
const (
	MergeCommit MergeMethod = "merge"
	Rebase      MergeMethod = "rebase"
	Squash      MergeMethod = "squash"
)

// Label is a label of a repository.
type Label struct {
	ID          string `json:"id,omitempty"` // "" for one that is to be made
	Name        string `json:"name"`
	Color       string `json:"color"` // six hexadecimal digits, lower case
	Description string `json:"description,omitempty"`
}

// Permission is what a team may do in a repository, in the words that forges
// share.
type Permission string

// The permissions, weakest first.
const (
	Read     Permission = "read"
	Triage   Permission = "triage"
	Write    Permission = "write"
	Maintain Permission = "maintain"
	Admin    Permission = "admin"
)

// Permissions lists them, weakest first.
var Permissions = []Permission{Read, Triage, Write, Maintain, Admin}

// Team is a team of the organisation.
type Team struct {
	ID   string
	Slug string
	// Permission is the one that the team has in all of its repositories, on a
	// forge where it cannot have another in each; "" elsewhere.
	Permission Permission
}

// RuleScope says where a set of branch rules lives.
type RuleScope string

// The scopes, from the one that costs one write for everybody to the one that
// costs one for each repository.
const (
	OrganisationScope RuleScope = "organisation"
	RepositoryScope   RuleScope = "repository"
	ClassicScope      RuleScope = "classic" // a branch protection
)

// Ruleset is branch rules and where they hold.
type Ruleset struct {
	ID    string    `json:"id,omitempty"` // "" for one that is to be made
	Scope RuleScope `json:"scope"`
	Name  string    `json:"name"`
	// Repo is the repository of the scopes repository and classic.
	Repo string `json:"repo,omitempty"`
	// Branch is the branch of a classic protection. The other scopes follow
	// the default branch by themselves.
	Branch string `json:"branch,omitempty"`
	// Include and Exclude are patterns of repository names, of the scope
	// organisation. "~ALL" means all, also those that are made later.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	Demands Demands  `json:"demands"`
}

// Covers says whether an organisation's set holds in a repository.
func (r Ruleset) Covers(repo string) bool {
	return matchAny(r.Include, repo) && !matchAny(r.Exclude, repo)
}

func matchAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, err := path.Match(strings.ToLower(p), strings.ToLower(name))
		return p == "~ALL" || err == nil && ok
	})
}

// Demands are what must hold before a commit reaches the branch.
type Demands struct {
	Reviews       int     `json:"reviews,omitempty"`
	Checks        []Check `json:"checks,omitempty"`
	UpToDate      bool    `json:"up_to_date,omitempty"`
	LinearHistory bool    `json:"linear_history,omitempty"`
	SignedCommits bool    `json:"signed_commits,omitempty"`
}

// Check is a status that must be green.
type Check struct {
	Name string `json:"name"`
	// App is the one that must have said so; 0 lets anybody who may write a
	// status satisfy it.
	App int64 `json:"app,omitempty"`
}

// IsZero says that nothing is demanded.
func (d Demands) IsZero() bool {
	return d.Reviews == 0 && len(d.Checks) == 0 && !d.UpToDate && !d.LinearHistory && !d.SignedCommits
}

// Equal compares, whatever the order of the checks.
func (d Demands) Equal(o Demands) bool {
	return d.Reviews == o.Reviews && d.UpToDate == o.UpToDate && d.LinearHistory == o.LinearHistory &&
		d.SignedCommits == o.SignedCommits && slices.Equal(sortedChecks(d.Checks), sortedChecks(o.Checks))
}

// And is what holds when both do.
func (d Demands) And(o Demands) Demands {
	all := append(slices.Clone(d.Checks), o.Checks...)
	return Demands{
		Reviews: max(d.Reviews, o.Reviews), Checks: slices.Compact(sortedChecks(all)),
		UpToDate: d.UpToDate || o.UpToDate, LinearHistory: d.LinearHistory || o.LinearHistory, SignedCommits: d.SignedCommits || o.SignedCommits,
	}
}

func sortedChecks(list []Check) []Check {
	out := slices.Clone(list)
	slices.SortFunc(out, func(a, b Check) int { return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(a.App, b.App)) })
	return out
}

// InForce is what holds on the default branch, all sets together.
func (s Settings) InForce() Demands {
	var d Demands
	for _, r := range s.Rules {
		d = d.And(r.Demands)
	}
	return d
}

// Patch is a change of a repository's settings. Nil fields stay.
type Patch struct {
	Wiki                *bool         `json:"wiki,omitempty"`
	Issues              *bool         `json:"issues,omitempty"`
	Projects            *bool         `json:"projects,omitempty"`
	MergeMethods        []MergeMethod `json:"merge_methods,omitempty"` // all that are allowed; nil stays
	SquashTitle         *string       `json:"squash_title,omitempty"`
	SquashMessage       *string       `json:"squash_message,omitempty"`
	DeleteBranchOnMerge *bool         `json:"delete_branch_on_merge,omitempty"`
	DefaultBranch       *string       `json:"default_branch,omitempty"` // must exist
}

// LabelChange makes a label, corrects one that has an ID, or removes it.
type LabelChange struct {
	Repo   string `json:"repo"`
	RepoID string `json:"repo_id"`
	Label  Label  `json:"label"`
	Remove bool   `json:"remove,omitempty"`
}

// Grant gives a team a permission, whatever it had, or takes it away.
type Grant struct {
	Repo       string     `json:"repo"`
	RepoID     string     `json:"repo_id"`
	Team       string     `json:"team"` // slug
	TeamID     string     `json:"team_id"`
	Permission Permission `json:"permission"` // "" takes it away
}

// PartialError: a look at everything did not show everything. Nobody may decide
// from it what is missing.
type PartialError struct {
	What      string // "repositories"
	Got, Want int
}

func (e *PartialError) Error() string {
	return fmt.Sprintf("the forge showed %d of %d %s", e.Got, e.Want, e.What)
}

// Unwrap gives the error its code for users: Unavailable.
func (e *PartialError) Unwrap() error {
	return nightporter.E(nightporter.Unavailable, "%s", e.Error())
}
