package webhook_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/provider/notify/notifytest"
	"nightporter.dev/nightporter/provider/notify/webhook"
)

const secret = "0123456789abcdef-for-tests"

var signedAt = time.Date(2026, 11, 23, 9, 30, 5, 0, time.UTC)

func newNotifier(t *testing.T, f *notifytest.FarEnd) *webhook.Notifier {
	t.Helper()
	n, err := webhook.New(webhook.Config{
		URL: f.URL + "/hidden-path", Secret: []byte(secret), Client: f.Client(), Now: func() time.Time { return signedAt },
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNotifier(t *testing.T) {
	t.Parallel()
	notifytest.Run(t, func(t *testing.T) notifytest.World {
		f := notifytest.NewFarEnd(t)
		return notifytest.World{
			Notifier: newNotifier(t, f), Received: f.Received, Break: f.Break, Secrets: []string{secret, "hidden-path"},
		}
	})
}

func TestSend(t *testing.T) {
	t.Parallel()

	t.Run("the receiver reads the message as it was sent", func(t *testing.T) {
		t.Parallel()
		f := notifytest.NewFarEnd(t)
		if err := newNotifier(t, f).Send(t.Context(), notifytest.Message()); err != nil {
			t.Fatal(err)
		}
		var got notify.Message
		if err := json.Unmarshal(f.Posts()[0].Body, &got); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(notifytest.Message(), got); diff != "" {
			t.Errorf("message (-want +got):\n%s", diff)
		}
		if key := f.Posts()[0].Header.Get("Idempotency-Key"); key != notifytest.Message().Key {
			t.Errorf("the idempotency key is %q", key)
		}
	})

	t.Run("openssl computes the same signature", func(t *testing.T) {
		t.Parallel()
		openssl, err := exec.LookPath("openssl")
		if err != nil {
			t.Skip("SKIPPED: openssl is not installed, so nobody but us has judged the signature")
		}
		f := notifytest.NewFarEnd(t)
		if err := newNotifier(t, f).Send(t.Context(), notifytest.Message()); err != nil {
			t.Fatal(err)
		}
		post := f.Posts()[0]
		stamp, signature, _ := strings.Cut(post.Header.Get(webhook.SignatureHeader), ",v1=")
		cmd := exec.CommandContext(t.Context(), openssl, "dgst", "-sha256", "-hmac", secret, "-r")
		cmd.Stdin = bytes.NewReader(append([]byte(strings.TrimPrefix(stamp, "t=")+"."), post.Body...))
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		if want, _, _ := strings.Cut(string(out), " "); signature != want {
			t.Errorf("signed %s, openssl says %s", signature, want)
		}
	})

	t.Run("a redirect is not followed", func(t *testing.T) {
		t.Parallel()
		f := notifytest.NewFarEnd(t)
		f.Answer(http.StatusTemporaryRedirect)
		err := newNotifier(t, f).Send(t.Context(), notifytest.Message())
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want an invalid error", err)
		}
	})

	t.Run("a far end that is gone is unavailable and the address stays hidden", func(t *testing.T) {
		t.Parallel()
		f := notifytest.NewFarEnd(t)
		n := newNotifier(t, f)
		f.Close()
		err := n.Send(t.Context(), notifytest.Message())
		if nightporter.CodeOf(err) != nightporter.Unavailable || strings.Contains(err.Error(), "hidden-path") {
			t.Errorf("got %v, want an unavailable error without the address", err)
		}
	})
}

func TestNewRefusesBadSettings(t *testing.T) {
	t.Parallel()
	good := webhook.Config{URL: "https://hooks.example/x", Secret: []byte(secret), Client: http.DefaultClient}
	for name, spoil := range map[string]func(*webhook.Config){
		"a short secret":   func(c *webhook.Config) { c.Secret = []byte("short") },
		"no address":       func(c *webhook.Config) { c.URL = "" },
		"a file":           func(c *webhook.Config) { c.URL = "file:///etc/passwd" },
		"no client at all": func(c *webhook.Config) { c.Client = nil },
	} {
		c := good
		spoil(&c)
		if _, err := webhook.New(c); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
}

func TestVerify(t *testing.T) {
	t.Parallel()
	f := notifytest.NewFarEnd(t)
	if err := newNotifier(t, f).Send(t.Context(), notifytest.Message()); err != nil {
		t.Fatal(err)
	}
	post := f.Posts()[0]
	header := post.Header.Get(webhook.SignatureHeader)
	for name, test := range map[string]struct {
		secret, header, body string
		now                  time.Time
		good                 bool
	}{
		"as received":        {secret, header, string(post.Body), signedAt, true},
		"within tolerance":   {secret, header, string(post.Body), signedAt.Add(5 * time.Minute), true},
		"replayed later":     {secret, header, string(post.Body), signedAt.Add(5*time.Minute + time.Second), false},
		"from the future":    {secret, header, string(post.Body), signedAt.Add(-6 * time.Minute), false},
		"another secret":     {secret + "x", header, string(post.Body), signedAt, false},
		"a changed body":     {secret, header, string(post.Body) + " ", signedAt, false},
		"a changed time":     {secret, strings.Replace(header, "t=1", "t=2", 1), string(post.Body), signedAt, false},
		"no header":          {secret, "", string(post.Body), signedAt, false},
		"an empty signature": {secret, "t=1,v1=", string(post.Body), signedAt, false},
	} {
		err := webhook.Verify([]byte(test.secret), test.header, []byte(test.body), test.now, 5*time.Minute)
		if (err == nil) != test.good {
			t.Errorf("%s: got %v, want good = %t", name, err, test.good)
		}
		if err != nil && nightporter.CodeOf(err) != nightporter.Unauthenticated {
			t.Errorf("%s: code %q, want unauthenticated", name, nightporter.CodeOf(err))
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1,v1=00", []byte("{}"))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if webhook.Verify([]byte(secret), header, body, signedAt, time.Hour) == nil {
			t.Errorf("%q was accepted for %q", header, body)
		}
	})
}
