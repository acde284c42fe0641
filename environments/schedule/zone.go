package schedule

import (
	"bufio"
	_ "embed"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
	_ "time/tzdata" // for machines without a zone database
)

// zoneNames are the names of the zones, one a line, made from Go's copy of the
// zone database:
//
//go:generate go test -run TestZoneNames -update

//go:embed zones.txt
var zoneNames string

// LoadZone finds a zone by its IANA name. Abbreviations, offsets and "Local" are
// refused with a suggestion: IST is three zones, +01:00 has no summer, and Local
// depends on the machine that reads it.
func LoadZone(name string) (*time.Location, error) {
	if name == "UTC" || name == "Etc/UTC" {
		return time.UTC, nil
	}
	const hint = "write a name of the IANA database, such as Europe/London"
	switch {
	case name == "":
		return nil, wrong(hint, "the schedule has no time zone")
	case strings.EqualFold(name, "local"):
		return nil, wrong(hint, "%q depends on the machine", name)
	case isOffset.MatchString(name):
		return nil, wrong(hint, "%q is an offset, and does not know when clocks change", name)
	}
	if zone, ok := abbreviations[strings.ToUpper(name)]; ok {
		return nil, wrong("write "+zone, "%q is an abbreviation, and means different zones to different people", name)
	}
	listed, near := lookUp(name)
	switch {
	case listed:
	case near != "":
		return nil, wrong("did you mean "+near+"?", "%q is not a time zone", name)
	default:
		return nil, wrong(hint, "%q is not a time zone", name)
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, wrong(hint, "%q is not a time zone on this machine", name)
	}
	return zone, nil
}

// isOffset matches +01:00, UTC+1, GMT-5 and Etc/GMT+5, whose sign is the other way
// round.
var isOffset = regexp.MustCompile(`(?i)^(etc/)?(utc|gmt|z)?[+-]?[0-9]{0,2}:?[0-9]{0,2}$|^etc/`)

// abbreviations and the names of an earlier age, with what is most often meant.
var abbreviations = map[string]string{
	"Z": "UTC", "GMT": "Europe/London, or UTC for no summer time", "BST": "Europe/London",
	"WET": "Europe/Lisbon", "WEST": "Europe/Lisbon", "CET": "Europe/Berlin", "CEST": "Europe/Berlin",
	"MET": "Europe/Berlin", "EET": "Europe/Athens", "EEST": "Europe/Athens", "MSK": "Europe/Moscow",
	"EST": "America/New_York", "EDT": "America/New_York", "ET": "America/New_York", "EST5EDT": "America/New_York",
	"CST": "America/Chicago or Asia/Shanghai", "CDT": "America/Chicago", "CST6CDT": "America/Chicago",
	"MST": "America/Denver, or America/Phoenix for no summer time", "MDT": "America/Denver", "MST7MDT": "America/Denver",
	"PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles", "PST8PDT": "America/Los_Angeles",
	"HST": "Pacific/Honolulu", "AST": "America/Halifax", "ADT": "America/Halifax",
	"IST": "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem", "SGT": "Asia/Singapore", "HKT": "Asia/Hong_Kong",
	"JST": "Asia/Tokyo", "KST": "Asia/Seoul", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
	"ACST": "Australia/Adelaide", "AWST": "Australia/Perth", "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
	"SAST": "Africa/Johannesburg", "BRT": "America/Sao_Paulo",
}

// lookUp finds a name in the list, and the name that was meant when it is not
// there: the same letters in another case, the last part alone, or nearly the
// same letters.
func lookUp(name string) (listed bool, near string) {
	best := max(1, len(name)/4) + 1
	for zone := range strings.Lines(zoneNames) {
		zone = strings.TrimSuffix(zone, "\n")
		if zone == name && strings.Contains(zone, "/") {
			return true, ""
		}
		lower, city := strings.ToLower(zone), zone[strings.LastIndexByte(zone, '/')+1:]
		asked := strings.ToLower(strings.ReplaceAll(name, " ", "_"))
		distance := best
		switch {
		case !strings.Contains(zone, "/"):
		case lower == asked:
			distance = 0
		case strings.EqualFold(city, asked):
			distance = 1
		default:
			distance = letters(lower, asked, best)
		}
		if distance < best {
			best, near = distance, zone
		}
	}
	return false, near
}

// letters counts the letters to insert, delete or replace, up to a limit.
func letters(a, b string, limit int) int {
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit {
		return limit
	}
	last, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
		}
		last, row = row, last
	}
	return min(last[len(b)], limit)
}

// embeddedTZ is the release of the zone database inside the time/tzdata of the Go
// version that this was built with. A test compares it with the toolchain.
const embeddedTZ = "2025c"

// TZData says which release of the zone database is in use and where it comes
// from: "2025c (built in)", "2026a (/usr/share/zoneinfo)". Go asks the variable
// ZONEINFO first, then the machine, then the copy in the binary.
func TZData() string {
	for _, dir := range []string{os.Getenv("ZONEINFO"), "/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/usr/lib/locale/TZ", "/etc/zoneinfo"} {
		if dir == "" {
			continue
		}
		if _, err := os.Stat(filepath.Join(dir, "Europe", "London")); err == nil {
			return releaseIn(dir) + " (" + dir + ")"
		}
	}
	return embeddedTZ + " (built in)"
}

// releaseIn reads the release of a zone database on disk, where it says so.
func releaseIn(dir string) string {
	for _, file := range []string{"tzdata.zi", "+VERSION"} {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		line, _ := bufio.NewReaderSize(f, 64).ReadSlice('\n')
		f.Close()
		if text := strings.TrimSpace(strings.TrimPrefix(string(line), "# version ")); text != "" && len(text) < 32 {
			return text
		}
	}
	return "unknown release"
}
