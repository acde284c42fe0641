package app

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/notify"
)

// pledged is a house whose forge and chat are known by references to its own
// secrets. Both are plain HTTP servers: what arrives there is the judge.
type pledged struct {
	*App
	t    *testing.T
	chat *httptest.Server
	root string

	mu   sync.Mutex
	told []string // the paths that the chat was posted to
}

func newPledged(t *testing.T) *pledged {
	t.Helper()
	p := &pledged{t: t}
	p.chat = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.told = append(p.told, r.URL.Path)
	}))
	t.Cleanup(p.chat.Close)
	dir := t.TempDir()
	cfg, err := config.Parse([]byte(`
forges:
  github:
    kind: github
    organisation: acme
    token: "secret:secret/nightporter/github#token"
    webhook_secret: "secret:secret/nightporter/github#hook"
egress: {allow: [127.0.0.0/8]}
notify:
  operators: {slack: {webhook: "secret:secret/nightporter/chat#url"}}
`), filepath.Join(dir, "nightporter.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cfg.DataDir = config.Path(filepath.Join(dir, "data"))
	p.App, err = New(t.Context(), Options{
		Config: cfg, Log: slog.New(slog.DiscardHandler), Version: "test", Dev: true, StoreURL: "sqlite:" + filepath.Join(dir, "store", "nightporter.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	if p.root, err = p.RootToken(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	return p
}

// send makes a request of a client's, and returns the status.
func (p *pledged) send(method, path, body string, header ...string) int {
	p.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:4711"
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.Handler().ServeHTTP(w, r)
	_, _ = io.Copy(io.Discard, w.Body)
	return w.Code
}

// write writes or deletes as root does.
func (p *pledged) write(method, path, body string) {
	p.t.Helper()
	if status := p.send(method, "/v1/"+path, body, "X-Vault-Token", p.root); status >= 300 {
		p.t.Fatalf("%s %s: %d", method, path, status)
	}
}

func (p *pledged) put(path string, data map[string]any) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"data": data})
	if err != nil {
		p.t.Fatal(err)
	}
	p.write(http.MethodPost, "secret/data/"+path, string(body))
}

// token is what the forge would be shown.
func (p *pledged) token() (string, error) {
	c, err := p.providers.Forges["github"].GitCredentials(p.t.Context(), "ledger")
	return c.Password, err
}

// hook delivers a webhook that is signed with a secret, as GitHub signs.
func (p *pledged) hook(secret string) int {
	p.t.Helper()
	const body = `{"zen":"Design for failure."}`
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(body))
	return p.send(http.MethodPost, "/hooks/github", body,
		"X-GitHub-Event", "ping", "X-GitHub-Delivery", "d-1", "X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
}

func (p *pledged) tell() error {
	return p.Tell(p.t.Context(), "operators", notify.Message{Key: "test/1", Title: "the night begins", Severity: notify.Info, At: time.Now()})
}

// reads counts the register's entries about the configuration's reads of a value.
func (p *pledged) reads(path string) (n int) {
	p.t.Helper()
	err := p.db.View(p.t.Context(), func(tx *store.Tx) error {
		list, err := audit.List(p.t.Context(), tx, audit.Filter{Limit: 1000})
		for _, e := range list {
			if e.Resource.ID == "secret/data/"+path && e.Actor.Kind == nightporter.System && e.Actor.Name == "configuration" {
				n++
			}
		}
		return err
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestReferencesToOurOwnSecrets(t *testing.T) {
	t.Parallel()

	t.Run("are read when they are used and again when they change", func(t *testing.T) {
		t.Parallel()
		p := newPledged(t)
		for i, want := range []string{"first", "second"} {
			p.put("nightporter/github", map[string]any{"token": want, "hook": "whsec-" + want})
			for range 3 {
				if got, err := p.token(); err != nil || got != want {
					t.Fatalf("the forge would be shown %q, %v; want %q", got, err, want)
				}
				if status := p.hook("whsec-" + want); status >= 300 {
					t.Errorf("a webhook that is signed with the %s secret: %d", want, status)
				}
			}
			if n := p.reads("nightporter/github"); n != i+1 {
				t.Errorf("%d reads are in the register, want one of each version", n)
			}
		}
		if status := p.hook("whsec-first"); status != http.StatusUnauthorized {
			t.Errorf("a webhook that is signed with the old secret: %d, want 401", status)
		}
		p.put("nightporter/chat", map[string]any{"url": p.chat.URL + "/room/7"})
		if err := p.tell(); err != nil {
			t.Fatal(err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.told) != 1 || p.told[0] != "/room/7" {
			t.Errorf("the chat was posted to at %q", p.told)
		}
	})

	t.Run("that lead nowhere name the setting and the path", func(t *testing.T) {
		t.Parallel()
		p := newPledged(t)
		wrong := func(what string, err error, code nightporter.Code, words ...string) {
			t.Helper()
			if nightporter.CodeOf(err) != code {
				t.Errorf("%s: %v, want the code %s", what, err, code)
			}
			for _, w := range words {
				if !strings.Contains(nightporter.MessageOf(err), w) {
					t.Errorf("%s: %q does not say %q", what, nightporter.MessageOf(err), w)
				}
			}
		}
		err := p.tell()
		wrong("no path", err, nightporter.NotFound, "notify.operators.slack.webhook", "secret/nightporter/chat#url", "there is nothing at")
		if hint := nightporter.HintOf(err); !strings.Contains(hint, "vault kv put secret/nightporter/chat url=-") {
			t.Errorf("no path: the hint is %q", hint)
		}
		p.put("nightporter/chat", map[string]any{"address": "x"})
		wrong("no key", p.tell(), nightporter.NotFound, "notify.operators.slack.webhook", `no key "url"`)
		p.put("nightporter/chat", map[string]any{"url": map[string]any{"a": "b"}})
		wrong("no text", p.tell(), nightporter.Invalid, "is not a text")
		p.put("nightporter/chat", map[string]any{"url": ""})
		wrong("empty", p.tell(), nightporter.Invalid, "is empty")
		p.put("nightporter/github", map[string]any{"token": "once"})
		if got, err := p.token(); err != nil || got != "once" {
			t.Fatalf("got %q, %v", got, err)
		}
		p.write(http.MethodDelete, "secret/data/nightporter/github", "")
		if got, err := p.token(); err == nil {
			t.Errorf("after it was deleted the forge would still be shown %q", got)
		}
	})

	t.Run("answer sealed while the store is sealed", func(t *testing.T) {
		t.Parallel()
		p := newPledged(t)
		p.put("nightporter/chat", map[string]any{"url": p.chat.URL})
		if err := p.tell(); err != nil {
			t.Fatal(err)
		}
		p.sealer.Seal()
		if err := p.tell(); nightporter.CodeOf(err) != nightporter.Sealed {
			t.Errorf("got %v, want sealed", err)
		}
		if status := p.hook("x"); status != http.StatusServiceUnavailable {
			t.Errorf("a webhook: %d, want 503", status)
		}
	})

	t.Run("work on an engine without versions", func(t *testing.T) {
		t.Parallel()
		p := newPledged(t)
		p.write(http.MethodPost, "sys/mounts/plain", `{"type":"kv","options":{"version":"1"}}`)
		p.write(http.MethodPost, "plain/a/b", `{"k":"v","n":42}`)
		for key, want := range map[string]string{"k": "v", "n": "42"} {
			if got, err := p.readKey(context.Background(), "plain/a/b", key); err != nil || got != want {
				t.Errorf("%s: got %q, %v; want %q", key, got, err, want)
			}
		}
		if _, err := p.readKey(context.Background(), "sys/seal-status", "type"); nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("a path of sys: %v, want not_found", err)
		}
	})
}
