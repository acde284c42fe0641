//go:build !race

package scan_test

const (
	race   = false
	memory = 0
)
