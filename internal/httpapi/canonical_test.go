package httpapi_test

import (
	"fmt"
	"net/url"
	"path"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
)

func TestCanonical(t *testing.T) {
	t.Parallel()
	good := map[string]string{
		"/":                               "/",
		"/v1/secret/data/app":             "/v1/secret/data/app",
		"/v1/secret/metadata/":            "/v1/secret/metadata/", // LIST keeps its slash
		"/v1/secret/data/a%20b":           "/v1/secret/data/a b",
		"/v1/secret/data/caf%C3%A9":       "/v1/secret/data/café",
		"/v1/secret/data/café":            "/v1/secret/data/café",
		"/%61pi/board":                    "/api/board",
		"/api/x/a+b*c":                    "/api/x/a+b*c",
		"/api/x/.hidden":                  "/api/x/.hidden",
		"/api/x/a..b":                     "/api/x/a..b",
		"/api/x/...":                      "/api/x/...",
		"/api/x/100%25":                   "/api/x/100%",
		"/api/x/%3fq%3d1":                 "/api/x/?q=1",
		"/v1/secret/data/app.config":      "/v1/secret/data/app.config",
		"/workspaces/payments/api/v1/x:y": "/workspaces/payments/api/v1/x:y",
	}
	for raw, want := range good {
		got, err := httpapi.Canonical(raw)
		if err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v; want %q", raw, got, err, want)
		}
	}
	for raw, why := range traversals("/v1/secret/data/a", "sys") {
		got, err := httpapi.Canonical(raw)
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("Canonical(%q) = %q, %v; want invalid: %s", raw, got, err, why)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the refusal of %q repeats the path: %v", raw, err)
		}
	}
}

// traversals spells "go up from base, then to target" in the ways that R17
// lists, and other paths that two readers may read differently.
func traversals(base, target string) map[string]string {
	all := map[string]string{
		"":                              "empty",
		"*":                             "no slash",
		target:                          "no slash",
		"//" + target:                   "an empty segment",
		base + "//" + target:            "an empty segment",
		base + "//":                     "an empty segment at the end",
		base + "\n":                     "a line feed",
		base + "\x00":                   "NUL",
		base + "\x7f":                   "delete",
		base + "%00":                    "encoded NUL",
		base + "%0a" + target:           "encoded line feed",
		base + "%0D" + target:           "encoded carriage return",
		base + "%7f":                    "encoded delete",
		base + "%c2%85":                 "a C1 control",
		base + "%e2%80%8b":              "a zero-width space",
		base + "%e2%80%ae":              "a right-to-left override",
		base + "%ef%bb%bf":              "a byte order mark",
		base + "%c2%a0":                 "a space that looks like another",
		base + "%":                      "half an encoding",
		base + "%2":                     "half an encoding",
		base + "%zz":                    "no hexadecimal",
		base + "%c0%af" + target:        "an overlong slash",
		base + "%c0%ae%c0%ae":           "overlong dots",
		base + "%e0%80%af" + target:     "an overlong slash",
		base + "%ff":                    "no UTF-8",
		base + "\xff":                   "no UTF-8",
		base + "?x":                     "a query",
		base + "#x":                     "a fragment",
		"/" + strings.Repeat("a", 5000): "too long",
	}
	dots := []string{".", "..", "%2e", "%2E", "%2e%2e", ".%2e", "%2E.", "%2e%2E", "%252e%252e", "%25%32%65"}
	slashes := []string{"/", "%2f", "%2F", "%5c", "%5C", `\`, "%252f", "%255c", "%25%32%66"}
	for _, before := range slashes {
		for _, dot := range dots {
			for _, after := range slashes {
				all[base+before+dot+after+target] = "dots between slashes"
			}
			all[base+before+dot] = "dots at the end"
			all[base+before+dot+"/"] = "dots at the end"
			all["/"+dot+before+target] = "dots at the start"
		}
	}
	for _, s := range slashes[1:] {
		all[base+s+target] = "another spelling of a slash"
	}
	return all
}

func FuzzCanonical(f *testing.F) {
	for raw := range traversals("/v1/a", "sys") {
		f.Add(raw)
	}
	for _, s := range []string{"/", "/v1/secret/metadata/", "/a%20b", "/100%25", "/%61"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := httpapi.Canonical(raw)
		if err != nil {
			return
		}
		// The standard library reads the same path out of it ...
		decoded, err := url.PathUnescape(raw)
		if err != nil || decoded != got {
			t.Errorf("Canonical(%q) = %q, net/url reads %q, %v", raw, got, decoded, err)
		}
		// ... finds nothing to clean ...
		if clean := path.Clean(got); clean != strings.TrimSuffix(got, "/") && got != "/" {
			t.Errorf("Canonical(%q) = %q, which path.Clean makes %q", raw, got, clean)
		}
		// ... decoding once more changes nothing ...
		if twice, err := url.PathUnescape(got); err == nil && twice != got {
			t.Errorf("Canonical(%q) = %q decodes again, to %q", raw, got, twice)
		}
		// ... and what we would send for it comes back as it is.
		again, err := httpapi.Canonical((&url.URL{Path: got}).EscapedPath())
		if err != nil || again != got {
			t.Errorf("Canonical(%q) = %q, again %q, %v", raw, got, again, err)
		}
	})
}

func ExampleCanonical() {
	fmt.Println(httpapi.Canonical("/v1/secret/metadata/team%20a/"))
	_, err := httpapi.Canonical("/v1/secret/a%2f..%2fsys")
	fmt.Println(err)
	// Output:
	// /v1/secret/metadata/team a/ <nil>
	// the path holds an encoded slash, backslash or dot
}
