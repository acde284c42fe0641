package process_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

func (w *world) built(t *testing.T, token deploy.Token, want deploy.BuildState) deploy.BuildObservation {
	t.Helper()
	var o deploy.BuildObservation
	deploytest.Eventually(t, "the build ends", func() bool {
		var err error
		if o, err = w.ObserveBuild(t.Context(), token); err != nil {
			t.Fatal(err)
		}
		return o.State != deploy.Building
	})
	if o.State != want {
		t.Fatalf("the build is %+v, want %s", o, want)
	}
	return o
}

func (w *world) build(t *testing.T, key, script string, files map[string]string) deploy.Token {
	t.Helper()
	source := t.TempDir()
	writeTree(t, source, files)
	token, err := w.Build(t.Context(), deploy.BuildRequest{
		Key: key, Service: "ledger", Commit: deploytest.CommitA, Source: source, Output: "out", Command: []string{"/bin/sh", "-c", script},
	})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (w *world) artifactDir(a deploy.Artifact) string {
	return filepath.Join(w.cfg.Dir, "artifacts", strings.TrimPrefix(string(a), "sha256:"))
}

func TestArtifact(t *testing.T) {
	t.Parallel()

	t.Run("sha256sum computes the same name", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.build(t, "b0", "mkdir -p out/z out/a; cp main.txt out/z/; cp main.txt out/a.txt; ln -s ../a.txt out/a/link; echo x >out/a/run; chmod +x out/a/run; mkdir out/empty",
			map[string]string{"main.txt": "hello\n"})
		artifact := w.built(t, token, deploy.Built).Artifact
		cmd := exec.CommandContext(t.Context(), "/bin/sh", "-c", `export LC_ALL=C
			find . ! -type d -printf '%P\n' | sort | while IFS= read -r f; do
				if [ -L "$f" ]; then s=$(readlink -n "$f" | sha256sum); m=l
				elif [ -x "$f" ] && [ -n "$(find "$f" -perm -100)" ]; then s=$(sha256sum <"$f"); m=x
				else s=$(sha256sum <"$f"); m=-; fi
				printf '%s  %s  %s\n' "${s%% *}" "$m" "$f"
			done | sha256sum`)
		cmd.Dir = w.artifactDir(artifact)
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		want, _, _ := strings.Cut(string(out), " ")
		if got := strings.TrimPrefix(string(artifact), "sha256:"); got != want {
			t.Errorf("named %s, coreutils say %s", got, want)
		}
	})

	t.Run("every environment runs those bytes, and changed bytes run nowhere", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token := w.build(t, "b0", "mkdir out; cp server.sh out/", map[string]string{"server.sh": "echo version one; sleep 1000\n"})
		artifact := w.built(t, token, deploy.Built).Artifact
		request := func(key, environment string) deploy.Request {
			r := w.request(key, "1.0.0", deploytest.Good)
			r.Artifact, r.Environment, r.Command = artifact, environment, []string{"/bin/sh", "server.sh"}
			return r
		}
		for _, environment := range []string{"dev", "preprod"} {
			w.start(t, request("r-"+environment, environment))
			deploytest.Eventually(t, "it has spoken", func() bool {
				lines, err := w.Logs(t.Context(), "ledger", environment, 5)
				return err == nil && len(lines) == 1 && lines[0] == "version one"
			})
		}
		path := filepath.Join(w.artifactDir(artifact), "server.sh")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte("echo something else\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := w.Start(t.Context(), request("r-prod", "prod"))
		if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(err.Error(), "changed") {
			t.Errorf("got %v, want a refusal of changed bytes", err)
		}
	})

	t.Run("an artifact that was never built is refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, a := range []deploy.Artifact{"sha256:" + deploy.Artifact(strings.Repeat("0", 64)), "sha256:../../etc", "latest"} {
			r := w.request("r0", "1.0.0", deploytest.Good)
			r.Artifact = a
			if _, err := w.Start(t.Context(), r); nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want an invalid error", a, err)
			}
		}
	})
}

func TestBuild(t *testing.T) {
	t.Parallel()

	for name, test := range map[string]struct {
		script, message string
		retryable       bool
	}{
		"a temporary failure may be tried again":   {"exit 75", "temporary", true},
		"a killed build may be tried again":        {"kill -9 $PPID; sleep 1000", "was killed", true},
		"a failing command fails":                  {"exit 2", "status 2", false},
		"a build without output fails":             {"true", "no folder out", false},
		"output that is a link to elsewhere fails": {"ln -s /etc out", "no folder out", false},
		"a link out of the output fails":           {"mkdir out; ln -s ../../../../../../etc/passwd out/passwd", "leads out", false},
		"an absolute link fails":                   {"mkdir out; ln -s /etc/passwd out/passwd", "leads out", false},
		"a pipe in the output fails":               {"mkdir out; mkfifo out/pipe", "neither a file", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			o := w.built(t, w.build(t, "b0", test.script, nil), deploy.BuildFailed)
			if !strings.Contains(o.Message, test.message) || o.Retryable != test.retryable {
				t.Errorf("got %q, retryable %t; want %q, %t", o.Message, o.Retryable, test.message, test.retryable)
			}
			if entries, err := os.ReadDir(filepath.Join(w.cfg.Dir, "artifacts")); err != nil || len(entries) != 0 {
				t.Errorf("artifacts hold %v, %v; want nothing", entries, err)
			}
		})
	}

	t.Run("what a build leaves running ends with it", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		w.built(t, w.build(t, "b0", "mkdir out; setsid sleep 1000 & exit 0", nil), deploy.Built)
		w.wantNothingLeft(t)
	})

	t.Run("a build that takes too long is ended", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		token, err := w.Build(t.Context(), deploy.BuildRequest{
			Key: "b0", Service: "ledger", Commit: deploytest.CommitA, Source: t.TempDir(), Command: []string{"/bin/sleep", "1000"}, Within: 50 * time.Millisecond,
		})
		if err != nil {
			t.Fatal(err)
		}
		if o := w.built(t, token, deploy.BuildFailed); !strings.Contains(o.Message, "longer than 50ms") {
			t.Errorf("the message is %q", o.Message)
		}
		w.wantNothingLeft(t)
	})

	t.Run("the checkout is the artifact where nothing has to be built, without its history", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		source := t.TempDir()
		writeTree(t, source, map[string]string{"server.sh": "x", ".git/HEAD": "ref: refs/heads/main", "sub/.gitignore": "y"})
		token, err := w.Build(t.Context(), deploy.BuildRequest{Key: "b0", Service: "ledger", Commit: deploytest.CommitA, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		dir := w.artifactDir(w.built(t, token, deploy.Built).Artifact)
		if !exists(filepath.Join(dir, "server.sh")) || !exists(filepath.Join(dir, "sub/.gitignore")) || exists(filepath.Join(dir, ".git")) {
			t.Errorf("the artifact does not hold the checkout without .git")
		}
	})

	t.Run("a file swapped for a link to ours is not copied", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		source := t.TempDir()
		if err := os.Symlink("/etc/shadow", filepath.Join(source, "innocent.txt")); err != nil {
			t.Fatal(err)
		}
		token, err := w.Build(t.Context(), deploy.BuildRequest{Key: "b0", Service: "ledger", Commit: deploytest.CommitA, Source: source})
		if err != nil {
			t.Fatal(err)
		}
		w.built(t, token, deploy.BuildFailed)
	})

	t.Run("outputs that leave the checkout and unknown builds are refused", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		for _, output := range []string{"..", "/etc", "a/../../b"} {
			_, err := w.Build(t.Context(), deploy.BuildRequest{Key: "b0", Service: "ledger", Commit: deploytest.CommitA, Source: t.TempDir(), Output: output})
			if nightporter.CodeOf(err) != nightporter.Invalid {
				t.Errorf("%s: got %v, want an invalid error", output, err)
			}
		}
		for _, token := range []deploy.Token{"", "build/ledger", "build/../x/y", "build/ledger/../0123456789abcdef01234567", "build/ledger/abc-1/0123456789abcdef01234567"} {
			if _, err := w.ObserveBuild(t.Context(), token); nightporter.CodeOf(err) != nightporter.NotFound {
				t.Errorf("%q: got %v, want not found", token, err)
			}
		}
	})
}
