package nightporter

import (
	"errors"
	"fmt"
)

// Code says what kind of failure an [Error] is, so that programs can branch on
// it. The strings are part of the HTTP API.
type Code string

// The codes and the HTTP status each one answers with.
const (
	Invalid         Code = "invalid"         // 400: the input is wrong; the message says where and how to fix it
	Unauthenticated Code = "unauthenticated" // 401: no token, or one that is not valid any more
	Denied          Code = "denied"          // 403: the policies of the caller do not allow it
	OwnChange       Code = "own_change"      // 403: an author may not approve this change
	Protected       Code = "protected"       // 403: a lock keeps this away from production
	NotFound        Code = "not_found"       // 404: it is not there, or the caller may not know that it is
	Conflict        Code = "conflict"        // 409: the state does not allow it now
	Frozen          Code = "frozen"          // 409: a freeze or hold is in force
	Declared        Code = "declared"        // 409: the object comes from the configuration file; change it there
	KeyReused       Code = "key_reused"      // 422: the Idempotency-Key came with a different request before
	Limited         Code = "limited"         // 429: too much, too fast
	Internal        Code = "internal"        // 500: our fault; the cause is in the log under the request id
	Sealed          Code = "sealed"          // 503: the store is sealed
	Unavailable     Code = "unavailable"     // 503: something we need does not answer; trying again helps
)

// Error is what crosses a boundary: a code for programs, a message that is safe
// to show to any user, and a cause that only operators see.
type Error struct {
	Code    Code
	Message string
	// Hint is the next thing to do, in one sentence or command. Empty when
	// there is none.
	Hint  string
	cause error
}

// Error joins message and cause: it is for logs. Show users [MessageOf].
func (e *Error) Error() string {
	if e.cause != nil {
		return fmt.Sprintf("%s: %v", e.Message, e.cause)
	}
	return e.Message
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// WithHint returns a copy of e that tells the reader what to do next.
func (e *Error) WithHint(format string, args ...any) *Error {
	c := *e
	c.Hint = fmt.Sprintf(format, args...)
	return &c
}

// E makes an [Error] with a message for users. The message must not hold
// secrets, or internals such as addresses and SQL.
func E(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Wrap makes an [Error] whose cause is for operators only.
func Wrap(cause error, code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), cause: cause}
}

// CodeOf returns the code of the first [Error] in err's chain. An error without
// one is [Internal]; nil has no code.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return Internal
}

// MessageOf returns what a user may read of err. For anything without a code
// that is a fixed sentence: a foreign error's text may hold a secret.
func MessageOf(err error) string {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Message
	}
	return "something went wrong on our side"
}

// HintOf returns the next step that err suggests, or "".
func HintOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Hint
	}
	return ""
}
