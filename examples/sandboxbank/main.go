// Command sandboxbank is a pretend bank: invented customers behind the UK Open Banking API v4.0.
//
//	sandboxbank --redirect-uri http://127.0.0.1:8102/v1/callback
//	sandboxbank dump --seed 7 --tenants 1000 > town.ndjson
package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.org/sandboxbank/bank"
	"example.org/sandboxbank/town"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// options are the command line.
type options struct {
	seed                 uint64
	tenants, pageSize    int
	asOf, listen, admin  string
	baseURL, faults      string
	clientID, secretFile string
	redirects            string
}

func run(ctx context.Context, args []string, env func(string) string, stdout, stderr io.Writer) int {
	dump := len(args) > 0 && args[0] == "dump"
	if dump {
		args = args[1:]
	}
	var o options
	f := flag.NewFlagSet("sandboxbank", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.Uint64Var(&o.seed, "seed", 1, "the town to build; the same seed and date give the same rows")
	f.IntVar(&o.tenants, "tenants", 28, "how many customers")
	f.StringVar(&o.asOf, "as-of", "2026-06-15", "the last day with rows")
	f.StringVar(&o.listen, "listen", "127.0.0.1:8101", "address of the bank")
	f.StringVar(&o.admin, "admin", "", "address of the operator's listener, which knows the truth; empty: none")
	f.StringVar(&o.baseURL, "base-url", "", "how clients reach the bank (default http://ADDRESS)")
	f.StringVar(&o.faults, "faults", "", "how to misbehave, like stall/5,429/7; known: "+strings.Join(bank.FaultNames(), ", "))
	f.IntVar(&o.pageSize, "page-size", 100, "rows a page")
	f.StringVar(&o.clientID, "client-id", "affordability", "the client that may connect")
	f.StringVar(&o.secretFile, "client-secret-file", "", "file with the client's secret; else SANDBOXBANK_CLIENT_SECRET; else a new one is made and printed")
	f.StringVar(&o.redirects, "redirect-uri", "http://127.0.0.1:8102/v1/callback", "where an authorisation may return to; several with commas")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	var err error
	if dump {
		err = writeDump(o, stdout)
	} else {
		err = serve(ctx, o, env, stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	return 0
}

func writeDump(o options, stdout io.Writer) error {
	asOf, err := time.Parse(time.DateOnly, o.asOf)
	if err != nil {
		return fmt.Errorf("reading --as-of: %w", err)
	}
	// One tenant at a time: a thousand of them are a hundred megabytes.
	w := bufio.NewWriterSize(stdout, 1<<20)
	for n := 1; n <= o.tenants; n++ {
		if err := bank.Dump(w, town.Build(o.seed, n, asOf)); err != nil {
			return fmt.Errorf("writing tenant %d: %w", n, err)
		}
	}
	return w.Flush()
}

func serve(ctx context.Context, o options, env func(string) string, stderr io.Writer) error {
	asOf, err := time.Parse(time.DateOnly, o.asOf)
	if err != nil {
		return fmt.Errorf("reading --as-of: %w", err)
	}
	built, err := town.New(town.Config{Seed: o.seed, Tenants: o.tenants, AsOf: asOf})
	if err != nil {
		return err
	}
	faults, err := bank.ParseFaults(o.faults)
	if err != nil {
		return err
	}
	secret, err := clientSecret(o, env, stderr)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	defer l.Close()
	if o.baseURL == "" {
		o.baseURL = "http://" + l.Addr().String()
	}
	b, err := bank.New(bank.Config{
		Town: built, BaseURL: o.baseURL, ClientID: o.clientID, ClientSecret: secret, RedirectURIs: strings.Split(o.redirects, ","),
		PageSize: o.pageSize, Faults: faults, Log: slog.New(slog.NewJSONHandler(stderr, nil)),
	})
	if err != nil {
		return err
	}
	servers := []*http.Server{{Handler: b.Handler(), ReadHeaderTimeout: 5 * time.Second}}
	listeners := []net.Listener{l}
	if o.admin != "" {
		al, err := net.Listen("tcp", o.admin)
		if err != nil {
			return fmt.Errorf("listening for the operator: %w", err)
		}
		servers, listeners = append(servers, &http.Server{Handler: b.Admin(), ReadHeaderTimeout: 5 * time.Second}), append(listeners, al)
		fmt.Fprintf(stderr, "operator: http://%s\n", al.Addr())
	}
	fmt.Fprintf(stderr, "sandbox bank: %s with %d customers as of %s, seed %d\n", o.baseURL, o.tenants, o.asOf, o.seed)

	failed := make(chan error, len(servers))
	var running sync.WaitGroup
	for i, s := range servers {
		running.Go(func() {
			if err := s.Serve(listeners[i]); !errors.Is(err, http.ErrServerClosed) {
				failed <- err
			}
		})
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	quit, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for _, s := range servers {
		_ = s.Shutdown(quit) // what is left after five seconds is cut off
	}
	running.Wait()
	return err
}

// clientSecret finds the client's secret: never on the command line, where every user of the machine could read it.
func clientSecret(o options, env func(string) string, stderr io.Writer) (string, error) {
	if o.secretFile != "" {
		raw, err := os.ReadFile(o.secretFile)
		if err != nil {
			return "", fmt.Errorf("reading the client's secret: %w", err)
		}
		return strings.TrimSpace(string(raw)), nil
	}
	if s := env("SANDBOXBANK_CLIENT_SECRET"); s != "" {
		return s, nil
	}
	s := rand.Text()
	fmt.Fprintf(stderr, "client secret of this run: %s\n", s)
	return s, nil
}
