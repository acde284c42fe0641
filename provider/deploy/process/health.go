package process

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
)

// probeTimeout bounds one question. A service that answers later is asked again.
const probeTimeout = 2 * time.Second

// answerLimit is how much of an answer is read in search of a version.
const answerLimit = 64 << 10

// probe is one question to an instance and its answer.
type probe struct {
	good     bool
	wrong    bool // it is another version than it should be
	reported string
	message  string
	evidence nightporter.Evidence
}

// newHealthClient makes the client that asks instances: straight to the port, no
// proxy from our environment, no redirect to somebody else's health, and a new
// connection each time, so that it is the listener that answers.
func newHealthClient() *http.Client {
	return &http.Client{
		Timeout:       probeTimeout,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// probe asks the instance. An error is ours or the caller's, never the
// instance's: those are answers.
func (d *Deployer) probe(ctx context.Context, i *instance) (probe, error) {
	if i.Health.HTTP == "" {
		return d.probeTCP(ctx, i)
	}
	path, query, _ := strings.Cut(i.Health.HTTP, "?")
	u := url.URL{Scheme: "http", Host: i.address(), Path: path, RawQuery: query}
	p := probe{evidence: nightporter.Evidence{ObservedAt: d.cfg.Now().UTC(), Source: "GET " + u.String()}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return probe{}, fmt.Errorf("asking %s: %w", i.place(), err)
	}
	req.Header.Set("User-Agent", "nightporter")
	resp, err := d.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return probe{}, ctx.Err()
		}
		p.message = "no answer: " + cause(err)
		return p, nil
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		p.message = fmt.Sprintf("answers %d", resp.StatusCode)
		return p, nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, answerLimit))
	if err != nil {
		p.message = "no whole answer: " + cause(err)
		return p, nil
	}
	said := stated(resp.Header, body)
	p.reported = said.version
	if p.reported == "" {
		p.reported = said.commit
	}
	p.wrong, p.message = said.differs(i.Version, i.Commit)
	p.good = !p.wrong
	if p.good {
		p.message = fmt.Sprintf("answers %d", resp.StatusCode)
	}
	if p.reported != "" {
		p.evidence.Source += " says " + p.reported
	}
	return p, nil
}

func (d *Deployer) probeTCP(ctx context.Context, i *instance) (probe, error) {
	p := probe{evidence: nightporter.Evidence{ObservedAt: d.cfg.Now().UTC(), Source: "connect " + i.address()}}
	dialer := net.Dialer{Timeout: probeTimeout}
	c, err := dialer.DialContext(ctx, "tcp", i.address())
	if err != nil {
		if ctx.Err() != nil {
			return probe{}, ctx.Err()
		}
		p.message = "no answer: " + cause(err)
		return p, nil
	}
	_ = c.Close()
	p.good, p.message = true, "accepts connections"
	return p, nil
}

// statement is what an instance says it is. Empty is not said.
type statement struct{ version, commit string }

// stated reads the version out of an answer: the header X-Version, or "version"
// and "commit" of a JSON object.
func stated(h http.Header, body []byte) statement {
	var s statement
	var object map[string]json.RawMessage
	if json.Unmarshal(body, &object) == nil {
		for name, into := range map[string]*string{"version": &s.version, "commit": &s.commit} {
			var text string
			if json.Unmarshal(object[name], &text) == nil {
				*into = clean(text)
			}
		}
	}
	if v := clean(h.Get("X-Version")); v != "" {
		s.version = v
	}
	return s
}

// clean makes what a service said fit for a message: short and printable.
func clean(s string) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c > '~' {
			return -1
		}
		return c
	}, strings.TrimSpace(s))
	return s[:min(len(s), 80)]
}

// differs says whether the statement contradicts what should run.
func (s statement) differs(version nightporter.Version, commit string) (bool, string) {
	if s.version != "" && strings.TrimPrefix(s.version, "v") != version.String() {
		return true, fmt.Sprintf("answers as version %s, not %s: an old binary?", s.version, version)
	}
	short := len(s.commit) >= 7 && strings.HasPrefix(commit, s.commit) // git's usual abbreviation
	if s.commit != "" && commit != "" && s.commit != commit && !short {
		return true, fmt.Sprintf("answers as commit %s, not %s: an old binary?", s.commit, commit)
	}
	return false, ""
}

// cause is the innermost part of a network error, without the address again.
func cause(err error) string {
	if t, ok := err.(interface{ Timeout() bool }); ok && t.Timeout() {
		return "timed out after " + probeTimeout.String()
	}
	text := err.Error()
	return strings.TrimSpace(text[strings.LastIndex(text, ": ")+1:])
}
