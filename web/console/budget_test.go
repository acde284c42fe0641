package console_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Budgets in bytes after gzip: DESIGN §8 for scripts, the console's own for styles.
const (
	scriptBudget = 80 << 10
	styleBudget  = 30 << 10
)

func TestScriptsAndStylesStayWithinTheirBudgets(t *testing.T) {
	t.Parallel()
	for pattern, budget := range map[string]int{"*.js": scriptBudget, "*.css": styleBudget} {
		size := 0
		for _, dir := range []string{"static", "static/vendor"} {
			files, err := filepath.Glob(filepath.Join(dir, pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range files {
				size += gzipped(t, file)
			}
		}
		t.Logf("%s: %d bytes gzipped of %d", pattern, size, budget)
		if size > budget {
			t.Errorf("%s takes %d bytes gzipped, the budget is %d", pattern, size, budget)
		}
	}
}

func gzipped(t *testing.T, file string) int {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Len()
}

func TestVendoredFilesAreThoseOfTheirReadme(t *testing.T) {
	t.Parallel()
	for readme, files := range map[string][]string{
		"static/vendor/README.md": {
			"static/vendor/inter.woff2", "static/vendor/geist-mono.woff2", "static/vendor/uPlot.iife.min.js", "static/vendor/uPlot.min.css",
		},
		"testdata/axe/README.md": {"testdata/axe/axe.min.js"},
	} {
		text, err := os.ReadFile(readme)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256(content)
			if !bytes.Contains(text, []byte(hex.EncodeToString(sum[:]))) {
				t.Errorf("%s does not name the sum of %s, %x", readme, file, sum)
			}
		}
	}
}

// A style sheet must ask for fonts by the address that the pages preload, or
// they are fetched twice and never cached for long.
func TestEveryAddressOfTheStylesExists(t *testing.T) {
	t.Parallel()
	static := newRenderer(t).Static()
	css, err := os.ReadFile("static/tokens.css")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`url\(([^)]+)\)`).FindAllSubmatch(css, -1)
	if len(found) == 0 {
		t.Fatal("no address found in tokens.css")
	}
	for _, m := range found {
		answer := httptest.NewRecorder()
		static.ServeHTTP(answer, httptest.NewRequest("GET", "/static/"+string(m[1]), nil))
		if answer.Code != 200 || !strings.Contains(answer.Header().Get("Cache-Control"), "immutable") {
			t.Errorf("%s answers %d with Cache-Control %q, want 200 and immutable", m[1], answer.Code, answer.Header().Get("Cache-Control"))
		}
	}
}

func TestColoursStandInOneFile(t *testing.T) {
	t.Parallel()
	css, err := os.ReadFile("static/console.css")
	if err != nil {
		t.Fatal(err)
	}
	// What stays is white light and shadow on top of a token's colour.
	allowed := regexp.MustCompile(`oklch\(1 0 0 / [0-9.]+\)|oklch\(0\.2 0\.03 268 / 0\.4\)`)
	rest := allowed.ReplaceAll(css, nil)
	if m := regexp.MustCompile(`#[0-9a-fA-F]{3,8}\b[;, )]|oklch\([0-9]|rgba?\(|hsla?\(`).FindAll(rest, -1); m != nil {
		t.Errorf("console.css holds colours of its own: %q; they belong in tokens.css", m)
	}
}

func TestStaticFiles(t *testing.T) {
	t.Parallel()
	static := newRenderer(t).Static()
	get := func(path, etag string) *httptest.ResponseRecorder {
		answer, req := httptest.NewRecorder(), httptest.NewRequest("GET", path, nil)
		if etag != "" {
			req.Header.Set("If-None-Match", etag)
		}
		static.ServeHTTP(answer, req)
		return answer
	}
	t.Run("are checked again without a version", func(t *testing.T) {
		t.Parallel()
		first := get("/static/console.js", "")
		if first.Code != 200 || first.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("answered %d with Cache-Control %q", first.Code, first.Header().Get("Cache-Control"))
		}
		if again := get("/static/console.js", first.Header().Get("ETag")); again.Code != 304 {
			t.Errorf("the same file again answered %d, want 304", again.Code)
		}
	})
	t.Run("have their types", func(t *testing.T) {
		t.Parallel()
		for path, want := range map[string]string{"/static/console.css": "text/css", "/static/console.js": "text/javascript", "/static/favicon.svg": "image/svg+xml"} {
			if got := get(path, "").Header().Get("Content-Type"); !strings.HasPrefix(got, want) {
				t.Errorf("%s is %q, want %s", path, got, want)
			}
		}
	})
	t.Run("are never listed", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{"/static/", "/static/vendor/", "/static/../render.go", "/static/none.css"} {
			answer := get(path, "")
			if body, _ := io.ReadAll(answer.Body); answer.Code != 404 {
				t.Errorf("%s answered %d: %s", path, answer.Code, body)
			}
		}
	})
}
