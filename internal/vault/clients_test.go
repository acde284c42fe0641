package vault_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	hashicorp "github.com/hashicorp/vault/api"
	openbao "github.com/openbao/openbao/api/v2"
)

func hashicorpClient(t *testing.T, h *house, token string) *hashicorp.Client {
	t.Helper()
	cfg := hashicorp.DefaultConfig()
	cfg.Address, cfg.MaxRetries = h.server.URL, 0
	c, err := hashicorp.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c.SetToken(token)
	return c
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestHashicorpsClientWorksUnmodified(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := t.Context()
	c := hashicorpClient(t, h, "root")

	t.Run("health, seal status and leader", func(t *testing.T) {
		health, err := c.Sys().HealthWithContext(ctx)
		noError(t, err)
		if !health.Initialized || health.Sealed || health.Standby || health.Version == "" {
			t.Errorf("health = %+v", health)
		}
		st, err := c.Sys().SealStatusWithContext(ctx)
		noError(t, err)
		if st.Sealed || !st.Initialized || st.T != 1 {
			t.Errorf("seal status = %+v", st)
		}
		_, err = c.Sys().LeaderWithContext(ctx)
		noError(t, err)
		init, err := c.Sys().InitStatusWithContext(ctx)
		noError(t, err)
		if !init {
			t.Error("init status is false")
		}
	})
	t.Run("mounts", func(t *testing.T) {
		noError(t, c.Sys().MountWithContext(ctx, "secret", &hashicorp.MountInput{Type: "kv", Options: map[string]string{"version": "2"}}))
		noError(t, c.Sys().MountWithContext(ctx, "kv1", &hashicorp.MountInput{Type: "kv", Config: hashicorp.MountConfigInput{MaxLeaseTTL: "24h"}}))
		mounts, err := c.Sys().ListMountsWithContext(ctx)
		noError(t, err)
		if got := mounts["secret/"]; got == nil || got.Type != "kv" || got.Options["version"] != "2" {
			t.Errorf("secret/ = %+v", got)
		}
		//lint:ignore SA1019 it is what programs in the field call
		noError(t, c.Sys().TuneMountWithContext(ctx, "kv1", hashicorp.MountConfigInput{DefaultLeaseTTL: "1h"}))
		tuned, err := c.Sys().MountConfigWithContext(ctx, "kv1")
		noError(t, err)
		if tuned.DefaultLeaseTTL != 3600 || tuned.MaxLeaseTTL != 86400 {
			t.Errorf("tuned = %+v", tuned)
		}
		noError(t, c.Sys().RemountWithContext(ctx, "kv1", "moved"))
		noError(t, c.Sys().UnmountWithContext(ctx, "moved"))
	})
	t.Run("kv version 2", func(t *testing.T) {
		kv := c.KVv2("secret")
		made, err := kv.Put(ctx, "app/db", map[string]any{"user": "u", "n": 1})
		noError(t, err)
		if made.VersionMetadata.Version != 1 {
			t.Errorf("version = %d, want 1", made.VersionMetadata.Version)
		}
		_, err = kv.Put(ctx, "app/db", map[string]any{"user": "v"}, hashicorp.WithCheckAndSet(7))
		if err == nil {
			t.Error("a wrong check-and-set parameter was taken")
		}
		_, err = kv.Patch(ctx, "app/db", map[string]any{"extra": "x"})
		noError(t, err)
		got, err := kv.Get(ctx, "app/db")
		noError(t, err)
		if got.Data["user"] != "u" || got.Data["extra"] != "x" {
			t.Errorf("data = %v", got.Data)
		}
		first, err := kv.GetVersion(ctx, "app/db", 1)
		noError(t, err)
		if _, there := first.Data["extra"]; there {
			t.Errorf("version 1 = %v", first.Data)
		}
		noError(t, kv.Delete(ctx, "app/db"))
		deleted, err := kv.Get(ctx, "app/db")
		noError(t, err)
		if deleted.Data != nil || deleted.VersionMetadata.DeletionTime.IsZero() {
			t.Errorf("deleted = %+v", deleted)
		}
		noError(t, kv.Undelete(ctx, "app/db", []int{2}))
		noError(t, kv.PutMetadata(ctx, "app/db", hashicorp.KVMetadataPutInput{MaxVersions: 5, CustomMetadata: map[string]any{"owner": "me"}}))
		meta, err := kv.GetMetadata(ctx, "app/db")
		noError(t, err)
		if meta.CurrentVersion != 2 || meta.CustomMetadata["owner"] != "me" || len(meta.Versions) != 2 {
			t.Errorf("metadata = %+v", meta)
		}
		if _, err := kv.Rollback(ctx, "app/db", 1); err != nil {
			t.Error(err)
		}
		noError(t, kv.DeleteMetadata(ctx, "app/db"))
		if _, err := kv.Get(ctx, "app/db"); !errors.Is(err, hashicorp.ErrSecretNotFound) {
			t.Errorf("error = %v, want ErrSecretNotFound", err)
		}
	})
	t.Run("policies, tokens and their renewal", func(t *testing.T) {
		noError(t, c.Sys().PutPolicyWithContext(ctx, "app", `path "secret/data/app/*" { capabilities = ["read", "create"] }`))
		names, err := c.Sys().ListPoliciesWithContext(ctx)
		noError(t, err)
		if !slices.Contains(names, "app") {
			t.Errorf("policies = %v", names)
		}
		made, err := c.Auth().Token().CreateWithContext(ctx, &hashicorp.TokenCreateRequest{Policies: []string{"app"}, TTL: "1h", DisplayName: "ci"})
		noError(t, err)
		as := hashicorpClient(t, h, made.Auth.ClientToken)
		self, err := as.Auth().Token().LookupSelfWithContext(ctx)
		noError(t, err)
		policies, err := self.TokenPolicies()
		noError(t, err)
		if diff := cmp.Diff([]string{"app", "default"}, policies); diff != "" {
			t.Error(diff)
		}
		caps, err := as.Sys().CapabilitiesSelfWithContext(ctx, "secret/data/app/x")
		noError(t, err)
		if diff := cmp.Diff([]string{"create", "read"}, caps); diff != "" {
			t.Error(diff)
		}
		_, err = as.KVv2("secret").Get(ctx, "other")
		var refused *hashicorp.ResponseError
		if !errors.As(err, &refused) || refused.StatusCode != http.StatusForbidden {
			t.Errorf("error = %v, want 403", err)
		}
		renewed, err := as.Auth().Token().RenewSelfWithContext(ctx, 7200)
		noError(t, err)
		if renewed.Auth.LeaseDuration != 7200 {
			t.Errorf("lease = %d, want 7200", renewed.Auth.LeaseDuration)
		}
		watcher, err := as.NewLifetimeWatcher(&hashicorp.LifetimeWatcherInput{Secret: made})
		noError(t, err)
		go watcher.Start()
		select {
		case <-watcher.RenewCh():
		case err := <-watcher.DoneCh():
			t.Errorf("the watcher gave up: %v", err)
		case <-time.After(time.Minute):
			t.Error("the watcher did not renew")
		}
		watcher.Stop()
		noError(t, c.Auth().Token().RevokeAccessorWithContext(ctx, made.Auth.Accessor))
		if _, err := as.Auth().Token().LookupSelfWithContext(ctx); err == nil {
			t.Error("a revoked token works")
		}
	})
	t.Run("wrapping", func(t *testing.T) {
		wrapping := hashicorpClient(t, h, "root")
		wrapping.SetWrappingLookupFunc(func(string, string) string { return "5m" })
		made, err := wrapping.Auth().Token().CreateWithContext(ctx, &hashicorp.TokenCreateRequest{Policies: []string{"app"}})
		noError(t, err)
		if made.WrapInfo == nil || made.WrapInfo.WrappedAccessor == "" || made.WrapInfo.TTL != 300 {
			t.Fatalf("wrap info = %+v", made.WrapInfo)
		}
		opened, err := hashicorpClient(t, h, "").Logical().UnwrapWithContext(ctx, made.WrapInfo.Token)
		noError(t, err)
		if opened.Auth == nil || opened.Auth.Accessor != made.WrapInfo.WrappedAccessor {
			t.Errorf("opened = %+v", opened.Auth)
		}
		if _, err := c.Logical().UnwrapWithContext(ctx, made.WrapInfo.Token); err == nil {
			t.Error("a wrapped answer was opened twice")
		}
	})
	t.Run("login methods", func(t *testing.T) {
		noError(t, c.Sys().EnableAuthWithOptionsWithContext(ctx, "approle", &hashicorp.EnableAuthOptions{Type: "approle"}))
		auths, err := c.Sys().ListAuthWithContext(ctx)
		noError(t, err)
		if auths["approle/"] == nil || auths["token/"] == nil {
			t.Errorf("auth methods = %v", auths)
		}
		_, err = c.Logical().WriteWithContext(ctx, "auth/approle/role/web", map[string]any{"token_policies": "app", "token_ttl": "10m"})
		noError(t, err)
		id, err := c.Logical().ReadWithContext(ctx, "auth/approle/role/web/role-id")
		noError(t, err)
		secret, err := c.Logical().WriteWithContext(ctx, "auth/approle/role/web/secret-id", nil)
		noError(t, err)
		in, err := hashicorpClient(t, h, "").Logical().WriteWithContext(ctx, "auth/approle/login", map[string]any{
			"role_id": id.Data["role_id"], "secret_id": secret.Data["secret_id"],
		})
		noError(t, err)
		if in.Auth == nil || in.Auth.LeaseDuration != 600 || !in.Auth.Orphan {
			t.Errorf("auth = %+v", in.Auth)
		}
		noError(t, c.Sys().DisableAuthWithContext(ctx, "approle"))
		if _, err := hashicorpClient(t, h, in.Auth.ClientToken).Auth().Token().LookupSelfWithContext(ctx); err == nil {
			t.Error("a token outlived its login method")
		}
	})
}

func TestOpenBaosClientWorksUnmodified(t *testing.T) {
	t.Parallel()
	h := open(t)
	ctx := context.Background()
	cfg := openbao.DefaultConfig()
	cfg.Address, cfg.MaxRetries = h.server.URL, 0
	c, err := openbao.NewClient(cfg)
	noError(t, err)
	c.SetToken("root")

	health, err := c.Sys().HealthWithContext(ctx)
	noError(t, err)
	if !health.Initialized || health.Sealed {
		t.Errorf("health = %+v", health)
	}
	noError(t, c.Sys().MountWithContext(ctx, "secret", &openbao.MountInput{Type: "kv-v2"}))
	_, err = c.KVv2("secret").Put(ctx, "a/b", map[string]any{"k": "v"})
	noError(t, err)
	got, err := c.KVv2("secret").Get(ctx, "a/b")
	noError(t, err)
	if got.Data["k"] != "v" {
		t.Errorf("data = %v", got.Data)
	}
	list, err := c.Logical().ListWithContext(ctx, "secret/metadata/a")
	noError(t, err)
	if diff := cmp.Diff([]any{"b"}, list.Data["keys"]); diff != "" {
		t.Error(diff)
	}
	noError(t, c.Sys().EnableAuthWithOptionsWithContext(ctx, "userpass", &openbao.EnableAuthOptions{Type: "userpass"}))
	_, err = c.Logical().WriteWithContext(ctx, "auth/userpass/users/bob", map[string]any{"password": "correct horse"})
	noError(t, err)
	in, err := c.Logical().WriteWithContext(ctx, "auth/userpass/login/bob", map[string]any{"password": "correct horse"})
	noError(t, err)
	if in.Auth == nil || in.Auth.Metadata["username"] != "bob" {
		t.Errorf("auth = %+v", in.Auth)
	}
	noError(t, c.Auth().Token().RevokeTreeWithContext(ctx, in.Auth.ClientToken))
	mounts, err := c.Sys().ListMountsWithContext(ctx)
	noError(t, err)
	if mounts["secret/"] == nil {
		t.Errorf("mounts = %v", mounts)
	}
}
