package console_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/web/console"
)

var update = flag.Bool("update", false, "write the golden pages anew")

func newRenderer(t testing.TB) *console.Renderer {
	t.Helper()
	r, err := console.NewRenderer()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// version is the part of a static address that changes with the content.
var version = regexp.MustCompile(`\?v=[0-9a-f]{12}`)

func TestEveryPageLooksAsItDid(t *testing.T) {
	t.Parallel()
	r := newRenderer(t)
	for name, page := range stories() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			if err := r.Render(&b, page); err != nil {
				t.Fatal(err)
			}
			got := version.ReplaceAll(b.Bytes(), []byte("?v=HASH"))
			golden := filepath.Join("testdata", "golden", name+".html")
			if *update {
				if err := os.WriteFile(golden, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("page differs from %s, -want +got (refresh with -update):\n%s", golden, diff)
			}
		})
	}
}

// A board is paged: a hundred rows are what one request renders, of however
// many services there are. The whole thousand shows how it grows.
func BenchmarkBoard(b *testing.B) {
	for name, rows := range map[string]int{"100 rows": 100, "1000 rows": 1000} {
		b.Run(name, func(b *testing.B) {
			r, page := newRenderer(b), boardOf(rows)
			var size countingWriter
			for b.Loop() {
				size = 0
				if err := r.Render(&size, page); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)/1024, "KiB/page")
		})
	}
}

// A page of the list of logins is as long as it gets, of twenty thousand.
func BenchmarkSecrets(b *testing.B) {
	r, page := newRenderer(b), manyLogins(50)
	var size countingWriter
	for b.Loop() {
		size = 0
		if err := r.Render(&size, page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/1024, "KiB/page")
}

type countingWriter int

func (c *countingWriter) Write(p []byte) (int, error) {
	*c += countingWriter(len(p))
	return len(p), nil
}

// A page of the matrix is as long as it gets, of a thousand repositories.
func BenchmarkRepos(b *testing.B) {
	r, page := newRenderer(b), manyRepos(50)
	var size countingWriter
	for b.Loop() {
		size = 0
		if err := r.Render(&size, page); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(size)/1024, "KiB/page")
}
