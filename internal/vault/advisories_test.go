package vault_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/store"
)

// Published advisories against Vault and OpenBao, replayed here. Each subtest is
// named after its id; those about deciding alone are in internal/policy.

func TestAdvisory(t *testing.T) {
	t.Parallel()

	t.Run("CVE-2026-3605 an encoded path is not another path to the policy than to the engine", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv"})
		h.want(204, "root", "PUT", "kv/private", m{"a": "b"})
		h.policy("public", `path "kv/public/*" { capabilities = ["read", "delete", "list"] }`)
		token := h.token(m{"policies": "public"})
		for _, path := range []string{
			"kv/public/../private", "kv/public/%2e%2e/private", "kv/public%2f..%2fprivate", "kv/public/%252e%252e/private", "kv/public/..%5cprivate",
			"kv/public//../private", "kv/public/\\..\\private", "kv/public/%00/../private",
		} {
			req, err := http.NewRequest("DELETE", h.server.URL+"/v1/", nil)
			if err != nil {
				t.Fatal(err)
			}
			req.URL.Opaque = "//" + req.URL.Host + "/v1/" + path
			req.Header.Set("X-Vault-Token", token)
			resp, err := h.server.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("DELETE %s = %d", path, resp.StatusCode)
			}
		}
		h.want(200, "root", "GET", "kv/private", nil)
	})

	t.Run("GHSA-xp3c-3jw3-4vcr LIST does not get around a more specific deny", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv"})
		h.want(204, "root", "PUT", "kv/private/x", m{"a": "b"})
		h.policy("p", `path "kv/*" { capabilities = ["read", "list"] } path "kv/private/*" { capabilities = ["deny"] }`)
		token := h.token(m{"policies": "p"})
		for _, path := range []string{"kv/private", "kv/private/"} {
			h.want(403, token, "LIST", path, nil)
			h.want(403, token, "GET", path+"?list=true", nil)
		}
		h.want(200, token, "LIST", "kv/", nil)
	})

	t.Run("CVE-2025-5999 CVE-2025-64761 no spelling of root is root", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.policy("maker", `path "auth/token/create" { capabilities = ["update"] } path "auth/userpass/users/*" { capabilities = ["create", "update"] }`)
		h.want(204, "root", "POST", "sys/auth/userpass", m{"type": "userpass"})
		token := h.token(m{"policies": "maker"})
		for _, name := range []string{"root", "ROOT", " root ", "Root\t", "root,root", "ro\u200bot", "ｒｏｏｔ"} {
			if a := h.ask(token, "POST", "auth/token/create", m{"policies": []string{name}}); a.Status < 400 {
				t.Errorf("a token with the policy %q was made: %s", name, a.Raw)
			}
			if a := h.ask(token, "POST", "auth/userpass/users/eve", m{"password": "x", "policies": []string{name}}); a.Status < 400 {
				in := h.ask("", "POST", "auth/userpass/login/eve", m{"password": "x"})
				if h.ask(in.text("auth", "client_token"), "GET", "sys/mounts", nil).Status == 200 {
					t.Errorf("a user with the policy %q is root", name)
				}
			}
		}
		if a := h.ask("root", "PUT", "sys/policies/acl/ROOT", m{"policy": `path "x" { capabilities = ["read"] }`}); a.Status != 400 {
			t.Errorf("the policy ROOT was written: %d", a.Status)
		}
	})

	t.Run("CVE-2025-6004 CVE-2025-6011 a user has one spelling, and an unknown one costs as much", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/auth/userpass", m{"type": "userpass"})
		h.want(204, "root", "POST", "auth/userpass/users/bob", m{"password": "right"})
		limited := false
		for i := range 12 {
			name := []string{"bob", "BOB", "bOb", "%20bob"}[i%4]
			a := h.ask("", "POST", "auth/userpass/login/"+name, m{"password": "wrong"})
			if limited = a.Status == 429; limited {
				break
			}
			if a.Status != 400 || a.errors() != "invalid username or password" {
				t.Errorf("%s: %d %q", name, a.Status, a.errors())
			}
		}
		if !limited {
			t.Error("spelling the name otherwise gives more tries")
		}
		if a := h.ask("", "POST", "auth/userpass/login/nobody", m{"password": "wrong"}); a.errors() != "invalid username or password" {
			t.Errorf("an unknown user is told %q", a.errors())
		}
	})

	t.Run("CVE-2025-6000 CVE-2025-54997 the API cannot make audit files", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		for _, kind := range []string{"file", "socket", "syslog", "http"} {
			if a := h.ask("root", "PUT", "sys/audit/x", m{"type": kind, "options": m{"file_path": "/tmp/x.sh", "mode": "0777", "prefix": "#!/bin/sh"}}); a.Status != 400 {
				t.Errorf("%s: %d", kind, a.Status)
			}
		}
	})

	t.Run("CVE-2023-24999 a role cannot destroy another role's secret by its accessor", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/auth/approle", m{"type": "approle"})
		h.want(204, "root", "POST", "auth/approle/role/a", m{"role_id": "id-a"})
		h.want(204, "root", "POST", "auth/approle/role/b", m{"role_id": "id-b"})
		b := h.want(200, "root", "POST", "auth/approle/role/b/secret-id", m{})
		h.ask("root", "POST", "auth/approle/role/a/secret-id-accessor/destroy", m{"secret_id_accessor": b.text("data", "secret_id_accessor")})
		h.ask("root", "POST", "auth/approle/role/a/secret-id/destroy", m{"secret_id": b.text("data", "secret_id")})
		h.want(400, "", "POST", "auth/approle/login", m{"role_id": "id-a", "secret_id": b.text("data", "secret_id")})
		h.want(200, "", "POST", "auth/approle/login", m{"role_id": "id-b", "secret_id": b.text("data", "secret_id")})
	})

	t.Run("CVE-2021-32923 renewing at the very end does not make a token live for ever", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		token := h.token(m{"ttl": "10m", "explicit_max_ttl": "20m", "policies": "default"})
		h.clock.advance(9 * time.Minute)
		h.want(200, token, "POST", "auth/token/renew-self", m{"increment": "30m"})
		h.clock.advance(11*time.Minute - 500*time.Millisecond)
		h.ask(token, "POST", "auth/token/renew-self", m{"increment": "0"})
		h.ask(token, "POST", "auth/token/renew-self", m{"increment": "100h"})
		h.clock.advance(time.Second)
		h.want(403, token, "GET", "auth/token/lookup-self", nil)
	})

	t.Run("CVE-2020-25594 strangers learn no mounts", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/known", m{"type": "kv"})
		h.policy("none", `path "elsewhere/*" { capabilities = ["read"] }`)
		token := h.token(m{"policies": "none"})
		for _, as := range []string{"", "s.bad", token} {
			for _, prefix := range []string{"", "sys/internal/ui/mounts/"} {
				have, not := h.ask(as, "GET", prefix+"known/x", nil), h.ask(as, "GET", prefix+"other/x", nil)
				have.Raw = bytes.ReplaceAll(have.Raw, []byte("known"), []byte("other"))
				if have.Status != 403 || not.Status != 403 || !bytes.Equal(have.Raw, not.Raw) {
					t.Errorf("as %q: %d %s for a mount, %d %s for none", as, have.Status, have.Raw, not.Status, not.Raw)
				}
			}
		}
	})

	t.Run("CVE-2023-6337 CVE-2025-6203 CVE-2025-12044 bodies that are cheap to send and dear to read are refused", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv"})
		deep := `{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`
		wide := `{"a":[` + strings.Repeat("1,", 200_000) + `1]}`
		large := `{"a":"` + strings.Repeat("x", 3<<20) + `"}`
		for name, body := range map[string]string{"deep": deep, "wide": wide, "large": large} {
			for _, as := range []string{"", "root"} {
				if a := h.ask(as, "POST", "kv/x", body); a.Status < 400 || a.Status >= 500 {
					t.Errorf("%s as %q: %d", name, as, a.Status)
				}
			}
		}
	})

	t.Run("CVE-2024-5798 an audience that only starts like ours is not ours", func(t *testing.T) {
		t.Parallel()
		j := newJWT(t)
		for _, aud := range []any{"https://vault.test.evil", "vault", []string{"https://vault.test/", "x"}, []any{}, nil, 7} {
			if a := j.login("ci", j.claims(m{"aud": aud})); a.Status != 400 {
				t.Errorf("audience %v: %d", aud, a.Status)
			}
		}
	})

	t.Run("CVE-2025-62513 CVE-2025-62705 no secret is in the audit log", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
		h.want(204, "root", "POST", "sys/auth/userpass", m{"type": "userpass"})
		const secret = "hunter2hunter2"
		h.want(200, "root", "POST", "kv/data/x", m{"data": m{"password": secret}})
		h.want(200, "root", "GET", "kv/data/x", nil)
		h.want(204, "root", "POST", "auth/userpass/users/bob", m{"password": secret})
		token := h.want(200, "", "POST", "auth/userpass/login/bob", m{"password": secret}).text("auth", "client_token")
		wrapped := h.want(200, "root", "GET", "kv/data/x", nil, "X-Vault-Wrap-TTL", "60").text("wrap_info", "token")
		h.want(200, wrapped, "POST", "sys/wrapping/unwrap", nil)
		h.want(204, "root", "POST", "auth/token/revoke", m{"token": token})
		h.clock.advance(time.Second)
		dump := h.dump()
		for _, s := range []string{secret, token, wrapped} {
			if strings.Contains(dump, s) {
				t.Errorf("the store holds %q", s)
			}
		}
		if !strings.Contains(dump, "kv/data/x") {
			t.Error("the dump holds nothing: the test would pass by itself")
		}
	})

	t.Run("CVE-2025-4166 a malformed payload is repeated neither in the answer nor in the audit log", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2"})
		const secret = "hunter2hunter2"
		for _, body := range []any{
			m{"data": secret},
			m{"data": []string{secret}},
			m{"password": secret},
			m{"data": m{"a": secret}, "options": m{"cas": secret}},
			`{"data":{"password":"` + secret + `"`, `["` + secret + `"]`, `"` + secret + `"`, secret, `{"data":{"a":1}} ` + secret,
		} {
			a := h.ask("root", "POST", "kv/data/x", body)
			if a.Status != 400 || bytes.Contains(a.Raw, []byte(secret)) {
				t.Errorf("%v: %d %s", body, a.Status, a.Raw)
			}
		}
		if strings.Contains(h.dump(), secret) {
			t.Error("the store holds the secret")
		}
	})

	t.Run("CVE-2026-33758 an error is no page", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		a := h.ask("root", "GET", "no/<script>alert(1)</script>", nil)
		if a.Header.Get("Content-Type") != "application/json" || a.Header.Get("X-Content-Type-Options") != "nosniff" || bytes.Contains(a.Raw, []byte("<script")) {
			t.Errorf("%v %s", a.Header, a.Raw)
		}
	})

	t.Run("CVE-2020-7220 what a mount handed out ends with the mount", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		h.want(204, "root", "POST", "sys/auth/team", m{"type": "userpass"})
		h.want(204, "root", "POST", "auth/team/users/bob", m{"password": "x"})
		token := h.want(200, "", "POST", "auth/team/login/bob", m{"password": "x"}).text("auth", "client_token")
		h.want(200, token, "GET", "auth/token/lookup-self", nil)
		h.want(204, "root", "DELETE", "sys/auth/team", nil)
		h.want(403, token, "GET", "auth/token/lookup-self", nil)
		h.want(204, "root", "POST", "sys/auth/team", m{"type": "userpass"})
		h.want(400, "", "POST", "auth/team/login/bob", m{"password": "x"})
	})

	t.Run("CVE-2026-5807 nobody without a token starts a rekey or makes a root token", func(t *testing.T) {
		t.Parallel()
		h := open(t)
		for _, path := range []string{"sys/rekey/init", "sys/generate-root/attempt", "sys/rotate", "sys/seal", "sys/step-down", "sys/raw/x"} {
			for _, method := range []string{"PUT", "POST", "DELETE"} {
				if a := h.ask("", method, path, m{"secret_shares": 1, "secret_threshold": 1}); a.Status != 403 {
					t.Errorf("%s %s = %d", method, path, a.Status)
				}
			}
		}
		h.want(400, "", "PUT", "sys/init", m{"secret_shares": 1, "secret_threshold": 1})
	})
}

// dump is every text in the tables that a secret could have leaked into.
func (h *house) dump() string {
	h.t.Helper()
	var b strings.Builder
	for _, q := range []string{
		`SELECT actor, action, resource_id, detail, policy FROM audit_entry`,
		`SELECT accessor, actor, meta, path, policies FROM token`,
		`SELECT id, path, reason, error, COALESCE(CAST(data AS TEXT), '') FROM lease`,
		`SELECT mount, CAST(path AS TEXT), CAST(value AS TEXT), '', '' FROM kv_version`,
		`SELECT name, hash, grants, '', '' FROM userpass`,
	} {
		err := h.db.View(h.t.Context(), func(tx *store.Tx) error {
			return tx.Each(h.t.Context(), q, nil, func(scan func(...any) error) error {
				var c [5][]byte
				if err := scan(&c[0], &c[1], &c[2], &c[3], &c[4]); err != nil {
					return err
				}
				fmt.Fprintf(&b, "%s\n", bytes.Join(c[:], []byte{' '}))
				return nil
			})
		})
		if err != nil {
			h.t.Fatal(err)
		}
	}
	return b.String()
}
