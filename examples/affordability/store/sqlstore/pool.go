// Package sqlstore keeps records in PostgreSQL or MySQL with a login that changes while requests run.
//
// A login is lent: it may be revoked at any moment, also in the middle of a query. The pool then fetches the newest
// login, opens new connections beside the old ones, and repeats the query. Every query here may be repeated without
// harm, so a caller notices a revoked login as a slower answer and never as an error.
package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/lib/pq"

	"example.org/affordability/credentials"
)

// Config says which database.
type Config struct {
	URL         string             // required: postgres://host:5432/name?sslmode=… or mysql://host:3306/name?tls=…, without a user
	Credentials credentials.Source // required
	Patience    time.Duration      // how long a query is repeated while logins change; default 10s
	Log         *slog.Logger
}

// pool is the connections of the login in use.
type pool struct {
	db    *sql.DB
	login credentials.Login
	made  time.Time
	users sync.WaitGroup // queries that run on it
}

// pools swaps pools.
type pools struct {
	cfg     Config
	dialect dialect

	mu      sync.Mutex // one swap at a time
	current atomic.Pointer[pool]
	hold    sync.RWMutex // held for reading while a query registers with a pool
	swaps   atomic.Int64
	retired sync.WaitGroup
	stop    context.CancelFunc
	done    chan struct{}
}

func open(ctx context.Context, cfg Config) (*pools, error) {
	u, err := url.Parse(cfg.URL)
	if err != nil || u.Host == "" || u.User != nil {
		return nil, errors.New("the database's URL must be like postgres://host:5432/name, without a user: the login comes from its own source")
	}
	if cfg.Credentials == nil {
		return nil, errors.New("the database needs a source of logins")
	}
	if cfg.Patience <= 0 {
		cfg.Patience = 10 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &pools{cfg: cfg, done: make(chan struct{})}
	switch u.Scheme {
	case "postgres", "postgresql":
		p.dialect = postgres{u}
	case "mysql":
		p.dialect = mariadb{u}
	default:
		return nil, fmt.Errorf("the database's URL starts with %q: want postgres or mysql", u.Scheme)
	}
	if err := p.swap(ctx, nil); err != nil {
		return nil, err
	}
	bg, stop := context.WithCancel(context.WithoutCancel(ctx))
	p.stop = stop
	go p.ahead(bg)
	return p, nil
}

// swap replaces the pool that a caller found wanting. When somebody else has replaced it meanwhile, or the source has
// no other login yet, it does nothing.
func (p *pools) swap(ctx context.Context, bad *pool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	old := p.current.Load()
	if old != bad {
		return nil
	}
	login, err := p.cfg.Credentials.Login(ctx)
	if err != nil {
		return err
	}
	if old != nil && login.User == old.login.User && login.Password == old.login.Password {
		return nil
	}
	db, err := p.dialect.open(login)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(20)
	db.SetMaxIdleConns(10)
	db.SetConnMaxIdleTime(time.Minute)
	if err := db.PingContext(ctx); err != nil {
		return errors.Join(fmt.Errorf("trying a new database login: %w", err), db.Close())
	}
	p.hold.Lock()
	p.current.Store(&pool{db: db, login: login, made: time.Now()})
	p.hold.Unlock()
	p.swaps.Add(1)
	if old != nil {
		p.cfg.Log.Info("database login replaced", "swaps", p.swaps.Load())
		// Queries that run on the old login finish, or fail and are repeated on the new one.
		p.retired.Go(func() { old.users.Wait(); _ = old.db.Close() })
	}
	return nil
}

// take registers a query with the present pool.
func (p *pools) take() *pool {
	p.hold.RLock()
	defer p.hold.RUnlock()
	c := p.current.Load()
	c.users.Add(1)
	return c
}

// do runs a query, again and again while the reason to fail is the login or the connection and patience lasts.
func (p *pools) do(ctx context.Context, query func(*sql.DB) error) error {
	deadline := time.Now().Add(p.cfg.Patience)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		c := p.take()
		err := query(c.db)
		c.users.Done()
		if err == nil || ctx.Err() != nil || !p.dialect.temporary(err) || time.Now().After(deadline) {
			return err
		}
		if p.dialect.login(err) {
			if err := p.swap(ctx, c); err != nil {
				p.cfg.Log.Warn("no new database login yet", "error", err)
			}
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// ahead fetches a new login when half of the time of the present one has passed, or when its file has changed, so
// that most changes are over before anybody notices.
func (p *pools) ahead(ctx context.Context) {
	defer close(p.done)
	tick := time.NewTicker(2 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		c := p.current.Load()
		half := c.made.Add(c.login.Until.Sub(c.made) / 2)
		if c.login.Until.IsZero() {
			if _, file := p.cfg.Credentials.(credentials.File); !file {
				continue
			}
		} else if time.Now().Before(half) {
			continue
		}
		if err := p.swap(ctx, c); err != nil {
			p.cfg.Log.Warn("no new database login yet", "error", err)
		}
	}
}

func (p *pools) close() error {
	p.stop()
	<-p.done
	p.retired.Wait()
	return p.current.Load().db.Close()
}

// dialect is what differs between the two databases.
type dialect interface {
	open(credentials.Login) (*sql.DB, error)
	placeholders(query string) string
	schema() string
	upsert() string
	// login reports that the database refuses the login; temporary that repeating may help.
	login(error) bool
	temporary(error) bool
	missingTable(error) bool
}

type postgres struct{ u *url.URL }

func (d postgres) open(l credentials.Login) (*sql.DB, error) {
	u := *d.u
	u.User = url.UserPassword(l.User, l.Password)
	c, err := pq.NewConnector(u.String())
	if err != nil {
		return nil, errors.New("the database's URL is not accepted") // the driver's error would show the password
	}
	return sql.OpenDB(c), nil
}

func (postgres) placeholders(q string) string {
	var b strings.Builder
	n := 0
	for _, r := range q {
		if r == '?' {
			n++
			fmt.Fprintf(&b, "$%d", n)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func (postgres) code(err error) string {
	var e *pq.Error
	if errors.As(err, &e) {
		return string(e.Code)
	}
	return ""
}

// 28: invalid authorization; 42501: privileges are gone; 57P01: an administrator ended the session.
func (d postgres) login(err error) bool {
	c := d.code(err)
	return strings.HasPrefix(c, "28") || c == "42501" || c == "57P01"
}

func (d postgres) temporary(err error) bool {
	c := d.code(err)
	return c == "" && broken(err) || d.login(err) || strings.HasPrefix(c, "08") || strings.HasPrefix(c, "57P") || strings.HasPrefix(c, "53") || c == "40001" || c == "40P01"
}

func (d postgres) missingTable(err error) bool { return d.code(err) == "42P01" }

type mariadb struct{ u *url.URL }

func (d mariadb) open(l credentials.Login) (*sql.DB, error) {
	c := mysql.NewConfig()
	c.User, c.Passwd, c.Net, c.Addr, c.DBName = l.User, l.Password, "tcp", d.u.Host, strings.Trim(d.u.Path, "/")
	c.TLSConfig = d.u.Query().Get("tls")
	c.Timeout, c.ReadTimeout, c.WriteTimeout = 5*time.Second, 15*time.Second, 15*time.Second
	c.Logger = &mysql.NopLogger{}
	conn, err := mysql.NewConnector(c)
	if err != nil {
		return nil, errors.New("the database's URL is not accepted")
	}
	return sql.OpenDB(conn), nil
}

func (mariadb) placeholders(q string) string { return q }

func (mariadb) code(err error) uint16 {
	var e *mysql.MySQLError
	if errors.As(err, &e) {
		return e.Number
	}
	return 0
}

// 1044, 1045, 1698: access denied; 1142, 1143, 1227: privileges are gone; 1927, 3168: the session was killed.
func (d mariadb) login(err error) bool {
	switch d.code(err) {
	case 1044, 1045, 1698, 1142, 1143, 1227, 1927, 3168, 1053, 1317:
		return true
	}
	return false
}

func (d mariadb) temporary(err error) bool {
	c := d.code(err)
	return c == 0 && broken(err) || d.login(err) || c == 1040 || c == 1205 || c == 1213
}

func (d mariadb) missingTable(err error) bool { return d.code(err) == 1146 }
