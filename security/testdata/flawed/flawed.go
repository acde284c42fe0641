// Package flawed has one flaw that staticcheck knows, for the test of its reports.
package flawed

import "fmt"

func Print() string {
	return fmt.Sprintf("%d", "no number")
}
