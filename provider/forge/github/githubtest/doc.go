// Package githubtest is a GitHub for tests and for the demo: a server that
// speaks the part of GitHub's REST and GraphQL APIs that Nightporter uses, over
// real bare git repositories that git can clone and push to, and that sends
// signed webhooks.
//
// It has state like the real one: pull requests with branches, reviews and a
// timeline of labels, statuses, tags, releases. People move it through its Go
// methods ([Server.OpenPull], [Server.Merge] and so on), through the same REST
// calls as on GitHub, by git push, or in a browser: every repository has one
// plain page with its open pull requests and a Merge button.
//
// It is held to GitHub's own words. With a [Contract], every request and every
// answer is checked against GitHub's OpenAPI description, every GraphQL document
// and every field answered against GitHub's schema, and every webhook against
// the description of its payload. What does not fit is a violation: an error of
// ours, on one side or the other.
//
// And it misbehaves on demand: see [Fault].
package githubtest
