package gitea

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

const (
	mergesPerLook = 20 // what one look carries
	pullsPerLook  = 10
)

// repository is one as Gitea shows it.
type repository struct {
	ID            int64  `json:"id"`
	Name          string `json:"name"`
	Empty         bool   `json:"empty"`
	Fork          bool   `json:"fork"`
	Archived      bool   `json:"archived"`
	DefaultBranch string `json:"default_branch"`

	HasIssues    bool `json:"has_issues"`
	HasWiki      bool `json:"has_wiki"`
	HasProjects  bool `json:"has_projects"`
	AllowMerge   bool `json:"allow_merge_commits"`
	AllowRebase  bool `json:"allow_rebase"`
	AllowSquash  bool `json:"allow_squash_merge"`
	DeleteBranch bool `json:"default_delete_branch_after_merge"`

	Topics []string `json:"topics"`
}

type pull struct {
	Number      int        `json:"number"`
	Title       string     `json:"title"`
	URL         string     `json:"html_url"`
	User        user       `json:"user"`
	Body        string     `json:"body"`
	Updated     time.Time  `json:"updated_at"`
	Draft       bool       `json:"draft"`
	Labels      []label    `json:"labels"`
	Merged      bool       `json:"merged"`
	MergedBy    *user      `json:"merged_by"`
	MergedAt    *time.Time `json:"merged_at"`
	MergeCommit string     `json:"merge_commit_sha"`
	Head        struct{ Sha string }
	Base        struct{ Ref string }
}

type user struct {
	Login string `json:"login"`
}

type label struct {
	ID          int64  `json:"id"`
	Name        string `json:"name"`
	Color       string `json:"color"`
	Description string `json:"description"`
}

// Sweep implements [forge.Sweeper]: a page of repositories, and then a look at
// each.
func (f *Forge) Sweep(ctx context.Context, known forge.Known) ([]forge.RepoState, error) {
	const doing = "sweep the repositories"
	list, _, err := all[repository](ctx, f, f.org()+"/repos", nil, "repositories")
	if err != nil {
		return nil, f.fail(ctx, doing, "organisation "+f.cfg.Organisation, err)
	}
	states := make([]forge.RepoState, len(list))
	err = f.each(ctx, len(list), func(ctx context.Context, i int) (err error) {
		states[i], err = f.look(ctx, list[i], known[list[i].Name])
		return err
	})
	if err != nil {
		return nil, f.fail(ctx, doing, "organisation "+f.cfg.Organisation, err)
	}
	slices.SortFunc(states, func(a, b forge.RepoState) int { return strings.Compare(a.Name, b.Name) })
	return states, nil
}

// each works on n things, some at a time, and stops at the first error.
func (f *Forge) each(ctx context.Context, n int, work func(ctx context.Context, i int) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	turns := make(chan struct{}, f.cfg.AtOnce)
	var wg sync.WaitGroup
	for i := range n {
		select {
		case turns <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-turns }()
			if err := work(ctx, i); err != nil {
				stop(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// Refresh implements [forge.Refresher].
func (f *Forge) Refresh(ctx context.Context, repo, since string) (forge.RepoState, error) {
	var r repository
	if _, err := f.call(ctx, http.MethodGet, f.repo(repo), nil, nil, &r); err != nil {
		return forge.RepoState{}, f.fail(ctx, "look at "+repo, "repository "+repo, err)
	}
	s, err := f.look(ctx, r, since)
	if err != nil {
		return forge.RepoState{}, f.fail(ctx, "look at "+repo, "repository "+repo, err)
	}
	return s, nil
}

// look reads what a list of repositories does not say.
func (f *Forge) look(ctx context.Context, r repository, since string) (forge.RepoState, error) {
	s := forge.RepoState{
		Name: r.Name, ID: strconv.FormatInt(r.ID, 10), Archived: r.Archived, Fork: r.Fork, Empty: r.Empty, Tags: map[string]string{}, ObservedAt: f.cfg.Now().UTC(),
	}
	if r.Empty {
		return s, nil
	}
	s.DefaultBranch = r.DefaultBranch
	var branch struct{ Commit struct{ ID string } }
	if _, err := f.call(ctx, http.MethodGet, f.repo(r.Name)+"/branches/"+url.PathEscape(r.DefaultBranch), nil, nil, &branch); err != nil {
		return s, err
	}
	s.Head = branch.Commit.ID
	if since != "" && since != s.Head {
		h, err := f.history(ctx, r.Name, r.DefaultBranch, forge.Range{Since: since, Limit: mergesPerLook})
		if err != nil {
			return s, err
		}
		s.Merges, s.MergesPartial = h.Merges, !h.Reached
		if len(h.Merges) > 0 {
			s.Head = h.Head
		}
	}
	var pulls []pull
	header, err := f.call(ctx, http.MethodGet, f.repo(r.Name)+"/pulls", url.Values{
		"state": {"open"}, "sort": {"recentupdate"}, "limit": {strconv.Itoa(pullsPerLook)},
	}, nil, &pulls)
	if err != nil {
		return s, err
	}
	for _, p := range pulls {
		s.Pulls = append(s.Pulls, openPull(p))
	}
	total, _ := count(header)
	s.PullsPartial = total > len(pulls)
	s.Tags, err = f.tags(ctx, r.Name)
	return s, err
}

// drafts are how the title of a draft begins, as Gitea is shipped.
var drafts = []string{"WIP:", "[WIP]"}

func openPull(p pull) forge.Pull {
	out := forge.Pull{
		Number: p.Number, Title: p.Title, URL: p.URL, Author: p.User.Login, Head: p.Head.Sha, Base: p.Base.Ref, Labels: []string{}, Draft: p.Draft,
		UpdatedAt: p.Updated.UTC(),
	}
	for _, begin := range drafts {
		if rest, ok := cutPrefixFold(p.Title, begin); ok {
			out.Draft, out.Title = true, strings.TrimSpace(rest)
			break
		}
	}
	for _, l := range p.Labels {
		out.Labels = append(out.Labels, l.Name)
	}
	slices.Sort(out.Labels)
	return out
}

func cutPrefixFold(s, prefix string) (rest string, ok bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

// tags reads all tags: those of annotated ones, too, as the commit they lead to.
func (f *Forge) tags(ctx context.Context, repo string) (map[string]string, error) {
	list, _, err := all[struct {
		Name   string
		Commit struct{ Sha string }
	}](ctx, f, f.repo(repo)+"/tags", nil, "tags of "+repo)
	out := map[string]string{}
	for _, t := range list {
		out[t.Name] = t.Commit.Sha
	}
	if isStatus(err, http.StatusConflict) { // empty, on older versions
		return out, nil
	}
	return out, err
}
