package releases

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
)

// What a service does that was healthy when it was deployed, as a [Cell] says it.
const (
	// Down: nothing of it is alive. It is being started again.
	Down = "down"
	// Unwell: it is alive and does not answer as it should. It is left alone:
	// what it waits for may come back, and a start would not bring it.
	Unwell = "unhealthy"
	// Unknown: nobody could look at it for a while.
	Unknown = "unknown"
)

const (
	// defaultWatch is how often what runs is looked at.
	defaultWatch = 15 * time.Second
	// missedLooks is after how many looks that did not succeed the last one no
	// longer says anything about now.
	missedLooks = 8
	// badLooks is how often in a row a live service must answer badly before it
	// counts: one slow answer is not an outage.
	badLooks = 2
	// atOnce is how many services are looked at together.
	atOnce = 4
	// calm is after how long of good health its earlier deaths no longer delay a
	// service's next start.
	calm = 10 * time.Minute
)

// place is a service in an environment.
type place struct{ service, environment string }

// watch is what the looks after deployment remember. It is lost with the process:
// the first round of looks brings it back.
type watch struct {
	mu   sync.Mutex
	seen map[place]sight
}

// sight is the last look at a place.
type sight struct {
	commit   string
	state    string // healthy, Down or Unwell
	message  string
	bad      int // looks in a row that were not good
	evidence nightporter.Evidence
}

func (w *watch) at(p place) sight {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.seen[p]
}

func (w *watch) note(p place, s sight) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.seen == nil {
		w.seen = map[place]sight{}
	}
	w.seen[p] = s
}

// life is what is committed of a service that does not do what it should.
type life struct {
	state   string // Down, Unwell, or "" for one that was down and is back
	message string
	deaths  int // since it was last calm
	run     string
	at      time.Time // of the last change
	retryAt time.Time // when it may be started again
}

func lifeOf(ctx context.Context, tx *store.Tx, p place) (*life, error) {
	var l life
	var at, retry int64
	err := tx.QueryRow(ctx, `SELECT state, message, deaths, run_id, at, retry_at FROM release_life WHERE service = ? AND environment = ?`,
		p.service, p.environment).Scan(&l.state, &l.message, &l.deaths, &l.run, &at, &retry)
	if store.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read how %s does in %s: %w", p.service, p.environment, err)
	}
	l.at, l.retryAt = store.Time(at), store.Time(retry)
	return &l, nil
}

func setLife(ctx context.Context, tx *store.Tx, p place, l life) error {
	_, err := tx.Exec(ctx, `INSERT INTO release_life (service, environment, state, message, deaths, run_id, at, retry_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (service, environment) DO UPDATE SET state = excluded.state, message = excluded.message, deaths = excluded.deaths,
		run_id = excluded.run_id, at = excluded.at, retry_at = excluded.retry_at`,
		p.service, p.environment, l.state, l.message, l.deaths, l.run, store.Micros(l.at), store.Micros(l.retryAt))
	if err != nil {
		return fmt.Errorf("write how %s does in %s: %w", p.service, p.environment, err)
	}
	return nil
}

// forgetLife is for whoever just saw a new instance take over.
func forgetLife(ctx context.Context, tx *store.Tx, service, environment string) error {
	_, err := tx.Exec(ctx, `DELETE FROM release_life WHERE service = ? AND environment = ?`, service, environment)
	return err
}

// Run looks at everything that runs, again and again, until ctx ends.
func (r *Releases) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			if err := r.LookAtAll(ctx); err != nil && ctx.Err() == nil {
				r.cfg.Log.WarnContext(ctx, "look at what runs", "error", err)
			}
			timer.Reset(r.cfg.WatchEvery)
		}
	}
}

// LookAtAll looks at what every environment should run, and starts again what has
// died. It goes by what is there, not by what changed: a death while nobody looked
// is found by the next look. What a run works on is left to that run.
func (r *Releases) LookAtAll(ctx context.Context) error {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("releases", ""))
	var all []Placement
	busy := map[string]bool{}
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		if all, err = placements(ctx, tx, `WHERE asleep = 0 ORDER BY service, environment`); err != nil {
			return err
		}
		busy, err = run.Held(ctx, tx)
		return err
	})
	if err != nil {
		return err
	}
	world := r.cfg.Catalog.Current()
	var wg sync.WaitGroup
	slots := make(chan struct{}, atOnce)
	for _, p := range all {
		if _, known := world.Service(p.Service); !known || busy["service/"+p.Service+"@"+p.Environment] || busy["environment/"+p.Environment] {
			continue
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := r.lookAt(ctx, p); err != nil && ctx.Err() == nil {
				r.cfg.Log.WarnContext(ctx, "look at a service", "service", p.Service, "environment", p.Environment, "error", err)
			}
		})
	}
	wg.Wait()
	return nil
}

// lookAt looks at one place, and commits what changed.
func (r *Releases) lookAt(ctx context.Context, p Placement) error {
	d, err := r.deployerOf(ctx, p.Release)
	if err != nil {
		return err
	}
	now, err := r.sight(ctx, d, p)
	if err != nil {
		return err // nothing was seen: the last look grows old
	}
	at := place{p.Service, p.Environment}
	before := r.watch.at(at)
	if now.state != "healthy" {
		now.bad = 1
		if before.commit == now.commit && before.state != "healthy" {
			now.bad = before.bad + 1
		}
	}
	r.watch.note(at, now)
	var known *life
	if err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		known, err = lifeOf(ctx, tx, at)
		return err
	}); err != nil {
		return err
	}
	switch {
	case now.state == "healthy" && known == nil, now.state == Unwell && now.bad < badLooks:
		return nil
	case now.state == Unwell && known != nil && known.state != "":
		return nil // said already
	case now.state == "healthy" && known.state == "" && time.Since(known.at) < calm:
		return nil // its deaths still count
	case now.state == Down && known != nil && known.state == Down && time.Now().Before(known.retryAt):
		return nil
	}
	return r.settleLife(ctx, p, now)
}

// sight asks the far end about a placement.
func (r *Releases) sight(ctx context.Context, d deploy.Deployer, p Placement) (sight, error) {
	instances, err := d.Running(ctx, p.Service, p.Environment)
	if err != nil {
		return sight{}, err
	}
	s := sight{commit: p.Commit, state: Down, message: "nothing of it runs", evidence: nightporter.Evidence{ObservedAt: time.Now().UTC(), Source: "what " + p.Environment + " runs of " + p.Service}}
	serving, ok := deploy.Find(instances, deploy.Serving)
	if !ok {
		return s, nil
	}
	o, err := d.Observe(ctx, serving.Token)
	if err != nil {
		return sight{}, err
	}
	s.evidence, s.message = o.Evidence, o.Message
	switch {
	case o.State == deploy.Healthy:
		s.state = "healthy"
	case o.State == deploy.Gone, serving.State == deploy.Gone:
		s.message = cmp.Or(o.Message, "it has ended")
	default:
		s.state = Unwell
	}
	return s, nil
}

// settleLife commits what a look found, unless a run has begun to work on the
// place meanwhile. Whoever owns the service is told by the event.
func (r *Releases) settleLife(ctx context.Context, p Placement, s sight) error {
	at := place{p.Service, p.Environment}
	return r.change(ctx, nightporter.Action{Name: "service.look"}, p.Release, func(tx *gate.Tx) error {
		busy, err := run.Held(ctx, tx.Tx)
		if err != nil || busy["service/"+p.Service+"@"+p.Environment] || busy["environment/"+p.Environment] {
			return err
		}
		now, err := PlacementOf(ctx, tx.Tx, p.Service, p.Environment)
		if err != nil || now == nil || now.Asleep || now.Release != p.Release || !now.Since.Equal(p.Since) {
			return err
		}
		l, err := lifeOf(ctx, tx.Tx, at)
		if err != nil {
			return err
		}
		tx.Detail("service", p.Service)
		tx.Detail("environment", p.Environment)
		tx.Detail("state", s.state)
		tx.Detail("seen", s.message)
		if s.state == "healthy" {
			return r.well(ctx, tx, p, l, s)
		}
		next := life{state: s.state, message: s.message, at: tx.Now()}
		first := l == nil || l.state == ""
		if l != nil {
			next.deaths, next.run, next.retryAt = l.deaths, l.run, l.retryAt
		}
		if s.state == Down {
			if over, err := runOver(ctx, tx.Tx, next.run); err != nil || !over {
				return err
			}
			// One that died again soon after it came back waits for its turn.
			if !tx.Now().Before(next.retryAt) {
				next.deaths++
				next.retryAt = tx.Now().Add(pauseAfter(next.deaths))
				if next.run, err = r.revive(ctx, tx, p); err != nil {
					return err
				}
				tx.Detail("run", next.run)
			}
		}
		if err := setLife(ctx, tx.Tx, at, next); err != nil {
			return err
		}
		if first {
			tx.Publish(nightporter.ServiceDown{
				Release: p.Release, Service: p.Service, Environment: p.Environment, Version: p.Version, Commit: p.Commit,
				Reason: s.message, Alive: s.state == Unwell, At: tx.Now(), Evidence: s.evidence,
			})
		}
		return nil
	})
}

// well notes that a service that was not well is, or that it has been for long
// enough to forget how often it died.
func (r *Releases) well(ctx context.Context, tx *gate.Tx, p Placement, l *life, s sight) error {
	if l == nil {
		return nil
	}
	if err := forgetLife(ctx, tx.Tx, p.Service, p.Environment); err != nil {
		return err
	}
	if l.state != "" {
		tx.Publish(r.up(p, s.evidence, tx.Now()))
	}
	return nil
}

func (r *Releases) up(p Placement, e nightporter.Evidence, now time.Time) nightporter.ServiceUp {
	return nightporter.ServiceUp{
		Release: p.Release, Service: p.Service, Environment: p.Environment, Version: p.Version, Commit: p.Commit, At: now, Evidence: e,
	}
}

// pauseAfter is how long after its n-th death a service is started again at the
// earliest: at once, then after half a minute, and never more than 15 minutes.
func pauseAfter(deaths int) time.Duration {
	return min(15*time.Minute, 15*time.Second<<min(deaths, 10))
}

func runOver(ctx context.Context, tx *store.Tx, id string) (bool, error) {
	if id == "" {
		return true, nil
	}
	work, err := run.Get(ctx, tx, id)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return true, nil
	}
	return err == nil && work.State.Over(), err
}

// revive starts a run that starts a service again. Its hold keeps it apart from
// deployments.
func (r *Releases) revive(ctx context.Context, tx *gate.Tx, p Placement) (string, error) {
	rel, err := Get(ctx, tx.Tx, p.Release)
	if err != nil {
		return "", err
	}
	return r.cfg.Runs.Start(ctx, tx, run.Spec{
		Kind: revivalKind, Subject: nightporter.Resource{Kind: "release", ID: p.Release},
		Steps: []run.StepSpec{{
			Name: "start " + p.Environment, Kind: kindRevive, Input: stepInput{Release: p.Release, Environment: p.Environment},
			Holds: holds(p.Service, p.Environment), Within: rel.frozen.within(), Attempts: 3,
		}},
	})
}

// reviver brings back what has died, from the same bytes: a deployment of what the
// environment should run already.
type reviver struct{ deployer }

// nothingToken marks a start that was not needed.
const nothingToken = "nothing"

func (v *reviver) Start(ctx context.Context, t run.Task) (string, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return "", err
	}
	rel, err := v.subject(ctx, t)
	if err != nil {
		return "", err
	}
	var p *Placement
	if err := v.r.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		p, err = PlacementOf(ctx, tx, rel.Service, in.Environment)
		return err
	}); err != nil {
		return "", err
	}
	if p == nil || p.Asleep || p.Release != rel.ID {
		return nothingToken, nil // something else should run there by now, or nothing
	}
	d, err := v.r.deployer(rel.frozen.Kind)
	if err != nil {
		return "", err
	}
	instances, err := d.Running(ctx, rel.Service, in.Environment)
	if err != nil {
		return "", err
	}
	if serving, ok := deploy.Find(instances, deploy.Serving); ok && serving.State != deploy.Gone {
		return nothingToken, nil
	}
	token, err := d.Start(ctx, v.r.request(rel, in.Environment, key(t)))
	return string(token), err
}

func (v *reviver) Observe(ctx context.Context, t run.Task, token string) (run.Observation, error) {
	if token == nothingToken {
		return run.Observation{State: run.Succeeded, Message: "nothing to start"}, nil
	}
	return v.deployer.Observe(ctx, t, token)
}

func (v *reviver) Cancel(ctx context.Context, t run.Task, token string) error {
	if token == nothingToken {
		return nil
	}
	return v.deployer.Cancel(ctx, t, token)
}

// revived notes what came of a start.
func (r *Releases) revived(ctx context.Context, c *run.Change, s *run.Step) error {
	var in stepInput
	var out deployed
	if err := decodeStep(s, &in, &out); err != nil {
		return err
	}
	rel, err := Get(ctx, c.Tx.Tx, in.Release)
	if err != nil {
		return err
	}
	at := place{rel.Service, in.Environment}
	l, err := lifeOf(ctx, c.Tx.Tx, at)
	if err != nil || l == nil {
		return err
	}
	l.at = c.Now()
	if s.State != run.Succeeded {
		l.message = fmt.Sprintf("it could not be started again: %s", s.Message)
		l.retryAt = c.Now().Add(pauseAfter(l.deaths))
		return setLife(ctx, c.Tx.Tx, at, *l)
	}
	if out.Evidence.Source == "" {
		return nil // nothing was started: the next look says how it does
	}
	l.state, l.message = "", ""
	if err := setLife(ctx, c.Tx.Tx, at, *l); err != nil {
		return err
	}
	p, err := PlacementOf(ctx, c.Tx.Tx, rel.Service, in.Environment)
	if err != nil || p == nil {
		return err
	}
	if _, err := c.Exec(ctx, `UPDATE release_placement SET address = ?, observed_at = ?, source = ? WHERE service = ? AND environment = ? AND release_id = ?`,
		out.Address, store.Micros(out.Evidence.ObservedAt), out.Evidence.Source, rel.Service, in.Environment, rel.ID); err != nil {
		return fmt.Errorf("write what %s runs of %s: %w", in.Environment, rel.Service, err)
	}
	c.Publish(r.up(*p, out.Evidence, c.Now()))
	return nil
}

// Seen returns rows with what the last looks at the services showed: newer
// evidence, and "unknown" for what nobody could look at for a while. It changes no
// row of the argument, which may be shared.
func (r *Releases) Seen(rows []Row) []Row {
	now := time.Now()
	out := make([]Row, len(rows))
	for i, row := range rows {
		row.Environments = maps.Clone(row.Environments)
		for env, cell := range row.Environments {
			if cell.Evidence == nil || cell.State == "asleep" {
				continue
			}
			if s := r.watch.at(place{row.Service, env}); s.commit == cell.Commit && s.evidence.ObservedAt.After(cell.Evidence.ObservedAt) {
				cell.Evidence = &s.evidence
			}
			if (cell.State == "healthy" || cell.State == Unwell) && now.Sub(cell.Evidence.ObservedAt) > missedLooks*r.cfg.WatchEvery {
				cell.State = Unknown
			}
			row.Environments[env] = cell
		}
		out[i] = row
	}
	return out
}

// lives adds what does not do what it should to the board.
func (b *board) lives(ctx context.Context, tx *store.Tx) error {
	return tx.Each(ctx, `SELECT service, environment, state, message, at FROM release_life WHERE state <> ''`, nil, func(scan func(...any) error) error {
		var service, env, state, message string
		var at int64
		if err := scan(&service, &env, &state, &message, &at); err != nil {
			return err
		}
		row := b.rows[service]
		if row == nil {
			return nil
		}
		if cell, ok := row.Environments[env]; ok && cell.State == "healthy" {
			cell.State, cell.Message, cell.Since = state, message, store.Time(at)
			row.Environments[env] = cell
		}
		return nil
	})
}
