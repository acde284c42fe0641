package client_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

// TestEachMethodAsksForItsRoute is the contract of DESIGN §5: method, path and
// body of every request, with an answer that decodes.
func TestEachMethodAsksForItsRoute(t *testing.T) {
	t.Parallel()
	until := time.Date(2026, 12, 24, 18, 0, 0, 0, time.FixedZone("", 3600))
	repo := nightporter.Repo{Forge: "github", Name: "ledger"}
	type C = client.Client
	ignore := func(_ any, err error) error { return err }
	for _, tt := range []struct {
		name, want, body, answer string
		call                     func(context.Context, *C) error
	}{
		{"board", "GET /api/board?limit=1000", "", `{"items":[{"service":"ledger","repo":"github/ledger"}]}`, func(ctx context.Context, c *C) error {
			rows, err := c.Board(ctx)
			if err == nil && (len(rows) != 1 || rows[0].Repo != repo) {
				t.Errorf("board = %+v", rows)
			}
			return err
		}},
		{"releases", "GET /api/releases?limit=5&service=ledger&state=waiting", "", `{"items":[]}`, func(ctx context.Context, c *C) error {
			return ignore(client.Collect(c.Releases(ctx, client.ReleaseFilter{Service: "ledger", State: "waiting", PageSize: 5})))
		}},
		{"release", "GET /api/releases/rel_1", "", `{"id":"rel_1"}`, func(ctx context.Context, c *C) error { return ignore(c.Release(ctx, "rel_1")) }},
		{"approve", "POST /api/releases/rel_1/approve", `{"comment":"fine"}`, `{}`, func(ctx context.Context, c *C) error { return ignore(c.Approve(ctx, "rel_1", "fine")) }},
		{"reject", "POST /api/releases/rel_1/reject", `{"comment":"no"}`, `{}`, func(ctx context.Context, c *C) error { return ignore(c.Reject(ctx, "rel_1", "no")) }},
		{"retry", "POST /api/releases/rel_1/retry", `{}`, `{"release":"rel_1","run":"run_2"}`, func(ctx context.Context, c *C) error { return ignore(c.Retry(ctx, "rel_1")) }},
		{"rollback", "POST /api/releases/rel_1/rollback", `{"comment":"slow","environment":"prod"}`, `{}`, func(ctx context.Context, c *C) error { return ignore(c.Rollback(ctx, "rel_1", "prod", "slow")) }},
		{"promote", "POST /api/releases/rel_1/promote", `{"environment":"prod"}`, `{}`, func(ctx context.Context, c *C) error { return ignore(c.Promote(ctx, "rel_1", "prod")) }},
		{"deploy", "POST /api/services/ledger/deploy", `{"version":"1.4.0","environment":"dev"}`, `{"id":"rel_9"}`, func(ctx context.Context, c *C) error {
			return ignore(c.Deploy(ctx, "ledger", "1.4.0", "dev"))
		}},
		{"hold", "PUT /api/services/ledger/hold", `{"reason":"audit"}`, ``, func(ctx context.Context, c *C) error { return c.Hold(ctx, "ledger", "audit") }},
		{"unhold", "DELETE /api/services/ledger/hold", ``, ``, func(ctx context.Context, c *C) error { return c.Unhold(ctx, "ledger") }},
		{"freeze", "PUT /api/freezes/prod", `{"until":"2026-12-24T17:00:00Z","reason":"holidays"}`, ``, func(ctx context.Context, c *C) error {
			return c.Freeze(ctx, "prod", until, "holidays")
		}},
		{"approve past a freeze", "POST /api/releases/rel_1/approve", `{"comment":"fine","override_freeze":"fire"}`, `{}`, func(ctx context.Context, c *C) error {
			return ignore(c.Approve(client.WithFreezeOverride(ctx, "fire"), "rel_1", "fine"))
		}},
		{"a rejection passes nothing", "POST /api/releases/rel_1/reject", `{"comment":"no"}`, `{}`, func(ctx context.Context, c *C) error {
			return ignore(c.Reject(client.WithFreezeOverride(ctx, "fire"), "rel_1", "no"))
		}},
		{"dora", "GET /api/services/ledger/dora?window=90d", "", `{"service":"ledger"}`, func(ctx context.Context, c *C) error { return ignore(c.Dora(ctx, "ledger", "90d")) }},
		{"incidents", "GET /api/services/ledger/incidents?limit=5", "", `{"items":[]}`, func(ctx context.Context, c *C) error {
			return ignore(client.Collect(c.Incidents(ctx, "ledger", 5)))
		}},
		{"open incident", "POST /api/services/ledger/incidents", `{"title":"slow"}`, `{"id":"inc_1"}`, func(ctx context.Context, c *C) error {
			return ignore(c.OpenIncident(ctx, "ledger", "slow", ""))
		}},
		{"close incident", "POST /api/services/ledger/incidents/inc_1/close", ``, `{}`, func(ctx context.Context, c *C) error {
			return ignore(c.CloseIncident(ctx, "ledger", "inc_1"))
		}},
		{"freezes", "GET /api/freezes?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.Freezes(ctx)) }},
		{"unfreeze", "DELETE /api/freezes/prod", ``, ``, func(ctx context.Context, c *C) error { return c.Unfreeze(ctx, "prod") }},
		{"versions", "GET /api/versions?limit=1000&repo=github%2Fledger", "", `{"items":[{"repo":"github/ledger","place":3,"version":"1.4.0"}]}`, func(ctx context.Context, c *C) error {
			return ignore(client.Collect(c.Versions(ctx, repo)))
		}},
		{"forges", "GET /api/forges?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.Forges(ctx)) }},
		{"services", "GET /api/services?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.Services(ctx)) }},
		{"service", "GET /api/services/ledger", "", `{"name":"ledger"}`, func(ctx context.Context, c *C) error { return ignore(c.Service(ctx, "ledger")) }},
		{"people", "GET /api/people?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.People(ctx)) }},
		{"teams", "GET /api/teams?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.Teams(ctx)) }},
		{"environments", "GET /api/environments?limit=1000", "", `{"items":[]}`, func(ctx context.Context, c *C) error { return ignore(c.Environments(ctx)) }},
		{"run", "GET /api/runs/run_1", "", `{"id":"run_1","steps":[{"expected":"1m10s"}]}`, func(ctx context.Context, c *C) error {
			r, err := c.Run(ctx, "run_1")
			if err == nil && time.Duration(r.Steps[0].Expected) != 70*time.Second {
				t.Errorf("expected = %v", r.Steps[0].Expected)
			}
			return err
		}},
		{"cancel a run", "POST /api/runs/run_1/cancel", `{"reason":"wrong branch"}`, `{}`, func(ctx context.Context, c *C) error { return c.CancelRun(ctx, "run_1", "wrong branch") }},
		{"audit", "GET /api/audit?actor=ana&limit=1000&resource=release%2Frel_1", "", `{"items":[]}`, func(ctx context.Context, c *C) error {
			return ignore(client.Collect(c.Audit(ctx, client.AuditFilter{Actor: "ana", Resource: "release/rel_1"})))
		}},
		{"checkpoint", "GET /api/audit/checkpoint", "", `{"size":3}`, func(ctx context.Context, c *C) error { return ignore(c.Checkpoint(ctx)) }},
		{"proof", "GET /api/audit/proof?entry=7", "", `{"leaf":"x"}`, func(ctx context.Context, c *C) error { return ignore(c.Proof(ctx, 7)) }},
		{"verify", "POST /api/audit/verify", ``, `{"entries":3}`, func(ctx context.Context, c *C) error { return ignore(c.VerifyAudit(ctx)) }},
		{"status", "GET /api/status", "", `{"version":"1.0.0"}`, func(ctx context.Context, c *C) error { return ignore(c.Status(ctx)) }},
		{"whoami", "GET /api/whoami", "", `{"name":"ana"}`, func(ctx context.Context, c *C) error { return ignore(c.Whoami(ctx)) }},
		{"login", "POST /api/login", `{"username":"ana","password":"p"}`, `{"token":"t"}`, func(ctx context.Context, c *C) error { return ignore(c.Login(ctx, "ana", "p")) }},
		{"login code", "POST /api/login/code", `{"person":"ana"}`, `{"code":"c","url":"u"}`, func(ctx context.Context, c *C) error { return ignore(c.LoginCode(ctx, "ana")) }},
		{"create a token", "POST /api/tokens", `{"display_name":"ci","policies":["developer"],"ttl":"24h0m0s"}`, `{"token":"t"}`, func(ctx context.Context, c *C) error {
			return ignore(c.CreateToken(ctx, client.NewToken{DisplayName: "ci", Policies: []string{"developer"}, TTL: 24 * time.Hour}))
		}},
		{"revoke a token", "DELETE /api/tokens/acc", "", ``, func(ctx context.Context, c *C) error { return c.RevokeToken(ctx, "acc") }},
		{"write a user", "POST /api/users", `{"name":"ana","password":"p","policies":["viewer"]}`, ``, func(ctx context.Context, c *C) error {
			return c.SetUser(ctx, "ana", "p", []string{"viewer"})
		}},
		{"policies", "GET /api/policies?limit=1000", "", `{"items":[{"name":"default"},{"name":"ops"}]}`, func(ctx context.Context, c *C) error {
			list, err := c.Policies(ctx)
			if err == nil && (len(list) != 2 || list[0].Name != "default" || list[1].Name != "ops") {
				t.Errorf("policies = %+v", list)
			}
			return err
		}},
		{"policy", "GET /api/policies/ops", "", `{"policy":"path"}`, func(ctx context.Context, c *C) error { return ignore(c.Policy(ctx, "ops")) }},
		{"write a policy", "PUT /api/policies/ops", `{"policy":"path \"a\" {}"}`, ``, func(ctx context.Context, c *C) error { return c.PutPolicy(ctx, "ops", `path "a" {}`) }},
		{"delete a policy", "DELETE /api/policies/ops", "", ``, func(ctx context.Context, c *C) error { return c.DeletePolicy(ctx, "ops") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			status := http.StatusOK
			if tt.answer == "" {
				status = http.StatusNoContent
			}
			server := serve(t, map[string]http.HandlerFunc{tt.want: says(status, tt.answer)})
			if err := tt.call(t.Context(), server.client(t)); err != nil {
				t.Fatal(err)
			}
			got := server.requests()[0]
			if diff := cmp.Diff(tt.body, got.body); diff != "" {
				t.Errorf("body (-want +got):\n%s", diff)
			}
			if got.header.Get("Authorization") != "Bearer npt_test" {
				t.Errorf("Authorization = %q", got.header.Get("Authorization"))
			}
			if keyed := got.header.Get("Idempotency-Key") != ""; keyed != (got.method == http.MethodPost) {
				t.Errorf("%s with an Idempotency-Key: %v", got.method, keyed)
			}
		})
	}
}

func TestAKeyOfTheCallersIsSent(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]http.HandlerFunc{"POST /api/releases/rel_1/retry": says(http.StatusAccepted, `{}`)})
	if _, err := server.client(t).Retry(client.WithIdempotencyKey(t.Context(), "mine"), "rel_1"); err != nil {
		t.Fatal(err)
	}
	if got := server.requests()[0].header.Get("Idempotency-Key"); got != "mine" {
		t.Errorf("Idempotency-Key = %q, want mine", got)
	}
}

func TestANameCannotLeaveItsPlaceInThePath(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"../../v1/sys/seal": "/api/releases/..%2F..%2Fv1%2Fsys%2Fseal",
		"..":                "/api/releases/%2E%2E",
		"a?b=c":             "/api/releases/a%3Fb=c",
	} {
		server := serve(t, map[string]http.HandlerFunc{"GET " + want: says(http.StatusOK, `{}`)})
		if _, err := server.client(t).Release(t.Context(), name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"127.0.0.1:8200", "ftp://x", "http://", "https://user:secret@host", "http://host?x=1", "::"} {
		_, err := client.New(client.Config{Address: address})
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%q: %v, want invalid", address, err)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error repeats a password: %v", err)
		}
	}
	c, err := client.New(client.Config{})
	if err != nil || c.Address() != client.DefaultAddress {
		t.Errorf("default address = %v, %v", c, err)
	}
	c, err = client.New(client.Config{Address: "https://porter.acme.test/tools/"})
	if err != nil || c.Address() != "https://porter.acme.test/tools" {
		t.Errorf("address with a path = %v, %v", c, err)
	}
}

func TestATokenCannotSmuggleHeaders(t *testing.T) {
	t.Parallel()
	_, err := client.New(client.Config{Token: "a\r\nX-Evil: 1"})
	if nightporter.CodeOf(err) != nightporter.Invalid || strings.Contains(err.Error(), "Evil") {
		t.Errorf("err = %v, want invalid without the token", err)
	}
}
