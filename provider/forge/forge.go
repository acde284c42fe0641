// Package forge is the contract with the place where the code lives: GitHub,
// Gitea, or the one in memory.
//
// A forge is read in two ways that end in the same [RepoState]. [Sweeper.Sweep]
// looks at every repository of the organisation in as few requests as the forge
// allows, and is the one that decides. [Refresher.Refresh] looks at one
// repository and is called when a webhook hints that something happened there.
// Webhooks are never believed beyond that hint: one may be lost, doubled,
// reordered or forged, and nothing but speed changes.
//
// Writing is small: tags, releases, commit statuses. Every write may be repeated
// after a crash and then finds its own work done. How repositories are set up is
// read by [Surveyor] and written by [Governor], where a forge offers them.
//
// The interfaces are cut small so that each user declares what it needs; [Forge]
// joins what every forge offers. What only some offer is asked for with [Offer].
//
// Repositories are named without their organisation ("ledger"): one Forge value
// serves one organisation. Commits are full hexadecimal object names. Times are
// UTC. Every method may fail with the errors of error.go, and with the
// context's own when it ended first.
package forge

import (
	"context"
	"net/http"
)

// Forge is what every forge offers.
type Forge interface {
	Sweeper
	Refresher
	Historian
	Tagger
	Releaser
	StatusSetter
	Source
	Receiver
}

// Sweeper looks at the whole organisation.
type Sweeper interface {
	// Sweep returns the state of every repository that the token may see,
	// sorted by name. Known holds, by repository name, the newest commit of
	// the default branch that the caller has worked off. Where the head is
	// still that commit, nothing more is asked. Where it moved, Merges tells
	// what arrived since, oldest first. A repository that Known does not
	// mention comes without merges: the caller decides how far back its
	// history matters and asks [Historian.History].
	//
	// A sweep is one request for a page of repositories, and one more for each
	// batch of those that moved. When pages fail half way, Sweep returns the
	// error and no states: half an organisation must not look like a whole one.
	Sweep(ctx context.Context, known Known) ([]RepoState, error)
}

// Known maps a repository's name to the newest commit on its default branch that
// the caller has worked off.
type Known map[string]string

// Refresher looks at one repository.
type Refresher interface {
	// Refresh returns what a sweep would return for this repository. Since is
	// what [Known] would hold for it, or "" for a state without merges.
	Refresh(ctx context.Context, repo, since string) (RepoState, error)
}

// Historian reads the first-parent line of a default branch.
type Historian interface {
	// History returns what arrived after r.Since, oldest first. It pages until
	// it has reached that commit, the first commit, or r.Limit merges.
	History(ctx context.Context, repo string, r Range) (History, error)
}

// Tagger reads and writes tags. They are lightweight; an annotated tag that
// somebody else made is read as the commit it points to.
type Tagger interface {
	// Tags returns all tags: name to commit.
	Tags(ctx context.Context, repo string) (map[string]string, error)
	// CreateTag makes a tag that must not exist yet. When it does, the error
	// is a [*TagExistsError] that says where it points, also when that is the
	// commit asked for: only the caller knows whether it was the one to put it
	// there. The check and the creation are one step on the forge, so of two
	// callers one gets the tag.
	CreateTag(ctx context.Context, repo, tag, commit string) error
	// MoveTag makes the tag point at commit, from wherever it pointed before,
	// and creates it if need be.
	MoveTag(ctx context.Context, repo, tag, commit string) error
}

// Releaser publishes releases.
type Releaser interface {
	// CreateRelease publishes a release for a tag that exists and returns the
	// address of its page. A tag has one release: when it is there already,
	// whoever made it, its address comes back and it stays as it is.
	CreateRelease(ctx context.Context, repo string, r Release) (url string, err error)
}

// StatusSetter marks commits.
type StatusSetter interface {
	// SetStatus puts a status on a commit. The latest one of a context counts.
	SetStatus(ctx context.Context, repo, commit string, s Status) error
}

// PullReader is offered by forges that tell what a pull request says.
type PullReader interface {
	// ReadPull reads one pull request, open or not.
	ReadPull(ctx context.Context, repo string, number int) (Description, error)
}

// CheckRunner is offered by forges where a check can say more than a status does.
type CheckRunner interface {
	// SetCheckRun puts the result of a check on a commit. The latest one of a name
	// counts. A [*NotOfferedError] says that this token cannot, and that a
	// status must do.
	SetCheckRun(ctx context.Context, repo, commit string, r CheckRun) error
}

// CheckRun is what a check of ours has found.
type CheckRun struct {
	Status
	// Text is Markdown for whoever has to act, as long as need be.
	Text string
}

// Source says where git can fetch a repository from.
type Source interface {
	// CloneURL returns an https (in tests http) address without credentials.
	// It does not ask the forge whether the repository exists.
	CloneURL(repo string) string
	// GitCredentials returns what git must present at CloneURL now. They may
	// be short-lived: ask before each fetch, and hand them to git through a
	// credential helper or the environment, never in the address or argv. The
	// zero value means that none are needed.
	GitCredentials(ctx context.Context, repo string) (Credentials, error)
}

// Receiver understands the forge's webhooks.
type Receiver interface {
	// ParseWebhook checks the signature of body, in constant time and before
	// looking at anything in it, and then says what it hints at. A wrong or
	// missing signature is a [*SignatureError], and a body that is signed but
	// makes no sense has the code Invalid. It does no network calls and keeps
	// nothing: telling a repeated delivery by its id is the caller's.
	ParseWebhook(header http.Header, body []byte) (Delivery, error)
}

// Commenter is offered by forges where a pull request can be commented on.
type Commenter interface {
	// Comment writes a comment (Markdown) on a pull request, open or not. It
	// is not idempotent.
	Comment(ctx context.Context, repo string, number int, markdown string) error
}

// Offer returns f as the optional interface T, or a [*NotOfferedError] that names
// what is missing:
//
//	c, err := forge.Offer[forge.Commenter](f, "comments on pull requests")
//
// A forge never fakes what it does not have.
func Offer[T any](f Forge, what string) (T, error) {
	t, ok := f.(T)
	if !ok {
		return t, &NotOfferedError{What: what}
	}
	return t, nil
}
