package story

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// rates is a change that cannot work until somebody puts a file in place: the
// classic that passes every test.
const rates = `package main

import (
	"fmt"
	"os"

	"acme.test/ledger/serve"
)

func init() {
	serve.Needs(func() error {
		if _, err := os.ReadFile(os.Getenv("RATES")); err != nil {
			return fmt.Errorf("the exchange rates: %w", err)
		}
		return nil
	})
}
`

// trouble: a bad version costs its users nothing, and can be tried again.
func trouble(s *Story) {
	before := s.ledger
	bad := change{service: "ledger", version: "v0.5.0"}
	places := []string{"dev", "preprod", "prod"}
	var watches []*judge.Watch
	s.Step("a bad version is unhealthy and rolled back; what ran before answers throughout", func(ctx context.Context) (err error) {
		for _, env := range places {
			w, err := s.Proc.Keep(ctx, "ledger", env)
			if err != nil {
				return err
			}
			watches = append(watches, w)
		}
		bad.commit, err = s.OpenAndMerge(world.Pull{
			Repo: "ledger", Title: "Convert currencies", Label: "minor", Files: map[string]string{"rates.go": rates},
		})
		if err != nil {
			return err
		}
		_, err = s.Reaches(ctx, bad.service, bad.commit, "rolled_back")
		for i, w := range watches {
			n, wrong := w.Stop()
			if wrong == nil && n < 20 {
				wrong = fmt.Errorf("only %d answers", n)
			}
			if wrong != nil {
				err = errors.Join(err, fmt.Errorf("in %s: %w", places[i], wrong))
			}
		}
		return err
	}, func(ctx context.Context) error {
		if s.Database != nil { // what ran before has its login, and the bad version none
			for _, env := range places {
				if _, err := s.lease(ctx, bad.service, env); err != nil {
					return err
				}
			}
		}
		return errors.Join(s.tagged(ctx, bad), s.runs(ctx, before, places...), s.once())
	})

	release := ""
	s.Step("it is marked bad, its release shows the log lines that say why, and the owners know", nil, func(ctx context.Context) error {
		r, err := s.Release(ctx, bad.service, bad.commit)
		if err != nil {
			return err
		}
		release = r.ID
		if r.Bad == "" {
			return errors.New("it is not marked bad")
		}
		d, err := s.Root().Release(ctx, r.ID)
		if err != nil {
			return err
		}
		if d.Work == nil {
			return errors.New("the release shows no steps")
		}
		for _, step := range d.Work.Steps {
			if strings.Contains(strings.Join(step.Lines, "\n"), "the exchange rates") {
				return s.told("payments", "ledger 0.5.0 was unhealthy in ")
			}
		}
		return errors.New("no step of the release has the log lines")
	})

	s.Step("the cause is repaired, and a retry of the same version works", func(ctx context.Context) error {
		if err := s.FixRates(); err != nil {
			return err
		}
		// The first attempt may still be ending: then it is a conflict for now.
		return s.Until(ctx, "it is tried again", func(ctx context.Context) error {
			_, err := s.As(world.Ben).Retry(ctx, release)
			return err
		})
	}, func(ctx context.Context) error {
		r, err := s.Release(ctx, bad.service, bad.commit)
		if err == nil && (r.State != "waiting" || r.Bad != "") {
			err = fmt.Errorf("the release is %s, bad %q: %s", r.State, r.Bad, r.Message)
		}
		return errors.Join(err, s.tagged(ctx, bad), s.runs(ctx, bad, "dev", "preprod"), s.runs(ctx, before, "prod"), s.once())
	})

	s.Step("nightporter release approve ledger: it is in prod as well", func(ctx context.Context) error {
		_, err := s.Command(ctx, world.Ben, "release", "approve", "ledger", "--comment", "the rates are there")
		return err
	}, func(ctx context.Context) error { return s.runs(ctx, bad, places...) })
	s.ledger, s.inProd = bad, bad

	s.Step("a build that fails stops its release and nothing else", func(ctx context.Context) error {
		commit, err := s.OpenAndMerge(world.Pull{
			Repo: "statements", Title: "Print", Label: "minor", Author: world.Kim, Files: map[string]string{"print.go": "package main\n\nfunc print( {\n"},
		})
		if err != nil {
			return err
		}
		r, err := s.Reaches(ctx, "statements", commit, "failed")
		if err == nil && !strings.Contains(r.Message, "built") {
			err = fmt.Errorf("the release does not say that it could not be built: %q", r.Message)
		}
		return err
	}, func(context.Context) error {
		return errors.Join(s.absent("statements", "dev"), s.absent("statements", "preprod"), s.absent("statements", "prod"))
	})

	unseen := change{service: "gateway", version: "v0.1.3"}
	s.Step("the forge does not answer: Nightporter says since when, and catches up afterwards", func(ctx context.Context) (err error) {
		s.Forge.SetFault(githubtest.Fault{Unreachable: true})
		defer s.Forge.SetFault(githubtest.Fault{})
		if unseen.commit, err = s.OpenAndMerge(world.Pull{Repo: "gateway", Title: "Remember a path", Label: "patch", Author: world.Kim}); err != nil {
			return err
		}
		return s.Until(ctx, "Nightporter notices", func(ctx context.Context) error { return s.unreachable(ctx, true) })
	}, func(ctx context.Context) error {
		return errors.Join(s.tagged(ctx, unseen), s.runs(ctx, unseen, "dev", "preprod"), s.unreachable(ctx, false))
	})
}

// unreachable checks whether Nightporter says that the forge does not answer.
func (s *Story) unreachable(ctx context.Context, want bool) error {
	status, err := s.Root().Status(ctx)
	if err != nil {
		return err
	}
	if len(status.Forges) != 1 || status.Forges[0].FailingSince.IsZero() == want {
		return fmt.Errorf("the forge does not answer: want %v, got %+v", want, status.Forges)
	}
	return nil
}
