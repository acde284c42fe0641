// Command write puts a labelled corpus on disk, for scanners of any make:
//
//	go run ./test/corpus/write -seed 7 -dir /tmp/corpus
//
// labels.json says for each file what must be found in it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"nightporter.dev/nightporter/test/corpus"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("write", flag.ContinueOnError)
	flags.SetOutput(stderr)
	seed := flags.Uint64("seed", 1, "the same seed makes the same corpus")
	each := flags.Int("each", 5, "files of every class")
	dir := flags.String("dir", "", "where to write")
	if err := flags.Parse(args); err != nil || *dir == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: write -seed N -dir DIR [-each N]")
		return 2
	}
	samples := corpus.Make(*seed, *each)
	if err := write(*dir, samples); err != nil {
		fmt.Fprintln(stderr, "error:", err)
		return 1
	}
	fmt.Fprintf(stdout, "%d files in %s\n", len(samples), *dir)
	return 0
}

func write(dir string, samples []corpus.Sample) error {
	for _, s := range samples {
		path := filepath.Join(dir, filepath.FromSlash(s.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(s.Text), 0o644); err != nil {
			return err
		}
	}
	labels, err := json.MarshalIndent(samples, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "labels.json"), append(labels, '\n'), 0o644)
}
