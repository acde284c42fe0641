package judge_test

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter.dev/nightporter/demo/judge"
)

func TestALogOfStartsThatIsDamagedIsAnError(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "starts.log")
	if list, err := judge.Starts(path); err != nil || len(list) != 0 {
		t.Errorf("a log that is not there: %v, %v", list, err)
	}
	if err := os.WriteFile(path, []byte("{\"service\":\"ledger\",\"instance\":\"r/1\"}\nhalf a li"), 0o644); err != nil {
		t.Fatal(err)
	}
	if list, err := judge.Starts(path); err == nil {
		t.Errorf("half a line was read as %+v", list)
	}
	if err := judge.Once([]judge.Start{{Service: "ledger"}}); err == nil {
		t.Error("a start for nobody passed")
	}
}
