package config_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
)

func update() bool { return flag.Lookup("update").Value.String() == "true" }

// TestCorpus reads every file of testdata. Those in good are accepted; those in
// bad are refused with exactly the text beside them.
func TestCorpus(t *testing.T) {
	t.Parallel()
	good, _ := filepath.Glob("testdata/good/*.yaml")
	bad, _ := filepath.Glob("testdata/bad/*.yaml")
	if len(good) < 4 || len(bad) < 25 {
		t.Fatalf("the corpus is gone: %d good, %d bad", len(good), len(bad))
	}
	for _, name := range good {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := config.Load(name); err != nil {
				t.Errorf("refused:\n%v", err)
			}
		})
	}
	for _, name := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			_, err = config.Parse(src, filepath.Base(name))
			if err == nil {
				t.Fatal("accepted")
			}
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("code: got %q, want invalid", nightporter.CodeOf(err))
			}
			golden(t, strings.TrimSuffix(name, ".yaml")+".txt", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if update() {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

func mustParse(t *testing.T, src string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(src), "/etc/nightporter/nightporter.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := config.Default("/srv/porter")
	for _, tt := range []struct{ what, got, want string }{
		{"listen", c.Listen, "127.0.0.1:8200"},
		{"store", c.Store, "sqlite:/srv/porter/data/nightporter.db"},
		{"data_dir", string(c.DataDir), "/srv/porter/data"},
		{"seal.kind", c.Seal.Kind, "file"},
		{"seal.path", string(c.Seal.Path), "/srv/porter/unseal.key"},
		{"same_user", c.SameUser, "refused"},
		{"log.level", c.Log.Level, "info"},
		{"versions.first", c.Versions.First, "0.1.0"},
		{"run_env", strings.Join(c.RunEnv, " "), "PATH HOME LANG TZ"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.what, tt.got, tt.want)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()

	t.Run("texts are taken as they are written", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load("testdata/good/everything.yaml")
		if err != nil {
			t.Fatal(err)
		}
		// A YAML library that knows numbers would say 1.1.
		if got := c.Services[0].Deploy.ChartVersion; got != "1.10" {
			t.Errorf("chart_version: got %q, want 1.10", got)
		}
		if got := c.Services[1].Deploy.Env["WORKERS"]; got != "4" {
			t.Errorf("env: got %q, want 4", got)
		}
	})

	t.Run("everything.yaml sets every field", func(t *testing.T) {
		t.Parallel()
		c, err := config.Load("testdata/good/everything.yaml")
		if err != nil {
			t.Fatal(err)
		}
		set := map[string]bool{}
		fill(reflect.ValueOf(*c), set)
		for _, f := range allFields(reflect.TypeFor[config.Config](), map[reflect.Type]bool{}) {
			if !set[f] && !unsaid[f] {
				t.Errorf("%s is never set, so nothing shows that it can be read", f)
			}
		}
	})

	t.Run("relative paths start at the file", func(t *testing.T) {
		t.Parallel()
		c := mustParse(t, "store: sqlite:db/x.db\nseal: {path: ../keys/k}\nprices: prices.yaml\ndata_dir: /var/x")
		want := []string{"sqlite:/etc/nightporter/db/x.db", "/etc/keys/k", "/etc/nightporter/prices.yaml", "/var/x"}
		got := []string{c.Store, string(c.Seal.Path), string(c.Prices), string(c.DataDir)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("paths (-want +got):\n%s", diff)
		}
	})

	t.Run("line breaks of another system keep the lines right", func(t *testing.T) {
		t.Parallel()
		_, err := config.Parse([]byte("\ufefflisten: 127.0.0.1:8200\r\n\r\nstroe: x\r\n"), "w.yaml")
		if err == nil || !strings.HasPrefix(err.Error(), "w.yaml:3:1: ") {
			t.Errorf("got %v, want a problem at 3:1", err)
		}
	})

	t.Run("a password in the store's address is a warning that does not repeat it", func(t *testing.T) {
		t.Parallel()
		c := mustParse(t, "store: postgres://porter:hunter2@db.acme.test/porter\nseal: {kind: shamir}\n")
		if len(c.Warnings()) != 1 || strings.Contains(c.Warnings()[0].String(), "hunter2") {
			t.Errorf("got %v, want one warning without the password", c.Warnings())
		}
	})

	t.Run("a variable that sounds like a secret is a warning, and the path of its file is none", func(t *testing.T) {
		t.Parallel()
		for name, want := range map[string]int{"BANK_PASSWORD": 1, "BANK_PASSWORD_FILE": 0, "REGION": 0} {
			c := mustParse(t, "seal: {kind: shamir}\nforges: {g: {kind: mem}}\nteams: {t: {}}\nservices:\n"+
				"  - {name: a, repo: g/a, owner: t, deploy: {kind: mem, env: {"+name+": x}}}\n")
			if got := len(c.Warnings()); got != want {
				t.Errorf("%s: got %v, want %d", name, c.Warnings(), want)
			}
		}
	})

	t.Run("a store may come from a variable", func(t *testing.T) {
		t.Parallel()
		c := mustParse(t, "store: env:STORE")
		url, err := c.StoreURL(func(name string) (string, bool) { return map[string]string{"STORE": "sqlite:x.db"}[name], true })
		if err != nil || url != "sqlite:/etc/nightporter/x.db" {
			t.Errorf("got %q, %v", url, err)
		}
		if _, err := c.StoreURL(func(string) (string, bool) { return "", false }); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("unset variable: got %v, want invalid", err)
		}
	})

	t.Run("tls off lets others in on purpose", func(t *testing.T) {
		t.Parallel()
		if c := mustParse(t, "listen: 0.0.0.0:8200\ntls: off"); !c.TLS.Off || c.TLS.Serves() {
			t.Errorf("got %+v", c.TLS)
		}
	})

	t.Run("a file that is not there says how to make one", func(t *testing.T) {
		t.Parallel()
		_, err := config.Load(filepath.Join(t.TempDir(), "nightporter.yaml"))
		if nightporter.CodeOf(err) != nightporter.NotFound || nightporter.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})

	t.Run("a further check gets its line", func(t *testing.T) {
		t.Parallel()
		check := func(s catalog.Snapshot) []catalog.Problem {
			return []catalog.Problem{{Path: "environments." + s.Environments[0].Name + ".schedule", Message: "there is no such day"}}
		}
		src := "environments:\n  dev:\n    kind: development\n    schedule: Mun-Fri 07:00-21:00\n    timezone: Europe/London\n    cloud: {kind: mem}\n"
		_, err := config.Parse([]byte(src), "n.yaml", check)
		want := "n.yaml:4:15: there is no such day\n    4 |     schedule: Mun-Fri 07:00-21:00\n      |               ^"
		if err == nil || err.Error() != want {
			t.Errorf("got\n%v\nwant\n%s", err, want)
		}
	})

	t.Run("a further check speaks instead of this package about the same place", func(t *testing.T) {
		t.Parallel()
		check := func(catalog.Snapshot) []catalog.Problem {
			return []catalog.Problem{{Path: "environments.dev.timezone", Message: "IST is three zones"}}
		}
		_, err := config.Parse([]byte("environments: {dev: {kind: development, schedule: always, timezone: IST, cloud: {kind: mem}}}"), "n.yaml", check)
		var wrong *config.Error
		if !errors.As(err, &wrong) || len(wrong.Problems) != 1 || wrong.Problems[0].Message != "IST is three zones" {
			t.Errorf("got %v, want one problem, in the words of the check", err)
		}
	})

	t.Run("what a reload cannot change is named", func(t *testing.T) {
		t.Parallel()
		a, b := mustParse(t, ""), mustParse(t, "listen: 127.0.0.1:9\nlog: {level: debug}\nseal: {path: other.key}")
		if diff := cmp.Diff([]string{"listen", "seal"}, a.NeedsRestart(b)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if got := a.NeedsRestart(mustParse(t, "")); got != nil {
			t.Errorf("equal files: got %v", got)
		}
	})
}

// unsaid are the fields that everything.yaml leaves out because they exclude
// others that it has.
var unsaid = map[string]bool{
	"Config.Standby": true, "Config.SameUser": false, "TLS.Off": true, "TLS.CertFile": true, "TLS.KeyFile": true,
	"WaitFor.Check": true, "Standard.Profile": true,
}

func allFields(t reflect.Type, seen map[reflect.Type]bool) []string {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return allFields(t.Elem(), seen)
	}
	if t.Kind() != reflect.Struct || seen[t] || !strings.HasSuffix(t.PkgPath(), "internal/config") || t == reflect.TypeFor[config.SecretRef]() {
		return nil
	}
	seen[t] = true
	var names []string
	for i := range t.NumField() {
		if f := t.Field(i); f.IsExported() {
			names = append(names, t.Name()+"."+f.Name)
			names = append(names, allFields(f.Type, seen)...)
		}
	}
	return names
}

func fill(v reflect.Value, set map[string]bool) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			fill(v.Elem(), set)
		}
	case reflect.Slice:
		for i := range v.Len() {
			fill(v.Index(i), set)
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			fill(it.Value(), set)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				if !v.Field(i).IsZero() {
					set[v.Type().Name()+"."+f.Name] = true
				}
				fill(v.Field(i), set)
			}
		}
	}
}

func TestCatalog(t *testing.T) {
	t.Parallel()
	load := func(t *testing.T, file string) *catalog.World {
		t.Helper()
		c, err := config.Load(file)
		if err != nil {
			t.Fatal(err)
		}
		var k catalog.Catalog
		w, err := k.Load(c.Catalog())
		if err != nil {
			t.Fatal(err)
		}
		return w
	}

	t.Run("the example of the documentation becomes a world", func(t *testing.T) {
		t.Parallel()
		w := load(t, "testdata/good/design.yaml")
		want := catalog.Approval{
			Count: 1, From: []string{"owner"}, Author: catalog.Reviewed,
			Remind: []catalog.Reminder{{After: 4 * time.Hour, Who: "owner"}, {After: 24 * time.Hour, Who: "operators"}},
		}
		if diff := cmp.Diff(want, w.ApprovalFor("ledger", "prod")); diff != "" {
			t.Errorf("approval (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]string{"ana"}, w.Approvers("ledger", "prod")); diff != "" {
			t.Errorf("approvers (-want +got):\n%s", diff)
		}
		ledger, _ := w.Service("ledger")
		if diff := cmp.Diff(catalog.Artifact{Image: "registry.acme.test/ledger:{version}", WaitForCheck: "build"}, ledger.Artifact); diff != "" {
			t.Errorf("artifact (-want +got):\n%s", diff)
		}
		wantSettings := `{"chart":"github/charts/base","chart_version":"1.4.0","dir":".","drain":"10s","kind":"helm","timeout":"15m","values":"helm.yaml"}`
		if got := string(ledger.Deploy.Settings); got != wantSettings {
			t.Errorf("settings: got %s\nwant %s", got, wantSettings)
		}
		if p, ok := w.PersonByForgeLogin("github", "ana-gh"); !ok || p.Name != "ana" {
			t.Errorf("ana-gh is %v", p)
		}
		dev, _ := w.Environment("dev")
		if dev.Schedule.Windows != "Mon-Fri 07:00-21:00" || !dev.Schedule.ReadyBy || dev.Cloud.Repo.Name != "infra" {
			t.Errorf("dev: got %+v", dev)
		}
	})

	t.Run("production asks for its owner when nobody said anything", func(t *testing.T) {
		t.Parallel()
		c := mustParse(t, "environments: {prod: {kind: production}, dev: {kind: development}}")
		for _, e := range c.Catalog().Environments {
			if got, want := e.Approval.Needed(), e.Kind == nightporter.Production; got != want {
				t.Errorf("%s needs an approval: got %v, want %v", e.Name, got, want)
			}
		}
	})

	t.Run("approval none is continuous deployment", func(t *testing.T) {
		t.Parallel()
		c := mustParse(t, "environments: {prod: {kind: production, approval: none}}")
		if c.Catalog().Environments[0].Approval.Needed() {
			t.Error("an approval is needed")
		}
	})

	t.Run("a rule of a service wins", func(t *testing.T) {
		t.Parallel()
		w := load(t, "testdata/good/everything.yaml")
		if w.ApprovalFor("docs", "prod").Needed() || w.ApprovalFor("legacy", "prod").Count != 2 {
			t.Errorf("docs: %+v, legacy: %+v", w.ApprovalFor("docs", "prod"), w.ApprovalFor("legacy", "prod"))
		}
	})
}

func TestInitFile(t *testing.T) {
	t.Parallel()
	c, err := config.Parse(config.InitFile(config.Starter{}), "/home/ana/nightporter.yaml")
	if err != nil {
		t.Fatalf("the starter file is refused:\n%v", err)
	}
	want := config.Default("/home/ana")
	if c.Listen != want.Listen || c.Store != want.Store || c.Seal != want.Seal {
		t.Errorf("got %v %v %v, want the defaults", c.Listen, c.Store, c.Seal)
	}
	if lines := strings.Count(string(config.InitFile(config.Starter{})), "\n"); lines > 60 {
		t.Errorf("a starter of %d lines is not short", lines)
	}

	t.Run("its examples are valid when the comments are taken away", func(t *testing.T) {
		t.Parallel()
		_, examples, _ := strings.Cut(string(config.InitFile(config.Starter{})), "# Where your repositories are.")
		var lines []string
		for line := range strings.Lines(examples) {
			// Prose starts with a capital letter, examples do not.
			text := strings.TrimPrefix(line, "# ")
			if text != line && !(text[0] >= 'A' && text[0] <= 'Z') {
				lines = append(lines, text)
			}
		}
		if _, err := config.Parse([]byte(strings.Join(lines, "")), "x.yaml"); err != nil {
			t.Errorf("refused:\n%v", err)
		}
	})

	t.Run("odd paths survive", func(t *testing.T) {
		t.Parallel()
		key := "/srv/it's: #here/unseal.key"
		c, err := config.Parse(config.InitFile(config.Starter{KeyFile: key}), "/x/n.yaml")
		if err != nil || string(c.Seal.Path) != key {
			t.Errorf("got %v, %v", c, err)
		}
	})
}

func ExampleParse() {
	_, err := config.Parse([]byte(`
environments:
  dev:
    kind: development
    timezome: Europe/London
`), "nightporter.yaml")
	var wrong *config.Error
	if errors.As(err, &wrong) {
		fmt.Println(wrong.Problems[0])
	}
	// Output:
	// nightporter.yaml:5:5: unknown key "timezome" in environments.dev
	//     5 |     timezome: Europe/London
	//       |     ^
	// hint: did you mean "timezone"?
}

func ExampleConfig_Catalog() {
	c, err := config.Load("testdata/good/design.yaml")
	if err != nil {
		fmt.Println(err)
		return
	}
	var k catalog.Catalog
	w, err := k.Load(c.Catalog())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(w.Stages("ledger"), w.Approvers("ledger", "prod"))
	// Output: [[dev preprod] [prod]] [ana]
}

func ExampleSecretRef_Resolve() {
	c, _ := config.Parse([]byte("store: postgres://db.acme.test/porter\nstore_password: env:PASSWORD"), "nightporter.yaml")
	secret, err := c.StorePassword.Resolve(context.Background(), config.Secrets{
		LookupEnv: func(string) (string, bool) { return "correct horse", true },
	})
	fmt.Println(c.StorePassword, len(secret), err)
	// Output: env:PASSWORD 13 <nil>
}

func FuzzParse(f *testing.F) {
	for _, dir := range []string{"good", "bad"} {
		names, _ := filepath.Glob("testdata/" + dir + "/*.yaml")
		for _, name := range names {
			src, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(src)
		}
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		c, err := config.Parse(src, "/fuzz/nightporter.yaml")
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v", c, err)
		}
		if err != nil {
			if err.Error() == "" {
				t.Error("refused without a reason")
			}
			return
		}
		// What was accepted is a world that can be loaded.
		var k catalog.Catalog
		if _, err := k.Load(c.Catalog()); err != nil {
			t.Errorf("accepted, and then: %v", err)
		}
	})
}

func BenchmarkParse1000Services(b *testing.B) {
	var src strings.Builder
	src.WriteString("forges: {github: {kind: mem}}\nteams: {t: {}}\nservices:\n")
	for i := range 1000 {
		fmt.Fprintf(&src, "  - name: s%d\n    repo: github/s%d\n    owner: t\n    deploy: {kind: process}\n", i, i)
	}
	for b.Loop() {
		if _, err := config.Parse([]byte(src.String()), "n.yaml"); err != nil {
			b.Fatal(err)
		}
	}
}
