package database

import "nightporter.dev/nightporter/internal/store"

// Migrations are the tables of this package.
//
// database_connection is a server to log in to. A deleted one is retired: it goes
// when its last login is gone. database_login is the journal. database_rotation
// is the journal of the administrators' passwords: both passwords stand in it
// until one has proved that it works. database_finding is what the reconciler
// found.
var Migrations = []store.Migration{{Name: "database/0001", SQL: `
CREATE TABLE database_connection (
	id TEXT PRIMARY KEY,
	mount TEXT NOT NULL,
	path TEXT NOT NULL,
	name TEXT NOT NULL,
	retired_at BIGINT NOT NULL,
	settings BYTEA NOT NULL
);
CREATE UNIQUE INDEX database_connection_name ON database_connection (mount, name) WHERE retired_at = 0;
CREATE TABLE database_role (
	mount TEXT NOT NULL,
	name TEXT NOT NULL,
	role TEXT NOT NULL,
	PRIMARY KEY (mount, name)
);
CREATE TABLE database_login (
	connection TEXT NOT NULL,
	username TEXT NOT NULL,
	lease TEXT NOT NULL,
	role TEXT NOT NULL,
	state TEXT NOT NULL,
	fence BIGINT NOT NULL,
	made_at BIGINT NOT NULL,
	statements TEXT NOT NULL,
	PRIMARY KEY (connection, username)
);
CREATE UNIQUE INDEX database_login_lease ON database_login (lease);
CREATE INDEX database_login_state ON database_login (state, connection);
CREATE TABLE database_rotation (
	connection TEXT PRIMARY KEY,
	passwords BYTEA NOT NULL,
	started_at BIGINT NOT NULL
);
CREATE TABLE database_static (
	mount TEXT NOT NULL,
	name TEXT NOT NULL,
	role BYTEA NOT NULL,
	due_at BIGINT NOT NULL,
	PRIMARY KEY (mount, name)
);
CREATE INDEX database_static_due ON database_static (due_at);
CREATE TABLE database_finding (
	connection TEXT NOT NULL,
	username TEXT NOT NULL,
	kind TEXT NOT NULL,
	detail TEXT NOT NULL,
	repaired TEXT NOT NULL,
	first_at BIGINT NOT NULL,
	last_at BIGINT NOT NULL,
	PRIMARY KEY (connection, username, kind)
);
CREATE TABLE database_dark (
	environment TEXT PRIMARY KEY,
	since BIGINT NOT NULL,
	gone BIGINT NOT NULL
);
`}}

// loginState is where a login of the journal stands.
type loginState string

const (
	// intended: its name is committed, and the database may or may not have it.
	intended loginState = "intended"
	// made: the database has it, and its lease says until when.
	made loginState = "made"
	// unwanted: it has to go, whatever its lease says.
	unwanted loginState = "unwanted"
	// buried: its database went away with its environment before it could confirm.
	// The name is kept, in case that a backup brings it back.
	buried loginState = "buried"
)
