package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// DefaultAddress is where a server listens unless it was told otherwise.
const DefaultAddress = "http://127.0.0.1:8200"

// Config is what a [Client] is made from.
type Config struct {
	// Address is the server's URL. Default: [DefaultAddress].
	Address string
	// Token is sent with every request. Empty sends none, which is enough for
	// Login and a short Status.
	Token string
	// HTTP does the requests. Its redirects are not followed: the API has
	// none, and a token must not travel to where one points. Nil means a
	// client of its own with the environment's proxy settings.
	HTTP *http.Client
	// UserAgent names the program. Default: "nightporter-client".
	UserAgent string
	// Timeout bounds a request whose context has no deadline. Event streams
	// are not bounded. Default: one minute.
	Timeout time.Duration
	// Reconnect is the pause before a broken event stream is opened again.
	// Default: two seconds.
	Reconnect time.Duration
}

// Client talks to one server. Any number of goroutines may use it. Make one with
// [New].
type Client struct {
	base *url.URL
	http http.Client
	cfg  Config
}

// New makes a client; it does not talk to the server yet. The error's code is
// invalid when the address cannot be one.
func New(cfg Config) (*Client, error) {
	if cfg.Address == "" {
		cfg.Address = DefaultAddress
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "nightporter-client"
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = time.Minute
	}
	if cfg.Reconnect <= 0 {
		cfg.Reconnect = 2 * time.Second
	}
	base, err := parseAddress(cfg.Address)
	if err != nil {
		return nil, err
	}
	if strings.ContainsAny(cfg.Token, "\r\n\x00 ") {
		return nil, nightporter.E(nightporter.Invalid, "the token holds a space or a line break").WithHint("check where it was copied from")
	}
	c := &Client{base: base, cfg: cfg}
	if cfg.HTTP != nil {
		c.http = *cfg.HTTP
	}
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c, nil
}

func parseAddress(s string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(s, "/"))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, nightporter.E(nightporter.Invalid, "%q is not the address of a server", s).
			WithHint("write it as a URL: %s", DefaultAddress)
	case u.User != nil:
		// Not quoted: it may hold a password.
		return nil, nightporter.E(nightporter.Invalid, "the address holds a user name").WithHint("tokens are not part of the address")
	case u.RawQuery != "" || u.Fragment != "":
		return nil, nightporter.E(nightporter.Invalid, "the address %q has a query or a fragment", s)
	}
	return u, nil
}

// Address is the server's URL, without a slash at the end.
func (c *Client) Address() string { return c.base.String() }

// WithToken returns a client of the same server that sends another token.
func (c *Client) WithToken(token string) (*Client, error) {
	cfg := c.cfg
	cfg.Token = token
	return New(cfg)
}

type keyOfContext struct{}

// WithIdempotencyKey returns a context in which a POST carries key. Use it to
// repeat a request after a crash of the caller's: the server answers the second
// one like the first and does nothing again, for 24 hours.
func WithIdempotencyKey(ctx context.Context, key string) context.Context {
	return context.WithValue(ctx, keyOfContext{}, key)
}

// Get reads a route of the API that has no method here. The path begins with
// "/api/" or "/v1/"; out is what the answer is decoded into.
func (c *Client) Get(ctx context.Context, path string, query url.Values, out any) error {
	return c.call(ctx, http.MethodGet, path, query, nil, out)
}

// call does one request. in is encoded as the body, unless nil; the answer is
// decoded into out, unless nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, in, out any) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.cfg.Timeout)
		defer cancel()
	}
	resp, err := c.send(ctx, request{method: method, path: path, query: query, in: in, accept: "application/json"})
	if err != nil {
		return err
	}
	defer func() {
		_, _ = io.CopyN(io.Discard, resp.Body, 4<<10) // lets the connection be used again
		_ = resp.Body.Close()
	}()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		if ctx.Err() != nil {
			return c.transport(ctx, err)
		}
		return c.foreign(resp, fmt.Errorf("reading the answer to %s %s: %w", method, path, err))
	}
	return nil
}

// maxAnswer bounds what is read of an answer: the board of 1,000 services is
// about 5 MB.
const maxAnswer = 64 << 20

// request is one request. in is encoded as the body, unless nil.
type request struct {
	method, path string
	query        url.Values
	in           any
	accept       string
	lastEvent    string // where a stream goes on
}

// verbatim is a body that is sent as it is: JSON whose every byte counts.
type verbatim []byte

// send does one request and returns an answer that is no error. The caller
// closes its body.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	var body io.Reader
	if raw, ok := r.in.(verbatim); ok {
		body = bytes.NewReader(raw)
	} else if r.in != nil {
		b, err := json.Marshal(r.in)
		if err != nil {
			return nil, fmt.Errorf("encoding the request %s %s: %w", r.method, r.path, err)
		}
		body = bytes.NewReader(b)
	}
	target := c.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("making the request %s %s: %w", r.method, r.path, err)
	}
	req.Header.Set("Accept", r.accept)
	req.Header.Set("User-Agent", c.cfg.UserAgent)
	if r.in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.lastEvent != "" {
		req.Header.Set("Last-Event-ID", r.lastEvent)
	}
	if c.cfg.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.cfg.Token)
	}
	if r.method == http.MethodPost {
		key, _ := ctx.Value(keyOfContext{}).(string)
		if key == "" {
			key = rand.Text()
		}
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.transport(ctx, err)
	}
	if resp.StatusCode >= 300 {
		defer func() { _ = resp.Body.Close() }()
		if strings.HasPrefix(r.path, "/v1/") {
			return nil, c.refusal(resp)
		}
		return nil, c.problem(resp)
	}
	return resp, nil
}

// escape makes a name one segment of a path. PathEscape alone would leave "." and
// "..", which servers clean away.
func escape(name string) string {
	if name == "." || name == ".." {
		return strings.ReplaceAll(name, ".", "%2E")
	}
	return url.PathEscape(name)
}
