//go:build !goexperiment.runtimesecret

package seal

// shielded runs f. Built with GOEXPERIMENT=runtimesecret it also has the runtime
// clear the stack, the registers and the garbage that f leaves behind.
func shielded(f func()) { f() }
