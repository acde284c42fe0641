package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

func environment(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		env  func(string) string
		code int
		says string
	}{
		"an unknown word is a usage error":              {[]string{"dance"}, environment(), 2, "usage"},
		"no client secret is said":                      {nil, environment("LISTEN", "127.0.0.1:0"), 1, "BANK_CLIENT_SECRET"},
		"a database without a lasting key is refused":   {nil, environment("LISTEN", "127.0.0.1:0", "BANK_CLIENT_SECRET", "x", "DATABASE_URL", "postgres://h/d"), 1, "SEAL_KEY"},
		"a database without a login is refused":         {[]string{"migrate"}, environment("DATABASE_URL", "postgres://h/d"), 1, "DATABASE_ROLE"},
		"a short sealing key is refused":                {nil, environment("SEAL_KEY", "c2hvcnQ="), 1, "32 random bytes"},
		"a secret's file that is not there is an error": {nil, environment("LISTEN", "127.0.0.1:0", "BANK_CLIENT_SECRET_FILE", "/no/such"), 1, "BANK_CLIENT_SECRET_FILE"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var stderr bytes.Buffer
			if code := run(t.Context(), c.args, c.env, io.Discard, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit %d: %s", code, &stderr)
			}
		})
	}
}

// watched is a log that tells when a line arrives.
type watched struct {
	mu   sync.Mutex
	b    bytes.Buffer
	line chan struct{}
}

func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case w.line <- struct{}{}:
	default:
	}
	return w.b.Write(p)
}

func (w *watched) text() string { w.mu.Lock(); defer w.mu.Unlock(); return w.b.String() }

func TestItServesAndDrains(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	log := &watched{line: make(chan struct{}, 64)}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, nil, environment("LISTEN", "127.0.0.1:0", "BANK_CLIENT_SECRET", "x", "NIGHTPORTER_VERSION", "1.2.3", "NIGHTPORTER_COMMIT", "abc", "DRAIN_DELAY", "300ms"), io.Discard, log)
	}()
	serving := regexp.MustCompile(`"serving","address":"([0-9.:]+)"`)
	address := ""
	for address == "" {
		<-log.line
		if m := serving.FindStringSubmatch(log.text()); m != nil {
			address = "http://" + m[1]
		}
	}
	get := func(path string) (int, string) {
		res, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(raw)
	}
	if code, body := get("/healthz"); code != 200 || !strings.Contains(body, `"version":"1.2.3"`) || !strings.Contains(body, `"commit":"abc"`) {
		t.Errorf("%d %s", code, body)
	}
	stop()
	for !strings.Contains(log.text(), `"draining"`) {
		<-log.line
	}
	// While it drains it still answers, and says that it would rather not be asked.
	for code := 200; code != http.StatusServiceUnavailable; {
		code, _ = get("/readyz")
	}
	if code, _ := get("/"); code != 200 {
		t.Errorf("a page while draining → %d", code)
	}
	if code := <-done; code != 0 {
		t.Errorf("exit %d", code)
	}
}
