package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/lib/pq"

	"example.org/affordability/credentials"
)

// patience is how long a query is repeated while the login changes. A start that
// takes longer is not healthy.
const patience = 6 * time.Second

// database keeps the bookings in PostgreSQL with a login that is lent: when it is
// refused, the next one is fetched and the query is repeated.
type database struct {
	url    *url.URL
	logins credentials.Source

	mu      sync.Mutex
	current *sql.DB // of the login in use; nil before the first
}

// openDatabase returns when the database has answered.
func openDatabase(ctx context.Context, address string) (*database, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("DATABASE_URL must be like postgres://host:5432/name, without a user: the login is lent")
	}
	logins, err := credentials.NewPorter(credentials.PorterConfig{
		Address: os.Getenv("NIGHTPORTER_ADDR"), TokenFile: os.Getenv("NIGHTPORTER_TOKEN_FILE"), Role: os.Getenv("DATABASE_ROLE"),
	})
	if err != nil {
		return nil, err
	}
	d := &database{url: u, logins: logins}
	err = d.do(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS booking (id text PRIMARY KEY, account text NOT NULL, cents bigint NOT NULL)`)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("the database: %w", err)
	}
	return d, nil
}

// book may be repeated without harm: the booking has its number before it is sent.
func (d *database) book(ctx context.Context, e entry) error {
	id := rand.Text()
	return d.do(ctx, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, `INSERT INTO booking VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING`, id, e.Account, e.Cents)
		return err
	})
}

func (d *database) balance(ctx context.Context, account string) (cents int64, err error) {
	err = d.do(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT coalesce(sum(cents), 0)::bigint FROM booking WHERE account = $1`, account).Scan(&cents)
	})
	return cents, err
}

func (d *database) count(ctx context.Context) (n int64, err error) {
	err = d.do(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT count(*) FROM booking`).Scan(&n)
	})
	return n, err
}

// do runs a query, again and again while the login or the connection is why it
// fails and patience lasts.
func (d *database) do(ctx context.Context, query func(*sql.DB) error) error {
	deadline := time.Now().Add(patience)
	var refused *sql.DB
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		db, err := d.connections(ctx, refused)
		if err == nil {
			err = query(db)
		}
		again, login := repeat(err)
		if err == nil || !again || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if login {
			refused = db
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// connections are those of the login in use. It fetches the next login when there
// is none, or when the one in use is the refused one.
func (d *database) connections(ctx context.Context, refused *sql.DB) (*sql.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != refused {
		return d.current, nil
	}
	login, err := d.logins.Login(ctx)
	if err != nil {
		log.Printf("no new database login yet: %v", err)
		return nil, err
	}
	u := *d.url
	u.User = url.UserPassword(login.User, login.Password)
	connector, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, errors.New("DATABASE_URL is not accepted") // the driver's error would show the password
	}
	d.current = sql.OpenDB(connector)
	d.current.SetMaxOpenConns(10)
	if refused != nil {
		log.Print("the database login was replaced")
		go refused.Close() // when the queries that it has are over
	}
	return d.current, nil
}

// repeat says whether a query that failed may work later, and whether the login
// was refused: 28 is invalid authorization, 42501 that privileges are gone, 57P01
// that an administrator ended the session.
func repeat(err error) (again, refused bool) {
	var e *pq.Error
	if !errors.As(err, &e) {
		return true, false // the connection, or the login's source
	}
	code := string(e.Code)
	refused = strings.HasPrefix(code, "28") || code == "42501" || code == "57P01"
	return refused || strings.HasPrefix(code, "08") || strings.HasPrefix(code, "53") || strings.HasPrefix(code, "57P"), refused
}
