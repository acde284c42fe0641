package mem

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// PR is a pull request as a test wants it. Everything has a default.
type PR struct {
	Title     string // default "change"
	Body      string
	Author    string   // forge login; default "ana-gh"
	Labels    []string // on it when it is opened
	Reviewers []string // who approve its head before it is merged; for [Forge.Merge]
	Draft     bool
}

type pullState int

const (
	open pullState = iota
	merged
	closed
)

type pull struct {
	number   int
	title    string
	body     string
	state    pullState
	draft    bool
	head     string
	labels   []string
	authors  []string
	approved map[string]string // login to the commit they saw
	opened   time.Time
	updated  int // serial of the last change
}

// AddRepo makes a repository with one commit on its default branch. One that is
// there already is left as it is. All other methods make the repository that
// they name, so that a test says only what matters to it.
func (f *Forge) AddRepo(repo string) {
	f.change(repo, func(*repository) {})
}

// AddEmptyRepo makes a repository without commits.
func (f *Forge) AddEmptyRepo(repo string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.make(repo)
}

// Archive marks a repository as archived.
func (f *Forge) Archive(repo string) { f.change(repo, func(r *repository) { r.archived = true }) }

// MarkFork marks a repository as a fork.
func (f *Forge) MarkFork(repo string) { f.change(repo, func(r *repository) { r.fork = true }) }

// Open opens a pull request and returns its number.
func (f *Forge) Open(repo string, pr PR) (number int) {
	f.change(repo, func(r *repository) { number = f.openPull(r, pr).number })
	f.send("pull_request", repo, author(pr))
	return number
}

// PushToPull adds a commit to an open pull request and returns it.
func (f *Forge) PushToPull(repo string, number int, login string) (commit string) {
	f.change(repo, func(r *repository) {
		p := f.touch(r, number)
		p.head = f.commit(r)
		p.addAuthor(login)
		commit = p.head
	})
	f.send("pull_request", repo, login)
	return commit
}

// Label puts a label on a pull request, open or not.
func (f *Forge) Label(repo string, number int, label string) {
	f.change(repo, func(r *repository) {
		p := f.touch(r, number)
		p.labels = append(slices.DeleteFunc(p.labels, func(l string) bool { return l == label }), label)
		slices.Sort(p.labels)
	})
	f.send("pull_request", repo, "ana-gh")
}

// Unlabel takes a label from a pull request, open or not.
func (f *Forge) Unlabel(repo string, number int, label string) {
	f.change(repo, func(r *repository) {
		p := f.touch(r, number)
		p.labels = slices.DeleteFunc(p.labels, func(l string) bool { return l == label })
	})
	f.send("pull_request", repo, "ana-gh")
}

// Approve records that login approved what the pull request is now.
func (f *Forge) Approve(repo string, number int, login string) {
	f.change(repo, func(r *repository) {
		p := r.pull(number)
		p.approved[login] = p.head
	})
	f.send("pull_request_review", repo, login)
}

// Close closes a pull request without merging it.
func (f *Forge) Close(repo string, number int) {
	f.change(repo, func(r *repository) { r.pull(number).state = closed })
	f.send("pull_request", repo, "ana-gh")
}

// MergePull merges an open pull request and returns what arrived.
func (f *Forge) MergePull(repo string, number int) (m forge.Merge) {
	f.change(repo, func(r *repository) { m = f.merge(r, r.pull(number)) })
	f.send("pull_request", repo, m.PullRequest.MergedBy)
	return m
}

// Merge opens a pull request, has it approved and merges it, all at once.
func (f *Forge) Merge(repo string, pr PR) (m forge.Merge) {
	f.change(repo, func(r *repository) {
		p := f.openPull(r, pr)
		for _, login := range pr.Reviewers {
			p.approved[login] = p.head
		}
		m = f.merge(r, p)
	})
	f.send("pull_request", repo, m.PullRequest.MergedBy)
	return m
}

// Push adds a commit to the default branch without a pull request.
func (f *Forge) Push(repo, message, login string) (m forge.Merge) {
	f.change(repo, func(r *repository) {
		m = f.arrive(r, message, []string{login}, nil)
	})
	f.send("push", repo, login)
	return m
}

// Rewrite replaces the default branch by one with a single new commit, as a
// force push does.
func (f *Forge) Rewrite(repo string) (commit string) {
	f.change(repo, func(r *repository) {
		r.line = nil
		commit = f.arrive(r, "start again", []string{"ana-gh"}, nil).Commit
	})
	f.send("push", repo, "ana-gh")
	return commit
}

// PushTag makes a tag by hand, or moves it.
func (f *Forge) PushTag(repo, tag, commit string) {
	f.change(repo, func(r *repository) { r.tags[tag] = commit })
	f.send("create", repo, "ana-gh")
}

// StatusOf returns the status of a context on a commit, and whether there is one.
func (f *Forge) StatusOf(repo, commit, context string) (s forge.Status, ok bool) {
	f.change(repo, func(r *repository) { s, ok = r.statuses[commit][context] })
	return s, ok
}

// ReleaseOf returns the release of a tag, and whether there is one.
func (f *Forge) ReleaseOf(repo, tag string) (rel forge.Release, ok bool) {
	f.change(repo, func(r *repository) { rel, ok = r.releases[tag] })
	return rel, ok
}

// CommentsOn returns the comments on a pull request.
func (f *Forge) CommentsOn(repo string, number int) (c []string) {
	f.change(repo, func(r *repository) { c = slices.Clone(r.comments[number]) })
	return c
}

// HeadOf returns the head of a pull request's branch.
func (f *Forge) HeadOf(repo string, number int) (commit string) {
	f.change(repo, func(r *repository) { commit = r.pull(number).head })
	return commit
}

func (f *Forge) change(repo string, fn func(*repository)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r, ok := f.repos[repo]
	if !ok {
		r = f.make(repo)
		f.arrive(r, "first commit", []string{"ana-gh"}, nil)
	}
	fn(r)
}

func (f *Forge) make(repo string) *repository {
	if r, ok := f.repos[repo]; ok {
		return r
	}
	f.serial++
	r := &repository{
		id: strconv.Itoa(f.serial), name: repo, commits: map[string]bool{}, tags: map[string]string{},
		statuses: map[string]map[string]forge.Status{}, releases: map[string]forge.Release{}, comments: map[int][]string{},
		settings: defaults(),
	}
	f.repos[repo] = r
	return r
}

func (f *Forge) now() time.Time { return f.cfg.Now().UTC().Truncate(time.Second) }

// commit makes the name of a commit that nobody has had before.
func (f *Forge) commit(r *repository) string {
	f.serial++
	sum := sha1.Sum([]byte(r.name + "/" + strconv.Itoa(f.serial)))
	name := hex.EncodeToString(sum[:])
	r.commits[name] = true
	return name
}

func (f *Forge) arrive(r *repository, message string, authors []string, pr *forge.MergedPull) forge.Merge {
	m := forge.Merge{
		Commit: f.commit(r), Parent: r.head(), Message: message,
		CommittedAt: f.now(), Authors: authors, PullRequest: pr,
	}
	r.line = append(r.line, m)
	return m
}

func (f *Forge) openPull(r *repository, pr PR) *pull {
	if pr.Title == "" {
		pr.Title = "change"
	}
	p := &pull{
		number: len(r.pulls) + 1, title: pr.Title, draft: pr.Draft, head: f.commit(r),
		body: pr.Body, labels: slices.Sorted(slices.Values(pr.Labels)), authors: []string{author(pr)},
		approved: map[string]string{}, opened: f.now(), updated: f.serial,
	}
	r.pulls = append(r.pulls, p)
	return p
}

func (f *Forge) merge(r *repository, p *pull) forge.Merge {
	if p.state != open {
		panic(fmt.Sprintf("mem: pull request %d of %s is not open", p.number, r.name))
	}
	p.state = merged
	pr := &forge.MergedPull{
		Number: p.number, Title: p.title, URL: fmt.Sprintf("%s/pull/%d", f.url(r.name), p.number),
		Authors: slices.Clone(p.authors), Labels: slices.Clone(p.labels),
		MergedBy: p.authors[0], MergedAt: f.now(), FirstCommitAt: p.opened,
	}
	for login, saw := range p.approved {
		if saw == p.head {
			pr.Reviewers = append(pr.Reviewers, login)
		} else {
			pr.StaleReviewers = append(pr.StaleReviewers, login)
		}
	}
	slices.Sort(pr.Reviewers)
	slices.Sort(pr.StaleReviewers)
	return f.arrive(r, fmt.Sprintf("%s (#%d)", p.title, p.number), slices.Clone(p.authors), pr)
}

// touch returns a pull request that is about to change.
func (f *Forge) touch(r *repository, number int) *pull {
	p := r.pull(number)
	f.serial++
	p.updated = f.serial
	return p
}

func (r *repository) pull(number int) *pull {
	if number < 1 || number > len(r.pulls) {
		panic(fmt.Sprintf("mem: %s has no pull request %d", r.name, number))
	}
	return r.pulls[number-1]
}

func (p *pull) addAuthor(login string) {
	if !slices.Contains(p.authors, login) {
		p.authors = append(p.authors, login)
	}
}

func (p *pull) view(repoURL string) forge.Pull {
	return forge.Pull{
		Number: p.number, Title: p.title, URL: fmt.Sprintf("%s/pull/%d", repoURL, p.number),
		Author: p.authors[0], Head: p.head, Base: "main", Labels: slices.Clone(p.labels), Draft: p.draft,
		UpdatedAt: p.opened.Add(time.Duration(p.updated) * time.Millisecond), // each change has its own
	}
}

// Describe changes the description of a pull request.
func (f *Forge) Describe(repo string, number int, body string) {
	f.change(repo, func(r *repository) { f.touch(r, number).body = body })
}

// ReadPull implements [forge.PullReader].
func (f *Forge) ReadPull(ctx context.Context, repo string, number int) (forge.Description, error) {
	r, err := f.open(ctx, "ReadPull", repo)
	if err != nil {
		return forge.Description{}, err
	}
	defer f.mu.Unlock()
	if number < 1 || number > len(r.pulls) {
		return forge.Description{}, &forge.NotFoundError{What: fmt.Sprintf("pull request %d of %s", number, repo)}
	}
	p := r.pull(number)
	return forge.Description{Pull: p.view(f.url(repo)), Body: p.body}, nil
}

func author(pr PR) string {
	if pr.Author == "" {
		return "ana-gh"
	}
	return pr.Author
}
