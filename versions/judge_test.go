package versions

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
)

func TestTitleBump(t *testing.T) {
	t.Parallel()
	for title, want := range map[string]nightporter.Bump{
		"feat: add a field": nightporter.Minor, "fix(api): round": nightporter.PatchBump, "feat!: drop v1": nightporter.Major, "fix(api)!: x": nightporter.Major,
		"docs: say more": nightporter.NoBump, "CHORE: tidy": nightporter.NoBump, "Add a field": "", "feat:no blank": "", "note: x": "", "": "", "feat(a(b)): x": "",
	} {
		if got := TitleBump(title); got != want {
			t.Errorf("%q: got %q, want %q", title, got, want)
		}
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	last := &nightporter.Version{Major: 1, Minor: 4, Patch: 2}
	strict := Rules{Description: Description{Sections: []string{"Why", "How it was tested"}, Minimum: 20}}
	full := "## Why\nThe sum was wrong by a penny.\n\n### how it was tested ###\n- [x] by hand\n"
	for name, c := range map[string]struct {
		pull  Pull
		rules Rules
		want  Verdict
	}{
		"one label":    {Pull{Labels: []string{"minor", "bug"}}, Rules{}, Verdict{OK: true, Says: "minor: 1.4.2 becomes 1.5.0", Bump: nightporter.Minor}},
		"a prerelease": {Pull{Labels: []string{"minor", "prerelease"}}, Rules{}, Verdict{OK: true, Says: "minor: 1.4.2 becomes 1.5.0-rc.1", Bump: nightporter.Minor}},
		"no label":     {Pull{Title: "feat: x"}, Rules{}, Verdict{Says: "add one label: major, minor, patch or skip-release", Problems: []string{"add one label: major, minor, patch or skip-release"}}},
		"a proposal": {Pull{Title: "feat: x"}, Rules{Titles: Propose}, Verdict{
			Says:     "add one label: major, minor, patch or skip-release (the title says minor)",
			Problems: []string{"add one label: major, minor, patch or skip-release (the title says minor)"},
		}},
		"the title decides":          {Pull{Title: "feat!: x"}, Rules{Titles: Decide}, Verdict{OK: true, Says: "major: 1.4.2 becomes 2.0.0", Bump: nightporter.Major}},
		"a label before the title":   {Pull{Title: "feat!: x", Labels: []string{"patch"}}, Rules{Titles: Decide}, Verdict{OK: true, Says: "patch: 1.4.2 becomes 1.4.3", Bump: nightporter.PatchBump}},
		"two labels, and a title":    {Pull{Title: "feat: x", Labels: []string{"patch", "major"}}, Rules{Titles: Decide}, Verdict{Says: "remove all but one of the labels major, patch", Problems: []string{"remove all but one of the labels major, patch"}}},
		"a description as it should": {Pull{Labels: []string{"patch"}, Body: full}, strict, Verdict{OK: true, Says: "patch: 1.4.2 becomes 1.4.3", Bump: nightporter.PatchBump}},
		"a template that nobody filled in": {Pull{Labels: []string{"patch"}, Body: "## Why\n<!-- say why it is needed, at some length -->\n## How it was tested\n- [ ] \n---\n"}, strict, Verdict{
			Bump: nightporter.PatchBump, Says: `the section "Why" is empty; the section "How it was tested" is empty; the description has 0 letters of at least 20`,
			Problems: []string{`the section "Why" is empty`, `the section "How it was tested" is empty`, "the description has 0 letters of at least 20"},
		}},
		"no description": {Pull{Labels: []string{"patch"}}, Rules{Description: Description{Sections: []string{"Why"}}}, Verdict{
			Bump: nightporter.PatchBump, Says: `the description has no section "Why"`, Problems: []string{`the description has no section "Why"`},
		}},
		"a comment that never ends": {Pull{Labels: []string{"patch"}, Body: "**Why:**\n<!-- because of the sum that was wrong"}, Rules{Description: Description{Sections: []string{"Why"}}}, Verdict{
			Bump: nightporter.PatchBump, Says: `the section "Why" is empty`, Problems: []string{`the section "Why" is empty`},
		}},
	} {
		if diff := cmp.Diff(c.want, Judge(c.pull, c.rules, last)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	if text := Judge(Pull{}, strict, last).Text(strict); !strings.Contains(text, "| `minor` | 1.5.0 |") || !strings.Contains(text, "- How it was tested") {
		t.Errorf("the check does not say what to do:\n%s", text)
	}
}

// semver.org §9 and §11: a pre-release comes before its version, and is numbered.
func TestPrereleases(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		last string
		bump nightporter.Bump
		pre  bool
		name string
		want string
	}{
		{"1.4.2", nightporter.Minor, true, "", "1.5.0-rc.1"},
		{"1.5.0-rc.1", nightporter.PatchBump, true, "", "1.5.0-rc.2"},
		{"1.5.0-rc.1", nightporter.Minor, true, "", "1.5.0-rc.2"},
		{"1.5.0-rc.9", nightporter.Minor, true, "", "1.5.0-rc.10"},
		{"1.5.0-rc.2", nightporter.Minor, false, "", "1.5.0"},
		{"1.5.0-rc.2", nightporter.Major, true, "", "2.0.0-rc.1"},
		{"1.4.3-rc.1", nightporter.Minor, false, "", "1.5.0"},
		{"1.5.0-alpha", nightporter.PatchBump, true, "", "1.5.0-rc.1"},
		{"1.5.0-rc.1", nightporter.PatchBump, true, "beta", "1.5.0-beta.1"},
		{"0.4.0-rc.1", nightporter.Major, false, "", "0.4.0"},
	} {
		last, err := nightporter.ParseVersion(c.last)
		if err != nil {
			t.Fatal(err)
		}
		got := next(&last, c.bump, c.pre, Rules{Pre: c.name})
		if got.String() != c.want {
			t.Errorf("%s after %s: got %s, want %s", c.bump, c.last, got, c.want)
		}
		if again, err := nightporter.ParseVersion(got.String()); err != nil || c.name == "" && c.last != "1.5.0-alpha" && again.Compare(last) <= 0 {
			t.Errorf("%s does not come after %s: %v", got, c.last, err)
		}
	}
}

// What anybody may write into a title or a description must not confuse us, and a
// green verdict always has a bump.
func FuzzJudge(f *testing.F) {
	f.Add("feat(x)!: y", "## Why\nbecause", "minor")
	f.Add("", "<!--", "prerelease")
	rules := Rules{Titles: Decide, Description: Description{Sections: []string{"Why"}, Minimum: 3}}
	f.Fuzz(func(t *testing.T, title, body, label string) {
		v := Judge(Pull{Labels: []string{label}, Title: title, Body: body}, rules, nil)
		if v.OK != (len(v.Problems) == 0) || v.OK && v.Bump == "" || v.Says == "" {
			t.Errorf("%q %q %q: %+v", title, body, label, v)
		}
	})
}
