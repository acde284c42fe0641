package vault

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/seal"
	"nightporter.dev/nightporter/internal/store"
)

// Leases ends leases; [lease.Reaper] does.
type Leases interface {
	// Wake says that something was doomed.
	Wake()
	// Finish ends doomed leases now, and says why one could not be ended yet.
	Finish(ctx context.Context, ids []string) error
}

// LeaseRenewer is a [Backend] whose leases need something done outside when they
// are renewed, before their end is moved in the store: a database's VALID UNTIL.
type LeaseRenewer interface {
	// RenewLease makes what the lease stands for good until end, which no
	// maximum cuts any more.
	RenewLease(ctx context.Context, l lease.Lease, end time.Time) error
}

// Config is what a [Vault] needs.
type Config struct {
	DB       *store.DB          // required
	Gate     *gate.Gate         // required
	Identity *identity.Identity // required
	Policies *policy.Set        // required
	Seal     *seal.Sealer       // required
	Leases   Leases             // required
	// Backends are the secrets engines, by type. sys, token and the login
	// methods are here already.
	Backends []Backend
	// Version is the product's. Default "dev".
	Version string
	// Compatible is the version that sys/health tells: SDKs and the Terraform
	// provider turn features on and off by it. Default "1.14.8", the last of
	// Vault's whose API this is.
	Compatible string
	// Storage is what seal-status calls the store. Default "sqlite" or
	// "postgresql", whichever it is.
	Storage string
	// Metrics writes the product's metrics for sys/metrics. Default: none.
	Metrics http.Handler
	// HTTP fetches the keys of JWT issuers. Default: a client that goes
	// nowhere, so that only keys in the configuration work.
	HTTP *http.Client
	// Log takes what nobody else is told. Default: silent.
	Log *slog.Logger
	// Now tells the time of tokens and leases; never a demo's clock. Default
	// time.Now.
	Now func() time.Time
}

// Vault serves Vault's API. It is safe for concurrent use.
type Vault struct {
	cfg      Config
	backends map[string]Backend // by type; logins as "auth/TYPE"
	sys      Backend
	started  time.Time

	mounting sync.Mutex // one change of the mount table at a time
	table    atomic.Pointer[table]

	keysets keysets // of JWT issuers
}

// New makes it and reads the mount table, which needs no unsealing. The first
// start writes the mounts that are always there.
func New(ctx context.Context, cfg Config) (*Vault, error) {
	if cfg.DB == nil || cfg.Gate == nil || cfg.Identity == nil || cfg.Policies == nil || cfg.Seal == nil || cfg.Leases == nil {
		return nil, errors.New("vault: DB, Gate, Identity, Policies, Seal and Leases are required")
	}
	if cfg.Version == "" {
		cfg.Version = "dev"
	}
	if cfg.Compatible == "" {
		cfg.Compatible = "1.14.8"
	}
	if cfg.Storage == "" {
		cfg.Storage = map[store.Dialect]string{store.SQLite: "sqlite", store.Postgres: "postgresql"}[cfg.DB.Dialect()]
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	v := &Vault{cfg: cfg, backends: map[string]Backend{}, started: cfg.Now()}
	v.sys = v.sysBackend()
	v.backends["system"] = v.sys
	for _, b := range cfg.Backends {
		if _, taken := v.backends[b.Type()]; taken {
			return nil, fmt.Errorf("vault: two backends are of type %q", b.Type())
		}
		v.backends[b.Type()] = b
	}
	for _, b := range []Backend{v.tokenBackend(), v.userpassBackend(), v.approleBackend(), v.jwtBackend()} {
		v.backends["auth/"+b.Type()] = b
	}
	if err := v.loadMounts(ctx); err != nil {
		return nil, err
	}
	return v, nil
}

// The bounds of a request's body. Vault's store takes values of 1 MiB.
const (
	maxBody  = 2 << 20
	maxDepth = 32
)

// Routes is the one route under /v1/. It is public to the front door because who
// may come in is Vault's own question: some paths are open, and which ones
// depends on the mount table.
func (v *Vault) Routes() []httpapi.Route {
	return []httpapi.Route{{
		Pattern: "/v1/", Access: httpapi.Public, Handler: v.serve, Answer: httpapi.NotKept,
		MaxBody: maxBody, MaxDepth: maxDepth, Timeout: 90 * time.Second,
	}}
}

// system is the actor for what nobody asked for in a request.
func system(ctx context.Context, cause string) context.Context {
	return nightporter.WithActor(ctx, nightporter.SystemActor("vault", cause))
}
