#!/bin/sh
# The long tests: every kill at every fault point, and every fuzz target for a
# while. Prints one line for each.
set -u
time=${FUZZTIME:-30s}
failed=0
line() { printf '%-60s %s\n' "$1" "$2"; }
try() { # name, command
	name=$1
	shift
	if "$@" >/tmp/reliability.log 2>&1; then line "$name" passed; else
		line "$name" FAILED
		tail -20 /tmp/reliability.log
		failed=1
	fi
}
NIGHTPORTER_CRASH=full try 'kill -9 at every fault point' go test -tags nokube -timeout 60m -count 1 ./test/crash
NIGHTPORTER_PERMUTATIONS=100000 try '100,000 mixtures of deliveries end in one state' go test -tags nokube -timeout 60m -count 1 -run 'TestAnyMixtureOfDeliveries' ./repos
try '10,000 forged webhooks, 0 accepted' go test -tags nokube -count 1 -run 'TestTheSameForgery' ./repos
for pkg in $(go list -tags nokube ./... | grep -v /examples/); do
	for target in $(go test -tags nokube -list '^Fuzz' "$pkg" 2>/dev/null | grep '^Fuzz'); do
		try "fuzz ${pkg#nightporter.dev/nightporter/} $target" go test -tags nokube -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$pkg"
	done
done
exit $failed
