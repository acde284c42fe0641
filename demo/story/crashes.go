package story

import (
	"context"
	"errors"
	"fmt"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
)

// crashes: kill -9 in the middle of a release costs nothing but time.
func crashes(s *Story) {
	next := change{service: "ledger", version: "v0.5.1"}
	var gateway *judge.Watch
	s.Step("kill -9 while it builds, kill -9 while it deploys; each time it is started again", func(ctx context.Context) (err error) {
		if gateway, err = s.Proc.Keep(ctx, "gateway", "prod"); err != nil {
			return err
		}
		next.commit, err = s.OpenAndMerge(world.Pull{Repo: "ledger", Title: "Write faster", Label: "patch"})
		if err != nil {
			return err
		}
		if _, err := s.Reaches(ctx, next.service, next.commit, "building", "deploying"); err != nil {
			return err
		}
		if err := s.restart(ctx); err != nil {
			return err
		}
		// A process of the new version is there: it is being deployed.
		if err := s.Until(ctx, "it is being deployed", func(context.Context) error { return s.started(next, "dev") }); err != nil {
			return err
		}
		return s.restart(ctx)
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, next), s.runs(ctx, next, "dev", "preprod"), s.runs(ctx, s.inProd, "prod"))
	})

	s.Step("kill -9 right after the approval: the release completes by itself", func(ctx context.Context) error {
		if err := s.approve(ctx, world.Ben, next); err != nil {
			return err
		}
		return s.restart(ctx)
	}, func(ctx context.Context) error { return s.runs(ctx, next, "dev", "preprod", "prod") })

	s.Step("the machine saw one start for each release, environment and attempt", nil, func(context.Context) error {
		starts, err := judge.Starts(s.StartLog)
		if err != nil {
			return err
		}
		for _, env := range []string{"dev", "preprod", "prod"} {
			if n := judge.Of(starts, next.service, env, next.version[1:]); n != 1 {
				return fmt.Errorf("%s %s was started %d times in %s", next.service, next.version, n, env)
			}
		}
		return judge.Once(starts)
	})

	s.Step("no version is skipped or doubled, and the other services never noticed", func(context.Context) error {
		_, err := gateway.Stop()
		return err
	}, func(ctx context.Context) error {
		return errors.Join(s.everyMergeOnce(ctx, "ledger"), s.everyMergeOnce(ctx, "gateway"))
	})
	s.ledger, s.inProd = next, next
}

// restart kills the porter as no program can prevent, and starts it again.
func (s *Story) restart(ctx context.Context) error {
	return errors.Join(s.Porter.Kill(), s.Porter.Start(ctx))
}

// started says whether the log of starts has a change in an environment.
func (s *Story) started(c change, environment string) error {
	starts, err := judge.Starts(s.StartLog)
	if err == nil && judge.Of(starts, c.service, environment, c.version[1:]) == 0 {
		err = errors.New("it was not started")
	}
	return err
}

// everyMergeOnce checks that each commit of main but the first has exactly one
// version.
func (s *Story) everyMergeOnce(ctx context.Context, repo string) error {
	line, err := s.Git(repo).Line(ctx)
	if err != nil {
		return err
	}
	tags, err := s.Git(repo).Versions(ctx)
	if err != nil {
		return err
	}
	if len(tags) != len(line)-1 {
		return fmt.Errorf("%s has %d merges and %d versions", repo, len(line)-1, len(tags))
	}
	for i, t := range tags {
		if t.Commit != line[i+1] {
			return fmt.Errorf("%s of %s is at %.10s, not at the merge %.10s", t.Name, repo, t.Commit, line[i+1])
		}
	}
	return nil
}
