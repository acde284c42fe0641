//go:build unix && !linux

package scan

import (
	"fmt"
	"syscall"
)

// confine takes from this process core files and files to write. The bound on
// memory is the Go runtime's alone here.
func confine(uint64) error {
	for _, which := range []int{syscall.RLIMIT_CORE, syscall.RLIMIT_FSIZE} {
		if err := syscall.Setrlimit(which, &syscall.Rlimit{}); err != nil {
			return fmt.Errorf("limit the process: %w", err)
		}
	}
	return nil
}
