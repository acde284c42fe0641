// Package kube plays Nightporter's part in a real Kubernetes: etcd, API server,
// controllers and scheduler as they are released, built from the module proxy, with
// a simulated node on which no container runs. The judge is the cluster's own API.
//
//	make test-kube
//
// The control plane is built once for each version into ~/.cache/nightporter-kube
// (or $NIGHTPORTER_KUBE_CACHE). Nothing is skipped: where it cannot be built or
// started, the tests fail. The end of an image's tag decides how a pod does, see
// node_test.go.
package kube
