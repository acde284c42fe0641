package releases

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Probe is a question to a service that runs, beyond its health.
type Probe struct {
	Service, Environment string
	// Path is what is asked for with GET, "/v1/profiles/latest?explain=1".
	Path string
	// Header is sent along, "Cookie: session=…"; "" sends none. It is a secret.
	Header string
	// Contains is what a right answer holds. "" takes every 2xx for right.
	Contains string
}

// An answer is read up to here, and waited for this long.
const (
	probeAnswer = 4 << 20
	probeWait   = 5 * time.Second
)

// Probe asks the instance of a service that serves in an environment, and returns
// what it asked and when. The error is Unavailable while nobody serves there or it
// does not answer, and Conflict for a wrong answer; it never holds the header or
// the answer's text.
func (r *Releases) Probe(ctx context.Context, p Probe) (nightporter.Evidence, error) {
	service, ok := r.cfg.Catalog.Current().Service(p.Service)
	if !ok {
		return nightporter.Evidence{}, nightporter.E(nightporter.NotFound, "there is no service %s", p.Service)
	}
	d, err := r.deployer(service.Deploy.Kind)
	if err != nil {
		return nightporter.Evidence{}, err
	}
	running, err := d.Running(ctx, p.Service, p.Environment)
	if err != nil {
		return nightporter.Evidence{}, err
	}
	live, ok := deploy.Find(running, deploy.Serving)
	if !ok || live.Address == "" {
		return nightporter.Evidence{}, nightporter.E(nightporter.Unavailable, "no instance of %s serves in %s", p.Service, p.Environment)
	}
	path, query, _ := strings.Cut(p.Path, "?")
	u := url.URL{Scheme: "http", Host: live.Address, Path: path, RawQuery: query}
	seen := nightporter.Evidence{ObservedAt: r.cfg.Now().UTC(), Source: "GET " + u.String()}
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return seen, fmt.Errorf("ask %s: %w", p.Service, err)
	}
	if p.Header != "" {
		name, value, ok := strings.Cut(p.Header, ":")
		if !ok {
			return seen, nightporter.E(nightporter.Invalid, "the header for %s is not \"Name: value\"", p.Service)
		}
		req.Header.Set(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	// A connection of its own, so that it is the listener that answers.
	client := http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return seen, nightporter.Wrap(err, nightporter.Unavailable, "%s in %s does not answer %s", p.Service, p.Environment, path)
	}
	defer func() { _ = resp.Body.Close() }() // only read from
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return seen, nightporter.E(nightporter.Conflict, "%s in %s answers %s with %d", p.Service, p.Environment, path, resp.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, probeAnswer))
	if err != nil {
		return seen, nightporter.Wrap(err, nightporter.Unavailable, "%s in %s stopped in the middle of its answer to %s", p.Service, p.Environment, path)
	}
	if !bytes.Contains(body, []byte(p.Contains)) {
		return seen, nightporter.E(nightporter.Conflict, "the answer of %s in %s to %s does not hold what it should", p.Service, p.Environment, path)
	}
	return seen, nil
}
