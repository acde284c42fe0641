// Package outbox delivers events. They are rows, written in the transaction of
// the change that they tell of, so that an event exists exactly when its change
// does. Each listener gets every event at least once and, for one subject, in
// order; listeners are therefore idempotent.
//
// A listener that refuses an event is asked again with growing pauses; after
// [parkAfter] attempts the event is parked, shown to people, and retried by
// hand. Later events of the same subject wait behind it. An answer with the code
// unavailable is no refusal: that event is never parked.
package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// Migrations are the tables of the outbox.
var Migrations = []store.Migration{{Name: "outbox/0001", SQL: `
CREATE TABLE event (
	id BIGINT PRIMARY KEY,
	name TEXT NOT NULL,
	subject TEXT NOT NULL,
	payload TEXT NOT NULL,
	at BIGINT NOT NULL,
	request_id TEXT NOT NULL,
	cause TEXT NOT NULL
);
CREATE INDEX event_subject ON event (subject, id);
CREATE INDEX event_at ON event (at);
CREATE TABLE delivery (
	event_id BIGINT NOT NULL,
	listener TEXT NOT NULL,
	subject TEXT NOT NULL,
	state TEXT NOT NULL,
	attempts BIGINT NOT NULL,
	not_before BIGINT NOT NULL,
	error TEXT NOT NULL,
	PRIMARY KEY (event_id, listener)
);
CREATE INDEX delivery_order ON delivery (listener, subject, event_id);
`}}

const (
	parkAfter  = 8
	firstPause = 500 * time.Millisecond
	maxPause   = time.Minute
	// Keep is how long events stay, so that a projection can be rebuilt.
	Keep = 90 * 24 * time.Hour
)

// Record is an event as it is kept.
type Record struct {
	ID        int64           `json:"id"`
	Name      string          `json:"name"`
	Subject   string          `json:"subject"` // "service/ledger"
	Payload   json.RawMessage `json:"payload"`
	At        time.Time       `json:"at"`
	RequestID string          `json:"request_id,omitempty"`
	Cause     string          `json:"cause,omitempty"`
}

// listener is one method that hears one kind of event.
type listener struct {
	name  string
	event string
	call  func(ctx context.Context, payload []byte) error
}

// Bus knows who listens to what. All listeners are added before the first event
// is published.
type Bus struct {
	byEvent map[string][]*listener
	byName  map[string]*listener
}

// NewBus makes an empty bus.
func NewBus() *Bus {
	return &Bus{byEvent: map[string][]*listener{}, byName: map[string]*listener{}}
}

// On makes f hear every event of its parameter's type. name is unique for ever:
// it is what the store knows the listener by. f runs as the system actor of that
// name, on behalf of whoever caused the event, and must be idempotent.
func On[E nightporter.Event](b *Bus, name string, f func(context.Context, E) error) {
	var zero E
	if b.byName[name] != nil {
		panic("outbox: two listeners are called " + name)
	}
	l := &listener{name: name, event: zero.EventName(), call: func(ctx context.Context, payload []byte) error {
		var e E
		if err := json.Unmarshal(payload, &e); err != nil {
			return fmt.Errorf("read a stored %s: %w", zero.EventName(), err)
		}
		return f(ctx, e)
	}}
	b.byName[name] = l
	b.byEvent[l.event] = append(b.byEvent[l.event], l)
}

// Listeners returns the names of those who hear the named event.
func (b *Bus) Listeners(event string) []string {
	var names []string
	for _, l := range b.byEvent[event] {
		names = append(names, l.name)
	}
	return names
}

// Writer numbers and writes events. Its methods belong to the gate's committer
// and are not safe for concurrent use.
type Writer struct {
	bus  *Bus
	last int64
	read bool
}

// NewWriter makes a writer for the bus.
func NewWriter(bus *Bus) *Writer { return &Writer{bus: bus} }

// Reset forgets what is in memory. The gate calls it when a commit failed.
func (w *Writer) Reset() { w.read = false }

// Append writes events within tx, with a delivery for every listener, and
// numbers them.
func (w *Writer) Append(ctx context.Context, tx *store.Tx, records []Record) error {
	if !w.read {
		if err := tx.QueryRow(ctx, `SELECT COALESCE(MAX(id), 0) FROM event`).Scan(&w.last); err != nil {
			return fmt.Errorf("read the last event: %w", err)
		}
		w.read = true
	}
	for i := range records {
		r := &records[i]
		w.last++
		r.ID = w.last
		_, err := tx.Exec(ctx, `INSERT INTO event (id, name, subject, payload, at, request_id, cause) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			r.ID, r.Name, r.Subject, string(r.Payload), store.Micros(r.At), r.RequestID, r.Cause)
		if err != nil {
			return fmt.Errorf("write event %s: %w", r.Name, err)
		}
		for _, l := range w.bus.byEvent[r.Name] {
			_, err := tx.Exec(ctx, `INSERT INTO delivery (event_id, listener, subject, state, attempts, not_before, error)
				VALUES (?, ?, ?, 'pending', 0, 0, '')`, r.ID, l.name, r.Subject)
			if err != nil {
				return fmt.Errorf("address event %s to %s: %w", r.Name, l.name, err)
			}
		}
	}
	return nil
}

// NewRecord makes the row of an event.
func NewRecord(e nightporter.Event, at time.Time, requestID, cause string) (Record, error) {
	payload, err := json.Marshal(e)
	if err != nil {
		return Record{}, fmt.Errorf("encode %s: %w", e.EventName(), err)
	}
	return Record{
		Name: e.EventName(), Subject: e.EventSubject().String(), Payload: payload,
		At: at, RequestID: requestID, Cause: cause,
	}, nil
}

// Since reads events after a number, oldest first: for the live stream and for
// rebuilding projections.
func Since(ctx context.Context, tx *store.Tx, after int64, limit int) ([]Record, error) {
	var out []Record
	err := tx.Each(ctx, `SELECT id, name, subject, payload, at, request_id, cause FROM event WHERE id > ? ORDER BY id LIMIT ?`,
		[]any{after, limit}, func(scan func(...any) error) error {
			var r Record
			var at int64
			var payload string
			if err := scan(&r.ID, &r.Name, &r.Subject, &payload, &at, &r.RequestID, &r.Cause); err != nil {
				return err
			}
			r.Payload, r.At = json.RawMessage(payload), store.Time(at)
			out = append(out, r)
			return nil
		})
	return out, err
}

// Parked is an event that a listener kept refusing.
type Parked struct {
	EventID  int64  `json:"event_id"`
	Name     string `json:"name"`
	Subject  string `json:"subject"`
	Listener string `json:"listener"`
	Attempts int64  `json:"attempts"`
	Error    string `json:"error"`
}

// ListParked reads what waits for a person, oldest first.
func ListParked(ctx context.Context, tx *store.Tx) ([]Parked, error) {
	var out []Parked
	err := tx.Each(ctx, `SELECT d.event_id, e.name, d.subject, d.listener, d.attempts, d.error
		FROM delivery d JOIN event e ON e.id = d.event_id WHERE d.state = 'parked' ORDER BY d.event_id LIMIT 500`,
		nil, func(scan func(...any) error) error {
			var p Parked
			if err := scan(&p.EventID, &p.Name, &p.Subject, &p.Listener, &p.Attempts, &p.Error); err != nil {
				return err
			}
			out = append(out, p)
			return nil
		})
	return out, err
}

// Retry lets a parked event be delivered again. It runs inside a change.
func Retry(ctx context.Context, tx *store.Tx, eventID int64, name string) error {
	n, err := tx.Exec(ctx, `UPDATE delivery SET state = 'pending', attempts = 0, not_before = 0
		WHERE event_id = ? AND listener = ? AND state = 'parked'`, eventID, name)
	if err == nil && n == 0 {
		return nightporter.E(nightporter.NotFound, "no event %d is parked for %s", eventID, name)
	}
	return err
}
