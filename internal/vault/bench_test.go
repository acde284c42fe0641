package vault_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"nightporter.dev/nightporter/internal/store"
)

// durable opens a store that syncs, as a real one does.
func durable(b *testing.B) *store.DB {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{URL: "sqlite:" + b.TempDir() + "/store.db"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { db.Close() })
	if err := db.Migrate(b.Context(), tables); err != nil {
		b.Fatal(err)
	}
	return db
}

// clients are how many ask at once: as in the peers' figures.
const clients = 8

// hammer sends the same kind of request over real connections, clients at once.
// elsewhere is OpenBao's figure, printed beside ours: it is from another run, on an
// almost quiet machine of the same size (raft, audit off); 0 where there is none.
func hammer(b *testing.B, h *house, token string, elsewhere float64, request func(n int64) (method, path, body string)) {
	b.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: clients}
	b.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: transport}
	var n atomic.Int64
	b.SetParallelism((clients + 1) / 2) // of GOMAXPROCS, 2 here
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			method, path, body := request(n.Add(1))
			req, err := http.NewRequest(method, h.server.URL+"/v1/"+path, strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			req.Header.Set("X-Vault-Token", token)
			resp, err := client.Do(req)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode >= 300 {
				b.Errorf("%s %s = %d", method, path, resp.StatusCode)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
	if elsewhere > 0 {
		b.ReportMetric(elsewhere, "elsewhere-OpenBao-requests/s")
	}
}

func BenchmarkTokenLookupSelf(b *testing.B) {
	h := openWith(b, options{unsealed: true, db: durable(b)})
	token := h.token(m{"ttl": "1h"})
	hammer(b, h, token, 1982, func(int64) (string, string, string) { return "GET", "auth/token/lookup-self", "" })
}

func BenchmarkKVGet(b *testing.B) {
	h, token := benchKV(b)
	hammer(b, h, token, 4356, func(n int64) (string, string, string) { return "GET", fmt.Sprintf("secret/data/k%d", n%100), "" })
}

func BenchmarkKVPut(b *testing.B) {
	h, token := benchKV(b)
	body := `{"data":{"value":"` + strings.Repeat("x", 256) + `"}}`
	hammer(b, h, token, 1392, func(n int64) (string, string, string) { return "PUT", fmt.Sprintf("secret/data/p%d", n%1000), body })
}

func benchKV(b *testing.B) (*house, string) {
	b.Helper()
	h := openWith(b, options{unsealed: true, db: durable(b)})
	h.want(204, "root", "POST", "sys/mounts/secret", m{"type": "kv-v2"})
	h.policy("app", `path "secret/*" { capabilities = ["create", "read", "update"] }`)
	for i := range 100 {
		h.want(200, "root", "PUT", fmt.Sprintf("secret/data/k%d", i), m{"data": m{"value": strings.Repeat("x", 256)}})
	}
	return h, h.token(m{"policies": []string{"app"}, "ttl": "1h"})
}

// BenchmarkHealth is the ceiling: the HTTP stack and its client alone.
func BenchmarkHealth(b *testing.B) {
	h := openWith(b, options{unsealed: true, db: durable(b)})
	hammer(b, h, "", 0, func(int64) (string, string, string) { return "GET", "sys/health", "" })
}
