package process

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

const commit = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

// TestProbe asks real servers that answer in every way.
func TestProbe(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {}))
	t.Cleanup(elsewhere.Close)
	answer := func(status int, body string, header ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			for n := 0; n < len(header); n += 2 {
				w.Header().Set(header[n], header[n+1])
			}
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, test := range map[string]struct {
		handler           http.HandlerFunc
		good, wrong       bool
		reported, message string
	}{
		"a plain OK":                  {answer(200, "ok"), true, false, "", "answers 200"},
		"no content":                  {answer(204, ""), true, false, "", "answers 204"},
		"the right version":           {answer(200, `{"version":"1.4.0"}`), true, false, "1.4.0", "answers 200"},
		"the right version with a v":  {answer(200, "ok", "X-Version", "v1.4.0"), true, false, "v1.4.0", "answers 200"},
		"the right commit":            {answer(200, `{"commit":"`+commit+`"}`), true, false, commit, "answers 200"},
		"the right commit, short":     {answer(200, `{"commit":"aaaaaaa"}`), true, false, "aaaaaaa", "answers 200"},
		"an old version":              {answer(200, `{"version":"1.3.9"}`), false, true, "1.3.9", "answers as version 1.3.9, not 1.4.0: an old binary?"},
		"an old version in a header":  {answer(200, "ok", "X-Version", "1.3.9"), false, true, "1.3.9", "answers as version 1.3.9, not 1.4.0: an old binary?"},
		"an old commit":               {answer(200, `{"commit":"bbbbbbbbbbbb"}`), false, true, "bbbbbbbbbbbb", "answers as commit bbbbbbbbbbbb, not " + commit + ": an old binary?"},
		"a commit too short to count": {answer(200, `{"commit":"aaa"}`), false, true, "aaa", "answers as commit aaa, not " + commit + ": an old binary?"},
		"a version that is a number":  {answer(200, `{"version":2}`), true, false, "", "answers 200"},
		"a list":                      {answer(200, `["1.3.9"]`), true, false, "", "answers 200"},
		"an error":                    {answer(503, `{"version":"1.4.0"}`), false, false, "", "answers 503"},
		"a redirect to a good answer": {answer(302, "", "Location", elsewhere.URL), false, false, "", "answers 302"},
		"a version with a trick":      {answer(200, `{"version":"1.3.9\u001b[2J\n"}`), false, true, "1.3.9[2J", "answers as version 1.3.9[2J, not 1.4.0: an old binary?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked string
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = r.URL.String()
				test.handler(w, r)
			}))
			t.Cleanup(s.Close)
			d, i := prober(t, s.Listener.Addr(), "/healthz?full=1")
			p, err := d.probe(t.Context(), i)
			if err != nil {
				t.Fatal(err)
			}
			if p.good != test.good || p.wrong != test.wrong || p.reported != test.reported || p.message != test.message {
				t.Errorf("got good %t, wrong %t, %q, %q", p.good, p.wrong, p.reported, p.message)
			}
			if asked != "/healthz?full=1" || !strings.HasPrefix(p.evidence.Source, "GET "+s.URL+"/healthz?full=1") || !strings.Contains(p.evidence.Source, p.reported) {
				t.Errorf("asked %s with the evidence %q", asked, p.evidence.Source)
			}
		})
	}

	t.Run("nobody listens", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]string{"": "no answer: connection refused", "/healthz": "no answer: connection refused"} {
			_ = l.Close()
			d, i := prober(t, l.Addr(), path)
			if p, err := d.probe(t.Context(), i); err != nil || p.good || p.message != want {
				t.Errorf("%q: got %+v, %v; want %q", path, p, err, want)
			}
		}
	})

	t.Run("an accepted connection is enough without a path", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		d, i := prober(t, l.Addr(), "")
		if p, err := d.probe(t.Context(), i); err != nil || !p.good || p.evidence.Source != "connect "+l.Addr().String() {
			t.Errorf("got %+v, %v", p, err)
		}
	})
}

func prober(t *testing.T, addr net.Addr, path string) (*Deployer, *instance) {
	t.Helper()
	_, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	d := &Deployer{cfg: Config{Now: time.Now}, client: newHealthClient()}
	return d, &instance{record: record{
		Service: "ledger", Environment: "dev", Version: nightporter.Version{Major: 1, Minor: 4}, Commit: commit, Port: n, Health: deploy.Health{HTTP: path},
	}}
}
