package cli_test

import (
	"context"
	"os"

	"nightporter.dev/nightporter/internal/cli"
)

// What cmd/nightporter does, without the functions that need the house.
func Example() {
	code := cli.New(cli.Config{
		Args:   []string{"version"},
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: os.Stderr,
		Env:    os.Getenv,

		Version: "1.4.0",
	}).Run(context.Background())
	if code != 0 {
		os.Exit(code)
	}
	// Output: nightporter 1.4.0
}
