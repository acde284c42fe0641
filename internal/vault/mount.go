package vault

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
)

// Mount is a backend at a path.
type Mount struct {
	// Path ends in a slash; logins start with "auth/".
	Path        string            `json:"path"`
	Type        string            `json:"type"`
	Description string            `json:"description"`
	UUID        string            `json:"uuid"`
	Accessor    string            `json:"accessor"`
	Options     map[string]string `json:"options"`
	Config      MountConfig       `json:"config"`
	Local       bool              `json:"local"`
}

// MountConfig is what sys/mounts/…/tune changes.
type MountConfig struct {
	DefaultTTL time.Duration `json:"default_ttl,omitempty"` // 0 is the server's
	MaxTTL     time.Duration `json:"max_ttl,omitempty"`     // 0 is the server's
	Listing    string        `json:"listing,omitempty"`     // "unauth" shows it to strangers
	TokenType  string        `json:"token_type,omitempty"`  // of logins
}

// Login says that the mount is a login method.
func (m Mount) Login() bool { return strings.HasPrefix(m.Path, "auth/") }

// Name is the mount's path as its own listing shows it: logins without "auth/".
func (m Mount) Name() string { return strings.TrimPrefix(m.Path, "auth/") }

// DefaultTTL and MaxTTL are those of the mount, or the server's 32 days.
func (m Mount) DefaultTTL() time.Duration {
	if m.Config.DefaultTTL > 0 {
		return m.Config.DefaultTTL
	}
	return min(serverTTL, m.MaxTTL())
}

// MaxTTL is the longest life of anything that the mount hands out.
func (m Mount) MaxTTL() time.Duration {
	if m.Config.MaxTTL > 0 {
		return m.Config.MaxTTL
	}
	return serverTTL
}

// serverTTL is Vault's 768 hours.
const serverTTL = 768 * time.Hour

// Migrations are the tables of this package.
var Migrations = []store.Migration{{Name: "vault/0001", SQL: `
CREATE TABLE mount (
	path TEXT PRIMARY KEY,
	uuid TEXT NOT NULL,
	mount TEXT NOT NULL
);
CREATE TABLE vault_entry (
	space TEXT NOT NULL,
	name TEXT NOT NULL,
	value BYTEA NOT NULL,
	PRIMARY KEY (space, name)
);
CREATE TABLE jwt_seen (
	hash BYTEA PRIMARY KEY,
	expires_at BIGINT NOT NULL
);
CREATE INDEX jwt_seen_expiry ON jwt_seen (expires_at);
`}}

// table is the mounts at one moment. It does not change.
type table struct{ mounts map[string]Mount }

func (v *Vault) mounts() *table { return v.table.Load() }

// backendOf returns what serves a mount, or nil when this binary has none.
func (v *Vault) backendOf(m Mount) Backend {
	if m.Login() {
		return v.backends["auth/"+m.Type]
	}
	return v.backends[m.Type]
}

// find returns the mount that a path belongs to and the rest of the path. No
// mount is inside of another, so the first is the only one.
func (t *table) find(path string) (Mount, string, bool) {
	for i := 0; i < len(path); i++ {
		if path[i] == '/' {
			if m, ok := t.mounts[path[:i+1]]; ok {
				return m, path[i+1:], true
			}
		}
	}
	m, ok := t.mounts[path+"/"]
	return m, "", ok
}

// taken returns the mount that a new one at path would be inside of, or around.
func (t *table) taken(path string) (string, bool) {
	if m, _, ok := t.find(path); ok {
		return m.Path, true
	}
	for _, m := range t.sorted() {
		if strings.HasPrefix(m.Path, path) {
			return m.Path, true
		}
	}
	return "", false
}

func (t *table) sorted() []Mount {
	return slices.SortedFunc(maps.Values(t.mounts), func(a, b Mount) int { return strings.Compare(a.Path, b.Path) })
}

// builtin are the mounts that are always there and cannot be removed.
var builtin = []Mount{
	{Path: "sys/", Type: "system", Description: "system endpoints used for control, policy and debugging"},
	{Path: "cubbyhole/", Type: "cubbyhole", Description: "per-token private secret storage", Local: true},
	{Path: "auth/token/", Type: "token", Description: "token based credentials", Config: MountConfig{TokenType: "default-service"}},
}

// reserved paths belong to others: the rest of the product and what Vault keeps
// for itself. Nothing can be mounted over them.
var reserved = []string{"sys/", "auth/", "cubbyhole/", "identity/", "api/", "audit/", "v1/"}

func isReserved(path string) bool {
	return slices.ContainsFunc(reserved, func(r string) bool { return strings.HasPrefix(path, r) })
}

// loadMounts reads the table and adds the built-in mounts that are missing.
func (v *Vault) loadMounts(ctx context.Context) error {
	t := &table{mounts: map[string]Mount{}}
	err := v.cfg.DB.View(ctx, func(tx *store.Tx) error {
		return tx.Each(ctx, `SELECT mount FROM mount`, nil, func(scan func(...any) error) error {
			var text string
			if err := scan(&text); err != nil {
				return err
			}
			var m Mount
			if err := json.Unmarshal([]byte(text), &m); err != nil {
				return err
			}
			t.mounts[m.Path] = m
			return nil
		})
	})
	if err != nil {
		return fmt.Errorf("read the mount table: %w", err)
	}
	v.table.Store(t)
	for _, m := range builtin {
		if _, ok := t.mounts[m.Path]; !ok {
			if err := v.Enable(system(ctx, ""), m); err != nil {
				return err
			}
		}
	}
	return nil
}

// Enable mounts a backend, as the context's actor: for the application, which
// mounts what a new installation starts with. Path and Type are required; UUID
// and Accessor are filled in. Errors are Vault's: a taken path, an unknown type.
func (v *Vault) Enable(ctx context.Context, m Mount) error {
	if !strings.HasSuffix(m.Path, "/") {
		m.Path += "/"
	}
	action := nightporter.Action{Name: "mount.enable", Capability: nightporter.Update, Path: "sys/mounts/" + strings.TrimSuffix(m.Path, "/")}
	if m.Login() {
		action.Path, action.Sudo = "sys/auth/"+strings.TrimSuffix(m.Name(), "/"), true
	}
	return v.enable(ctx, action, m)
}

func (v *Vault) enable(ctx context.Context, action nightporter.Action, m Mount) error {
	b := v.backendOf(m)
	if b == nil {
		return Bad("plugin not found in the catalog: %s", m.Type)
	}
	if mounter, ok := b.(Mounter); ok {
		if err := mounter.Mount(&m); err != nil {
			return err
		}
	}
	prefix := m.Type
	if m.Login() {
		prefix = "auth_" + m.Type
	}
	m.UUID, m.Accessor = newUUID(), prefix+"_"+randomHex(4)
	return v.changeMounts(ctx, action, m.Path, func(tx *gate.Tx, t *table) error {
		if at, taken := t.taken(m.Path); taken {
			return Bad("path is already in use at %s", strings.TrimPrefix(at, "auth/"))
		}
		t.mounts[m.Path] = m
		return putMount(ctx, tx, m)
	})
}

// changeMounts makes one change of the table: in the store, then in memory.
func (v *Vault) changeMounts(ctx context.Context, action nightporter.Action, path string, fn func(*gate.Tx, *table) error) error {
	v.mounting.Lock()
	defer v.mounting.Unlock()
	return v.cfg.Gate.Do(ctx, action, nightporter.Resource{Kind: "mount", ID: path}, func(tx *gate.Tx) error {
		next := &table{mounts: maps.Clone(v.mounts().mounts)}
		tx.AfterCommit(func() { v.table.Store(next) })
		return fn(tx, next)
	})
}

func putMount(ctx context.Context, tx *gate.Tx, m Mount) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO mount (path, uuid, mount) VALUES (?, ?, ?)
		ON CONFLICT (path) DO UPDATE SET uuid = excluded.uuid, mount = excluded.mount`, m.Path, m.UUID, string(text))
	if err != nil {
		return fmt.Errorf("write mount %s: %w", m.Path, err)
	}
	return nil
}

func deleteMount(ctx context.Context, tx *gate.Tx, path string) error {
	if _, err := tx.Exec(ctx, `DELETE FROM mount WHERE path = ?`, path); err != nil {
		return fmt.Errorf("delete mount %s: %w", path, err)
	}
	return nil
}

// newUUID is a random UUID (RFC 9562 §5.4).
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	return hex.EncodeToString(b)
}
