package vault

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
)

func (v *Vault) mountPaths() []Path {
	engines, logins := mountPages{v, ""}, mountPages{v, "auth/"}
	return []Path{
		{Pattern: "mounts", Read: engines.list},
		{Pattern: "mounts/auth/{path...}/tune", Read: logins.readTune, Write: logins.tune, Rules: Rules{Sudo: true}},
		{Pattern: "mounts/{path...}/tune", Read: engines.readTune, Write: engines.tune},
		{Pattern: "mounts/{path...}", Read: engines.read, Write: engines.enable, Delete: engines.disable},
		{Pattern: "auth", Read: logins.list},
		{Pattern: "auth/{path...}/tune", Read: logins.readTune, Write: logins.tune, Rules: Rules{Sudo: true}},
		{Pattern: "auth/{path...}", Read: logins.read, Write: logins.enable, Delete: logins.disable, Rules: Rules{Sudo: true}},
		{Pattern: "remount", Write: v.remount, Rules: Rules{Sudo: true}},
		{Pattern: "remount/status/{id}", Read: v.remountStatus},
		{Pattern: "internal/ui/mounts", Read: v.uiMounts, Rules: Rules{Open: true}},
		{Pattern: "internal/ui/mounts/{path...}", Read: v.uiMount, Rules: Rules{Open: true}},
	}
}

// mountPages are sys/mounts or sys/auth.
type mountPages struct {
	v      *Vault
	prefix string // "auth/" for logins
}

// at is the mount path of a request's variable.
func (p mountPages) at(r *Request) string {
	return p.prefix + strings.TrimSuffix(r.Vars["path"], "/") + "/"
}

func (p mountPages) mine(m Mount) bool { return m.Login() == (p.prefix != "") }

func (p mountPages) list(_ context.Context, _ *Request) (*Response, error) {
	data := map[string]any{}
	for _, m := range p.v.mounts().sorted() {
		if p.mine(m) {
			data[m.Name()] = p.v.mountInfo(m)
		}
	}
	return &Response{Data: data, TopLevel: true}, nil
}

func (p mountPages) read(_ context.Context, r *Request) (*Response, error) {
	m, ok := p.v.mounts().mounts[p.at(r)]
	if !ok || !p.mine(m) {
		if p.prefix != "" {
			return nil, Bad("No auth engine at %s", strings.TrimPrefix(p.at(r), "auth/"))
		}
		return nil, Bad("No secret engine mount at %s", p.at(r))
	}
	return &Response{Data: p.v.mountInfo(m), TopLevel: true}, nil
}

// mountInfo is a mount as it is listed.
func (v *Vault) mountInfo(m Mount) map[string]any {
	info := map[string]any{
		"accessor": m.Accessor, "config": configInfo(m), "description": m.Description, "external_entropy_access": false,
		"local": m.Local, "options": optionsInfo(m), "plugin_version": "",
		"running_plugin_version": "v" + strings.TrimPrefix(v.cfg.Version, "v") + "+builtin.nightporter",
		"running_sha256":         "", "seal_wrap": false, "type": m.Type, "uuid": m.UUID,
	}
	if !slices.ContainsFunc(builtin, func(b Mount) bool { return b.Path == m.Path }) {
		info["deprecation_status"] = "supported"
	}
	return info
}

func optionsInfo(m Mount) any {
	if m.Options == nil {
		return nil
	}
	return m.Options
}

func configInfo(m Mount) map[string]any {
	c := map[string]any{
		"default_lease_ttl": seconds(m.Config.DefaultTTL), "max_lease_ttl": seconds(m.Config.MaxTTL), "force_no_cache": false,
	}
	if m.Config.Listing != "" {
		c["listing_visibility"] = m.Config.Listing
	}
	if m.Login() {
		c["token_type"] = m.Config.TokenType
	}
	return c
}

func (p mountPages) enable(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	m := Mount{Path: p.at(r), Type: f.String("type"), Description: f.String("description"), Local: f.Bool("local", false)}
	if f.Has("options") {
		m.Options = f.Texts("options")
	}
	config := &Fields{data: f.Map("config"), seen: map[string]bool{}}
	f.Ignore("seal_wrap", "external_entropy_access", "plugin_name", "plugin_version")
	if f.Err() != nil {
		return nil, f.Err()
	}
	switch {
	case m.Type == "":
		return nil, Bad("backend type must be specified as a string")
	case m.Type == "token":
		return nil, Bad("token credential backend cannot be instantiated")
	case m.Type == "kv-v2":
		m.Type = "kv"
		m.Options = mergeOptions(m.Options, map[string]string{"version": "2"})
	}
	if p.prefix == "" && isReserved(m.Path) {
		return nil, Bad("cannot mount %q", m.Path)
	}
	if p.v.backendOf(m) == nil || slices.ContainsFunc(builtin, func(b Mount) bool { return b.Type == m.Type }) {
		return nil, Bad("plugin not found in the catalog: %s", m.Type)
	}
	if err := checkMountPath(m.Path); err != nil {
		return nil, err
	}
	if m.Login() {
		m.Config.TokenType = "default-service"
		if m.Options == nil {
			m.Options = map[string]string{}
		}
	}
	if err := readMountConfig(config, &m.Config); err != nil {
		return nil, err
	}
	if m.Config.MaxTTL > 0 && m.Config.DefaultTTL > m.Config.MaxTTL {
		return nil, Bad("given default lease TTL greater than given max lease TTL")
	}
	return nil, p.v.enable(ctx, r.action, m)
}

func mergeOptions(old, changes map[string]string) map[string]string {
	if old == nil && len(changes) == 0 {
		return nil
	}
	next := map[string]string{}
	maps.Copy(next, old)
	maps.Copy(next, changes)
	return next
}

// checkMountPath keeps a mount's path to what policies can name: no wildcard of
// theirs and no surprise in a URL.
func checkMountPath(path string) error {
	if len(path) > 200 || strings.ContainsAny(path, "*+{}%?#&\"'<>") || strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' }) {
		return Bad("path %q cannot be mounted: use letters, digits, dots, hyphens, underscores and slashes", path)
	}
	return nil
}

// readMountConfig reads the fields that enabling and tuning share.
func readMountConfig(f *Fields, c *MountConfig) error {
	for name, into := range map[string]*time.Duration{"default": &c.DefaultTTL, "max": &c.MaxTTL} {
		raw, ok := f.get(name + "_lease_ttl")
		if !ok || raw == "" { // clients send all fields
			continue
		}
		if raw == "system" {
			*into = 0
			continue
		}
		d, err := ParseDuration(raw)
		if err == nil && d < 0 {
			err = fmt.Errorf("it is negative")
		}
		if err != nil {
			return Bad("unable to parse %s TTL of %v: %s", name, raw, err)
		}
		*into = d
	}
	if f.Has("listing_visibility") {
		switch listing := f.String("listing_visibility"); listing {
		case "", "hidden", "unauth":
			c.Listing = listing
		default:
			return Bad("invalid listing_visibility %s", listing)
		}
	}
	if f.Has("token_type") {
		switch kind := f.String("token_type"); kind {
		case "":
		case "default-service", "default-batch", "service", "batch":
			c.TokenType = kind
		default:
			return Bad("invalid value for 'token_type'")
		}
	}
	return f.Err()
}

func (p mountPages) readTune(_ context.Context, r *Request) (*Response, error) {
	m, ok := p.v.mounts().mounts[p.at(r)]
	if !ok || !p.mine(m) {
		return nil, Bad("cannot fetch sysview for path %q", p.at(r))
	}
	data := configInfo(m)
	data["default_lease_ttl"], data["max_lease_ttl"] = seconds(m.DefaultTTL()), seconds(m.MaxTTL())
	data["description"] = m.Description
	if len(m.Options) > 0 {
		data["options"] = m.Options
	}
	return &Response{Data: data, TopLevel: true}, nil
}

func (p mountPages) tune(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	options := f.Texts("options")
	f.Ignore("audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "passthrough_request_headers", "allowed_response_headers", "plugin_version", "user_lockout_config")
	if f.Err() != nil {
		return nil, f.Err()
	}
	at := p.at(r)
	return nil, p.v.changeMounts(ctx, r.action, at, func(tx *gate.Tx, t *table) error {
		m, ok := t.mounts[at]
		if !ok || !p.mine(m) {
			return Bad("tune of path %q failed: no mount entry found", at)
		}
		if err := readMountConfig(f, &m.Config); err != nil {
			return err
		}
		if m.Config.MaxTTL > 0 && m.Config.DefaultTTL > m.Config.MaxTTL {
			return Bad("backend max lease TTL of %d would be less than backend default lease TTL of %d", seconds(m.Config.MaxTTL), seconds(m.Config.DefaultTTL))
		}
		if f.Has("description") {
			m.Description = f.String("description")
		}
		if version, ok := options["version"]; ok && version != m.Options["version"] {
			// The two versions keep their values differently.
			return Bad("the version of a mount cannot be changed: make another one and copy")
		}
		m.Options = mergeOptions(m.Options, options)
		t.mounts[at] = m
		return putMount(ctx, tx, m)
	})
}

func (p mountPages) disable(ctx context.Context, r *Request) (*Response, error) {
	at := p.at(r)
	switch {
	case at == "auth/token/":
		return nil, Bad("token credential backend cannot be disabled")
	case slices.ContainsFunc(builtin, func(b Mount) bool { return b.Path == at }) || p.prefix == "" && isReserved(at):
		return nil, Bad("cannot unmount %q", at)
	}
	m, ok := p.v.mounts().mounts[at]
	if !ok || !p.mine(m) {
		return nil, nil
	}
	return nil, p.v.changeMounts(ctx, r.action, at, func(tx *gate.Tx, t *table) error {
		delete(t.mounts, at)
		if err := deleteMount(ctx, tx, at); err != nil {
			return err
		}
		if mounter, ok := p.v.backendOf(m).(Mounter); ok {
			if err := mounter.Unmount(ctx, tx, m); err != nil {
				return err
			}
		}
		return p.v.endBelow(ctx, tx, m)
	})
}

// endBelow ends what a mount handed out: leases, and the tokens of its logins.
func (v *Vault) endBelow(ctx context.Context, tx *gate.Tx, m Mount) error {
	tx.AfterCommit(v.cfg.Leases.Wake)
	if _, err := lease.DoomBelow(ctx, tx.Tx, m.Path, "its mount was disabled", tx.Now()); err != nil {
		return err
	}
	if !m.Login() {
		return nil
	}
	return v.cfg.Identity.RevokeBelow(ctx, tx, m.Path, "its login method was disabled")
}

// remount moves an engine. What it keeps is kept under its UUID and stays.
func (v *Vault) remount(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	from, to := strings.Trim(f.String("from"), "/")+"/", strings.Trim(f.String("to"), "/")+"/"
	if f.Err() != nil {
		return nil, f.Err()
	}
	for _, path := range []string{from, to} {
		if isReserved(path) {
			return nil, Bad("cannot remount %q", path)
		}
		if err := checkMountPath(path); err != nil {
			return nil, err
		}
	}
	err := v.changeMounts(ctx, r.action, from, func(tx *gate.Tx, t *table) error {
		m, ok := t.mounts[from]
		if !ok {
			return Bad("no matching mount at %q", from)
		}
		delete(t.mounts, from)
		if at, taken := t.taken(to); taken {
			return Bad("path is already in use at %s", at)
		}
		m.Path = to
		t.mounts[to] = m
		// Its leases are named by the old path.
		if err := v.endBelow(ctx, tx, Mount{Path: from}); err != nil {
			return err
		}
		if err := deleteMount(ctx, tx, from); err != nil {
			return err
		}
		return putMount(ctx, tx, m)
	})
	if err != nil {
		return nil, err
	}
	// The move is done; the id says from where to where, so that its status
	// needs no memory.
	id := nightporter.RequestIDFrom(ctx) + ":" + strings.ReplaceAll(from, "/", "~") + ":" + strings.ReplaceAll(to, "/", "~")
	return &Response{Data: map[string]any{"migration_id": id}, TopLevel: true, Warnings: []string{
		"Mount move has been queued. Progress will be reported in the server log, tagged with the returned migration_id",
	}}, nil
}

func (v *Vault) remountStatus(_ context.Context, r *Request) (*Response, error) {
	parts := strings.Split(r.Vars["id"], ":")
	if len(parts) != 3 {
		return nil, nil
	}
	slashes := func(s string) string { return strings.ReplaceAll(s, "~", "/") }
	return &Response{Data: map[string]any{"migration_id": r.Vars["id"], "migration_info": map[string]any{
		"source_mount": slashes(parts[1]), "target_mount": slashes(parts[2]), "status": "success",
	}}}, nil
}

// uiMounts lists the mounts: to strangers those that ask for it, to others those
// below which they have a right.
func (v *Vault) uiMounts(ctx context.Context, r *Request) (*Response, error) {
	engines, logins := map[string]any{}, map[string]any{}
	if r.Secret != "" {
		var err error
		if ctx, err = v.signIn(ctx, r); err != nil {
			return nil, err
		}
	}
	for _, m := range v.mounts().sorted() {
		into := engines
		if m.Login() {
			into = logins
		}
		switch {
		case m.Path == "sys/":
		case r.Token != nil && v.cfg.Policies.ACL(nightporter.ActorFrom(ctx)).GrantsBelow(m.Path):
			into[m.Name()] = v.mountInfo(m)
		case m.Config.Listing == "unauth":
			into[m.Name()] = map[string]any{"type": m.Type, "description": m.Description, "options": optionsInfo(m)}
		}
	}
	return &Response{Data: map[string]any{"secret": engines, "auth": logins}}, nil
}

// uiMount says what is mounted at a path: the command line asks before every kv
// command. Whoever has no right below the mount learns nothing, not even that it
// exists.
func (v *Vault) uiMount(ctx context.Context, r *Request) (*Response, error) {
	ctx, err := v.signIn(ctx, r)
	if err != nil {
		return nil, err
	}
	if r.Token.Spent() {
		defer v.endSpent(ctx, r.Token)
	}
	path := strings.TrimSuffix(r.Vars["path"], "/")
	m, _, ok := v.mounts().find(path + "/")
	if !ok || !v.cfg.Policies.ACL(nightporter.ActorFrom(ctx)).GrantsBelow(m.Path) {
		return nil, Refuse(http.StatusForbidden,
			"preflight capability check returned 403, please ensure client's policies grant access to path %q", path+"/")
	}
	info := v.mountInfo(m)
	info["path"] = m.Path
	return &Response{Data: info}, nil
}

// loginGrants completes a login's grants with the mount's limits.
func (m Mount) loginGrants(g identity.Grants) identity.Grants {
	if g.Kind == "" && (m.Config.TokenType == "default-batch" || m.Config.TokenType == "batch") {
		g.Kind = identity.Batch
	}
	limit := m.MaxTTL()
	if g.MaxTTL == 0 || g.MaxTTL > limit {
		g.MaxTTL = limit
	}
	if g.TTL == 0 {
		g.TTL = m.DefaultTTL()
	}
	g.TTL = min(g.TTL, g.MaxTTL)
	return g
}
