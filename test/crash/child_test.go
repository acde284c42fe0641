package crash

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/mirror"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/process"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/provider/forge/github"
)

// The environment that makes this binary a house.
const (
	envConfig = "CRASH_CONFIG" // the file
	envStore  = "CRASH_STORE"  // its URL
	envPoint  = "CRASH_POINT"  // where to die, "" for nowhere
	envPass   = "CRASH_PASS"   // at which pass
	envRecord = "CRASH_RECORD" // the file that gets each point passed
	envPorts  = "CRASH_PORTS"  // the first port of its deployments
)

// portsEach is how many ports the deployments of one house may take.
const portsEach = 40

func TestMain(m *testing.M) {
	if os.Getenv(envConfig) != "" {
		if err := house(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	flag.Parse()
	inParallel(6)
	os.Exit(m.Run())
}

// house serves on the socket that it inherits until it kills itself, or until
// its parent is gone.
func house() error {
	inherited := os.NewFile(3, "listener")
	listener, err := net.FileListener(inherited)
	if err != nil {
		return fmt.Errorf("take over the socket: %w", err)
	}
	if err := inherited.Close(); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with the parent
		os.Exit(0)
	}()
	record, err := os.OpenFile(os.Getenv(envRecord), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	pass, err := strconv.Atoi(os.Getenv(envPass))
	if err != nil {
		return err
	}
	k := &killer{point: os.Getenv(envPoint), pass: pass, record: record, passes: map[string]int{}}
	cfg, err := config.Load(os.Getenv(envConfig))
	if err != nil {
		return err
	}
	far, err := providers(cfg, k)
	if err != nil {
		return err
	}
	ctx := context.Background()
	a, err := app.New(ctx, app.Options{
		Config: cfg, Version: "crash", StoreURL: os.Getenv(envStore), Providers: far, Fault: k.at,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	go a.Run(ctx)
	return a.Server().Serve(listener)
}

// providers are those that the app itself would make of the configuration, with
// points around them.
func providers(cfg *config.Config, k *killer) (*app.Providers, error) {
	hub := cfg.Forges["hub"]
	gh, err := github.New(github.Config{
		BaseURL: hub.URL, Organisation: hub.Organisation,
		WebhookSecret: func() ([]byte, error) { return []byte(hookSecret), nil },
	})
	if err != nil {
		return nil, err
	}
	ports, err := strconv.Atoi(os.Getenv(envPorts))
	if err != nil {
		return nil, err
	}
	d, err := process.New(process.Config{
		Dir: filepath.Join(string(cfg.DataDir), "deploy"), SameUser: process.Allowed, FirstPort: ports, LastPort: ports + portsEach - 1,
	})
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(hub.URL)
	if err != nil {
		return nil, err
	}
	source, err := mirror.New(mirror.Config{
		Dir: filepath.Join(string(cfg.DataDir), "git"), Remotes: map[string]mirror.Remote{"hub": remote{gh}}, Protocols: []string{u.Scheme},
	})
	if err != nil {
		return nil, err
	}
	return &app.Providers{
		Forges:    map[string]forge.Forge{"hub": forgeAt{gh, k}},
		Deployers: map[string]deploy.Deployer{"process": deployerAt{d, k}},
		Source:    sourceAt{source, k}, SweepEvery: time.Second,
	}, nil
}

// remote lets the mirror fetch from the forge.
type remote struct{ forge.Source }

func (r remote) Credentials(context.Context, string) (mirror.Credentials, error) {
	return mirror.Credentials{}, nil
}
