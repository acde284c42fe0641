// Package cli is the command line: nouns, then verbs, the same words as in the
// API and the console.
//
// Results go to stdout and everything else to stderr. Every read has --json with
// stable fields. Colour and icons are for terminals; a state is always a word
// too. Verbs that start work follow it to its end, and nothing asks a question
// unless there is a terminal to answer at.
//
// Each noun is one file. The commands talk to a server through package client;
// what needs the house itself (init, server, validate, --local, verifying a copy
// of the audit log) is handed in as functions, and a command whose function is
// missing does not exist.
package cli
