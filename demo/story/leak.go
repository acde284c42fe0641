package story

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/demo/world"
)

// The steps of this chapter that have no sabotage.
const (
	stepLeak   = "a password committed by mistake in a pull request is found, known to work, and belongs to an owner"
	stepRepair = "repaired: PostgreSQL refuses the old password, a login with the same rights is leased, and the finding is fixed by that"
)

// The account that somebody made by hand, long ago.
const (
	reader         = "statements_reader"
	readerPassword = "Harbour-Maple71"
)

// leak: a password in a repository becomes worthless.
func leak(s *Story) {
	if s.Database == nil {
		s.NotRun("no PostgreSQL", stepLeak, stepRepair)
		return
	}
	database := world.DatabaseOf("ledger", "preprod")
	var found client.Finding
	s.Step(stepLeak, func(ctx context.Context) error {
		err := s.Database.Exec(ctx, "CREATE ROLE "+reader+" LOGIN PASSWORD '"+readerPassword+"'")
		if err != nil {
			return err
		}
		_, err = s.Open(world.Pull{Repo: "statements", Title: "Read from the ledger", Author: world.Kim, Label: "minor", Files: map[string]string{
			"config/ledger.yaml": fmt.Sprintf("database:\n  url: postgres://%s:%s@%s/%s\n", reader, readerPassword, s.Database.Address(), database),
		}})
		return err
	}, func(ctx context.Context) error {
		list, err := s.leaked(ctx, "standing")
		switch {
		case err != nil:
			return err
		case len(list) != 1:
			return fmt.Errorf("%d findings, not the one", len(list))
		}
		found = list[0]
		if found.Severity != "critical" || found.Owner != "platform" || !strings.Contains(found.Title, reader) {
			return fmt.Errorf("it is %s, of %s: %s", found.Severity, found.Owner, found.Title)
		}
		return s.Database.Login(reader, readerPassword, database) // PostgreSQL says so too
	})

	s.Step(stepRepair, func(ctx context.Context) error {
		_, err := s.Command(ctx, world.Sam, "security", "finding", "repair", found.ID, "--yes")
		return err
	}, func(ctx context.Context) error {
		if s.Database.Login(reader, readerPassword, database) == nil {
			return errors.New("PostgreSQL still takes the old password")
		}
		fixed, err := s.leaked(ctx, "fixed")
		if err != nil {
			return err
		}
		if len(fixed) != 1 || fixed[0].ID != found.ID || fixed[0].Proof == "" {
			return fmt.Errorf("%d findings are fixed", len(fixed))
		}
		lent, err := s.lend(ctx, reader)
		if err != nil {
			return err
		}
		return s.Database.Login(lent.Username, lent.Password, database)
	})
}

// leaked are the findings of what was committed by mistake.
func (s *Story) leaked(ctx context.Context, state string) ([]client.Finding, error) {
	out, err := s.Command(ctx, world.Sam, "security", "findings", "--check", "C1", "--service", "statements", "--state", state, "--json")
	if err != nil {
		return nil, err
	}
	if strings.Contains(string(out), readerPassword) {
		return nil, errors.New("the finding shows the password")
	}
	var list struct{ Items []client.Finding }
	err = json.Unmarshal(out, &list)
	return list.Items, err
}

// lent is a login that was asked for as `vault read` does.
type lent struct{ Username, Password string }

// lend asks for a login of a role.
func (s *Story) lend(ctx context.Context, role string) (l lent, err error) {
	text, err := s.VaultRead(ctx, "database/creds/"+role)
	if err != nil {
		return l, err
	}
	var answer struct{ Data *lent }
	answer.Data = &l
	return l, json.Unmarshal(text, &answer)
}
