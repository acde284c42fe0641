package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
)

func noEnv(string) string { return "" }

func TestRun(t *testing.T) {
	t.Parallel()
	t.Run("two dumps of one seed are equal and another seed differs", func(t *testing.T) {
		t.Parallel()
		hash := func(seed string) string {
			h := sha256.New()
			if code := run(t.Context(), []string{"dump", "--seed", seed, "--tenants", "14"}, noEnv, h, io.Discard); code != 0 {
				t.Fatalf("exit %d", code)
			}
			return hex.EncodeToString(h.Sum(nil))
		}
		if hash("5") != hash("5") || hash("5") == hash("6") {
			t.Error("the seed does not decide the dump")
		}
	})
	t.Run("wrong flags exit 2, wrong values exit 1", func(t *testing.T) {
		t.Parallel()
		for args, want := range map[string]int{"--no-such-flag": 2, "--as-of=yesterday": 1, "--faults=meteor": 1, "--tenants=0": 1, "--help": 0} {
			if got := run(t.Context(), []string{args}, noEnv, io.Discard, io.Discard); got != want {
				t.Errorf("%s → exit %d, want %d", args, got, want)
			}
		}
	})
	t.Run("it serves until it is told to stop, and keeps the operator's listener apart", func(t *testing.T) {
		t.Parallel()
		ctx, stop := context.WithCancel(t.Context())
		r, w := io.Pipe()
		done := make(chan int, 1)
		go func() {
			done <- run(ctx, []string{"--listen=127.0.0.1:0", "--admin=127.0.0.1:0"}, func(string) string { return "secret" }, io.Discard, w)
			w.Close()
		}()
		// The addresses are on the first two lines.
		var seen bytes.Buffer
		address := regexp.MustCompile(`http://[0-9.:]+`)
		buf := make([]byte, 256)
		for len(address.FindAllString(seen.String(), -1)) < 2 {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatalf("%v: %s", err, &seen)
			}
			seen.Write(buf[:n])
		}
		go io.Copy(io.Discard, r)
		urls := address.FindAllString(seen.String(), -1)
		for url, want := range map[string]int{urls[0] + "/tenants": 200, urls[1] + "/tenants": 404, urls[1] + "/healthz": 200} {
			res, err := http.Get(url)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != want {
				t.Errorf("%s → %d, want %d", url, res.StatusCode, want)
			}
		}
		stop()
		if code := <-done; code != 0 {
			t.Errorf("exit %d", code)
		}
		if strings.Contains(seen.String(), "client secret") {
			t.Error("a given secret was printed")
		}
	})
}
