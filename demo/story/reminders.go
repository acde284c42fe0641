package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/services"
	"nightporter.dev/nightporter/demo/world"
)

// reminders: an approval that waits is never forgotten, and the board knows it.
func reminders(s *Story) {
	next := change{service: "ledger", version: "v0.5.2"}
	s.Step("an approval waits for four hours of the clock: the owners are reminded, not earlier", func(ctx context.Context) (err error) {
		next.commit, err = s.OpenAndMerge(world.Pull{Repo: "ledger", Title: "Write even faster", Label: "patch"})
		if err != nil {
			return err
		}
		r, err := s.Reaches(ctx, next.service, next.commit, "waiting")
		if err != nil {
			return err
		}
		reminder := "release/" + r.ID + "/prod/remind/0"
		since := s.Clock.Now()
		if err := s.Clock.Run(3600); err != nil { // an hour a second
			return err
		}
		var m world.Message
		err = s.Until(ctx, "the owners are reminded", func(context.Context) error {
			for _, m = range s.Inbox.Messages() {
				if m.Key == reminder && m.To == "payments" {
					return nil
				}
			}
			return errors.New("nobody was")
		})
		if err = errors.Join(err, s.Clock.Run(1)); err != nil {
			return err
		}
		// The wait began before we saw it, a moment of real time ago.
		if waited := m.At.Sub(since); waited < 4*time.Hour-time.Minute || waited > 8*time.Hour {
			return fmt.Errorf("they were reminded after %v", waited)
		}
		return nil
	}, func(ctx context.Context) error {
		return errors.Join(s.runs(ctx, next, "dev", "preprod"), s.runs(ctx, s.inProd, "prod"))
	})
	s.ledger = next

	s.Step("nightporter release board agrees with git and with what answers, for every service", nil, func(ctx context.Context) error {
		rows, err := s.board(ctx)
		if err != nil {
			return err
		}
		for _, name := range services.Names {
			row, ok := rows[name]
			if !ok {
				return fmt.Errorf("%s is not on the board", name)
			}
			for env, cell := range row.Environments {
				if err := s.cell(ctx, name, env, cell); err != nil {
					return err
				}
			}
			_, missing := s.Git(name).Commit(ctx, "refs/tags/prod")
			if row.Production.Released == (missing != nil) {
				return fmt.Errorf("the board says released: %v; git's tag prod: %v", row.Production.Released, missing)
			}
			if row.Production.Released {
				if err := s.behind(ctx, name); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// board is what the command line says, by service.
func (s *Story) board(ctx context.Context) (map[string]client.BoardRow, error) {
	out, err := s.Command(ctx, world.Ben, "release", "board", "--json")
	if err != nil {
		return nil, err
	}
	var list struct{ Items []client.BoardRow }
	if err := json.Unmarshal(out, &list); err != nil {
		return nil, fmt.Errorf("nightporter release board --json: %w", err)
	}
	rows := map[string]client.BoardRow{}
	for _, row := range list.Items {
		rows[row.Service] = row
	}
	return rows, nil
}

// cell checks what the board says of one environment against what answers there.
func (s *Story) cell(ctx context.Context, service, environment string, c client.Cell) error {
	if c.Version == "" {
		return s.absent(service, environment)
	}
	return s.Proc.Runs(ctx, service, environment, c.Version, c.Commit)
}
