package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	gh "github.com/google/go-github/v92/github"

	"nightporter.dev/nightporter/provider/forge"
)

// errSlow is a query that took GitHub, or us, too long: a smaller one may not.
var errSlow = errors.New("the query took too long")

// graphError is one entry of GraphQL's "errors".
type graphError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
	Path    []any  `json:"path"`
}

// query runs a GraphQL query. What is the thing that a NOT_FOUND is about.
func (f *Forge) query(ctx context.Context, doing, what, document string, variables map[string]any, out any) error {
	missing, err := f.queryPartly(ctx, doing, document, variables, out)
	if err == nil && missing {
		return &forge.NotFoundError{What: what}
	}
	return err
}

// queryPartly is query for documents where things may be missing: they are null
// in out, and missing says whether there were any.
func (f *Forge) queryPartly(parent context.Context, doing, document string, variables map[string]any, out any) (missing bool, err error) {
	data, refused, resp, err := f.post(parent, doing, document, variables)
	if err != nil {
		return false, err
	}
	for _, e := range refused {
		if e.Type != "NOT_FOUND" {
			return false, f.graphFailure(doing, e, resp)
		}
		missing = true
	}
	var roots map[string]json.RawMessage
	if err := errors.Join(json.Unmarshal(data, &roots), json.Unmarshal(data, out)); err != nil {
		return false, &forge.UnavailableError{Doing: doing, Cause: fmt.Errorf("GitHub's answer: %w", err)}
	}
	for _, v := range roots {
		// An owner that is not there is null without an error.
		missing = missing || string(v) == "null"
	}
	return missing || len(roots) == 0, nil
}

// queryRefused is query for documents of which parts may be refused: they are
// null in out, and the refusals come back. What is wrong with the request as a
// whole is an error.
func (f *Forge) queryRefused(ctx context.Context, doing, document string, variables map[string]any, out any) ([]graphError, error) {
	data, refused, resp, err := f.post(ctx, doing, document, variables)
	if err != nil {
		return nil, err
	}
	for _, e := range refused {
		if len(e.Path) == 0 || e.Type != "NOT_FOUND" && e.Type != "FORBIDDEN" && e.Type != "INSUFFICIENT_SCOPES" && e.Type != "UNPROCESSABLE" {
			return nil, f.graphFailure(doing, e, resp)
		}
	}
	if err := json.Unmarshal(data, out); err != nil {
		return nil, &forge.UnavailableError{Doing: doing, Cause: fmt.Errorf("GitHub's answer: %w", err)}
	}
	return refused, nil
}

// post sends one document.
func (f *Forge) post(parent context.Context, doing, document string, variables map[string]any) (json.RawMessage, []graphError, *gh.Response, error) {
	ctx, cancel := f.within(parent)
	defer cancel()
	req, err := f.rest.NewRequest(ctx, http.MethodPost, f.graphql, map[string]any{"query": document, "variables": variables})
	if err != nil {
		return nil, nil, nil, fmt.Errorf("%s: %w", doing, err)
	}
	var answer struct {
		Data   json.RawMessage `json:"data"`
		Errors []graphError    `json:"errors"`
	}
	resp, err := f.rest.Do(req, &answer)
	if err != nil {
		if parent.Err() == nil && isSlow(err) {
			return nil, nil, nil, &forge.UnavailableError{Doing: doing, Cause: fmt.Errorf("%w: %w", errSlow, err)}
		}
		return nil, nil, nil, f.fail(parent, doing, "the GraphQL API", err)
	}
	return answer.Data, answer.Errors, resp, nil
}

// within finds the place in a list, and the field of the element there, that an
// error is about: nodes, 3, labels.
func (e graphError) within(list string) (place int, field string, ok bool) {
	for i, part := range e.Path {
		if part == any(list) && i+2 < len(e.Path) {
			n, isNumber := e.Path[i+1].(float64)
			field, isText := e.Path[i+2].(string)
			return int(n), field, isNumber && isText
		}
	}
	return 0, "", false
}

// messageOf is what GitHub said when it refused a field.
func messageOf(refused []graphError, field string) string {
	for _, e := range refused {
		if slices.Contains(e.Path, any(field)) {
			return e.Message
		}
	}
	return ""
}

func (f *Forge) graphFailure(doing string, e graphError, resp *gh.Response) error {
	switch e.Type {
	case "RATE_LIMITED", "RATE_LIMIT":
		return &forge.RateLimitedError{Until: resp.Rate.Reset.UTC()}
	case "FORBIDDEN", "INSUFFICIENT_SCOPES":
		return &forge.ForbiddenError{Doing: doing, Reason: e.Message}
	}
	cause := errors.New(e.Message)
	if strings.Contains(e.Message, "timeout") || strings.Contains(e.Message, "timed out") {
		cause = fmt.Errorf("%w: %s", errSlow, e.Message)
	}
	return &forge.UnavailableError{Doing: doing, Cause: cause}
}

// isSlow says whether a request failed for the time it took: GitHub answers 502
// or 504 then, or we had no more patience.
func isSlow(err error) bool {
	var e *gh.ErrorResponse
	if errors.As(err, &e) {
		return e.Response.StatusCode == http.StatusBadGateway || e.Response.StatusCode == http.StatusGatewayTimeout
	}
	return errors.Is(err, context.DeadlineExceeded)
}
