// Package github is GitHub, and GitHub Enterprise Server, as a forge.
//
// Reading is GraphQL: one query for each page of repositories, one for each
// batch of those whose default branch moved. REST would need some five requests
// for every repository, and GitHub allows 5,000 an hour. Writing is REST, through
// google/go-github on the HTTP client that the caller hands in.
//
// What GitHub answers is held against GitHub's own descriptions in the tests of
// this package, with the fake GitHub of package githubtest.
package github

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	ghapp "github.com/google/go-github/v88/github" // the one that ghinstallation is built on
	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

// Config says which GitHub and who we are there.
type Config struct {
	// BaseURL is the REST API: "https://api.github.com", which is the default,
	// or "https://git.example.com/api/v3" for GitHub Enterprise Server.
	BaseURL string
	// Organisation owns the repositories. A user's name works too. Required.
	Organisation string
	// Token returns a token of ours. It is asked before each request, so that
	// a token can be rotated. Default: requests carry none, unless App is set.
	Token func(context.Context) (string, error)
	// App makes us a GitHub App, which is better than a token: its tokens live
	// an hour and it has a rate limit of its own. Exclusive with Token.
	App *App
	// WebhookSecret returns the secret that webhooks are signed with. Default:
	// every webhook is refused.
	WebhookSecret func() ([]byte, error)
	// Client makes the connections. Default: http.DefaultClient's transport,
	// which is fit for tests only.
	Client *http.Client
	// Timeout ends a single request that takes longer. A GraphQL page that
	// does is asked for again in halves. Default: 20 seconds; GitHub itself
	// gives up after 10.
	Timeout time.Duration
	// PageSize is how many repositories a page of a sweep has at first.
	// Default and limit: 100, GitHub's own.
	PageSize int
	// UserAgent names us. Default: "nightporter".
	UserAgent string
	// RequestID returns the id of what we are working on, which is added to
	// the user agent. Default: none.
	RequestID func(context.Context) string
	// Trace is told of each request when it has ended. Default: nobody is.
	Trace func(context.Context, Call)
	// Now is the clock of ObservedAt. Default: time.Now.
	Now func() time.Time
}

// App is a GitHub App, installed in the organisation.
type App struct {
	ID           int64
	Installation int64
	Key          []byte // the private key, PEM
	// ReadKey returns the private key, in place of Key. It is asked whenever we
	// sign in, so that the key can be rotated. Default: Key is used.
	ReadKey func(context.Context) ([]byte, error)
}

// Forge is one organisation on GitHub. It is safe for concurrent use.
type Forge struct {
	cfg     Config
	api     *url.URL // with a slash at the end
	graphql string
	web     string // where git and people go
	rest    *gh.Client
	base    http.RoundTripper // of the app's own requests

	mu     sync.Mutex
	app    *ghinstallation.Transport // nil until the key was read
	appKey []byte                    // what it was made with
}

var (
	_ forge.Forge     = (*Forge)(nil)
	_ forge.Commenter = (*Forge)(nil)

	_ forge.PullReader  = (*Forge)(nil)
	_ forge.CheckRunner = (*Forge)(nil)
)

// New makes a Forge. It does not talk to GitHub yet.
func New(cfg Config) (*Forge, error) {
	if cfg.Organisation == "" {
		return nil, errors.New("github: Config.Organisation is required")
	}
	if cfg.Token != nil && cfg.App != nil {
		return nil, errors.New("github: Config.Token and Config.App exclude each other")
	}
	cfg.BaseURL = cmp.Or(cfg.BaseURL, "https://api.github.com")
	cfg.Timeout = cmp.Or(cfg.Timeout, 20*time.Second)
	cfg.PageSize = min(cmp.Or(cfg.PageSize, maxPage), maxPage)
	cfg.UserAgent = cmp.Or(cfg.UserAgent, "nightporter")
	if cfg.Client == nil {
		cfg.Client = http.DefaultClient
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	api, err := url.Parse(strings.TrimSuffix(cfg.BaseURL, "/") + "/")
	if err != nil || api.Host == "" || api.User != nil {
		return nil, errors.New("github: Config.BaseURL must be an address without credentials, like https://api.github.com")
	}
	f := &Forge{cfg: cfg, api: api, base: cfg.Client.Transport}
	f.graphql, f.web = siblings(api)
	if f.base == nil {
		f.base = http.DefaultTransport
	}
	client := *cfg.Client
	client.Transport = &transport{next: newETags(f.base), forge: f}
	if f.rest, err = gh.NewClient(gh.WithHTTPClient(&client), gh.WithURLs(new(api.String()), new(api.String()))); err != nil {
		return nil, fmt.Errorf("github: %w", err)
	}
	if cfg.App != nil && cfg.App.ReadKey == nil {
		if _, err := f.appWith(cfg.App.Key); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// siblings derives from the address of the REST API where GraphQL and where the
// repositories are.
func siblings(api *url.URL) (graphql, web string) {
	root := *api
	if prefix, ok := strings.CutSuffix(api.Path, "/api/v3/"); ok { // GitHub Enterprise Server
		root.Path = prefix
		web = root.String()
		return web + "/api/graphql", web
	}
	graphql = api.String() + "graphql"
	root.Host = strings.TrimPrefix(root.Host, "api.")
	return graphql, strings.TrimSuffix(root.String(), "/")
}

// token returns what to authenticate with now, or "".
func (f *Forge) token(ctx context.Context) (string, error) {
	switch {
	case f.cfg.App != nil:
		key := f.cfg.App.Key
		if f.cfg.App.ReadKey != nil {
			var err error
			if key, err = f.cfg.App.ReadKey(ctx); err != nil {
				return "", fmt.Errorf("read the key of the GitHub App: %w", err)
			}
		}
		app, err := f.appWith(key)
		if err != nil {
			return "", err
		}
		token, err := app.Token(ctx)
		if err != nil {
			return "", appError(err)
		}
		return token, nil
	case f.cfg.Token != nil:
		token, err := f.cfg.Token(ctx)
		if err != nil {
			return "", fmt.Errorf("read GitHub token: %w", err)
		}
		return strings.TrimSpace(token), nil
	}
	return "", nil
}

// appWith returns what signs in as the app with a key, and keeps its token.
func (f *Forge) appWith(key []byte) (*ghinstallation.Transport, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.app != nil && bytes.Equal(key, f.appKey) {
		return f.app, nil
	}
	app, err := ghinstallation.New(f.base, f.cfg.App.ID, f.cfg.App.Installation, key)
	if err != nil {
		return nil, errors.New("github: the key of the app is not a private key in PEM") // the cause may quote it
	}
	app.BaseURL = strings.TrimSuffix(f.api.String(), "/")
	// Without options it would send null, which GitHub's description forbids.
	app.InstallationTokenOptions = &ghapp.InstallationTokenOptions{}
	f.app, f.appKey = app, bytes.Clone(key)
	return app, nil
}

// CloneURL implements [forge.Source].
func (f *Forge) CloneURL(repo string) string {
	return f.web + "/" + f.cfg.Organisation + "/" + url.PathEscape(repo) + ".git"
}

// GitCredentials implements [forge.Source]. The user name is the one that GitHub
// gives to tokens.
func (f *Forge) GitCredentials(ctx context.Context, repo string) (forge.Credentials, error) {
	token, err := f.token(ctx)
	if err != nil {
		return forge.Credentials{}, f.fail(ctx, "fetch "+repo, "repository "+repo, err)
	}
	if token == "" {
		return forge.Credentials{}, nil
	}
	return forge.Credentials{Username: "x-access-token", Password: token}, nil
}
