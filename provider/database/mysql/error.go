package mysql

import (
	"errors"
	"slices"

	gomysql "github.com/go-sql-driver/mysql"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// Error numbers, from MySQL's and MariaDB's error references.
const (
	errNoSuchThread = 1094
	errSyntax       = 1064
	errCannotUser   = 1396 // CREATE, ALTER or DROP USER failed: it is there, or is not
	errNoSuchTable  = 1146
)

var (
	// refusedLogin: access denied, must change password, password expired, account
	// locked (MySQL, MariaDB), access denied without a password.
	refusedLogin = []uint16{1045, 1820, 1862, 3118, 4151, 1698}
	// refusedRight: database, table, column, procedure, missing privilege, CREATE
	// USER with GRANT.
	refusedRight = []uint16{1044, 1142, 1143, 1227, 1370, 1410}
	// notNow: too many connections (server, user), shutting down, lock wait,
	// deadlock, interrupted, killed, read only, out of memory and disk.
	notNow = []uint16{1040, 1203, 1053, 1205, 1213, 1317, 1927, 1290, 1836, 1037, 1041, 1021, 3024}
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
	cause := errors.New(database.Scrub(err.Error(), password))
	var said *gomysql.MySQLError
	if !errors.As(err, &said) {
		return nightporter.Wrap(cause, nightporter.Unavailable, "the database does not answer")
	}
	message := database.Scrub(said.Message, password)
	switch {
	case slices.Contains(refusedLogin, said.Number):
		return nightporter.Wrap(cause, nightporter.Denied, "the database refused the login")
	case slices.Contains(refusedRight, said.Number):
		return nightporter.Wrap(cause, nightporter.Denied, "%s", message)
	case slices.Contains(notNow, said.Number):
		return nightporter.Wrap(cause, nightporter.Unavailable, "the database cannot do it now: %s", message)
	case said.Number == errCannotUser:
		return nightporter.Wrap(cause, nightporter.Conflict, "%s", message)
	}
	return nightporter.Wrap(cause, nightporter.Invalid, "%s", message)
}

// answered tells whether the server refused, so that the connection is good and a
// smaller batch may work.
func answered(err error) bool {
	var said *gomysql.MySQLError
	return errors.As(err, &said) && said.Number != 1053 && said.Number != 1927
}

func isNumber(err error, number uint16) bool {
	var said *gomysql.MySQLError
	return errors.As(err, &said) && said.Number == number
}

// why is one sentence about what holds a login, for people.
func why(err error) string {
	var known *nightporter.Error
	var said *gomysql.MySQLError
	switch {
	case errors.As(err, &known):
		return known.Message
	case errors.As(err, &said):
		return said.Message
	}
	return "the database does not answer"
}
