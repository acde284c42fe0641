package cli_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"nightporter.dev/nightporter/internal/cli"
)

func TestInitPrintsTheRootTokenOnce(t *testing.T) {
	t.Parallel()
	cfg := cli.Config{Init: func(_ context.Context, o cli.InitOptions) (cli.InitResult, error) {
		return cli.InitResult{Config: o.Dir + "/nightporter.yaml", RootToken: "npt_root", UnsealKeyFile: "/etc/key"}, nil
	}}
	r := newPorter(t).run(piped, cfg, "init", "/srv", "--json")
	want := "{\n  \"config\": \"/srv/nightporter.yaml\",\n  \"root_token\": \"npt_root\",\n  \"unseal_key_file\": \"/etc/key\"\n}\n"
	if r.code != 0 || r.stdout != want || r.stderr != "" {
		t.Errorf("%+v", r)
	}
	r = newPorter(t).run(piped, cfg, "init")
	if r.code != 0 || strings.Count(r.stdout+r.stderr, "npt_root") != 1 || !strings.Contains(r.stderr, "nightporter server --config ./nightporter.yaml") {
		t.Errorf("%+v", r)
	}
}

func TestServerFlags(t *testing.T) {
	t.Parallel()
	var got cli.ServerOptions
	cfg := cli.Config{Server: func(_ context.Context, o cli.ServerOptions) error { got = o; return nil }}
	for args, want := range map[string]cli.ServerOptions{
		"":                               {Config: "nightporter.yaml"},
		"--config a.yaml":                {Config: "a.yaml", ConfigExplicit: true},
		"--dev":                          {Dev: true},
		"--dev --config b":               {Dev: true, Config: "b", ConfigExplicit: true},
		"--listen=:0 --dev":              {Dev: true, Listen: ":0"},
		"--address-file f":               {Config: "nightporter.yaml", AddressFile: "f"},
		"--store sqlite:x":               {Config: "nightporter.yaml", Store: "sqlite:x"},
		"--demo-clock http:":             {Config: "nightporter.yaml", DemoClock: "http:"},
		"--dev --dev-root-token-id=root": {Dev: true, DevRootToken: "root"},
	} {
		r := newPorter(t).run(piped, cfg, append([]string{"server"}, strings.Fields(args)...)...)
		if diff := cmp.Diff(want, got); diff != "" || r.code != 0 {
			t.Errorf("server %s: exit %d (-want +got):\n%s%s", args, r.code, diff, r.stderr)
		}
	}
	if r := newPorter(t).run(piped, cfg, "server", "--dev-root-token-id=root"); r.code != 2 {
		t.Errorf("a root token without --dev: %+v", r)
	}
}

func TestAServerThatWasAskedToStopIsDone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cfg := cli.Config{Server: func(ctx context.Context, _ cli.ServerOptions) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	if r := newPorter(t).runContext(ctx, piped, cfg, "server"); r.code != 0 || r.stderr != "" {
		t.Errorf("%+v", r)
	}
}

func TestValidate(t *testing.T) {
	t.Parallel()
	var path string
	cfg := cli.Config{Validate: func(_ context.Context, p string) ([]string, error) {
		if path = p; p == "bad.yaml" {
			return nil, errors.New("bad.yaml:3:1: unknown key \"servces\"; did you mean services?\nbad.yaml:9:1: the list is empty")
		}
		return []string{"service ledger has no health check"}, nil
	}}
	r := newPorter(t).run(piped, cfg, "validate")
	if r.code != 0 || path != "nightporter.yaml" || r.stdout != "nightporter.yaml is valid.\n" || r.stderr != "warning: service ledger has no health check\n" {
		t.Errorf("%+v of %s", r, path)
	}
	r = newPorter(t).run(piped, cfg, "validate", "--config", "bad.yaml")
	if r.code != 1 || !strings.HasPrefix(r.stderr, "error: bad.yaml:3:1: unknown key") || !strings.Contains(r.stderr, "\nbad.yaml:9:1:") {
		t.Errorf("%+v", r)
	}
	if r = newPorter(t).run(piped, cfg, "validate", "bad.yaml", "--json"); r.code != 1 || !strings.Contains(r.stdout, `"valid": false`) {
		t.Errorf("%+v", r)
	}
}

func TestConfigSchema(t *testing.T) {
	t.Parallel()
	cfg := cli.Config{Schema: func() ([]byte, error) { return []byte("{}\n"), nil }}
	if r := newPorter(t).run(piped, cfg, "config", "schema"); r.code != 0 || r.stdout != "{}\n" {
		t.Errorf("%+v", r)
	}
}

func TestACommandWithoutItsFunctionDoesNotExist(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"init", "server", "validate", "config", "schedule"} {
		if r := newPorter(t).run(piped, cli.Config{}, command); r.code != 2 || !strings.Contains(r.stderr, "there is no command") {
			t.Errorf("%s: %+v", command, r)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	signIn := func() *porter {
		p := newPorter(t).says("POST /api/login", 200, `{"token":"npt_new","accessor":"a","expires_at":"2026-12-24T12:00:00Z"}`)
		delete(p.env, "NIGHTPORTER_TOKEN")
		return p
	}
	t.Run("keeps the token for its owner only", func(t *testing.T) {
		t.Parallel()
		p := signIn()
		path := filepath.Join(p.home, ".vault-token")
		if err := os.WriteFile(path, []byte("npt_old"), 0o644); err != nil {
			t.Fatal(err)
		}
		r := p.run(piped, cli.Config{Stdin: strings.NewReader("correct horse\n")}, "login", "ana", "--password-stdin")
		if r.code != 0 || r.stdout != "" || strings.Contains(r.stderr, "npt_") {
			t.Errorf("%+v", r)
		}
		b, _ := os.ReadFile(path)
		info, err := os.Stat(path)
		if string(b) != "npt_new" || err != nil || info.Mode()&fs.ModePerm != 0o600 {
			t.Errorf("%s holds %q with mode %v", path, b, info.Mode())
		}
		if diff := cmp.Diff([]string{`POST /api/login {"username":"ana","password":"correct horse"}`}, p.changes()); diff != "" {
			t.Error(diff)
		}
		if p.auth[0] != "" {
			t.Errorf("the old token was sent along: %q", p.auth[0])
		}
		p.says("GET /api/whoami", 200, `{"name":"ana"}`).run(piped, cli.Config{}, "token", "whoami")
		if got := p.auth[1]; got != "Bearer npt_new" {
			t.Errorf("the next command sends %q", got)
		}
	})
	t.Run("asks at a terminal", func(t *testing.T) {
		t.Parallel()
		p := signIn()
		r := p.run(onScreen, cli.Config{Stdin: strings.NewReader("correct horse\n")}, "login", "ana")
		if r.code != 0 || !strings.HasPrefix(r.stderr, "Password: ") || len(p.changes()) != 1 {
			t.Errorf("%+v", r)
		}
	})
	t.Run("warns about a variable that hides the new token", func(t *testing.T) {
		t.Parallel()
		p := signIn()
		p.env["VAULT_TOKEN"] = "hvs.other"
		r := p.run(piped, cli.Config{Stdin: strings.NewReader("p")}, "login", "ana", "--password-stdin")
		if !strings.Contains(r.stderr, "warning: VAULT_TOKEN is set") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("prints it instead", func(t *testing.T) {
		t.Parallel()
		p := signIn()
		r := p.run(piped, cli.Config{Stdin: strings.NewReader("p")}, "login", "ana", "--password-stdin", "--print")
		if _, err := os.Stat(filepath.Join(p.home, ".vault-token")); r.stdout != "npt_new\n" || err == nil {
			t.Errorf("%+v, %v", r, err)
		}
	})
	t.Run("a wrong password is exit 5", func(t *testing.T) {
		t.Parallel()
		p := newPorter(t).says("POST /api/login", 401, `{"code":"unauthenticated","detail":"invalid username or password"}`)
		r := p.run(piped, cli.Config{Stdin: strings.NewReader("p")}, "login", "ana", "--password-stdin")
		if r.code != 5 || !strings.HasPrefix(r.stderr, "error: invalid username or password\n") {
			t.Errorf("%+v", r)
		}
	})
	t.Run("signs a browser in with a link", func(t *testing.T) {
		t.Parallel()
		p := newPorter(t).says("POST /api/login/code", 200, `{"code":"C","url":"http://127.0.0.1:8200/login?code=C"}`)
		if r := p.run(piped, cli.Config{}, "login", "ana", "--link"); r.code != 0 || r.stdout != "http://127.0.0.1:8200/login?code=C\n" {
			t.Errorf("%+v", r)
		}
	})
}

func TestTokenCreateLeavesTheTokenAloneOnStdout(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("POST /api/tokens", 200, `{"token":"npt_child","accessor":"acc-9"}`)
	r := p.run(piped, cli.Config{}, "token", "create", "--name", "ci", "-p", "developer", "--ttl", "24h")
	if r.code != 0 || r.stdout != "npt_child\n" || !strings.Contains(r.stderr, "acc-9") || strings.Contains(r.stderr, "npt_child") {
		t.Errorf("%+v", r)
	}
	want := []string{`POST /api/tokens {"display_name":"ci","policies":["developer"],"ttl":"24h0m0s"}`}
	if diff := cmp.Diff(want, p.changes()); diff != "" {
		t.Error(diff)
	}
}

// TestWhereTheTokenAndTheAddressComeFrom is DESIGN §5's order.
func TestWhereTheTokenAndTheAddressComeFrom(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /api/whoami", 200, `{"name":"ana"}`)
	write := func(name, token string) string {
		path := filepath.Join(p.home, name)
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(".vault-token", "from-home")
	file := write("token", "from-flag")
	address := p.server.URL
	dead := "http://127.0.0.1:1"
	for _, tt := range []struct {
		want string
		env  map[string]string
		args []string
	}{
		{"Bearer from-home", map[string]string{"VAULT_ADDR": address}, nil},
		{"Bearer from-vault", map[string]string{"VAULT_ADDR": address, "VAULT_TOKEN": "from-vault"}, nil},
		{"Bearer ours", map[string]string{"NIGHTPORTER_ADDR": address, "VAULT_ADDR": dead, "VAULT_TOKEN": "from-vault", "NIGHTPORTER_TOKEN": "ours"}, nil},
		{"Bearer from-flag", map[string]string{"NIGHTPORTER_ADDR": dead, "NIGHTPORTER_TOKEN": "ours"}, []string{"--address", address, "--token-file", file}},
	} {
		p.env = tt.env
		p.env["HOME"] = p.home
		p.auth = nil
		r := p.run(piped, cli.Config{}, append([]string{"token", "whoami"}, tt.args...)...)
		if r.code != 0 || len(p.auth) != 1 || p.auth[0] != tt.want {
			t.Errorf("%v %v: exit %d, sent %q, want %q\n%s", tt.env, tt.args, r.code, p.auth, tt.want, r.stderr)
		}
	}
	p.env = map[string]string{}
	if r := p.run(piped, cli.Config{}, "token", "whoami", "--address", address); r.code != 0 || p.auth[len(p.auth)-1] != "" {
		t.Errorf("without a home and a token: %+v", r)
	}
}
