// Package script_test runs the binary as people type it.
//
// testdata/script/*.txtar are scripts, one for each promise of the command line.
// The pages of docs/ and the README are scripts too: a page's `console` blocks
// are typed in order, and what it shows must be what the binary prints. What a
// page leaves out (a pull request that somebody merges, say) stands in it as a
// comment that begins with `test:`.
//
//	go test ./test/script -run TestScripts/init
//	go test ./test/script -run TestPages -update    rewrites what the pages show
//
// The judges are the shell, git, the forge's own records and the exit code.
package script_test
