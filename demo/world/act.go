package world

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// Pull is a pull request to open.
type Pull struct {
	Repo, Title string
	Author      string            // a person; default Ana
	Label       string            // "" for none
	Files       map[string]string // default: a note that says the title
}

// Open opens a pull request and returns its number.
func (w *World) Open(p Pull) (int, error) {
	files := maps.Clone(p.Files)
	if files == nil {
		files = note(p.Title)
	}
	if w.Change != nil {
		w.Change(p.Repo, p.Title, files)
	}
	author := p.Author
	if author == "" {
		author = Ana
	}
	n := githubtest.NewPull{Title: p.Title, Author: Login(author), Files: files}
	if p.Label != "" {
		n.Labels = []string{p.Label}
	}
	number, err := w.Forge.OpenPull(p.Repo, n)
	if err != nil {
		return 0, fmt.Errorf("open %q at %s: %w", p.Title, p.Repo, err)
	}
	return number, nil
}

// Merge squashes a pull request into main and returns the commit.
func (w *World) Merge(repo string, number int) (string, error) {
	commit, err := w.Forge.Merge(repo, number, githubtest.Squash, Login(Ana))
	if err != nil {
		return "", fmt.Errorf("merge #%d of %s: %w", number, repo, err)
	}
	return commit, nil
}

// OpenAndMerge does both.
func (w *World) OpenAndMerge(p Pull) (commit string, err error) {
	number, err := w.Open(p)
	if err != nil {
		return "", err
	}
	return w.Merge(p.Repo, number)
}

// Release finds the release of a merge commit.
func (w *World) Release(ctx context.Context, service, commit string) (client.Release, error) {
	for r, err := range w.root.Releases(ctx, client.ReleaseFilter{Service: service}) {
		if err != nil {
			return client.Release{}, err
		}
		if r.Commit == commit && r.Kind == "merge" {
			return r, nil
		}
	}
	return client.Release{}, fmt.Errorf("there is no release of %s at %.10s", service, commit)
}

// Reaches waits until the release of a commit is in one of the states.
func (w *World) Reaches(ctx context.Context, service, commit string, states ...string) (client.Release, error) {
	var r client.Release
	err := w.Until(ctx, fmt.Sprintf("the release of %s at %.10s is %v", service, commit, states), func(ctx context.Context) (err error) {
		if r, err = w.Release(ctx, service, commit); err != nil {
			return err
		}
		for _, s := range states {
			if r.State == s {
				return nil
			}
		}
		return fmt.Errorf("%s %s is %s: %s", service, r.Version, r.State, r.Message)
	})
	return r, err
}

// BoardRow is what the board says about a service.
func (w *World) BoardRow(ctx context.Context, service string) (client.BoardRow, error) {
	rows, err := w.root.Board(ctx)
	if err != nil {
		return client.BoardRow{}, err
	}
	for _, row := range rows {
		if row.Service == service {
			return row, nil
		}
	}
	return client.BoardRow{}, fmt.Errorf("%s is not on the board", service)
}

// Patience is how long anything may take before it counts as not happening.
const Patience = 30 * time.Second

// Until looks again and again until what holds, and gives up after Patience with
// what was wrong last.
func (w *World) Until(ctx context.Context, what string, holds func(context.Context) error) error {
	return Until(ctx, Patience, what, holds)
}

// Until is [World.Until] with another patience.
func Until(ctx context.Context, patience time.Duration, what string, holds func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var last error
	for {
		err := holds(ctx)
		if err == nil {
			return nil
		}
		// What fails because time is over says nothing about the world.
		if last == nil || !errors.Is(err, context.DeadlineExceeded) {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %v until %s: %w", patience, what, last)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
