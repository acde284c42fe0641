// Package gitea is Gitea, and Forgejo, as a forge.
//
// Both speak one REST API, which has no quota and little that answers for many
// repositories at once: a sweep asks three small questions of each repository,
// several at a time. What it does not have is said to be not offered: branch rules
// beyond the protection of a branch, a squash's title, and permissions that differ
// between the repositories of one team. Tags cannot be moved there, only removed
// and made again.
//
// The requests are made here and not by Gitea's own SDK, which takes a context for
// each client instead of each call, cannot read the label of a pull request's
// timeline, and does not know which pull request a commit came by.
package gitea

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter/provider/forge"
)

// Config says which Gitea and who we are there.
type Config struct {
	// BaseURL is where people go: "https://git.acme.test". Required.
	BaseURL string
	// Organisation owns the repositories. Required.
	Organisation string
	// Token returns a token of ours. It is asked before each request, so that
	// a token can be rotated. nil: requests carry none.
	Token func(context.Context) (string, error)
	// WebhookSecret returns the secret that webhooks are signed with. nil: every
	// webhook is refused.
	WebhookSecret func() ([]byte, error)
	// Client makes the connections. nil means http.DefaultClient, which is fit
	// for tests only.
	Client *http.Client
	// Timeout ends a single request that takes longer. 0 means 20 seconds.
	Timeout time.Duration
	// AtOnce is how many requests are under way at the same time. 0 means 8.
	AtOnce int
	// UserAgent names us. "" means "nightporter".
	UserAgent string
	// Now is the clock of ObservedAt. nil means time.Now.
	Now func() time.Time
}

// Forge is one organisation on a Gitea. It is safe for concurrent use.
type Forge struct {
	cfg Config
	web string // without a slash at the end
}

var (
	_ forge.Forge     = (*Forge)(nil)
	_ forge.Commenter = (*Forge)(nil)
	_ forge.Governor  = (*Forge)(nil)

	_ forge.PullReader = (*Forge)(nil)
	_ forge.Checker    = (*Forge)(nil)
)

// New makes a Forge. It does not talk to Gitea yet.
func New(cfg Config) (*Forge, error) {
	u, err := url.Parse(cfg.BaseURL)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("gitea: Config.BaseURL must be an http or https address without credentials")
	}
	if cfg.Organisation == "" {
		return nil, errors.New("gitea: Config.Organisation is required")
	}
	cfg.Timeout, cfg.AtOnce = cmp.Or(cfg.Timeout, 20*time.Second), cmp.Or(cfg.AtOnce, 8)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "nightporter")
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	web := strings.TrimSuffix(strings.TrimSuffix(cfg.BaseURL, "/"), "/api/v1")
	return &Forge{cfg: cfg, web: web}, nil
}

const (
	perPage = 50       // what Gitea gives at most, as it is shipped
	maxBody = 32 << 20 // of an answer
)

// answerError is an answer that is no success.
type answerError struct {
	status  int
	message string
	retry   time.Duration // of a 429
}

func (e *answerError) Error() string {
	return fmt.Sprintf("Gitea answered %d: %s", e.status, e.message)
}

func isStatus(err error, status ...int) bool {
	var e *answerError
	if !errors.As(err, &e) {
		return false
	}
	for _, s := range status {
		if e.status == s {
			return true
		}
	}
	return false
}

// call makes one request below /api/v1. Body and out may be nil. The header is of
// an answer that was a success.
func (f *Forge) call(ctx context.Context, method, path string, query url.Values, body, out any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, f.cfg.Timeout)
	defer cancel()
	var send io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("encode a request to Gitea: %w", err)
		}
		send = bytes.NewReader(text)
	}
	address := f.web + "/api/v1" + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, method, address, send)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Accept", "application/json")
	r.Header.Set("User-Agent", f.cfg.UserAgent)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if f.cfg.Token != nil {
		token, err := f.cfg.Token(ctx)
		if err != nil {
			return nil, err
		}
		r.Header.Set("Authorization", "token "+token)
	}
	resp, err := f.cfg.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxBody {
		return nil, errors.New("the answer is too large")
	}
	if resp.StatusCode/100 != 2 {
		return nil, refusal(resp, text)
	}
	if out != nil && len(text) > 0 {
		if err := json.Unmarshal(text, out); err != nil {
			return nil, fmt.Errorf("read an answer of Gitea: %w", err)
		}
	}
	return resp.Header, nil
}

func refusal(resp *http.Response, text []byte) error {
	var said struct{ Message string }
	_ = json.Unmarshal(text, &said) // a proxy in between answers as it likes
	e := &answerError{status: resp.StatusCode, message: cmp.Or(said.Message, resp.Status)}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		e.retry = time.Duration(seconds) * time.Second
	}
	return e
}

// all reads every page of a list and says when the list that came is shorter than
// the server says that it is.
func all[T any](ctx context.Context, f *Forge, path string, query url.Values, what string) (list []T, requests int, err error) {
	if query == nil {
		query = url.Values{}
	}
	query.Set("limit", strconv.Itoa(perPage))
	for page := 1; ; page++ {
		query.Set("page", strconv.Itoa(page))
		var some []T
		header, err := f.call(ctx, http.MethodGet, path, query, nil, &some)
		requests++
		if err != nil {
			return nil, requests, err
		}
		list = append(list, some...)
		total, counted := count(header)
		switch {
		case counted && len(list) >= total, !counted && len(some) == 0:
			return list, requests, nil
		case len(some) == 0:
			return nil, requests, &forge.PartialError{What: what, Got: len(list), Want: total}
		}
	}
}

// count is how long a list is in all, as the server says.
func count(header http.Header) (n int, ok bool) {
	n, err := strconv.Atoi(header.Get("X-Total-Count"))
	return n, err == nil
}

// fail turns what a request ended with into the contract's errors. Doing is what
// we did ("create tag v1.0.0 in ledger"), what is what a 404 is about.
func (f *Forge) fail(ctx context.Context, doing, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var partial *forge.PartialError
	var missing *forge.NotFoundError
	var e *answerError
	switch {
	case errors.As(err, &partial), errors.As(err, &missing):
		return err
	case !errors.As(err, &e):
		return &forge.UnavailableError{Doing: doing, Cause: err}
	case e.status == http.StatusNotFound:
		return &forge.NotFoundError{What: what}
	case e.status == http.StatusTooManyRequests:
		return &forge.RateLimitedError{Until: f.cfg.Now().UTC().Add(cmp.Or(e.retry, time.Minute))}
	case e.status == http.StatusLocked:
		return &forge.ForbiddenError{Doing: doing, Reason: "it is archived"}
	case e.status/100 == 4:
		return &forge.ForbiddenError{Doing: doing, Reason: e.message}
	}
	return &forge.UnavailableError{Doing: doing, Cause: e}
}

func (f *Forge) repo(name string) string {
	return "/repos/" + url.PathEscape(f.cfg.Organisation) + "/" + url.PathEscape(name)
}

func (f *Forge) org() string { return "/orgs/" + url.PathEscape(f.cfg.Organisation) }

// CloneURL implements [forge.Source].
func (f *Forge) CloneURL(repo string) string {
	return f.web + "/" + url.PathEscape(f.cfg.Organisation) + "/" + url.PathEscape(repo) + ".git"
}

// GitCredentials implements [forge.Source]. Gitea takes a token as the user's name
// with this password.
func (f *Forge) GitCredentials(ctx context.Context, _ string) (forge.Credentials, error) {
	if f.cfg.Token == nil {
		return forge.Credentials{}, nil
	}
	token, err := f.cfg.Token(ctx)
	if err != nil {
		return forge.Credentials{}, err
	}
	return forge.Credentials{Username: token, Password: "x-oauth-basic"}, nil
}
