// Package database hands out database logins that nobody knows and that do not
// outlive their lease. It is Vault's database secrets engine, served through
// internal/vault, with what Vault leaves undone.
//
// A login has three records. Its name stands in the journal (database_login)
// before the database hears of it, so that no crash leaves a login that we do not
// know. Its lease says until when it lives and who has it. Its password is kept
// nowhere: it is in memory until the answer is written.
//
// Everything that goes out to a database is done in three steps: commit the
// intent, act, commit the outcome. [Engine.Recover] finishes or undoes what a
// crash left between two of them.
//
// The end of a login works the other way round. Somebody dooms the lease
// (internal/lease); the keeper of that database takes the login away, many at a
// time, and lease and journal row go in the transaction after the database has
// confirmed it. There is one keeper a database, so one that hangs holds up nobody
// else's, and a keeper never gives up: see keeper.go.
//
// Once an hour the reconciler compares the logins of each database with the
// journal, in both directions, reports and then repairs.
package database
