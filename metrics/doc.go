// Package metrics keeps workspaces: isolated stores of samples that speak
// Prometheus's own HTTP API, for the services of one team each. What is written to
// one cannot be read from another, each has limits of its own, and a refusal names
// the limit, the label and the remedy.
//
// The package decides who may do what, and with which limits. The samples are in
// the hands of an [Engine]: package prom, the only one that knows Prometheus.
package metrics
