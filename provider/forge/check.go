package forge

import (
	"context"
	"time"
)

// Checker is offered by forges that say how the checks of a commit went.
type Checker interface {
	// Check returns the newest check of that name on a commit, whether CI
	// reported it as a check run or as a status. A name that nothing has
	// reported yet is the zero CheckState and no error: CI may just not have begun.
	Check(ctx context.Context, repo, commit, name string) (CheckState, error)
}

// CheckState is what CI says of a commit.
type CheckState struct {
	// State is "" while nobody has reported anything under the name. Of several
	// checks with one name the least good counts.
	State       StatusState
	Description string
	URL         string    // a page about it; empty for none
	At          time.Time // when it was reported; zero where the forge does not say
}
