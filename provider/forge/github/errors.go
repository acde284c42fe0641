package github

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

// fail turns what a request ended with into the contract's errors. Doing is what
// we did ("create tag v1.0.0 in ledger"), what is what a 404 is about.
func (f *Forge) fail(ctx context.Context, doing, what string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var (
		limited   *gh.RateLimitError
		secondary *gh.AbuseRateLimitError
		answered  *gh.ErrorResponse
	)
	switch {
	case isForgeError(err):
		return err
	case errors.As(err, &limited):
		return &forge.RateLimitedError{Until: limited.Rate.Reset.UTC()}
	case errors.As(err, &secondary):
		// GitHub: without a Retry-After, wait at least one minute.
		wait := time.Minute
		if secondary.RetryAfter != nil {
			wait = *secondary.RetryAfter
		}
		return &forge.RateLimitedError{Until: f.cfg.Now().UTC().Add(wait)}
	case errors.As(err, &answered):
		return answer(answered, doing, what)
	}
	return &forge.UnavailableError{Doing: doing, Cause: err}
}

func answer(e *gh.ErrorResponse, doing, what string) error {
	switch code := e.Response.StatusCode; {
	case code == http.StatusNotFound:
		return &forge.NotFoundError{What: what}
	case code == http.StatusUnauthorized || code == http.StatusForbidden || code == http.StatusUnprocessableEntity:
		return &forge.ForbiddenError{
			Doing: doing, Needs: e.Response.Header.Get("X-Accepted-GitHub-Permissions"), Reason: e.Message,
		}
	}
	return &forge.UnavailableError{Doing: doing, Cause: e}
}

// isForgeError says whether err is one of the contract's already: the token's
// source may have made it, below the HTTP client.
func isForgeError(err error) bool {
	var (
		forbidden   *forge.ForbiddenError
		limited     *forge.RateLimitedError
		unavailable *forge.UnavailableError
		missing     *forge.NotFoundError
	)
	return errors.As(err, &forbidden) || errors.As(err, &limited) || errors.As(err, &unavailable) || errors.As(err, &missing)
}

// appError says why GitHub gave our App no token.
func appError(err error) error {
	const doing = "get a token for the App"
	var refused *ghinstallation.HTTPError
	if errors.As(err, &refused) && refused.Response != nil {
		defer refused.Response.Body.Close()
		if code := refused.Response.StatusCode; code/100 == 4 && code != http.StatusTooManyRequests {
			return &forge.ForbiddenError{Doing: doing, Reason: "GitHub answered " + refused.Response.Status + ": check the App's id, its installation and its key"}
		}
	}
	return &forge.UnavailableError{Doing: doing, Cause: err}
}

// says reports whether GitHub refused with 422 and these words.
func says(err error, words string) bool {
	var e *gh.ErrorResponse
	if !errors.As(err, &e) || e.Response.StatusCode != http.StatusUnprocessableEntity {
		return false
	}
	return strings.Contains(e.Message, words)
}

// is422 reports whether GitHub understood and refused.
func is422(err error) bool { return says(err, "") }

func is404(err error) bool {
	var e *gh.ErrorResponse
	return errors.As(err, &e) && e.Response.StatusCode == http.StatusNotFound
}
