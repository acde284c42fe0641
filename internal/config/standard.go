package config

import "slices"

// Repos is what all repositories have in common, and where they may differ.
type Repos struct {
	// The settings of every repository.
	Standard Standard `yaml:"standard"`

	// Settings of some repositories. The more specific group wins.
	Groups []Group `yaml:"groups"`

	// Repositories that may differ for a while.
	Exceptions []Exception `yaml:"exceptions"`

	// `report` shows what differs; `enforce` also puts it right each hour.
	Mode string `yaml:"mode" jsonschema:"enum=report,enum=enforce,default=report"`

	// Rules that are put right each hour although the mode is `report`:
	// `[labels, signed_commits]`.
	Enforce []string `yaml:"enforce"`
}

// Enforces says whether a rule is put right without anybody asking.
func (r Repos) Enforces(rule string) bool {
	return r.Mode == "enforce" || slices.Contains(r.Enforce, rule)
}

// Standard is a set of repository settings. What is left out is not looked at.
type Standard struct {
	// Shipped settings to start from: `strict-squash`.
	Profile string `yaml:"profile" jsonschema:"enum=strict-squash"`

	// The branch that counts.
	DefaultBranch string `yaml:"default_branch"`

	// How pull requests may be merged.
	MergeMethods []string `yaml:"merge_methods" jsonschema:"enum=merge,enum=squash,enum=rebase"`

	// What a squashed commit's title is made of.
	SquashTitle string `yaml:"squash_title" jsonschema:"enum=pr_title,enum=commit_or_pr_title"`

	// What a squashed commit's message is made of.
	SquashMessage string `yaml:"squash_message" jsonschema:"enum=pr_body,enum=commit_messages,enum=blank"`

	// Whether a merged branch is deleted.
	DeleteBranchOnMerge *bool `yaml:"delete_branch_on_merge"`

	// Whether there is a wiki.
	Wiki *bool `yaml:"wiki"`

	// Whether there are issues.
	Issues *bool `yaml:"issues"`

	// Whether there are project boards.
	Projects *bool `yaml:"projects"`

	// Labels that must exist.
	Labels []Label `yaml:"labels"`

	// Whether other labels are removed.
	PruneLabels *bool `yaml:"prune_labels"`

	// What teams may do, by the team's name here: `{team-payments: write}`.
	Teams map[string]string `yaml:"teams"`

	// How many reviews a pull request needs.
	RequiredReviews *int `yaml:"required_reviews" jsonschema:"minimum=0,maximum=6"`

	// Checks that must be green before a merge.
	RequiredChecks []string `yaml:"required_checks"`

	// Whether a branch must be up to date before a merge.
	UpToDate *bool `yaml:"up_to_date"`

	// Whether merge commits are refused.
	LinearHistory *bool `yaml:"linear_history"`

	// Whether commits must be signed.
	SignedCommits *bool `yaml:"signed_commits"`

	// Whether the porter's webhook must be there.
	Webhook *bool `yaml:"webhook"`

	// The first version of a new repository: `0.0.1`.
	InitialVersion string `yaml:"initial_version"`

	// Repositories that are not looked at, with `*` for any text.
	Skip []string `yaml:"skip"`
}

// Label is a label that must exist.
type Label struct {
	// Its name.
	Name string `yaml:"name" jsonschema:"required"`

	// Its colour, six hexadecimal digits.
	Color string `yaml:"color"`

	// One sentence about it.
	Description string `yaml:"description"`
}

// Group is settings for some repositories.
type Group struct {
	// What it is called in plans.
	Name string `yaml:"name" jsonschema:"required"`

	// Which repositories: all given conditions must hold.
	Match Match `yaml:"match"`

	// What differs from the standard.
	Standard Standard `yaml:"standard"`
}

// Match picks repositories.
type Match struct {
	// By name, with `*` for any text.
	Names []string `yaml:"names"`

	// By topic on the forge.
	Topics []string `yaml:"topics"`

	// By team with access.
	Teams []string `yaml:"teams"`

	// By custom property on the forge.
	Properties map[string]string `yaml:"properties"`

	// By owner of a service that is built from it.
	Owners []string `yaml:"owners"`
}

// Exception lets one repository differ in one rule until a day.
type Exception struct {
	// The repository: `old-api`, or `github/old-api`.
	Repo string `yaml:"repo" jsonschema:"required"`

	// The setting that may differ: `signed_commits`.
	Rule string `yaml:"rule" jsonschema:"required"`

	// The last day. After it, the difference counts as drift again.
	Until Date `yaml:"until" jsonschema:"required"`

	// Why.
	Reason string `yaml:"reason" jsonschema:"required"`

	// The team that put it there.
	Owner string `yaml:"owner" jsonschema:"required"`
}
