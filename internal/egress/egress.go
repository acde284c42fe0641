// Package egress is the one dialer for addresses that somebody else chose: the
// forge of the configuration, a webhook, an identity provider, a database.
//
// A name says nothing about where a connection ends. So the check is made on the
// address that is being connected to, after the name was resolved and right
// before the kernel is asked ([net.Dialer.ControlContext]): a name that answers
// differently the second time gains nothing. Addresses are judged by an explicit
// list and not by the predicates of net/netip, which let through more than half
// of the forms that lead inside (see address.go).
//
// Three classes of address may be allowed: public, private, loopback. Addresses
// that hand out credentials to whoever asks, such as 169.254.169.254, belong to
// none of them: no configuration opens them.
//
// A client made here also follows no redirect unless told to, has a time limit
// for everything, stops reading an answer that is too long, and ignores the
// proxy variables of the environment, which would dial for us unchecked.
package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// Config says where a client may go and how much it may take.
type Config struct {
	// Allow lists the classes of address that may be connected to. Default:
	// Public alone. A self-hosted forge usually needs Private as well.
	Allow []Class
	// Resolver turns names into addresses. Default: the system's.
	Resolver *net.Resolver
	// RootCAs are the certificates to trust. Default: the system's.
	RootCAs *x509.CertPool
	// Timeout bounds a whole request, with reading the answer. Default 30 s.
	Timeout time.Duration
	// DialTimeout bounds connecting, and the TLS handshake again. Default 5 s.
	DialTimeout time.Duration
	// MaxResponse is how many bytes of an answer can be read, after it was
	// unpacked. Reading on fails with an error. Default 10 MiB.
	MaxResponse int64
	// Redirects is how many redirects to follow. They must stay on the same
	// scheme, host and port, so that no header of ours reaches another. Default 0: the
	// redirect is the answer.
	Redirects int
}

// DialContext returns a dial function that connects to allowed addresses only.
// Give it to a client that is not HTTP, such as a database driver. It knows
// networks tcp, tcp4 and tcp6; a refused address fails with an error whose code
// is invalid and which names the address.
func DialContext(cfg Config) func(ctx context.Context, network, address string) (net.Conn, error) {
	allow := slices.Clone(cfg.Allow)
	if len(allow) == 0 {
		allow = []Class{Public}
	}
	dialer := &net.Dialer{
		Timeout:  or(cfg.DialTimeout, 5*time.Second),
		Resolver: cfg.Resolver,
		ControlContext: func(_ context.Context, network, address string, _ syscall.RawConn) error {
			return check(allow, network, address)
		},
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		switch network {
		case "tcp", "tcp4", "tcp6":
			return dialer.DialContext(ctx, network, address)
		}
		// ControlContext would see a socket's path as an address.
		return nil, nightporter.E(nightporter.Invalid, "connecting over %q is not allowed", network)
	}
}

func check(allow []Class, network, address string) error {
	ap, err := netip.ParseAddrPort(address)
	if err != nil {
		return nightporter.E(nightporter.Invalid, "connecting to %s %q is not allowed", network, address)
	}
	class := Classify(ap.Addr())
	if slices.Contains(allow, class) && class != Forbidden {
		return nil
	}
	refusal := nightporter.E(nightporter.Invalid, "connecting to %s is not allowed: it is a %s address", ap.Addr(), class)
	if class != Forbidden {
		refusal = refusal.WithHint("allow %s addresses for this destination in the configuration", class)
	}
	return refusal
}

// Client returns an HTTP client that connects to allowed addresses only. Make
// one per kind of destination and keep it: it holds the connections.
func Client(cfg Config) *http.Client {
	dialTimeout := or(cfg.DialTimeout, 5*time.Second)
	transport := &http.Transport{
		Proxy:                  nil, // a proxy from the environment would dial unchecked
		DialContext:            DialContext(cfg),
		TLSClientConfig:        &tls.Config{RootCAs: cfg.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    dialTimeout,
		ResponseHeaderTimeout:  or(cfg.Timeout, 30*time.Second),
		IdleConnTimeout:        time.Minute,
		MaxIdleConns:           64,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        32,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	limit := cfg.MaxResponse
	if limit <= 0 {
		limit = 10 << 20
	}
	return &http.Client{
		Transport: &limitedTransport{next: transport, limit: limit},
		Timeout:   or(cfg.Timeout, 30*time.Second),
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > cfg.Redirects {
				return http.ErrUseLastResponse
			}
			if from := via[0].URL; req.URL.Scheme != from.Scheme || !strings.EqualFold(req.URL.Host, from.Host) {
				return http.ErrUseLastResponse
			}
			return nil
		},
	}
}

func or(d, otherwise time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return otherwise
}

// Redact returns err without the path and query of a URL that net/http wrote
// into it: the path of a chat webhook is its password. The chain below is kept.
func Redact(err error) error {
	var u *url.Error
	if !errors.As(err, &u) {
		return err
	}
	host := "a URL"
	if parsed, perr := url.Parse(u.URL); perr == nil {
		host = parsed.Scheme + "://" + parsed.Host
	}
	return fmt.Errorf("%s %s: %w", strings.ToUpper(u.Op), host, u.Err)
}
