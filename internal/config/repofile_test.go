package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
)

func TestParseRepoFile(t *testing.T) {
	t.Parallel()

	t.Run("it says what a repository may say", func(t *testing.T) {
		t.Parallel()
		src, err := os.ReadFile("testdata/repo/good.yaml")
		if err != nil {
			t.Fatal(err)
		}
		r, err := config.ParseRepoFile(src, "ledger/.nightporter.yaml")
		if err != nil {
			t.Fatal(err)
		}
		got := r.Apply(catalog.Service{
			Description: "old",
			Deploy:      catalog.Deploy{Kind: "process", Run: []string{"./server-says-so"}},
			Health:      catalog.Health{Within: time.Hour},
		})
		want := catalog.Service{
			Description: "Books every payment.",
			Runbook:     "https://wiki.acme.test/ledger",
			Deploy: catalog.Deploy{
				Kind: "process", Values: "helm.yaml",
				Build: []string{"go", "build", "-o", "bin/app", "."}, Run: []string{"./server-says-so"},
			},
			Health:     catalog.Health{HTTP: "/livez", Within: time.Minute},
			Dashboards: []string{"dashboards/ledger.json"},
			Rules:      []string{"rules/ledger.yaml"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})

	t.Run("an empty file changes nothing", func(t *testing.T) {
		t.Parallel()
		r, err := config.ParseRepoFile(nil, "x")
		if err != nil {
			t.Fatal(err)
		}
		s := catalog.Service{Description: "d", Health: catalog.Health{HTTP: "/x"}, Deploy: catalog.Deploy{Build: []string{"make"}}}
		if diff := cmp.Diff(s, r.Apply(s)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})

	for _, name := range []string{"greedy", "mistakes"} {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(filepath.Join("testdata/repo", name+".yaml"))
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.ParseRepoFile(src, name+"/.nightporter.yaml")
			if err == nil {
				t.Fatal("accepted")
			}
			golden(t, filepath.Join("testdata/repo", name+".txt"), err.Error()+"\n")
		})
	}
}

func FuzzParseRepoFile(f *testing.F) {
	names, _ := filepath.Glob("testdata/repo/*.yaml")
	for _, name := range names {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		r, err := config.ParseRepoFile(src, "x/.nightporter.yaml")
		if (r == nil) == (err == nil) {
			t.Fatalf("got %v and %v", r, err)
		}
		if r == nil {
			return
		}
		for _, file := range append(append(r.Dashboards, r.Rules...), r.Values) {
			if file != "" && !filepath.IsLocal(file) {
				t.Errorf("%q leaves the repository", file)
			}
		}
	})
}

// A repository's file comes from whoever may merge there, and the parser's time
// grows with the square of the keys in a map.
func TestRepoFileIsBounded(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a:\n", "a: b\n", "[", "{", "- ", "a: ", "? ", "x: |\n  a\n", "\"", "&a "} {
		for _, size := range []int{60 << 10, 1 << 20} {
			src := []byte(strings.Repeat(unit, size/len(unit)))
			if _, err := config.ParseRepoFile(src, "x"); err == nil {
				t.Errorf("%d bytes of %q were accepted", size, unit)
			}
		}
	}
}
