// Package identity turns what a request carries into an [nightporter.Actor]: a
// token, a console session, a name and a password.
//
// A token is 256 random bits. The store keeps its SHA-256 and nothing else, so
// neither a backup nor an administrator can use it. Each token has a lease: when
// the lease or any ancestor ends, the token is dead at once. A person's tokens
// carry the person's name; what they may do follows from the catalog at the time
// of use, so leaving a team takes effect with the next request.
package identity

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
)

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "identity/0001", SQL: `
CREATE TABLE token (
	hash BYTEA PRIMARY KEY,
	accessor TEXT NOT NULL,
	kind TEXT NOT NULL,
	actor_kind TEXT NOT NULL,
	actor TEXT NOT NULL,
	display_name TEXT NOT NULL,
	entity TEXT NOT NULL,
	method TEXT NOT NULL,
	role TEXT NOT NULL,
	policies TEXT NOT NULL,
	meta TEXT NOT NULL,
	path TEXT NOT NULL,
	uses BIGINT NOT NULL,
	period BIGINT NOT NULL,
	ttl BIGINT NOT NULL,
	explicit_max BIGINT NOT NULL,
	networks TEXT NOT NULL
);
CREATE UNIQUE INDEX token_accessor ON token (accessor);
CREATE TABLE cubbyhole (
	accessor TEXT NOT NULL,
	name TEXT NOT NULL,
	value BYTEA NOT NULL,
	PRIMARY KEY (accessor, name)
);
CREATE TABLE policy (
	name TEXT PRIMARY KEY,
	text TEXT NOT NULL,
	version BIGINT NOT NULL,
	at BIGINT NOT NULL
);
CREATE TABLE userpass (
	mount TEXT NOT NULL,
	name TEXT NOT NULL,
	hash TEXT NOT NULL,
	grants TEXT NOT NULL,
	at BIGINT NOT NULL,
	PRIMARY KEY (mount, name)
);
CREATE TABLE login_code (
	hash BYTEA PRIMARY KEY,
	person TEXT NOT NULL,
	expires_at BIGINT NOT NULL
);
`}}

// Config is what [Identity] needs.
type Config struct {
	DB       *store.DB        // required: tokens are looked up before there is an actor
	Policies *policy.Set      // required
	Catalog  *catalog.Catalog // required
	// Workspaces are the metrics workspaces, whose policies are generated. nil
	// means none.
	Workspaces func() []string
	Log        *slog.Logger     // nil is silent
	Now        func() time.Time // nil means time.Now; never a demo's clock
}

// Identity knows who is who.
type Identity struct {
	cfg     Config
	gate    *gate.Gate
	hashing chan struct{} // bounds the memory of password hashing
	limits  limiter
	living  living
	started time.Time
}

// New makes it. Bind gives it the gate, which needs Identity to decide.
func New(cfg Config) (*Identity, error) {
	if cfg.DB == nil || cfg.Policies == nil || cfg.Catalog == nil {
		return nil, errors.New("identity: DB, Policies and Catalog are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Identity{cfg: cfg, hashing: make(chan struct{}, 2), limits: limiter{now: cfg.Now}, started: cfg.Now()}, nil
}

// Bind gives the gate through which tokens and policies change.
func (i *Identity) Bind(g *gate.Gate) { i.gate = g }

// Decide answers the gate. A person's policies are those of the token and those
// of the roles that the catalog gives now.
func (i *Identity) Decide(ctx context.Context, actor nightporter.Actor, action nightporter.Action) nightporter.Decision {
	return i.cfg.Policies.DecideRequest(actor, action, policy.RequestFrom(ctx))
}

// Roles are the bundles that the catalog gives to a person.
func (i *Identity) Roles(person string) []string {
	world := i.cfg.Catalog.Current()
	if _, ok := world.PersonByUserName(person); !ok {
		return nil
	}
	roles := []string{policy.ViewerName, policy.DeveloperName}
	for _, team := range world.TeamsOf(person) {
		roles = append(roles, policy.OwnerName(team))
	}
	if world.IsOperator(person) {
		roles = append(roles, policy.OperatorName)
	}
	return roles
}

// ActorOf is the actor that a token stands for, with what the catalog gives it
// now. Whether the token lives is the caller's to know.
func (i *Identity) ActorOf(t Info, remote string) nightporter.Actor {
	a := nightporter.Actor{
		Kind: t.ActorKind, Name: t.Actor, Method: t.Method, Accessor: t.Accessor, Policies: t.Policies, Remote: remote,
	}
	if a.Kind == nightporter.Person && !slices.Contains(a.Policies, policy.RootName) {
		a.Policies = append(slices.Clone(a.Policies), i.Roles(a.Name)...)
	}
	return a
}

// LoadPolicies reads the stored policies into the set and writes those that are
// generated: the role bundles of the catalog as it is now. It runs at start and
// after every reload.
func (i *Identity) LoadPolicies(ctx context.Context) error {
	world := i.cfg.Catalog.Current()
	bundles := policy.BundleConfig{Owners: map[string][]string{}, Credentials: map[string][]string{}}
	for _, e := range world.Environments() {
		if e.Kind != nightporter.Production {
			bundles.NonProduction = append(bundles.NonProduction, e.Name)
		}
	}
	for _, t := range world.Teams() {
		bundles.Owners[t.Name] = nil
	}
	for _, s := range world.Services() {
		bundles.Owners[s.Owner] = append(bundles.Owners[s.Owner], s.Name)
	}
	var instances []policy.Bundle
	for _, s := range world.Services() {
		for _, env := range world.EnvironmentsOf(s.Name) {
			if paths := s.CredentialsIn(env); len(paths) > 0 {
				bundles.Credentials[s.Name] = append(bundles.Credentials[s.Name], paths...)
				b, err := policy.Instance(s.Name, env, paths)
				if err != nil {
					return err
				}
				instances = append(instances, b)
			}
		}
	}
	generated, err := policy.Bundles(bundles)
	if err != nil {
		return err
	}
	generated = append(generated, instances...)
	if i.cfg.Workspaces != nil {
		for _, name := range i.cfg.Workspaces() {
			b, err := policy.Workspace(name)
			if err != nil {
				return err
			}
			generated = append(generated, b...)
		}
	}
	texts := map[string]string{policy.DefaultName: policy.DefaultText, policy.WrappingName: policy.WrappingText}
	err = i.cfg.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT name, text FROM policy`, nil, func(scan func(...any) error) error {
			var name, text string
			if err := scan(&name, &text); err != nil {
				return err
			}
			texts[name] = text
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("read policies: %w", err)
	}
	parsed := make([]*policy.Policy, 0, len(texts)+len(generated))
	for _, b := range generated {
		delete(texts, b.Name)
		p, err := b.Parse()
		if err != nil {
			return fmt.Errorf("read the generated policy %s: %w", b.Name, err)
		}
		parsed = append(parsed, p)
	}
	for name, text := range texts {
		p, err := policy.Parse(name, text)
		if err != nil {
			return fmt.Errorf("read policy %s: %w", name, err)
		}
		parsed = append(parsed, p)
	}
	i.cfg.Policies.Replace(parsed...)
	return nil
}

// Generated says that a policy's text follows from the catalog and cannot be
// written.
func (i *Identity) Generated(name string) bool {
	return name == policy.ViewerName || name == policy.DeveloperName || name == policy.OperatorName ||
		slices.ContainsFunc(i.cfg.Catalog.Current().Teams(), func(t catalog.Team) bool { return policy.OwnerName(t.Name) == name }) ||
		i.ofInstance(name)
}

// ofInstance says that a policy is one that the instances of a service have.
func (i *Identity) ofInstance(name string) bool {
	world := i.cfg.Catalog.Current()
	return slices.ContainsFunc(world.Services(), func(s catalog.Service) bool {
		return len(s.Credentials) > 0 && slices.ContainsFunc(world.EnvironmentsOf(s.Name), func(env string) bool {
			return policy.InstanceName(s.Name, env) == name
		})
	})
}

// PutPolicy writes a policy. Errors: invalid with line and column for a text that
// does not parse, declared for a generated one.
func (i *Identity) PutPolicy(ctx context.Context, name, text string) error {
	name, err := policy.Name(name)
	if err != nil {
		return err
	}
	if i.Generated(name) || name == policy.RootName {
		return nightporter.E(nightporter.Declared, "policy %s is made by nightporter and cannot be changed", name)
	}
	p, err := policy.Parse(name, text)
	if err != nil {
		return err
	}
	return i.policies(ctx, "policy.write", nightporter.Update, name, func(tx *gate.Tx) error {
		tx.AfterCommit(func() { i.cfg.Policies.Put(p) })
		_, err := tx.Exec(ctx, `INSERT INTO policy (name, text, version, at) VALUES (?, ?, 1, ?)
			ON CONFLICT (name) DO UPDATE SET text = excluded.text, version = policy.version + 1, at = excluded.at`,
			name, text, store.Micros(tx.Now()))
		return err
	})
}

// DeletePolicy removes a policy. Removing one that is not there is fine.
func (i *Identity) DeletePolicy(ctx context.Context, name string) error {
	name, err := policy.Name(name)
	if err != nil {
		return err
	}
	if i.Generated(name) || name == policy.RootName || name == "default" {
		return nightporter.E(nightporter.Invalid, "policy %s cannot be deleted", name)
	}
	return i.policies(ctx, "policy.delete", nightporter.Delete, name, func(tx *gate.Tx) error {
		tx.AfterCommit(func() { i.cfg.Policies.Delete(name) })
		_, err := tx.Exec(ctx, `DELETE FROM policy WHERE name = ?`, name)
		return err
	})
}

func (i *Identity) policies(ctx context.Context, action string, c nightporter.Capability, name string, fn func(*gate.Tx) error) error {
	return i.gate.Do(ctx, nightporter.Action{Name: action, Capability: c, Path: "sys/policies/acl/" + name},
		nightporter.Resource{Kind: "policy", ID: name}, fn)
}

// PolicyText is a policy as it was written.
type PolicyText struct {
	Name, Text string
	Version    int
	Modified   time.Time
}

// Policy reads a policy's text; not_found when there is none. One that follows
// from the catalog, or has never been written, is of version 1 and as old as
// this process.
func (i *Identity) Policy(ctx context.Context, name string) (PolicyText, error) {
	p, ok := i.cfg.Policies.Get(name)
	if !ok {
		return PolicyText{}, nightporter.E(nightporter.NotFound, "there is no policy %s", name)
	}
	out := PolicyText{Name: name, Text: p.Text, Version: 1, Modified: i.started}
	err := i.cfg.DB.View(ctx, func(tx *store.Tx) error {
		var at int64
		err := tx.QueryRow(ctx, `SELECT version, at FROM policy WHERE name = ?`, name).Scan(&out.Version, &at)
		if store.IsNotFound(err) {
			return nil
		}
		out.Modified = store.Time(at)
		return err
	})
	return out, err
}
