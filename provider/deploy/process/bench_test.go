package process_test

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/process"
)

func benchWorld(b *testing.B) *world {
	b.Helper()
	dir := b.TempDir()
	w := &world{cfg: process.Config{Dir: filepath.Join(dir, "deploy"), SameUser: process.Allowed}, starts: filepath.Join(dir, "starts")}
	d, err := process.New(w.cfg)
	if err != nil {
		b.Fatal(err)
	}
	w.Deployer = d
	b.Cleanup(func() {
		b.StopTimer()
		for p := deploy.Pending; p != deploy.Done; {
			if p, err = w.Stop(context.Background(), "ledger", "dev"); err != nil {
				b.Fatal(err)
			}
		}
		_ = w.Close()
	})
	return w
}

// BenchmarkRelease is a whole deployment of a ready artifact: started, healthy,
// switched in. The budget of ours is a second for each environment.
func BenchmarkRelease(b *testing.B) {
	w := benchWorld(b)
	ctx := context.Background()
	for n := 0; b.Loop(); n++ {
		token, err := w.Start(ctx, w.request(fmt.Sprint("r", n), "1.0.0", deploytest.Good))
		if err != nil {
			b.Fatal(err)
		}
		for o := (deploy.Observation{}); o.State != deploy.Healthy; {
			if o, err = w.Observe(ctx, token); err != nil || o.State == deploy.Failed {
				b.Fatal(o, err)
			}
			<-time.After(5 * time.Millisecond)
		}
		for p := deploy.Pending; p != deploy.Done; <-time.After(5 * time.Millisecond) {
			if p, err = w.Switch(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkObserve is one look at a serving instance, its own answer included,
// beside the same request without us.
func BenchmarkObserve(b *testing.B) {
	w := benchWorld(b)
	ctx := context.Background()
	token, err := w.Start(ctx, w.request("r0", "1.0.0", deploytest.Good))
	if err != nil {
		b.Fatal(err)
	}
	var o deploy.Observation
	for o.State != deploy.Healthy {
		if o, err = w.Observe(ctx, token); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("observe", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.Observe(ctx, token); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("bare GET", func(b *testing.B) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for b.Loop() {
			resp, err := client.Get("http://" + o.Address + "/healthz")
			if err != nil {
				b.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	})
	b.Run("running", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.Running(ctx, "ledger", "dev"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
