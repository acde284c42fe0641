package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// defaultVersions is how many versions a path keeps when nobody said.
const defaultVersions = 10

func (k *kv) write(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	f := r.Fields()
	data := f.Map("data")
	options := f.Map("options")
	f.Ignore("version")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case !f.Has("data"):
		return nil, vault.Bad("no data provided")
	case strings.HasSuffix(r.Path, "/"):
		return nil, vault.Bad("cannot write to a path ending in '/'")
	}
	cas, asked, err := casOf(options)
	if err != nil {
		return nil, err
	}
	return k.put(ctx, r, cas, asked, func(*store.Tx, meta) (map[string]any, error) { return data, nil })
}

// casOf reads the version that a writer has seen last.
func casOf(options map[string]any) (cas int64, asked bool, err error) {
	raw, ok := options["cas"]
	if !ok {
		return 0, false, nil
	}
	if n, ok := raw.(json.Number); ok {
		if cas, err = n.Int64(); err == nil {
			return cas, true, nil
		}
	}
	if s, ok := raw.(string); ok {
		if cas, err = json.Number(s).Int64(); err == nil {
			return cas, true, nil
		}
	}
	return 0, false, vault.Bad("error parsing check-and-set parameter")
}

// put makes the next version of what content returns inside of the change.
func (k *kv) put(ctx context.Context, r *vault.Request, cas int64, asked bool, content func(*store.Tx, meta) (map[string]any, error)) (*vault.Response, error) {
	mount, path := r.Mount.UUID, pathOf(r)
	var v version
	var custom map[string]string
	err := r.Do(ctx, func(tx *gate.Tx) error {
		c, err := mountConfig(ctx, tx.Tx, mount)
		if err != nil {
			return err
		}
		m, found, err := k.meta(ctx, tx.Tx, mount, path)
		switch {
		case err != nil:
			return err
		case r.Creates() && m.current > 0:
			return vault.Denied()
		case !asked && (c.casRequired || m.casRequired):
			return vault.Bad("check-and-set parameter required for this call")
		case asked && cas != m.current:
			return vault.Bad("check-and-set parameter did not match the current version")
		}
		data, err := content(tx.Tx, m)
		if err != nil {
			return err
		}
		now := store.Micros(tx.Now())
		v = version{number: m.current + 1, createdAt: now, deletedAt: c.deletion(m, tx.Now())}
		if v.value, err = k.encode("kv_version", rowTwo(mount, path, v.number), data); err != nil {
			return err
		}
		if !found {
			m.createdAt = now
		}
		m.current, m.updatedAt, custom = v.number, now, m.custom
		cut := m.prune(c)
		if err := k.putMeta(ctx, tx, mount, path, m); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO kv_version (mount, path, version, created_at, deleted_at, destroyed, value) VALUES (?, ?, ?, ?, ?, 0, ?)`,
			mount, []byte(path), v.number, v.createdAt, v.deletedAt, v.value); err != nil {
			return fmt.Errorf("write a version: %w", err)
		}
		tx.Detail("version", v.number)
		if cut == 0 {
			return nil
		}
		if _, err := tx.Exec(ctx, `DELETE FROM kv_version WHERE mount = ? AND path = ? AND version <= ?`, mount, []byte(path), cut); err != nil {
			return fmt.Errorf("drop old versions: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &vault.Response{Data: v.data(custom)}, nil
}

// prune moves the oldest version up when there are too many, and returns the
// newest one to drop, or 0.
func (m *meta) prune(c kvConfig) int64 {
	limit := max(c.maxVersions, m.maxVersions)
	if limit == 0 {
		limit = defaultVersions
	}
	if m.current-m.oldest < limit {
		return 0
	}
	cut := m.current - limit
	m.oldest = cut + 1
	return cut
}

// patch merges into the current version (RFC 7396).
func (k *kv) patch(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	f := r.Fields()
	changes, options := f.Map("data"), f.Map("options")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case !f.Has("data"):
		return nil, vault.Bad("no data provided")
	}
	cas, asked, err := casOf(options)
	if err != nil {
		return nil, err
	}
	missing := false
	resp, err := k.put(ctx, r, cas, asked, func(tx *store.Tx, _ meta) (map[string]any, error) {
		v, _, found, err := k.find(ctx, tx, r.Mount.UUID, pathOf(r), 0)
		if missing = err == nil && (!found || v.gone(r.Now())); err != nil || missing {
			return nil, firstErr(err, vault.Refuse(http.StatusNotFound, ""))
		}
		plain, err := k.open(r.Mount.UUID, pathOf(r), v)
		if err != nil {
			return nil, err
		}
		defer clear(plain)
		data, err := decode(plain)
		if err != nil {
			return nil, err
		}
		return merge(data, changes), nil
	})
	if missing {
		return &vault.Response{Status: http.StatusNotFound, Empty: true}, nil
	}
	return resp, err
}

// merge applies a merge patch: null removes, objects are merged, everything else
// replaces.
func merge(into, changes map[string]any) map[string]any {
	if into == nil {
		into = map[string]any{}
	}
	for name, value := range changes {
		if value == nil {
			delete(into, name)
			continue
		}
		if inner, ok := value.(map[string]any); ok {
			old, _ := into[name].(map[string]any)
			into[name] = merge(old, inner)
			continue
		}
		into[name] = value
	}
	return into
}
