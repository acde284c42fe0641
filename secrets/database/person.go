package database

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// A person's own login replaces the service's password that people used to borrow:
// in their own name, read-only unless the connection's person_statements say
// otherwise, for an hour, and not longer than they are in the team.

// personTTL is how long such a login lives. It can be asked for again, not
// renewed past it.
const personTTL = time.Hour

const (
	personPostgres = `CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}' IN ROLE pg_read_all_data;
ALTER ROLE "{{name}}" SET default_transaction_read_only = on;`
	personMySQL = "CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}'; GRANT SELECT, SHOW VIEW ON "
)

// readLogin answers login/:name.
func (b *Backend) readLogin(ctx context.Context, r *vault.Request) (*vault.Response, error) {
	actor := nightporter.ActorFrom(ctx)
	if actor.Kind != nightporter.Person {
		return nil, vault.Bad("only a person has a login of their own: services ask for a role at %screds/", r.Mount.Path)
	}
	c, err := b.engine.byName(ctx, r.Mount.UUID, r.Vars["name"])
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, vault.RefuseIn(http.StatusNotFound, "%s", message(err))
	}
	if err != nil {
		return nil, err
	}
	role, err := personRole(c, actor.Name)
	if err != nil {
		return nil, err
	}
	resp, err := b.hand(ctx, r, c, wish{role: role, lease: lease.Lease{Path: r.Full, ID: r.Full}})
	if err != nil {
		return nil, err
	}
	resp.Data["connection_url"] = hidePassword(c.text("connection_url"))
	resp.Data["plugin_name"] = c.text("plugin_name")
	return resp, nil
}

// personRole is the role that makes a person's login.
func personRole(c *connection, person string) (Role, error) {
	role := Role{Name: person, Creation: c.PersonStatements, DefaultTTL: personTTL, MaxTTL: personTTL}
	if len(role.Creation) > 0 {
		return role, nil
	}
	if dialect(c.text("plugin_name")) == provider.PostgreSQL {
		role.Creation = []string{personPostgres}
		return role, nil
	}
	schema := schemaOf(c.text("connection_url"))
	if schema == "" {
		return role, vault.Bad("the connection_url names no database, so nobody knows what a person may read: write person_statements to the database's config")
	}
	role.Creation = []string{personMySQL + provider.QuoteName(provider.MySQL, schema) + ".* TO '{{name}}'@'%';"}
	return role, nil
}

// schemaOf is the database in a MySQL address: "user:password@tcp(host)/NAME?…".
func schemaOf(address string) string {
	_, rest, _ := strings.Cut(address, ")/")
	name, _, _ := strings.Cut(rest, "?")
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	if strings.ContainsAny(name, "{}'\"`;\x00") {
		return ""
	}
	return name
}

// Revisit ends the logins of people who may not have them any more: who left the
// team, or lost the policy. Run calls it each minute; the application calls it when
// the configuration has changed.
func (e *Engine) Revisit(ctx context.Context) error {
	ctx = e.as(ctx, nightporter.ActorFrom(ctx).Cause())
	var mine []lease.Lease
	err := e.look(ctx, func(tx *store.Tx) (err error) {
		// A person's login is the one whose role is the person.
		mine, err = lease.Query(ctx, tx, `WHERE kind = ? AND state = 'live'
			AND EXISTS (SELECT 1 FROM database_login j WHERE j.lease = lease.id AND j.role = lease.owner) ORDER BY id LIMIT 5000`, string(Kind))
		return err
	})
	if err != nil {
		return err
	}
	for _, l := range mine {
		action := nightporter.Action{Name: "database.read", Capability: nightporter.Read, Path: l.Path}
		if !strings.Contains(l.Path, "/login/") || e.cfg.MayKeep(ctx, l.Owner, l.Parent, action) {
			continue
		}
		journal, err := e.journal(ctx, []lease.Lease{l})
		if err != nil {
			return err
		}
		if en, ok := journal[l.ID]; ok {
			if err := e.unwant(ctx, l.Owner+" may not have it any more", en.login); err != nil {
				return err
			}
		}
	}
	return nil
}
