#!/bin/sh
# Runs every test and says how many passed.
set -u
export NIGHTPORTER_DATABASES=required NIGHTPORTER_BROWSER=required
tags=nokube
# What drives other processes gains nothing from the race detector, Prometheus's own
# corpus takes ten times as long with it, and Helm with all that it brings would take
# as long again to build for it.
norace='/test/crash$|/web/console$|/metrics/prom$|/provider/deploy/helm$'
all=$(go list -tags $tags ./... | grep -v -e '/tools' ) || exit 1
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT

sum() { # file, folder, arguments of go test
	file=$1 dir=$2
	shift 2
	go tool -modfile="$PWD/tools/go.mod" gotestsum --format pkgname --hide-summary skipped \
		--jsonfile "$report/$file.json" --raw-command -- \
		sh -c 'cd "$0" && exec go test -json "$@"' "$dir" "$@"
}

# The packages that a report says have failed.
broken() { grep '"Action":"fail"' "$report/$1.json" | grep -v '"Test":' | sed 's/.*"Package":"\([^"]*\)".*/\1/' | sort -u; }

# A package that fails while everything else runs beside it is tried once more by
# itself. It must pass then, and is named: a test that needs that is to be mended.
run() { # name, folder, flags of go test --, packages
	name=$1 dir=$2 flags=''
	shift 2
	while [ "$1" != -- ]; do
		flags="$flags $1"
		shift
	done
	shift
	echo "== $name"
	# shellcheck disable=SC2086
	sum "$name" "$dir" $flags "$@" && return
	again=$(broken "$name")
	if [ -z "$again" ]; then # it did not even build
		failed=1
		return
	fi
	for pkg in $again; do
		echo "== $name again: $pkg"
		# shellcheck disable=SC2086
		if sum "$name-again" "$dir" $flags -count=1 -p 1 "$pkg"; then
			unstable="$unstable $pkg"
			# What failed the first time has passed.
			grep -v "\"Action\":\"fail\".*\"Package\":\"$pkg\"" "$report/$name.json" >"$report/kept"
			mv "$report/kept" "$report/$name.json"
			rm -f "$report/$name-again.json"
		else
			failed=1
			rm -f "$report/$name-again.json"
		fi
	done
}

failed=0 unstable=''
# shellcheck disable=SC2046
run race . -race -tags $tags -timeout 25m -skip '^TestKilledAnywhere$' -- $(echo "$all" | grep -vE "$norace")
# shellcheck disable=SC2046
run drivers . -tags $tags -timeout 15m -- $(echo "$all" | grep -E "$norace")
# Every kill point once: too many for the race detector's pace.
run kills . -tags $tags -timeout 15m -run '^TestKilledAnywhere$' -- ./environments
for example in examples/*/; do
	[ -f "$example/go.mod" ] && run "$(basename "$example")" "$example" -mod=vendor -- ./...
done
for nested in examples/*/*/; do
	[ -f "$nested/go.mod" ] && run "$(basename "$(dirname "$nested")")-$(basename "$nested")" "$nested" -- ./...
done
if [ -f demo/go.mod ]; then
	go build -tags $tags -o bin/nightporter ./cmd/nightporter || failed=1
	NIGHTPORTER_DEMO_TESTS=1 NIGHTPORTER_DEMO_BINARY="$PWD/bin/nightporter" run demo demo -timeout 20m -- ./...
fi

count() { cat "$report"/*.json | grep '"Test":' | grep -c "\"Action\":\"$1\""; }
echo
[ -z "$unstable" ] || echo "passed only when run again by themselves:$unstable"
echo "$(count pass) passed, $(count fail) failed, $(count skip) skipped"
exit $failed
