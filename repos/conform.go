package repos

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// hint is how soon after a webhook the settings are looked at again: a person who
// changes one thing often changes the next.
const hint = time.Minute

// rowsPerChange keeps transactions short.
const rowsPerChange = 200

// governor finds a forge that can be set up. Name may be "" when there is one.
func (r *Repos) governor(name string) (string, forge.Governor, error) {
	return governorOf(r.cfg.Forges, name)
}

func governorOf[F any](forges map[string]F, name string) (string, forge.Governor, error) {
	if name == "" {
		if len(forges) != 1 {
			return "", nil, nightporter.E(nightporter.Invalid, "say which forge: there are %d", len(forges))
		}
		for only := range forges {
			name = only
		}
	}
	f, ok := forges[name]
	if !ok {
		return "", nil, nightporter.E(nightporter.NotFound, "no forge is called %q", name)
	}
	g, ok := any(f).(forge.Governor)
	if !ok {
		return "", nil, &forge.NotOfferedError{What: "setting up repositories"}
	}
	return name, g, nil
}

// rules reads the standard of a forge.
func (r *Repos) rules(name string) (*standard.Standard, error) {
	if r.cfg.Standard == nil {
		return nil, nightporter.E(nightporter.Invalid, "there is no standard").WithHint("write repos.standard, or begin with: nightporter repo adopt")
	}
	return rulesOf(r.cfg.Standard(), r.cfg.Catalog.Current(), name, r.cfg.Apps[name], r.cfg.PlaceOf)
}

func rulesOf(cfg config.Repos, world *catalog.World, name string, app int64, placeOf func(string) string) (*standard.Standard, error) {
	return standard.New(cfg, standard.World{
		Forge: name, App: app, PlaceOf: placeOf,
		OwnersOf: func(repo string) (owners []string) {
			for _, s := range world.ServicesOf(nightporter.Repo{Forge: name, Name: repo}) {
				owners = append(owners, s.Owner)
			}
			return owners
		},
		SlugOf: func(team string) string {
			if t, ok := world.Team(team); ok && t.ForgeTeam.Forge == name {
				return t.ForgeTeam.Name
			}
			return team
		},
	})
}

// compare surveys a forge and compares it with the standard. It keeps nothing.
func (r *Repos) compare(ctx context.Context, name, only string) (*standard.Plan, error) {
	l, err := r.look(ctx, name)
	if err != nil {
		return nil, err
	}
	return l.plan(only, nil)
}

// Plan surveys a forge, compares it with the standard and keeps the plan. Only is
// a rule or a repository, or "" for all. A survey that is not whole is an error:
// nothing is planned from half of the truth. The caller has asked the policy.
func (r *Repos) Plan(ctx context.Context, forgeName, only string) (*standard.Plan, error) {
	p, err := r.compare(ctx, forgeName, only)
	if err != nil {
		return nil, err
	}
	if only == "" {
		if err := r.observe(ctx, p); err != nil {
			return nil, err
		}
	}
	return p, r.keep(ctx, p, only)
}

// plansKept is how many plans stay, beside those that are being applied.
const plansKept = 50

// keep writes a plan: its parts first, and the head, which makes it one, last.
func (r *Repos) keep(ctx context.Context, p *standard.Plan, only string) error {
	if err := r.cfg.Gate.Keep(ctx, "repo.plan.id", func(*store.Tx) error {
		r.lastID = max(r.lastID+1, p.MadeAt.UnixMicro())
		p.ID = fmt.Sprintf("plan_%014x", r.lastID)
		return nil
	}); err != nil {
		return err
	}
	type row struct {
		query string
		args  []any
	}
	var rows []row
	for _, repo := range p.Repos {
		body, err := json.Marshal(repo)
		if err != nil {
			return fmt.Errorf("encode the plan of %s: %w", repo.Repo, err)
		}
		rows = append(rows, row{`INSERT INTO repo_plan_repo (plan, repo, body) VALUES (?, ?, ?)`, []any{p.ID, repo.Repo, string(body)}})
	}
	for i := range p.Writes {
		p.Writes[i].N = i + 1
		body, err := json.Marshal(p.Writes[i])
		if err != nil {
			return fmt.Errorf("encode a write of %s: %w", p.Writes[i].Repo, err)
		}
		rows = append(rows, row{
			`INSERT INTO repo_plan_write (plan, n, body, state, message) VALUES (?, ?, ?, ?, '')`,
			[]any{p.ID, i + 1, string(body), Pending},
		})
	}
	for batch := range slices.Chunk(rows, rowsPerChange) {
		err := r.cfg.Gate.Keep(ctx, "repo.plan.rows", func(tx *store.Tx) error {
			for _, row := range batch {
				if _, err := tx.Exec(ctx, row.query, row.args...); err != nil {
					return fmt.Errorf("keep a plan: %w", err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	head := *p
	head.Repos, head.Writes = nil, nil
	body, err := json.Marshal(head)
	if err != nil {
		return fmt.Errorf("encode a plan: %w", err)
	}
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", nightporter.ActorFrom(ctx).Cause()))
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.plan"}, nightporter.Resource{Kind: "plan", ID: p.ID}, func(tx *gate.Tx) error {
		tx.Detail("forge", p.Forge)
		tx.Detail("writes", len(p.Writes))
		tx.Detail("requests", p.Survey.Requests)
		if _, err := tx.Exec(ctx, `INSERT INTO repo_plan (id, forge, made_at, only_for, head, run_id) VALUES (?, ?, ?, ?, ?, '')`,
			p.ID, p.Forge, store.Micros(p.MadeAt), only, string(body)); err != nil {
			return err
		}
		return forgetPlans(ctx, tx)
	})
}

// forgetPlans removes what was planned long ago and never applied. What was
// applied stays: it holds the way back.
func forgetPlans(ctx context.Context, tx *gate.Tx) error {
	var old []string
	err := tx.Each(ctx, `SELECT id FROM repo_plan WHERE run_id = '' ORDER BY made_at DESC LIMIT 3 OFFSET ?`, []any{plansKept}, func(scan func(...any) error) error {
		var id string
		err := scan(&id)
		old = append(old, id)
		return err
	})
	for _, id := range old {
		for _, query := range []string{
			`DELETE FROM repo_plan_repo WHERE plan = ?`, `DELETE FROM repo_plan_write WHERE plan = ?`, `DELETE FROM repo_plan WHERE id = ?`,
		} {
			if _, err := tx.Exec(ctx, query, id); err != nil {
				return err
			}
		}
	}
	return err
}

// Keep the matrix: repositories by rules, as they were last seen.

// seenRule is one rule of one repository as it was kept.
type seenRule struct {
	cell  standard.Cell
	since time.Time
	okAt  time.Time
}

func (r *Repos) seenRules(ctx context.Context, forgeName string) (map[string]seenRule, error) {
	seen := map[string]seenRule{}
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT repo, rule, body, since, ok_at FROM repo_rule WHERE repo LIKE ?`, []any{forgeName + "/%"}, func(scan func(...any) error) error {
			var repo, rule, body string
			var since, okAt int64
			if err := scan(&repo, &rule, &body, &since, &okAt); err != nil {
				return err
			}
			s := seenRule{since: store.Time(since), okAt: store.Time(okAt)}
			if err := json.Unmarshal([]byte(body), &s.cell); err != nil {
				return fmt.Errorf("read rule %s of %s: %w", rule, repo, err)
			}
			seen[repo+" "+rule] = s
			return nil
		})
	})
	return seen, err
}

// change is a rule that is not as it was.
type change struct {
	repo  string
	cell  standard.Cell
	was   standard.State
	since time.Time
	okAt  time.Time
}

// observe keeps what a whole look saw, and tells of what drifted. Rules of
// repositories that are gone go too.
func (r *Repos) observe(ctx context.Context, p *standard.Plan) error {
	seen, err := r.seenRules(ctx, p.Forge)
	if err != nil {
		return err
	}
	var changes []change
	for i := range p.Repos {
		repo := p.Forge + "/" + p.Repos[i].Repo
		for j := range p.Repos[i].Cells {
			c := &p.Repos[i].Cells[j]
			key := repo + " " + string(c.Rule)
			old, known := seen[key]
			delete(seen, key)
			next := change{repo: repo, cell: *c, was: old.cell.State, since: old.since, okAt: old.okAt}
			if c.State == standard.OK {
				next.okAt = p.MadeAt
			}
			if !known || old.cell.State != c.State {
				next.since = p.MadeAt
			} else if c.State == standard.Drift && c.Who == "" {
				c.Who, c.WhoAt = old.cell.Who, old.cell.WhoAt
			}
			c.Since = next.since
			next.cell = *c
			// A rule that stays as it should is noted once a day, so that
			// "held on that day" can be said, and nothing else is written.
			if known && c.State == standard.OK && old.cell.State == c.State && p.MadeAt.Sub(old.okAt) < time.Hour/2 {
				continue
			}
			if known && c.State != standard.OK && *c == old.cell {
				continue
			}
			changes = append(changes, next)
		}
	}
	for batch := range slices.Chunk(changes, rowsPerChange) {
		if err := r.noteRules(ctx, p, batch); err != nil {
			return err
		}
	}
	var gone []string
	for key := range seen {
		gone = append(gone, key)
	}
	for batch := range slices.Chunk(gone, rowsPerChange) {
		err := r.cfg.Gate.Keep(ctx, "repo.rules.gone", func(tx *store.Tx) error {
			for _, key := range batch {
				repo, rule, _ := strings.Cut(key, " ")
				if _, err := tx.Exec(ctx, `DELETE FROM repo_rule WHERE repo = ? AND rule = ?`, repo, rule); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return r.noteLook(ctx, p.Forge, p.Survey, nil)
}

func (r *Repos) noteRules(ctx context.Context, p *standard.Plan, batch []change) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", nightporter.ActorFrom(ctx).Cause()))
	write := func(tx *store.Tx) error {
		for _, c := range batch {
			body, err := json.Marshal(c.cell)
			if err != nil {
				return fmt.Errorf("encode rule %s of %s: %w", c.cell.Rule, c.repo, err)
			}
			if _, err := tx.Exec(ctx, `INSERT INTO repo_rule (repo, rule, state, body, since, ok_at) VALUES (?, ?, ?, ?, ?, ?)
				ON CONFLICT (repo, rule) DO UPDATE SET state = excluded.state, body = excluded.body, since = excluded.since, ok_at = excluded.ok_at`,
				c.repo, string(c.cell.Rule), string(c.cell.State), string(body), store.Micros(c.since), store.Micros(c.okAt)); err != nil {
				return err
			}
			if c.was == c.cell.State {
				continue
			}
			if _, err := tx.Exec(ctx, `INSERT INTO repo_rule_log (repo, rule, at, state, was, have, who) VALUES (?, ?, ?, ?, ?, ?, ?)`,
				c.repo, string(c.cell.Rule), store.Micros(p.MadeAt), string(c.cell.State), string(c.was), c.cell.Have, c.cell.Who); err != nil {
				return err
			}
		}
		return nil
	}
	var drifted []nightporter.Event
	for _, c := range batch {
		// What differed when it was first seen did not drift.
		if c.was == standard.OK && c.cell.State == standard.Drift {
			repo, err := nightporter.ParseRepo(c.repo)
			if err != nil {
				return err
			}
			drifted = append(drifted, Drifted{Repo: repo, Rule: string(c.cell.Rule), Have: c.cell.Have, Want: c.cell.Want, Who: c.cell.Who, At: p.MadeAt})
		}
	}
	if len(drifted) == 0 {
		return r.cfg.Gate.Keep(ctx, "repo.rules", write)
	}
	return r.cfg.Gate.Do(ctx, nightporter.Action{Name: "repo.drift"}, nightporter.Resource{Kind: "forge", ID: p.Forge}, func(tx *gate.Tx) error {
		tx.Detail("drifted", len(drifted))
		tx.Publish(drifted...)
		return write(tx.Tx)
	})
}

// noteLook keeps when the settings of a forge were last seen.
func (r *Repos) noteLook(ctx context.Context, name string, cost forge.Cost, failure error) error {
	return r.cfg.Gate.Keep(ctx, "repo.conform", func(tx *store.Tx) error {
		at, message := store.Micros(r.cfg.Now()), nightporter.MessageOf(failure)
		if failure != nil {
			at = 0
		}
		_, err := tx.Exec(ctx, `INSERT INTO repo_conform (forge, looked_at, error, requests, points) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (forge) DO UPDATE SET error = excluded.error, requests = excluded.requests, points = excluded.points,
			looked_at = CASE WHEN excluded.looked_at > 0 THEN excluded.looked_at ELSE repo_conform.looked_at END`,
			name, at, message, cost.Requests, cost.Points)
		return err
	})
}

// Drifted: a rule held in a repository and does not any more.
type Drifted struct {
	Repo nightporter.Repo `json:"repo"`
	Rule string           `json:"rule"`
	Have string           `json:"have"`
	Want string           `json:"want"`
	// Who is known to have changed it, a forge login; "" when nobody is.
	Who string    `json:"who,omitempty"`
	At  time.Time `json:"at"`
}

// EventName implements [nightporter.Event].
func (Drifted) EventName() string { return "RepoDrifted" }

// EventSubject implements [nightporter.Event].
func (e Drifted) EventSubject() nightporter.Resource {
	return nightporter.Resource{Kind: "repo", ID: e.Repo.String()}
}

// keepConforming looks at the settings every hour, and soon after a webhook that
// tells of a change.
func (r *Repos) keepConforming(ctx context.Context) {
	next := map[string]time.Time{}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Now()
		for name := range r.cfg.Forges {
			if r.wasTouched(name) {
				next[name] = now
			}
			if now.Before(next[name]) {
				continue
			}
			next[name] = now.Add(r.cfg.ConformEvery)
			r.Conform(ctx, name)
		}
		timer.Reset(min(hint, r.cfg.ConformEvery))
	}
}

// Conform looks at the settings of a forge, and puts right what the configuration
// says to enforce. What fails is noted and shown.
func (r *Repos) Conform(ctx context.Context, name string) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("repos", ""))
	if _, _, err := r.governor(name); err != nil {
		return
	}
	rules, err := r.rules(name)
	if err == nil && rules.Empty() {
		return
	}
	var seen *look
	if err == nil {
		seen, err = r.look(ctx, name)
	}
	var p, right *standard.Plan
	if err == nil {
		p, err = seen.plan("", nil)
	}
	if err == nil {
		err = r.observe(ctx, p)
	}
	only, any := r.enforced()
	if err == nil && any && r.cfg.Runs != nil {
		right, err = seen.plan("", only)
	}
	if err == nil && right != nil && len(right.Writes) > 0 {
		if err = r.keep(ctx, right, ""); err == nil {
			_, err = r.Apply(ctx, right.ID)
		}
		if nightporter.CodeOf(err) == nightporter.Conflict {
			err = nil // an apply is under way
		}
	}
	if err != nil && ctx.Err() == nil {
		r.cfg.Log.WarnContext(ctx, "look at how repositories are set up", "forge", name, "error", err)
		if err := r.noteLook(ctx, name, forge.Cost{}, err); err != nil {
			r.cfg.Log.ErrorContext(ctx, "note a look", "forge", name, "error", err)
		}
	}
}
