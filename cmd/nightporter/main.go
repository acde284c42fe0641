// Command nightporter is the server and its command line.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"nightporter.dev/nightporter/internal/cli"
	"nightporter.dev/nightporter/security/scan"
)

// version is set by the build: -ldflags "-X main.version=1.4.0".
var version = ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Getenv, stdio{os.Stdin, os.Stdout, os.Stderr}))
}

type stdio struct {
	in       io.Reader
	out, err io.Writer
}

func run(ctx context.Context, args []string, env func(string) string, io stdio) int {
	if len(args) > 0 && args[0] == scan.Command {
		// The scanner's child: it must have nothing of the house, not even a
		// command line.
		if err := scan.Child(args[1:], io.in, io.out); err != nil {
			fmt.Fprintln(io.err, "error:", err)
			return 1
		}
		return 0
	}
	h := house{version: buildVersion(), io: io}
	return cli.New(cli.Config{
		Args: args, Stdin: io.in, Stdout: io.out, Stderr: io.err, Env: env, Version: h.version,
		Server: h.server, Init: h.init, Validate: h.validate, Schema: h.schema,
		VerifyAudit: h.verifyAudit, ScheduleNext: h.scheduleNext, ImportPrices: h.importPrices, LocalBoard: h.localBoard, LocalVersionNext: h.localVersionNext, LocalVersionCheck: h.localVersionCheck,
		LocalRepoPlan: h.localRepoPlan, LocalRepoAdopt: h.localRepoAdopt,
	}).Run(ctx)
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
