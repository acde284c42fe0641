package story

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
)

// The steps of this chapter that have no sabotage.
const (
	stepLent     = "a customer connects the bank in prod; each environment has one login, which is affordability's"
	stepRequests = "1,500 requests without a retry, while their login was taken away: each was answered 2xx"
	stepReplaced = "the next version of affordability has a login of its own in prod, and the one before is gone"
)

// How many requests there are, and how often: half a minute.
const (
	requestCount = 1500
	requestEvery = 20 * time.Millisecond
)

// secrets: nobody knows a database password, and one that is taken away is no
// trouble. Its requests go on while other chapters are told.
func secrets(s *Story) {
	if s.Database == nil {
		s.NotRun("no PostgreSQL", stepLent, StepRevoked)
		return
	}
	var customer *world.Customer
	s.Step(stepLent, func(ctx context.Context) (err error) {
		if customer, err = s.NewCustomer("prod"); err != nil {
			return err
		}
		return customer.Connect(ctx)
	}, func(ctx context.Context) error {
		for _, env := range []string{"dev", "preprod", "prod"} {
			if _, err := s.lease(ctx, env); err != nil {
				return err
			}
		}
		return nil
	})

	s.Step(StepRevoked, func(ctx context.Context) error {
		lease, err := s.lease(ctx, "prod")
		if err != nil {
			return err
		}
		s.traffic = judge.Send(s.ctx, customer.Client(), customer.ProfileURL(), requestCount, requestEvery)
		err = s.Until(ctx, "requests are answered", func(context.Context) error {
			if n := s.traffic.Answered(); n < 50 {
				return fmt.Errorf("%d requests were answered", n)
			}
			return nil
		})
		if err != nil {
			return err
		}
		s.revoked = lease.Username
		_, err = s.Command(ctx, world.Sam, "secret", "lease", "revoke", lease.ID, "--yes")
		return err
	}, func(ctx context.Context) error {
		known, err := s.Database.Known(ctx, s.revoked)
		if err == nil && known {
			err = fmt.Errorf("%s can still log in", s.revoked)
		}
		if err != nil {
			return err
		}
		_, err = s.lease(ctx, "prod")
		return err
	})
}

// requests: what secrets began has come to an end.
func requests(s *Story) {
	if s.Database == nil {
		s.NotRun("no PostgreSQL", stepRequests, stepReplaced)
		return
	}
	s.Step(stepRequests, func(context.Context) error {
		n, slowest, err := s.traffic.Wait()
		s.Progress("%d requests, the slowest took %v", n, slowest.Round(time.Millisecond))
		return err
	}, nil)

	before := client.Lease{}
	s.Step(stepReplaced, func(ctx context.Context) (err error) {
		if before, err = s.lease(ctx, "prod"); err != nil {
			return err
		}
		return s.approve(ctx, world.Ben, s.affordability)
	}, func(ctx context.Context) error {
		if err := s.runs(ctx, s.affordability, "prod"); err != nil {
			return err
		}
		now, err := s.lease(ctx, "prod")
		if err == nil && now.Username == before.Username {
			err = errors.New("it works with the login of the version before")
		}
		return err
	})
}

// lease checks that affordability has exactly one login in an environment's
// database, that it is in use, and that Nightporter knows whose it is.
func (s *Story) lease(ctx context.Context, environment string) (client.Lease, error) {
	group := world.DatabaseOf(environment)
	logins, err := s.Database.Logins(ctx, group)
	if err != nil {
		return client.Lease{}, err
	}
	used, err := s.Database.InUse(ctx, group)
	if err != nil {
		return client.Lease{}, err
	}
	if len(logins) != 1 || !slices.Equal(logins, used) {
		return client.Lease{}, fmt.Errorf("in %s, %v can log in and %v are connected; want one, and the same", environment, logins, used)
	}
	for l, err := range s.Root().Leases(ctx, client.LeaseFilter{Username: logins[0]}) {
		if err != nil {
			return client.Lease{}, err
		}
		if l.Owner != "affordability" || l.Environment != environment {
			return l, fmt.Errorf("the lease of %s names %q in %q", logins[0], l.Owner, l.Environment)
		}
		return l, nil
	}
	return client.Lease{}, fmt.Errorf("%s has no lease", logins[0])
}
