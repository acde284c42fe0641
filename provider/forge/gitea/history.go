package gitea

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

type commit struct {
	Sha     string                 `json:"sha"`
	Parents []struct{ Sha string } `json:"parents"`
	Author  *user                  `json:"author"`
	Commit  struct {
		Message   string
		Author    struct{ Date time.Time }
		Committer struct{ Date time.Time }
	}
}

func (c commit) parent() string {
	if len(c.Parents) == 0 {
		return ""
	}
	return c.Parents[0].Sha
}

// History implements [forge.Historian].
func (f *Forge) History(ctx context.Context, repo string, r forge.Range) (forge.History, error) {
	doing, what := "read the history of "+repo, "repository "+repo
	var is repository
	if _, err := f.call(ctx, http.MethodGet, f.repo(repo), nil, nil, &is); err != nil {
		return forge.History{}, f.fail(ctx, doing, what, err)
	}
	if is.Empty {
		return forge.History{Reached: true}, nil
	}
	h, err := f.history(ctx, repo, is.DefaultBranch, r)
	if err != nil {
		return forge.History{}, f.fail(ctx, doing, what, err)
	}
	return h, nil
}

// history walks first parents. Gitea lists all commits, those that a merge brought
// in too, children before parents.
func (f *Forge) history(ctx context.Context, repo, branch string, r forge.Range) (forge.History, error) {
	var h forge.History
	seen, next, last := map[string]commit{}, "", false
	var line []commit // the newest first
	for page := 1; ; page++ {
		for next != "" && next != r.Since {
			c, ok := seen[next]
			if !ok || r.Limit > 0 && len(line) == r.Limit {
				break
			}
			line, next = append(line, c), c.parent()
		}
		full := r.Limit > 0 && len(line) == r.Limit
		if page > 1 && (next == "" || next == r.Since || full || last) {
			h.Reached = next == r.Since
			break
		}
		var some []commit
		header, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/commits", url.Values{
			"sha": {branch}, "limit": {strconv.Itoa(perPage)}, "page": {strconv.Itoa(page)}, "stat": {"false"}, "verification": {"false"}, "files": {"false"},
		}, nil, &some)
		if err != nil {
			return h, err
		}
		if page == 1 && len(some) > 0 {
			h.Head = some[0].Sha
			next = h.Head
		}
		for _, c := range some {
			seen[c.Sha] = c
		}
		total, counted := count(header)
		last = len(some) == 0 || counted && len(seen) >= total
	}
	slices.Reverse(line)
	h.Merges = make([]forge.Merge, len(line))
	err := f.each(ctx, len(line), func(ctx context.Context, i int) (err error) {
		c := line[i]
		m := forge.Merge{Commit: c.Sha, Parent: c.parent(), Message: c.Commit.Message, CommittedAt: c.Commit.Committer.Date.UTC(), Authors: []string{}}
		if c.Author != nil && c.Author.Login != "" {
			m.Authors = append(m.Authors, c.Author.Login)
		}
		m.PullRequest, err = f.mergedBy(ctx, repo, c.Sha)
		h.Merges[i] = m
		return err
	})
	return h, err
}

// mergedBy is the pull request that a commit completed, nil for none.
func (f *Forge) mergedBy(ctx context.Context, repo, sha string) (*forge.MergedPull, error) {
	var p pull
	_, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/commits/"+sha+"/pull", nil, nil, &p)
	if isStatus(err, http.StatusNotFound) || err == nil && !p.Merged {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := &forge.MergedPull{Number: p.Number, Title: p.Title, URL: p.URL, Authors: []string{p.User.Login}, Reviewers: []string{}, StaleReviewers: []string{}, Labels: []string{}}
	if p.MergedBy != nil {
		out.MergedBy = p.MergedBy.Login
	}
	if p.MergedAt != nil {
		out.MergedAt = p.MergedAt.UTC()
	}
	path := f.repo(repo) + "/pulls/" + strconv.Itoa(p.Number)
	commits, _, err := all[commit](ctx, f, path+"/commits", url.Values{"verification": {"false"}, "files": {"false"}}, "commits of a pull request")
	if err != nil {
		return nil, err
	}
	for _, c := range commits {
		if at := c.Commit.Author.Date.UTC(); out.FirstCommitAt.IsZero() || at.Before(out.FirstCommitAt) {
			out.FirstCommitAt = at
		}
		if c.Author != nil && c.Author.Login != "" && !slices.Contains(out.Authors, c.Author.Login) {
			out.Authors = append(out.Authors, c.Author.Login)
		}
	}
	slices.Sort(out.Authors[1:])
	before, labels, err := f.untilMerge(ctx, repo, p.Number)
	if err != nil {
		return nil, err
	}
	out.Labels = labels
	reviews, _, err := all[struct {
		ID        int64
		User      user
		State     string
		Commit    string `json:"commit_id"`
		Dismissed bool
	}](ctx, f, path+"/reviews", nil, "reviews of a pull request")
	if err != nil {
		return nil, err
	}
	approved := map[string]string{} // the commit that somebody's last opinion approved; "" for a refusal
	for _, r := range reviews {
		if !before[r.ID] || r.Dismissed || r.State != "APPROVED" && r.State != "REQUEST_CHANGES" {
			continue
		}
		approved[r.User.Login] = ""
		if r.State == "APPROVED" {
			approved[r.User.Login] = r.Commit
		}
	}
	for who, at := range approved {
		switch at {
		case "":
		case p.Head.Sha:
			out.Reviewers = append(out.Reviewers, who)
		default:
			out.StaleReviewers = append(out.StaleReviewers, who)
		}
	}
	slices.Sort(out.Reviewers)
	slices.Sort(out.StaleReviewers)
	return out, nil
}

// untilMerge replays what happened to a pull request until it was merged: which
// reviews there were, and the labels at that moment.
func (f *Forge) untilMerge(ctx context.Context, repo string, number int) (reviews map[int64]bool, labels []string, err error) {
	events, _, err := all[struct {
		ID     int64
		Type   string
		Body   string
		Label  *label
		Review int64 `json:"review_id"`
	}](ctx, f, f.repo(repo)+"/issues/"+strconv.Itoa(number)+"/timeline", nil, "timeline of a pull request")
	reviews, labels = map[int64]bool{}, []string{}
	for _, e := range events {
		switch {
		case e.Type == "merge_pull":
			slices.Sort(labels)
			return reviews, labels, nil
		case e.Type == "label" && e.Label != nil:
			labels = slices.DeleteFunc(labels, func(l string) bool { return l == e.Label.Name })
			if e.Body == "1" { // Gitea: "1" was added, "" was removed
				labels = append(labels, e.Label.Name)
			}
		case e.Review != 0:
			reviews[e.Review] = true
		}
	}
	slices.Sort(labels)
	return reviews, labels, err
}
