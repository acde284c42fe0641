package gitea

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

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
