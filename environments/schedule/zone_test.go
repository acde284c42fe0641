package schedule

import (
	"archive/zip"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
)

var update = flag.Bool("update", false, "write zones.txt anew")

// goroot is the folder of the toolchain that runs this test.
func goroot(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("NOT RUN: there is no toolchain to compare with: %v", err)
	}
	return strings.TrimSpace(string(out))
}

func TestZoneNames(t *testing.T) {
	z, err := zip.OpenReader(filepath.Join(goroot(t), "lib", "time", "zoneinfo.zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	var names []string
	for _, f := range z.File {
		if !strings.HasSuffix(f.Name, "/") && f.Name != "Factory" && f.Name != "posixrules" {
			names = append(names, f.Name)
		}
	}
	slices.Sort(names)
	want := strings.Join(names, "\n") + "\n"
	if *update {
		if err := os.WriteFile("zones.txt", []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if zoneNames != want {
		t.Error("zones.txt is not the toolchain's list any more; go generate ./environments/schedule")
	}
}

func TestTZData(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile(filepath.Join(goroot(t), "lib", "time", "update.bash"))
	if err != nil {
		t.Skipf("NOT RUN: the toolchain does not say which release it carries: %v", err)
	}
	if !strings.Contains(string(script), "\nDATA="+embeddedTZ+"\n") {
		t.Errorf("the toolchain carries another release than %s; change embeddedTZ", embeddedTZ)
	}
	if got := TZData(); !strings.Contains(got, "20") || !strings.HasSuffix(got, ")") {
		t.Errorf("got %q, want a release and where it is", got)
	}
}

func TestLoadZone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"Europe/London", "America/Argentina/Buenos_Aires", "Australia/Lord_Howe", "UTC", "Etc/UTC"} {
		if _, err := LoadZone(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, hint := range map[string]string{
		"":                 "Europe/London",
		"Local":            "Europe/London",
		"local":            "Europe/London",
		"BST":              "Europe/London",
		"IST":              "Asia/Kolkata, Europe/Dublin or Asia/Jerusalem",
		"est":              "America/New_York",
		"EST5EDT":          "America/New_York",
		"+01:00":           "Europe/London",
		"-05":              "Europe/London",
		"UTC+1":            "Europe/London",
		"GMT-5":            "Europe/London",
		"Etc/GMT+5":        "Europe/London",
		"GMT":              "Europe/London",
		"Europe/Lodnon":    "Europe/London",
		"europe/london":    "Europe/London",
		"London":           "Europe/London",
		"new york":         "America/New_York",
		"America/New York": "America/New_York",
		"Singapore":        "Asia/Singapore",
		"Mars/Olympus":     "Europe/London",
		"../../etc/passwd": "Europe/London",
		"/etc/localtime":   "Europe/London",
	} {
		_, err := LoadZone(name)
		if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.HintOf(err), hint) {
			t.Errorf("%q: got %v with hint %q, want a refusal that suggests %s", name, err, nightporter.HintOf(err), hint)
		}
	}
}
