package process_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

func TestDeployer(t *testing.T) {
	t.Parallel()
	deploytest.Run(t, func(t *testing.T) deploytest.World {
		w := newWorld(t)
		return deploytest.World{
			Deployer: w,
			Request: func(version string, b deploytest.Behaviour) deploy.Request {
				return w.request("", version, b)
			},
			BuildRequest: func(commit string, outcome deploy.BuildState) deploy.BuildRequest {
				source := t.TempDir()
				writeTree(t, source, map[string]string{"main.txt": commit})
				script := `echo "` + commit + ` built" >>"$0"; mkdir out; cp main.txt out/`
				if outcome == deploy.BuildFailed {
					script = `echo "` + commit + ` failed" >>"$0"; echo "syntax error"; exit 1`
				}
				return deploy.BuildRequest{
					Service: "ledger", Commit: commit, Source: source, Output: "out",
					Command: []string{"/bin/sh", "-c", script, w.builds},
				}
			},
			Starts: func(key string) int { return count(t, w.starts, key) },
			Builds: func(commit string) int { return count(t, w.builds, commit) },
			Handed: func(i deploy.Instance) string { return handed(t, i.PID) },
			Kill:   func(i deploy.Instance) { _ = syscall.Kill(i.PID, syscall.SIGKILL) },
			Restart: func() deploy.Deployer {
				w.restart(t)
				return w
			},
		}
	})
}

func writeTree(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
