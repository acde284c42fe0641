// Package mem is a database server in memory that hands out logins. It is for
// tests and for trying things out: it understands the statements that make,
// change and drop logins, in PostgreSQL's words and in MySQL's, and nothing else.
//
// A [Server] outlives the connections to it, as a real one does, so a test can
// close everything, start again, and find the logins still there.
package mem

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/database"
)

// Mode is how a server behaves.
type Mode string

// The modes.
const (
	Up     Mode = "up"
	Down   Mode = "down"   // answers nothing and does nothing
	Losing Mode = "losing" // does everything, and every answer is lost
)

// Config is what a [Server] needs.
type Config struct {
	// Username and Password are the administrator's. Required.
	Username string
	Password string
	// Groups exist from the beginning, for GRANT group TO login.
	Groups []string
}

// Server holds logins.
type Server struct {
	admin string

	mu       sync.Mutex
	mode     Mode
	logins   map[string]login
	sessions map[*Session]bool
}

// login is a value, so that a copy of the map is a transaction.
type login struct {
	password string
	canLogin bool
	until    time.Time
	super    bool
	groups   string // sorted, joined with commas
}

// NewServer makes a server that is up.
func NewServer(c Config) (*Server, error) {
	if c.Username == "" || c.Password == "" {
		return nil, nightporter.E(nightporter.Invalid, "a server needs an administrator with a password")
	}
	s := &Server{admin: c.Username, mode: Up, sessions: map[*Session]bool{}, logins: map[string]login{
		c.Username: {password: c.Password, canLogin: true, super: true},
	}}
	for _, g := range c.Groups {
		s.logins[g] = login{}
	}
	return s, nil
}

// Set changes how the server behaves from now on.
func (s *Server) Set(m Mode) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mode = m
}

// Logins are the names of all logins and groups, sorted. It works in every mode:
// it is for whoever judges what happened.
func (s *Server) Logins() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.logins))
}

// Session is a login's connection.
type Session struct {
	server *Server
	user   string
}

// Login opens a session, as a client of the database would.
func (s *Server) Login(username, password string) (*Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.check(username, password); err != nil {
		return nil, err
	}
	session := &Session{server: s, user: username}
	s.sessions[session] = true
	return session, nil
}

// Alive tells whether the server still serves the session.
func (c *Session) Alive() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.server.sessions[c]
}

// check is called with the lock held.
func (s *Server) check(username, password string) error {
	l, exists := s.logins[username]
	if !exists || !l.canLogin || l.password == "" || l.password != password {
		return nightporter.E(nightporter.Denied, "the database refused the login")
	}
	return nil
}

// end is called with the lock held.
func (s *Server) end(username string) {
	maps.DeleteFunc(s.sessions, func(c *Session, _ bool) bool { return c.user == username })
}

// What a statement says. Only the parts that matter to a login are looked for.
var (
	aboutLogin = regexp.MustCompile(`(?is)^(CREATE|ALTER|DROP)\s+(?:ROLE|USER)\s+(?:IF\s+(?:NOT\s+)?EXISTS\s+)?["'` + "`" + `]?([\w-]+)["'` + "`" + `]?(.*)$`)
	setsSecret = regexp.MustCompile(`(?is)\b(?:PASSWORD|IDENTIFIED\s+BY)\s+'((?:[^']|'')*)'`)
	setsUntil  = regexp.MustCompile(`(?is)\bVALID\s+UNTIL\s+'([^']*)'`)
	shutsOut   = regexp.MustCompile(`(?is)\bNOLOGIN\b`)
	grantsRole = regexp.MustCompile(`(?is)^GRANT\s+["'` + "`" + `]?([\w-]+)["'` + "`" + `]?\s+TO\s+["'` + "`" + `]?([\w-]+)`)
	harmless   = regexp.MustCompile(`(?is)^(GRANT\s.*\sON\s|REVOKE\s|SELECT\s)`)
)

// run is one statement's effect on a copy of the logins.
func run(d database.Dialect, logins map[string]login, statement string) error {
	if m := grantsRole.FindStringSubmatch(statement); m != nil {
		member, exists := logins[m[2]]
		if _, group := logins[m[1]]; !group || !exists {
			return nightporter.E(nightporter.Invalid, "role %q does not exist", m[1])
		}
		member.groups = strings.Trim(member.groups+","+m[1], ",")
		logins[m[2]] = member
		return nil
	}
	if harmless.MatchString(statement) {
		return nil
	}
	m := aboutLogin.FindStringSubmatch(statement)
	if m == nil {
		return nightporter.E(nightporter.Invalid, "syntax error")
	}
	verb, name, rest := strings.ToUpper(m[1]), m[2], m[3]
	l, exists := logins[name]
	switch {
	case verb == "CREATE" && exists:
		return nightporter.E(nightporter.Conflict, "role %q already exists", name)
	case verb == "CREATE":
		l = login{canLogin: true}
	case !exists:
		return nightporter.E(nightporter.Invalid, "role %q does not exist", name)
	case verb == "DROP":
		delete(logins, name)
		return nil
	}
	if secret := setsSecret.FindStringSubmatch(rest); secret != nil {
		l.password = strings.ReplaceAll(secret[1], "''", "'")
		if d == database.MySQL {
			l.password = strings.ReplaceAll(l.password, `\\`, `\`)
		}
	}
	if until := setsUntil.FindStringSubmatch(rest); until != nil {
		at, err := time.Parse("2006-01-02 15:04:05-0700", until[1])
		if err != nil {
			return nightporter.E(nightporter.Invalid, "invalid time %q", until[1])
		}
		l.until = at.UTC()
	}
	if shutsOut.MatchString(rest) {
		l.canLogin = false
	}
	logins[name] = l
	return nil
}
