// Command controlplane is a whole Kubernetes control plane in one program, for
// tests: `controlplane etcd|apiserver|controller-manager|scheduler` and the flags of
// that part. It is built from the module proxy, so that a test needs no registry,
// no container and no download of binaries.
//
// k8s.io/kubernetes is not made to be imported: its go.mod points at its staging
// modules by a path inside of its own repository. The go.mod beside this file
// replaces each with its published twin of the same release.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

func main() {
	parts := map[string]func() *cobra.Command{
		"apiserver":          apiserver.NewAPIServerCommand,
		"controller-manager": controllers.NewControllerManagerCommand,
		"scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	}
	part := ""
	if len(os.Args) > 1 {
		part = os.Args[1]
	}
	if part == "etcd" {
		etcdmain.Main(append([]string{"etcd"}, os.Args[2:]...))
		return
	}
	command := parts[part]
	if command == nil {
		fmt.Fprintln(os.Stderr, "usage: controlplane etcd|apiserver|controller-manager|scheduler [flags]")
		os.Exit(2)
	}
	os.Args = append([]string{part}, os.Args[2:]...)
	os.Exit(cli.Run(command()))
}
