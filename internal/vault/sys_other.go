package vault

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"maps"
	"net/http"
	"slices"
	"strings"

	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

func (v *Vault) otherPaths() []Path {
	return []Path{
		{Pattern: "audit", Read: v.auditList, Rules: Rules{Sudo: true}},
		{Pattern: "audit/{path...}", Write: v.auditEnable, Delete: v.auditDisable, Rules: Rules{Sudo: true}},
		{Pattern: "audit-hash/{path...}", Write: v.auditHash},
		{Pattern: "metrics", Read: v.metrics},
		{Pattern: "internal/specs/openapi", Read: v.openAPI, Write: v.openAPI},
		{Pattern: "internal/counters/tokens", Read: v.countTokens},
		{Pattern: "tools/hash", Write: v.toolHash},
		{Pattern: "tools/hash/{algorithm}", Write: v.toolHash},
		{Pattern: "tools/random", Write: v.toolRandom},
		{Pattern: "tools/random/{bytes}", Write: v.toolRandom},
	}
}

// auditDevice is the one that is always on.
const auditDevice = "nightporter/"

func (v *Vault) auditList(context.Context, *Request) (*Response, error) {
	return &Response{TopLevel: true, Data: map[string]any{auditDevice: map[string]any{
		"type": "nightporter", "path": auditDevice, "description": "the audit log of this server, always on", "options": map[string]string{}, "local": false,
	}}}, nil
}

// auditEnable refuses: a file path or mode that an operator of the API chooses
// is a way to run code (CVE-2025-6000).
func (v *Vault) auditEnable(context.Context, *Request) (*Response, error) {
	return nil, Bad("cannot enable audit device via API; use declarative, config-based audit device management instead")
}

func (v *Vault) auditDisable(context.Context, *Request) (*Response, error) {
	return nil, Bad("cannot disable audit device via API; use declarative, config-based audit device management instead")
}

// auditHash gives what the audit log writes for a value, to search for it.
func (v *Vault) auditHash(_ context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	input := f.String("input")
	path := strings.TrimSuffix(r.Vars["path"], "/") + "/"
	switch {
	case f.Err() != nil:
		return nil, f.Err()
	case input == "":
		return nil, Bad("the \"input\" parameter is empty")
	case path != auditDevice:
		return nil, Bad("unknown audit backend %q", path)
	}
	mac, err := v.cfg.Seal.MAC("audit values", []byte(input))
	if err != nil {
		return nil, err
	}
	return &Response{TopLevel: true, Data: map[string]any{"hash": "hmac-sha256:" + hex.EncodeToString(mac)}}, nil
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(b []byte) (int, error) { return w.body.Write(b) }

// metrics are the product's own, in Prometheus's text form whatever was asked.
func (v *Vault) metrics(ctx context.Context, r *Request) (*Response, error) {
	r.Fields().Ignore("format")
	if v.cfg.Metrics == nil {
		return nil, Bad("metrics are not kept")
	}
	hr, err := http.NewRequestWithContext(ctx, http.MethodGet, "/metrics", nil)
	if err != nil {
		return nil, err
	}
	w := &recorder{header: http.Header{}}
	v.cfg.Metrics.ServeHTTP(w, hr)
	return &Response{Status: w.status, Body: w.body.Bytes(), ContentType: w.header.Get("Content-Type")}, nil
}

func (v *Vault) countTokens(ctx context.Context, r *Request) (*Response, error) {
	var n int
	err := r.View(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(ctx, `SELECT COUNT(*) FROM lease WHERE kind = ? AND state = ?`, string(lease.Token), string(lease.Live)).Scan(&n)
	})
	return &Response{Data: map[string]any{"counters": map[string]any{"service_tokens": map[string]any{"total": n}}}}, err
}

// openAPI describes what is mounted, as far as it is made of [Paths].
func (v *Vault) openAPI(_ context.Context, r *Request) (*Response, error) {
	r.Fields().Ignore("generic_mount_paths", "context")
	paths := map[string]any{}
	for _, m := range v.mounts().sorted() {
		b, ok := v.backendOf(m).(interface{ Describe() []Path })
		if !ok {
			continue
		}
		for _, p := range b.Describe() {
			paths["/"+m.Path+strings.ReplaceAll(p.Pattern, "...}", "}")] = p.openAPI()
		}
	}
	return &Response{Bare: true, Data: map[string]any{
		"openapi": "3.0.2",
		"info":    map[string]any{"title": "Nightporter's Vault API", "version": v.cfg.Compatible, "license": map[string]any{"name": "see the product"}},
		"paths":   paths,
	}}, nil
}

// Describe lists the paths.
func (p *Paths) Describe() []Path {
	var out []Path
	for _, name := range slices.Sorted(maps.Keys(p.plain)) {
		out = append(out, *p.plain[name])
	}
	for _, c := range p.rest {
		out = append(out, *c.Path)
	}
	return out
}

func (p *Path) openAPI() map[string]any {
	answers := map[string]any{"200": map[string]any{"description": "OK"}}
	item := map[string]any{}
	for method, h := range map[string]Handler{"get": p.Read, "post": p.Write, "patch": p.Patch, "delete": p.Delete} {
		if h != nil {
			item[method] = map[string]any{"responses": answers}
		}
	}
	if p.List != nil {
		item["get"] = map[string]any{"responses": answers, "parameters": []any{
			map[string]any{"name": "list", "in": "query", "schema": map[string]any{"type": "string"}},
		}}
	}
	var params []any
	for s := range strings.SplitSeq(p.Pattern, "/") {
		if name, ok := strings.CutPrefix(s, "{"); ok {
			params = append(params, map[string]any{
				"name": strings.TrimSuffix(strings.TrimSuffix(name, "}"), "..."), "in": "path", "required": true, "schema": map[string]any{"type": "string"},
			})
		}
	}
	if params != nil {
		item["parameters"] = params
	}
	if p.Open {
		item["x-vault-unauthenticated"] = true
	}
	if p.Sudo {
		item["x-vault-sudo"] = true
	}
	return item
}

func (v *Vault) toolHash(_ context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	input, algorithm, format := f.String("input"), f.String("algorithm"), f.String("format")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if name := r.Vars["algorithm"]; name != "" {
		algorithm = name
	}
	var h hash.Hash
	switch algorithm {
	case "", "sha2-256":
		h = sha256.New()
	case "sha2-224":
		h = sha256.New224()
	case "sha2-384":
		h = sha512.New384()
	case "sha2-512":
		h = sha512.New()
	default:
		return nil, Bad("unsupported algorithm %s", algorithm)
	}
	data, err := base64.StdEncoding.DecodeString(input)
	if err != nil {
		return nil, Bad("unable to decode input as base64: %s", err)
	}
	h.Write(data)
	sum, err := inFormat(h.Sum(nil), format)
	return &Response{Data: map[string]any{"sum": sum}}, err
}

func inFormat(b []byte, format string) (string, error) {
	switch format {
	case "", "hex":
		return hex.EncodeToString(b), nil
	case "base64":
		return base64.StdEncoding.EncodeToString(b), nil
	}
	return "", Bad("unsupported encoding format %q; must be \"hex\" or \"base64\"", format)
}

func (v *Vault) toolRandom(_ context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	if text := r.Vars["bytes"]; text != "" {
		f = &Fields{data: map[string]any{"bytes": text, "format": r.Data["format"]}, seen: map[string]bool{}}
	}
	n, format := f.Int("bytes"), f.String("format")
	f.Ignore("source")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if !f.Has("bytes") {
		n = 32
	}
	if n < 1 || n > 128<<10 {
		return nil, Bad("\"bytes\" must be between 1 and 131072")
	}
	if format == "" {
		format = "base64"
	}
	b := make([]byte, n)
	rand.Read(b)
	text, err := inFormat(b, format)
	return &Response{Data: map[string]any{"random_bytes": text}}, err
}
