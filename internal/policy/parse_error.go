package policy

import (
	"fmt"

	"nightporter.dev/nightporter"
)

// ParseError says where a policy's text is wrong. It is the cause of the
// [nightporter.Invalid] error that [Parse] returns; find it with errors.As.
type ParseError struct {
	// Policy is the name that was given to Parse.
	Policy string
	// Line and Column count from 1; columns are characters.
	Line, Column int
	// Problem is what is wrong, without the position.
	Problem string
	// Original is the sentence that Vault has for it, as its clients know it
	// from "failed to parse policy: …". It is Problem where Vault has none.
	Original string
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Problem)
}

// position is a place in a text, counted from 1.
type position struct{ line, column int }

// errorf makes a ParseError whose Vault text is the same as ours.
func (p position) errorf(format string, args ...any) *ParseError {
	problem := fmt.Sprintf(format, args...)
	return &ParseError{Line: p.line, Column: p.column, Problem: problem, Original: problem}
}

// vault replaces the sentence that clients of Vault see.
func (e *ParseError) vault(format string, args ...any) *ParseError {
	e.Original = fmt.Sprintf(format, args...)
	return e
}

// invalid is what crosses the boundary: a code, a message with the position,
// and e as the cause.
func (e *ParseError) invalid() error {
	return nightporter.Wrap(e, nightporter.Invalid,
		"policy %q, line %d, column %d: %s", e.Policy, e.Line, e.Column, e.Problem)
}
