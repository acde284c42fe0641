package story

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// versionStatus is the status that a rule of the repository can demand.
const versionStatus = "nightporter/version"

// versions: a pull request becomes a version, whatever happens to its webhooks.
func versions(s *Story) {
	before := s.ledger
	next := change{service: "ledger", version: "v0.3.0"}
	pull := 0
	s.Step("a pull request without a label gets a red status that says what to do", func(context.Context) (err error) {
		pull, err = s.Open(world.Pull{Repo: "ledger", Title: "Accept refunds"})
		return err
	}, func(context.Context) error { return s.status("ledger", pull, "failure", "minor") })

	s.Step("labelled minor, the status is green and says 0.3.0", func(context.Context) error {
		return s.Forge.Label("ledger", pull, "minor", world.Login(world.Ana))
	}, func(context.Context) error { return s.status("ledger", pull, "success", "0.3.0") })

	var prod *judge.Watch
	s.Step(StepMerge, func(ctx context.Context) (err error) {
		if prod, err = s.Proc.Keep(ctx, "ledger", "prod"); err != nil {
			return err
		}
		next.commit, err = s.Merge("ledger", pull)
		return err
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, next), s.runs(ctx, next, "dev", "preprod"), s.runs(ctx, before, "prod"))
	})
	s.Step("meanwhile prod answered as v0.2.0 throughout", func(context.Context) error {
		_, err := prod.Stop()
		return err
	}, nil)
	s.ledger, s.inProd = next, before

	lost := change{service: "gateway", version: "v0.1.1"}
	s.Step(StepLost, func(context.Context) (err error) {
		s.Forge.Flush()
		s.Forge.SetFault(githubtest.Fault{Webhooks: githubtest.Lose})
		lost.commit, err = s.OpenAndMerge(world.Pull{Repo: "gateway", Title: "Know one more path", Label: "patch", Author: world.Kim})
		return err
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, lost), s.runs(ctx, lost, "dev", "preprod"))
	})

	late := change{service: "gateway", version: "v0.1.2"}
	s.Step("a label that is changed after the merge does not count", func(context.Context) error {
		number, err := s.Open(world.Pull{Repo: "gateway", Title: "Forget a path", Label: "patch", Author: world.Kim})
		if err != nil {
			return err
		}
		if late.commit, err = s.Merge("gateway", number); err != nil {
			return err
		}
		// Nightporter has not seen the merge yet: its webhook is lost too.
		login := world.Login(world.Kim)
		err = errors.Join(s.Forge.Unlabel("gateway", number, "patch", login), s.Forge.Label("gateway", number, "major", login))
		s.Forge.SetFault(githubtest.Fault{})
		return err
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, late), s.runs(ctx, late, "dev", "preprod"))
	})

	plain := change{service: "affordability", version: "v0.2.2"}
	s.Step("a merge without a label counts as patch and is flagged", func(context.Context) (err error) {
		plain.commit, err = s.OpenAndMerge(world.Pull{Repo: "affordability", Title: "Count bonuses"})
		return err
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, plain), s.flagged(ctx, plain))
	})

	s.affordability = plain

	s.Step("a commit without a pull request gets no version; the board counts it", func(ctx context.Context) error {
		commit, err := s.Forge.PushDirect("affordability", "Fix a word", world.Login(world.Ana), nil)
		if err != nil {
			return err
		}
		return s.Until(ctx, "Nightporter has seen it", func(ctx context.Context) error {
			row, err := s.BoardRow(ctx, "affordability")
			if err == nil && !slices.ContainsFunc(row.Production.Changes, func(c client.Change) bool { return c.Commit == commit && c.Version == "" }) {
				err = errors.New("it is not on the board")
			}
			return err
		})
	}, func(ctx context.Context) error {
		tags, err := s.Git("affordability").Versions(ctx)
		if err == nil && tags[len(tags)-1].Commit != plain.commit {
			err = fmt.Errorf("it got the version %s", tags[len(tags)-1].Name)
		}
		return errors.Join(err, s.behind(ctx, "affordability"))
	})

	s.twoMerges()

	s.Step("a webhook with a wrong signature is refused and changes nothing", func(context.Context) error {
		failed := len(s.Forge.FailedDeliveries())
		s.Forge.SendForged()
		s.Forge.Flush()
		list := s.Forge.FailedDeliveries()[failed:]
		if len(list) != 1 || !strings.Contains(list[0], "401") {
			return fmt.Errorf("it was not answered 401: %v", list)
		}
		return nil
	}, nil)
}

// twoMerges: two within a second, their webhooks late, twice and backwards.
func (s *Story) twoMerges() {
	a, b := change{service: "ledger", version: "v0.3.1"}, change{service: "ledger", version: "v0.4.0"}
	var tags []judge.Tag
	var line []string
	s.Step(StepTwoMerges, func(ctx context.Context) (err error) {
		git := s.Git("ledger")
		if tags, err = git.Versions(ctx); err != nil {
			return err
		}
		if line, err = git.Line(ctx); err != nil {
			return err
		}
		pulls := []int{0, 0}
		for i, p := range []world.Pull{{Repo: "ledger", Title: "Refuse zero", Label: "patch"}, {Repo: "ledger", Title: "List accounts", Label: "minor"}} {
			if pulls[i], err = s.Open(p); err != nil {
				return err
			}
		}
		s.Forge.Flush()
		s.Forge.SetFault(githubtest.Fault{Webhooks: githubtest.Hold})
		began := time.Now()
		if a.commit, err = s.Merge("ledger", pulls[0]); err != nil {
			return err
		}
		one := s.Forge.LastWebhook()
		if b.commit, err = s.Merge("ledger", pulls[1]); err != nil {
			return err
		}
		two := s.Forge.LastWebhook()
		if took := time.Since(began); took > time.Second {
			s.Progress("the two merges took %v", took) // a slow machine, not a wrong one
		}
		s.Forge.SetFault(githubtest.Fault{})
		s.Forge.SendHeld()
		s.Forge.Flush()
		return errors.Join(s.redeliver(ctx, one), s.redeliver(ctx, two), s.redeliver(ctx, one))
	}, func(ctx context.Context) error {
		git := s.Git("ledger")
		now, err := git.Versions(ctx)
		if err != nil {
			return err
		}
		lineNow, err := git.Line(ctx)
		if err != nil {
			return err
		}
		if len(lineNow) != len(line)+2 || lineNow[len(line)] != a.commit || lineNow[len(line)+1] != b.commit {
			return fmt.Errorf("main has %d new commits, not the 2 merges", len(lineNow)-len(line))
		}
		want := append(tags, judge.Tag{Name: a.version, Commit: a.commit}, judge.Tag{Name: b.version, Commit: b.commit})
		if fmt.Sprint(now) != fmt.Sprint(want) {
			return fmt.Errorf("git has the versions %v, not %v", now, want)
		}
		return errors.Join(s.runs(ctx, b, "dev", "preprod"), s.once())
	})
	s.ledger = b
}

// flagged checks that the ledger of versions asks people to look at a merge.
func (s *Story) flagged(ctx context.Context, c change) error {
	for v, err := range s.Root().Versions(ctx, nightporter.Repo{Forge: "github", Name: c.service}) {
		if err != nil {
			return err
		}
		if v.Commit == c.commit {
			if v.Flag == "" {
				return fmt.Errorf("%s of %s has no flag", c.version, c.service)
			}
			return nil
		}
	}
	return fmt.Errorf("%s has no version at %.10s", c.service, c.commit)
}

// status checks the status of a pull request as the forge shows it.
func (s *Story) status(repo string, number int, state, word string) error {
	head, err := s.Forge.HeadOf(repo, number)
	if err != nil {
		return err
	}
	all, err := s.Forge.Statuses(repo, head)
	if err != nil {
		return err
	}
	got := all[versionStatus]
	if got.State != state || !strings.Contains(got.Description, word) {
		return fmt.Errorf("#%d of %s has the status %q, %q", number, repo, got.State, got.Description)
	}
	return nil
}

// redeliver sends a webhook once more, as it was.
func (s *Story) redeliver(ctx context.Context, w githubtest.Webhook) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Porter.URL()+"/hooks/github", bytes.NewReader(w.Body))
	if err != nil {
		return err
	}
	req.Header = w.Header.Clone()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("a webhook that came twice was answered %s", resp.Status)
	}
	return nil
}
