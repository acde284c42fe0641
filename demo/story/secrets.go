package story

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
)

// The steps of this chapter that have no sabotage.
const (
	stepLent     = "a customer connects the bank in prod; in each environment, affordability and ledger have one login each"
	stepRequests = "1,500 requests without a retry, while their login was taken away: each was answered 2xx"
	stepBooks    = "the ledger in prod books with a login of its own; while that is taken away, each request is answered 2xx"
	stepReplaced = "the next version of affordability has a login of its own in prod, and the one before is gone"
)

// How many requests there are, and how often: half a minute.
const (
	requestCount = 1500
	requestEvery = 20 * time.Millisecond
	bookRequests = 75 // of the ledger: a second and a half
)

// secrets: nobody knows a database password, and one that is taken away is no
// trouble. Its requests go on while other chapters are told.
func secrets(s *Story) {
	if s.Database == nil {
		s.NotRun("no PostgreSQL", stepLent, StepRevoked, stepBooks)
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
			for _, service := range world.Tenants() {
				if _, err := s.lease(ctx, service, env); err != nil {
					return err
				}
			}
		}
		return nil
	})

	s.Step(StepRevoked, func(ctx context.Context) error {
		lease, err := s.lease(ctx, "affordability", "prod")
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
		_, err = s.lease(ctx, "affordability", "prod")
		return err
	})

	s.books()
}

// books: the ledger has a database and logins of its own.
func (s *Story) books() {
	before := client.Lease{}
	s.Step(stepBooks, func(ctx context.Context) (err error) {
		if before, err = s.lease(ctx, "ledger", "prod"); err != nil {
			return err
		}
		p, _, err := s.Proc.Serving(ctx, "ledger", "prod")
		if err != nil {
			return err
		}
		address := fmt.Sprintf("http://127.0.0.1:%d", p.Port)
		if err := book(ctx, address); err != nil {
			return err
		}
		alone := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
		traffic := judge.Send(s.ctx, alone, address+"/bookings", bookRequests, requestEvery)
		if _, err = s.Command(ctx, world.Sam, "secret", "lease", "revoke", before.ID, "--yes"); err != nil {
			return err
		}
		if err := book(ctx, address); err != nil {
			return err
		}
		_, _, err = traffic.Wait()
		return err
	}, func(ctx context.Context) error {
		now, err := s.lease(ctx, "ledger", "prod")
		if err == nil && now.Username == before.Username {
			err = fmt.Errorf("%s can still log in", before.Username)
		}
		if err != nil {
			return err
		}
		n, err := s.Database.Rows(ctx, world.DatabaseOf("ledger", "prod"), "booking")
		if err == nil && n != 2 {
			err = fmt.Errorf("the ledger's database has %d bookings, not the 2 that were sent", n)
		}
		return err
	})
}

// book sends one booking, once.
func book(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/entries", strings.NewReader(`{"account": "rent", "cents": 120000}`))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("a booking was answered %s", resp.Status)
	}
	return nil
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
		if before, err = s.lease(ctx, "affordability", "prod"); err != nil {
			return err
		}
		return s.approve(ctx, world.Ben, s.affordability)
	}, func(ctx context.Context) error {
		if err := s.runs(ctx, s.affordability, "prod"); err != nil {
			return err
		}
		now, err := s.lease(ctx, "affordability", "prod")
		if err == nil && now.Username == before.Username {
			err = errors.New("it works with the login of the version before")
		}
		return err
	})
}

// lease checks that there is exactly one login to the database of a service in an
// environment, that it is in use, and that Nightporter knows whose it is.
func (s *Story) lease(ctx context.Context, service, environment string) (client.Lease, error) {
	group := world.DatabaseOf(service, environment)
	logins, err := s.Database.Logins(ctx, group)
	if err != nil {
		return client.Lease{}, err
	}
	used, err := s.Database.InUse(ctx, group)
	if err != nil {
		return client.Lease{}, err
	}
	if len(logins) != 1 || !slices.Equal(logins, used) {
		return client.Lease{}, fmt.Errorf("to %s, %v can log in and %v are connected; want one, and the same", group, logins, used)
	}
	for l, err := range s.Root().Leases(ctx, client.LeaseFilter{Username: logins[0]}) {
		if err != nil {
			return client.Lease{}, err
		}
		if l.Owner != service || l.Environment != environment {
			return l, fmt.Errorf("the lease of %s names %q in %q", logins[0], l.Owner, l.Environment)
		}
		return l, nil
	}
	return client.Lease{}, fmt.Errorf("%s has no lease", logins[0])
}
