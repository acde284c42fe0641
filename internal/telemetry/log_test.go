package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/telemetry"
)

func newLogger(t *testing.T, cfg telemetry.LogConfig) (*slog.Logger, *bytes.Buffer) {
	t.Helper()
	var b bytes.Buffer
	cfg.Writer = &b
	log, err := telemetry.NewLogger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return log, &b
}

func TestLog(t *testing.T) {
	t.Parallel()
	ctx := nightporter.WithRequestID(context.Background(), "01abc")

	t.Run("is JSON where nobody looks, with the request id of the context", func(t *testing.T) {
		t.Parallel()
		log, b := newLogger(t, telemetry.LogConfig{})
		log.With("part", "releases").InfoContext(ctx, "release opened", "release", 42)
		var got map[string]any
		if err := json.Unmarshal(b.Bytes(), &got); err != nil {
			t.Fatal(err)
		}
		delete(got, "time")
		want := map[string]any{"level": "INFO", "msg": "release opened", "part": "releases", "release": 42.0, "request_id": "01abc"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
	t.Run("is a short line for people", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			log, b := newLogger(t, telemetry.LogConfig{Format: telemetry.LogText, Level: "debug"})
			log.InfoContext(ctx, "environment is down", "environment", "dev", "took", 123*time.Second)
			log.Debug("tick")
			log.WithGroup("forge").With("name", "github").Error("no answer", "err", errors.New("read: connection reset"),
				slog.Group("limit", "left", 0), "at", time.Date(2026, 3, 30, 21, 0, 0, 0, time.UTC), "empty", "")
			clock := time.Now().Format(time.TimeOnly)
			want := clock + " INFO  environment is down  environment=dev took=2m3s request_id=01abc\n" +
				clock + " DEBUG tick\n" +
				clock + ` ERROR no answer  forge.name=github forge.err="read: connection reset" forge.limit.left=0 forge.at=2026-03-30T21:00:00Z forge.empty=""` + "\n"
			if diff := cmp.Diff(want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	})
	t.Run("lets nobody fake a line or move the cursor", func(t *testing.T) {
		t.Parallel()
		for _, format := range []telemetry.LogFormat{telemetry.LogText, telemetry.LogJSON} {
			log, b := newLogger(t, telemetry.LogConfig{Format: format})
			evil := "x\n21:00:00 INFO  all is well\x1b[2K\u202e\xff"
			log.Info(evil, "k", evil, evil, "v")
			out := b.String()
			if strings.Count(out, "\n") != 1 || strings.ContainsAny(strings.TrimSuffix(out, "\n"), "\x1b\n") {
				t.Errorf("%s wrote %q", format, out)
			}
			if format == telemetry.LogText && strings.Contains(out, "\u202e") {
				t.Errorf("the text turns around: %q", out)
			}
		}
	})
	t.Run("keeps to its level, and refuses words that it does not know", func(t *testing.T) {
		t.Parallel()
		log, b := newLogger(t, telemetry.LogConfig{Level: "WARN"})
		log.Info("hidden")
		log.Warn("shown")
		if strings.Contains(b.String(), "hidden") || !strings.Contains(b.String(), "shown") {
			t.Errorf("got %q", b)
		}
		for _, cfg := range []telemetry.LogConfig{{Level: "loud"}, {Format: "xml"}} {
			if _, err := telemetry.NewLogger(cfg); nightporter.CodeOf(err) != nightporter.Invalid || nightporter.HintOf(err) == "" {
				t.Errorf("%+v: got %v, want invalid with a hint", cfg, err)
			}
		}
	})
}

// The standard library's own judge of handlers, on the JSON form.
func TestLogSatisfiesSlogtest(t *testing.T) {
	t.Parallel()
	log, b := newLogger(t, telemetry.LogConfig{Format: telemetry.LogJSON})
	err := slogtest.TestHandler(log.Handler(), func() []map[string]any {
		var all []map[string]any
		for l := range bytes.Lines(b.Bytes()) {
			var m map[string]any
			if err := json.Unmarshal(l, &m); err != nil {
				t.Fatal(err)
			}
			all = append(all, m)
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

func TestRequestIDs(t *testing.T) {
	t.Parallel()
	t.Run("sort by time and never meet", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			seen := map[string]bool{}
			last := ""
			for range 1000 {
				id := telemetry.NewRequestID()
				if len(id) != 26 || id <= last || seen[id] || strings.Trim(id, "0123456789abcdefghijklmnopqrstuv") != "" {
					t.Fatalf("%q after %q", id, last)
				}
				seen[id], last = true, id
				time.Sleep(time.Millisecond) // fake time
			}
		})
	})
}
