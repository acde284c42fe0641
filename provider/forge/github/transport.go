package github

import (
	"bytes"
	"container/list"
	"context"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Call is one request to GitHub that has ended.
type Call struct {
	Method string
	Path   string
	Status int // 0 when no answer came
	Took   time.Duration
	// GitHubID is GitHub's own name for the request, for its support.
	GitHubID string
	// Remaining is how many more requests, or points of GraphQL, GitHub allows
	// until the limit is reset. -1 when it did not say.
	Remaining int
}

// transport signs requests, names us and tells of what it did.
type transport struct {
	next  http.RoundTripper
	forge *Forge
}

func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, cfg := r.Context(), &t.forge.cfg
	out := r.Clone(ctx)
	agent := cfg.UserAgent
	if cfg.RequestID != nil {
		if id := cfg.RequestID(ctx); id != "" {
			agent += " (request " + id + ")"
		}
	}
	out.Header.Set("User-Agent", agent)
	// A redirect may lead to another host, which must not see the token.
	if out.URL.Host == t.forge.api.Host {
		token, err := t.forge.token(ctx)
		if err != nil {
			if r.Body != nil {
				_ = r.Body.Close()
			}
			return nil, err
		}
		if token != "" {
			out.Header.Set("Authorization", "Bearer "+token)
		}
	}
	start := time.Now()
	resp, err := t.next.RoundTrip(out)
	t.trace(ctx, out, resp, time.Since(start))
	return resp, err
}

func (t *transport) trace(ctx context.Context, r *http.Request, resp *http.Response, took time.Duration) {
	if t.forge.cfg.Trace == nil {
		return
	}
	call := Call{Method: r.Method, Path: r.URL.Path, Took: took, Remaining: -1}
	if resp != nil {
		call.Status = resp.StatusCode
		call.GitHubID = resp.Header.Get("X-GitHub-Request-Id")
		if n, err := strconv.Atoi(resp.Header.Get("X-RateLimit-Remaining")); err == nil {
			call.Remaining = n
		}
	}
	t.forge.cfg.Trace(ctx, call)
}

// What the cache of single objects holds at most.
const (
	maxETags    = 512
	maxETagBody = 256 << 10
)

// etags remembers the answers to GET requests and asks GitHub only whether they
// still hold. An answer of 304 does not count against the primary rate limit
// (docs.github.com, "Best practices for using the REST API"). Every answer is
// still GitHub's: nothing is served without asking.
type etags struct {
	next http.RoundTripper

	mu     sync.Mutex
	byURL  map[string]*list.Element
	oldest *list.List // of *tagged, the most recently used first
}

type tagged struct {
	url, tag string
	header   http.Header
	body     []byte
}

func newETags(next http.RoundTripper) *etags {
	return &etags{next: next, byURL: map[string]*list.Element{}, oldest: list.New()}
}

func (e *etags) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet || r.Header.Get("If-None-Match") != "" {
		return e.next.RoundTrip(r)
	}
	key := r.URL.String()
	known := e.get(key)
	if known != nil {
		r = r.Clone(r.Context())
		r.Header.Set("If-None-Match", known.tag)
	}
	resp, err := e.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusNotModified && known != nil {
		_ = resp.Body.Close()
		return known.answer(r, resp), nil
	}
	tag := resp.Header.Get("ETag")
	if resp.StatusCode != http.StatusOK || tag == "" {
		return resp, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxETagBody+1))
	if err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	if len(body) > maxETagBody {
		resp.Body = readCloser{io.MultiReader(bytes.NewReader(body), resp.Body), resp.Body}
		return resp, nil
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	e.put(&tagged{url: key, tag: tag, header: resp.Header.Clone(), body: body})
	return resp, nil
}

// answer is the remembered answer, with the rate limit as it is now.
func (t *tagged) answer(r *http.Request, now *http.Response) *http.Response {
	header := t.header.Clone()
	for k, v := range now.Header {
		if k != "Content-Length" && k != "Content-Type" {
			header[k] = v
		}
	}
	return &http.Response{
		Status: "200 OK", StatusCode: http.StatusOK, Proto: now.Proto, ProtoMajor: now.ProtoMajor, ProtoMinor: now.ProtoMinor,
		Header: header, Body: io.NopCloser(bytes.NewReader(t.body)), ContentLength: int64(len(t.body)), Request: r,
	}
}

func (e *etags) get(url string) *tagged {
	e.mu.Lock()
	defer e.mu.Unlock()
	el, ok := e.byURL[url]
	if !ok {
		return nil
	}
	e.oldest.MoveToFront(el)
	t, _ := el.Value.(*tagged)
	return t
}

func (e *etags) put(t *tagged) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if el, ok := e.byURL[t.url]; ok {
		e.oldest.Remove(el)
	}
	e.byURL[t.url] = e.oldest.PushFront(t)
	if e.oldest.Len() > maxETags {
		last := e.oldest.Back()
		e.oldest.Remove(last)
		if old, ok := last.Value.(*tagged); ok {
			delete(e.byURL, old.url)
		}
	}
}

type readCloser struct {
	io.Reader
	io.Closer
}
