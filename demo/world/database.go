package world

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/internal/dbtest"
)

// The environments of acme, each with a database of its own.
var environments = []string{"dev", "preprod", "prod"}

// Tenants are the services that have a database in each environment, and work on
// logins that are lent to them.
func Tenants() []string { return []string{affordability, ledger} }

// Database is acme's PostgreSQL server: a database and a role for each tenant and
// environment. The judge looks at it as its administrator, whom Nightporter does
// not know.
type Database struct {
	judge.Database

	server *dbtest.Server
	porter string // the password that Nightporter is given
}

// startDatabase starts a server and does what acme's database administrator did.
func startDatabase(ctx context.Context) (*Database, error) {
	server, err := dbtest.StartPostgres()
	if err != nil {
		return nil, err
	}
	d := &Database{Database: judge.Database{DSN: server.DSN}, server: server, porter: rand.Text()}
	statements := []string{"CREATE ROLE porter LOGIN SUPERUSER PASSWORD '" + d.porter + "'"}
	for _, service := range Tenants() {
		for _, env := range environments {
			name := DatabaseOf(service, env)
			statements = append(statements, "CREATE ROLE "+name+" NOLOGIN", "CREATE DATABASE "+name+" OWNER "+name)
		}
	}
	if err := d.Exec(ctx, statements...); err != nil {
		return nil, fmt.Errorf("prepare the database: %w", err)
	}
	return d, nil
}

// Address is where the server listens.
func (d *Database) Address() string { return d.server.Addr }

// Login logs in as anybody.
func (d *Database) Login(user, password, database string) error {
	return d.server.Login(user, password, database)
}

// Close ends the server, and its folder goes with it.
func (d *Database) Close() error { return d.server.Close() }

// DatabaseOf is the name of a service's database in an environment, and of the role
// that owns it.
func DatabaseOf(service, environment string) string { return service + "_" + environment }

// lendLogins tells Nightporter about the databases, as `vault write` does: how to
// reach each, and how a login is made there. A login works as the role that owns
// the database, so that what it makes stays when it goes.
func (w *World) lendLogins(ctx context.Context) error {
	for _, service := range Tenants() {
		for _, env := range environments {
			if err := w.lendLogin(ctx, service, env); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *World) lendLogin(ctx context.Context, service, environment string) error {
	role, name := service+"-"+environment, DatabaseOf(service, environment)
	err := w.vaultWrite(ctx, "database/config/"+role, map[string]any{
		"plugin_name": "postgresql-database-plugin", "allowed_roles": role,
		"connection_url": "postgresql://{{username}}:{{password}}@" + w.Database.server.Addr + "/" + name + "?sslmode=disable",
		"username":       "porter", "password": w.Database.porter,
	})
	if err != nil {
		return err
	}
	return w.vaultWrite(ctx, "database/roles/"+role, map[string]any{
		"db_name": role, "default_ttl": "1h", "max_ttl": "24h",
		"creation_statements": `CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE ` + name +
			`; ALTER ROLE "{{name}}" SET role = '` + name + `'`,
	})
}

// vaultWrite is `vault write` of whoever ran init.
func (w *World) vaultWrite(ctx context.Context, path string, body map[string]any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	_, err = w.vault(ctx, http.MethodPost, path, text)
	return err
}

// VaultRead is `vault read` of whoever ran init.
func (w *World) VaultRead(ctx context.Context, path string) ([]byte, error) {
	return w.vault(ctx, http.MethodGet, path, nil)
}

func (w *World) vault(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.Porter.URL()+"/v1/"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Vault-Token", w.Porter.RootToken)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, strings.TrimSpace(string(answer)))
	}
	return answer, err
}

// sealKey is what the affordability service encrypts with.
func sealKey() string {
	key := make([]byte, 32)
	rand.Read(key)
	return base64.StdEncoding.EncodeToString(key)
}
