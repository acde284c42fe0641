//go:build race

package scan_test

// Under the race detector a process maps more memory than any limit allows.
const (
	race   = true
	memory = 1 << 60
)
