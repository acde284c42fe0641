package environments

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/store"
)

// State is what an environment is, as it was last observed.
type State string

// The states of an environment.
const (
	Unknown   State = "unknown"   // nobody looked yet
	Up        State = "up"        // everything was seen good
	Closing   State = "closing"   // being torn down
	Down      State = "down"      // the far end has nothing of it
	Building  State = "building"  // being built
	Verifying State = "verifying" // built; services come back and are probed
	Partial   State = "partial"   // a run did not get to its end
)

// row is what is kept of an environment. Times in it are the schedules' clock's,
// except observed_at and not_before, which are real.
type row struct {
	Name        string
	State       State
	Message     string
	Since       time.Time
	ObservedAt  time.Time
	Run         string    // the active one, or ""
	Turned      bool      // the active run lets the rest of its work be
	Commit      string    // what runs
	GoodCommit  string    // what last came up well
	Failures    int       // of runs in a row
	NotBefore   time.Time // no run by itself before
	Rehearsed   time.Time // when the first night showed what it would do
	SparedUntil time.Time // the night that it showed ends
	EarlyUntil  time.Time // the edge that a rebuild was started early for
	NudgedFor   time.Time // the dusk that people were told of
}

const rowColumns = `name, state, message, since, observed_at, run_id, turned, commit_id, good_commit, failures, not_before,
	rehearsed, spared_until, early_until, nudged_for`

// read reads an environment's row; the zero row, unknown, when there is none.
func read(ctx context.Context, tx *store.Tx, name string) (row, error) {
	r := row{Name: name, State: Unknown}
	err := scanRow(tx.QueryRow(ctx, `SELECT `+rowColumns+` FROM environment WHERE name = ?`, name).Scan, &r)
	if store.IsNotFound(err) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("read environment %s: %w", name, err)
	}
	return r, nil
}

// readAll reads every row, by name.
func readAll(ctx context.Context, tx *store.Tx) (map[string]row, error) {
	all := map[string]row{}
	err := tx.Each(ctx, `SELECT `+rowColumns+` FROM environment`, nil, func(scan func(...any) error) error {
		var r row
		err := scanRow(scan, &r)
		all[r.Name] = r
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read environments: %w", err)
	}
	return all, nil
}

func scanRow(scan func(...any) error, r *row) error {
	var since, observed, turned, notBefore, rehearsed, spared, early, nudged int64
	err := scan(&r.Name, &r.State, &r.Message, &since, &observed, &r.Run, &turned, &r.Commit, &r.GoodCommit, &r.Failures, &notBefore,
		&rehearsed, &spared, &early, &nudged)
	r.Since, r.ObservedAt, r.Turned, r.NotBefore = store.Time(since), store.Time(observed), turned != 0, store.Time(notBefore)
	r.Rehearsed, r.SparedUntil, r.EarlyUntil, r.NudgedFor = store.Time(rehearsed), store.Time(spared), store.Time(early), store.Time(nudged)
	return err
}

func write(ctx context.Context, tx *store.Tx, r row) error {
	_, err := tx.Exec(ctx, `INSERT INTO environment (`+rowColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (name) DO UPDATE SET state = excluded.state, message = excluded.message, since = excluded.since,
		observed_at = excluded.observed_at, run_id = excluded.run_id, turned = excluded.turned, commit_id = excluded.commit_id,
		good_commit = excluded.good_commit, failures = excluded.failures, not_before = excluded.not_before, rehearsed = excluded.rehearsed,
		spared_until = excluded.spared_until, early_until = excluded.early_until, nudged_for = excluded.nudged_for`,
		r.Name, r.State, r.Message, store.Micros(r.Since), store.Micros(r.ObservedAt), r.Run, store.Bool(r.Turned), r.Commit, r.GoodCommit,
		r.Failures, store.Micros(r.NotBefore), store.Micros(r.Rehearsed), store.Micros(r.SparedUntil), store.Micros(r.EarlyUntil), store.Micros(r.NudgedFor))
	if err != nil {
		return fmt.Errorf("write environment %s: %w", r.Name, err)
	}
	return nil
}

// becomes moves an environment to a state at a time of the schedules' clock.
func (r *row) becomes(s State, message string, now time.Time) {
	if r.State != s {
		r.Since = now
	}
	r.State, r.Message = s, message
}

// Override is somebody's wish that goes before the schedule for a while.
type Override struct {
	ID     string         `json:"id"`
	State  schedule.State `json:"state"`
	From   time.Time      `json:"from"`
	Until  time.Time      `json:"until"`
	SetAt  time.Time      `json:"set_at"`
	Reason string         `json:"reason"`
	Person string         `json:"person"`

	environment string
}

// overrides reads the wishes that have not ended at now, oldest first. name ""
// means those of every environment.
func overrides(ctx context.Context, tx *store.Tx, name string, now time.Time) ([]Override, error) {
	var all []Override
	err := tx.Each(ctx, `SELECT id, environment, state, from_at, until_at, set_at, reason, person FROM environment_override
		WHERE until_at > ? AND (environment = ? OR ? = '') ORDER BY set_at, id`, []any{store.Micros(now), name, name},
		func(scan func(...any) error) error {
			var o Override
			var from, until, set int64
			if err := scan(&o.ID, &o.environment, &o.State, &from, &until, &set, &o.Reason, &o.Person); err != nil {
				return err
			}
			o.From, o.Until, o.SetAt = store.Time(from), store.Time(until), store.Time(set)
			all = append(all, o)
			return nil
		})
	if err != nil {
		return nil, fmt.Errorf("read overrides: %w", err)
	}
	return all, nil
}

// wishes are overrides as the schedule reads them.
func wishes(all []Override) schedule.Overrides {
	var out schedule.Overrides
	for _, o := range all {
		out.Wishes = append(out.Wishes, schedule.Override{
			State: o.State, From: o.From, Until: o.Until, SetAt: o.SetAt, Reason: cmp.Or(o.Reason, "no reason given") + " (" + o.Person + ")",
		})
	}
	return out
}

// newID makes an id that sorts after every earlier one. It belongs to the gate's
// committer.
func (e *Environments) newID(prefix string, now time.Time) string {
	e.lastID = max(e.lastID+1, now.UnixMicro())
	var b [3]byte
	rand.Read(b[:])
	return fmt.Sprintf("%s_%014x%x", prefix, e.lastID, b)
}
