package console

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/outbox"
	"nightporter.dev/nightporter/internal/store"
)

// What happened is read from the event table: it is kept for 90 days, and holds
// what was true then. These are the console's only queries of its own.

// firstAfter is a condition for the events from a time on. Ids rise with time, so
// that the newest events answer, and the table is not read to its beginning.
const firstAfter = `id > COALESCE((SELECT id FROM event WHERE at < ? ORDER BY id DESC LIMIT 1), 0)`

// eventsSince reads the events of the given names from a time on, newest first.
func eventsSince(ctx context.Context, tx *store.Tx, since time.Time, limit int, names ...string) ([]outbox.Record, error) {
	args := []any{store.Micros(since)}
	for _, n := range names {
		args = append(args, n)
	}
	return events(ctx, tx, firstAfter+` AND name IN (`+store.In(len(names))+`) ORDER BY id DESC LIMIT ?`, append(args, limit)...)
}

// eventsOf reads the events of one subject below an id, newest first; 0 begins
// with the newest.
func eventsOf(ctx context.Context, tx *store.Tx, subject nightporter.Resource, below int64, limit int, names ...string) ([]outbox.Record, error) {
	if below <= 0 {
		below = 1 << 62
	}
	args := []any{subject.String(), below}
	for _, n := range names {
		args = append(args, n)
	}
	return events(ctx, tx, `subject = ? AND id < ? AND name IN (`+store.In(len(names))+`) ORDER BY id DESC LIMIT ?`, append(args, limit)...)
}

func events(ctx context.Context, tx *store.Tx, where string, args ...any) ([]outbox.Record, error) {
	var out []outbox.Record
	err := tx.Each(ctx, `SELECT id, name, subject, payload, at FROM event WHERE `+where, args, func(scan func(...any) error) error {
		var e outbox.Record
		var payload string
		var at int64
		if err := scan(&e.ID, &e.Name, &e.Subject, &payload, &at); err != nil {
			return err
		}
		e.Payload, e.At = json.RawMessage(payload), store.Time(at)
		out = append(out, e)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read what happened: %w", err)
	}
	return out, nil
}

// countEvents counts the events from a time on, by name.
func countEvents(ctx context.Context, tx *store.Tx, since time.Time) (map[string]int, error) {
	counts := map[string]int{}
	err := tx.Each(ctx, `SELECT name, COUNT(*) FROM event WHERE `+firstAfter+` GROUP BY name`, []any{store.Micros(since)}, func(scan func(...any) error) error {
		var name string
		var n int
		if err := scan(&name, &n); err != nil {
			return err
		}
		counts[name] = n
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("count what happened: %w", err)
	}
	return counts, nil
}

// countToday counts the register's entries since a time.
func countToday(ctx context.Context, tx *store.Tx, since time.Time) (ActivityToday, error) {
	var t ActivityToday
	err := tx.QueryRow(ctx, `SELECT COUNT(*), COUNT(DISTINCT CASE WHEN actor_kind = ? THEN actor END), COALESCE(SUM(CASE WHEN decision = 'denied' THEN 1 ELSE 0 END), 0)
		FROM audit_entry WHERE seq > COALESCE((SELECT seq FROM audit_entry WHERE at < ? ORDER BY seq DESC LIMIT 1), -1)`,
		string(nightporter.Person), store.Micros(since)).Scan(&t.Entries, &t.People, &t.Refused)
	if err != nil {
		return t, fmt.Errorf("count today's entries: %w", err)
	}
	return t, nil
}

// decode reads an event's payload.
func decode[E nightporter.Event](r outbox.Record) (E, error) {
	var e E
	if err := json.Unmarshal(r.Payload, &e); err != nil {
		return e, fmt.Errorf("read event %d, a %s: %w", r.ID, r.Name, err)
	}
	return e, nil
}

// The names of the events that pages tell of.
var (
	versionCut        = nightporter.VersionCut{}.EventName()
	deployed          = nightporter.Deployed{}.EventName()
	releaseHealthy    = nightporter.ReleaseHealthy{}.EventName()
	releaseRolledBack = nightporter.ReleaseRolledBack{}.EventName()
	environmentDown   = nightporter.EnvironmentDown{}.EventName()
	drillPassed       = nightporter.DrillPassed{}.EventName()
	drillFailed       = nightporter.DrillFailed{}.EventName()
)
