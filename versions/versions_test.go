package versions

import (
	"strings"
	"testing"

	"nightporter.dev/nightporter"
)

func TestBump(t *testing.T) {
	t.Parallel()
	for labels, want := range map[string]struct {
		bump    nightporter.Bump
		problem string
	}{
		"major":              {nightporter.Major, ""},
		"bug minor":          {nightporter.Minor, ""},
		"Patch":              {nightporter.PatchBump, ""},
		"skip-release docs":  {nightporter.NoBump, ""},
		"":                   {"", "add one label: major, minor, patch or skip-release"},
		"bug":                {"", "add one label: major, minor, patch or skip-release"},
		"major minor":        {nightporter.Minor, "remove all but one of the labels major, minor"},
		"patch skip-release": {nightporter.NoBump, "remove all but one of the labels patch, skip-release"},
	} {
		bump, problem := Bump(strings.Fields(labels))
		if problem != want.problem || problem == "" && bump != want.bump {
			t.Errorf("%q: got %q, %q, want %q, %q", labels, bump, problem, want.bump, want.problem)
		}
	}
}

func TestNext(t *testing.T) {
	t.Parallel()
	leave := Rules{ZeroMajor: nightporter.Major}
	for _, c := range []struct {
		last  string
		bump  nightporter.Bump
		rules Rules
		want  string
	}{
		{"1.4.2", nightporter.PatchBump, Rules{}, "1.4.3"},
		{"1.4.2", nightporter.Minor, Rules{}, "1.5.0"},
		{"1.4.2", nightporter.Major, Rules{}, "2.0.0"},
		{"0.4.2", nightporter.Major, Rules{}, "0.5.0"}, // semver.org §4: 0.x may break at any time
		{"0.4.2", nightporter.Major, leave, "1.0.0"},
		{"2.0.0-rc.1", nightporter.PatchBump, Rules{}, "2.0.0"},
		{"", nightporter.Minor, Rules{}, "0.1.0"},
		{"", nightporter.Minor, Rules{Initial: nightporter.Version{Patch: 1}}, "0.0.1"},
	} {
		var last *nightporter.Version
		if c.last != "" {
			v, err := nightporter.ParseVersion(c.last)
			if err != nil {
				t.Fatal(err)
			}
			last = &v
		}
		if got := next(last, c.bump, false, c.rules).String(); got != c.want {
			t.Errorf("%s of %q: got %s, want %s", c.bump, c.last, got, c.want)
		}
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	tags := map[string]string{
		"v1.2.0": "a", "v1.10.0": "b", "v2.0.0-rc.1": "c", "1.99.0": "d", // no v: somebody else's
		"prod": "b", "vNext": "e", "v1.3": "f", "v1.2.1": "a",
	}
	last, own := latest(tags, "a")
	if last == nil || last.String() != "2.0.0-rc.1" {
		t.Errorf("got %v, want the highest version, pre-releases too", last)
	}
	if own == nil || own.String() != "1.2.1" {
		t.Errorf("got %v, want the higher of two tags on one commit", own)
	}
	if last, own := latest(nil, "a"); last != nil || own != nil {
		t.Errorf("got %v, %v of no tags", last, own)
	}
}

// What anybody may write as a label or push as a tag must not confuse us.
func FuzzBump(f *testing.F) {
	f.Add("major", "v1.2.3")
	f.Add("MAJOR,minor", "v1.2.3-rc.1")
	f.Fuzz(func(t *testing.T, label, tag string) {
		if bump, problem := Bump([]string{label}); problem == "" && !strings.EqualFold(label, string(bump)) {
			t.Errorf("%q became %q", label, bump)
		}
		if last, _ := latest(map[string]string{tag: "a"}, ""); last != nil && last.Tag() != tag {
			t.Errorf("tag %q became %q", tag, last.Tag())
		}
	})
}
