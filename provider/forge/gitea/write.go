package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// Tags implements [forge.Tagger].
func (f *Forge) Tags(ctx context.Context, repo string) (map[string]string, error) {
	list, err := f.tags(ctx, repo)
	if err != nil {
		return nil, f.fail(ctx, "read the tags of "+repo, "repository "+repo, err)
	}
	return list, nil
}

func (f *Forge) makeTag(ctx context.Context, repo, tag, commit string) error {
	_, err := f.call(ctx, http.MethodPost, f.repo(repo)+"/tags", nil, map[string]string{"tag_name": tag, "target": commit}, nil)
	return err
}

// tagged is the commit that a tag leads to.
func (f *Forge) tagged(ctx context.Context, repo, tag string) (string, error) {
	var t struct{ Commit struct{ Sha string } }
	_, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/tags/"+url.PathEscape(tag), nil, nil, &t)
	return t.Commit.Sha, err
}

// CreateTag implements [forge.Tagger].
func (f *Forge) CreateTag(ctx context.Context, repo, tag, commit string) error {
	doing := "create tag " + tag + " in " + repo
	err := f.makeTag(ctx, repo, tag, commit)
	if err == nil {
		return nil
	}
	// The words of a refusal are not a contract. What is on the forge is.
	at, lookup := f.tagged(ctx, repo, tag)
	switch {
	case lookup == nil && at != "":
		return &forge.TagExistsError{Repo: repo, Tag: tag, Commit: at}
	case isStatus(err, http.StatusNotFound, http.StatusUnprocessableEntity):
		return f.fail(ctx, doing, "", f.missing(ctx, repo, commit, err))
	}
	return f.fail(ctx, doing, "repository "+repo, err)
}

// missing says whether it is the repository or the commit that is not there.
func (f *Forge) missing(ctx context.Context, repo, commit string, cause error) error {
	_, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/git/commits/"+commit, url.Values{"stat": {"false"}, "verification": {"false"}, "files": {"false"}}, nil, nil)
	if isStatus(err, http.StatusNotFound, http.StatusUnprocessableEntity) {
		return &forge.NotFoundError{What: "commit " + commit + " of " + repo}
	}
	return cause
}

// MoveTag implements [forge.Tagger]. Gitea cannot move one, so for a moment it is
// not there; whoever is stopped in between moves it again.
func (f *Forge) MoveTag(ctx context.Context, repo, tag, commit string) error {
	doing := "move tag " + tag + " in " + repo
	for range 3 { // somebody may make it again between our two requests
		at, err := f.tagged(ctx, repo, tag)
		if err != nil && !isStatus(err, http.StatusNotFound) {
			return f.fail(ctx, doing, "repository "+repo, err)
		}
		if err == nil && at == commit {
			return nil
		}
		if missing := f.missing(ctx, repo, commit, nil); missing != nil {
			return f.fail(ctx, doing, "", missing)
		}
		if err == nil {
			_, err = f.call(ctx, http.MethodDelete, f.repo(repo)+"/tags/"+url.PathEscape(tag), nil, nil, nil)
			if err != nil && !isStatus(err, http.StatusNotFound) {
				return f.fail(ctx, doing, "repository "+repo, err)
			}
		}
		if err = f.makeTag(ctx, repo, tag, commit); err == nil {
			return nil
		}
		if !isStatus(err, http.StatusConflict) {
			return f.fail(ctx, doing, "repository "+repo, err)
		}
	}
	return &forge.UnavailableError{Doing: doing, Cause: fmt.Errorf("somebody makes the tag %s at the same time", tag)}
}

// CreateRelease implements [forge.Releaser]. It looks for the tag first: Gitea
// would make a missing one on whatever is newest.
func (f *Forge) CreateRelease(ctx context.Context, repo string, r forge.Release) (string, error) {
	doing := "publish release " + r.Tag + " of " + repo
	if _, err := f.tagged(ctx, repo, r.Tag); err != nil {
		return "", f.fail(ctx, doing, "tag "+r.Tag+" of "+repo, err)
	}
	var made struct {
		URL string `json:"html_url"`
	}
	there := func() (string, error) {
		_, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/releases/tags/"+url.PathEscape(r.Tag), nil, nil, &made)
		return made.URL, err
	}
	if address, err := there(); err == nil {
		return address, nil
	} else if !isStatus(err, http.StatusNotFound) {
		return "", f.fail(ctx, doing, "repository "+repo, err)
	}
	_, err := f.call(ctx, http.MethodPost, f.repo(repo)+"/releases", nil, map[string]any{
		"tag_name": r.Tag, "name": r.Name, "body": r.Notes, "prerelease": r.Prerelease,
	}, &made)
	if isStatus(err, http.StatusConflict) {
		made.URL, err = there()
	}
	if err != nil {
		return "", f.fail(ctx, doing, "repository "+repo, err)
	}
	return made.URL, nil
}

// SetStatus implements [forge.StatusSetter].
func (f *Forge) SetStatus(ctx context.Context, repo, commit string, s forge.Status) error {
	doing := "set a status in " + repo
	if err := f.missing(ctx, repo, commit, nil); err != nil {
		return f.fail(ctx, doing, "", err)
	}
	_, err := f.call(ctx, http.MethodPost, f.repo(repo)+"/statuses/"+commit, nil, map[string]string{
		"context": s.Context, "state": string(s.State), "description": s.Description, "target_url": s.TargetURL,
	}, nil)
	if err != nil {
		return f.fail(ctx, doing, "commit "+commit+" of "+repo, err)
	}
	return nil
}

// Comment implements [forge.Commenter].
func (f *Forge) Comment(ctx context.Context, repo string, number int, markdown string) error {
	what := "pull request " + strconv.Itoa(number) + " of " + repo
	_, err := f.call(ctx, http.MethodPost, f.repo(repo)+"/issues/"+strconv.Itoa(number)+"/comments", nil, map[string]string{"body": markdown}, nil)
	if err != nil {
		return f.fail(ctx, "comment on "+what, what, err)
	}
	return nil
}

// ReadPull implements [forge.PullReader].
func (f *Forge) ReadPull(ctx context.Context, repo string, number int) (forge.Description, error) {
	what := "pull request " + strconv.Itoa(number) + " of " + repo
	var p pull
	if _, err := f.call(ctx, http.MethodGet, f.repo(repo)+"/pulls/"+strconv.Itoa(number), nil, nil, &p); err != nil {
		return forge.Description{}, f.fail(ctx, "read "+what, what, err)
	}
	return forge.Description{Pull: openPull(p), Body: p.Body}, nil
}

// Check implements [forge.Checker]: on Gitea a check is a status.
func (f *Forge) Check(ctx context.Context, repo, commit, name string) (forge.CheckState, error) {
	list, _, err := all[struct {
		ID          int64
		Context     string
		Status      string
		Description string
		URL         string    `json:"target_url"`
		At          time.Time `json:"updated_at"`
	}](ctx, f, f.repo(repo)+"/commits/"+commit+"/statuses", nil, "statuses of a commit")
	if err != nil {
		return forge.CheckState{}, f.fail(ctx, "read the checks of "+repo, "commit "+commit+" of "+repo, err)
	}
	if len(list) == 0 { // Gitea answers so for any commit
		if err := f.missing(ctx, repo, commit, nil); err != nil {
			return forge.CheckState{}, f.fail(ctx, "read the checks of "+repo, "", err)
		}
	}
	var out forge.CheckState
	newest := int64(0)
	for _, s := range list {
		if s.Context != name || s.ID <= newest {
			continue
		}
		newest, out = s.ID, forge.CheckState{State: forge.StatusState(s.Status), Description: s.Description, URL: s.URL, At: s.At.UTC()}
		if s.Status == "warning" { // Gitea's own word for what is not green
			out.State = forge.Failure
		}
	}
	return out, nil
}
