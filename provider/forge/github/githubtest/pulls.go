package githubtest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// OpenPull makes a branch with one commit and opens a pull request for it.
func (s *Server) OpenPull(repo string, n NewPull) (number int, err error) {
	err = s.with(repo, func(r *repository) error {
		base, err := r.head("main")
		if err != nil {
			return err
		}
		if base == "" {
			return fmt.Errorf("githubtest: %s is empty: nothing to open a pull request against", repo)
		}
		if n.Branch == "" {
			n.Branch = fmt.Sprintf("change-%d", s.id())
		}
		if n.Title == "" {
			n.Title = "Change"
		}
		if n.Author == "" {
			n.Author = "ana-gh"
		}
		head, err := r.write(n.Branch, base, n.Title, person(n.Author), s.now(), s.orSample(n.Files))
		if err != nil {
			return err
		}
		s.pushed(r, "refs/heads/"+n.Branch, "", head, n.Author)
		number = s.openPull(r, n, base, head).number
		return nil
	})
	return number, err
}

// openPull opens a pull request for a branch that is there.
func (s *Server) openPull(r *repository, n NewPull, base, head string) *pull {
	r.numbers++
	p := &pull{
		id: s.id(), number: r.numbers, title: n.Title, body: n.Body, author: n.Author, draft: n.Draft,
		branch: n.Branch, head: head, baseBranch: "main", base: base, state: "open", created: s.now(),
	}
	s.touch(p)
	r.pulls = append(r.pulls, p)
	s.emitPull(r, p, "opened", n.Author, nil)
	for _, label := range n.Labels {
		s.label(r, p, label, n.Author)
	}
	return p
}

// PushToPull adds a commit to an open pull request's branch. Without files it
// writes a small one.
func (s *Server) PushToPull(repo string, number int, author string, files map[string]string) (commit string, err error) {
	err = s.onPull(repo, number, func(r *repository, p *pull) error {
		commit, err = r.write(p.branch, p.head, "More for "+p.title, person(author), s.now(), s.orSample(files))
		if err != nil {
			return err
		}
		s.pushed(r, "refs/heads/"+p.branch, p.head, commit, author)
		return nil
	})
	return commit, err
}

// HeadOf returns the newest commit of a pull request's branch.
func (s *Server) HeadOf(repo string, number int) (commit string, err error) {
	err = s.onPull(repo, number, func(_ *repository, p *pull) error {
		commit = p.head
		return nil
	})
	return commit, err
}

// Label puts a label on a pull request, open or not, and makes the label if the
// repository has none of that name.
func (s *Server) Label(repo string, number int, label, by string) error {
	return s.onPull(repo, number, func(r *repository, p *pull) error {
		s.label(r, p, label, by)
		return nil
	})
}

// Unlabel takes a label from a pull request, open or not.
func (s *Server) Unlabel(repo string, number int, label, by string) error {
	return s.onPull(repo, number, func(r *repository, p *pull) error {
		s.unlabel(r, p, label, by)
		return nil
	})
}

// Approve reviews what a pull request is now and approves it.
func (s *Server) Approve(repo string, number int, login string) error {
	return s.review(repo, number, login, "APPROVED")
}

// RequestChanges reviews what a pull request is now and does not approve it.
func (s *Server) RequestChanges(repo string, number int, login string) error {
	return s.review(repo, number, login, "CHANGES_REQUESTED")
}

func (s *Server) review(repo string, number int, login, state string) error {
	return s.onPull(repo, number, func(r *repository, p *pull) error {
		if login == p.author {
			return fmt.Errorf("githubtest: %s cannot review their own pull request", login)
		}
		ev := event{id: s.id(), kind: "PullRequestReview", review: &review{state, p.head}, actor: login, at: s.now()}
		p.timeline = append(p.timeline, ev)
		s.touch(p)
		s.emitReview(r, p, ev)
		return nil
	})
}

// Comments returns the comments on a pull request, oldest first.
func (s *Server) Comments(repo string, number int) (list []string, err error) {
	err = s.onPull(repo, number, func(_ *repository, p *pull) error {
		list = slices.Clone(p.comments)
		return nil
	})
	return list, err
}

// Merge merges an open pull request into the default branch and returns the
// commit that the branch then points to.
func (s *Server) Merge(repo string, number int, how Method, by string) (commit string, err error) {
	err = s.onPull(repo, number, func(r *repository, p *pull) error {
		commit, err = s.merge(r, p, how, by)
		return err
	})
	return commit, err
}

// errNotMergeable is what GitHub answers with 405.
//
//lint:ignore ST1005 the words are GitHub's
var errNotMergeable = errors.New("Pull Request is not mergeable")

func (s *Server) merge(r *repository, p *pull, how Method, by string) (string, error) {
	if p.state != "open" || p.draft {
		return "", errNotMergeable
	}
	for _, context := range s.cfg.RequiredStatuses {
		if st := r.latest(p.head, context); st == nil || st.state != "success" {
			//lint:ignore ST1005 the words are GitHub's
			return "", fmt.Errorf("%w: Required status check %q is expected.", errNotMergeable, context)
		}
	}
	base, err := r.head(p.baseBranch)
	if err != nil {
		return "", err
	}
	own, err := r.log(base+".."+p.head, "--reverse")
	if err != nil {
		return "", err
	}
	var tip string
	switch how {
	case MergeCommit:
		message := fmt.Sprintf("Merge pull request #%d from %s/%s\n\n%s", p.number, s.cfg.Organisation, p.branch, p.title)
		tip, err = r.join(base, p.head, []string{base, p.head}, message, person(by), s.now())
	case Rebase:
		tip, err = s.rebase(r, base, own)
	case Squash:
		message := fmt.Sprintf("%s (#%d)", p.title, p.number) + coAuthors(p, own)
		tip, err = r.join(base, p.head, []string{base}, message, person(p.author), s.now())
	default:
		return "", fmt.Errorf("githubtest: %q is no way to merge", how)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %v", errNotMergeable, err)
	}
	if err := r.setRef("refs/heads/"+p.baseBranch, tip, base); err != nil {
		return "", err
	}
	p.base, p.state, p.merge, p.merged, p.mergedBy = base, "closed", tip, s.now(), by
	p.timeline = append(p.timeline, event{id: s.id(), kind: "MergedEvent", actor: by, at: s.now()})
	s.touch(p)
	s.emitPull(r, p, "closed", by, nil)
	s.pushed(r, "refs/heads/"+p.baseBranch, base, tip, by)
	return tip, nil
}

// rebase replays commits on top of base.
func (s *Server) rebase(r *repository, base string, own []*commit) (string, error) {
	tip := base
	for _, c := range own {
		next, err := r.join(tip, c.sha, []string{tip}, c.message, c.author, s.now())
		if err != nil {
			return "", err
		}
		tip = next
	}
	return tip, nil
}

// coAuthors is what GitHub adds to a squashed commit's message for everybody but
// the one who opened the pull request.
func coAuthors(p *pull, own []*commit) string {
	var b strings.Builder
	seen := map[identity]bool{person(p.author): true}
	for _, c := range own {
		if !seen[c.author] {
			seen[c.author] = true
			fmt.Fprintf(&b, "\nCo-authored-by: %s <%s>", c.author.name, c.author.email)
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + b.String()
}

func (s *Server) label(r *repository, p *pull, label, by string) {
	if p.hasLabel(label) {
		return
	}
	if r.label(label) < 0 {
		r.conf.Labels = append(r.conf.Labels, Label{Name: label, Color: "ededed", id: s.id()})
	}
	p.labels = append(p.labels, label)
	slices.Sort(p.labels)
	p.timeline = append(p.timeline, event{id: s.id(), kind: "LabeledEvent", label: label, actor: by, at: s.now()})
	s.touch(p)
	s.emitPull(r, p, "labeled", by, map[string]any{"label": s.renderLabel(r, label)})
}

func (s *Server) unlabel(r *repository, p *pull, label, by string) {
	if !p.hasLabel(label) {
		return
	}
	p.labels = slices.DeleteFunc(p.labels, func(l string) bool { return l == label })
	p.timeline = append(p.timeline, event{id: s.id(), kind: "UnlabeledEvent", label: label, actor: by, at: s.now()})
	s.touch(p)
	s.emitPull(r, p, "unlabeled", by, map[string]any{"label": s.renderLabel(r, label)})
}

func (s *Server) onPull(repo string, number int, fn func(*repository, *pull) error) error {
	return s.with(repo, func(r *repository) error {
		p, err := r.pull(number)
		if err != nil {
			return err
		}
		return fn(r, p)
	})
}
