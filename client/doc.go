// Package client talks to a Nightporter server over its HTTP API. The command
// line is its first user.
//
// A [Client] has one method for each route. Lists that may be long are
// iterators, which fetch page after page as they are read; short ones are
// slices. Every POST carries an Idempotency-Key, so that a request whose answer
// got lost on the way can be repeated: by net/http, which does so by itself on a
// broken connection, or by the caller with [WithIdempotencyKey].
//
// Errors of the server are [*ResponseError] and wrap a [*nightporter.Error]:
// branch on nightporter.CodeOf, show nightporter.MessageOf and
// nightporter.HintOf, and give [RequestIDOf] to whoever looks for the cause.
//
// The types here are the API's words as JSON. They are this package's own, so
// that a program that uses it needs nothing of the server.
package client
