package vault

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
)

// jwtBackend is the login by a token that somebody else has signed: a CI
// system's, above all GitHub Actions'.
func (v *Vault) jwtBackend() Backend {
	j := &jwtLogin{v: v}
	j.Paths = NewPaths("jwt",
		Path{Pattern: "login", Write: j.login, Rules: Rules{Open: true}},
		Path{Pattern: "config", Read: j.configRead, Write: j.configWrite},
		Path{Pattern: "role", List: j.roleList},
		Path{Pattern: "role/{role}", Read: j.roleRead, Write: j.roleWrite, Delete: j.roleDelete, Exists: j.roleExists},
	)
	return j
}

type jwtLogin struct {
	*Paths
	v *Vault
}

// gitHubActions is the issuer of GitHub's workflow tokens, and the name of the
// preset for it.
const (
	gitHubActions       = "github-actions"
	gitHubActionsIssuer = "https://token.actions.githubusercontent.com"
)

// jwtConfig says whose signatures count.
type jwtConfig struct {
	Discovery   string   `json:"discovery"`
	JWKS        string   `json:"jwks"`
	PublicKeys  []string `json:"public_keys"` // PEM
	Issuer      string   `json:"issuer"`
	Algorithms  []string `json:"algorithms"`
	DefaultRole string   `json:"default_role"`
}

// jwtRole says which tokens get in, and what they get.
type jwtRole struct {
	UserClaim string              `json:"user_claim"`
	Audiences []string            `json:"audiences"`
	Subject   string              `json:"subject"`
	Claims    map[string][]string `json:"claims"`
	Globs     bool                `json:"globs"`
	Mappings  map[string]string   `json:"mappings"` // claim → metadata
	Leeway    time.Duration       `json:"leeway"`
	Reusable  bool                `json:"reusable"`
	Grants    identity.Grants     `json:"grants"`
}

func jwtSpace(m Mount) string     { return "jwt/" + m.UUID }
func jwtRoleSpace(m Mount) string { return "jwt-role/" + m.UUID }

const jwtConfigName = "config"

// Mount implements [Mounter].
func (j *jwtLogin) Mount(*Mount) error { return nil }

// Unmount implements [Mounter].
func (j *jwtLogin) Unmount(ctx context.Context, tx *gate.Tx, m Mount) error {
	if err := deleteEntry(ctx, tx, jwtRoleSpace(m), ""); err != nil {
		return err
	}
	return deleteEntry(ctx, tx, jwtSpace(m), "")
}

func (j *jwtLogin) config(ctx context.Context, r *Request) (c jwtConfig, found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		c, found, err = entry[jwtConfig](ctx, j.v, tx, jwtSpace(r.Mount), jwtConfigName)
		return err
	})
	return c, found, err
}

func (j *jwtLogin) configRead(ctx context.Context, r *Request) (*Response, error) {
	c, found, err := j.config(ctx, r)
	if err != nil || !found {
		return nil, err
	}
	return &Response{Data: map[string]any{
		"oidc_discovery_url": c.Discovery, "jwks_url": c.JWKS, "jwt_validation_pubkeys": list(c.PublicKeys), "bound_issuer": c.Issuer,
		"jwt_supported_algs": list(c.Algorithms), "default_role": c.DefaultRole, "oidc_discovery_ca_pem": "", "jwks_ca_pem": "",
	}}, nil
}

func (j *jwtLogin) configWrite(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	c := jwtConfig{
		Discovery: strings.TrimSuffix(f.String("oidc_discovery_url"), "/"), JWKS: f.String("jwks_url"), PublicKeys: f.List("jwt_validation_pubkeys"),
		Issuer: f.String("bound_issuer"), Algorithms: f.List("jwt_supported_algs"), DefaultRole: f.String("default_role"),
	}
	preset := f.String("preset")
	f.Ignore("oidc_client_id", "oidc_client_secret", "oidc_response_mode", "oidc_response_types", "provider_config", "namespace_in_state")
	if f.Err() != nil {
		return nil, f.Err()
	}
	switch preset {
	case "":
	case gitHubActions:
		c.Discovery, c.Issuer = gitHubActionsIssuer, gitHubActionsIssuer
	default:
		return nil, Bad("there is no preset %q; there is %q", preset, gitHubActions)
	}
	sources := 0
	for _, set := range []bool{c.Discovery != "", c.JWKS != "", len(c.PublicKeys) > 0} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		return nil, Bad("exactly one of 'jwt_validation_pubkeys', 'jwks_url' or 'oidc_discovery_url' must be set")
	}
	if c.Discovery != "" && c.Issuer == "" {
		c.Issuer = c.Discovery
	}
	if err := checkAlgorithms(c.Algorithms); err != nil {
		return nil, err
	}
	if _, err := publicKeys(c.PublicKeys); err != nil {
		return nil, Bad("error parsing public key: %s", err)
	}
	for _, u := range []string{c.Discovery, c.JWKS} {
		if u != "" && !mayFetch(u) {
			return nil, Bad("keys are fetched over https only")
		}
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return putEntry(ctx, j.v, tx, jwtSpace(r.Mount), jwtConfigName, c) })
}

// mayFetch says that keys can be trusted to come from where a URL says: over TLS,
// or from this machine. The host is compared as a whole: "localhost.evil.test"
// only starts like one of ours.
func mayFetch(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	loopback := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	return u.Scheme == "https" || u.Scheme == "http" && loopback
}

func (j *jwtLogin) role(ctx context.Context, r *Request, name string) (role jwtRole, found bool, err error) {
	err = r.View(ctx, func(tx *store.Tx) error {
		role, found, err = entry[jwtRole](ctx, j.v, tx, jwtRoleSpace(r.Mount), name)
		return err
	})
	return role, found, err
}

func (j *jwtLogin) roleExists(ctx context.Context, r *Request) (bool, error) {
	return j.v.entryExists(ctx, r, jwtRoleSpace(r.Mount), r.Vars["role"])
}

func (j *jwtLogin) roleList(ctx context.Context, r *Request) (*Response, error) {
	return j.v.entryList(ctx, r, jwtRoleSpace(r.Mount))
}

func (j *jwtLogin) roleDelete(ctx context.Context, r *Request) (*Response, error) {
	return nil, r.Do(ctx, func(tx *gate.Tx) error { return deleteEntry(ctx, tx, jwtRoleSpace(r.Mount), r.Vars["role"]) })
}

func (j *jwtLogin) roleRead(ctx context.Context, r *Request) (*Response, error) {
	role, found, err := j.role(ctx, r, r.Vars["role"])
	if err != nil || !found {
		return nil, err
	}
	kind := "string"
	if role.Globs {
		kind = "glob"
	}
	data := grantsData(role.Grants)
	for k, v := range map[string]any{
		"role_type": "jwt", "user_claim": role.UserClaim, "bound_audiences": list(role.Audiences), "bound_subject": role.Subject,
		"bound_claims": role.Claims, "bound_claims_type": kind, "claim_mappings": role.Mappings, "clock_skew_leeway": seconds(role.Leeway),
		"reusable_jwt": role.Reusable,
	} {
		data[k] = v
	}
	return &Response{Data: data}, nil
}

// maxCIToken is the longest life of a token of the GitHub Actions preset.
const maxCIToken = 15 * time.Minute

func (j *jwtLogin) roleWrite(ctx context.Context, r *Request) (*Response, error) {
	role, found, err := j.role(ctx, r, r.Vars["role"])
	if err != nil {
		return nil, err
	}
	f := r.Fields()
	if kind := f.String("role_type"); kind != "" && kind != "jwt" {
		return nil, Bad("role_type %q is not supported here: only \"jwt\"", kind)
	}
	if f.Has("user_claim") {
		role.UserClaim = f.String("user_claim")
	}
	if f.Has("bound_audiences") {
		role.Audiences = f.List("bound_audiences")
	}
	if f.Has("bound_subject") {
		role.Subject = f.String("bound_subject")
	}
	if f.Has("bound_claims") {
		if role.Claims, err = boundClaims(f.Map("bound_claims")); err != nil {
			return nil, err
		}
	}
	switch kind := f.String("bound_claims_type"); kind {
	case "":
	case "string", "glob":
		role.Globs = kind == "glob"
	default:
		return nil, Bad("invalid 'bound_claims_type': %s", kind)
	}
	if f.Has("claim_mappings") {
		role.Mappings = f.Texts("claim_mappings")
	}
	for _, name := range []string{"clock_skew_leeway", "expiration_leeway", "not_before_leeway"} {
		if f.Has(name) {
			role.Leeway = min(f.Duration(name), 5*time.Minute)
		}
	}
	role.Reusable = f.Bool("reusable_jwt", role.Reusable)
	f.Ignore("groups_claim", "verbose_oidc_logging", "max_age", "user_claim_json_pointer")
	if err := readGrants(f, &role.Grants); err != nil {
		return nil, err
	}
	if err := applyPreset(f, &role); err != nil {
		return nil, err
	}
	switch {
	case role.UserClaim == "":
		return nil, Bad("a user claim must be defined on the role")
	case role.Subject == "" && len(role.Claims) == 0:
		// An audience alone says for whom a token is, not whose it is: on a
		// public issuer everybody can have one.
		return nil, Bad("must have at least one bound constraint when creating/updating a role: bound_claims or bound_subject")
	case len(role.Audiences) == 0:
		return nil, Bad("bound_audiences must be set: a token that is meant for somebody else must not get in")
	}
	return nil, r.Do(ctx, func(tx *gate.Tx) error {
		if _, exists, err := entry[jwtRole](ctx, j.v, tx.Tx, jwtRoleSpace(r.Mount), r.Vars["role"]); err != nil || r.Creates() && exists && !found {
			return orElse(err, Denied())
		}
		return putEntry(ctx, j.v, tx, jwtRoleSpace(r.Mount), r.Vars["role"], role)
	})
}

// applyPreset makes the role for GitHub Actions: bound to a repository's id,
// because its name can be given to somebody else, and to whatever else is said.
func applyPreset(f *Fields, role *jwtRole) error {
	preset := f.String("preset")
	bound := map[string]string{}
	for _, claim := range []string{"repository_id", "repository_owner_id", "ref", "environment", "job_workflow_ref"} {
		if value := f.String(claim); value != "" {
			bound[claim] = value
		}
	}
	if f.Err() != nil || preset == "" {
		return f.Err()
	}
	if preset != gitHubActions {
		return Bad("there is no preset %q; there is %q", preset, gitHubActions)
	}
	if bound["repository_id"] == "" {
		return Bad("the preset %q needs repository_id: gh api repos/OWNER/NAME --jq .id", gitHubActions)
	}
	if role.Claims == nil {
		role.Claims = map[string][]string{}
	}
	for claim, value := range bound {
		role.Claims[claim] = []string{value}
	}
	if role.UserClaim == "" {
		role.UserClaim = "repository"
	}
	if role.Mappings == nil {
		role.Mappings = map[string]string{
			"repository": "repository", "ref": "ref", "sha": "sha", "actor": "actor", "run_id": "run_id", "environment": "environment", "job_workflow_ref": "workflow",
		}
	}
	g := &role.Grants
	if g.TTL == 0 || g.TTL > maxCIToken {
		g.TTL = maxCIToken
	}
	g.ExplicitMax, g.MaxTTL, g.Period = maxCIToken, maxCIToken, 0
	role.Reusable = false
	return nil
}

// boundClaims reads claim → value or list of values.
func boundClaims(raw map[string]any) (map[string][]string, error) {
	out := map[string][]string{}
	for claim, value := range raw {
		values, ok := value.([]any)
		if !ok {
			values = []any{value}
		}
		for _, v := range values {
			text, ok := claimText(v)
			if !ok {
				return nil, Bad("received claim %q with a value that is no text, number or truth", claim)
			}
			out[claim] = append(out[claim], text)
		}
		if len(out[claim]) == 0 {
			return nil, Bad("bound claim %q has no values", claim)
		}
	}
	return out, nil
}

// claimText is a claim's value as text.
func claimText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case json.Number:
		return v.String(), true
	case bool:
		return fmt.Sprint(v), true
	}
	return "", false
}

func (j *jwtLogin) login(ctx context.Context, r *Request) (*Response, error) {
	f := r.Fields()
	name, token := f.String("role"), f.String("jwt")
	if f.Err() != nil {
		return nil, f.Err()
	}
	if err := j.v.cfg.Identity.Try(r.Remote, "jwt/"+r.Mount.UUID); err != nil {
		return nil, err
	}
	c, found, err := j.config(ctx, r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, Refuse(http.StatusInternalServerError, "could not load configuration")
	}
	if name == "" {
		name = c.DefaultRole
	}
	switch {
	case name == "":
		return nil, Bad("missing role")
	case token == "":
		return nil, Bad("missing token")
	}
	role, found, err := j.role(ctx, r, name)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, Bad("role %q could not be found", name)
	}
	claims, err := j.v.verify(ctx, r.Mount, c, role, token)
	if err != nil {
		return nil, err
	}
	user, ok := claimText(claim(claims, role.UserClaim))
	if !ok || user == "" {
		return nil, Bad("claim %q not found in token", role.UserClaim)
	}
	if err := j.once(ctx, r, role, claims, token); err != nil {
		return nil, err
	}
	meta := map[string]string{"role": name}
	for from, to := range role.Mappings {
		if text, ok := claimText(claim(claims, from)); ok {
			meta[to] = text
		}
	}
	return j.v.signedIn(ctx, r, somebody{
		kind: nightporter.Machine, name: user, displayName: r.Mount.displayName() + "-" + user, method: "jwt", meta: meta, grants: role.Grants,
	})
}

// once refuses a token that has been used before, for as long as it would be
// good: who has read it in a log comes too late.
func (j *jwtLogin) once(ctx context.Context, r *Request, role jwtRole, claims map[string]any, token string) error {
	if role.Reusable {
		return nil
	}
	id := token
	if jti, ok := claims["jti"].(string); ok && jti != "" {
		id = fmt.Sprint(claims["iss"]) + "\x00" + jti
	}
	h := sha256.Sum256([]byte(r.Mount.UUID + "\x00" + id))
	exp, _ := claims["exp"].(json.Number)
	end, err := exp.Float64()
	if err != nil {
		return Bad("error validating token: the expiry is no number")
	}
	return r.DoOpen(ctx, "", func(tx *gate.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM jwt_seen WHERE expires_at < ?`, store.Micros(tx.Now())); err != nil {
			return err
		}
		until := time.Unix(int64(end)+1, 0).Add(role.Leeway)
		n, err := tx.Exec(ctx, `INSERT INTO jwt_seen (hash, expires_at) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING`, h[:], store.Micros(until))
		if err == nil && n == 0 {
			return Bad("error validating token: it has been used before")
		}
		return err
	})
}

// fits says whether a claim has one of the values that a role asks for.
func (role jwtRole) fits(have any, want []string) bool {
	values, ok := have.([]any)
	if !ok {
		values = []any{have}
	}
	return slices.ContainsFunc(values, func(v any) bool {
		text, ok := claimText(v)
		return ok && slices.ContainsFunc(want, func(w string) bool { return text == w || role.Globs && glob(w, text) })
	})
}

// claim reads a claim by name, or by a JSON pointer.
func claim(claims map[string]any, name string) any {
	pointer, ok := strings.CutPrefix(name, "/")
	if !ok {
		return claims[name]
	}
	var v any = claims
	for part := range strings.SplitSeq(pointer, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[strings.NewReplacer("~1", "/", "~0", "~").Replace(part)]
	}
	return v
}
