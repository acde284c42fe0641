package console

import (
	"fmt"
	"time"

	"nightporter.dev/nightporter"
)

// Board answers "how far is production behind main?".
type Board struct {
	Layout
	Summary      BoardSummary
	Environments []BoardEnvironment
	Rows         []BoardRow // the ones that need somebody first
	Filters      []Filter   // all, behind, waiting, failed, on hold
	Search       string     // the filter by name, "q" in the URL
	// From, To and Total count services: "1–100 of 1,000".
	From, To, Total int
	Newer, Older    string // URLs of the pages before and after; "" for none
	CLI             string
}

// BoardSummary is what the first line says. It counts every service, not only
// the ones on this page of the list.
type BoardSummary struct {
	Services int
	Behind   int // production runs less than main
	Waiting  int // for an approval
	Failed   int // rolled back or unhealthy
	Held     int
	// Unreleased were never in production.
	Unreleased int
	// Oldest is when the oldest change merged that production does not run;
	// zero when there is none.
	Oldest time.Time
}

// BoardEnvironment is a column.
type BoardEnvironment struct {
	Name  string
	Kind  nightporter.EnvironmentKind
	Badge *Badge // asleep, frozen; nil for nothing special
}

// BoardRow is one service.
type BoardRow struct {
	Service string
	URL     string
	Owner   string
	Main    MainCell
	Cells   []Cell // one for each of the board's environments, in their order
	Behind  Behind
	// Status is what the release of this row does or waits for.
	Status Badge
	Since  time.Time // of Status; zero when it does not matter
	Note   string    // the reason of a hold or failure
	// Act is the page to go to; nil when there is nothing to do.
	Act *Link
}

// MainCell is the default branch.
type MainCell struct {
	Version string // the newest; "" before the first
	Commit  string // short
	URL     string
	At      time.Time
	// Unversioned counts commits after Version that came without a pull
	// request: they ride with the next version.
	Unversioned int
}

// Behind is how far production is behind main.
type Behind struct {
	// Known is false while there is no evidence, and for a service that was
	// never released: then Text says so.
	Known   bool
	Text    string
	Changes []Change // newest first; may hold fewer than Count
	Count   int
	Oldest  time.Time
}

// Filter is one choice above a list.
type Filter struct {
	Text    string
	Count   int
	URL     string
	Current bool
}

// Headline is the first line of the board.
func (b *Board) Headline() string {
	s := b.Summary
	switch {
	case s.Services == 0:
		return "There are no services yet"
	case s.Behind == 0 && s.Unreleased == s.Services:
		return "No service was released yet"
	case s.Behind == 0 && s.Services == 1:
		return "Production runs what is on main"
	case s.Behind == 0 && s.Unreleased > 0:
		return "Production runs what is on main, in " + words(s.Services-s.Unreleased) + " of " + words(s.Services) + " services"
	case s.Behind == 0:
		return "Production runs what is on main, in all " + count(s.Services) + " services"
	case s.Services == 1:
		return "Production is behind main"
	}
	return fmt.Sprintf("Production is behind main in %s of %s services", words(s.Behind), words(s.Services))
}

// Detail is the second line: the oldest change, and what people and the porter
// are to do about it.
func (b *Board) Detail() []string {
	s, d := b.Summary, []string(nil)
	if !s.Oldest.IsZero() {
		d = append(d, "oldest unshipped change "+span(b.Now.Sub(s.Oldest)))
	}
	if s.Waiting > 0 {
		d = append(d, things(s.Waiting, "waits for approval", "wait for approval"))
	}
	if s.Failed > 0 {
		d = append(d, count(s.Failed)+" failed")
	}
	if s.Held > 0 {
		d = append(d, count(s.Held)+" on hold")
	}
	if s.Unreleased > 0 && s.Unreleased < s.Services {
		d = append(d, count(s.Unreleased)+" never released")
	}
	return d
}
