package app

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/notify"
)

// Two plain HTTP servers judge who was told.
func TestAReloadTakesOverWhoIsTold(t *testing.T) {
	t.Parallel()
	var got [2]atomic.Int32
	var urls [2]string
	for i := range got {
		s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { got[i].Add(1) }))
		t.Cleanup(s.Close)
		urls[i] = s.URL
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	parse := func(notify string) *config.Config {
		t.Helper()
		cfg, err := config.Parse([]byte("people: {ana: {email: ana@acme.test}}\noperators: [ana]\n"+notify), filepath.Join(dir, "nightporter.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		cfg.DataDir = config.Path(filepath.Join(dir, "data"))
		return cfg
	}
	to := func(url string) *config.Config {
		return parse("notify: {operators: {webhook: {url: \"" + url + "\", secret_file: " + secret + "}}}\n")
	}
	a, err := New(t.Context(), Options{
		Config: to(urls[0]), Log: slog.New(slog.DiscardHandler), Version: "test", Dev: true, StoreURL: "sqlite:" + filepath.Join(dir, "store", "nightporter.db"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	tell := func(want0, want1 int32) {
		t.Helper()
		if err := a.Tell(t.Context(), "operators", notify.Message{Key: "k", Title: "news", Severity: notify.Info, At: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if got[0].Load() != want0 || got[1].Load() != want1 {
			t.Errorf("told %d and %d times, want %d and %d", got[0].Load(), got[1].Load(), want0, want1)
		}
	}
	tell(1, 0)
	if _, err := a.Reload(t.Context(), to(urls[1])); err != nil {
		t.Fatal(err)
	}
	tell(1, 1)

	// A channel that cannot be made leaves everything as it was.
	bad := to(urls[0])
	if err := os.WriteFile(secret, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Reload(t.Context(), bad); nightporter.CodeOf(err) != nightporter.Invalid {
		t.Errorf("a secret that is too short: got %v, want invalid", err)
	}
	if err := os.WriteFile(secret, []byte(strings.Repeat("s", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	tell(1, 2)
}

func TestMailGoesToTheMembers(t *testing.T) {
	t.Parallel()
	cfg, err := config.Parse([]byte(`
people: {ana: {email: ana@acme.test}, ben: {}, cem: {email: cem@acme.test}}
teams: {payments: {members: [ana, ben]}}
operators: [cem]
mail: {server: "127.0.0.1:25", from: porter@acme.test, tls: off}
notify: {payments: {email: {}}, operators: {email: {to: [ops@acme.test]}}, cem: {email: {}}}
`), filepath.Join(t.TempDir(), "nightporter.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for audience, want := range map[string]string{"payments": "ana@acme.test", "operators": "ops@acme.test", "cem": "cem@acme.test"} {
		if got := strings.Join(cfg.MailTo(audience), " "); got != want {
			t.Errorf("mail for %s goes to %q, want %q", audience, got, want)
		}
	}
}
