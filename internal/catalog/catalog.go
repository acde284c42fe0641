// Package catalog is the world as it is declared: services, repositories,
// environments, people, teams and who owns what.
//
// The configuration file is turned into a [Snapshot], plain values that nobody
// has checked yet. [Catalog.Load] checks a snapshot and, when nothing is wrong,
// makes it the current [World] in one step: whoever asks sees the old world or
// the new one, never a mixture. A World never changes; a caller that makes several
// decisions keeps the one it started with.
//
// The catalog knows what should be, not what is. What runs where is the business
// of releases, and what the forge says of a repository the business of repos.
package catalog

import (
	"sync"
	"sync/atomic"

	"nightporter.dev/nightporter"
)

// Catalog holds the current world. Its zero value holds an empty one and is ready
// to use; it must not be copied. Any number of goroutines may use it.
type Catalog struct {
	current atomic.Pointer[World]
	loading sync.Mutex // one Load at a time, so that generations are in order
}

// empty is what a catalog holds before the first Load.
var empty = newWorld(Snapshot{}, 0)

// Load checks s and makes it the current world. A snapshot with problems changes
// nothing: the error is a [*ProblemsError] with all of them, and the world from
// before stays. Warnings do not count as problems here.
//
// Load keeps a copy: the caller may change s afterwards.
func (c *Catalog) Load(s Snapshot) (*World, error) {
	if wrong := onlyErrors(s.Validate()); len(wrong) > 0 {
		return nil, &ProblemsError{Problems: wrong}
	}
	c.loading.Lock()
	defer c.loading.Unlock()
	w := newWorld(s.clone(), c.Current().generation+1)
	c.current.Store(w)
	return w, nil
}

// Current is the world that was loaded last. It is never nil.
func (c *Catalog) Current() *World {
	if w := c.current.Load(); w != nil {
		return w
	}
	return empty
}

// ProblemsError is the error of a snapshot that cannot be loaded.
type ProblemsError struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *ProblemsError) Error() string {
	text := ""
	for i, p := range e.Problems {
		if i > 0 {
			text += "\n"
		}
		text += p.String()
	}
	return text
}

// Unwrap gives the error its code, [nightporter.Invalid].
func (e *ProblemsError) Unwrap() error {
	return nightporter.E(nightporter.Invalid, "%s", e.Error())
}
