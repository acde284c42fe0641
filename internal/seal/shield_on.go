//go:build goexperiment.runtimesecret

package seal

import "runtime/secret"

// shielded runs f and has the runtime clear the stack, the registers and the
// garbage that f leaves behind. Nothing relies on it: where the platform does
// not support it, f just runs.
func shielded(f func()) { secret.Do(f) }
