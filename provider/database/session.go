package database

import (
	"context"
	"time"
)

// Session is one connection that a login has open.
type Session struct {
	ID       string    `json:"id"`                // the server's number for it
	Client   string    `json:"client,omitempty"`  // address, "" for a socket of the machine
	Program  string    `json:"program,omitempty"` // as the client called itself; it may say anything
	Database string    `json:"database,omitempty"`
	State    string    `json:"state,omitempty"` // in the server's words: "active", "Sleep"
	Since    time.Time `json:"since,omitzero"`  // zero where the server does not say
}

// SessionLister is a [Database] that can say which sessions a login has: for
// whoever is about to end it. What they do is not told: a statement may hold
// anything.
type SessionLister interface {
	// Sessions lists the sessions of one login, the oldest first. A login that
	// does not exist has none.
	Sessions(ctx context.Context, username string) ([]Session, error)
}
