package web

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"example.org/affordability/obie"
	"example.org/affordability/profile"
	"example.org/affordability/spend"
	"example.org/affordability/statement"
	"example.org/affordability/store"
)

// cookieLife is how long an idle session may be.
const cookieLife = 90 * 24 * time.Hour

// visitor is whoever holds the session cookie. An empty id is somebody new.
type visitor struct{ id string }

func newID() string { return rand.Text() }

func hashed(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }

// visited finds the visitor of a request.
func (s *Server) visited(next func(http.ResponseWriter, *http.Request, visitor)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var v visitor
		if c, err := r.Cookie(s.cookieName()); err == nil && c.Value != "" {
			rec, err := s.cfg.Store.Find(r.Context(), store.Session, hashed(c.Value))
			switch {
			case err == nil && s.cfg.Now().Sub(time.Unix(rec.Made, 0)) < cookieLife:
				v.id = rec.Owner
			case err != nil && !errors.Is(err, store.ErrNotFound):
				s.fail(w, r, err)
				return
			}
		}
		next(w, r, v)
	})
}

func (s *Server) cookieName() string {
	if s.secure() {
		return "__Host-affordability"
	}
	return "affordability"
}

// welcome gives somebody new a session.
func (s *Server) welcome(w http.ResponseWriter, r *http.Request, v visitor) (visitor, error) {
	if v.id != "" {
		return v, nil
	}
	v.id = newID()
	secret := newID()
	err := s.cfg.Store.Put(r.Context(), store.Record{Kind: store.Session, ID: newID(), Owner: v.id, Lookup: hashed(secret), Made: s.cfg.Now().Unix(), Body: []byte{0}})
	if err != nil {
		return visitor{}, fmt.Errorf("starting a session: %w", err)
	}
	http.SetCookie(w, &http.Cookie{Name: s.cookieName(), Value: secret, Path: "/", HttpOnly: true, Secure: s.secure(), SameSite: http.SameSiteLaxMode, MaxAge: int(cookieLife / time.Second)})
	return v, nil
}

// consent is a bank consent as we keep it.
type consent struct {
	ID        string      `json:"id"`
	BankID    string      `json:"bank_id"`
	Status    string      `json:"status"` // waiting, given, ended
	Tokens    obie.Tokens `json:"tokens"`
	Made      time.Time   `json:"made"`
	Confirmed time.Time   `json:"confirmed"`
}

// Statuses of a consent.
const (
	waiting = "waiting"
	given   = "given"
	ended   = "ended"
)

// readable reports whether the customer confirmed it within ninety days.
func (c *consent) readable(now time.Time) bool {
	return c.Status == given && now.Sub(c.Confirmed) < obie.Life
}

// flow is an authorisation under way.
type flow struct {
	Consent  string    `json:"consent"`
	Verifier string    `json:"verifier"`
	Until    time.Time `json:"until"`
}

// reading is one profile: where its making stands, and the visitor's answers.
type reading struct {
	ID      string           `json:"id"`
	State   string           `json:"state"` // reading, ready, failed
	Problem string           `json:"problem,omitempty"`
	Made    time.Time        `json:"made"`
	Answers *profile.Answers `json:"answers,omitempty"` // nil: the defaults
}

// States of a reading.
const (
	underWay = "reading"
	isReady  = "ready"
	failed   = "failed"
)

// put seals a value and keeps it.
func (s *Server) put(ctx context.Context, kind store.Kind, owner, id, lookup string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	err = s.cfg.Store.Put(ctx, store.Record{Kind: kind, ID: id, Owner: owner, Lookup: lookup, Made: s.cfg.Now().Unix(), Body: s.cfg.Box.Seal(raw, place(kind, owner, id))})
	if err != nil {
		return fmt.Errorf("keeping a %s: %w", kind, err)
	}
	return nil
}

func place(kind store.Kind, owner, id string) string { return string(kind) + "/" + owner + "/" + id }

// open unseals a record.
func (s *Server) open(rec store.Record, into any) error {
	raw, err := s.cfg.Box.Open(rec.Body, place(rec.Kind, rec.Owner, rec.ID))
	if err != nil {
		return err
	}
	return json.Unmarshal(raw, into)
}

func (s *Server) get(ctx context.Context, kind store.Kind, owner, id string, into any) error {
	if owner == "" {
		return store.ErrNotFound
	}
	rec, err := s.cfg.Store.Get(ctx, kind, owner, id)
	if err != nil {
		return err
	}
	return s.open(rec, into)
}

// consents lists a visitor's consents, oldest first.
func (s *Server) consents(ctx context.Context, v visitor) ([]consent, error) {
	if v.id == "" {
		return nil, nil
	}
	recs, err := s.cfg.Store.List(ctx, store.Consent, v.id)
	if err != nil {
		return nil, err
	}
	list := make([]consent, len(recs))
	for i, r := range recs {
		if err := s.open(r, &list[i]); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// latest is the visitor's newest reading, or ErrNotFound.
func (s *Server) latest(ctx context.Context, v visitor) (*reading, error) {
	if v.id == "" {
		return nil, store.ErrNotFound
	}
	recs, err := s.cfg.Store.List(ctx, store.Profile, v.id)
	if err != nil {
		return nil, err
	}
	var best *reading
	for _, rec := range recs {
		var p reading
		if err := s.open(rec, &p); err != nil {
			return nil, err
		}
		if best == nil || !p.Made.Before(best.Made) {
			best = &p
		}
	}
	if best == nil {
		return nil, store.ErrNotFound
	}
	return best, nil
}

// corrections are what the visitor said about payees.
func (s *Server) corrections(ctx context.Context, v visitor) (spend.Corrections, error) {
	said := spend.Corrections{}
	err := s.get(ctx, store.Said, v.id, "said-"+v.id, &said)
	if errors.Is(err, store.ErrNotFound) {
		return said, nil
	}
	return said, err
}

// compute makes the profile of a reading anew from what was read. It is quick, and so nothing computed is ever stale.
func (s *Server) compute(ctx context.Context, v visitor, p *reading, ans *profile.Answers) (*profile.Profile, error) {
	var st statement.Statement
	if err := s.get(ctx, store.Lines, v.id, p.ID, &st); err != nil {
		return nil, err
	}
	said, err := s.corrections(ctx, v)
	if err != nil {
		return nil, err
	}
	if ans == nil {
		ans = p.Answers
	}
	if ans == nil {
		d := profile.Defaults(&st, s.cfg.Policy)
		ans = &d
	}
	return profile.Compute(&st, s.cfg.Policy, said, *ans), nil
}
