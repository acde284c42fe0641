package cli_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/cli"
)

// TestEachCodeOfTheServerHasItsExitCode walks the codes of DESIGN §5.
func TestEachCodeOfTheServerHasItsExitCode(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		code   nightporter.Code
		status int
		want   int
	}{
		{nightporter.Invalid, 400, 1},
		{nightporter.Unauthenticated, 401, 5},
		{nightporter.Denied, 403, 5},
		{nightporter.OwnChange, 403, 5},
		{nightporter.Protected, 403, 5},
		{nightporter.NotFound, 404, 4},
		{nightporter.Conflict, 409, 1},
		{nightporter.Frozen, 409, 1},
		{nightporter.Declared, 409, 1},
		{nightporter.KeyReused, 422, 1},
		{nightporter.Limited, 429, 1},
		{nightporter.Internal, 500, 1},
		{nightporter.Sealed, 503, 1},
		{nightporter.Unavailable, 503, 1},
	} {
		t.Run(string(tt.code), func(t *testing.T) {
			t.Parallel()
			p := newPorter(t).says("POST /api/releases/rel_1/approve", tt.status,
				fmt.Sprintf(`{"code":%q,"detail":"that did not work","hint":"try the other door","request_id":"req-7"}`, tt.code))
			r := p.run(piped, cli.Config{}, "release", "approve", "rel_1")
			want := "error: that did not work\nhint:  try the other door\nrequest: req-7\n"
			if r.code != tt.want || r.stderr != want || r.stdout != "" {
				t.Errorf("exit %d, stdout %q, stderr\n%s\nwant exit %d and\n%s", r.code, r.stdout, r.stderr, tt.want, want)
			}
		})
	}
}

func TestWrongUsageIsExit2WithAHint(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ args, message, hint string }{
		{"relase board", `there is no command "nightporter relase"`, "did you mean: nightporter release"},
		{"release aprove ledger --yes", `there is no command "nightporter release aprove"`, "did you mean: nightporter release approve"},
		{"relase board --watch", `there is no command "nightporter relase"`, "did you mean: nightporter release"},
		{"release board --loud", "unknown flag: --loud", "nightporter release board --help"},
		{"release approve", "nightporter release approve needs more words", "nightporter release approve ID|SERVICE [flags]"},
		{"release list everything", `nightporter release list does not know what to do with "everything"`, ""},
		{"release hold ledger", "this needs a reason", "--reason"},
		{"release retry ledger --override-freeze=", "passing a freeze needs a reason", "why it cannot wait"},
		{"release freeze prod --reason x", "until when?", "--until 18:00"},
		{"release freeze prod --reason x --until yesterday", `"yesterday" is not a time`, "2h"},
		{"release freeze prod --reason x --until 2001-01-01", "2001-01-01 has passed", ""},
		{"release promote ledger 1.4.0", "which environment?", "--to prod"},
		{"release promote ledger one --to prod", `"one" is not a semantic version`, "1.4.0"},
		{"version list ledger", `"ledger" does not name a repository`, "github/ledger"},
		{"audit proof seven", `"seven" is not the number of an entry`, "nightporter audit list"},
		{"token revoke", "which token?", "--self"},
		{"token create", "which program is it for?", "--name ci"},
		{"token create --ttl soon", `invalid argument "soon"`, "--help"},
		{"login ana", "the password is needed, and there is no terminal to ask at", "--password-stdin"},
		{"login ana --password-stdin --password-file x", "if any flags in the group", ""},
		{"login ana --password-file /nowhere/at/all", "the password cannot be read", ""},
		{"policy write p /nowhere/at/all", "/nowhere/at/all cannot be read", ""},
		{"--token-file /nowhere/at/all status", "the token cannot be read", ""},
	} {
		t.Run(tt.args, func(t *testing.T) {
			t.Parallel()
			p := newPorter(t)
			r := p.run(piped, cli.Config{}, strings.Fields(tt.args)...)
			if r.code != 2 || r.stdout != "" || !strings.HasPrefix(r.stderr, "error: "+tt.message) || !strings.Contains(r.stderr, tt.hint) {
				t.Errorf("exit %d, stdout %q, stderr\n%s\nwant exit 2, %q and %q", r.code, r.stdout, r.stderr, tt.message, tt.hint)
			}
			if len(p.seen) > 0 {
				t.Errorf("the server was asked %q", p.seen)
			}
		})
	}
}

func TestANounAloneShowsItsVerbs(t *testing.T) {
	t.Parallel()
	r := newPorter(t).run(piped, cli.Config{}, "release")
	if r.code != 2 || r.stdout != "" || !strings.Contains(r.stderr, "approve") {
		t.Errorf("%+v", r)
	}
}

func TestNobodyThereSaysHowToStart(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	p := newPorter(t)
	r := p.run(piped, cli.Config{}, "--address", "http://"+l.Addr().String(), "status")
	want := "error: nothing answers at http://" + l.Addr().String() + "\nhint:  start the server with: nightporter server"
	if r.code != 1 || !strings.HasPrefix(r.stderr, want) {
		t.Errorf("exit %d, stderr %q", r.code, r.stderr)
	}
}

func TestAnInterruptIsExit130(t *testing.T) {
	t.Parallel()
	p := newPorter(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := p.runContext(ctx, piped, cli.Config{}, "release", "board")
	if r.code != 130 || r.stderr != "error: interrupted\n" {
		t.Errorf("%+v", r)
	}
}

func TestErrorsOfFunctionsShowTheirCause(t *testing.T) {
	t.Parallel()
	cfg := cli.Config{Init: func(context.Context, cli.InitOptions) (cli.InitResult, error) {
		return cli.InitResult{}, nightporter.Wrap(errors.New("permission denied"), nightporter.Conflict, "the store cannot be made").WithHint("check the folder")
	}}
	r := newPorter(t).run(piped, cfg, "init")
	if want := "error: the store cannot be made: permission denied\nhint:  check the folder\n"; r.code != 1 || r.stderr != want {
		t.Errorf("exit %d, stderr %q", r.code, r.stderr)
	}
}

func TestForeignTextCannotMoveTheCursor(t *testing.T) {
	t.Parallel()
	p := newPorter(t).says("GET /api/runs/run_1", 409, `{"code":"conflict","detail":"\u001b[2Jall is well\u202e","request_id":"\u0007"}`)
	r := p.run(onScreen, cli.Config{}, "--no-color", "run", "show", "run_1")
	if strings.ContainsAny(r.stderr, "\x1b\x07\u202e") || !strings.Contains(r.stderr, "all is well") {
		t.Errorf("stderr = %q", r.stderr)
	}
}
