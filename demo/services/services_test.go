package services_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"nightporter.dev/nightporter/demo/services"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

func TestEveryServiceBuildsOfflineWithItsCommitInside(t *testing.T) {
	t.Parallel()
	for _, name := range services.Names {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			files, err := services.Files(t.Context(), name, "Does something.")
			if err != nil {
				t.Fatal(err)
			}
			for path, text := range files {
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), "./build.sh")
			cmd.Dir = dir
			cmd.Env = append(cmd.Environ(), "GOPROXY=off", "GOFLAGS=", "GOWORK=off", "NIGHTPORTER_COMMIT="+commit)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("build: %v\n%s", err, out)
			}
			binary, err := os.ReadFile(filepath.Join(dir, "bin", name))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(binary), commit) {
				t.Error("the commit is not in the binary")
			}
		})
	}
	t.Run("affordability, the real one", func(t *testing.T) {
		t.Parallel()
		files, err := services.Affordability(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, text := range files {
			size += len(text)
		}
		if files[".nightporter.yaml"] == "" || files["vendor/modules.txt"] == "" || size > 4<<20 {
			t.Errorf("%d files of %d bytes are no repository to carry around", len(files), size)
		}
	})
	if _, err := services.Files(t.Context(), "nothing", ""); err == nil {
		t.Error("a service that is not there has files")
	}
}
