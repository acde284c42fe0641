package repos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// Undo makes and keeps the plan that takes back what an apply of another wrote. It
// changes nothing: the new plan is applied like any other. The caller has asked
// the policy. Errors: not_found, and conflict when nothing of the plan was made.
func (r *Repos) Undo(ctx context.Context, plan string) (*standard.Plan, error) {
	var kept *KeptPlan
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		kept, err = GetPlan(ctx, tx, plan)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(made(kept.Writes)) == 0 {
		return nil, nightporter.E(nightporter.Conflict, "nothing of the plan %q was made, so there is nothing to undo", plan)
	}
	p, err := r.undo(ctx, kept)
	if err != nil {
		return nil, err
	}
	return p, r.keep(ctx, p, "")
}

// undo looks at the forge and plans the way back.
func (r *Repos) undo(ctx context.Context, of *KeptPlan) (*standard.Plan, error) {
	name, g, err := r.governor(of.Forge)
	if err != nil {
		return nil, err
	}
	survey, err := g.Survey(ctx, forge.SurveyWants{})
	if err != nil {
		return nil, fmt.Errorf("survey %s: %w", name, err)
	}
	p := standard.TakeBack(name, survey, made(of.Writes), r.cfg.Now())
	p.Undoes = of.ID
	return p, nil
}

// made are the writes that an apply made, the last one first: they are taken back
// in the opposite order.
func made(rows []PlannedWrite) (list []standard.Write) {
	for _, row := range slices.Backward(rows) {
		if row.State == Done {
			list = append(list, row.Write)
		}
	}
	return list
}

// again makes a plan once more from what is there now, kept to what it was kept
// to when it was made.
func (r *Repos) again(ctx context.Context, id string) (*standard.Plan, error) {
	var head standard.Plan
	var only string
	var undone *KeptPlan
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		var body string
		err := tx.QueryRow(ctx, `SELECT head, only_for FROM repo_plan WHERE id = ?`, id).Scan(&body, &only)
		if err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(body), &head); err != nil || head.Undoes == "" {
			return err
		}
		undone, err = GetPlan(ctx, tx, head.Undoes)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read plan %s: %w", id, err)
	}
	if undone != nil {
		return r.undo(ctx, undone)
	}
	l, err := r.look(ctx, head.Forge)
	if err != nil {
		return nil, err
	}
	return l.plan(only, head.Rules)
}

// look is what one look at a forge saw, and the rules to compare it with.
type look struct {
	rules *standard.Standard
	in    standard.Input
}

// look surveys a forge.
func (r *Repos) look(ctx context.Context, name string) (*look, error) {
	name, g, err := r.governor(name)
	if err != nil {
		return nil, err
	}
	rules, err := r.rules(name)
	if err != nil {
		return nil, err
	}
	survey, err := g.Survey(ctx, rules.Wants())
	if err != nil {
		return nil, fmt.Errorf("survey %s: %w", name, err)
	}
	in := standard.Input{Survey: survey, Now: r.cfg.Now()}
	if in.Hooked, err = r.hooked(ctx, name); err != nil {
		return nil, err
	}
	if in.Who, err = r.culprits(ctx, name); err != nil {
		return nil, err
	}
	return &look{rules, in}, nil
}

// plan compares. Only is a rule or a repository, and rules are those that writes
// are kept to; "" and nil mean all.
func (l *look) plan(only string, rules []standard.Rule) (*standard.Plan, error) {
	in := l.in
	in.Only, in.Rules = only, rules
	return l.rules.Make(in)
}

// enforced are the rules that are put right without being asked: nil for all.
func (r *Repos) enforced() (rules []standard.Rule, any bool) {
	rules = []standard.Rule{}
	for _, rule := range standard.Rules {
		if r.cfg.Enforce(rule) {
			rules = append(rules, rule)
		}
	}
	if len(rules) == len(standard.Rules) {
		return nil, true
	}
	return rules, len(rules) > 0
}

// PlanSummary is a plan in a list.
type PlanSummary struct {
	ID      string         `json:"id"`
	Forge   string         `json:"forge"`
	MadeAt  time.Time      `json:"made_at"`
	Only    string         `json:"only,omitempty"`
	Rules   []string       `json:"rules,omitempty"` // those that it was kept to
	Undoes  string         `json:"undoes,omitempty"`
	Run     string         `json:"run,omitempty"` // of its apply
	Price   standard.Price `json:"price"`
	Applied int            `json:"applied"` // writes that were made
}

// Plans lists plans, the newest first. Before is the id to continue below; ""
// begins with the newest.
func Plans(ctx context.Context, tx *store.Tx, before string, limit int) ([]PlanSummary, error) {
	list := []PlanSummary{}
	err := tx.Each(ctx, `SELECT id, head, only_for, run_id, (SELECT COUNT(*) FROM repo_plan_write WHERE plan = repo_plan.id AND state = ?)
		FROM repo_plan WHERE ? = '' OR id < ? ORDER BY id DESC LIMIT ?`, []any{Done, before, before, limit}, func(scan func(...any) error) error {
		var s PlanSummary
		var body string
		if err := scan(&s.ID, &body, &s.Only, &s.Run, &s.Applied); err != nil {
			return err
		}
		var head standard.Plan
		if err := json.Unmarshal([]byte(body), &head); err != nil {
			return fmt.Errorf("read plan %s: %w", s.ID, err)
		}
		s.Forge, s.MadeAt, s.Undoes, s.Price = head.Forge, head.MadeAt, head.Undoes, head.Price
		for _, rule := range head.Rules {
			s.Rules = append(s.Rules, string(rule))
		}
		list = append(list, s)
		return nil
	})
	return list, err
}
