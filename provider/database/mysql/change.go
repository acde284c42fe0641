package mysql

import (
	"context"
	"errors"
	"regexp"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// maxName is MariaDB's limit for a login's name; MySQL's is 32.
const maxName = 128

// CreateUser makes one login. When a statement fails, what the others made is
// undone before the error comes back.
func (db *DB) CreateUser(ctx context.Context, user database.Create) error {
	if !database.ValidName(db.config.Plugin, user.Username) {
		return nightporter.E(nightporter.Invalid, "a login's name has up to %d letters, digits, _ and -, not %q",
			database.NameLimit(db.config.Plugin), user.Username)
	}
	values := database.Values{Username: user.Username, Password: user.Password, Expiration: user.Expiration}
	statements, err := fill(user.Statements, values)
	if err != nil {
		return err
	}
	if len(statements) == 0 {
		return nightporter.E(nightporter.Invalid, "empty creation statements") // Vault's words
	}
	undo, err := fill(user.RollbackStatements, values)
	if err != nil {
		return err
	}
	return db.locked(ctx, user.Username, user.Password, func(ctx context.Context, c *conn) error {
		// Undoing must not drop a login that was there before.
		before, err := accounts(ctx, c, []string{user.Username})
		if err != nil {
			return err
		}
		if len(before) > 0 {
			return nightporter.E(nightporter.Conflict, "the login %q exists already", user.Username)
		}
		err = execute(ctx, c, statements)
		if err == nil {
			after, look := accounts(ctx, c, []string{user.Username})
			if look != nil || len(after) > 0 {
				return look
			}
			err = nightporter.E(nightporter.Invalid, "the creation statements made no login %q: write '{{name}}', in quotes", user.Username)
		}
		if answered(err) || nightporter.CodeOf(err) == nightporter.Invalid {
			return errors.Join(err, rollback(ctx, c, user.Username, undo))
		}
		return err
	})
}

// RenewUser runs the renew statements. Logins of these servers have no end of
// their own, so without statements there is only one thing to find out: whether
// the login is still there.
func (db *DB) RenewUser(ctx context.Context, user database.Renew) error {
	statements, err := fill(user.Statements, database.Values{Username: user.Username, Expiration: user.Expiration})
	if err != nil {
		return err
	}
	return db.locked(ctx, user.Username, "", func(ctx context.Context, c *conn) error {
		if _, err := existing(ctx, c, user.Username); err != nil {
			return err
		}
		return execute(ctx, c, statements)
	})
}

// ChangePassword gives an existing login another password, for every host that it
// may come from.
func (db *DB) ChangePassword(ctx context.Context, user database.Change) error {
	statements, err := fill(user.Statements, database.Values{Username: user.Username, Password: user.Password})
	if err != nil {
		return err
	}
	return db.locked(ctx, user.Username, user.Password, func(ctx context.Context, c *conn) error {
		found, err := existing(ctx, c, user.Username)
		if err != nil {
			return err
		}
		if len(statements) == 0 {
			each := make([]string, len(found))
			for i, a := range found {
				each[i] = a.quoted() + " IDENTIFIED BY " + quote(user.Password)
			}
			statements = []string{"ALTER USER " + strings.Join(each, ", ")}
		}
		return execute(ctx, c, statements)
	})
}

// locked runs do on a connection that holds the login's lock.
func (db *DB) locked(ctx context.Context, username, password string, do func(context.Context, *conn) error) error {
	if username == "" || len(username) > maxName || strings.ContainsRune(username, 0) {
		return nightporter.E(nightporter.NotFound, "the server has no login of that name: it would be empty, longer than %d bytes, or hold a NUL", maxName)
	}
	return explain(db.borrow(ctx, func(ctx context.Context, c *conn) error {
		err := takeLock(ctx, c, username)
		if err == nil {
			err = errors.Join(do(ctx, c), freeLock(ctx, c, username))
		}
		return err
	}), password)
}

func existing(ctx context.Context, c *conn, username string) ([]account, error) {
	found, err := accounts(ctx, c, []string{username})
	if err == nil && len(found) == 0 {
		err = nightporter.E(nightporter.NotFound, "the database has no login %q", username)
	}
	return found, err
}

// fill returns the single statements of a list with the values in them.
func fill(items []string, values database.Values) ([]string, error) {
	statements, err := database.Statements(database.MySQL, items)
	if err != nil {
		return nil, err
	}
	for i, s := range statements {
		if statements[i], err = database.Fill(database.MySQL, s, values); err != nil {
			return nil, err
		}
	}
	return statements, nil
}

// leavesNothing recognises statements that do not change the connection that they
// run on.
var leavesNothing = regexp.MustCompile(`(?i)^(CREATE|GRANT|REVOKE|ALTER|DROP|FLUSH)\s`)

func execute(ctx context.Context, c *conn, statements []string) error {
	for _, s := range statements {
		if !leavesNothing.MatchString(s) {
			c.spoilt = true
		}
		if _, err := c.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// rollback undoes a creation that failed half way.
func rollback(ctx context.Context, c *conn, username string, statements []string) error {
	if len(statements) > 0 {
		return execute(ctx, c, statements)
	}
	made, err := accounts(ctx, c, []string{username})
	if err != nil || len(made) == 0 {
		return err
	}
	return execute(ctx, c, []string{"DROP USER IF EXISTS " + list(made)})
}

func list(all []account) string {
	quoted := make([]string, len(all))
	for i, a := range all {
		quoted[i] = a.quoted()
	}
	return strings.Join(quoted, ", ")
}
