package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// kvConfig is what holds for a whole mount.
type kvConfig struct {
	maxVersions int64
	casRequired bool
	deleteAfter time.Duration // below 0 is switched off
}

// deletion is when a version that is made now goes by itself; 0 is never. The
// shorter time of mount and path holds.
func (c kvConfig) deletion(m meta, now time.Time) int64 {
	after := m.deleteAfter
	if c.deleteAfter > 0 && (after == 0 || c.deleteAfter < after) {
		after = c.deleteAfter
	}
	if after <= 0 {
		return 0
	}
	return store.Micros(now.Add(after))
}

func mountConfig(ctx context.Context, tx *store.Tx, mount string) (c kvConfig, err error) {
	var cas int64
	err = tx.QueryRow(ctx, `SELECT max_versions, cas_required, delete_after FROM kv_config WHERE mount = ?`, mount).
		Scan(&c.maxVersions, &cas, (*int64)(&c.deleteAfter))
	c.casRequired = cas == 1
	if store.IsNotFound(err) {
		return c, nil
	}
	return c, err
}

func (k *kv) configRead(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var c kvConfig
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		c, err = mountConfig(ctx, tx, r.Mount.UUID)
		return err
	})
	return &vault.Response{Data: map[string]any{
		"max_versions": c.maxVersions, "cas_required": c.casRequired, "delete_version_after": c.deleteAfter.String(), "metadata_cas_required": false,
	}}, err
}

func (k *kv) configWrite(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	f := r.Fields()
	maxVersions, cas := f.Int("max_versions"), f.Bool("cas_required", false)
	after, err := deleteAfter(f)
	f.Ignore("metadata_cas_required")
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		c, err := mountConfig(ctx, tx.Tx, r.Mount.UUID)
		if err != nil {
			return err
		}
		if f.Has("max_versions") {
			c.maxVersions = int64(maxVersions)
		}
		if f.Has("cas_required") {
			c.casRequired = cas
		}
		if f.Has("delete_version_after") {
			c.deleteAfter = after
		}
		_, err = tx.Exec(ctx, `INSERT INTO kv_config (mount, max_versions, cas_required, delete_after) VALUES (?, ?, ?, ?)
			ON CONFLICT (mount) DO UPDATE SET max_versions = excluded.max_versions, cas_required = excluded.cas_required, delete_after = excluded.delete_after`,
			r.Mount.UUID, c.maxVersions, store.Bool(c.casRequired), int64(c.deleteAfter))
		return err
	})
}

// deleteAfter reads delete_version_after, which may be negative: switched off.
// It also reports what is wrong with the other fields.
func deleteAfter(f *vault.Fields) (time.Duration, error) {
	d := time.Duration(0)
	if f.Has("delete_version_after") {
		var err error
		if d, err = vault.ParseDuration(f.String("delete_version_after")); err != nil {
			return 0, vault.Bad("error converting input for field %q: %s", "delete_version_after", err)
		}
	}
	if f.Has("max_versions") && f.Int("max_versions") < 0 {
		return 0, vault.Bad("max_versions cannot be negative")
	}
	return d, f.Err()
}

// meta reads a path's row.
func (k *kv) meta(ctx context.Context, tx *store.Tx, mount, path string) (m meta, found bool, err error) {
	var cas int64
	var custom []byte
	err = tx.QueryRow(ctx, `SELECT current, oldest, created_at, updated_at, max_versions, cas_required, delete_after, changes, custom
		FROM kv_meta WHERE mount = ? AND path = ?`, mount, []byte(path)).
		Scan(&m.current, &m.oldest, &m.createdAt, &m.updatedAt, &m.maxVersions, &cas, (*int64)(&m.deleteAfter), &m.changes, &custom)
	if store.IsNotFound(err) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("read a path: %w", err)
	}
	m.casRequired = cas == 1
	m.custom, err = k.openCustom(mount, path, custom)
	return m, err == nil, err
}

func (k *kv) putMeta(ctx context.Context, tx *gate.Tx, mount, path string, m meta) error {
	var custom []byte
	if m.custom != nil {
		plain, err := json.Marshal(m.custom)
		if err != nil {
			return err
		}
		if custom, err = k.seal.Encrypt(kvPurpose, "kv_meta", "custom", mount+"/"+path, plain); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `INSERT INTO kv_meta (mount, path, current, oldest, created_at, updated_at, max_versions, cas_required, delete_after, changes, custom)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (mount, path) DO UPDATE SET current = excluded.current, oldest = excluded.oldest,
		updated_at = excluded.updated_at, max_versions = excluded.max_versions, cas_required = excluded.cas_required,
		delete_after = excluded.delete_after, changes = excluded.changes, custom = excluded.custom`,
		mount, []byte(path), m.current, m.oldest, m.createdAt, m.updatedAt, m.maxVersions, store.Bool(m.casRequired), int64(m.deleteAfter), m.changes, custom)
	if err != nil {
		return fmt.Errorf("write a path: %w", err)
	}
	return nil
}

func (k *kv) metaRead(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var m meta
	var found bool
	versions := map[string]any{}
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		if m, found, err = k.meta(ctx, tx, r.Mount.UUID, pathOf(r)); err != nil || !found {
			return err
		}
		return tx.Each(ctx, `SELECT version, created_at, deleted_at, destroyed FROM kv_version WHERE mount = ? AND path = ?`,
			[]any{r.Mount.UUID, []byte(pathOf(r))}, func(scan func(...any) error) error {
				var v version
				var destroyed int64
				if err := scan(&v.number, &v.createdAt, &v.deletedAt, &destroyed); err != nil {
					return err
				}
				versions[strconv.FormatInt(v.number, 10)] = map[string]any{
					"created_time": moment(v.createdAt), "deletion_time": moment(v.deletedAt), "destroyed": destroyed == 1,
				}
				return nil
			})
	})
	if err != nil || !found {
		return nil, err
	}
	return &vault.Response{Data: map[string]any{
		"versions": versions, "current_version": m.current, "oldest_version": m.oldest, "created_time": moment(m.createdAt), "updated_time": moment(m.updatedAt),
		"max_versions": m.maxVersions, "cas_required": m.casRequired, "delete_version_after": m.deleteAfter.String(), "custom_metadata": orNil(m.custom),
		"current_metadata_version": m.changes, "metadata_cas_required": false,
	}}, nil
}

func (k *kv) metaWrite(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return k.metaChange(ctx, r, replaceCustom)
}

// metaPatch changes what it names and leaves the rest, inside of
// custom_metadata too.
func (k *kv) metaPatch(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return k.metaChange(ctx, r, mergeCustom)
}

// customRule says what a write does with the custom metadata that is there.
type customRule int

const (
	replaceCustom customRule = iota
	mergeCustom
)

func (k *kv) metaChange(ctx context.Context, r *vault.Request, rule customRule) (*vault.Response, error) {
	f := r.Fields()
	maxVersions, cas := f.Int("max_versions"), f.Bool("cas_required", false)
	after, err := deleteAfter(f)
	if err != nil {
		return nil, err
	}
	custom, err := customOf(f)
	if err != nil {
		return nil, err
	}
	f.Ignore("metadata_cas", "metadata_cas_required")
	missing := false
	err = r.Do(ctx, func(tx *gate.Tx) error {
		m, found, err := k.meta(ctx, tx.Tx, r.Mount.UUID, pathOf(r))
		if err != nil {
			return err
		}
		if missing = rule == mergeCustom && !found; missing {
			return nil
		}
		if found && r.Creates() {
			return vault.Denied()
		}
		if !found {
			m.createdAt = store.Micros(tx.Now())
		}
		if f.Has("max_versions") {
			m.maxVersions = int64(maxVersions)
		}
		if f.Has("cas_required") {
			m.casRequired = cas
		}
		if f.Has("delete_version_after") {
			m.deleteAfter = after
		}
		if f.Has("custom_metadata") {
			if rule == replaceCustom || m.custom == nil {
				m.custom = map[string]string{}
			}
			for name, value := range custom {
				if value == nil {
					delete(m.custom, name)
				} else {
					m.custom[name] = *value
				}
			}
			if len(m.custom) > 64 {
				return vault.Bad("custom_metadata validation failed: payload must contain at most 64 keys, provided %d", len(m.custom))
			}
		}
		m.updatedAt = store.Micros(tx.Now())
		m.changes++
		return k.putMeta(ctx, tx, r.Mount.UUID, pathOf(r), m)
	})
	if missing {
		return &vault.Response{Status: http.StatusNotFound, Empty: true}, nil
	}
	return nil, err
}

// customOf reads custom_metadata: short texts, or null to remove one.
func customOf(f *vault.Fields) (map[string]*string, error) {
	out := map[string]*string{}
	for name, value := range f.Map("custom_metadata") {
		switch value := value.(type) {
		case nil:
			out[name] = nil
		case string:
			out[name] = &value
		default:
			return nil, vault.Bad("custom_metadata validation failed: '' expected type 'string', got unconvertible type '%T'", value)
		}
		if name == "" || len(name) > 128 || out[name] != nil && len(*out[name]) > 512 {
			return nil, vault.Bad("custom_metadata validation failed: length of key must be 1 to 128, of a value at most 512")
		}
	}
	return out, f.Err()
}

func (k *kv) metaDelete(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		for _, table := range []string{"kv_meta", "kv_version"} {
			if _, err := tx.Exec(ctx, `DELETE FROM `+table+` WHERE mount = ? AND path = ?`, r.Mount.UUID, []byte(pathOf(r))); err != nil {
				return fmt.Errorf("delete a path: %w", err)
			}
		}
		return nil
	})
}
