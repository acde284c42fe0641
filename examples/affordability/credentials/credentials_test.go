package credentials_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.org/affordability/credentials"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFile(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"bare JSON": `{"username":"ana","password":"pw"}`, "Vault's answer": `{"lease_id":"x","data":{"username":"ana","password":"pw"}}`, "two lines": "ana\npw\n",
	} {
		if l, err := credentials.File(write(t, text)).Login(t.Context()); err != nil || l.User != "ana" || l.Password != "pw" {
			t.Errorf("%s: %+v, %v", name, l, err)
		}
	}
	for name, text := range map[string]string{"nothing": "", "one line": "hunter2", "no password": `{"username":"hunter2"}`, "a list": `["hunter2"]`} {
		_, err := credentials.File(write(t, text)).Login(t.Context())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// porter answers as Vault does: one unwrap, a new login each time, 403 for tokens that it does not know.
func porter(t *testing.T) *httptest.Server {
	var mu sync.Mutex
	unwrapped, logins := false, 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		token := r.Header.Get("X-Vault-Token")
		switch {
		case r.URL.Path == "/v1/sys/wrapping/unwrap" && token == "wrapped" && !unwrapped:
			unwrapped = true
			fmt.Fprint(w, `{"auth":{"client_token":"real"}}`)
		case r.URL.Path == "/v1/sys/wrapping/unwrap":
			w.WriteHeader(http.StatusBadRequest)
		case token != "real":
			w.WriteHeader(http.StatusForbidden)
		case r.URL.Path == "/v1/database/creds/app":
			logins++
			fmt.Fprintf(w, `{"lease_duration":3600,"data":{"username":"u%d","password":"p"}}`, logins)
		default:
			fmt.Fprint(w, `{}`)
		}
	}))
	t.Cleanup(srv.Close)
	return srv
}

func TestPorter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)
	source := func(url, token string) *credentials.Porter {
		p, err := credentials.NewPorter(credentials.PorterConfig{Address: url, TokenFile: write(t, token), Role: "database/creds/app", Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	t.Run("a wrapped token is unwrapped once and each login is new", func(t *testing.T) {
		t.Parallel()
		p := source(porter(t).URL, "wrapped\n")
		for n := 1; n <= 3; n++ {
			l, err := p.Login(t.Context())
			if err != nil || l.User != fmt.Sprintf("u%d", n) || !l.Until.Equal(now.Add(time.Hour)) {
				t.Errorf("%+v, %v", l, err)
			}
		}
	})
	t.Run("a wrapped token that somebody opened before is an error that says so", func(t *testing.T) {
		t.Parallel()
		srv := porter(t)
		if _, err := source(srv.URL, "wrapped").Login(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := source(srv.URL, "wrapped").Login(t.Context()); err == nil || !strings.Contains(err.Error(), "used before") {
			t.Errorf("%v", err)
		}
	})
	t.Run("a plain token works too", func(t *testing.T) {
		t.Parallel()
		if l, err := source(porter(t).URL, "real").Login(t.Context()); err != nil || l.User != "u1" {
			t.Errorf("%+v, %v", l, err)
		}
	})
}

func ExampleFixed() {
	fmt.Println(credentials.Fixed{User: "dev", Password: "dev"}.User)
	// Output: dev
}
