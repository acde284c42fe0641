// Package nightporter holds the shared nouns of the product.
//
// A night porter holds the keys of the house, locks up when the last guest is
// in, has everything running before breakfast, and writes all of it in the
// register. Nightporter does that for a software team: one binary that does the
// recurring operations work by itself, so that developers deploy on their own
// and nobody is "the ops person".
//
// The root listing is the table of contents. Each capability is one folder:
//
//	secrets       credentials made on request, leased, renewed, revoked
//	environments  dark at night, rebuilt and proven by morning
//	repos         every repository the same; webhooks and sweeps come in here
//	versions      a semantic version for every merge, from its label
//	releases      dev and preprod, an approval, production, or back again
//	services      owners, delivery metrics, self-service
//	metrics       Prometheus workspaces and Grafana's dashboards
//	security      posture from evidence
//
// Capabilities never import each other. They share the nouns in this package
// ([Actor], [Service], [Environment], [Version]) and tell each other what
// happened through the events of event.go; internal/app/flows.go lists, on one
// screen, which event calls which method.
//
// Every change of anything goes through one door, internal/gate: it asks the
// policy, makes the change, writes the audit entry and the events, and commits
// all four together. What touches the outside world (a git tag, a process, a
// database login) is done in three steps, each of them recoverable: commit the
// intent, act, commit the outcome.
//
// The promise to others is the HTTP API and the command line (docs/design.md,
// "The outside"). There is no Go API promise: packages change shape freely.
package nightporter
