package scan

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// patience is the nice value of a child: nobody waits for it, and a build or a
// deployment on the same machine must not.
const patience = 15

// confine takes from this process what reading needs not: core files, files to
// write, new privileges, other users' eyes, and memory above a bound; 0 is none.
func confine(memory uint64) error {
	// By the group, which is this process alone: by the process it would be one thread.
	if err := unix.Setpriority(unix.PRIO_PGRP, 0, patience); err != nil {
		return fmt.Errorf("give way to others: %w", err)
	}
	limits := []struct {
		name  string
		which int
		most  uint64
	}{
		{"core files", unix.RLIMIT_CORE, 0},
		{"written files", unix.RLIMIT_FSIZE, 0},
		{"open files", unix.RLIMIT_NOFILE, 16},
	}
	if memory > 0 {
		limits = append(limits, struct {
			name  string
			which int
			most  uint64
		}{"memory", unix.RLIMIT_DATA, memory})
	}
	for _, l := range limits {
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: l.most, Max: l.most}); err != nil {
			return fmt.Errorf("limit %s: %w", l.name, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("close the memory to others: %w", err)
	}
	return nil
}
