package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"syscall"

	"nightporter.dev/nightporter"
)

// ResponseError is an answer of the server that is an error. It wraps a
// [*nightporter.Error] with the code, message and hint of the answer's
// application/problem+json (RFC 9457).
type ResponseError struct {
	// Status is the HTTP status.
	Status int
	// RequestID finds the request in the server's log. It may be empty.
	RequestID string

	problem *nightporter.Error
}

// Error is the server's message.
func (e *ResponseError) Error() string { return e.problem.Error() }

// Unwrap returns the [*nightporter.Error].
func (e *ResponseError) Unwrap() error { return e.problem }

// RequestIDOf returns the request id of the first [ResponseError] in err's chain,
// or "".
func RequestIDOf(err error) string {
	var e *ResponseError
	if errors.As(err, &e) {
		return e.RequestID
	}
	return ""
}

// problem reads an answer that is an error.
func (c *Client) problem(resp *http.Response) error {
	media, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if media == "application/json" {
		if err := c.prometheus(resp); err != nil {
			return err
		}
	}
	if media != "application/problem+json" {
		return c.foreign(resp, nil)
	}
	var p struct {
		Title     string           `json:"title"`
		Detail    string           `json:"detail"`
		Code      nightporter.Code `json:"code"`
		RequestID string           `json:"request_id"`
		Hint      string           `json:"hint"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p); err != nil {
		return c.foreign(resp, err)
	}
	message := p.Detail
	if message == "" {
		message = p.Title
	}
	if p.Code == "" {
		p.Code = codeOf(resp.StatusCode)
	}
	problem := nightporter.E(p.Code, "%s", message)
	problem.Hint = p.Hint
	if p.RequestID == "" {
		p.RequestID = resp.Header.Get("X-Request-Id")
	}
	return &ResponseError{Status: resp.StatusCode, RequestID: p.RequestID, problem: problem}
}

// prometheus reads an error of Prometheus's API, which workspaces speak; nil when
// it is none.
func (c *Client) prometheus(resp *http.Response) error {
	var p struct {
		Status string `json:"status"`
		Error  string `json:"error"`
	}
	if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p) != nil || p.Status != "error" || p.Error == "" {
		return nil
	}
	code := codeOf(resp.StatusCode)
	if resp.StatusCode == http.StatusUnprocessableEntity { // a query that cannot be evaluated
		code = nightporter.Invalid
	}
	return &ResponseError{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"), problem: nightporter.E(code, "%s", p.Error)}
}

// foreign is the error for an answer that no Nightporter gives: a proxy's page,
// or another server on the port, which is Vault's own.
func (c *Client) foreign(resp *http.Response, cause error) error {
	problem := nightporter.Wrap(cause, codeOf(resp.StatusCode), "%s answered %s, and not as nightporter does", c.Address(), resp.Status).
		WithHint("check the address: a proxy or another server may answer there")
	if to := resp.Header.Get("Location"); to != "" && resp.StatusCode/100 == 3 {
		problem = nightporter.E(nightporter.Unavailable, "%s sends us on to another address", c.Address())
		if u, err := url.Parse(to); err == nil && u.Host != "" {
			problem = problem.WithHint("if you trust it, use that one: %s://%s", u.Scheme, u.Host)
		}
	}
	return &ResponseError{Status: resp.StatusCode, RequestID: resp.Header.Get("X-Request-Id"), problem: problem}
}

// codeOf guesses the code from a status alone.
func codeOf(status int) nightporter.Code {
	switch status {
	case http.StatusBadRequest:
		return nightporter.Invalid
	case http.StatusUnauthorized:
		return nightporter.Unauthenticated
	case http.StatusForbidden:
		return nightporter.Denied
	case http.StatusNotFound:
		return nightporter.NotFound
	case http.StatusConflict:
		return nightporter.Conflict
	case http.StatusTooManyRequests:
		return nightporter.Limited
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return nightporter.Unavailable
	}
	return nightporter.Internal
}

// transport turns a failed exchange into an error that says where, and what to
// do. A context that ended stays one for errors.Is. The causes are the caller's
// own network, so their text may be shown.
func (c *Client) transport(ctx context.Context, err error) error {
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the rest repeats the address
	}
	var dns *net.DNSError
	var timed interface{ Timeout() bool }
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("talking to %s: %w", c.Address(), context.Canceled)
	case errors.Is(err, syscall.ECONNREFUSED):
		return nightporter.E(nightporter.Unavailable, "nothing answers at %s", c.Address()).
			WithHint("start the server with: nightporter server; or name another one with --address or NIGHTPORTER_ADDR")
	case errors.As(err, &dns):
		return nightporter.E(nightporter.Unavailable, "there is no host called %q", dns.Name).WithHint("check the address %s", c.Address())
	case errors.As(err, &timed) && timed.Timeout():
		return nightporter.Wrap(err, nightporter.Unavailable, "%s did not answer in time", c.Address())
	}
	return nightporter.Wrap(err, nightporter.Unavailable, "talking to %s", c.Address())
}
