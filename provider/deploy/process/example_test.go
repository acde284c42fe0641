package process_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/process"
)

// Start a program, look at it, end it. Each verb that takes time is called until
// it is done.
func ExampleDeployer() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d, err := process.New(process.Config{Dir: filepath.Join(dir, "deploy"), SameUser: process.Allowed})
	if err != nil {
		panic(err)
	}
	defer func() { _ = d.Close() }()

	ctx := context.Background()
	token, err := d.Start(ctx, deploy.Request{
		Key: "release-1/dev/1", Service: "ledger", Environment: "dev", Version: nightporter.Version{Major: 1},
		Command: []string{"/bin/sh", "-c", `echo "ledger $NIGHTPORTER_VERSION"; exit 3`},
	})
	if err != nil {
		panic(err)
	}
	o, err := d.Observe(ctx, token)
	for err == nil && o.State == deploy.Starting {
		<-time.After(10 * time.Millisecond)
		o, err = d.Observe(ctx, token)
	}
	fmt.Println(o.State, "-", o.Message)
	fmt.Println(o.Lines)
	progress, err := d.Discard(ctx, token)
	fmt.Println(progress, err)
	// Output:
	// failed - exited with status 3
	// [ledger 1.0.0]
	// done <nil>
}
