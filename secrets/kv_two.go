package secrets

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
)

// Version 2: every write makes a version. A version can be deleted and brought
// back, or destroyed, and the oldest ones go when there are too many.

func (k *kv) paths() *vault.Paths {
	return vault.NewPaths("kv",
		vault.Path{Pattern: "config", Read: k.configRead, Write: k.configWrite},
		vault.Path{Pattern: "metadata", List: k.list},
		vault.Path{Pattern: "data/{path...}", Read: k.read, Write: k.write, Patch: k.patch, Delete: k.deleteLatest, Exists: k.hasVersions},
		vault.Path{Pattern: "metadata/{path...}", Read: k.metaRead, Write: k.metaWrite, Patch: k.metaPatch, Delete: k.metaDelete, List: k.list, Exists: k.hasMeta},
		vault.Path{Pattern: "delete/{path...}", Write: k.versions("UPDATE kv_version SET deleted_at = ? WHERE destroyed = 0 AND (deleted_at = 0 OR deleted_at > ?) AND ")},
		vault.Path{Pattern: "undelete/{path...}", Write: k.undelete},
		vault.Path{Pattern: "destroy/{path...}", Write: k.destroy},
		vault.Path{Pattern: "subkeys/{path...}", Read: k.subkeys},
	)
}

const wrongPath = "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. " +
	"If using the Vault CLI, use 'vault kv %s' for this operation."

func (k *kv) handleTwo(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	if err := checkPath(r.Path); err != nil {
		return nil, err
	}
	first, rest, _ := strings.Cut(r.Path, "/")
	switch first {
	case "data", "metadata", "delete", "undelete", "destroy", "subkeys":
		if rest == "" && r.Op != vault.List {
			return &vault.Response{Status: http.StatusNotFound, Warnings: []string{"Non-listing operations on the root of a K/V v2 mount are not supported."}}, nil
		}
		if rest == "" && first != "metadata" {
			return nil, vault.Unsupported()
		}
		return k.two.Handle(ctx, r)
	case "config":
		return k.two.Handle(ctx, r)
	}
	verb := map[vault.Operation]string{vault.Read: "get", vault.Write: "put", vault.List: "list", vault.Delete: "delete", vault.Patch: "patch"}[r.Op]
	return &vault.Response{Status: http.StatusNotFound, Warnings: []string{fmt.Sprintf(wrongPath, verb)}}, nil
}

// meta is a path's row.
type meta struct {
	current, oldest      int64
	createdAt, updatedAt int64
	maxVersions          int64
	casRequired          bool
	deleteAfter          time.Duration
	changes              int64
	custom               map[string]string
}

// version is one version's row.
type version struct {
	number               int64
	createdAt, deletedAt int64
	destroyed            bool
	value                []byte // encrypted; nil when destroyed
}

// gone says that the version shows no data at now.
func (v version) gone(now time.Time) bool {
	return v.destroyed || v.deletedAt != 0 && v.deletedAt <= store.Micros(now)
}

func pathOf(r *vault.Request) string { return r.Vars["path"] }

func rowTwo(mount, path string, number int64) string {
	return mount + "/" + path + "#" + strconv.FormatInt(number, 10)
}

// data is a version's part of an answer.
func (v version) data(custom map[string]string) map[string]any {
	return map[string]any{
		"version": v.number, "created_time": moment(v.createdAt), "deletion_time": moment(v.deletedAt), "destroyed": v.destroyed, "custom_metadata": orNil(custom),
	}
}

func orNil(m map[string]string) any {
	if m == nil {
		return nil
	}
	return m
}

func moment(us int64) string {
	if us == 0 {
		return ""
	}
	return store.Time(us).Format(time.RFC3339Nano)
}

// find reads one version of a path; 0 is the current one. found is false when
// there is no such path or version.
func (k *kv) find(ctx context.Context, tx *store.Tx, mount, path string, number int64) (v version, custom map[string]string, found bool, err error) {
	var destroyed int64
	var sealedCustom []byte
	err = tx.QueryRow(ctx, `SELECT m.custom, v.version, v.created_at, v.deleted_at, v.destroyed, v.value FROM kv_meta m
		JOIN kv_version v ON v.mount = m.mount AND v.path = m.path AND v.version = CASE WHEN ? = 0 THEN m.current ELSE ? END
		WHERE m.mount = ? AND m.path = ?`, number, number, mount, []byte(path)).
		Scan(&sealedCustom, &v.number, &v.createdAt, &v.deletedAt, &destroyed, &v.value)
	if store.IsNotFound(err) {
		return v, nil, false, nil
	}
	if err != nil {
		return v, nil, false, fmt.Errorf("read a value: %w", err)
	}
	v.destroyed = destroyed == 1
	custom, err = k.openCustom(mount, path, sealedCustom)
	return v, custom, err == nil, err
}

func (k *kv) openCustom(mount, path string, sealed []byte) (custom map[string]string, err error) {
	if sealed == nil {
		return nil, nil
	}
	plain, err := k.seal.Decrypt(kvPurpose, "kv_meta", "custom", mount+"/"+path, sealed)
	if err != nil {
		return nil, err
	}
	return custom, json.Unmarshal(plain, &custom)
}

// open decrypts a version's value.
func (k *kv) open(mount, path string, v version) ([]byte, error) {
	return k.seal.Decrypt(kvPurpose, "kv_version", "value", rowTwo(mount, path, v.number), v.value)
}

// readVersion reads the version that a request asks for, through the gate. plain
// is nil where there is no data; resp then is the answer, nil for none at all.
func (k *kv) readVersion(ctx context.Context, r *vault.Request) (plain []byte, metadata map[string]any, resp *vault.Response, err error) {
	number := r.Fields().Validated().Int("version")
	r.Fields().Ignore("depth")
	if err := r.Fields().Err(); err != nil {
		return nil, nil, nil, err
	}
	var v version
	var custom map[string]string
	var found bool
	err = r.Read(ctx, func(tx *store.Tx) error {
		v, custom, found, err = k.find(ctx, tx, r.Mount.UUID, pathOf(r), int64(number))
		return err
	})
	if err != nil || !found {
		return nil, nil, nil, err
	}
	metadata = v.data(custom)
	if v.gone(r.Now()) {
		return nil, metadata, &vault.Response{Status: http.StatusNotFound, Data: map[string]any{"data": nil, "metadata": metadata}}, nil
	}
	plain, err = k.open(r.Mount.UUID, pathOf(r), v)
	return plain, metadata, nil, err
}

func (k *kv) read(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	plain, metadata, resp, err := k.readVersion(ctx, r)
	if err != nil || plain == nil {
		return resp, err
	}
	return &vault.Response{Data: map[string]any{"data": json.RawMessage(plain), "metadata": metadata}}, nil
}

// subkeys shows the names in a value and not what they hold.
func (k *kv) subkeys(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	depth := r.Fields().Int("depth")
	plain, metadata, resp, err := k.readVersion(ctx, r)
	if err != nil || plain == nil {
		if resp != nil {
			resp.Data = map[string]any{"subkeys": nil, "metadata": metadata}
		}
		return resp, err
	}
	defer clear(plain)
	data, err := decode(plain)
	if err != nil {
		return nil, err
	}
	return &vault.Response{Data: map[string]any{"subkeys": hollow(data, depth, 1), "metadata": metadata}}, nil
}

func hollow(data map[string]any, depth, at int) map[string]any {
	out := make(map[string]any, len(data))
	for name, value := range data {
		out[name] = nil
		if inner, ok := value.(map[string]any); ok && len(inner) > 0 && (depth == 0 || at < depth) {
			out[name] = hollow(inner, depth, at+1)
		}
	}
	return out
}

func (k *kv) list(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	var found []string
	err := r.View(ctx, func(tx *store.Tx) (err error) {
		found, err = names(ctx, tx, "kv_meta", r.Mount.UUID, folderOf(pathOf(r)))
		return err
	})
	return vault.Keys(entriesOf(found)), err
}

func (k *kv) hasMeta(ctx context.Context, r *vault.Request) (found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		_, found, err = k.meta(ctx, tx, r.Mount.UUID, pathOf(r))
		return err
	})
	return found, err
}

func (k *kv) hasVersions(ctx context.Context, r *vault.Request) (found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		m, _, merr := k.meta(ctx, tx, r.Mount.UUID, pathOf(r))
		found = m.current > 0
		return merr
	})
	return found, err
}

// versions makes a handler that runs a statement over the versions that a
// request lists. The statement's first two values are the present time.
func (k *kv) versions(statement string) vault.Handler {
	return func(ctx context.Context, r *vault.Request) (*vault.Response, error) {
		numbers, err := listed(r)
		if err != nil {
			return nil, err
		}
		return nil, r.Do(ctx, func(tx *gate.Tx) error {
			now := store.Micros(tx.Now())
			return k.change(ctx, tx, r, statement, []any{now, now}, numbers)
		})
	}
}

func (k *kv) destroy(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	numbers, err := listed(r)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		return k.change(ctx, tx, r, `UPDATE kv_version SET destroyed = 1, value = NULL WHERE `, nil, numbers)
	})
}

func (k *kv) undelete(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	numbers, err := listed(r)
	if err != nil {
		return nil, err
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		c, err := mountConfig(ctx, tx.Tx, r.Mount.UUID)
		if err != nil {
			return err
		}
		m, _, err := k.meta(ctx, tx.Tx, r.Mount.UUID, pathOf(r))
		if err != nil {
			return err
		}
		return k.change(ctx, tx, r, `UPDATE kv_version SET deleted_at = ? WHERE destroyed = 0 AND `, []any{c.deletion(m, tx.Now())}, numbers)
	})
}

func listed(r *vault.Request) ([]int, error) {
	f := r.Fields()
	numbers := f.Ints("versions")
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case len(numbers) == 0:
		return nil, vault.Bad("No version number provided")
	case len(numbers) > 1000:
		return nil, vault.Bad("at most 1000 versions at once")
	}
	return numbers, nil
}

func (k *kv) change(ctx context.Context, tx *gate.Tx, r *vault.Request, statement string, args []any, numbers []int) error {
	args = append(args, r.Mount.UUID, []byte(pathOf(r)))
	for _, n := range numbers {
		args = append(args, n)
	}
	_, err := tx.Exec(ctx, statement+`mount = ? AND path = ? AND version IN (`+store.In(len(numbers))+`)`, args...)
	if err != nil {
		return fmt.Errorf("change versions: %w", err)
	}
	tx.Detail("versions", numbers)
	return nil
}

func (k *kv) deleteLatest(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		now := store.Micros(tx.Now())
		_, err := tx.Exec(ctx, `UPDATE kv_version SET deleted_at = ? WHERE mount = ? AND path = ? AND destroyed = 0 AND (deleted_at = 0 OR deleted_at > ?)
			AND version = (SELECT current FROM kv_meta WHERE mount = ? AND path = ?)`,
			now, r.Mount.UUID, []byte(pathOf(r)), now, r.Mount.UUID, []byte(pathOf(r)))
		if err != nil {
			return fmt.Errorf("delete a value: %w", err)
		}
		return nil
	})
}
