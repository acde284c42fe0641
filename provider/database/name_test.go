package database_test

import (
	"bytes"
	"errors"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	key  = bytes.Repeat([]byte{7}, 32)
)

func namer(t testing.TB, plugin, template string) *database.Namer {
	t.Helper()
	n, err := database.NewNamer(database.NamerConfig{Plugin: plugin, Template: template, Key: key, Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestNames(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plugin, template, display, role, want string
	}{
		"PostgreSQL's default (Vault)":   {database.PluginPostgreSQL, "", "token", "app", `v-token-app-[a-z0-9]{20}-1795348800`},
		"its parts are cut to eight":     {database.PluginPostgreSQL, "", "userpass-ana", "affordability", `v-userpass-affordab-[a-z0-9]{20}-1795348800`},
		"MySQL's default":                {database.PluginMySQL, "", "token", "app", `v-token-app-[a-z0-9]{20}`},
		"an old MySQL's default":         {database.PluginMySQLLegacy, "", "token", "application", `v-appl-[a-z0-9]{9}`},
		"wild characters become hyphens": {database.PluginPostgreSQL, "{{.DisplayName}}_{{.RoleName}}", `a"b'c;d`, "ü\x00 -x", `a-b-c-d_-x`},
		"random":                         {database.PluginPostgreSQL, "{{random 5}}", "", "", `[a-z0-9]{5}`},
		"truncate":                       {database.PluginPostgreSQL, "{{.RoleName | truncate 3}}", "", "abcdef", `abc`},
		"truncate_sha256":                {database.PluginPostgreSQL, "{{.RoleName | truncate_sha256 12}}", "", "abcdefabcdefabcdef", `abcd[0-9a-f]{8}`},
		"lowercase and uppercase":        {database.PluginPostgreSQL, "{{.RoleName | lowercase}}{{.RoleName | uppercase}}", "", "aB", `abAB`},
		"replace":                        {database.PluginPostgreSQL, `{{.RoleName | replace "-" "_"}}`, "", "a-b", `a_b`},
		"sha256":                         {database.PluginPostgreSQL, `{{.RoleName | sha256 | truncate 8}}`, "", "a", `ca978112`},
		"base64":                         {database.PluginPostgreSQL, `{{.RoleName | base64}}`, "", "abcd", `YWJjZA`},
		"unix_time_millis":               {database.PluginPostgreSQL, `{{unix_time_millis}}`, "", "", `1795348800000`},
		"timestamp":                      {database.PluginPostgreSQL, `{{timestamp "2006-01-02T15:04"}}`, "", "", `2026-11-22T12-00`},
		"uuid":                           {database.PluginPostgreSQL, `{{uuid}}`, "", "", `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}`},
		"what is too long stays unique":  {database.PluginMySQL, `{{.RoleName}}-{{random 20}}`, "", strings.Repeat("r", 60), `r{24}[0-9a-f]{8}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := namer(t, c.plugin, c.template).Name(c.display, c.role)
			if err != nil {
				t.Fatal(err)
			}
			if !regexp.MustCompile("^" + c.want + "$").MatchString(got) {
				t.Errorf("got %q, want %s", got, c.want)
			}
			if !database.ValidName(c.plugin, got) {
				t.Errorf("%q is not valid", got)
			}
		})
	}
}

func TestNamesRefuse(t *testing.T) {
	t.Parallel()
	for name, template := range map[string]string{
		"a template that does not parse":   "{{",
		"a function that is not there":     "{{env}}",
		"a field that is not there":        "{{.Password}}",
		"characters that no login has":     `{{.RoleName}}"; DROP`,
		"an empty name":                    " ",
		"too much chance":                  "{{random 100000}}",
		"no chance":                        "{{random 0}}",
		"a width that fills the memory":    `{{printf "%999999999d" 1}}`,
		"a width from an argument":         `{{printf "%*d" 999999999 1}}`,
		"a template without an end":        `{{define "a"}}x{{template "a"}}{{end}}{{template "a"}}`,
		"a template of many kilobytes":     strings.Repeat("a", 5000),
		"truncating to nothing":            `{{.RoleName | truncate 0}}`,
		"truncating to less than its hash": `{{.RoleName | truncate_sha256 8}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := database.NewNamer(database.NamerConfig{Plugin: database.PluginPostgreSQL, Template: template})
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("got %v, want invalid", err)
			}
		})
	}
	if _, err := database.NewNamer(database.NamerConfig{Random: iotest.ErrReader(errors.New("no chance"))}); err == nil {
		t.Error("a namer without chance made a name")
	}
}

func TestMark(t *testing.T) {
	t.Parallel()
	ours := namer(t, database.PluginPostgreSQL, "")
	for range 50 {
		name, err := ours.Name("token", "app")
		if err != nil {
			t.Fatal(err)
		}
		if !ours.Marked(name) {
			t.Errorf("%s is not recognised", name)
		}
		if i := len("v-token-app-"); ours.Marked(name[:i]+"0"+name[i+1:]+"x") && name[i] != '0' {
			t.Errorf("%s is recognised with another character in it", name)
		}
		other, err := database.NewNamer(database.NamerConfig{Key: []byte("another installation")})
		if err != nil {
			t.Fatal(err)
		}
		if other.Marked(name) {
			t.Errorf("another installation takes %s for its own", name)
		}
	}
	for _, theirs := range []string{"", "postgres", "v-token-app-I4RTBjlJFRJI2TgipYNO-1795347375", strings.Repeat("a", 63), strings.Repeat("ü", 20)} {
		if ours.Marked(theirs) {
			t.Errorf("%q carries our mark", theirs)
		}
	}
	shouted, err := namer(t, database.PluginPostgreSQL, "X_{{random 24 | uppercase}}_Y").Name("", "")
	if err != nil {
		t.Fatal(err)
	}
	if !ours.Marked(shouted) {
		t.Errorf("%s is not recognised in capitals", shouted)
	}
	short, err := namer(t, database.PluginPostgreSQL, "{{random 15}}").Name("", "")
	if err != nil {
		t.Fatal(err)
	}
	if ours.Marked(short) {
		t.Errorf("%s is too short for a mark", short)
	}
}

func FuzzName(f *testing.F) {
	f.Add("", "token", "app")
	f.Add("{{.DisplayName}}-{{.RoleName | truncate 9}}-{{random 20}}", "a\x00b", `"; DROP`)
	f.Fuzz(func(t *testing.T, template, display, role string) {
		for _, plugin := range []string{database.PluginPostgreSQL, database.PluginMySQL, database.PluginMySQLLegacy} {
			n, err := database.NewNamer(database.NamerConfig{Plugin: plugin, Template: template, Key: key})
			if err != nil {
				continue
			}
			name, err := n.Name(display, role)
			if err == nil && !database.ValidName(plugin, name) {
				t.Errorf("%q made %q for %s", template, name, plugin)
			}
		}
	})
}

func TestPassword(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 500 {
		p, err := database.Password()
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{19}$`).MatchString(p) {
			t.Errorf("got %s", p)
		}
		for _, of := range []string{"[a-z]", "[A-Z]", "[0-9]", "-"} {
			if !regexp.MustCompile(of).MatchString(p) {
				t.Errorf("%s has no %s", p, of)
			}
		}
		if seen[p] {
			t.Errorf("%s came twice", p)
		}
		seen[p] = true
	}
}
