package crash

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nightporter.dev/nightporter/internal/dbtest"
)

// full asks for everything instead of every point once.
var full = os.Getenv("NIGHTPORTER_CRASH") == "full"

// onPostgres is how many points are killed at on PostgreSQL.
const onPostgres = 20

// TestKillEverywhere is the promise of docs/design.md §2.2: a crash between any
// two steps is found and finished.
func TestKillEverywhere(t *testing.T) {
	service := buildService(t)
	var passes map[string]int
	t.Run("nobody is killed", func(t *testing.T) {
		w := newWorld(t, service, "")
		w.run(fate{})
		w.judge(w.story())
		passes = w.points()
	})
	if t.Failed() {
		t.FailNow()
	}
	for _, point := range registered() {
		if passes[point] == 0 {
			t.Errorf("the story never passes %s: killing there would prove nothing", point)
		}
	}
	points := slices.Sorted(maps.Keys(passes))
	t.Logf("the story passes %d points", len(points))
	t.Run("sqlite", func(t *testing.T) {
		for _, point := range points {
			for _, pass := range passesOf(passes[point]) {
				killAt(t, service, "", point, pass)
			}
		}
	})
	t.Run("postgres", func(t *testing.T) {
		server := dbtest.Postgres(t)
		step := max(1, len(points)/onPostgres)
		for i, point := range points {
			if !full && i%step != 0 {
				continue
			}
			killAt(t, service, server.DSN(server.Database(t)), point, 1)
		}
	})
}

// passesOf chooses which passes of a point to die at.
func passesOf(n int) []int {
	if !full {
		return []int{1}
	}
	return slices.Compact([]int{1, min(2, n), max(1, n/2), max(1, n*3/4)})
}

func killAt(t *testing.T, service, storeURL, point string, pass int) {
	t.Helper()
	t.Run(fmt.Sprintf("%s pass %d", point, pass), func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, service, storeURL)
		w.run(fate{point: point, pass: pass})
		w.judge(w.story())
		if n := w.kills.Load(); n != 1 {
			t.Errorf("the house was killed %d times, want once: the story did not pass this point", n)
		}
	})
}

// TestKillAtAnyMoment does not wait for the points: what they leave out, such as
// a git that dies with the house, is met by chance.
func TestKillAtAnyMoment(t *testing.T) {
	t.Parallel()
	service := buildService(t)
	stories := 2
	if full {
		stories = 50
	}
	for n := range stories {
		for _, on := range []string{"sqlite", "postgres"} {
			t.Run(fmt.Sprintf("%s %d", on, n), func(t *testing.T) {
				t.Parallel()
				storeURL := ""
				if on == "postgres" {
					server := dbtest.Postgres(t)
					storeURL = server.DSN(server.Database(t))
				}
				seed := rand.Uint64()
				t.Logf("seed %d", seed)
				chance := rand.New(rand.NewPCG(seed, 0))
				f := fate{}
				for range 5 {
					f.moments = append(f.moments, 200*time.Millisecond+time.Duration(chance.Int64N(int64(900*time.Millisecond))))
				}
				w := newWorld(t, service, storeURL)
				w.run(f)
				w.judge(w.story())
				if w.kills.Load() == 0 {
					t.Error("the story was over before anybody was killed")
				}
			})
		}
	}
}

// buildService compiles what the story deploys.
func buildService(t *testing.T) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "service")
	cmd := exec.Command("go", "build", "-o", out, "./testdata/service")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the service: %v\n%s", err, text)
	}
	return out
}

// inParallel lets more stories run at once than there are processors: they mostly
// wait. An explicit -parallel wins.
func inParallel(n int) {
	explicit := false
	flag.Visit(func(f *flag.Flag) { explicit = explicit || f.Name == "test.parallel" })
	if !explicit {
		_ = flag.Set("test.parallel", fmt.Sprint(n)) // the flag exists and takes numbers
	}
}
