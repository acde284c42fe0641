package client_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
)

func TestASecretIsReadRenewedAndRevokedInVaultsWords(t *testing.T) {
	t.Parallel()
	server := serve(t, map[string]http.HandlerFunc{
		"GET /v1/database/creds/a%20b":        says(http.StatusOK, `{"lease_id":"database/creds/a b/1","renewable":true,"lease_duration":60,"data":{"username":"u","password":"hunter-2"}}`),
		"GET /v1/database/orphans":            says(http.StatusOK, `{"data":{"findings":[{"username":"u","kind":"orphan"}]}}`),
		"PUT /v1/sys/leases/renew":            says(http.StatusOK, `{"lease_id":"x","renewable":true,"lease_duration":30}`),
		"PUT /v1/sys/leases/revoke":           says(http.StatusNoContent, ""),
		"GET /api/leases?limit=1000&role=app": says(http.StatusOK, `{"items":[{"id":"x"}]}`),
	})
	c := server.client(t)
	s, err := c.ReadSecret(t.Context(), "database/creds/a b")
	if err != nil || s.TTL() != time.Minute || s.LeaseID != "database/creds/a b/1" {
		t.Fatalf("%v, %v", s, err)
	}
	if text := fmt.Sprintf("%v %s", s, s); strings.Contains(text, "hunter-2") {
		t.Errorf("a secret was printed: %q", text)
	}
	var number struct {
		Password int `json:"password"`
	}
	if err := s.Decode(&number); err == nil || strings.Contains(err.Error(), "hunter-2") {
		t.Errorf("decoding what does not fit: %v", err)
	}
	if s, err := c.RenewLease(t.Context(), "x", 90*time.Second); err != nil || s.TTL() != 30*time.Second {
		t.Errorf("%v, %v", s, err)
	}
	if err := c.RevokeLease(t.Context(), "x"); err != nil {
		t.Error(err)
	}
	if list, err := c.Orphans(t.Context(), "database/"); err != nil || len(list) != 1 || list[0].Kind != "orphan" {
		t.Errorf("%v, %v", list, err)
	}
	if list, err := client.Collect(c.Leases(t.Context(), client.LeaseFilter{Role: "app"})); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
	var bodies []string
	for _, r := range server.requests() {
		if r.body != "" {
			bodies = append(bodies, r.body)
		}
	}
	if diff := cmp.Diff([]string{`{"lease_id":"x","increment":90}`, `{"lease_id":"x","sync":true}`}, bodies); diff != "" {
		t.Errorf("bodies (-want +got):\n%s", diff)
	}
}

func TestAnErrorOfTheVaultAPIHasACodeByItsStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		body   string
		code   nightporter.Code
		text   string
	}{
		{403, `{"errors":["1 error occurred:\n\t* permission denied\n\n"]}`, nightporter.Denied, "permission denied"},
		{404, `{"errors":[]}`, nightporter.NotFound, "there is nothing at this path"},
		{400, `{"errors":["lease not found","or gone"]}`, nightporter.Invalid, "lease not found; or gone"},
		{503, `{"errors":["Vault is sealed"]}`, nightporter.Sealed, "Vault is sealed"},
		{502, `<html>`, nightporter.Unavailable, "not as nightporter does"},
		{502, `{}`, nightporter.Unavailable, "not as nightporter does"},
	} {
		server := serve(t, map[string]http.HandlerFunc{"GET /v1/database/creds/x": says(tt.status, tt.body)})
		_, err := server.client(t).ReadSecret(t.Context(), "database/creds/x")
		if nightporter.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.text) {
			t.Errorf("%d %s: %v (%s), want %q (%s)", tt.status, tt.body, err, nightporter.CodeOf(err), tt.text, tt.code)
		}
	}
}
