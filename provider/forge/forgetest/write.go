package forgetest

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

var writeTests = []test{
	{"a tag is created once and says where it points the second time", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		first := state(t, h, "ledger", "").Head
		second := h.World.Push(t, "ledger", "next", "ana-gh")
		if err := h.Forge.CreateTag(t.Context(), "ledger", "v1.0.0", first); err != nil {
			t.Fatal(err)
		}
		wantExists(t, h, "v1.0.0", second, first)
		wantExists(t, h, "v1.0.0", first, first)
		wantTags(t, h, map[string]string{"v1.0.0": first})
	}},
	{"a tag pushed by hand is found, also when it is annotated", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		head := state(t, h, "ledger", "").Head
		h.World.PushTag(t, "ledger", "v2.0.0", head, Annotated)
		h.World.PushTag(t, "ledger", "v2.1.0", head, Lightweight)
		wantExists(t, h, "v2.0.0", head, head)
		wantExists(t, h, "v2.1.0", head, head)
		wantTags(t, h, map[string]string{"v2.0.0": head, "v2.1.0": head})
		if diff := cmp.Diff(map[string]string{"v2.0.0": head, "v2.1.0": head}, state(t, h, "ledger", "").Tags); diff != "" {
			t.Errorf("tags of the state (-want +got):\n%s", diff)
		}
	}},
	{"of many who create one tag, one does", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		head := state(t, h, "ledger", "").Head
		errs := make([]error, 8)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() { errs[i] = h.Forge.CreateTag(t.Context(), "ledger", "v1.0.0", head) })
		}
		wg.Wait()
		made := 0
		for _, err := range errs {
			var exists *forge.TagExistsError
			switch {
			case err == nil:
				made++
			case !errors.As(err, &exists):
				t.Errorf("got %v, want a tag that exists", err)
			}
		}
		if made != 1 {
			t.Errorf("%d callers created the tag, want 1", made)
		}
	}},
	{"a tag moves forward, backward and into being", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		first := state(t, h, "ledger", "").Head
		second := h.World.Push(t, "ledger", "next", "ana-gh")
		for _, commit := range []string{first, second, first, first} {
			if err := h.Forge.MoveTag(t.Context(), "ledger", "env/prod", commit); err != nil {
				t.Fatal(err)
			}
			wantTags(t, h, map[string]string{"env/prod": commit})
		}
	}},
	{"a tag for a commit or repository that is not there is refused", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		nowhere := strings.Repeat("ab", 20)
		for name, err := range map[string]error{
			"create":           h.Forge.CreateTag(t.Context(), "ledger", "v1.0.0", nowhere),
			"move":             h.Forge.MoveTag(t.Context(), "ledger", "prod", nowhere),
			"other repository": h.Forge.CreateTag(t.Context(), "nothing", "v1.0.0", nowhere),
		} {
			var missing *forge.NotFoundError
			if !errors.As(err, &missing) || nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("%s: got %v, want not found", name, err)
			}
		}
		wantTags(t, h, map[string]string{})
	}},
	{"a release is published once for its tag", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		if err := h.Forge.CreateTag(t.Context(), "ledger", "v1.0.0", state(t, h, "ledger", "").Head); err != nil {
			t.Fatal(err)
		}
		want := forge.Release{Tag: "v1.0.0", Name: "1.0.0", Notes: "* first", Prerelease: true}
		first, err := h.Forge.CreateRelease(t.Context(), "ledger", want)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.Forge.CreateRelease(t.Context(), "ledger", forge.Release{Tag: "v1.0.0", Notes: "other"})
		if err != nil || again != first || first == "" {
			t.Errorf("second time: got %q, %v; want %q", again, err, first)
		}
		got, ok := h.World.Release(t, "ledger", "v1.0.0")
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("release there %v (-want +got):\n%s", ok, diff)
		}
	}},
	{"a status is seen on the commit, the latest of a context", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		n := h.World.Open(t, "ledger", Pull{Title: "One", Author: "ana-gh"})
		head := h.World.HeadOf(t, "ledger", n)
		want := forge.Status{Context: "nightporter/version", State: forge.Success, Description: "minor: 1.0.0 → 1.1.0", TargetURL: "http://127.0.0.1:8200/repos/ledger"}
		for _, s := range []forge.Status{
			{Context: want.Context, State: forge.Failure, Description: "add one of major, minor, patch"},
			{Context: "nightporter/other", State: forge.Pending},
			want,
		} {
			if err := h.Forge.SetStatus(t.Context(), "ledger", head, s); err != nil {
				t.Fatal(err)
			}
		}
		got, ok := h.World.Status(t, "ledger", head, want.Context)
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("status there %v (-want +got):\n%s", ok, diff)
		}
		err := h.Forge.SetStatus(t.Context(), "ledger", strings.Repeat("ab", 20), want)
		if nightporter.CodeOf(err) != nightporter.NotFound {
			t.Errorf("a commit that is not there: got %v, want not found", err)
		}
	}},
	{"a clone address holds no credentials", func(t *testing.T, h Harness) {
		h.World.AddRepo(t, "ledger")
		url := h.Forge.CloneURL("ledger")
		if !strings.HasPrefix(url, "http") || strings.Contains(url, "@") || !strings.Contains(url, "ledger") {
			t.Errorf("got %q, want an http address of ledger without credentials", url)
		}
		if _, err := h.Forge.GitCredentials(t.Context(), "ledger"); err != nil {
			t.Error(err)
		}
	}},
}

func wantTags(t testing.TB, h Harness, want map[string]string) {
	t.Helper()
	got, err := h.Forge.Tags(t.Context(), "ledger")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
}

func wantExists(t testing.TB, h Harness, tag, commit, at string) {
	t.Helper()
	err := h.Forge.CreateTag(t.Context(), "ledger", tag, commit)
	var exists *forge.TagExistsError
	if !errors.As(err, &exists) {
		t.Fatalf("create %s: got %v, want that it exists", tag, err)
	}
	want := forge.TagExistsError{Repo: "ledger", Tag: tag, Commit: at}
	if diff := cmp.Diff(want, *exists); diff != "" {
		t.Errorf("create %s (-want +got):\n%s", tag, diff)
	}
}
