package notify

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"nightporter.dev/nightporter"
)

// Endpoint is an address that messages are posted to. The address is a secret:
// whoever knows a chat's webhook can write there.
type Endpoint struct {
	url    string
	client *http.Client
}

// NewEndpoint checks the address. client must be the caller's guarded one: its
// dialer decides which addresses may be reached, and its timeout how long a post
// may take. Redirects are not followed, whatever the client does otherwise: a
// signed message belongs to the configured receiver only.
func NewEndpoint(address string, client *http.Client) (*Endpoint, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return nil, nightporter.E(nightporter.Invalid, "a webhook's address is not a URL").WithHint("write the whole address: https://…")
	}
	if client == nil {
		return nil, nightporter.E(nightporter.Invalid, "a webhook has no HTTP client")
	}
	guarded := *client
	guarded.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Endpoint{url: address, client: &guarded}, nil
}

// Post sends a JSON body and turns the answer into the errors that
// [Notifier.Send] promises.
func (e *Endpoint) Post(ctx context.Context, header http.Header, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return nightporter.E(nightporter.Invalid, "a webhook's address is not a URL")
	}
	for name, values := range header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "nightporter")
	resp, err := e.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address
		}
		return nightporter.Wrap(err, nightporter.Unavailable, "the webhook does not answer")
	}
	defer func() { _ = resp.Body.Close() }()
	// Read a little, so that the connection can be used again.
	_, _ = io.CopyN(io.Discard, resp.Body, 4<<10)
	switch code := resp.StatusCode; {
	case code >= 200 && code <= 299:
		return nil
	case code == http.StatusTooManyRequests:
		return nightporter.E(nightporter.Limited, "the webhook answers %d: too many messages", code)
	case code >= 500, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return nightporter.E(nightporter.Unavailable, "the webhook answers %d", code)
	case code >= 300 && code <= 399:
		return nightporter.E(nightporter.Invalid, "the webhook answers %d and points somewhere else", code).
			WithHint("configure the address that it points at, if you trust it")
	default:
		return nightporter.E(nightporter.Invalid, "the webhook refuses the message: it answers %d", code).
			WithHint("check the webhook's address and secret")
	}
}
