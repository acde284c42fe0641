package releases

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/notify"
)

// approver is the gate before an environment: it waits for the people that the
// environment's rule asks for, and for the end of a hold. A freeze is the
// deployment's own business (freeze.go): an approval may be given under one.
type approver struct{ r *Releases }

// Start notes that the release waits, and since when. A newer release that is as
// far takes the place of the older ones that still wait.
func (a *approver) Start(ctx context.Context, t run.Task) (string, error) {
	rel, in, err := a.load(ctx, t)
	if err != nil {
		return "", err
	}
	return "waits", a.r.change(ctx, nightporter.Action{Name: "release.wait"}, rel.ID, func(tx *gate.Tx) error {
		n, err := tx.Exec(ctx, `INSERT INTO release_wait (release_id, environment, since, reminded) VALUES (?, ?, ?, 0) ON CONFLICT DO NOTHING`,
			rel.ID, in.Environment, store.Micros(a.r.cfg.Now()))
		if err != nil || n == 0 {
			return err
		}
		if rel.Kind == OfMerge {
			if err := a.r.supersede(ctx, tx, rel); err != nil {
				return err
			}
			if now, err := Get(ctx, tx.Tx, rel.ID); err != nil || now.State.Over() {
				return err
			}
		}
		if !a.rule(rel, in).Needed() {
			return nil
		}
		changes, err := a.r.changes(ctx, tx.Tx, rel, in.Environment)
		if err != nil {
			return err
		}
		tx.Detail("environment", in.Environment)
		tx.Publish(nightporter.AwaitingApproval{
			Release: rel.ID, Service: rel.Service, Environment: in.Environment, Version: rel.Version, Changes: len(changes),
		})
		return set(ctx, tx.Tx, rel.ID, Waiting, "waiting for an approval for "+in.Environment, tx.Now())
	})
}

// supersede ends the older releases of the service that still wait, or this one
// when a newer one waits already.
func (r *Releases) supersede(ctx context.Context, tx *gate.Tx, rel *Release) error {
	older, err := query(ctx, tx.Tx, `WHERE r.service = ? AND r.kind = ? AND r.place < ? AND r.state IN (?, ?, ?)`,
		rel.Service, OfMerge, rel.Place, Waiting, Held, WaitingForArtifact)
	if err != nil {
		return err
	}
	// One that is late itself does not wait for a decision that no longer matters.
	var newer string
	err = tx.QueryRow(ctx, `SELECT version FROM release WHERE service = ? AND kind = ? AND place > ? AND state IN (?, ?) LIMIT 1`,
		rel.Service, OfMerge, rel.Place, Waiting, Held).Scan(&newer)
	if err == nil {
		if err := set(ctx, tx.Tx, rel.ID, Superseded, "by "+newer, tx.Now()); err != nil {
			return err
		}
		return r.cfg.Runs.Cancel(ctx, tx, rel.Run, "superseded by "+newer)
	}
	if !store.IsNotFound(err) {
		return err
	}
	for _, old := range older {
		if err := set(ctx, tx.Tx, old.ID, Superseded, "by "+rel.Version.String(), tx.Now()); err != nil {
			return err
		}
		if err := r.cfg.Runs.Cancel(ctx, tx, old.Run, "superseded by "+rel.Version.String()); err != nil {
			return err
		}
	}
	return nil
}

func (a *approver) load(ctx context.Context, t run.Task) (*Release, stepInput, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return nil, in, err
	}
	rel, _, err := a.r.load(ctx, t)
	return rel, in, err
}

func (a *approver) rule(rel *Release, in stepInput) catalog.Approval {
	return a.r.cfg.Catalog.Current().ApprovalFor(rel.Service, in.Environment)
}

// Observe decides from the rows alone: votes and holds.
func (a *approver) Observe(ctx context.Context, t run.Task, _ string) (run.Observation, error) {
	rel, in, err := a.load(ctx, t)
	if err != nil {
		return run.Observation{}, err
	}
	rule, now := a.rule(rel, in), a.r.cfg.Now()
	var votes []Vote
	var blocked string
	var since time.Time
	reminded := 0
	err = a.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		if votes, err = Votes(ctx, tx, rel.ID, in.Environment); err != nil {
			return err
		}
		if blocked, err = held(ctx, tx, rel.Service); err != nil {
			return err
		}
		var us int64
		err := tx.QueryRow(ctx, `SELECT since, reminded FROM release_wait WHERE release_id = ? AND environment = ?`,
			rel.ID, in.Environment).Scan(&us, &reminded)
		since = store.Time(us)
		return err
	})
	if err != nil {
		return run.Observation{}, err
	}
	approvals := 0
	for _, v := range votes {
		if !v.Approved {
			return run.Observation{State: run.Failed, Message: strings.TrimSuffix("rejected by "+v.Person+": "+v.Comment, ": ")}, nil
		}
		approvals++
	}
	if approvals < rule.Count {
		return a.remind(ctx, rel, in, rule, since, reminded, now)
	}
	if blocked != "" {
		return run.Observation{State: run.Waiting, Message: blocked}, a.r.note(ctx, rel, Held, blocked)
	}
	who := make([]string, 0, len(votes))
	for _, v := range votes {
		who = append(who, v.Person)
	}
	message := "no approval needed"
	if len(who) > 0 {
		message = "approved by " + strings.Join(who, ", ")
	}
	return run.Observation{State: run.Succeeded, Message: message}, nil
}

// remind tells the next on the ladder when it is time, and says when to look
// again. It never gives up: after the last rung it starts over once a day.
func (a *approver) remind(ctx context.Context, rel *Release, in stepInput, rule catalog.Approval, since time.Time, reminded int, now time.Time) (run.Observation, error) {
	o := run.Observation{State: run.Waiting, Message: "waiting for an approval for " + in.Environment}
	if rel.State == Held { // a hold ended while approvals are still missing
		if err := a.r.note(ctx, rel, Waiting, o.Message); err != nil {
			return o, err
		}
	}
	who, at := rung(rule.Remind, since, reminded)
	if who == "" {
		return o, nil
	}
	if wait := at.Sub(now); wait > 0 {
		o.Again = wait
		return o, nil
	}
	err := a.r.tell(ctx, who, notify.Message{
		Key:   fmt.Sprintf("release/%s/%s/remind/%d", rel.ID, in.Environment, reminded),
		Title: fmt.Sprintf("%s %s has waited %s for an approval for %s", rel.Service, rel.Version, now.Sub(since).Round(time.Minute), in.Environment),
		URL:   a.r.cfg.Page(rel.ID), Severity: notify.Action, Service: rel.Service, Environment: in.Environment, At: now,
	})
	if err != nil {
		return o, err
	}
	err = a.r.change(ctx, nightporter.Action{Name: "release.remind"}, rel.ID, func(tx *gate.Tx) error {
		tx.Detail("told", who)
		_, err := tx.Exec(ctx, `UPDATE release_wait SET reminded = ? WHERE release_id = ? AND environment = ?`,
			reminded+1, rel.ID, in.Environment)
		return err
	})
	o.Again = time.Second // the next rung
	return o, err
}

// rung is the reminder after the first n: whom to tell, and when.
func rung(ladder []catalog.Reminder, since time.Time, n int) (who string, at time.Time) {
	if len(ladder) == 0 {
		ladder = []catalog.Reminder{{After: 4 * time.Hour, Who: catalog.Owner}}
	}
	if n < len(ladder) {
		return ladder[n].Who, since.Add(ladder[n].After)
	}
	last := ladder[len(ladder)-1]
	return last.Who, since.Add(last.After + time.Duration(n-len(ladder)+1)*24*time.Hour)
}

// Cancel has nothing to end: a waiting step is only rows.
func (a *approver) Cancel(context.Context, run.Task, string) error { return nil }

// note moves a release's state when it differs.
func (r *Releases) note(ctx context.Context, rel *Release, s State, message string) error {
	if rel.State == s && rel.Message == message {
		return nil
	}
	return r.change(ctx, nightporter.Action{Name: "release.observe"}, rel.ID, func(tx *gate.Tx) error {
		return set(ctx, tx.Tx, rel.ID, s, message, tx.Now())
	})
}

// Vote is one person's word on a release.
type Vote struct {
	Person   string    `json:"person"`
	Approved bool      `json:"approved"`
	Comment  string    `json:"comment,omitempty"`
	At       time.Time `json:"at"`
}

// Votes reads the votes on a release for an environment, oldest first.
func Votes(ctx context.Context, tx *store.Tx, release, environment string) ([]Vote, error) {
	var out []Vote
	err := tx.Each(ctx, `SELECT person, approved, comment, at FROM release_vote WHERE release_id = ? AND environment = ? ORDER BY at`,
		[]any{release, environment}, func(scan func(...any) error) error {
			var v Vote
			var approved, at int64
			if err := scan(&v.Person, &approved, &v.Comment, &at); err != nil {
				return err
			}
			v.Approved, v.At = approved == 1, store.Time(at)
			out = append(out, v)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read the votes on release %s: %w", release, err)
	}
	return out, nil
}

func approvedBy(ctx context.Context, tx *store.Tx, release, environment string) ([]string, error) {
	votes, err := Votes(ctx, tx, release, environment)
	var out []string
	for _, v := range votes {
		if v.Approved {
			out = append(out, v.Person)
		}
	}
	return out, err
}

// Approve is a person's yes to the environment that a release waits for.
// Errors: conflict when it does not wait, or the person has said so already;
// denied when the rule does not name the person; own_change when it may not be
// one of the authors.
func (r *Releases) Approve(ctx context.Context, id, comment string) error {
	return r.OverrideFreeze("").Approve(ctx, id, comment)
}

// Reject is a person's no: the release ends. Whoever may approve may reject,
// authors too.
func (r *Releases) Reject(ctx context.Context, id, comment string) error {
	return r.vote(ctx, id, "reject", comment, Overriding{r: r}, func(_ *gate.Tx, rel *Release, env, person string) error {
		if !slices.Contains(r.cfg.Catalog.Current().Approvers(rel.Service, env), person) {
			return notAnApprover(r.cfg.Catalog.Current(), rel, env, person)
		}
		return nil
	})
}

func (r *Releases) vote(ctx context.Context, id, verb, comment string, o Overriding, allowed func(tx *gate.Tx, rel *Release, env, person string) error) error {
	if len(comment) > 2000 {
		return nightporter.E(nightporter.Invalid, "the comment is longer than 2,000 characters")
	}
	rel, env, step, err := r.waiting(ctx, id)
	if err != nil {
		return err
	}
	action := Act(rel.Service, env, verb)
	return r.change(ctx, action, id, func(tx *gate.Tx) error {
		person := nightporter.ActorFrom(ctx)
		if person.Kind != nightporter.Person {
			return nightporter.E(nightporter.Denied, "only a person can %s a release", verb).
				WithHint("sign in as yourself: nightporter login")
		}
		rel, err := Get(ctx, tx.Tx, id)
		if err != nil {
			return err
		}
		if rel.State != Waiting && rel.State != Held {
			return nightporter.E(nightporter.Conflict, "%s %s does not wait for an approval: it is %s", rel.Service, rel.Version, rel.State)
		}
		tx.Detail("environment", env)
		tx.Detail("version", rel.Version.String())
		tx.Detail("comment", comment)
		frozen := strings.HasPrefix(step, "deploy ")
		// Whoever passes a freeze needs no say in the approval that was given.
		if !frozen || verb == "reject" {
			if err := allowed(tx, rel, env, person.Name); err != nil {
				return err
			}
		}
		if frozen {
			return r.decideFrozen(ctx, tx, rel, env, verb, step, comment, o)
		}
		n, err := tx.Exec(ctx, `INSERT INTO release_vote (release_id, environment, person, approved, comment, at) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT DO NOTHING`, id, env, person.Name, store.Bool(verb == "approve"), comment, store.Micros(tx.Now()))
		if err != nil {
			return err
		}
		if n == 0 {
			return nightporter.E(nightporter.Conflict, "%s has decided on this release already", person.Name)
		}
		if err := o.write(ctx, tx, id, env); err != nil {
			return err
		}
		return r.cfg.Runs.Signal(ctx, tx, rel.Run, step)
	})
}

// waiting finds the environment that a release waits for: for an approval, or for
// the end of a freeze. step is the one that waits.
func (r *Releases) waiting(ctx context.Context, id string) (rel *Release, env, step string, err error) {
	err = r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		if rel, err = Get(ctx, tx, id); err != nil {
			return err
		}
		work, err := run.Get(ctx, tx, rel.Run)
		if err != nil {
			return err
		}
		for _, s := range work.Steps {
			if s.Kind == kindApprove && !s.State.Over() && s.State != run.Pending {
				env, step = strings.TrimPrefix(s.Name, "approve "), s.Name
				return nil
			}
		}
		if i := slices.IndexFunc(work.Steps, blocked); i >= 0 {
			env, step = strings.TrimPrefix(work.Steps[i].Name, "deploy "), work.Steps[i].Name
			return nil
		}
		return nightporter.E(nightporter.Conflict, "%s %s does not wait for an approval: it is %s", rel.Service, rel.Version, rel.State)
	})
	return rel, env, step, err
}

// Act is the action of doing something with a service's release in an
// environment: what policies grant.
func Act(service, env, verb string) nightporter.Action {
	return nightporter.Action{
		Name: "release." + verb, Capability: nightporter.Update, Path: "api/releases/" + service + "/" + env + "/" + verb,
	}
}

// mayApprove applies the environment's rule to one person.
func (r *Releases) mayApprove(ctx context.Context, tx *store.Tx, rel *Release, env, person string) error {
	world := r.cfg.Catalog.Current()
	if !slices.Contains(world.Approvers(rel.Service, env), person) {
		return notAnApprover(world, rel, env, person)
	}
	rule := world.ApprovalFor(rel.Service, env).Author
	if rule == catalog.Allow {
		return nil
	}
	p, _ := world.PersonByUserName(person)
	login := p.Logins[rel.Repo.Forge]
	if login == "" {
		return nightporter.E(nightporter.Denied, "nobody can tell which changes are %s's: no login at %s is known", person, rel.Repo.Forge).
			WithHint("add it under people in nightporter.yaml")
	}
	changes, err := r.changes(ctx, tx, rel, env)
	if err != nil {
		return err
	}
	for _, m := range changes {
		if !containsFold(m.Authors, login) {
			continue
		}
		what := fmt.Sprintf("#%d %s", m.PullRequest, m.Title)
		if rule == catalog.Refuse {
			return nightporter.E(nightporter.OwnChange, "%s is an author of %s, and %s asks for somebody else", person, what, env)
		}
		if !slices.ContainsFunc(m.Reviewers, func(l string) bool { return !containsFold(m.Authors, l) }) {
			return nightporter.E(nightporter.OwnChange, "%s wrote %s, which nobody else reviewed", person, what).
				WithHint("ask somebody else to approve, or to review it")
		}
	}
	return nil
}

func notAnApprover(world *catalog.World, rel *Release, env, person string) error {
	return nightporter.E(nightporter.Denied, "%s may not decide on releases of %s for %s", person, rel.Service, env).
		WithHint("ask one of: %s", strings.Join(world.Approvers(rel.Service, env), ", "))
}

func containsFold(list []string, s string) bool {
	return slices.ContainsFunc(list, func(l string) bool { return strings.EqualFold(l, s) })
}

// changes are the merges that a release would bring to an environment.
func (r *Releases) changes(ctx context.Context, tx *store.Tx, rel *Release, env string) ([]nightporter.Merged, error) {
	p, err := PlacementOf(ctx, tx, rel.Service, env)
	if err != nil {
		return nil, err
	}
	after := int64(0)
	if p != nil {
		after = p.Place
	}
	return Merges(ctx, tx, rel.Repo, after, rel.Place)
}
