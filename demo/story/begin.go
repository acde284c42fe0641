package story

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter/demo/world"
)

// begin brings acme to a state in which the board has something to say: ledger
// and gateway up to date, affordability behind, notifier on hold, statements
// brand new.
func begin(s *Story) {
	s.Step("five repositories, and nothing is released or runs", nil, func(ctx context.Context) error {
		all, err := s.Proc.Services()
		if err != nil || len(all) > 0 {
			return errors.Join(err, fmt.Errorf("%d services run: %v", len(all), all))
		}
		for _, name := range world.Services() {
			tags, err := s.Git(name).Versions(ctx)
			if err != nil || len(tags) > 0 {
				return errors.Join(err, fmt.Errorf("%s has versions: %v", name, tags))
			}
			row, err := s.BoardRow(ctx, name)
			if err != nil || row.Production.Released {
				return errors.Join(err, fmt.Errorf("the board says that %s was released", name))
			}
		}
		return nil
	})

	first := []change{{service: "ledger"}, {service: "gateway"}, {service: "notifier"}, {service: "affordability"}}
	s.Step("four first merges become v0.1.0 and reach dev and preprod, not prod", func(ctx context.Context) (err error) {
		for i := range first {
			first[i].version = "v0.1.0"
			p := world.Pull{Repo: first[i].service, Title: "Serve requests", Label: "minor", Author: author(first[i].service)}
			if first[i].commit, err = s.OpenAndMerge(p); err != nil {
				return err
			}
		}
		for _, c := range first {
			if err := s.built(ctx, c); err != nil {
				return err
			}
		}
		return nil
	}, func(ctx context.Context) error {
		for _, c := range first {
			if err := errors.Join(s.tagged(ctx, c), s.runs(ctx, c, "dev", "preprod"), s.absent(c.service, "prod")); err != nil {
				return err
			}
		}
		return nil
	})

	s.Step(StepFirstApprovals, func(ctx context.Context) error {
		for _, c := range first {
			if err := s.approve(ctx, approver(c.service), c); err != nil {
				return err
			}
		}
		return nil
	}, func(ctx context.Context) error {
		for _, c := range first {
			if err := s.runs(ctx, c, "dev", "preprod", "prod"); err != nil {
				return err
			}
		}
		return nil
	})

	var ledger, notifier, behind change
	s.Step("ledger moves on to v0.2.0, affordability waits for an approval, notifier is on hold", func(ctx context.Context) (err error) {
		if err := s.As(world.Sam).Hold(ctx, "notifier", "the text of the letters is with the lawyers"); err != nil {
			return err
		}
		merge := func(service, title, label, version string) change {
			c := change{service: service, version: version}
			if err == nil {
				c.commit, err = s.OpenAndMerge(world.Pull{Repo: service, Title: title, Label: label, Author: author(service)})
			}
			return c
		}
		ledger = merge("ledger", "Show balances", "minor", "v0.2.0")
		notifier = merge("notifier", "Sign letters", "patch", "v0.1.1")
		merge("affordability", "Count rent", "minor", "v0.2.0")
		behind = merge("affordability", "Round down", "patch", "v0.2.1")
		if err == nil {
			err = s.approve(ctx, world.Ben, ledger)
		}
		if err == nil {
			err = s.built(ctx, behind)
		}
		return err
	}, func(ctx context.Context) error {
		return errors.Join(
			s.tagged(ctx, ledger), s.runs(ctx, ledger, "dev", "preprod", "prod"),
			s.tagged(ctx, notifier), s.runs(ctx, notifier, "dev", "preprod"), s.runs(ctx, first[2], "prod"),
			s.tagged(ctx, behind), s.runs(ctx, behind, "dev", "preprod"), s.runs(ctx, first[3], "prod"),
			s.absent("statements", "dev"),
		)
	})

	s.Step("the board counts what git counts, and says why notifier waits", nil, func(ctx context.Context) error {
		for _, c := range first {
			if err := s.behind(ctx, c.service); err != nil {
				return err
			}
		}
		row, err := s.BoardRow(ctx, "notifier")
		if err == nil && (row.Hold == nil || row.Hold.Person != world.Sam || row.Hold.Reason == "") {
			err = fmt.Errorf("the board shows no hold of notifier: %+v", row.Hold)
		}
		return err
	})
	s.ledger = ledger
	s.Step(StepGraphs, nil, func(ctx context.Context) error {
		for file, read := range map[string][]string{
			"dashboards/affordability.json": {"metrics", "dashboard", "export", "payments", "affordability"},
			"rules/affordability.yaml":      {"metrics", "rules", "show", "payments", "affordability"},
		} {
			want, err := s.Git("affordability").File(ctx, behind.commit, file)
			if err != nil {
				return err
			}
			got, err := s.Command(ctx, world.Sam, read...)
			if err == nil && strings.TrimSpace(string(got)) != want {
				err = fmt.Errorf("%s is not what git has: %.100q", file, got)
			}
			if err != nil {
				return err
			}
		}
		out, err := s.Command(ctx, world.Sam, "metrics", "query", "payments", `count by (environment) (http_requests_total{service="affordability"})`, "--json")
		for _, environment := range []string{"dev", "preprod", "prod"} {
			if err == nil && !strings.Contains(string(out), `"`+environment+`"`) {
				err = fmt.Errorf("no sample of affordability in %s: %s", environment, out)
			}
		}
		return err
	})
	if s.Database == nil {
		s.NotRun("no PostgreSQL", StepTenant)
		return
	}
	s.Step(StepTenant, func(ctx context.Context) (err error) {
		if s.tenant, err = s.NewCustomer("dev"); err != nil {
			return err
		}
		return errors.Join(s.tenant.Connect(ctx), s.tenant.LendSession())
	}, s.golden)
}

// golden checks that tenant 1 has the profile that the bank's data make.
func (s *Story) golden(ctx context.Context) error {
	tenant, err := s.tenant.Again()
	if err != nil {
		return err
	}
	hash, err := tenant.Profile(ctx)
	if err == nil && hash != world.GoldenProfile {
		err = fmt.Errorf("the profile of tenant 1 has the fingerprint %s", hash)
	}
	return err
}

// realBuild is how long a build may take: affordability is not small, and the first
// builds on a machine compile all that they need.
const realBuild = 3 * time.Minute

// built waits until a change is built, well or not.
func (s *Story) built(ctx context.Context, c change) error {
	return world.Until(ctx, realBuild, c.service+" "+c.version+" is built", func(ctx context.Context) error {
		r, err := s.Release(ctx, c.service, c.commit)
		if err == nil && r.State == "building" {
			err = errors.New("it is being built")
		}
		return err
	})
}

// author is who writes a service's changes, approver who else owns it.
func author(service string) string {
	if service == "gateway" || service == "notifier" || service == "statements" {
		return world.Kim
	}
	return world.Ana
}

func approver(service string) string {
	if author(service) == world.Kim {
		return world.Sam
	}
	return world.Ben
}
