package console

import (
	"net/url"
	"testing"
)

// FuzzLocalPath holds every accepted next against the standard library's reading
// of it as a reference, which is what a browser does with a Location header.
func FuzzLocalPath(f *testing.F) {
	for _, seed := range []string{"/", "/services?q=a", "//evil", "/\\evil", "https://evil", "/%5cevil", "/a//b", "/\n/evil", "", "/sign-in?next=/", "/..//evil", "/;@evil"} {
		f.Add(seed)
	}
	base, _ := url.Parse("http://porter.test/sign-in")
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		u, err := base.Parse(got)
		if err != nil {
			t.Fatalf("localPath(%q) = %q, which no browser can follow: %v", next, got, err)
		}
		if u.Host != base.Host || u.Scheme != base.Scheme || u.User != nil {
			t.Fatalf("localPath(%q) = %q leads to %s", next, got, u)
		}
	})
}
