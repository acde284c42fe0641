package vault_test

import (
	"testing"

	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

func TestAnOperatorInitialisesUnsealsAndSealsWithShares(t *testing.T) {
	t.Parallel()
	h := openWith(t, options{})
	if a := h.want(501, "", "GET", "sys/health", nil); a.at("initialized") != false || a.at("sealed") != true {
		t.Errorf("health = %s", a.Raw)
	}
	h.want(299, "", "GET", "sys/health?uninitcode=299", nil)
	if a := h.want(503, "root", "GET", "secret/x", nil); a.errors() != "Vault is sealed" {
		t.Errorf("errors = %q", a.errors())
	}
	h.want(400, "", "PUT", "sys/unseal", m{"key": "00"})
	made := h.want(200, "", "PUT", "sys/init", m{"secret_shares": 3, "secret_threshold": 2})
	root := made.text("root_token")
	keys, _ := made.at("keys").([]any)
	base64Keys, _ := made.at("keys_base64").([]any)
	if root == "" || len(keys) != 3 || len(base64Keys) != 3 {
		t.Fatalf("init = %s", made.Raw)
	}
	if a := h.want(400, "", "PUT", "sys/init", m{"secret_shares": 3, "secret_threshold": 2}); a.errors() != "Vault is already initialized" {
		t.Errorf("errors = %q", a.errors())
	}
	h.want(503, "", "GET", "sys/health", nil)
	h.want(299, "", "GET", "sys/health?sealedcode=299", nil)
	h.want(503, root, "GET", "sys/mounts", nil)
	if a := h.want(200, "", "PUT", "sys/unseal", m{"key": keys[0]}); a.at("sealed") != true || a.text("nonce") == "" {
		t.Errorf("after one share: %s", a.Raw)
	}
	h.want(200, "", "PUT", "sys/unseal", m{"reset": true})
	h.want(200, "", "PUT", "sys/unseal", m{"key": base64Keys[1]})
	if a := h.want(200, "", "PUT", "sys/unseal", m{"key": keys[2]}); a.at("sealed") != false {
		t.Errorf("after two shares: %s", a.Raw)
	}
	h.want(200, root, "GET", "sys/mounts", nil)
	h.want(403, "", "PUT", "sys/seal", nil)
	h.want(204, root, "PUT", "sys/seal", nil)
	h.want(503, root, "GET", "sys/mounts", nil)
	if a := h.want(200, "", "GET", "sys/seal-status", nil); a.at("sealed") != true || a.text("cluster_name") != "" {
		t.Errorf("seal status = %s", a.Raw)
	}
	h.want(200, "", "GET", "sys/leader", nil)
}

// What a restart finds: mounts, policies, values and tokens are as they were.
func TestEverythingIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h := openWith(t, options{unsealed: true, db: db})
		h.want(204, "root", "POST", "sys/mounts/kv", m{"type": "kv-v2", "description": "ours"})
		h.policy("app", `path "kv/*" { capabilities = ["read", "list"] }`)
		h.want(200, "root", "POST", "kv/data/a/b", m{"data": m{"k": "v"}})
		token := h.token(m{"policies": "app", "ttl": "1h"})
		before := h.want(200, "root", "GET", "sys/mounts/kv", nil).text("uuid")

		again := openAgain(t, h)
		if after := again.want(200, "root", "GET", "sys/mounts/kv", nil); after.text("uuid") != before || after.text("description") != "ours" {
			t.Errorf("mount = %s", after.Raw)
		}
		if a := again.want(200, token, "GET", "kv/data/a/b", nil); a.text("data", "data", "k") != "v" {
			t.Errorf("value = %s", a.Raw)
		}
		again.want(403, token, "PUT", "kv/data/a/b", m{"data": m{}})
	})
}
