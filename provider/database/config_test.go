package database_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

func TestParseConfig(t *testing.T) {
	t.Parallel()
	// The body of Vault's own documentation, with what the CLI makes of numbers.
	body := `{
		"plugin_name": "postgresql-database-plugin",
		"allowed_roles": "readonly",
		"connection_url": "postgresql://{{username}}:{{password}}@localhost:5432/database-name",
		"max_open_connections": "5", "max_idle_connections": 2, "max_connection_lifetime": "5s",
		"username": "username", "password": "password", "verify_connection": true,
		"disable_escaping": "true", "timeout": 10, "keep_sessions": true, "object_owner": "app"
	}`
	var fields map[string]any
	if err := json.Unmarshal([]byte(body), &fields); err != nil {
		t.Fatal(err)
	}
	got, rest, err := database.ParseConfig(fields)
	if err != nil {
		t.Fatal(err)
	}
	want := database.Config{
		Plugin:             database.PluginPostgreSQL,
		ConnectionURL:      "postgresql://{{username}}:{{password}}@localhost:5432/database-name",
		MaxOpenConnections: 5, MaxIdleConnections: 2, MaxConnectionLifetime: 5 * time.Second,
		Username: "username", Password: "password", DisableEscaping: true,
		Timeout: 10 * time.Second, KeepSessions: true, ObjectOwner: "app",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"allowed_roles", "verify_connection"}, rest); diff != "" {
		t.Errorf("fields for the caller (-want +got):\n%s", diff)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]map[string]any{
		"no address":                {"plugin_name": database.PluginPostgreSQL},
		"a number that is none":     {"connection_url": "x", "max_open_connections": "many"},
		"half a connection":         {"connection_url": "x", "max_open_connections": 1.5},
		"a duration that is none":   {"connection_url": "x", "max_connection_lifetime": "soon"},
		"a negative timeout":        {"connection_url": "x", "timeout": "-1s"},
		"a switch that is none":     {"connection_url": "x", "keep_sessions": "perhaps"},
		"a name that is a number":   {"connection_url": "x", "username": 7},
		"a NUL":                     {"connection_url": "x", "password": "a\x00b"},
		"an authority without PEM":  {"connection_url": "x", "tls_ca": "trust me"},
		"a certificate without key": {"connection_url": "x", "tls_certificate": "-----BEGIN CERTIFICATE-----"},
		"a pair that is none":       {"connection_url": "x", "tls_certificate_key": "both"},
		"unknown authentication":    {"connection_url": "x", "password_authentication": "md5"},
		"a template that is none":   {"connection_url": "x", "username_template": "{{"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, _, err := database.ParseConfig(fields); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
		})
	}
}

func TestConfigPrintsNoSecrets(t *testing.T) {
	t.Parallel()
	c := database.Config{ConnectionURL: "postgresql://root:Secret-1@db", Password: "Secret-2", TLSPrivateKey: "Secret-3"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{c, &c, []database.Config{c}} {
			if text := fmt.Sprintf(format, value); strings.Contains(text, "Secret") {
				t.Errorf("%s of %T prints %s", format, value, text)
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	got := database.Config{}.WithDefaults()
	want := database.Config{MaxOpenConnections: 4, MaxIdleConnections: 4, Timeout: 30 * time.Second, PasswordAuthentication: "password"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}
