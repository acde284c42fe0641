#!/bin/sh
# Installs what the tests need: real databases, a real browser and git. As root,
# or through sudo where that asks nobody; otherwise it says what is missing.
set -eu

missing=''
want() { # program, package
	for dir in $(echo "$PATH" | tr ':' ' ') /usr/sbin /usr/lib/postgresql/*/bin; do
		[ -x "$dir/$1" ] && return
	done
	missing="$missing $2"
}
want git git
want initdb postgresql
want mariadbd mariadb-server
want chromium chromium
[ -n "$missing" ] || exit 0

as_root=''
if [ "$(id -u)" -ne 0 ]; then
	if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
		as_root='sudo -n'
	else
		echo "the tests need:$missing" >&2
		echo "install them, or run as root: apt-get install$missing" >&2
		exit 1
	fi
fi
if ! command -v apt-get >/dev/null; then
	echo "the tests need:$missing (install them with your package manager)" >&2
	exit 1
fi
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
# A package's own service must not start: the tests start servers of their own.
$as_root apt-get update -qq
# shellcheck disable=SC2086
$as_root apt-get install -y -qq --no-install-recommends $missing >/dev/null
