// Package webhook posts messages as signed JSON to an address of the user's own.
//
// The body is the message (see [notify.Message]). Two headers come with it:
//
//	Nightporter-Signature: t=1789045200,v1=<hex of HMAC-SHA256>
//	Idempotency-Key: <the message's key>
//
// The signature covers the time, a full stop and the raw body, under the shared
// secret. A receiver recomputes it over the bytes as received, before parsing,
// compares in constant time, refuses times more than some minutes away, and
// leaves out keys that it has seen. [Verify] does the first three.
package webhook

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify"
)

// SignatureHeader carries the time and the signature.
const SignatureHeader = "Nightporter-Signature"

// minSecret is the shortest secret, in bytes: a guessable one signs nothing.
const minSecret = 16

// Config makes a [Notifier].
type Config struct {
	// URL is where messages are posted to. No default.
	URL string
	// Secret signs them: at least 16 bytes, which the receiver knows too. No
	// default.
	Secret []byte
	// Client posts them. It must guard which addresses are dialled and set a
	// timeout. No default.
	Client *http.Client
	// Now tells the time that is signed. nil means time.Now.
	Now func() time.Time
}

// Notifier posts messages to one address.
type Notifier struct {
	endpoint *notify.Endpoint
	secret   []byte
	now      func() time.Time
}

var _ notify.Notifier = (*Notifier)(nil)

// New checks the settings. It does not connect.
func New(cfg Config) (*Notifier, error) {
	if len(cfg.Secret) < minSecret {
		return nil, nightporter.E(nightporter.Invalid, "the secret of a webhook is shorter than %d bytes", minSecret).
			WithHint("make one: openssl rand -hex 32")
	}
	endpoint, err := notify.NewEndpoint(cfg.URL, cfg.Client)
	if err != nil {
		return nil, err
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Notifier{endpoint: endpoint, secret: append([]byte(nil), cfg.Secret...), now: cfg.Now}, nil
}

// Send implements [notify.Notifier].
func (n *Notifier) Send(ctx context.Context, m notify.Message) error {
	if err := m.Validate(); err != nil {
		return err
	}
	m.At = m.At.UTC()
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("writing the message %s: %w", m.Key, err)
	}
	return n.endpoint.Post(ctx, http.Header{
		SignatureHeader:   {sign(n.secret, n.now(), body)},
		"Idempotency-Key": {m.Key},
	}, body)
}

func sign(secret []byte, at time.Time, body []byte) string {
	t := strconv.FormatInt(at.Unix(), 10)
	return "t=" + t + ",v1=" + hex.EncodeToString(sum(secret, t, body))
}

func sum(secret []byte, t string, body []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(t + "."))
	mac.Write(body)
	return mac.Sum(nil)
}

// Verify checks a received body against its signature header, for receivers
// written in Go. now and tolerance bound how old or early it may be. Errors are
// Unauthenticated.
func Verify(secret []byte, header string, body []byte, now time.Time, tolerance time.Duration) error {
	stamp, signature, ok := strings.Cut(header, ",v1=")
	t, hasTime := strings.CutPrefix(stamp, "t=")
	got, err := hex.DecodeString(signature)
	if !ok || !hasTime || err != nil {
		return nightporter.E(nightporter.Unauthenticated, "the signature is malformed")
	}
	if !hmac.Equal(got, sum(secret, t, body)) {
		return nightporter.E(nightporter.Unauthenticated, "the signature does not match")
	}
	seconds, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return nightporter.E(nightporter.Unauthenticated, "the signature is malformed")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return nightporter.E(nightporter.Unauthenticated, "the signature is %s old", age.Round(time.Second))
	}
	return nil
}
