//go:build unix

package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"nightporter.dev/nightporter"
)

// lockWait bounds how long a lock may linger that nobody alive has taken.
const lockWait = time.Second

// lockFile makes sure that one process at a time opens a SQLite store. The
// kernel drops the lock when the process ends, however it ends; a child that a
// killed process was just making has a copy of it until it becomes its program, a
// moment later. Hence the further tries.
func lockFile(ctx context.Context, path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the store's lock: %w", err)
	}
	give := time.NewTimer(lockWait)
	defer give.Stop()
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			break
		}
		select {
		case <-time.After(10 * time.Millisecond):
			continue
		case <-give.C:
		case <-ctx.Done():
		}
		break
	}
	f.Close()
	return nil, nightporter.Wrap(err, nightporter.Conflict, "another process has this store open").
		WithHint("stop the other server, or use PostgreSQL, where a second copy stands by")
}
