package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// build makes the nightporter of this checkout, as `make build` does, and returns
// its path. A first build compiles some hundred packages; it says how far it is.
func build(ctx context.Context, stdout io.Writer) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "nightporter.dev/nightporter").Output()
	if err != nil {
		return "", fmt.Errorf("find the source of nightporter: %w", err)
	}
	root := strings.TrimSpace(string(out))
	binary := filepath.Join(root, "bin", "nightporter")
	fmt.Fprintln(stdout, "Building nightporter")
	cmd := exec.CommandContext(ctx, "go", "build", "-v", "-tags", "nokube", "-o", binary, "./cmd/nightporter")
	cmd.Dir = root
	progress, err := cmd.StderrPipe()
	if err != nil {
		return "", err
	}
	began, told, packages := time.Now(), time.Now(), 0
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("build nightporter: %w", err)
	}
	var last []string // what the compiler says when it fails
	for lines := bufio.NewScanner(progress); lines.Scan(); {
		packages++
		last = append(last[max(0, len(last)-20):], lines.Text())
		if time.Since(told) > time.Second {
			told = time.Now()
			fmt.Fprintf(stdout, "  · %d packages, %.0f s\n", packages, time.Since(began).Seconds())
		}
	}
	if err := cmd.Wait(); err != nil {
		return "", fmt.Errorf("build nightporter: %w\n%s", err, strings.Join(last, "\n"))
	}
	fmt.Fprintf(stdout, "  · built in %.1f s\n", time.Since(began).Seconds())
	return binary, nil
}
