package vault_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// issuer is a CI system that signs tokens: ES256, written here by hand from RFC
// 7515, so that the library under test does not judge itself.
type issuer struct {
	h   *house
	key *ecdsa.PrivateKey
	url string
	n   int
}

// newJWT is a house with auth/jwt and a role "ci" that is bound to repository 42.
func newJWT(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	noError(t, err)
	j := &issuer{key: key}
	mux := http.NewServeMux()
	mux.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(m{"issuer": j.url, "jwks_uri": j.url + "/jwks", "id_token_signing_alg_values_supported": []string{"ES256"}})
	})
	mux.HandleFunc("/jwks", func(w http.ResponseWriter, _ *http.Request) {
		point, err := key.PublicKey.Bytes()
		if err != nil {
			t.Error(err)
			return
		}
		b64 := base64.RawURLEncoding.EncodeToString
		_ = json.NewEncoder(w).Encode(m{"keys": []m{{"kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "k", "x": b64(point[1:33]), "y": b64(point[33:])}}})
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	j.url = server.URL
	j.h = openWith(t, options{unsealed: true, http: server.Client()})
	j.h.want(204, "root", "POST", "sys/auth/jwt", m{"type": "jwt"})
	j.h.want(204, "root", "POST", "auth/jwt/config", m{"oidc_discovery_url": j.url, "bound_issuer": j.url})
	j.h.policy("deploy", `path "kv/*" { capabilities = ["read"] }`)
	j.h.want(204, "root", "POST", "auth/jwt/role/ci", m{
		"preset": "github-actions", "repository_id": "42", "ref": "refs/heads/main", "bound_audiences": "https://vault.test", "token_policies": "deploy", "token_ttl": "2h",
	})
	return j
}

// claims are a workflow's, with changes; nil takes one out.
func (j *issuer) claims(changes m) m {
	j.n++
	c := m{
		"iss": j.url, "aud": "https://vault.test", "sub": "repo:acme/shop:ref:refs/heads/main", "repository": "acme/shop", "repository_id": "42",
		"ref": "refs/heads/main", "exp": time.Now().Add(5 * time.Minute).Unix(), "nbf": time.Now().Unix() - 5, "iat": time.Now().Unix() - 5,
		"jti": fmt.Sprint("id-", j.n), "actor": "ana",
	}
	maps.Copy(c, changes)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func b64(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString(text)
}

func (j *issuer) sign(key *ecdsa.PrivateKey, claims m) string {
	text := b64(m{"alg": "ES256", "kid": "k", "typ": "JWT"}) + "." + b64(claims)
	sum := sha256.Sum256([]byte(text))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		panic(err)
	}
	sig := append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (j *issuer) login(role string, claims m) answer {
	return j.h.ask("", "POST", "auth/jwt/login", m{"role": role, "jwt": j.sign(j.key, claims)})
}

func TestJWTLogin(t *testing.T) {
	t.Parallel()
	j := newJWT(t)
	t.Run("lets the workflow in, for a quarter of an hour at most", func(t *testing.T) {
		a := j.login("ci", j.claims(nil))
		if a.Status != 200 || fmt.Sprint(a.at("auth", "lease_duration")) != "900" || a.text("auth", "metadata", "repository") != "acme/shop" || a.text("auth", "metadata", "role") != "ci" {
			t.Fatalf("%d %s", a.Status, a.Raw)
		}
		j.h.ask(a.text("auth", "client_token"), "POST", "auth/token/renew-self", m{"increment": "2h"})
		look := j.h.want(200, a.text("auth", "client_token"), "GET", "auth/token/lookup-self", nil)
		if ttl, _ := look.at("data", "ttl").(json.Number).Int64(); ttl > 900 {
			t.Errorf("ttl = %d after a renewal, want at most 900", ttl)
		}
	})
	t.Run("takes a token once", func(t *testing.T) {
		c := j.claims(nil)
		if a := j.login("ci", c); a.Status != 200 {
			t.Fatalf("%d %s", a.Status, a.Raw)
		}
		if a := j.login("ci", c); a.Status != 400 || !strings.Contains(a.errors(), "used before") {
			t.Errorf("%d %s", a.Status, a.Raw)
		}
	})
	for name, changes := range map[string]m{
		"another repository":                   {"repository_id": "43"},
		"the same name with another id":        {"repository_id": "99", "repository": "acme/shop"},
		"another branch":                       {"ref": "refs/heads/evil"},
		"no bound claim":                       {"repository_id": nil},
		"a list that holds the id as a number": {"repository_id": []any{41}},
		"another issuer":                       {"iss": "https://evil.test"},
		"an expired one":                       {"exp": time.Now().Add(-time.Hour).Unix()},
		"no expiry":                            {"exp": nil},
		"an expiry that is a text":             {"exp": "9999999999"},
		"one from the future":                  {"nbf": time.Now().Add(time.Hour).Unix()},
		"no user":                              {"repository": nil},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if a := j.login("ci", j.claims(changes)); a.Status != 400 {
				t.Errorf("%d %s", a.Status, a.Raw)
			}
		})
	}
	t.Run("refuses another key, no signature, and the public key as a secret", func(t *testing.T) {
		other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		noError(t, err)
		der, err := x509.MarshalPKIXPublicKey(&j.key.PublicKey)
		noError(t, err)
		mac := b64(m{"alg": "HS256", "kid": "k"}) + "." + b64(j.claims(nil))
		hm := hmac.New(sha256.New, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
		hm.Write([]byte(mac))
		for name, token := range map[string]string{
			"another key": j.sign(other, j.claims(nil)),
			"none":        b64(m{"alg": "none"}) + "." + b64(j.claims(nil)) + ".",
			"hmac":        mac + "." + base64.RawURLEncoding.EncodeToString(hm.Sum(nil)),
			"no token":    "x",
			"a long one":  strings.Repeat("a", 40<<10) + ".b.c",
			"changed":     strings.Replace(j.sign(j.key, j.claims(nil)), ".", ".e", 1),
			"four parts":  j.sign(j.key, j.claims(nil)) + ".x",
		} {
			if a := j.h.ask("", "POST", "auth/jwt/login", m{"role": "ci", "jwt": token}); a.Status != 400 {
				t.Errorf("%s: %d %s", name, a.Status, a.Raw)
			}
		}
	})
	t.Run("a role without a bound claim is not written", func(t *testing.T) {
		j.h.want(400, "root", "POST", "auth/jwt/role/open", m{"user_claim": "sub", "bound_audiences": "https://vault.test"})
		j.h.want(400, "root", "POST", "auth/jwt/role/open", m{"user_claim": "sub", "bound_subject": "x"})
		j.h.want(400, "root", "POST", "auth/jwt/role/open", m{"preset": "github-actions", "bound_audiences": "x"})
		j.h.want(400, "root", "POST", "auth/jwt/role/open", m{"user_claim": "sub", "bound_claims": m{"a": []any{}}, "bound_audiences": "x"})
	})
	t.Run("keys from the configuration work without a network", func(t *testing.T) {
		der, err := x509.MarshalPKIXPublicKey(&j.key.PublicKey)
		noError(t, err)
		h := open(t)
		h.want(204, "root", "POST", "sys/auth/jwt", m{"type": "jwt"})
		h.want(204, "root", "POST", "auth/jwt/config", m{"jwt_validation_pubkeys": []string{string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, "bound_issuer": j.url})
		h.want(204, "root", "POST", "auth/jwt/role/any", m{
			"role_type": "jwt", "user_claim": "sub", "bound_audiences": []string{"https://vault.test"}, "bound_claims": m{"ref": "refs/heads/*"}, "bound_claims_type": "glob",
		})
		h.want(200, "", "POST", "auth/jwt/login", m{"role": "any", "jwt": j.sign(j.key, j.claims(nil))})
		h.want(400, "", "POST", "auth/jwt/login", m{"role": "any", "jwt": j.sign(j.key, j.claims(m{"ref": "refs/tags/v1"}))})
	})
}
