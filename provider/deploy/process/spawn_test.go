package process

import (
	"os"
	"path/filepath"
	"testing"

	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

// The kernel decides who has a key when the file of the claim comes to be; the
// line in it comes a moment later.
func TestAChildThatLostWaitsUntilTheWinnerHasSaidWhoItIs(t *testing.T) {
	run := t.TempDir()
	if err := os.WriteFile(filepath.Join(run, "claim"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	over := make(chan error, 1)
	go func() {
		over <- func() error {
			deploytest.Eventually(t, "the child has lost", func() bool {
				_, err := os.Stat(filepath.Join(run, "lost"))
				return err == nil
			})
			return os.WriteFile(filepath.Join(run, "claim"), []byte("4242 17 boot\n"), 0o644)
		}()
	}()
	d := &Deployer{cfg: Config{Shell: "/bin/sh"}}
	c, err := d.spawn(t.Context(), spawn{script: `: >"$1/lost"; exit 111`, run: run, dir: run, log: filepath.Join(run, "log")})
	if err != nil || c.PID != 4242 {
		t.Errorf("the winner is %+v, %v; want process 4242", c, err)
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
}
