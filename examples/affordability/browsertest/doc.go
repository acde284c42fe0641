// Package browsertest looks at the service's pages in a real browser: a person connects a bank and walks through every page.
// Chromium judges what runs and fits, axe-core what everybody can use. It is a module of its own, because the service itself
// needs none of its dependencies.
package browsertest
