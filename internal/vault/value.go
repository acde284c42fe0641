package vault

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"nightporter.dev/nightporter"
)

// Value is one value of a KV engine.
type Value struct {
	Data map[string]any // numbers are json.Number
	// Version is 0 where the mount keeps no versions.
	Version int64
}

// ReadValue reads a value for whoever acts in ctx, as a request of theirs would:
// the policies are asked, and the read is audited. The path is written as in
// `vault kv get`: the mount, and what stands below it. Errors: not_found where
// there is no such mount or no value now, sealed.
func (v *Vault) ReadValue(ctx context.Context, path string) (Value, error) {
	resp, m, err := v.readKV(ctx, path, "data")
	if err != nil {
		return Value{}, err
	}
	data := resp.Data
	if !keepsVersions(m) {
		return Value{Data: data}, nil
	}
	text, _ := data["data"].(json.RawMessage)
	defer clear(text)
	var value Value
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&value.Data); err != nil {
		return Value{}, fmt.Errorf("read the value of %s", path) // the cause may quote it
	}
	metadata, _ := data["metadata"].(map[string]any)
	value.Version, _ = metadata["version"].(int64)
	return value, nil
}

// IsCurrent says whether a version is still what [Vault.ReadValue] would read. It
// reads no secret and is not audited. Where no versions are kept it is never known,
// so the answer is no.
func (v *Vault) IsCurrent(ctx context.Context, path string, version int64) bool {
	resp, m, err := v.readKV(ctx, path, "metadata")
	if err != nil || !keepsVersions(m) || version == 0 || resp.Data["current_version"] != version {
		return false
	}
	versions, _ := resp.Data["versions"].(map[string]any)
	state, _ := versions[fmt.Sprint(version)].(map[string]any)
	return state["destroyed"] == false && state["deletion_time"] == ""
}

func keepsVersions(m Mount) bool { return m.Options["version"] == "2" }

// readKV asks the KV engine that a path belongs to. area is the first word below a
// mount that keeps versions.
func (v *Vault) readKV(ctx context.Context, path, area string) (*Response, Mount, error) {
	if v.cfg.Seal.Sealed() {
		return nil, Mount{}, nightporter.E(nightporter.Sealed, "the secrets are sealed")
	}
	m, rest, ok := v.mounts().find(path)
	if !ok || m.Type != "kv" || rest == "" {
		return nil, m, nightporter.E(nightporter.NotFound, "no KV engine has a path %s", path)
	}
	if keepsVersions(m) {
		rest = area + "/" + rest
	} else if area != "data" {
		return nil, m, nightporter.E(nightporter.NotFound, "%s keeps no versions", m.Path)
	}
	r := &Request{Op: Read, Mount: m, Path: rest, Full: m.Path + rest, vault: v}
	ctx = v.describe(ctx, r, nightporter.Read, Rules{})
	if err := v.cfg.Gate.Authorise(ctx, r.action, r.resource); err != nil {
		return nil, m, err
	}
	resp, err := v.backendOf(m).Handle(ctx, r)
	if err != nil {
		return nil, m, err
	}
	if resp == nil || resp.Status >= http.StatusBadRequest {
		return nil, m, nightporter.E(nightporter.NotFound, "there is nothing at %s", path)
	}
	return resp, m, nil
}
