package forge

import "time"

// RepoState is what one look at a repository saw.
type RepoState struct {
	// Name is the repository's name without the organisation. It can change:
	// ID is what stays when a repository is renamed.
	Name string
	ID   string
	// DefaultBranch is empty, like Head, for a repository without commits.
	DefaultBranch string
	// Head is the newest commit of the default branch.
	Head     string
	Archived bool
	Empty    bool
	Fork     bool
	// Merges is what arrived on the first-parent line of the default branch
	// after the commit that the caller knew, oldest first.
	Merges []Merge
	// MergesPartial is set when Merges does not reach back to that commit:
	// there is more than one look carries, or the branch was rewritten. Then
	// [Historian.History] tells.
	MergesPartial bool
	// Pulls are the open pull requests, the most recently updated first.
	Pulls []Pull
	// PullsPartial is set when there are more than Pulls shows.
	PullsPartial bool
	// Tags maps a tag's name to the commit it leads to.
	Tags map[string]string
	// TagsPartial is set when there are more than Tags shows, which then are
	// those of the newest commits. [Tagger.Tags] returns all.
	TagsPartial bool
	// ObservedAt is when the forge was asked.
	ObservedAt time.Time
}

// Range says which part of a history is wanted.
type Range struct {
	// Since is the newest commit that is not wanted. Empty asks for everything
	// from the first commit on, up to Limit.
	Since string
	// Limit is how many of the newest merges are wanted at most. Zero means
	// no limit, and on a large repository many requests.
	Limit int
}

// History is a part of the first-parent line of a default branch.
type History struct {
	// Head is the newest commit of the default branch when it was read.
	Head string
	// Merges are oldest first. The last one is Head.
	Merges []Merge
	// Reached is set when Range.Since was met, so that Merges is all that came
	// after it. Without a Since it is set when Merges starts at the first
	// commit.
	Reached bool
}

// Rewritten reports that the whole line was read and Range.Since is not on it:
// somebody replaced the branch's history.
func (h History) Rewritten() bool {
	return !h.Reached && len(h.Merges) > 0 && h.Merges[0].Parent == ""
}

// Merge is one commit on the first-parent line of a default branch, whatever way
// it came there: squashed, by a merge commit, rebased or pushed.
type Merge struct {
	Commit string
	// Parent is the first parent, which is also the Merge before this one.
	// Empty for the first commit of the repository.
	Parent      string
	Message     string // the whole message; the first line is the subject
	CommittedAt time.Time
	// Authors are the forge logins of the commit's author and co-authors.
	// People whom the forge does not know are left out.
	Authors []string
	// PullRequest is the pull request that this commit completed, nil for one
	// that was pushed without. Of the commits that a rebase merge brings, the
	// last one has it.
	PullRequest *MergedPull
}

// MergedPull is a pull request as it was when it was merged.
type MergedPull struct {
	Number int
	Title  string
	URL    string
	// Authors are the forge logins of whoever opened it, first, and of the
	// authors of its commits.
	Authors []string
	// Reviewers are the logins of those whose last opinion, given before the
	// merge and on the very commit that was merged, was to approve.
	Reviewers []string
	// StaleReviewers approved an earlier commit of the pull request and have
	// not looked again since more was pushed.
	StaleReviewers []string
	// Labels are the labels as they were at the merge: replayed from the
	// forge's own record, so that a later change does not count.
	Labels []string
	// MergedBy is the login of whoever pressed the button.
	MergedBy string
	MergedAt time.Time
	// FirstCommitAt is when the first of its commits was authored.
	FirstCommitAt time.Time
}

// Pull is an open pull request.
type Pull struct {
	Number int
	Title  string
	URL    string
	// Author is the login of whoever opened it.
	Author string
	// Head is the newest commit of its branch: where a status belongs.
	Head string
	// Base is the name of the branch it wants to be merged into.
	Base   string
	Labels []string // sorted
	Draft  bool
	// UpdatedAt is when anything of it was last changed, its description too.
	UpdatedAt time.Time
}

// Description is a pull request with what its author wrote about it.
type Description struct {
	Pull
	Body string // Markdown
}

// Release is what to publish for a tag.
type Release struct {
	Tag        string
	Name       string
	Notes      string // Markdown
	Prerelease bool
}

// StatusState is what a [Status] says.
type StatusState string

// The states of a status.
const (
	Pending StatusState = "pending"
	Success StatusState = "success"
	Failure StatusState = "failure" // the commit is at fault
	Broken  StatusState = "error"   // the check itself is at fault
)

// Status is a mark on a commit that a branch rule can demand.
type Status struct {
	// Context tells it from others' statuses: "nightporter/version".
	Context     string
	State       StatusState
	Description string // at most 140 characters are shown
	TargetURL   string // empty for none
}

// Credentials are a user name and password for git over HTTP. Printing them
// shows that they exist and nothing more.
type Credentials struct {
	Username string
	Password string
}

// String hides the password.
func (c Credentials) String() string {
	if c == (Credentials{}) {
		return "none"
	}
	return c.Username + ":(hidden)"
}

// GoString hides the password from %#v as well.
func (c Credentials) GoString() string { return c.String() }

// Hint is what kind of thing a webhook says happened.
type Hint string

// The hints. All but Other and Settings ask for a refresh of the repository.
const (
	HintPullRequest Hint = "pull_request" // opened, pushed to, labelled, merged, closed
	HintPush        Hint = "push"         // a branch or a tag moved
	HintCreate      Hint = "create"       // a branch, tag or repository was made
	HintSettings    Hint = "settings"     // how the repository is set up; Part says which part
	HintOther       Hint = "other"
)

// Delivery is one webhook whose signature was right.
type Delivery struct {
	// ID is the forge's: the same for each attempt to deliver one event.
	ID string
	// Event is the forge's own word for it, for the log.
	Event string
	Hint  Hint
	// Repo is the repository that was touched, "" when it is about none.
	Repo string
	// Sender is the login of whoever caused it.
	Sender string
	// Part is what somebody changed of the settings, "" for nothing that a
	// survey reads. A hint of another kind may have one too: a repository that
	// was renamed, say.
	Part Part
}
