package database_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		dialect database.Dialect
		items   []string
		want    []string
	}{
		"a list stays a list":                        {database.PostgreSQL, []string{"A", "B"}, []string{"A", "B"}},
		"semicolons cut":                             {database.PostgreSQL, []string{"A; B ;\n C;"}, []string{"A", "B", "C"}},
		"empty pieces and comments are dropped":      {database.PostgreSQL, []string{";; -- nothing; here\n ; /* or; here */ ;A"}, []string{"A"}},
		"not inside strings":                         {database.PostgreSQL, []string{`SELECT 'a;''b;'; B`}, []string{`SELECT 'a;''b;'`, "B"}},
		"not inside names":                           {database.PostgreSQL, []string{`SELECT "a;""b;"; B`}, []string{`SELECT "a;""b;"`, "B"}},
		"not inside escape strings":                  {database.PostgreSQL, []string{`SELECT E'a\';b'; B`}, []string{`SELECT E'a\';b'`, "B"}},
		"a backslash in a plain string is itself":    {database.PostgreSQL, []string{`SELECT 'a\'; B`}, []string{`SELECT 'a\'`, "B"}},
		"but not in MySQL":                           {database.MySQL, []string{`SELECT 'a\';b'; B`}, []string{`SELECT 'a\';b'`, "B"}},
		"not inside dollar quotes":                   {database.PostgreSQL, []string{"DO $$ A; B; $$; C"}, []string{"DO $$ A; B; $$", "C"}},
		"nor tagged ones":                            {database.PostgreSQL, []string{"DO $x$ A; $$ B; $x$; C"}, []string{"DO $x$ A; $$ B; $x$", "C"}},
		"a parameter is no dollar quote":             {database.PostgreSQL, []string{"A $1; B $2"}, []string{"A $1", "B $2"}},
		"nor a dollar inside a word":                 {database.PostgreSQL, []string{"A a$b$; B a$b$"}, []string{"A a$b$", "B a$b$"}},
		"comments nest in PostgreSQL":                {database.PostgreSQL, []string{"A /* ; /* ; */ ; */ B; C"}, []string{"A /* ; /* ; */ ; */ B", "C"}},
		"and do not in MySQL":                        {database.MySQL, []string{"A /* ; /* ; */ ; B"}, []string{"A /* ; /* ; */", "B"}},
		"a hash begins a comment in MySQL":           {database.MySQL, []string{"A # ;\n; B"}, []string{"A # ;", "B"}},
		"two hyphens need a space in MySQL":          {database.MySQL, []string{"A 1--1; B"}, []string{"A 1--1", "B"}},
		"not inside backticks":                       {database.MySQL, []string{"A `;`; B"}, []string{"A `;`", "B"}},
		"MySQL runs some comments":                   {database.MySQL, []string{"/*!50000 A */"}, []string{"/*!50000 A */"}},
		"a block with END stays whole (Vault)":       {database.PostgreSQL, []string{"BEGIN; A; END ; B"}, []string{"BEGIN; A; END ; B"}},
		"END in quotes makes no block":               {database.PostgreSQL, []string{"A ' END '; B"}, []string{"A ' END '", "B"}},
		"the body of an SQL function stays whole":    {database.PostgreSQL, []string{"CREATE FUNCTION f() BEGIN ATOMIC A; END"}, []string{"CREATE FUNCTION f() BEGIN ATOMIC A; END"}},
		"MySQL has no blocks here, as Vault has it":  {database.MySQL, []string{"A; END ; B"}, []string{"A", "END", "B"}},
		"no items are no statements":                 {database.PostgreSQL, nil, nil},
		"an E at the end of a word is no E string":   {database.PostgreSQL, []string{`SELECT TRUE'\'; B`}, []string{`SELECT TRUE'\'`, "B"}},
		"a unicode string keeps its semicolon":       {database.PostgreSQL, []string{`SELECT U&'\0041;'; B`}, []string{`SELECT U&'\0041;'`, "B"}},
		"a string may span lines and hold a comment": {database.PostgreSQL, []string{"SELECT 'a -- \n; /*'; B"}, []string{"SELECT 'a -- \n; /*'", "B"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := database.Statements(c.dialect, c.items)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("statements (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatementsRefuses(t *testing.T) {
	t.Parallel()
	for _, item := range []string{
		"SELECT 'open", `SELECT "open`, "SELECT /* open", "SELECT $$ open", "SELECT $x$ open $$", `SELECT E'open\'`,
		"SELECT '\x00'", "SELECT {{nmae}}", strings.Repeat("A", 1<<17),
	} {
		_, err := database.Statements(database.PostgreSQL, []string{item})
		if nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("%.40q: got %v, want invalid", item, err)
		}
	}
}

func TestFill(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 21, 0, 5, 0, time.UTC)
	plain := database.Values{Username: "v-app-1", Password: "Pw-1", Expiration: at}
	wild := database.Values{Username: `a"b'c` + "`" + `\`, Password: `'"` + "`" + `\; DROP`, Expiration: at}
	for name, c := range map[string]struct {
		dialect   database.Dialect
		statement string
		values    database.Values
		want      string
	}{
		"every placeholder": {
			database.PostgreSQL, `A "{{name}}" "{{username}}" '{{password}}' '{{expiration}}'`, plain,
			`A "v-app-1" "v-app-1" 'Pw-1' '2026-11-22 21:00:05+0000'`,
		},
		"spaces inside the braces":     {database.PostgreSQL, `A "{{ name }}"`, plain, `A "v-app-1"`},
		"a value is escaped in a name": {database.PostgreSQL, `A "{{name}}"`, wild, `A "a""b'c` + "`" + `\"`},
		"in a string":                  {database.PostgreSQL, `A '{{password}}'`, wild, `A '''"` + "`" + `\; DROP'`},
		"in an escape string":          {database.PostgreSQL, `A E'{{password}}'`, wild, `A E'''"` + "`" + `\\; DROP'`},
		"in MySQL's strings":           {database.MySQL, `A '{{password}}' "{{password}}"`, wild, `A '''"` + "`" + `\\; DROP' "'""` + "`" + `\\; DROP"`},
		"in MySQL's names":             {database.MySQL, "A `{{name}}`", wild, "A `a\"b'c``\\`"},
		"a comment is left alone":      {database.PostgreSQL, "A /* {{password}} */", wild, "A /* {{password}} */"},
		"a word may stand alone":       {database.PostgreSQL, "A {{name}}", database.Values{Username: "app_1"}, "A app_1"},
		"inside a dollar quote":        {database.PostgreSQL, `DO $$ A "{{name}}" $$`, plain, `DO $$ A "v-app-1" $$`},
		"a value is not filled again":  {database.PostgreSQL, `A "{{name}}"`, database.Values{Username: "{{password}}", Password: "x"}, `A "{{password}}"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := database.Fill(c.dialect, c.statement, c.values)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("filled (-want +got):\n%s", diff)
			}
		})
	}
	for name, c := range map[string]struct {
		statement string
		values    database.Values
	}{
		"a name that would begin a comment":       {"GRANT a TO {{name}}", database.Values{Username: "a--b"}},
		"a hyphen without quotes":                 {"GRANT a TO {{name}}", plain},
		"a statement instead of a name":           {"GRANT a TO {{name}}", database.Values{Username: "a; DROP ROLE b"}},
		"a quote inside a dollar quote":           {`DO $$ A '{{password}}' $$`, wild},
		"a dollar inside a dollar quote":          {`DO $$ A '{{password}}' $$`, database.Values{Password: "a$$b"}},
		"a comment inside a dollar quote":         {`DO $$ A {{name}} $$`, database.Values{Username: "a--b"}},
		"a backslash inside a unicode string":     {`A U&'{{password}}'`, database.Values{Password: `\0027`}},
		"a NUL":                                   {`A '{{password}}'`, database.Values{Password: "a\x00b"}},
		"a moment without quotes":                 {`A {{expiration}}`, plain},
		"nothing where something should stand":    {`A {{name}}`, database.Values{}},
		"a placeholder that does not exist":       {`A {{secret}}`, plain},
		"a statement that does not close a quote": {`A '{{password}}`, plain},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			t.Parallel()
			got, err := database.Fill(database.PostgreSQL, c.statement, c.values)
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("got %q, %v; want invalid", got, err)
			}
		})
	}
}

func TestWarnings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		items []string
		want  []string // a word of each warning
	}{
		"a good role": {[]string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}' IN ROLE app; GRANT app TO "{{name}}"`}, nil},
		"a grant to each login": {
			[]string{`CREATE ROLE "{{name}}" LOGIN PASSWORD '{{password}}'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO "{{name}}"`},
			[]string{"statement 2"},
		},
		"no name and no password": {[]string{"SELECT 1"}, []string{"{{name}}", "{{password}}"}},
		"a broken statement":      {[]string{"SELECT '"}, []string{"not closed"}},
		"nothing":                 {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := database.Warnings(database.PostgreSQL, c.items)
			if len(got) != len(c.want) {
				t.Fatalf("got %q, want %d warnings", got, len(c.want))
			}
			for i := range got {
				if !strings.Contains(got[i], c.want[i]) {
					t.Errorf("got %q, want something about %s", got[i], c.want[i])
				}
			}
		})
	}
}

func TestScrub(t *testing.T) {
	t.Parallel()
	got := database.Scrub(`syntax error at or near "Def456" in 'abc123-Def456-x'`, "abc123-Def456-x")
	if strings.Contains(got, "abc123") || strings.Contains(got, "Def456") {
		t.Errorf("got %s", got)
	}
	if got := database.Scrub("nothing to hide", ""); got != "nothing to hide" {
		t.Errorf("got %s", got)
	}
}

// FuzzFill checks that no value changes the shape of a statement: cut into single
// statements, the filled list has as many as the list had.
func FuzzFill(f *testing.F) {
	for _, v := range []string{"a", "'", `"`, `\`, "`", "--", "/*", "$$", ";", "{{name}}", "\x00", "é"} {
		f.Add(`CREATE ROLE "{{name}}" PASSWORD '{{password}}'; DO $$ A "{{name}}" $$; B E'{{password}}'`, v, v)
		f.Add("A {{name}} -- {{name}}\n; B `{{name}}`", v, v)
	}
	f.Fuzz(func(t *testing.T, text, username, password string) {
		for _, d := range []database.Dialect{database.PostgreSQL, database.MySQL} {
			statements, err := database.Statements(d, []string{text})
			if err != nil {
				continue
			}
			for _, s := range statements {
				before, err := database.Statements(d, []string{s})
				if err != nil || strings.Contains(username+password, "{{") {
					continue
				}
				filled, err := database.Fill(d, s, database.Values{Username: username, Password: password})
				if err != nil {
					continue
				}
				after, err := database.Statements(d, []string{filled})
				if err != nil {
					t.Fatalf("filling %q with %q and %q made %q, which does not lex: %v", s, username, password, filled, err)
				}
				if len(after) != len(before) {
					t.Fatalf("filling %q with %q and %q made %d statements of %d: %q", s, username, password, len(after), len(before), after)
				}
			}
		}
	})
}
