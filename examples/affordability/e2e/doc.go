// Package e2e drives the whole service against the sandbox bank, which runs as a program of its own: a bank on its good
// days and on its worst.
package e2e
