package database

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
)

// overdueAfter is how long a login may outlive the end of its lease before that is
// worth a word: the reaper and a busy database need a moment.
const overdueAfter = time.Minute

// Proof is what the porter can prove of the logins of one database.
type Proof struct {
	Status
	Roles []string // the paths at which its logins are lent: "database/creds/ledger"
	// Standing are the logins that nobody leases and that the porter does not
	// rotate, as of Compared: the administrator's own is not among them.
	Standing []string
	// Overdue is how many logins should have ended a minute ago and have not;
	// TooLong how many leases end later than their maximum.
	Overdue, TooLong int
}

// Proofs reads what can be proved of every database, by name.
func (e *Engine) Proofs(ctx context.Context, tx *store.Tx) ([]Proof, error) {
	connections, err := e.connections(ctx, tx, `WHERE retired_at = 0 ORDER BY path, name`)
	if err != nil {
		return nil, err
	}
	states, err := e.DatabasesIn(ctx, tx)
	if err != nil {
		return nil, err
	}
	now := e.cfg.Now()
	var out []Proof
	for i, c := range connections {
		p := Proof{Status: states[i]}
		p.Standing = e.server(c.ID).standing()
		late := store.Micros(now.Add(-overdueAfter))
		err := tx.QueryRow(ctx, `SELECT
				(SELECT COUNT(*) FROM database_login j JOIN lease l ON l.id = j.lease
					WHERE j.connection = ? AND j.state IN ('made', 'unwanted') AND (l.state = 'live' AND l.expires_at <= ? OR l.state = 'doomed' AND l.doomed_at <= ?)),
				(SELECT COUNT(*) FROM database_login j JOIN lease l ON l.id = j.lease
					WHERE j.connection = ? AND j.state = 'made' AND l.state = 'live' AND l.max_at > 0 AND l.expires_at > l.max_at)`,
			c.ID, late, late, c.ID).Scan(&p.Overdue, &p.TooLong)
		if err == nil {
			err = tx.Each(ctx, `SELECT name, role FROM database_role WHERE mount = ? ORDER BY name`, []any{c.Mount}, func(scan func(...any) error) error {
				var name, text string
				var role Role
				if err := scan(&name, &text); err != nil {
					return err
				}
				if err := json.Unmarshal([]byte(text), &role); err != nil {
					return fmt.Errorf("read role %s: %w", name, err)
				}
				if role.DB == c.Name {
					p.Roles = append(p.Roles, c.Path+"creds/"+name)
				}
				return nil
			})
		}
		if err != nil {
			return nil, fmt.Errorf("prove the logins of %s: %w", c.database(), err)
		}
		out = append(out, p)
	}
	return out, nil
}

// noteStanding keeps which logins nobody leases.
func (s *server) noteStanding(ctx context.Context, c *connection, logins []provider.Login, known map[string]loginState) error {
	rotated := map[string]bool{}
	var names []string
	err := s.e.look(ctx, func(tx *store.Tx) error {
		err := tx.Each(ctx, `SELECT name FROM database_static WHERE mount = ?`, []any{c.Mount}, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
		for _, name := range names {
			static, readErr := s.e.static(ctx, tx, c.Mount, name)
			if readErr != nil {
				return readErr
			}
			rotated[static.Username], rotated[static.Alternate] = true, true
		}
		return err
	})
	if err != nil {
		return err
	}
	list := []string{}
	for _, l := range logins {
		if _, leased := known[l.Name]; leased || !l.CanLogin || l.Name == c.text("username") || rotated[l.Name] {
			continue
		}
		list = append(list, l.Name)
	}
	slices.Sort(list)
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	s.keeper.standing = slices.Compact(list)
	return nil
}

func (s *server) standing() []string {
	s.keeper.mu.Lock()
	defer s.keeper.mu.Unlock()
	return slices.Clone(s.keeper.standing)
}
