// Package credentials finds the login for the database, again and again: it is lent for hours, not owned.
package credentials

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"
)

// Login is a database user for a while.
type Login struct {
	User     string
	Password string
	Until    time.Time // zero: not known
}

// Source hands out the newest login. It is asked at the start, when the database refuses the login in use, and when
// half of a login's time has passed.
type Source interface {
	Login(ctx context.Context) (Login, error)
}

// Fixed is a login that never changes, for development.
type Fixed Login

// Login implements [Source].
func (f Fixed) Login(context.Context) (Login, error) { return Login(f), nil }

// File reads the login from a file that somebody else replaces. The file is JSON with "username" and "password",
// bare or inside "data" as Vault answers, or a user and a password on two lines.
type File string

// Login implements [Source].
func (f File) Login(context.Context) (Login, error) {
	raw, err := os.ReadFile(string(f))
	if err != nil {
		return Login{}, fmt.Errorf("reading the database login: %w", err)
	}
	return parse(raw, time.Time{})
}

// parse reads a login. Errors never repeat the text: it is a secret.
func parse(raw []byte, now time.Time) (Login, error) {
	var body struct {
		Username string `json:"username"`
		Password string `json:"password"`
		Lease    int64  `json:"lease_duration"`
		Data     struct {
			Username string `json:"username"`
			Password string `json:"password"`
		} `json:"data"`
	}
	l := Login{}
	if err := json.Unmarshal(raw, &body); err == nil {
		l = Login{User: body.Username, Password: body.Password}
		if body.Data.Username != "" {
			l.User, l.Password = body.Data.Username, body.Data.Password
		}
		if body.Lease > 0 && !now.IsZero() {
			l.Until = now.Add(time.Duration(body.Lease) * time.Second)
		}
	} else if user, password, two := strings.Cut(strings.TrimSpace(string(raw)), "\n"); two {
		l = Login{User: strings.TrimSpace(user), Password: strings.TrimSpace(password)}
	}
	if l.User == "" || l.Password == "" {
		return Login{}, errors.New("the database login has no user or no password")
	}
	return l, nil
}
