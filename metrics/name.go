package metrics

import "regexp"

// nameRule keeps a workspace's name one plain segment of paths, on disk and in
// policies.
var nameRule = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// ValidName says whether a workspace may be called so: 1 to 63 small letters,
// digits and dashes, as a DNS label.
func ValidName(name string) bool { return nameRule.MatchString(name) }
