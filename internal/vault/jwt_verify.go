package vault

import (
	"bytes"
	"context"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// asymmetric are the algorithms that can be used: none is keyed by a secret that
// a public key could be mistaken for.
var asymmetric = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

func checkAlgorithms(names []string) error {
	for _, n := range names {
		if !slices.Contains(asymmetric, n) {
			return Bad("unsupported signing algorithm %q", n)
		}
	}
	return nil
}

// publicKeys reads PEM texts.
func publicKeys(texts []string) (keys []crypto.PublicKey, err error) {
	for _, text := range texts {
		block, _ := pem.Decode([]byte(text))
		if block == nil {
			return nil, errors.New("data does not contain any valid public keys")
		}
		var key any
		if block.Type == "CERTIFICATE" {
			cert, cerr := x509.ParseCertificate(block.Bytes)
			if cerr != nil {
				return nil, errors.New("the certificate cannot be read")
			}
			key = cert.PublicKey
		} else if key, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			return nil, errors.New("data does not contain any valid public keys")
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// keysets keeps the issuers' keys by mount, until the mount's configuration is
// another one.
type keysets struct {
	mu     sync.Mutex
	byUUID map[string]keyset
}

type keyset struct {
	config [sha256.Size]byte
	keys   oidc.KeySet
}

// keys returns the keys of a configuration. Discovery asks the issuer once.
func (v *Vault) keys(ctx context.Context, m Mount, c jwtConfig) (oidc.KeySet, error) {
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	v.keysets.mu.Lock()
	known, ok := v.keysets.byUUID[m.UUID]
	v.keysets.mu.Unlock()
	if ok && known.config == sum {
		return known.keys, nil
	}
	var set oidc.KeySet
	if len(c.PublicKeys) > 0 {
		keys, err := publicKeys(c.PublicKeys)
		if err != nil {
			return nil, err
		}
		set = &oidc.StaticKeySet{PublicKeys: keys}
	} else {
		client := v.cfg.HTTP
		if client == nil {
			client = &http.Client{Transport: nowhere{}}
		}
		// The key set fetches new keys later, in other requests.
		ctx = oidc.ClientContext(context.WithoutCancel(ctx), client)
		jwks := c.JWKS
		if c.Discovery != "" {
			timed, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			if c.Issuer != c.Discovery {
				timed = oidc.InsecureIssuerURLContext(timed, c.Issuer) // the issuer that was configured by name
			}
			provider, err := oidc.NewProvider(timed, c.Discovery)
			if err != nil {
				v.cfg.Log.WarnContext(ctx, "ask a JWT issuer for its keys", "mount", m.Path, "error", err)
				return nil, Bad("error validating token: the issuer's keys cannot be fetched")
			}
			var doc struct {
				JWKS string `json:"jwks_uri"`
			}
			if err := provider.Claims(&doc); err != nil {
				return nil, Bad("error validating token: the issuer's discovery document cannot be read")
			}
			jwks = doc.JWKS
		}
		set = oidc.NewRemoteKeySet(ctx, jwks)
	}
	v.keysets.mu.Lock()
	defer v.keysets.mu.Unlock()
	if v.keysets.byUUID == nil {
		v.keysets.byUUID = map[string]keyset{}
	}
	v.keysets.byUUID[m.UUID] = keyset{sum, set}
	return set, nil
}

// nowhere keeps a server that was given no client from dialling anybody.
type nowhere struct{}

func (nowhere) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("no HTTP client is configured")
}

// maxJWT bounds what a stranger can have verified.
const maxJWT = 32 << 10

// verify checks a token's signature, times and claims against a role, and
// returns its claims.
func (v *Vault) verify(ctx context.Context, m Mount, c jwtConfig, role jwtRole, token string) (map[string]any, error) {
	if len(token) > maxJWT || strings.Count(token, ".") != 2 {
		return nil, Bad("error validating token: it is no signed JWT")
	}
	keys, err := v.keys(ctx, m, c)
	if err != nil {
		return nil, err
	}
	algorithms := c.Algorithms
	if len(algorithms) == 0 {
		algorithms = asymmetric
	}
	verifier := oidc.NewVerifier(c.Issuer, keys, &oidc.Config{
		SkipClientIDCheck:    true, // audiences are the role's, below
		SkipIssuerCheck:      c.Issuer == "",
		SkipExpiryCheck:      true, // times are checked below, with the role's leeway
		SupportedSigningAlgs: algorithms,
	})
	if _, err := verifier.Verify(ctx, token); err != nil {
		v.cfg.Log.InfoContext(ctx, "a JWT was refused", "mount", m.Path, "error", err)
		return nil, Bad("error validating token: error verifying token signature or issuer")
	}
	claims, err := claimsOf(token)
	if err != nil {
		return nil, Bad("error validating token: %s", err)
	}
	return claims, role.admit(claims, v.cfg.Now())
}

// claimsOf decodes the claims of a token whose signature was checked.
func claimsOf(token string) (map[string]any, error) {
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, errors.New("the claims cannot be decoded")
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		return nil, errors.New("the claims cannot be decoded")
	}
	return claims, nil
}

// admit compares claims with what the role asks for.
func (role jwtRole) admit(claims map[string]any, now time.Time) error {
	refuse := func(format string, args ...any) error {
		return Bad("error validating token: "+format, args...)
	}
	exp, ok := numericDate(claims["exp"])
	if !ok {
		return refuse("no expiration (exp) claim")
	}
	leeway := role.Leeway
	if leeway == 0 {
		leeway = time.Minute
	}
	if !now.Before(exp.Add(leeway)) {
		return refuse("token is expired")
	}
	for _, name := range []string{"nbf", "iat"} {
		if at, ok := numericDate(claims[name]); ok && now.Add(leeway).Before(at) {
			return refuse("token is not valid yet (%s)", name)
		}
	}
	if !role.forUs(claims["aud"]) {
		return refuse("invalid audience (aud) claim: audience claim does not match any bound audience")
	}
	if role.Subject != "" && claims["sub"] != role.Subject {
		return refuse("invalid subject (sub) claim")
	}
	for name, want := range role.Claims {
		have := claim(claims, name)
		if have == nil {
			return refuse("claim %q is missing", name)
		}
		if !role.fits(have, want) {
			return refuse("claim %q does not match any associated bound claim values", name)
		}
	}
	return nil
}

// forUs compares audiences as wholes: a part of a name is another name.
func (role jwtRole) forUs(aud any) bool {
	values, ok := aud.([]any)
	if !ok {
		values = []any{aud}
	}
	return slices.ContainsFunc(values, func(v any) bool {
		text, ok := v.(string)
		return ok && slices.Contains(role.Audiences, text)
	})
}

func numericDate(v any) (time.Time, bool) {
	n, ok := v.(json.Number)
	if !ok {
		return time.Time{}, false
	}
	f, err := n.Float64()
	if err != nil || f < 0 || f > 1e11 {
		return time.Time{}, false
	}
	return time.Unix(int64(f), 0), true
}
