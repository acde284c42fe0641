#!/bin/sh
set -eu
case $NIGHTPORTER_ACTION in
deploy)
	mkdir -p "$SITE"
	echo "$NIGHTPORTER_VERSION" > "$SITE/version"
	echo "$NIGHTPORTER_SERVICE $NIGHTPORTER_VERSION is in $NIGHTPORTER_ENVIRONMENT" ;;
observe)
	[ -f "$SITE/version" ] || exit 3
	echo "version=$(cat "$SITE/version")" > "$NIGHTPORTER_REPORT" ;;
stop)
	rm -rf "$SITE" ;;
esac
