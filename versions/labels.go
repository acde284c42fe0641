package versions

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
)

// labels are the ones that decide. skip-release stands alone.
var labels = []nightporter.Bump{nightporter.Major, nightporter.Minor, nightporter.PatchBump, nightporter.NoBump}

// PreLabel makes the version of a merge a pre-release, beside the label that
// decides.
const PreLabel = "prerelease"

// IsPre says whether a merge becomes a pre-release.
func IsPre(of []string) bool {
	return slices.ContainsFunc(of, func(l string) bool { return strings.EqualFold(l, PreLabel) })
}

// Bump reads the labels of a pull request: exactly one of major, minor, patch
// and skip-release. Otherwise it answers what is wrong, for the author.
func Bump(of []string) (bump nightporter.Bump, problem string) {
	var found []string
	for _, want := range labels {
		for _, l := range of {
			if strings.EqualFold(l, string(want)) {
				found = append(found, string(want))
				bump = want
				break
			}
		}
	}
	switch len(found) {
	case 1:
		return bump, ""
	case 0:
		return "", "add one label: major, minor, patch or skip-release"
	}
	return "", fmt.Sprintf("remove all but one of the labels %s", strings.Join(found, ", "))
}

// Describe says what a bump does to the version after last, for the status of an
// open pull request.
func Describe(bump nightporter.Bump, last, next nightporter.Version) string {
	if bump == nightporter.NoBump {
		return "no version: this change rides with the next release"
	}
	return fmt.Sprintf("%s: %s becomes %s", bump, last, next)
}

// conventional is how a title begins by conventionalcommits.org 1.0.0.
var conventional = regexp.MustCompile(`^([a-zA-Z]+)(\([^()]*\))?(!)?: +\S`)

// TitleBump is what a conventional title asks for, "" for a title that is not one.
// What only the authors see, such as tests and chores, asks for no version.
func TitleBump(title string) nightporter.Bump {
	m := conventional.FindStringSubmatch(title)
	if m == nil {
		return ""
	}
	kind := strings.ToLower(m[1])
	switch {
	case m[3] == "!" || kind == "breaking":
		return nightporter.Major
	case kind == "feat" || kind == "feature":
		return nightporter.Minor
	case slices.Contains([]string{"fix", "perf", "revert", "refactor"}, kind):
		return nightporter.PatchBump
	case slices.Contains([]string{"build", "chore", "ci", "docs", "style", "test"}, kind):
		return nightporter.NoBump
	}
	return ""
}

// bumpOf reads the labels, and the title where there is no label and the rules let
// it count.
func bumpOf(of []string, title string, rules Rules) (bump nightporter.Bump, problem string) {
	bump, problem = Bump(of)
	some := slices.ContainsFunc(of, func(l string) bool {
		return slices.ContainsFunc(labels, func(want nightporter.Bump) bool { return strings.EqualFold(l, string(want)) })
	})
	if problem == "" || some || rules.Titles == "" {
		return bump, problem
	}
	asked := TitleBump(title)
	switch {
	case asked == "":
		return "", problem
	case rules.Titles == Decide:
		return asked, ""
	}
	return "", problem + fmt.Sprintf(" (the title says %s)", asked)
}
