// Package console renders the pages that people look at.
//
// Every page answers one question in its first line: Home says what needs a
// human now, the board says how far production is behind main, a release says
// where it stands and what it waits for, Activity says who did what. The server
// renders whole pages from one view model each; they work without JavaScript.
// static/console.js only adds to them: it listens to /events, fetches the page
// again and changes what differs, and gives keys to those who like keys.
//
// A request for a page passes the front door, then [Console.Routes] answers it
// from one snapshot: a visit reads, a view model says it in words, the renderer
// draws it. Forms are plain posts that call the methods which the API calls, and
// are answered with 303. The stream of /events says that something changed and
// nothing more; a page that hears of it fetches itself, with its own rights.
//
// To add a page: a struct in a file of its own that embeds [Layout], a template
// of the same name in templates/, a line in [Console.Routes] and in a rail, and
// its states in the golden tests. templates/README.md lists what a template may
// use.
package console
