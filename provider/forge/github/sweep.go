package github

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter/provider/forge"
)

// Sweep implements [forge.Sweeper].
func (f *Forge) Sweep(ctx context.Context, known forge.Known) ([]forge.RepoState, error) {
	states, err := f.pages(ctx)
	if err != nil {
		return nil, err
	}
	var moved []*forge.RepoState
	for i := range states {
		s := &states[i]
		if since := known[s.Name]; since != "" && s.Head != "" && since != s.Head {
			moved = append(moved, s)
		}
	}
	for batch := range slices.Chunk(moved, movedBatch) {
		if err := f.lookBack(ctx, batch, known); err != nil {
			return nil, err
		}
	}
	return states, nil
}

// pages reads all repositories. A page that takes GitHub too long is asked for
// again in halves, and the rest of the sweep keeps to that size.
func (f *Forge) pages(ctx context.Context) ([]forge.RepoState, error) {
	states := []forge.RepoState{}
	size, after := f.cfg.PageSize, ""
	for {
		var answer struct {
			RepositoryOwner *struct{ Repositories connection[repositoryNode] }
		}
		variables := map[string]any{"owner": f.cfg.Organisation, "first": size}
		if after != "" {
			variables["after"] = after
		}
		observed := f.cfg.Now().UTC()
		err := f.query(ctx, "sweep", "organisation "+f.cfg.Organisation, sweepDocument, variables, &answer)
		if errors.Is(err, errSlow) && size > 1 {
			size /= 2
			continue
		}
		if err != nil {
			return nil, err
		}
		page := answer.RepositoryOwner.Repositories
		for _, n := range page.Nodes {
			states = append(states, n.state(observed))
		}
		if !page.PageInfo.HasNextPage {
			// GitHub's order by name ignores case, ours does not.
			slices.SortFunc(states, func(a, b forge.RepoState) int { return strings.Compare(a.Name, b.Name) })
			return states, nil
		}
		after = page.PageInfo.EndCursor
	}
}

// lookBack fills in what arrived in repositories that moved, with one query for
// all of them. Each is asked for the line of the very commit that the page
// showed, so that state and merges belong together.
func (f *Forge) lookBack(ctx context.Context, moved []*forge.RepoState, known forge.Known) error {
	var document, parameters strings.Builder
	variables := map[string]any{"owner": f.cfg.Organisation}
	for i, s := range moved {
		fmt.Fprintf(&parameters, ", $name%d: String!, $head%d: GitObjectID!", i, i)
		fmt.Fprintf(&document, "\n  r%d: repository(owner: $owner, name: $name%d) { object(oid: $head%d) { ... on Commit { history(first: %d) { nodes { ...commitFields } } } } }", i, i, i, lookMerges)
		variables[fmt.Sprint("name", i)], variables[fmt.Sprint("head", i)] = s.Name, s.Head
	}
	text := "query moved($owner: String!" + parameters.String() + ") {" + document.String() + "\n}" + commitFields
	answer := map[string]*historyNode{}
	_, err := f.queryPartly(ctx, "sweep what moved", text, variables, &answer)
	if errors.Is(err, errSlow) && len(moved) > 1 {
		half := len(moved) / 2
		if err := f.lookBack(ctx, moved[:half], known); err != nil {
			return err
		}
		return f.lookBack(ctx, moved[half:], known)
	}
	if err != nil {
		return err
	}
	for i, s := range moved {
		l := line{}
		if n := answer[fmt.Sprint("r", i)]; n != nil {
			l.add(n.Object.History.Nodes)
		}
		merges, next := l.walk(s.Head, known[s.Name], 0)
		s.Merges, err = f.describe(ctx, s.Name, merges)
		if err != nil {
			return err
		}
		s.MergesPartial = next != known[s.Name]
	}
	return nil
}

// Refresh implements [forge.Refresher].
func (f *Forge) Refresh(ctx context.Context, repo, since string) (forge.RepoState, error) {
	var answer struct{ Repository *repositoryNode }
	observed := f.cfg.Now().UTC()
	err := f.query(ctx, "refresh "+repo, "repository "+repo, refreshDocument, map[string]any{"owner": f.cfg.Organisation, "name": repo}, &answer)
	if err != nil {
		return forge.RepoState{}, err
	}
	s := answer.Repository.state(observed)
	if since != "" && s.Head != "" && since != s.Head {
		err = f.lookBack(ctx, []*forge.RepoState{&s}, forge.Known{s.Name: since})
	}
	return s, err
}

// Tags implements [forge.Tagger].
func (f *Forge) Tags(ctx context.Context, repo string) (map[string]string, error) {
	tags := map[string]string{}
	variables := map[string]any{"owner": f.cfg.Organisation, "name": repo}
	for {
		var answer struct {
			Repository *struct{ Refs connection[refNode] }
		}
		if err := f.query(ctx, "read tags of "+repo, "repository "+repo, tagsDocument, variables, &answer); err != nil {
			return nil, err
		}
		refs := answer.Repository.Refs
		for _, r := range refs.Nodes {
			tags[r.Name] = r.Target.commit()
		}
		if !refs.PageInfo.HasNextPage {
			return tags, nil
		}
		variables["after"] = refs.PageInfo.EndCursor
	}
}
