// Command eval measures the detector on invented tenants whose truth is known.
//
//	go run ./eval --seed 7
//	go -C examples/affordability run ./eval --seed 7      (from the repository's root)
//
// The tenants come from the sandbox bank, which shares no code with the detector: it is built and run as a program,
// and writes its rows in the bank's own format with the truth beside them. Everything is measured twice, with the
// bank's purpose codes and with the codes blanked, because many banks send none. The exit code is 0 when every gate
// is passed and 1 when one is not.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"

	"example.org/affordability/policy"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// report is what --json writes.
type report struct {
	Seed    uint64  `json:"seed"`
	Tenants int     `json:"tenants"`
	Coded   measure `json:"codes_on"`
	Blank   measure `json:"codes_blanked"`
	Gates   []gate  `json:"gates"`
	Passed  bool    `json:"passed"`
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	f := flag.NewFlagSet("eval", flag.ContinueOnError)
	f.SetOutput(stderr)
	seed := f.Uint64("seed", 1, "which town; tune on 1 to 3 and judge on others")
	tenants := f.Int("tenants", 1000, "how many tenants")
	bank := f.String("bank", "", "folder of the sandbox bank (default: beside this example)")
	dump := f.String("dump", "", "file written by `sandboxbank dump`, instead of building the bank")
	asJSON := f.Bool("json", false, "print JSON")
	explain := f.Int("explain", 0, "print the first so many tenants that are wrong")
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	r, err := evaluate(ctx, *seed, *tenants, *bank, *dump, *explain, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	if *asJSON {
		enc := json.NewEncoder(stdout)
		enc.SetIndent("", "  ")
		_ = enc.Encode(r)
	} else {
		print(stdout, r)
	}
	if !r.Passed {
		return 1
	}
	return 0
}

func evaluate(ctx context.Context, seed uint64, tenants int, bank, dump string, explain int, stderr io.Writer) (*report, error) {
	pol, err := policy.Current()
	if err != nil {
		return nil, err
	}
	rows, done, err := source(ctx, seed, tenants, bank, dump, stderr)
	if err != nil {
		return nil, err
	}
	coded, blank := newTally(), newTally()
	scan := bufio.NewScanner(rows)
	scan.Buffer(make([]byte, 1<<20), 64<<20)
	for n := 0; scan.Scan(); n++ {
		t, err := decode(scan.Bytes())
		if err != nil {
			return nil, errors.Join(fmt.Errorf("reading tenant %d: %w", n+1, err), done())
		}
		for _, run := range []struct {
			into  *tally
			codes bool
		}{{coded, true}, {blank, false}} {
			if wrong := run.into.judge(t.statement(run.codes), t, pol); wrong != "" && !run.codes && explain > 0 {
				explain--
				fmt.Fprintf(stderr, "%s %s: %s\n", t.Tenant, t.Truth.Archetype, wrong)
			}
		}
	}
	if err := errors.Join(scan.Err(), done()); err != nil {
		return nil, fmt.Errorf("reading the town: %w", err)
	}
	r := &report{Seed: seed, Tenants: coded.tenants, Coded: coded.measure(), Blank: blank.measure()}
	r.Gates, r.Passed = gates(r)
	return r, nil
}

// source returns the dump and a function that waits for whoever writes it.
func source(ctx context.Context, seed uint64, tenants int, bank, dump string, stderr io.Writer) (io.Reader, func() error, error) {
	if dump != "" {
		file, err := os.Open(dump)
		if err != nil {
			return nil, nil, err
		}
		return file, file.Close, nil
	}
	folder, err := findBank(bank)
	if err != nil {
		return nil, nil, err
	}
	dir, err := os.MkdirTemp("", "eval")
	if err != nil {
		return nil, nil, err
	}
	binary := filepath.Join(dir, "sandboxbank")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, ".")
	build.Dir, build.Stderr = folder, stderr
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
	if err := build.Run(); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("building the sandbox bank in %s: %w", folder, err), os.RemoveAll(dir))
	}
	cmd := exec.CommandContext(ctx, binary, "dump", "--seed", strconv.FormatUint(seed, 10), "--tenants", strconv.Itoa(tenants))
	cmd.Stderr = stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return out, func() error { return errors.Join(cmd.Wait(), os.RemoveAll(dir)) }, nil
}

func findBank(given string) (string, error) {
	tries := []string{"../sandboxbank", "../../sandboxbank", "examples/sandboxbank"}
	if given != "" {
		tries = []string{given}
	}
	for _, dir := range tries {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("the sandbox bank is not beside this example: say where with --bank, or give a dump with --dump")
}
