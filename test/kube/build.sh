#!/bin/sh
# Builds the control plane of the tests, once for each set of versions, and prints
# where it is. The first build takes some minutes of two processors.
set -eu
cd "$(dirname "$0")/controlplane"
cache=${NIGHTPORTER_KUBE_CACHE:-$HOME/.cache/nightporter-kube}
version=$(sed -n 's/^require k8s.io\/kubernetes //p; s/^\tk8s.io\/kubernetes \(v[^ ]*\)$/\1/p' go.mod | head -1)
key=$({ cat go.mod go.sum main.go ../build.sh; go version; } | sha256sum | cut -c1-16)
out=$cache/$version-$key/controlplane
if [ ! -x "$out" ]; then
	echo "building Kubernetes $version into $cache: some minutes, once" >&2
	mkdir -p "$(dirname "$out")"
	flags='-s -w'
	for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
		# Charts ask for the version, and would see v0.0.0.
		flags="$flags -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$(echo "$version" | cut -d. -f2)"
	done
	GOFLAGS= CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$out.part$$" .
	mv "$out.part$$" "$out"
fi
echo "$out"
