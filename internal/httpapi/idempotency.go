package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"time"

	"nightporter.dev/nightporter"
)

// How long an answer is kept, and how long a request may be on its way before
// its key is free again: then the process that worked on it has died, and what
// it did is the business of the recovery, not of the key.
const (
	keepAnswers  = 24 * time.Hour
	keepInFlight = 5 * time.Minute
	maxKey       = 255
)

// Attempt is one use of an Idempotency-Key.
type Attempt struct {
	// Key is the actor and the key, hashed. It is the primary key.
	Key string
	// Request is what was asked, hashed: method, path, query and body.
	Request string
	// Status is 0 while the request is on its way.
	Status      int
	ContentType string
	Location    string
	Body        []byte
	// Expires is when the row may go.
	Expires time.Time
}

// IdempotencyStore keeps attempts. All methods may be called at once, by several
// processes; Reserve decides between them.
type IdempotencyStore interface {
	// Reserve writes a when no attempt with its key exists whose Expires is
	// after now, and says whether it did.
	Reserve(ctx context.Context, a Attempt, now time.Time) (bool, error)
	// Load returns the attempt with the key, or an error whose code is
	// not_found.
	Load(ctx context.Context, key string) (Attempt, error)
	// Complete replaces the attempt with the same key.
	Complete(ctx context.Context, a Attempt) error
	// Forget removes the attempt with the key, if there is one.
	Forget(ctx context.Context, key string) error
}

// once answers a request with an Idempotency-Key: by calling the handler the
// first time, by repeating its answer later.
//
// An answer that is an error is forgotten: nothing was changed, and trying again
// must be able to succeed. The answer is written after the change was committed,
// so a crash between the two forgets the key; the gate's own rules then decide
// about the repetition.
func (a *api) once(x *exchange, r *http.Request, route Route, key string) error {
	if len(key) > maxKey {
		return nightporter.E(nightporter.Invalid, "the Idempotency-Key is longer than %d characters", maxKey)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return bodyError(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))

	store, ctx, now := a.cfg.Idempotency, r.Context(), time.Now()
	attempt := Attempt{
		Key:     digest("key", string(x.actor.Kind), x.actor.Name, key),
		Request: digest("request", r.Method, r.URL.Path, r.URL.RawQuery, string(body)),
		Expires: now.Add(keepInFlight),
	}
	first, err := store.Reserve(ctx, attempt, now)
	if err != nil {
		return err
	}
	if !first {
		return repeat(ctx, x, store, attempt)
	}

	recorder := &recorder{ResponseWriter: x}
	// The answer is worth keeping even when nobody waits for it any more.
	ctx = context.WithoutCancel(ctx)
	kept := false
	defer func() {
		if !kept { // an error, or a panic on its way up
			if ferr := store.Forget(ctx, attempt.Key); ferr != nil {
				a.cfg.Log.WarnContext(ctx, "forgetting an idempotency key", "error", ferr)
			}
		}
	}()
	if err := route.Handler(recorder, r); err != nil {
		return err
	}
	if recorder.status == 0 {
		recorder.status = http.StatusOK
	}
	if recorder.status >= 400 {
		return nil
	}
	attempt.Status, attempt.Body = recorder.status, recorder.body.Bytes()
	attempt.ContentType = x.Header().Get("Content-Type")
	attempt.Location = x.Header().Get("Location")
	attempt.Expires = now.Add(keepAnswers)
	if err := store.Complete(ctx, attempt); err != nil {
		// The answer is on its way; only its repetition is lost.
		a.cfg.Log.WarnContext(ctx, "keeping an answer for its idempotency key", "error", err)
		return nil
	}
	kept = true
	return nil
}

// repeat answers as the first request with the same key was answered.
func repeat(ctx context.Context, w http.ResponseWriter, store IdempotencyStore, attempt Attempt) error {
	before, err := store.Load(ctx, attempt.Key)
	var coded *nightporter.Error
	switch {
	case errors.As(err, &coded) && coded.Code == nightporter.NotFound:
		return nightporter.E(nightporter.Conflict, "a request with this Idempotency-Key has just failed").WithHint("send it again")
	case err != nil:
		return err
	case before.Request != attempt.Request:
		return nightporter.E(nightporter.KeyReused, "this Idempotency-Key came with a different request before").
			WithHint("use a new key for a new request")
	case before.Status == 0:
		return nightporter.E(nightporter.Conflict, "a request with this Idempotency-Key is still on its way").WithHint("send it again in a moment")
	}
	h := w.Header()
	h.Set("Idempotency-Key-Status", "repeated")
	if before.ContentType != "" {
		h.Set("Content-Type", before.ContentType)
	}
	if before.Location != "" {
		h.Set("Location", before.Location)
	}
	w.WriteHeader(before.Status)
	_, _ = w.Write(before.Body)
	return nil
}

// digest hashes parts so that no two lists of parts are written the same.
func digest(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		_, _ = h.Write(n[:])
		_, _ = io.WriteString(h, p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// recorder keeps a copy of an answer on its way out.
type recorder struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 && status >= 200 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	_, _ = r.body.Write(b)
	return r.ResponseWriter.Write(b)
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
