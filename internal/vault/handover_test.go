package vault_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/store/storetest"
)

// ledgerReads is a world in which ledger reads a value of the KV engine, another
// one in each environment.
func ledgerReads() catalog.Snapshot {
	return catalog.Snapshot{
		Forges: []catalog.Forge{{Name: "hub", Kind: "mem"}},
		Teams:  []catalog.Team{{Name: "payments"}},
		Environments: []catalog.Environment{
			{Environment: nightporter.Environment{Name: "dev", Kind: nightporter.Development}},
			{Environment: nightporter.Environment{Name: "prod", Kind: nightporter.Production}},
		},
		Pipeline: [][]string{{"dev"}, {"prod"}},
		Services: []catalog.Service{{
			Service: nightporter.Service{Name: "ledger", Repo: nightporter.Repo{Forge: "hub", Name: "ledger"}, Owner: "payments"},
			Deploy:  catalog.Deploy{Kind: "mem"}, Credentials: []string{"secret/data/ledger-{environment}"},
		}},
	}
}

// handedOver opens a house with a value in each environment and hands a token over
// to an instance in dev.
func handedOver(t *testing.T, db *store.DB, key string) (h *house, wrapping string) {
	t.Helper()
	h = openWith(t, options{unsealed: true, db: db, world: ledgerReads()})
	h.want(204, "root", "POST", "sys/mounts/secret", map[string]any{"type": "kv", "options": map[string]string{"version": "2"}})
	for _, env := range []string{"dev", "prod"} {
		h.want(200, "root", "POST", "secret/data/ledger-"+env, map[string]any{"data": map[string]string{"in": env}})
	}
	return h, h.handOver(t, "dev", key)
}

func (h *house) handOver(t *testing.T, environment, key string) string {
	t.Helper()
	ctx := nightporter.WithActor(context.Background(), nightporter.SystemActor("releases", ""))
	spec := identity.Instance{Service: "ledger", Environment: environment, Key: key}.Spec(5 * time.Minute)
	token, err := h.vault.HandOver(ctx, spec, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestHandOver(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h, wrapping := handedOver(t, db, "r1")

		h.want(403, h.handOver(t, "dev", "r0"), "GET", "secret/data/ledger-dev", nil) // it opens, and does nothing else
		opened := h.want(200, wrapping, "POST", "sys/wrapping/unwrap", nil)
		token := opened.text("auth", "client_token")
		if left, _ := opened.at("auth", "lease_duration").(json.Number).Int64(); left != int64(identity.DefaultTTL.Seconds()) {
			t.Errorf("the token lives %d s, want %v: it begins when it is opened", left, identity.DefaultTTL)
		}
		if again := h.want(400, wrapping, "POST", "sys/wrapping/unwrap", nil); !strings.Contains(again.errors(), "wrapping token") {
			t.Errorf("opened twice: %s", again.Raw)
		}

		// It may do what the service may, where it runs, and look after itself.
		if got := h.want(200, token, "GET", "secret/data/ledger-dev", nil).text("data", "data", "in"); got != "dev" {
			t.Errorf("ledger in dev reads %q", got)
		}
		self := h.want(200, token, "GET", "auth/token/lookup-self", nil)
		if name := self.text("data", "display_name"); name != "ledger@dev" {
			t.Errorf("the token is called %q, want ledger@dev", name)
		}
		h.clock.advance(20 * 24 * time.Hour)
		h.want(200, token, "POST", "auth/token/renew-self", nil)
		h.clock.advance(20 * 24 * time.Hour)
		h.want(200, token, "GET", "secret/data/ledger-dev", nil)
		for _, refused := range []struct{ method, path string }{
			{"GET", "secret/data/ledger-prod"},
			{"POST", "secret/data/ledger-dev"},
			{"GET", "secret/metadata/ledger-dev"},
			{"POST", "auth/token/create"},
			{"GET", "sys/mounts"},
			{"POST", "sys/wrapping/wrap"},
			{"POST", "sys/leases/revoke"},
		} {
			h.want(403, token, refused.method, refused.path, map[string]any{})
		}
	})
}

func TestHandOverThatNobodyOpensEndsByItself(t *testing.T) {
	t.Parallel()
	h, wrapping := handedOver(t, nil, "r1")
	keys, _ := h.want(200, "root", "LIST", "auth/token/accessors", nil).at("data", "keys").([]any)
	living := func() (n int) {
		for _, accessor := range keys {
			if h.ask("root", "POST", "auth/token/lookup-accessor", map[string]any{"accessor": accessor}).Status == 200 {
				n++
			}
		}
		return n
	}
	live := living()
	if live < 2 {
		t.Fatalf("%d tokens live, want root and the one that was handed over", live)
	}
	h.clock.advance(5*time.Minute + time.Second)
	h.want(400, wrapping, "POST", "sys/wrapping/unwrap", nil)
	if got := living(); got != 1 {
		t.Errorf("%d of %d tokens live, want root alone", got, live)
	}
}

func TestRecall(t *testing.T) {
	t.Parallel()
	storetest.Each(t, tables, func(t *testing.T, db *store.DB) {
		h, wrapping := handedOver(t, db, "r1")
		open := func(wrapping string) string {
			return h.want(200, wrapping, "POST", "sys/wrapping/unwrap", nil).text("auth", "client_token")
		}
		old, next, prod := open(wrapping), open(h.handOver(t, "dev", "r2")), open(h.handOver(t, "prod", "r1"))
		// Somebody's own token may say what it likes about itself.
		pretender := h.want(200, "root", "POST", "auth/token/create", map[string]any{
			"policies": []string{"root"}, "meta": map[string]string{"service": "ledger", "environment": "dev", "instance": "r1"},
		}).text("auth", "client_token")
		ctx := nightporter.WithActor(context.Background(), nightporter.SystemActor("releases", ""))
		for range 2 {
			if err := h.identity.Recall(ctx, "ledger", "dev", []string{"r2"}); err != nil {
				t.Fatal(err)
			}
		}
		h.want(403, old, "GET", "secret/data/ledger-dev", nil)
		h.want(200, next, "GET", "secret/data/ledger-dev", nil)
		h.want(200, prod, "GET", "secret/data/ledger-prod", nil)
		h.want(200, pretender, "GET", "secret/data/ledger-dev", nil)
		if err := h.identity.Recall(ctx, "ledger", "dev", nil); err != nil {
			t.Fatal(err)
		}
		h.want(403, next, "GET", "secret/data/ledger-dev", nil)
	})
}

func TestPolicyOfInstancesIsMadeByTheHouse(t *testing.T) {
	t.Parallel()
	h, wrapping := handedOver(t, nil, "r1")
	text := h.want(200, "root", "GET", "sys/policies/acl/instance-ledger@dev", nil).text("data", "policy")
	if !strings.Contains(text, `"secret/data/ledger-dev"`) || strings.Contains(text, "prod") {
		t.Errorf("the policy of ledger in dev says:\n%s", text)
	}
	if a := h.ask("root", "PUT", "sys/policies/acl/instance-ledger@dev", map[string]string{"policy": `path "*" { capabilities = ["sudo"] }`}); a.Status/100 == 2 {
		t.Errorf("it could be written: %d", a.Status)
	}
	token := h.want(200, wrapping, "POST", "sys/wrapping/unwrap", nil).text("auth", "client_token")
	h.want(403, token, "GET", "secret/data/ledger-prod", nil)
}
