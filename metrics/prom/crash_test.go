package prom_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"nightporter.dev/nightporter/metrics/prom"
)

const (
	killed       = "NIGHTPORTER_TEST_KILLED"
	manyInCrash  = 100
	acknowledged = 50
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(killed); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled has a hundred workspaces open and says, on stdout, which samples
// were taken.
func writeUntilKilled(dir string) {
	e, err := prom.New(prom.Config{Dir: dir})
	if err != nil {
		panic(err)
	}
	for i := range manyInCrash {
		e.Configure(fmt.Sprintf("w%d", i), standard)
	}
	at := time.Now().Add(-10 * time.Minute).Truncate(time.Second)
	for n := 0; ; n++ {
		name := fmt.Sprintf("w%d", n%manyInCrash)
		t := at.Add(time.Duration(n/manyInCrash) * time.Second)
		err := e.Ingest(context.Background(), name, strings.NewReader(fmt.Sprintf("n %d\n", n)), nil, t)
		if err != nil {
			panic(err)
		}
		fmt.Println(n, t.Unix())
	}
}

// A kill while a hundred workspaces are written to loses nothing that was taken.
func TestNothingTakenIsLostToAKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killed+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var taken []string
	lines := bufio.NewScanner(out)
	for len(taken) < manyInCrash+acknowledged && lines.Scan() {
		taken = append(taken, lines.Text())
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() {
		taken = append(taken, lines.Text())
	}
	_ = cmd.Wait()
	if len(taken) < manyInCrash+acknowledged {
		t.Fatalf("the writer ended after %d samples", len(taken))
	}
	h := &house{t: t, dir: dir, now: time.Now()}
	var names []string
	for i := range manyInCrash {
		names = append(names, fmt.Sprintf("w%d", i))
	}
	h.open(names...)
	for i, line := range taken {
		var n int
		var unix int64
		if _, err := fmt.Sscan(line, &n, &unix); err != nil {
			continue // the line that the kill cut
		}
		if got, ok := h.value(fmt.Sprintf("w%d", n%manyInCrash), "n", time.Unix(unix, 0)); !ok || int(got) != n {
			t.Fatalf("sample %d of %d is lost: %v %v", i, len(taken), got, ok)
		}
	}
}
