package egress_test

import (
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var everywhere = []egress.Class{egress.Public, egress.Private, egress.Loopback}

func client(t *testing.T, cfg egress.Config) *http.Client {
	t.Helper()
	c := egress.Client(cfg)
	t.Cleanup(c.CloseIdleConnections)
	return c
}

func server(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, c *http.Client, u string) (string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}

func TestDial(t *testing.T) {
	t.Parallel()
	t.Run("refuses every form that leads inside before a packet leaves", func(t *testing.T) {
		t.Parallel()
		dial := egress.DialContext(egress.Config{})
		for _, f := range forms {
			if f.want == egress.Public {
				continue
			}
			conn, err := dial(t.Context(), "tcp", net.JoinHostPort(f.addr, "9"))
			if err == nil {
				_ = conn.Close()
			}
			var e *nightporter.Error
			if !errors.As(err, &e) || e.Code != nightporter.Invalid {
				// An address that the system cannot even try, such as one with
				// an unknown zone, is refused as well.
				if strings.Contains(f.addr, "%") && err != nil {
					continue
				}
				t.Errorf("%s (%s): got %v, want invalid", f.addr, f.why, err)
			}
		}
	})
	t.Run("refuses what is forbidden even when everything is allowed", func(t *testing.T) {
		t.Parallel()
		dial := egress.DialContext(egress.Config{Allow: append(everywhere, egress.Forbidden)})
		for _, a := range []string{"169.254.169.254", "100.100.100.200", "fd00:ec2::254", "64:ff9b::a9fe:a9fe", "0.0.0.0", "::"} {
			if _, err := dial(t.Context(), "tcp", net.JoinHostPort(a, "80")); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want invalid", a, err)
			}
		}
	})
	t.Run("allows a class only when it is listed, and says how", func(t *testing.T) {
		t.Parallel()
		s := server(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") })
		for _, allow := range [][]egress.Class{nil, {egress.Public}, {egress.Private}} {
			_, err := get(t, client(t, egress.Config{Allow: allow}), s.URL)
			if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.HintOf(err), "loopback") {
				t.Errorf("allowing %v: got %v, want invalid with a hint", allow, err)
			}
		}
		if got, err := get(t, client(t, egress.Config{Allow: []egress.Class{egress.Loopback}}), s.URL); got != "hello" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	t.Run("speaks TCP only", func(t *testing.T) {
		t.Parallel()
		dial := egress.DialContext(egress.Config{Allow: everywhere})
		for _, network := range []string{"unix", "udp", "ip", ""} {
			if _, err := dial(t.Context(), network, "127.0.0.1:1"); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%q: got %v, want invalid", network, err)
			}
		}
	})
	t.Run("reads an address as the system does, however it is written", func(t *testing.T) {
		t.Parallel()
		s := server(t, func(http.ResponseWriter, *http.Request) { t.Error("reached") })
		_, port, _ := net.SplitHostPort(s.Listener.Addr().String())
		for _, host := range []string{"127.0.0.1", "127.1", "0x7f000001", "2130706433", "0177.0.0.1", "0", "localhost", "localhost.", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "①②⑦.⓪.⓪.①"} {
			if body, err := get(t, client(t, egress.Config{}), "http://"+host+":"+port+"/"); err == nil {
				t.Errorf("%s answered %q", host, body)
			}
		}
	})
}

// A name that answers a public address to whoever checks and a loopback one to
// whoever connects. Only the connected address counts, so it gains nothing.
func TestDNSRebindingIsRefused(t *testing.T) {
	t.Parallel()
	inside := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the rebound name reached the inside") })
	_, port, _ := net.SplitHostPort(inside.Listener.Addr().String())
	var asked atomic.Int64
	resolver := dnsServer(t, func() netip.Addr {
		// The first answers are public, so that a check by name passes.
		if asked.Add(1) <= 2 {
			return netip.MustParseAddr("8.8.8.8")
		}
		return netip.MustParseAddr("127.0.0.1")
	})
	for range 2 {
		if addrs, err := resolver.LookupNetIP(t.Context(), "ip4", "rebind.example"); err != nil || egress.Classify(addrs[0]) != egress.Public {
			t.Fatalf("the check by name saw %v, %v; the test is broken", addrs, err)
		}
	}
	_, err := get(t, client(t, egress.Config{Resolver: resolver}), "http://rebind.example:"+port+"/")
	if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(err.Error(), "127.0.0.1") {
		t.Errorf("got %v, want a refusal of 127.0.0.1", err)
	}
}

func TestClient(t *testing.T) {
	t.Parallel()
	t.Run("follows no redirect unless told to, and never to another host", func(t *testing.T) {
		t.Parallel()
		other := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the token went to another host") })
		s := server(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/here":
				http.Redirect(w, r, "/end", http.StatusFound)
			case "/loop":
				http.Redirect(w, r, "/loop", http.StatusFound)
			case "/away":
				http.Redirect(w, r, other.URL, http.StatusFound)
			case "/end":
				fmt.Fprint(w, "end")
			}
		})
		plain := client(t, egress.Config{Allow: everywhere})
		following := client(t, egress.Config{Allow: everywhere, Redirects: 2})
		for _, c := range []struct {
			client *http.Client
			path   string
			want   int
		}{{plain, "/here", 302}, {following, "/here", 200}, {following, "/away", 302}, {following, "/loop", 302}} {
			res, err := c.client.Get(s.URL + c.path)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.StatusCode != c.want {
				t.Errorf("%s: got %d, want %d", c.path, res.StatusCode, c.want)
			}
		}
	})
	t.Run("stops reading an answer that is too long, and says so", func(t *testing.T) {
		t.Parallel()
		const limit = 1000
		s := server(t, func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/exact":
				fmt.Fprint(w, strings.Repeat("x", limit))
			case "/announced":
				fmt.Fprint(w, strings.Repeat("x", limit+1))
			case "/endless":
				for r.Context().Err() == nil {
					if _, err := w.Write(make([]byte, 4096)); err != nil {
						return
					}
					_ = http.NewResponseController(w).Flush()
				}
			case "/bomb":
				w.Header().Set("Content-Encoding", "gzip")
				z := gzip.NewWriter(w)
				_, _ = z.Write(make([]byte, 10<<20))
				_ = z.Close()
			}
		})
		c := client(t, egress.Config{Allow: everywhere, MaxResponse: limit})
		if got, err := get(t, c, s.URL+"/exact"); err != nil || len(got) != limit {
			t.Errorf("exactly the limit: %d bytes, %v", len(got), err)
		}
		for _, path := range []string{"/announced", "/endless", "/bomb"} {
			got, err := get(t, c, s.URL+path)
			if nightporter.CodeOf(err) != nightporter.Unavailable || len(got) > limit {
				t.Errorf("%s: %d bytes, %v; want unavailable and at most %d", path, len(got), err, limit)
			}
		}
	})
	t.Run("speaks http and https only", func(t *testing.T) {
		t.Parallel()
		for _, u := range []string{"file:///etc/passwd", "gopher://x/", "ftp://x/"} {
			if _, err := get(t, client(t, egress.Config{Allow: everywhere}), u); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want invalid", u, err)
			}
		}
	})
	t.Run("an error tells the host and hides the rest of the URL", func(t *testing.T) {
		t.Parallel()
		_, err := get(t, client(t, egress.Config{}), "http://u:hunter2@127.0.0.1:1/services/T0/B0/XXXX?key=YYYY")
		err = egress.Redact(err)
		if got := err.Error(); strings.Contains(got, "XXXX") || strings.Contains(got, "YYYY") || strings.Contains(got, "hunter2") || !strings.Contains(got, "http://127.0.0.1:1") {
			t.Errorf("got %q", got)
		}
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("the chain is lost: %v", err)
		}
		if plain := errors.New("x"); egress.Redact(plain) != plain || egress.Redact(nil) != nil {
			t.Error("other errors must pass unchanged")
		}
	})
}

// The environment's proxy would be a way around the check. net/http reads these
// variables once a process, so the test cannot run beside others of its kind.
func TestClientIgnoresTheProxyOfTheEnvironment(t *testing.T) {
	proxy := server(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was used") })
	t.Setenv("HTTP_PROXY", proxy.URL)
	t.Setenv("http_proxy", proxy.URL)
	if u, _ := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: "http", Host: "proxied.example"}}); u == nil {
		t.Fatal("net/http does not see the proxy: the test is broken")
	}
	resolver := dnsServer(t, func() netip.Addr { return netip.MustParseAddr("127.0.0.1") })
	if _, err := get(t, client(t, egress.Config{Resolver: resolver}), "http://proxied.example/"); err == nil {
		t.Error("want a refusal")
	}
}

// dnsServer answers every A question with what answer returns (RFC 1035 §4), and
// every other question with nothing.
func dnsServer(t *testing.T, answer func() netip.Addr) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			_, _ = conn.WriteTo(dnsAnswer(buf[:n], answer), from)
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func dnsAnswer(query []byte, answer func() netip.Addr) []byte {
	end := 12
	for query[end] != 0 {
		end += int(query[end]) + 1
	}
	question := query[12 : end+5]
	isA := binary.BigEndian.Uint16(query[end+1:]) == 1
	out := append([]byte{query[0], query[1], 0x84, 0, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	if isA {
		out[7] = 1
		a := answer().As4()
		out = append(out, 0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4)
		out = append(out, a[:]...)
	}
	return out
}

func ExampleClient() {
	c := egress.Client(egress.Config{})
	_, err := c.Get("http://169.254.169.254/latest/meta-data/")
	fmt.Println(nightporter.MessageOf(err))
	// Output: connecting to 169.254.169.254 is not allowed: it is a forbidden address
}
