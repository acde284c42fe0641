package database_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hashicorp/vault/api"
	bao "github.com/openbao/openbao/api/v2"
)

// Clients that we did not write configure a database, read credentials, keep them
// alive and give them back.
func TestClientsOfVault(t *testing.T) {
	t.Parallel()

	t.Run("hashicorp/vault/api", func(t *testing.T) {
		t.Parallel()
		h, pg, _ := onPostgres(t, options{})
		config := api.DefaultConfig()
		config.Address = h.server.URL
		c, err := api.NewClient(config)
		must(t, err)
		c.SetToken("root")
		secret, err := c.Logical().Read("database/creds/app")
		must(t, err)
		name, _ := secret.Data["username"].(string)
		password, _ := secret.Data["password"].(string)
		must(t, pg.Login(name, password, ""))
		watcher, err := c.NewLifetimeWatcher(&api.LifetimeWatcherInput{Secret: secret, Increment: 7200})
		must(t, err)
		go watcher.Start()
		select {
		case renewal := <-watcher.RenewCh():
			if renewal.Secret.LeaseDuration != 7200 {
				t.Errorf("renewed to %d s", renewal.Secret.LeaseDuration)
			}
		case err := <-watcher.DoneCh():
			t.Errorf("the watcher gave up: %v", err)
		case <-time.After(time.Minute):
			t.Error("no renewal after a minute")
		}
		watcher.Stop()
		must(t, c.Sys().RevokeWithOptions(&api.RevokeOptions{LeaseID: secret.LeaseID, Sync: true}))
		if pg.Login(name, password, "") == nil {
			t.Error("the login still works after its revocation")
		}
	})

	t.Run("openbao/api", func(t *testing.T) {
		t.Parallel()
		h, server := inMemory(t, options{})
		config := bao.DefaultConfig()
		config.Address = h.server.URL
		c, err := bao.NewClient(config)
		must(t, err)
		c.SetToken("root")
		_, err = c.Logical().Write("sys/policies/password/long", map[string]any{"policy": `length = 33
			rule "charset" { charset = "abcdefgh" }`})
		must(t, err)
		_, err = c.Logical().Write("database/config/db", map[string]any{"password_policy": "long"})
		must(t, err)
		secret, err := c.Logical().Read("database/creds/app")
		must(t, err)
		if p, _ := secret.Data["password"].(string); len(p) != 33 {
			t.Errorf("the password has %d characters", len(p))
		}
		keys, err := c.Logical().List("database/roles")
		must(t, err)
		if got, _ := keys.Data["keys"].([]any); !slices.Equal(got, []any{"app"}) {
			t.Errorf("roles: %v", keys.Data)
		}
		must(t, c.Sys().RevokePrefix("database/creds"))
		h.eventually("gone", func() bool { return slices.Equal(server.Logins(), []string{"admin"}) })
	})
}
