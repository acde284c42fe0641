package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/clock"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/telemetry"
	"nightporter.dev/nightporter/metrics"
)

// ServeOptions are what the command line says about a server.
type ServeOptions struct {
	ConfigPath  string
	Dev         bool   // in memory, unsealed, not safe
	DevToken    string // the root token of --dev; "" makes one
	Listen      string // overrides the configuration
	AddressFile string // gets the address once it listens, for port 0
	Store       string // overrides the configuration
	DemoClock   string // the URL of a clock on this machine
	Version     string
	Self        string // this program's file; see [Options]
	// Samples is [Options]'s.
	Samples func(dir string, r *telemetry.Registry, log *slog.Logger) (metrics.Engine, error)
	// Kubernetes is [Options]'s.
	Kubernetes *Kubernetes
	Stdout     io.Writer
	Stderr     io.Writer
}

// grace is how long requests may take to finish when the server is told to stop.
const grace = 10 * time.Second

// Serve runs a server until ctx ends. SIGHUP has the configuration read again.
func Serve(ctx context.Context, o ServeOptions) error {
	cfg, err := o.load()
	if err != nil {
		return err
	}
	log, err := telemetry.NewLogger(telemetry.LogConfig{Writer: o.Stderr, Format: telemetry.LogFormat(cfg.Log.Format), Level: cfg.Log.Level})
	if err != nil {
		return err
	}
	for _, w := range cfg.Warnings() {
		log.Warn("configuration", "problem", w.Message, "path", w.Path)
	}
	// A core file would hold keys.
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		log.Warn("core dumps stay on", "error", err)
	}
	opts := Options{Config: cfg, Log: log, Version: o.Version, StoreURL: o.Store, Dev: o.Dev, Self: o.Self, Samples: o.Samples, Kubernetes: o.Kubernetes}
	if o.Dev {
		dir, err := os.MkdirTemp("", "nightporter-dev-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		cfg.DataDir = config.Path(filepath.Join(dir, "data"))
		if opts.StoreURL == "" {
			opts.StoreURL = "sqlite:" + filepath.Join(dir, "store", "nightporter.db")
		}
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	if o.DemoClock != "" {
		remote, err := clock.NewRemote(ctx, clock.RemoteConfig{URL: o.DemoClock})
		if err != nil {
			return err
		}
		opts.Clock, opts.Demo = remote, true
		wg.Go(func() { remote.Run(ctx) })
		log.Warn("schedules follow a demo's clock", "url", o.DemoClock)
	}
	a, err := New(ctx, opts)
	if err != nil {
		stop()
		return err
	}
	defer a.Close()
	if !o.Dev && cfg.Seal.Kind == "file" && !a.sealer.Status().Initialised {
		stop()
		return nightporter.E(nightporter.Conflict, "the store was never initialised").WithHint("nightporter init")
	}
	address := cfg.Listen
	if o.Listen != "" {
		address = o.Listen
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		stop()
		return nightporter.Wrap(err, nightporter.Unavailable, "cannot listen on %s", address)
	}
	if err := a.announce(o, listener.Addr().String()); err != nil {
		stop()
		listener.Close()
		return err
	}
	overtaken := false
	wg.Go(func() {
		a.Run(ctx)
		overtaken = ctx.Err() == nil
		stop()
	})
	wg.Go(func() { a.reloadOn(ctx, o) })
	err = serveUntil(ctx, a.Server(), listener, cfg.TLS)
	stop()
	wg.Wait()
	if overtaken && err == nil {
		err = nightporter.E(nightporter.Unavailable, "another copy of the server has taken over")
	}
	return err
}

func (o ServeOptions) load() (*config.Config, error) {
	if o.Dev && o.ConfigPath == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		return config.Default(dir), nil
	}
	return LoadConfig(o.ConfigPath, o.Kubernetes)
}

// announce tells people and scripts where the server is.
func (a *App) announce(o ServeOptions, address string) error {
	scheme := "http"
	if a.config.Load().TLS.Serves() {
		scheme = "https"
	}
	a.log.Info("listening", "address", scheme+"://"+address, "version", o.Version)
	reach := scheme + "://" + reachable(address)
	a.listens.Store(&reach)
	if o.Dev {
		token, err := a.RootToken(context.Background(), o.DevToken)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.Stdout, "NOT SAFE: everything is in memory and unsealed, and is gone when this process ends.\n\n"+
			"export NIGHTPORTER_ADDR=%[1]s://%[2]s\nexport NIGHTPORTER_TOKEN=%[3]s\nexport VAULT_ADDR=%[1]s://%[2]s\nexport VAULT_TOKEN=%[3]s\n",
			scheme, address, token)
	}
	if o.AddressFile == "" {
		return nil
	}
	// Renamed into place, so that whoever waits for the file never reads half.
	part := o.AddressFile + ".part"
	if err := os.WriteFile(part, []byte(address+"\n"), 0o644); err != nil {
		return fmt.Errorf("write the address file: %w", err)
	}
	return os.Rename(part, o.AddressFile)
}

// reachable is where a program on this machine reaches an address that is
// listened on: an unspecified host means all of them.
func reachable(address string) string {
	ap, err := netip.ParseAddrPort(address)
	if err != nil || !ap.Addr().IsUnspecified() {
		return address
	}
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(int(ap.Port())))
}

func serveUntil(ctx context.Context, s *http.Server, l net.Listener, t config.TLS) error {
	done := make(chan error, 1)
	go func() {
		switch {
		case t.ACME != nil:
			done <- nightporter.E(nightporter.Invalid, "tls.acme is not part of this version").WithHint("use tls: {cert_file, key_file}")
		case t.Serves():
			s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			done <- s.ServeTLS(l, string(t.CertFile), string(t.KeyFile))
		default:
			done <- s.Serve(l)
		}
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.Close()
	}
	if served := <-done; err == nil && !errors.Is(served, http.ErrServerClosed) {
		err = served
	}
	return err
}

// reloadOn reads the configuration again on SIGHUP. A file that is wrong changes
// nothing.
func (a *App) reloadOn(ctx context.Context, o ServeOptions) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-ctx.Done():
			return
		case <-hup:
		}
		next, err := o.load()
		var restart []string
		if err == nil {
			restart, err = a.Reload(ctx, next)
		}
		if err != nil {
			a.log.Error("the new configuration is wrong, the old one stays", "error", err)
			continue
		}
		a.log.Info("took over the new configuration", "needs_restart", restart)
	}
}

// InitResult is what init made.
type InitResult struct {
	Config        string `json:"config"`
	RootToken     string `json:"root_token"`
	UnsealKeyFile string `json:"unseal_key_file"`
}

// Init writes a configuration, a key file and a store into dir, and makes a root
// token. It overwrites nothing: where any of them exists it answers conflict.
func Init(ctx context.Context, dir, version string) (InitResult, error) {
	out := InitResult{Config: filepath.Join(dir, "nightporter.yaml")}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return out, fmt.Errorf("make %s: %w", dir, err)
	}
	f, err := os.OpenFile(out.Config, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	switch {
	case err == nil:
		_, err = f.Write(config.InitFile(config.Starter{}))
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	case errors.Is(err, os.ErrExist):
		// Somebody wrote the configuration first, for a store that is not
		// SQLite, say. A key beside it means that the house is there.
		cfg, lerr := LoadConfig(out.Config, nil)
		if lerr != nil {
			return out, lerr
		}
		if _, serr := os.Stat(string(cfg.Seal.Path)); serr == nil {
			return out, nightporter.E(nightporter.Conflict, "%s exists already", out.Config).WithHint("nightporter server --config %s", out.Config)
		}
		err = nil
	}
	if err != nil {
		return out, fmt.Errorf("write %s: %w", out.Config, err)
	}
	return initWith(ctx, out, version)
}

func initWith(ctx context.Context, out InitResult, version string) (InitResult, error) {
	cfg, err := LoadConfig(out.Config, nil)
	if err != nil {
		return out, err
	}
	if cfg.Seal.Kind != "file" {
		return out, nightporter.E(nightporter.Invalid, "init makes a key file, and the configuration asks for %s", cfg.Seal.Kind).
			WithHint("start the server and initialise it as Vault: vault operator init")
	}
	out.UnsealKeyFile = string(cfg.Seal.Path)
	a, err := New(ctx, Options{Config: cfg, Log: slog.New(slog.DiscardHandler), Version: version, Providers: &Providers{}})
	if err != nil {
		return out, err
	}
	defer a.Close()
	if a.sealer.Status().Initialised {
		return out, nightporter.E(nightporter.Conflict, "the store is initialised already")
	}
	if err := a.Initialise(ctx); err != nil {
		return out, err
	}
	if err := a.mount(ctx); err != nil {
		return out, err
	}
	out.RootToken, err = a.RootToken(ctx, "")
	return out, err
}
