package repos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/repos/standard"
)

// Standing is how one repository stands to its rules, counted.
type Standing struct {
	Repo   nightporter.Repo
	Counts map[standard.State]int
}

// Standings counts the matrix, by name. It reads no cell.
func Standings(ctx context.Context, tx *store.Tx) ([]Standing, error) {
	var list []Standing
	err := tx.Each(ctx, `SELECT repo, state, COUNT(*) FROM repo_rule GROUP BY repo, state ORDER BY repo`, nil, func(scan func(...any) error) error {
		var name, state string
		n := 0
		if err := scan(&name, &state, &n); err != nil {
			return err
		}
		repo, err := nightporter.ParseRepo(name)
		if err != nil {
			return err
		}
		if len(list) == 0 || list[len(list)-1].Repo != repo {
			list = append(list, Standing{repo, map[standard.State]int{}})
		}
		list[len(list)-1].Counts[standard.State(state)] = n
		return nil
	})
	return list, err
}

// RuleNames lists the rules that anything is known of, in the order of plans.
func RuleNames(ctx context.Context, tx *store.Tx) ([]standard.Rule, error) {
	known := map[standard.Rule]bool{}
	err := tx.Each(ctx, `SELECT DISTINCT rule FROM repo_rule`, nil, func(scan func(...any) error) error {
		var rule string
		err := scan(&rule)
		known[standard.Rule(rule)] = true
		return err
	})
	return slices.DeleteFunc(slices.Clone(standard.Rules), func(r standard.Rule) bool { return !known[r] }), err
}

// RowsOf reads the matrix of some repositories, by name. What nothing is known of
// is left out.
func RowsOf(ctx context.Context, tx *store.Tx, list []nightporter.Repo) ([]Row, error) {
	if len(list) == 0 {
		return []Row{}, nil
	}
	args := make([]any, len(list))
	for i, repo := range list {
		args[i] = repo.String()
	}
	return rows(ctx, tx, `WHERE repo IN (?`+strings.Repeat(`, ?`, len(list)-1)+`)`, args)
}

// DriftedRule is a rule that held once and does not now.
type DriftedRule struct {
	Repo nightporter.Repo
	standard.Cell
}

// DriftedRules lists what drifted: not what differed from the standard all along.
// The ones of a repository stand together.
func DriftedRules(ctx context.Context, tx *store.Tx) ([]DriftedRule, error) {
	var list []DriftedRule
	err := tx.Each(ctx, `SELECT repo, body FROM repo_rule WHERE state = 'drift' AND ok_at > 0 ORDER BY repo, rule`, nil, func(scan func(...any) error) error {
		var name, body string
		if err := scan(&name, &body); err != nil {
			return err
		}
		d := DriftedRule{}
		if err := json.Unmarshal([]byte(body), &d.Cell); err != nil {
			return fmt.Errorf("read a rule of %s: %w", name, err)
		}
		var err error
		d.Repo, err = nightporter.ParseRepo(name)
		list = append(list, d)
		return err
	})
	return list, err
}

// Look is the last look at how a forge's repositories are set up.
type Look struct {
	Forge    string    `json:"forge"`
	LookedAt time.Time `json:"looked_at,omitzero"` // when it was seen whole
	Error    string    `json:"error,omitempty"`    // why not since
	Requests int       `json:"requests"`
	Points   int       `json:"points"`
}

// Looks lists the last looks, by forge.
func Looks(ctx context.Context, tx *store.Tx) ([]Look, error) {
	var list []Look
	err := tx.Each(ctx, `SELECT forge, looked_at, error, requests, points FROM repo_conform ORDER BY forge`, nil, func(scan func(...any) error) error {
		var l Look
		var at int64
		if err := scan(&l.Forge, &at, &l.Error, &l.Requests, &l.Points); err != nil {
			return err
		}
		l.LookedAt = store.Time(at)
		list = append(list, l)
		return nil
	})
	return list, err
}

// Rows reads the matrix, by name.
func Rows(ctx context.Context, tx *store.Tx) ([]Row, error) { return rows(ctx, tx, "", nil) }

func rows(ctx context.Context, tx *store.Tx, where string, args []any) ([]Row, error) {
	looks, err := Looks(ctx, tx)
	if err != nil {
		return nil, err
	}
	place := map[standard.Rule]int{}
	for i, rule := range standard.Rules {
		place[rule] = i
	}
	rows := []Row{}
	err = tx.Each(ctx, `SELECT repo, body FROM repo_rule `+where+` ORDER BY repo`, args, func(scan func(...any) error) error {
		var name, body string
		if err := scan(&name, &body); err != nil {
			return err
		}
		repo, err := nightporter.ParseRepo(name)
		if err != nil {
			return err
		}
		if len(rows) == 0 || rows[len(rows)-1].Repo != repo {
			row := Row{Repo: repo}
			for _, l := range looks {
				if l.Forge == repo.Forge {
					row.LookedAt, row.Error = l.LookedAt, l.Error
				}
			}
			rows = append(rows, row)
		}
		var c standard.Cell
		if err := json.Unmarshal([]byte(body), &c); err != nil {
			return fmt.Errorf("read a rule of %s: %w", name, err)
		}
		row := &rows[len(rows)-1]
		i := len(row.Cells)
		for i > 0 && place[row.Cells[i-1].Rule] > place[c.Rule] {
			i--
		}
		row.Cells = slices.Insert(row.Cells, i, c)
		return nil
	})
	return rows, err
}
