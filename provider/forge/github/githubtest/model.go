package githubtest

import (
	"fmt"
	"slices"
	"time"
)

// repository is one repository: git's part, and what GitHub keeps beside it.
type repository struct {
	*bare
	id       int64
	name     string
	archived bool
	created  time.Time
	pulls    []*pull
	numbers  int                  // of pull requests so far
	statuses map[string][]*status // by commit, oldest first
	checks   map[string][]*checkRun

	deployments []*deployment // oldest first
	releases    []*release
	conf        Settings
	stale       *Settings // as they were when [Fault.Stale] was set
	shell       bool      // there is no git behind it
}

type pull struct {
	id         int64
	number     int
	title      string
	body       string
	author     string
	branch     string
	head       string
	baseBranch string
	base       string // where the base was when it was opened, or just before the merge
	state      string // open or closed
	draft      bool
	labels     []string // as they are now, sorted
	timeline   []event
	comments   []string
	created    time.Time
	updated    time.Time
	touched    int64 // orders changes within one second

	merged   time.Time // zero for not merged
	mergedBy string
	merge    string // the commit
}

// event is one entry of a pull request's timeline. Their order is the order in
// which they happened, which their times, of whole seconds, do not show.
type event struct {
	id     int64
	kind   string // LabeledEvent, UnlabeledEvent, MergedEvent, PullRequestReview
	label  string
	review *review
	actor  string
	at     time.Time
}

type review struct {
	state  string // APPROVED or CHANGES_REQUESTED
	commit string
}

type status struct {
	id                                 int64
	context, state, description, tourl string
	text                               string // of a check run
	at                                 time.Time
}

type release struct {
	id          int64
	tag         string
	name        string
	body        string
	prerelease  bool
	target      string
	created     time.Time
	publishedAt time.Time
}

// latest returns the newest status of a context on a commit, or nil.
func (r *repository) latest(sha, context string) *status {
	list := r.statuses[sha]
	for _, s := range slices.Backward(list) {
		if s.context == context {
			return s
		}
	}
	return nil
}

func (r *repository) pull(number int) (*pull, error) {
	for _, p := range r.pulls {
		if p.number == number {
			return p, nil
		}
	}
	return nil, fmt.Errorf("githubtest: %s has no pull request %d", r.name, number)
}

// commitsOf returns the commits of a pull request, oldest first.
func (r *repository) commitsOf(p *pull) ([]*commit, error) {
	return r.log(p.base+".."+p.head, "--reverse")
}

// pullsOf returns the pull requests that brought a commit to their base.
func (r *repository) pullsOf(sha string) []*pull {
	var list []*pull
	for _, p := range r.pulls {
		if p.merge == sha {
			list = append(list, p)
			continue
		}
		if p.merged.IsZero() {
			continue
		}
		// A merge commit brings the branch's own commits as well.
		if m := r.lookup(p.merge); m != nil && len(m.parents) == 2 {
			if own, err := r.commitsOf(p); err == nil && slices.ContainsFunc(own, func(c *commit) bool { return c.sha == sha }) {
				list = append(list, p)
			}
		}
	}
	return list
}

func (p *pull) hasLabel(label string) bool { return slices.Contains(p.labels, label) }
