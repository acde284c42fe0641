package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// explain gives an error of the driver a code and a message. The password is what
// the statements held: the server quotes them in its errors.
func explain(err error, password string) error {
	if err == nil {
		return nil
	}
	var known *nightporter.Error
	if errors.As(err, &known) {
		return err
	}
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return nightporter.Wrap(scrubbed(err, password), nightporter.Unavailable, "the database does not answer")
	}
	message := database.Scrub(said.Message, password)
	cause := scrubbed(said, password)
	switch class := said.Code[:min(2, len(said.Code))]; {
	case class == "28": // invalid authorization specification
		return nightporter.Wrap(cause, nightporter.Denied, "the database refused the login")
	case said.Code == "42501": // insufficient_privilege
		return nightporter.Wrap(cause, nightporter.Denied, "%s", message)
	case said.Code == "42710": // duplicate_object
		return nightporter.Wrap(cause, nightporter.Conflict, "%s", message)
	case said.Code == "25006", // read_only_sql_transaction: a standby
		said.Code == "3D000", // invalid_catalog_name: it may be on its way
		said.Code == "55P03", // lock_not_available
		said.Code == "57014", // query_canceled
		class == "08", class == "40", class == "53", class == "57", class == "58",
		collided(said):
		return nightporter.Wrap(cause, nightporter.Unavailable, "the database cannot do it now: %s", message)
	}
	return nightporter.Wrap(cause, nightporter.Invalid, "%s", message)
}

// scrubbed is err's text without the password, and without what hangs below it:
// details and positions of a PgError hold pieces of the statement.
func scrubbed(err error, password string) error {
	return errors.New(database.Scrub(err.Error(), password))
}

// collided tells whether another transaction was in the way, and a second attempt
// makes sense.
func collided(err error) bool {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return false
	}
	switch said.Code {
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return true
	case "XX000": // internal_error: the message is all there is
		return strings.Contains(said.Message, "tuple concurrently")
	case "23505": // unique_violation, in a catalogue: two GRANTs of the same membership
		return said.SchemaName == "pg_catalog"
	}
	return false
}

// answered tells whether the server refused, so that a smaller batch may work.
func answered(err error) bool {
	var said *pgconn.PgError
	return errors.As(err, &said) && !strings.HasPrefix(said.Code, "57P")
}

// why is one sentence about what holds a role, for people.
func why(err error) string {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return "the database does not answer"
	}
	reason := said.Message
	if said.Detail != "" {
		reason += ": " + strings.ReplaceAll(said.Detail, "\n", ", ")
	}
	const enough = 400
	if len(reason) > enough {
		reason = strings.ToValidUTF8(reason[:enough], "") + "…"
	}
	return reason
}
