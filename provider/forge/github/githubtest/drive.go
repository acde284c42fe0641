package githubtest

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// NewPull is a pull request to open.
type NewPull struct {
	// Branch is made from the default branch. Default: "change-" and a number.
	Branch string
	// Files are what its one commit writes, by path. Default: one small file.
	// A file that begins with #! is executable.
	Files  map[string]string
	Title  string // default "Change"
	Body   string
	Author string // login; default "ana-gh"
	Labels []string
	Draft  bool
}

// Method is a way to merge.
type Method string

// The ways to merge.
const (
	Squash      Method = "squash"
	MergeCommit Method = "merge"
	Rebase      Method = "rebase"
)

// TagKind is a kind of git tag.
type TagKind string

// The kinds of tag.
const (
	Lightweight TagKind = "lightweight"
	Annotated   TagKind = "annotated"
)

// AddRepo makes a repository whose default branch, main, has one commit with
// these files, and returns it. Without files the repository is empty and the
// commit "".
func (s *Server) AddRepo(name string, files map[string]string) (commit string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.repos[name]; ok || name == "" || strings.ContainsAny(name, "/\\ ") || strings.HasPrefix(name, ".") {
		return "", fmt.Errorf("githubtest: cannot add repository %q: the name is taken or not one", name)
	}
	b, err := initBare(filepath.Join(s.cfg.Dir, s.cfg.Organisation, name+".git"))
	if err != nil {
		return "", fmt.Errorf("githubtest: add repository %s: %w", name, err)
	}
	r := &repository{bare: b, id: s.id(), name: name, created: s.now(), statuses: map[string][]*status{}, conf: defaults()}
	for _, label := range []string{"major", "minor", "patch", "skip-release"} {
		r.conf.Labels = append(r.conf.Labels, Label{Name: label, Color: "ededed", id: s.id()})
	}
	if len(files) > 0 {
		commit, err = b.write("main", "", "First commit", person("ana-gh"), s.now(), files)
		if err != nil {
			return "", fmt.Errorf("githubtest: add repository %s: %w", name, err)
		}
	}
	s.repos[name] = r
	s.emit(r, "repository", "created", "ana-gh", nil)
	return commit, nil
}

// Archive makes a repository read-only.
func (s *Server) Archive(repo string) error {
	return s.with(repo, func(r *repository) error {
		r.archived = true
		s.emit(r, "repository", "archived", "ana-gh", nil)
		return nil
	})
}

// PushDirect commits to the default branch without a pull request. Without files
// it writes a small one.
func (s *Server) PushDirect(repo, message, author string, files map[string]string) (commit string, err error) {
	err = s.with(repo, func(r *repository) error {
		before, err := r.head("main")
		if err != nil {
			return err
		}
		commit, err = r.write("main", before, message, person(author), s.now(), s.orSample(files))
		if err != nil {
			return err
		}
		s.pushed(r, "refs/heads/main", before, commit, author)
		return nil
	})
	return commit, err
}

// Rewrite replaces the default branch by one with a single new commit, as a
// force push does.
func (s *Server) Rewrite(repo, author string) (commit string, err error) {
	err = s.with(repo, func(r *repository) error {
		before, err := r.head("main")
		if err != nil {
			return err
		}
		commit, err = r.write("main", "", "Start again", person(author), s.now(), s.orSample(nil))
		if err != nil {
			return err
		}
		s.pushed(r, "refs/heads/main", before, commit, author)
		return nil
	})
	return commit, err
}

// PushTag makes a tag, as somebody with git would, or moves it.
func (s *Server) PushTag(repo, tag, commit, author string, kind TagKind) error {
	return s.with(repo, func(r *repository) error {
		object := commit
		if kind == Annotated {
			var err error
			if object, err = r.annotate(tag, commit, tag, person(author), s.now()); err != nil {
				return err
			}
		}
		return s.moveRef(r, "refs/tags/"+tag, object, "*", author)
	})
}

// Head returns the newest commit of the default branch, "" when there is none.
func (s *Server) Head(repo string) (commit string, err error) {
	err = s.with(repo, func(r *repository) error {
		commit, err = r.head("main")
		return err
	})
	return commit, err
}

// Tags returns all tags and the commits that they lead to.
func (s *Server) Tags(repo string) (tags map[string]string, err error) {
	tags = map[string]string{}
	err = s.with(repo, func(r *repository) error {
		refs, err := r.refs()
		for name, ref := range refs {
			if tag, ok := strings.CutPrefix(name, "refs/tags/"); ok {
				tags[tag] = ref.commit
			}
		}
		return err
	})
	return tags, err
}

// GitDir is the folder of a repository's bare git repository.
func (s *Server) GitDir(repo string) string {
	return filepath.Join(s.cfg.Dir, s.cfg.Organisation, repo+".git")
}

// Status is a commit status as it was set.
type Status struct {
	Context, State, Description, TargetURL string
	Text                                   string // of a check run, which is kept here too
	At                                     time.Time
}

// Statuses returns the latest status of each context on a commit, by context.
func (s *Server) Statuses(repo, commit string) (map[string]Status, error) {
	found := map[string]Status{}
	err := s.with(repo, func(r *repository) error {
		for _, st := range r.statuses[commit] {
			found[st.context] = Status{st.context, st.state, st.description, st.tourl, st.text, st.at}
		}
		return nil
	})
	return found, err
}

// Release is a published release.
type Release struct {
	Tag, Name, Body string
	Prerelease      bool
}

// Releases returns the releases, oldest first.
func (s *Server) Releases(repo string) (list []Release, err error) {
	err = s.with(repo, func(r *repository) error {
		for _, rel := range r.releases {
			list = append(list, Release{rel.tag, rel.name, rel.body, rel.prerelease})
		}
		return nil
	})
	return list, err
}

// with runs fn on a repository while nothing else happens here.
func (s *Server) with(repo string, fn func(*repository) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.repos[repo]
	if !ok {
		return fmt.Errorf("githubtest: there is no repository %q", repo)
	}
	return fn(r)
}

func (r *repository) head(branch string) (string, error) {
	refs, err := r.refs()
	if err != nil {
		return "", err
	}
	return refs["refs/heads/"+branch].commit, nil
}

// orSample is files, or one small file that no other commit has written.
func (s *Server) orSample(files map[string]string) map[string]string {
	if len(files) > 0 {
		return files
	}
	n := s.id()
	return map[string]string{fmt.Sprintf("changes/%d.md", n): fmt.Sprintf("Change %d, made at %s.\n", n, s.now().Format(time.RFC3339))}
}

// moveRef moves a branch or tag and tells of it, whoever did it and how.
func (s *Server) moveRef(r *repository, name, object, from, author string) error {
	refs, err := r.refs()
	if err != nil {
		return err
	}
	if err := r.setRef(name, object, from); err != nil {
		return err
	}
	s.pushed(r, name, refs[name].object, object, author)
	return nil
}

// pushed tells of a reference that moved: the push itself, its creation, and the
// open pull requests whose branch it is.
func (s *Server) pushed(r *repository, name, before, after, author string) {
	if before == after {
		return
	}
	if before == "" {
		s.emitCreate(r, name, author)
	}
	s.emitPush(r, name, before, after, author)
	for _, p := range r.pulls {
		if p.state == "open" && name == "refs/heads/"+p.branch && p.head != after {
			old := p.head
			p.head = after
			s.touch(p)
			s.emitPull(r, p, "synchronize", author, map[string]any{"before": old, "after": after})
		}
	}
}

func (s *Server) touch(p *pull) {
	p.updated = s.now()
	p.touched = s.id()
}

// sorted returns the repositories by name.
func (s *Server) sorted() []*repository {
	list := make([]*repository, 0, len(s.repos))
	for _, r := range s.repos {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b *repository) int { return strings.Compare(a.name, b.name) })
	return list
}
