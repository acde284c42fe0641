#!/bin/sh
# Prints the packages that changed against a commit, for `make check`.
base=${1:-HEAD}
{ git diff --name-only "$base" -- '*.go'; git ls-files --others --exclude-standard '*.go'; } |
	grep -v -e '^examples/' -e '^demo/' -e '^tools/' | xargs -r -n1 dirname | sort -u | sed 's|^|./|' | tr '\n' ' '
