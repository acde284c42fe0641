package database_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/dbtest"
	"nightporter.dev/nightporter/internal/gate"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
)

// durably is a house on a store that syncs each commit, and a PostgreSQL with the
// settings it was installed with: the figures of OpenBao are of such.
func durably(b *testing.B) (*house, *dbtest.Server) {
	b.Helper()
	db, err := store.Open(b.Context(), store.Config{URL: "sqlite:" + filepath.Join(b.TempDir(), "store.db")})
	must(b, err)
	b.Cleanup(func() { db.Close() })
	must(b, db.Migrate(b.Context(), tables))
	s := dbtest.DurablePostgres(b)
	h := open(b, options{db: db})
	h.postgres(s, m{"max_open_connections": 8})
	return h, s
}

// openBao marks OpenBao's figure, printed beside ours. It is from another run, on
// an almost quiet machine of the same size: raft, audit off, 8 clients.
const openBao = "elsewhere-OpenBao-"

// BenchmarkIssue issues credentials to 8 clients over HTTP.
func BenchmarkIssue(b *testing.B) {
	h, _ := durably(b)
	b.ResetTimer()
	var wg sync.WaitGroup
	next := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for range next {
				if a, err := h.try("root", "GET", "database/creds/app", nil); err != nil || a.Status != 200 {
					b.Errorf("%v %d %s", err, a.Status, a.Raw)
				}
			}
		})
	}
	for b.Loop() {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "issued/s")
	b.ReportMetric(157, openBao+"issued/s")
	b.StopTimer()
	h.want(204, "root", "PUT", "sys/leases/revoke-prefix/database/creds", m{"sync": true})
}

// BenchmarkRevokePrefix revokes 150 users and ends when PostgreSQL has none of
// them.
func BenchmarkRevokePrefix(b *testing.B) {
	h, s := durably(b)
	for b.Loop() {
		b.StopTimer()
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 19 {
					if _, err := h.try("root", "GET", "database/creds/app", nil); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		b.StartTimer()
		h.want(204, "root", "PUT", "sys/leases/revoke-prefix/database/creds", m{"sync": true})
		b.StopTimer()
		if left := s.Column(b, "", `SELECT rolname FROM pg_roles WHERE rolname LIKE 't%-%'`); len(left) > 0 {
			b.Fatalf("%d users are left after 204", len(left))
		}
		b.StartTimer()
	}
	b.ReportMetric(152*float64(b.N)/b.Elapsed().Seconds(), "users/s")
	b.ReportMetric(42, openBao+"users/s")
}

// BenchmarkRestart starts on a store with 20,000 leases and ends with the first
// issued credentials.
func BenchmarkRestart(b *testing.B) {
	path := filepath.Join(b.TempDir(), "store.db")
	db, err := store.Open(b.Context(), store.Config{URL: "sqlite:" + path, Ephemeral: true})
	must(b, err)
	must(b, db.Migrate(b.Context(), tables))
	s := dbtest.Postgres(b)
	h := open(b, options{db: db})
	h.postgres(s, m{})
	fill20k(b, h, s)
	for b.Loop() {
		h.stop()
		must(b, h.db.Close())
		start := time.Now()
		db, err := store.Open(b.Context(), store.Config{URL: "sqlite:" + path, Ephemeral: true})
		must(b, err)
		must(b, db.Migrate(b.Context(), tables))
		h = open(b, options{db: db, keys: h.keys})
		h.creds("root", "app")
		b.ReportMetric(float64(time.Since(start).Milliseconds()), "ms-to-ready")
	}
	b.ReportMetric(rssAnon(b), "MiB-RssAnon")
	b.ReportMetric(2800, openBao+"ms-to-ready")
	b.StopTimer()
	h.stop()
	must(b, h.db.Close())
}

// fill20k makes 20,000 logins and their leases.
func fill20k(b *testing.B, h *house, pg *dbtest.Server) {
	b.Helper()
	pg.Exec(b, "", `DO $$ BEGIN FOR i IN 0..19999 LOOP EXECUTE format('CREATE ROLE %I LOGIN', 't-bench-' || lpad(i::text, 20, '0')); END LOOP; END $$`)
	var connection string
	must(b, h.db.View(b.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(b.Context(), `SELECT id FROM database_connection`).Scan(&connection)
	}))
	for i := range 40 {
		must(b, h.gate.Do(system(), nightporter.Action{Name: "bench.fill"}, nightporter.Resource{}, func(tx *gate.Tx) error {
			for j := range 500 {
				id := fmt.Sprintf("database/creds/app/%024d", i*500+j)
				err := lease.Create(context.Background(), tx.Tx, lease.Lease{
					ID: id, Kind: "database", Path: "database/creds/app", Owner: "bench", State: lease.Live, Renewable: true,
					IssuedAt: tx.Now(), ExpiresAt: tx.Now().Add(time.Duration(i*500+j+3600) * time.Second), MaxAt: tx.Now().Add(24 * time.Hour),
				})
				if err != nil {
					return err
				}
				_, err = tx.Exec(context.Background(), `INSERT INTO database_login (connection, username, lease, role, state, fence, made_at, statements)
					VALUES (?, ?, ?, 'app', 'made', 0, 0, '')`, connection, fmt.Sprintf("t-bench-%020d", i*500+j), id)
				if err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

// rssAnon is the process's anonymous memory in MiB.
func rssAnon(b *testing.B) float64 {
	text, err := os.ReadFile("/proc/self/status")
	must(b, err)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "RssAnon:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			must(b, err)
			return n / 1024
		}
	}
	return 0
}
