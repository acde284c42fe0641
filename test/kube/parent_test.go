//go:build kube

package kube

import "syscall"

// endWithParent has the kernel end a process when the one that started it dies.
func endWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
