package console_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
)

// fill writes a thousand services' lives as they are on a usual day: one in ten
// is some merges behind, one in fifty waits for its approval.
func fill(b *testing.B, h *wholeHouse) {
	b.Helper()
	ctx := b.Context()
	now := store.Micros(time.Now())
	exec := func(tx *store.Tx, query string, args ...any) {
		if _, err := tx.Exec(ctx, query, args...); err != nil {
			b.Fatal(err)
		}
	}
	err := h.db.Write(ctx, store.Full, func(tx *store.Tx) error {
		for i, s := range h.catalog.Current().Services() {
			repo := s.Repo.String()
			id := fmt.Sprintf("rel_%010x%08x", i, i)
			state, prodPlace := "healthy", 30
			if i%10 == 0 {
				prodPlace = 25
			}
			if i%50 == 0 {
				state = "waiting"
			}
			for place := 1; place <= 30; place++ {
				commit := fmt.Sprintf("%036x%04x", i, place)
				merge, err := json.Marshal(nightporter.Merged{
					Repo: s.Repo, Commit: commit, Order: int64(place), PullRequest: place, Title: "Recognise gig-economy income in the profile",
					URL: "https://forge.test/acme/pull/1", Authors: []string{"ana-gh"}, Reviewers: []string{"ben-gh"}, Labels: []string{"minor"}, MergedAt: time.Now(),
				})
				if err != nil {
					return err
				}
				version := fmt.Sprintf("0.%d.0", place)
				exec(tx, `INSERT INTO release_merge (repo, commit_id, place, version, merged_at, merge) VALUES (?, ?, ?, ?, ?, ?)`, repo, commit, place, version, now, string(merge))
				exec(tx, `INSERT INTO version (repo, place, commit_id, version, bump, state, flag, merge, at) VALUES (?, ?, ?, ?, 'minor', 'cut', '', ?, ?)`,
					repo, place, commit, version, string(merge), now)
			}
			for env, place := range map[string]int{"dev": 30, "prod": prodPlace} {
				exec(tx, `INSERT INTO release_placement (service, environment, repo, version, commit_id, place, release_id, address, since, observed_at, source, asleep)
					VALUES (?, ?, ?, ?, ?, ?, ?, '', ?, ?, 'GET /healthz', 0)`, s.Name, env, repo, fmt.Sprintf("0.%d.0", place), fmt.Sprintf("%036x%04x", i, place), place, id, now, now)
			}
			exec(tx, `INSERT INTO release (id, service, repo, version, commit_id, place, kind, target, state, message, frozen, run_id, cause, created_at, updated_at)
				VALUES (?, ?, ?, '0.30.0', ?, 30, 'merge', '', ?, '', '{"kind":"mem","health":{}}', ?, 'repos', ?, ?)`, id, s.Name, repo, fmt.Sprintf("%036x%04x", i, 30), state, "run_"+id, now, now)
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// The budget of a page with 1,000 services is 50 ms of server time, with its
// queries (DESIGN §8). Requests come over loopback, as a browser's do.
func BenchmarkPagesOf1000Services(b *testing.B) {
	h := manyServices(b, 1000)
	fill(b, h)
	c := h.as("ana")
	for name, path := range map[string]string{"home": "/", "board": "/services", "board behind": "/services?show=behind", "service": "/services/service-0500", "activity": "/activity"} {
		b.Run(name, func(b *testing.B) {
			var size int
			for b.Loop() {
				a := c.get(path)
				if a.StatusCode != 200 {
					b.Fatalf("%s answered %d", path, a.StatusCode)
				}
				size = len(a.body)
			}
			b.ReportMetric(float64(size)/1024, "KiB/page")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/page")
		})
	}
}
