// Package vault serves Vault's HTTP API, so that the vault and bao commands and
// every SDK work unmodified.
//
// A request under /v1/ takes this way: the method becomes an [Operation], the
// mount table finds the [Backend] by the longest path that is mounted, the token
// becomes an actor, the gate asks its policies about Vault's own path and
// capability, the backend answers, and the envelope is written. A write is
// "create" or "update" depending on whether the thing is there, which only the
// backend knows; a policy tells the two apart.
//
// The package has the mount table, the envelope, response wrapping, sys/* and
// the login methods. Secrets engines (kv, cubbyhole, database) come from
// secrets/ as Backends: they are handed to [New] by the application.
//
// Paths, status codes, error texts and warnings are those of OpenBao as recorded
// in testdata/wire.jsonl.gz, because clients match on them. Where we answer
// differently on purpose, the replay test names the pair and the reason.
package vault
