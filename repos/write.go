package repos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// PlannedWrite is a write of a plan and how far it has come.
type PlannedWrite struct {
	standard.Write
	State   WriteState `json:"state"`
	Message string     `json:"message,omitempty"`
}

// planWrites reads writes first to end-1 of a plan, or all when end is 0.
func (r *Repos) planWrites(ctx context.Context, plan string, first, end int) (rows []PlannedWrite, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		rows, err = planWrites(ctx, tx, plan, first, end)
		return err
	})
	return rows, err
}

func planWrites(ctx context.Context, tx *store.Tx, plan string, first, end int) ([]PlannedWrite, error) {
	if end == 0 {
		end = 1 << 30
	}
	rows := []PlannedWrite{}
	err := tx.Each(ctx, `SELECT body, state, message FROM repo_plan_write WHERE plan = ? AND n >= ? AND n < ? ORDER BY n`, []any{plan, first, end}, func(scan func(...any) error) error {
		var body, state string
		var row PlannedWrite
		if err := scan(&body, &state, &row.Message); err != nil {
			return err
		}
		row.State = WriteState(state)
		rows = append(rows, row)
		return json.Unmarshal([]byte(body), &rows[len(rows)-1].Write)
	})
	if err != nil {
		return nil, fmt.Errorf("read the writes of %s: %w", plan, err)
	}
	return rows, nil
}

// setWrites notes how far writes have come. Losing that to a power cut costs a
// look at what was started.
func (r *Repos) setWrites(ctx context.Context, plan string, rows []PlannedWrite) error {
	for batch := range slices.Chunk(rows, rowsPerChange) {
		err := r.cfg.Gate.Keep(ctx, "repo.writes", func(tx *store.Tx) error { return setWrites(ctx, tx, plan, batch) })
		if err != nil {
			return err
		}
	}
	return nil
}

func setWrites(ctx context.Context, tx *store.Tx, plan string, rows []PlannedWrite) error {
	for _, row := range rows {
		body, err := json.Marshal(row.Write)
		if err != nil {
			return fmt.Errorf("encode a write of %s: %w", row.Repo, err)
		}
		if _, err := tx.Exec(ctx, `UPDATE repo_plan_write SET body = ?, state = ?, message = ? WHERE plan = ? AND n = ?`,
			string(body), string(row.State), row.Message, plan, row.N); err != nil {
			return err
		}
	}
	return nil
}

// writer makes the writes of one step: one call to the forge each time it is
// observed, at the pace that the forge asks for.
type writer struct{ r *Repos }

func (writer) Start(context.Context, run.Task) (string, error) { return "", nil }

func (w writer) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	var in applyInput
	if err := t.Decode(&in); err != nil {
		return run.Observation{}, err
	}
	_, g, err := w.r.governor(in.Forge)
	if err != nil {
		return run.Observation{}, err
	}
	rows, err := w.r.planWrites(ctx, in.Plan, in.First, in.End)
	if err != nil {
		return run.Observation{}, err
	}
	if err := w.settleStarted(ctx, g, in.Plan, rows); err != nil {
		return w.explain(err)
	}
	next := slices.DeleteFunc(slices.Clone(rows), func(row PlannedWrite) bool { return row.State != Pending })
	if len(next) == 0 {
		return run.Observation{State: run.Succeeded, Message: summary(rows)}, nil
	}
	writes := make([]standard.Write, len(next))
	for i, row := range next {
		writes[i] = row.Write
	}
	next = next[:standard.Batches(writes)[0].End]
	if err := w.make(ctx, g, in.Plan, next); err != nil {
		return w.explain(err)
	}
	pace := w.r.cfg.Pace
	if pace < 0 {
		pace = 1 // at once
	}
	return run.Observation{State: run.Running, Message: fmt.Sprintf("%s %s", next[0].Repo, next[0].Text()), Again: pace}, nil
}

func (w writer) explain(err error) (run.Observation, error) {
	if o, ok := w.r.limited(err); ok {
		return o, nil
	}
	return run.Observation{}, err
}

// Cancel leaves what was made: the plan's rows say what that is.
func (writer) Cancel(context.Context, run.Task, string) error { return nil }

func summary(rows []PlannedWrite) string {
	count := map[WriteState]int{}
	for _, row := range rows {
		count[row.State]++
	}
	text := fmt.Sprintf("%d made", count[Done])
	if count[Failed] > 0 {
		text += fmt.Sprintf(", %d refused", count[Failed])
	}
	return text
}

// make makes one batch: the intent is committed, with its audit entry, before the
// call.
func (w writer) make(ctx context.Context, g forge.Governor, plan string, rows []PlannedWrite) error {
	for i := range rows {
		rows[i].State = Started
	}
	resource := nightporter.Resource{Kind: "plan", ID: plan}
	err := w.r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.write"}, resource, func(tx *gate.Tx) error {
		tx.Detail("writes", describe(rows))
		return setWrites(ctx, tx.Tx, plan, rows)
	})
	if err != nil {
		return err
	}
	each, err := call(ctx, g, rows)
	var limit *forge.RateLimitedError
	for i := range rows {
		switch {
		case errors.As(err, &limit):
			rows[i].State = Pending // nothing was done
		case err != nil:
			return err // nobody knows what was done: look first
		case errors.As(each[i], &limit):
			rows[i].State, err = Pending, each[i]
		case each[i] != nil && nightporter.CodeOf(each[i]) == nightporter.Unavailable && !refused(each[i]):
			return each[i]
		case each[i] != nil:
			rows[i].State, rows[i].Message = Failed, each[i].Error()
		default:
			rows[i].State, rows[i].Message = Done, ""
		}
	}
	return errors.Join(w.r.setWrites(ctx, plan, rows), err)
}

// describe is what the audit log says of a batch.
func describe(rows []PlannedWrite) []string {
	list := make([]string, len(rows))
	for i, row := range rows {
		list[i] = strings.TrimSpace(row.Repo + ": " + row.Text())
	}
	return list
}

// refused says that the forge understood and said no: trying again does not help.
func refused(err error) bool {
	var forbidden *forge.ForbiddenError
	var missing *forge.NotFoundError
	return errors.As(err, &forbidden) || errors.As(err, &missing)
}

// call makes the writes of one batch, which are of one kind.
func call(ctx context.Context, g forge.Governor, rows []PlannedWrite) ([]error, error) {
	switch first := rows[0]; {
	case first.Label != nil:
		var changes []forge.LabelChange
		for _, row := range rows {
			changes = append(changes, *row.Label)
		}
		return g.ChangeLabels(ctx, changes)
	case first.Grant != nil:
		var grants []forge.Grant
		for _, row := range rows {
			grants = append(grants, *row.Grant)
		}
		return g.GrantTeams(ctx, grants)
	case first.Settings != nil:
		return one(g.SetRepository(ctx, first.Repo, *first.Settings))
	case first.Delete:
		return one(g.DeleteRules(ctx, *first.Rules))
	default:
		return one(g.PutRules(ctx, *first.Rules))
	}
}

// one makes the answer to a single write look like that to many.
func one(err error) ([]error, error) {
	if err == nil || refused(err) {
		return []error{err}, nil
	}
	return nil, err
}

// settleStarted looks at what a crash, or an answer that never came, left open.
// What is so already is done; the rest is pending again.
func (w writer) settleStarted(ctx context.Context, g forge.Governor, plan string, rows []PlannedWrite) error {
	seen := map[string]forge.Settings{}
	var changed []PlannedWrite
	for i := range rows {
		if rows[i].State != Started {
			continue
		}
		done, err := happened(ctx, g, &rows[i].Write, seen)
		if err != nil && !refused(err) {
			return err
		}
		rows[i].State = Pending
		switch {
		case err != nil:
			rows[i].State, rows[i].Message = Failed, err.Error()
		case done:
			rows[i].State = Done
		}
		changed = append(changed, rows[i])
	}
	return w.r.setWrites(ctx, plan, changed)
}

// happened asks the forge whether a write was made. It may correct the write:
// what is there already has an id.
func happened(ctx context.Context, g forge.Governor, w *standard.Write, seen map[string]forge.Settings) (bool, error) {
	if w.Grant != nil {
		// One repository's teams cannot be asked for; granting again what
		// was granted changes nothing.
		return false, nil
	}
	if w.Rules != nil && w.Rules.Scope == forge.OrganisationScope {
		survey, err := g.Survey(ctx, forge.SurveyWants{})
		if err != nil {
			return false, err
		}
		return setHappened(survey.Rules, w), nil
	}
	s, ok := seen[w.Repo]
	if !ok {
		var err error
		if s, err = g.Inspect(ctx, w.Repo); err != nil {
			return false, err
		}
		seen[w.Repo] = s
	}
	switch {
	case w.Settings != nil:
		return standard.Satisfies(s, *w.Settings), nil
	case w.Label != nil:
		i := slices.IndexFunc(s.Labels, func(l forge.Label) bool { return strings.EqualFold(l.Name, w.Label.Label.Name) })
		if w.Label.Remove || i < 0 {
			return w.Label.Remove && i < 0, nil
		}
		w.Label.Label.ID = s.Labels[i].ID
		return s.Labels[i] == w.Label.Label, nil
	}
	return setHappened(s.Rules, w), nil
}

func setHappened(sets []forge.Ruleset, w *standard.Write) bool {
	i := slices.IndexFunc(sets, func(r forge.Ruleset) bool { return r.Scope == w.Rules.Scope && r.Name == w.Rules.Name })
	if i < 0 {
		return w.Delete
	}
	w.Rules.ID = sets[i].ID
	return !w.Delete && sets[i].Demands.Equal(w.Rules.Demands) &&
		slices.Equal(sets[i].Include, w.Rules.Include) && slices.Equal(sets[i].Exclude, w.Rules.Exclude)
}
