// Package contracttest checks every answer of the sandbox bank against the official Open Banking UK document,
// account and transaction API v4.0. It is a module of its own so that the bank itself needs no dependency.
package contracttest
