package story

import (
	"context"
	"errors"
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/demo/judge"
)

// change is a merge that the story follows.
type change struct {
	service string
	commit  string
	version string // as git's tag: v0.3.0
}

// tagged checks that git has the version's tag on the merge commit.
func (s *Story) tagged(ctx context.Context, c change) error {
	return s.tag(ctx, c.service, c.version, c.commit)
}

// tag checks where a tag of a repository is.
func (s *Story) tag(ctx context.Context, repo, tag, commit string) error {
	got, err := s.Git(repo).Commit(ctx, "refs/tags/"+tag)
	if err != nil {
		return fmt.Errorf("%s has no tag %s yet", repo, tag)
	}
	if got != commit {
		return fmt.Errorf("the tag %s of %s is at %.10s, not at %.10s", tag, repo, got, commit)
	}
	return nil
}

// runs checks that environments run a change: the processes, what they answer,
// the tags that are named like the environments, and that nothing else is left.
func (s *Story) runs(ctx context.Context, c change, environments ...string) error {
	for _, env := range environments {
		if err := s.Proc.Runs(ctx, c.service, env, c.version, c.commit); err != nil {
			return err
		}
		if err := s.tag(ctx, c.service, env, c.commit); err != nil {
			return err
		}
	}
	return s.Proc.OnlyServing()
}

// absent checks that nothing runs a service in an environment.
func (s *Story) absent(service, environment string) error {
	all, err := s.Proc.Services()
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Service == service && p.Environment == environment {
			return fmt.Errorf("%s runs in %s: %s", service, environment, p)
		}
	}
	return nil
}

// once checks that nothing was started twice.
func (s *Story) once() error {
	starts, err := judge.Starts(s.StartLog)
	if err != nil {
		return err
	}
	return judge.Once(starts)
}

// approve has a person approve the release of a change, which must wait.
func (s *Story) approve(ctx context.Context, person string, c change) error {
	r, err := s.Reaches(ctx, c.service, c.commit, "waiting")
	if err != nil {
		return err
	}
	_, err = s.As(person).Approve(ctx, r.ID, "seen in preprod")
	return err
}

// refused checks that something was refused for one reason and no other.
func refused(err error, code nightporter.Code) error {
	if err == nil {
		return errors.New("it was not refused")
	}
	if got := nightporter.CodeOf(err); got != code {
		return fmt.Errorf("it was refused as %q, not as %q: %w", got, code, err)
	}
	return nil
}

// behind checks that the board counts what git counts.
func (s *Story) behind(ctx context.Context, service string) error {
	row, err := s.BoardRow(ctx, service)
	if err != nil {
		return err
	}
	want, err := s.Git(service).Count(ctx, "refs/tags/prod", "refs/heads/main")
	if err != nil {
		return err
	}
	if row.Production.Behind != want {
		return fmt.Errorf("the board says that prod is %d merges behind for %s; git counts %d", row.Production.Behind, service, want)
	}
	return nil
}
