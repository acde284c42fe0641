package database

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/vault"
	provider "nightporter.dev/nightporter/provider/database"
)

// trial says whether a role is tried when it is written.
type trial string

const (
	// tryAndWarn tries it, and what goes wrong is a warning: the default, because a
	// client of Vault's expects that a role can always be written.
	tryAndWarn trial = "warn"
	// tryOrRefuse refuses a role that does not work: verify=true.
	tryOrRefuse trial = "refuse"
	// tryNot: verify=false.
	tryNot trial = "not"
)

// trialTime bounds a trial.
const trialTime = 10 * time.Second

// examine says what is wrong with a role that is being written.
func (e *Engine) examine(ctx context.Context, r *vault.Request, role Role, how trial) (warnings []string, err error) {
	if ttl, limit, capped := lives(role, r.Mount); capped {
		warnings = append(warnings, fmt.Sprintf("default_ttl %s is longer than the longest life, %s: logins will live %s", short(role.DefaultTTL), short(limit), short(ttl)))
	}
	c, err := e.byName(ctx, r.Mount.UUID, role.DB)
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return append(warnings, fmt.Sprintf("there is no database %q yet: the role works once it is configured", role.DB)), nil
	}
	if err != nil {
		return nil, err
	}
	if !c.allows(role.Name) {
		warnings = append(warnings, fmt.Sprintf("database %q does not allow this role: add %q to its allowed_roles", role.DB, role.Name))
	}
	warnings = append(warnings, provider.Warnings(dialect(c.text("plugin_name")), role.Creation)...)
	if how == tryNot {
		return warnings, nil
	}
	if _, err := e.lit(ctx, c); err != nil {
		return append(warnings, "the role was not tried: "+message(err)), nil
	}
	if len(role.Creation) == 0 {
		return append(warnings, "the role has no creation_statements: it cannot make logins"), nil
	}
	err = e.try(ctx, e.server(c.ID), role, r.Do)
	switch {
	case err == nil:
		return warnings, nil
	case how == tryOrRefuse:
		return nil, vault.Bad("the role was tried and does not work: %s", message(err))
	}
	return append(warnings, "the role was tried and does not work: "+message(err)), nil
}

// try makes one login of the role, logs in with it, and takes it away again. Its
// name stands in the journal as unwanted from the beginning.
func (e *Engine) try(ctx context.Context, s *server, role Role, as doer) error {
	ctx, cancel := context.WithTimeout(ctx, trialTime)
	defer cancel()
	db, done, err := s.use(ctx)
	if err != nil {
		return err
	}
	defer done()
	name, err := db.namer.Name("trial", role.Name)
	if err != nil {
		return err
	}
	password, err := e.newPassword(ctx, db.PasswordPolicy)
	if err != nil {
		return err
	}
	en := entry{
		login: login{s.id, name}, Lease: "trial/" + rand.Text(), Role: role.Name, State: unwanted,
		Statements: Statements{Revocation: role.Revocation},
	}
	if err := e.countLogins(ctx); err != nil {
		return err
	}
	end := e.begin(en.login)
	err = as(ctx, func(tx *gate.Tx) error {
		tx.Detail("trial", name)
		return e.intend(ctx, tx, en)
	})
	if err != nil {
		end()
		return err
	}
	e.total.Add(1)
	defer s.poke()
	defer end()
	err = db.CreateUser(ctx, provider.Create{
		Username: name, Password: password, Expiration: e.cfg.Now().Add(time.Minute),
		Statements: role.Creation, RollbackStatements: role.Rollback,
	})
	if err != nil {
		return err
	}
	tried := db.Try(ctx, name, password)
	outcome := db.RevokeUsers(ctx, []provider.Revoke{{Username: name, Statements: role.Revocation}})[0]
	if outcome.State == provider.Gone {
		err = e.end(e.after(ctx), []login{en.login}, confirmed)
	} else {
		err = nightporter.Wrap(outcome.Err, nightporter.Invalid, "its login cannot be taken away cleanly: %s", outcome.Reason)
	}
	if tried != nil {
		return nightporter.Wrap(tried, nightporter.Invalid, "its login was made and cannot log in: %s", message(tried))
	}
	return err
}

func dialect(plugin string) provider.Dialect {
	if strings.HasPrefix(plugin, "mysql") {
		return provider.MySQL
	}
	return provider.PostgreSQL
}
