package forge

import (
	"fmt"
	"time"

	"nightporter.dev/nightporter"
)

// What a forge refuses is not what our own policies refuse, so a forbidden or
// limited request of ours reaches a user of ours as Unavailable, and only code
// that talks to forges tells the types apart with errors.As.

// NotFoundError: the repository, tag or commit is not there, or the token may
// not know that it is.
type NotFoundError struct {
	What string // "repository ledger", "commit 1f3c… of ledger"
}

func (e *NotFoundError) Error() string { return e.What + " is not on the forge" }

// Unwrap gives the error its code for users: NotFound.
func (e *NotFoundError) Unwrap() error {
	return nightporter.E(nightporter.NotFound, "%s is not on the forge", e.What)
}

// ForbiddenError: the forge knows us and refuses. Repeating does not help;
// somebody must change what our token may do, or what the forge allows.
type ForbiddenError struct {
	Doing string // "create tag v1.4.0 in ledger"
	// Needs names the permission that is missing, as the forge calls it:
	// "contents=write". Empty when the forge did not say.
	Needs string
	// Reason is the forge's own sentence.
	Reason string
}

func (e *ForbiddenError) Error() string {
	s := "the forge does not let us " + e.Doing
	if e.Needs != "" {
		s += ": our token lacks " + e.Needs
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}

// Unwrap gives the error its code for users: Unavailable, with what to grant.
func (e *ForbiddenError) Unwrap() error {
	err := nightporter.E(nightporter.Unavailable, "the forge does not let Nightporter %s", e.Doing)
	if e.Needs != "" {
		err = err.WithHint("grant the forge's token or App %s", e.Needs)
	}
	return err
}

// RateLimitedError: we asked too much. The same request succeeds after Until.
type RateLimitedError struct {
	Until time.Time
}

func (e *RateLimitedError) Error() string {
	return "the forge asks us to wait until " + e.Until.UTC().Format(time.RFC3339)
}

// Unwrap gives the error its code for users: Unavailable.
func (e *RateLimitedError) Unwrap() error {
	return nightporter.E(nightporter.Unavailable, "the forge asks Nightporter to wait until %s", e.Until.UTC().Format("15:04 MST"))
}

// UnavailableError: the forge does not answer, or not with sense. Trying again
// later helps, and a write may have happened all the same.
type UnavailableError struct {
	Doing string
	Cause error
}

func (e *UnavailableError) Error() string { return fmt.Sprintf("%s: %v", e.Doing, e.Cause) }

// Unwrap gives the error its code for users, and its cause.
func (e *UnavailableError) Unwrap() []error {
	return []error{nightporter.E(nightporter.Unavailable, "the forge does not answer"), e.Cause}
}

// TagExistsError: [Tagger.CreateTag] found the tag there.
type TagExistsError struct {
	Repo   string
	Tag    string
	Commit string // where it points
}

func (e *TagExistsError) Error() string {
	return fmt.Sprintf("tag %s of %s exists and points to %s", e.Tag, e.Repo, e.Commit)
}

// Unwrap gives the error its code for users: Conflict.
func (e *TagExistsError) Unwrap() error { return nightporter.E(nightporter.Conflict, "%s", e.Error()) }

// NotOfferedError: this forge has no such thing.
type NotOfferedError struct {
	What string
}

func (e *NotOfferedError) Error() string { return e.What + ": not offered by this forge" }

// Unwrap gives the error its code for users: Invalid.
func (e *NotOfferedError) Unwrap() error { return nightporter.E(nightporter.Invalid, "%s", e.Error()) }

// SignatureError: a webhook is not signed with our secret. It says nothing of
// what was sent or expected.
type SignatureError struct {
	Reason string // "no signature", "signature does not match"
}

func (e *SignatureError) Error() string { return "webhook refused: " + e.Reason }

// Unwrap gives the error its code for users: Unauthenticated.
func (e *SignatureError) Unwrap() error {
	return nightporter.E(nightporter.Unauthenticated, "webhook refused: %s", e.Reason)
}
