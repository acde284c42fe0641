package story

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/world"
)

// approvals: production asks for somebody who is not the author, and a hold keeps
// everything before it.
func approvals(s *Story) {
	before, next := s.inProd, s.ledger
	s.Step("the author may not approve their own change: 403 own_change, and prod stays", func(ctx context.Context) error {
		r, err := s.Reaches(ctx, next.service, next.commit, "waiting")
		if err != nil {
			return err
		}
		_, err = s.As(world.Ana).Approve(ctx, r.ID, "trust me")
		if wrong := refused(err, nightporter.OwnChange); wrong != nil {
			return wrong
		}
		if e := (*client.ResponseError)(nil); !errors.As(err, &e) || e.Status != 403 {
			return fmt.Errorf("it was not answered 403: %w", err)
		}
		_, err = s.As(world.Kim).Approve(ctx, r.ID, "not my team's")
		return refused(err, nightporter.Denied)
	}, func(ctx context.Context) error { return s.runs(ctx, before, "prod") })

	newer := change{service: "ledger", version: "v0.4.1"}
	s.Step("a newer version takes the place of the one that waits", func(ctx context.Context) (err error) {
		newer.commit, err = s.OpenAndMerge(world.Pull{Repo: "ledger", Title: "Say why a payment is refused", Label: "patch"})
		if err != nil {
			return err
		}
		if _, err := s.Reaches(ctx, newer.service, newer.commit, "waiting"); err != nil {
			return err
		}
		r, err := s.Reaches(ctx, next.service, next.commit, "superseded")
		if err != nil {
			return err
		}
		_, err = s.As(world.Ben).Approve(ctx, r.ID, "too late")
		return refused(err, nightporter.Conflict)
	}, func(ctx context.Context) error {
		return errors.Join(s.runs(ctx, newer, "dev", "preprod"), s.runs(ctx, before, "prod"))
	})

	s.Step("on hold, even an approved version stays out of prod, and the board says why", func(ctx context.Context) error {
		if err := s.As(world.Ben).Hold(ctx, "ledger", holdReason); err != nil {
			return err
		}
		if err := s.approve(ctx, world.Ben, newer); err != nil {
			return err
		}
		_, err := s.Reaches(ctx, newer.service, newer.commit, "held")
		return err
	}, func(ctx context.Context) error {
		row, err := s.BoardRow(ctx, "ledger")
		if err == nil && (row.Hold == nil || row.Hold.Reason != holdReason || row.Hold.Person != world.Ben) {
			err = fmt.Errorf("the board shows no hold: %+v", row.Hold)
		}
		return errors.Join(err, s.runs(ctx, before, "prod"), s.behind(ctx, "ledger"))
	})

	s.Step("the hold ends: prod runs it, and git's tag prod has moved", func(ctx context.Context) error {
		return s.As(world.Ben).Unhold(ctx, "ledger")
	}, func(ctx context.Context) error {
		return errors.Join(s.runs(ctx, newer, "dev", "preprod", "prod"), s.behind(ctx, "ledger"))
	})

	s.Step("the owners were told that it is in prod", nil, func(context.Context) error {
		return s.told("payments", "ledger "+strings.TrimPrefix(newer.version, "v")+" is in prod")
	})
	s.ledger, s.inProd = newer, newer
}

// told checks that an audience got a message whose title begins so.
func (s *Story) told(to, title string) error {
	if bad := s.Inbox.Refused(); len(bad) > 0 {
		return fmt.Errorf("messages without a good signature arrived: %v", bad)
	}
	for _, m := range s.Inbox.Messages() {
		if m.To == to && strings.HasPrefix(m.Title, title) {
			return nil
		}
	}
	return fmt.Errorf("%s were not told %q", to, title)
}
