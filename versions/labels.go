package versions

import (
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
)

// labels are the ones that decide. skip-release stands alone.
var labels = []nightporter.Bump{nightporter.Major, nightporter.Minor, nightporter.PatchBump, nightporter.NoBump}

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
