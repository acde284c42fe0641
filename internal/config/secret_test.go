package config_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
)

// token reads the reference of a forge's token from a configuration in dir.
func token(t *testing.T, dir, setting string) config.SecretRef {
	t.Helper()
	c, err := config.Parse([]byte("forges: {g: {kind: mem, "+setting+"}}"), filepath.Join(dir, "n.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return c.Forges["g"].Token
}

func TestSecretRef(t *testing.T) {
	t.Parallel()
	ctx := context.Background()

	t.Run("a file is read at each use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, "token")
		for _, want := range []string{"first", "second "} {
			if err := os.WriteFile(file, []byte(want+"\r\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, setting := range []string{"token_file: token", "token: file:token", "token_file: file:token"} {
				got, err := token(t, dir, setting).Resolve(ctx, config.Secrets{})
				if err != nil || got != want {
					t.Errorf("%s: got %q, %v; want %q", setting, got, err, want)
				}
			}
		}
	})

	t.Run("a file that everybody can read is refused at the check and at use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		file := filepath.Join(dir, "token")
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		ref := token(t, dir, "token_file: token")
		for _, mode := range []os.FileMode{0o644, 0o620, 0o602} {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
			if _, err := ref.Resolve(ctx, config.Secrets{}); nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(nightporter.HintOf(err), "chmod 600") {
				t.Errorf("resolve with mode %o: got %v", mode, err)
			}
			if _, err := config.Parse([]byte("forges: {g: {kind: mem, token_file: token}}"), filepath.Join(dir, "n.yaml")); err == nil {
				t.Errorf("check with mode %o: accepted", mode)
			}
		}
	})

	t.Run("a missing file is a warning at the check and an error at use", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c, err := config.Parse([]byte("seal: {kind: shamir}\nforges: {g: {kind: mem, token_file: nowhere}}"), filepath.Join(dir, "n.yaml"))
		if err != nil || len(c.Warnings()) != 1 {
			t.Fatalf("got %v, %v; want one warning", c, err)
		}
		if _, err := c.Forges["g"].Token.Resolve(ctx, config.Secrets{}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v, want invalid", err)
		}
	})

	t.Run("a folder and an endless file are no secrets", func(t *testing.T) {
		t.Parallel()
		for _, path := range []string{t.TempDir(), "/dev/zero"} {
			r := token(t, "/", "token: env:X")
			if r.String() != "env:X" {
				t.Fatal(r)
			}
			_, err := config.Parse([]byte("forges: {g: {kind: mem, token_file: "+path+"}}"), "n.yaml")
			if err == nil {
				t.Errorf("%s: accepted", path)
			}
		}
	})

	t.Run("a variable", func(t *testing.T) {
		t.Parallel()
		r := token(t, "/", "token: env:TOKEN")
		got, err := r.Resolve(ctx, config.Secrets{LookupEnv: func(name string) (string, bool) { return "of " + name, true }})
		if err != nil || got != "of TOKEN" {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := r.Resolve(ctx, config.Secrets{}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("an unset variable: got %v, want invalid", err)
		}
	})

	t.Run("the porter's own secrets", func(t *testing.T) {
		t.Parallel()
		r := token(t, "/", `token: "secret:secret/nightporter/github#token"`)
		if _, err := r.Resolve(ctx, config.Secrets{}); nightporter.CodeOf(err) != nightporter.Unavailable {
			t.Errorf("before the store is open: got %v, want unavailable", err)
		}
		got, err := r.Resolve(ctx, config.Secrets{Read: func(_ context.Context, path, key string) (string, error) {
			return path + " " + key, nil
		}})
		if err != nil || got != "secret/nightporter/github token" {
			t.Errorf("got %q, %v", got, err)
		}
		broken := nightporter.Wrap(errors.New("disk"), nightporter.Sealed, "the store is sealed")
		_, err = r.Resolve(ctx, config.Secrets{Read: func(context.Context, string, string) (string, error) { return "", broken }})
		if nightporter.CodeOf(err) != nightporter.Sealed {
			t.Errorf("sealed: got %v", err)
		}
	})

	t.Run("nothing configured is an error, not an empty secret", func(t *testing.T) {
		t.Parallel()
		if _, err := (config.SecretRef{}).Resolve(ctx, config.Secrets{}); nightporter.CodeOf(err) != nightporter.Invalid {
			t.Errorf("got %v", err)
		}
	})
}

// A secret in the wrong place must not reach a log through the error about it.
func TestErrorsDoNotRepeatSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-correct-horse"
	for _, src := range []string{
		"forges: {g: {kind: github, token: " + secret + "}}",
		"forges: {g: {kind: github, tokn: " + secret + "}}",
		"forges: {g: {kind: github, token: [" + secret + "]}}",
		"forges: {g: {kind: github, token: " + secret + ", token_file: x}}",
		"forges: {g: {kind: gitea, url: 'https://ana:" + secret + "@x', nonsense: 1}}",
		"mail: {pasword: " + secret + "}",
		"mail: {psw: " + secret + "}",
		"store_pasword: " + secret,
		"store: mysql://porter:" + secret + "@db/x",
		"store: 'postgres://porter:" + secret + "@db:bad port/x'",
		"notify: {t: {slack: {webhook: 'https://hooks.slack.test/" + secret + "'}}}",
		"api_key: \"" + secret + "\"\n\t- broken",
	} {
		_, err := config.Parse([]byte(src), "n.yaml")
		if err == nil {
			t.Errorf("accepted: %s", src)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error repeats the secret:\n%v", err)
		}
	}
}
