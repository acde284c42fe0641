package secrets

import (
	"slices"
	"strings"
)

// folderOf is the folder that a LIST asks for: "" or a path that ends in a slash.
func folderOf(path string) string {
	if path = strings.TrimSuffix(path, "/"); path == "" {
		return ""
	}
	return path + "/"
}

// entriesOf makes a listing of the names below a folder: what lies deeper shows
// as its folder, once. The names come without the folder itself.
func entriesOf(names []string) []string {
	out := make([]string, 0, len(names))
	for _, n := range names {
		if folder, _, deeper := strings.Cut(n, "/"); deeper {
			n = folder + "/"
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
