// Package judge looks at the world itself: at git, at /proc, at what services
// answer, and at the log of their starts. It knows nothing of Nightporter's
// records, so its word can be held against Nightporter's.
package judge
