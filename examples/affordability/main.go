// Command affordability reads a year of bank transactions, with the customer's consent, and shows what rent paid on time
// proves about a mortgage.
//
//	affordability            serve
//	affordability migrate    make the table, with a login that may
//	affordability key        print a new sealing key
//
// It is configured by its environment, which the README lists.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.org/affordability/credentials"
	"example.org/affordability/obie"
	"example.org/affordability/policy"
	"example.org/affordability/seal"
	"example.org/affordability/store"
	"example.org/affordability/store/sqlstore"
	"example.org/affordability/web"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	log := slog.New(slog.NewJSONHandler(stderr, nil))
	var err error
	switch strings.Join(args, " ") {
	case "":
		err = serve(ctx, env, log)
	case "migrate":
		err = migrate(ctx, env, log)
	case "key":
		fmt.Fprintln(stdout, seal.NewKey())
	case "-h", "--help", "help":
		fmt.Fprintln(stdout, "usage: affordability [migrate | key]\nThe environment configures it; see the README.")
	default:
		fmt.Fprintln(stderr, "error: usage: affordability [migrate | key]")
		return 2
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func serve(ctx context.Context, env func(string) string, log *slog.Logger) error {
	box, err := sealingKey(env, log)
	if err != nil {
		return err
	}
	pol, err := policy.Current()
	if err != nil {
		return err
	}
	address := env("LISTEN")
	if address == "" {
		address = ":" + or(env("PORT"), "8102")
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	public := or(env("PUBLIC_URL"), "http://127.0.0.1:"+port)
	secret, err := fileOr(env, "BANK_CLIENT_SECRET")
	if err != nil {
		return err
	}
	if secret == "" {
		return errors.New("the bank needs our client secret: set BANK_CLIENT_SECRET_FILE or BANK_CLIENT_SECRET")
	}
	bank, err := obie.New(obie.Config{
		Issuer: strings.TrimSuffix(or(env("BANK_URL"), "http://127.0.0.1:8101"), "/"), ClientID: or(env("BANK_CLIENT_ID"), "affordability"),
		ClientSecret: secret, RedirectURI: strings.TrimSuffix(public, "/") + "/v1/callback",
	})
	if err != nil {
		return err
	}
	st, logins, err := database(ctx, env, log)
	if err != nil {
		return err
	}
	defer st.Close()
	s, err := web.New(web.Config{
		Store: st, Box: box, Bank: bank, Policy: pol, BankAs: or(env("BANK_NAME"), "your bank"), Public: public,
		Version: env("NIGHTPORTER_VERSION"), Commit: env("NIGHTPORTER_COMMIT"), Environment: env("NIGHTPORTER_ENVIRONMENT"), Logins: logins, Log: log,
	})
	if err != nil {
		return err
	}
	delay, err := time.ParseDuration(or(env("DRAIN_DELAY"), "500ms"))
	if err != nil {
		return fmt.Errorf("reading DRAIN_DELAY: %w", err)
	}
	return drainOnStop(ctx, l, s, delay, log)
}

// drainOnStop serves until the context ends, then stops without cutting anybody off: readiness says no, callers get a
// moment to notice, open connections are told to close after their answer, and readings under way are waited for.
func drainOnStop(ctx context.Context, l net.Listener, s *web.Server, delay time.Duration, log *slog.Logger) error {
	srv := &http.Server{Handler: s.Handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 15 * time.Second, WriteTimeout: 60 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	log.Info("serving", "address", l.Addr().String())
	select {
	case err := <-failed:
		s.Close()
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	log.Info("draining")
	s.Drain()
	srv.SetKeepAlivesEnabled(false)
	t := time.NewTimer(delay)
	defer t.Stop()
	<-t.C
	quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	err := srv.Shutdown(quit)
	s.Close()
	<-failed
	log.Info("stopped")
	return err
}

// sealingKey reads the key. Without one the service makes its own for this run, which only a memory store survives.
func sealingKey(env func(string) string, log *slog.Logger) (*seal.Box, error) {
	key, err := fileOr(env, "SEAL_KEY")
	if err != nil {
		return nil, err
	}
	if key == "" {
		if env("DATABASE_URL") != "" {
			return nil, errors.New("a database needs a sealing key that lasts: set SEAL_KEY_FILE or SEAL_KEY (make one with `affordability key`)")
		}
		log.Warn("no sealing key: using one for this run only")
		key = seal.NewKey()
	}
	return seal.New(key)
}

// database opens what DATABASE_URL says; without it everything is in memory.
func database(ctx context.Context, env func(string) string, log *slog.Logger) (store.Store, func() int64, error) {
	if env("DATABASE_URL") == "" {
		log.Warn("no DATABASE_URL: keeping everything in memory")
		return store.NewMemory(), nil, nil
	}
	login, err := logins(env)
	if err != nil {
		return nil, nil, err
	}
	s, err := sqlstore.Open(ctx, sqlstore.Config{URL: env("DATABASE_URL"), Credentials: login, Log: log})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Swaps, nil
}

// logins chooses where database logins come from: a credential server, a file that changes, or the environment.
func logins(env func(string) string) (credentials.Source, error) {
	switch {
	case env("DATABASE_ROLE") != "":
		return credentials.NewPorter(credentials.PorterConfig{Address: or(env("NIGHTPORTER_ADDR"), env("VAULT_ADDR")), TokenFile: or(env("NIGHTPORTER_TOKEN_FILE"), env("VAULT_TOKEN_FILE")), Role: env("DATABASE_ROLE")})
	case env("DATABASE_CREDENTIALS_FILE") != "":
		return credentials.File(env("DATABASE_CREDENTIALS_FILE")), nil
	case env("DATABASE_USER") != "":
		return credentials.Fixed{User: env("DATABASE_USER"), Password: env("DATABASE_PASSWORD")}, nil
	}
	return nil, errors.New("the database needs a login: set DATABASE_ROLE, DATABASE_CREDENTIALS_FILE, or DATABASE_USER and DATABASE_PASSWORD")
}

func migrate(ctx context.Context, env func(string) string, log *slog.Logger) error {
	login, err := logins(env)
	if err != nil {
		return err
	}
	s, err := sqlstore.Open(ctx, sqlstore.Config{URL: env("DATABASE_URL"), Credentials: login, Log: log})
	if err != nil {
		return err
	}
	return errors.Join(s.Migrate(ctx), s.Close())
}

// fileOr reads NAME_FILE, or else the variable NAME.
func fileOr(env func(string) string, name string) (string, error) {
	if path := env(name + "_FILE"); path != "" {
		raw, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("reading %s_FILE: %w", name, err)
		}
		return strings.TrimSpace(string(raw)), nil
	}
	return env(name), nil
}

func or(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
