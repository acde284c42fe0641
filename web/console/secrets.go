package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/lease"
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/secrets/database"
)

const (
	loginsPerPage = 50
	// soon is how near the end of a login must be to be pointed out.
	soon = 10 * time.Minute
	// stuckAfter is how long a login may take to end before those who run the
	// house hear of it.
	stuckAfter = 2 * time.Minute
	// answeredWithin is how old an answer of a database may be and still be
	// evidence: it is asked once an hour.
	answeredWithin = 2 * time.Hour
)

// revokeAny is what Vault's API asks whoever ends a lease for.
const revokeAny = "sys/leases/revoke"

func revokeAction(path string) nightporter.Action {
	return nightporter.Action{Name: "lease.revoke", Capability: nightporter.Update, Path: path}
}

// revokeActionFor is the action that lets the actor end a login: on all of them,
// on this one by its name, or on their own, which whoever may end their token may
// do as well. Where none is allowed it is the first, which the policies then
// refuse.
func (c *Console) revokeActionFor(ctx context.Context, id string, mine bool) (action nightporter.Action, may bool) {
	any := revokeAction(revokeAny)
	choices := []nightporter.Action{any, revokeAction(revokeAny + "/" + id)}
	if mine {
		choices = append(choices, revokeAction("auth/token/revoke-self"))
	}
	for _, a := range choices {
		if c.cfg.Gate.May(ctx, a) {
			return a, true
		}
	}
	return any, false
}

// sight is what the person sees of the logins: what they may end.
func (v *visit) sight(ctx context.Context) (database.Sight, error) {
	if v.c.cfg.Gate.May(ctx, revokeAction(revokeAny)) {
		return database.Sight{All: true}, nil
	}
	s := database.Sight{}
	if v.actor.Kind == nightporter.Person {
		s.Person = v.actor.Name
	}
	paths, err := database.HeldPaths(ctx, v.tx)
	if err != nil {
		return s, err
	}
	for _, p := range paths {
		// A policy names the logins of a role by a prefix: any name below it
		// shows whether there is one. Each login is asked about again.
		if v.c.cfg.Gate.May(ctx, revokeAction(revokeAny+"/"+p+"/"+rand.Text()[:24])) {
			s.Paths = append(s.Paths, p)
		}
	}
	return s, nil
}

// secrets answers GET /secrets: who can log in to what right now?
func (c *Console) secrets(ctx context.Context, v *visit) (Page, error) {
	q := v.r.URL.Query()
	number, err := strconv.Atoi(cmp.Or(q.Get("page"), "1"))
	if err != nil || number < 1 || number > 1_000_000 {
		return nil, nightporter.E(nightporter.Invalid, "page is not a page of this list")
	}
	l, err := v.layout(ctx, "Secrets", "Secrets")
	if err != nil {
		return nil, err
	}
	sight, err := v.sight(ctx)
	if err != nil {
		return nil, err
	}
	p := &Secrets{Layout: l, Filter: SecretsFilter{Environment: q.Get("environment"), Database: q.Get("database"), Owner: q.Get("owner")}}
	held, err := c.cfg.Databases.Held(ctx, v.tx, database.HeldFilter{
		Sight: sight, Environment: p.Filter.Environment, Database: p.Filter.Database, Owner: p.Filter.Owner,
		Skip: (number - 1) * loginsPerPage, Limit: loginsPerPage,
	})
	if err != nil {
		return nil, err
	}
	for _, login := range held.Logins {
		p.Logins = append(p.Logins, v.loginRow(login))
	}
	p.Total = held.Total
	if len(p.Logins) > 0 {
		p.From = (number-1)*loginsPerPage + 1
		p.To = p.From + len(p.Logins) - 1
	}
	if p.To < p.Total && len(p.Logins) > 0 {
		p.Older = p.Filter.url(number + 1)
	}
	if number > 1 {
		p.Newer = p.Filter.url(number - 1)
	}
	if err := v.databases(ctx, p, sight.All); err != nil {
		return nil, err
	}
	p.Headline, p.Detail = v.whoCanLogIn(p, held, sight.All)
	p.Hint = "nightporter secret db add NAME --plugin postgresql …"
	if sight.All {
		p.CLI = "nightporter secret lease list"
	}
	return p, nil
}

// url is the address of a page of the list.
func (f SecretsFilter) url(page int) string {
	q := url.Values{}
	for name, value := range map[string]string{"environment": f.Environment, "database": f.Database, "owner": f.Owner} {
		if value != "" {
			q.Set(name, value)
		}
	}
	if page > 1 {
		q.Set("page", strconv.Itoa(page))
	}
	if len(q) == 0 {
		return "/secrets"
	}
	return "/secrets?" + q.Encode()
}

// whoCanLogIn is the page's first line.
func (v *visit) whoCanLogIn(p *Secrets, held database.Held, all bool) (headline string, detail []string) {
	live := held.Total - held.Ending
	switch {
	case held.Stuck > 0:
		headline = sentence(words(held.Stuck)) + " " + plural(held.Stuck, "login should be gone and is not", "logins should be gone and are not")
	case held.Total == 0 && p.Filter.Any():
		return "Nobody has such a login", nil
	case held.Total == 0 && all:
		return "Nobody holds a login now", nil
	case held.Total == 0:
		return "You hold no login now", nil
	case live == 0:
		headline = "The last " + plural(held.Ending, "login is", "logins are") + " being ended"
	case all:
		headline = sentence(words(live)) + " " + plural(live, "login is", "logins are") + " out"
	default:
		headline = "You hold or look after " + words(live) + " " + plural(live, "login", "logins")
	}
	if held.Stuck > 0 && live > 0 {
		detail = append(detail, things(live, "login is", "logins are")+" out")
	}
	if n := held.Ending - held.Stuck; n > 0 && live > 0 {
		detail = append(detail, things(n, "is", "are")+" being ended")
	}
	// The list is sorted by the end: what ends soon is on the first page.
	for _, row := range p.Logins {
		if row.Badge.State == OK || row.Badge.State == Attention {
			detail = append(detail, "the next ends at "+v.shortly(row.Expires))
			break
		}
	}
	return headline, detail
}

func loginURL(id string) string { return "/secrets/logins/" + (&url.URL{Path: id}).EscapedPath() }

// loginRow is a login as the list shows it.
func (v *visit) loginRow(l database.Login) LoginRow {
	r := LoginRow{
		Username: l.Username, URL: loginURL(l.Lease), Database: l.Database, Role: l.Role, Owner: l.Owner, Environment: l.Environment,
		Issued: l.Issued, Expires: l.Expires, Badge: v.loginBadge(l), Note: l.Error,
	}
	if l.Role == l.Owner && strings.Contains(l.Path, "/login/") {
		r.Role = ""
	}
	if whole := l.Expires.Sub(l.Issued); whole > 0 && l.State == string(lease.Live) {
		r.Left = int(100 * min(max(l.Expires.Sub(v.now), 0), whole) / whole)
	}
	return r
}

func (v *visit) loginBadge(l database.Login) Badge {
	switch {
	case l.State == string(lease.Doomed) && l.Error != "":
		return Badge{State: Failed, Word: "does not end"}
	case l.State == string(lease.Doomed):
		return Badge{State: Running, Word: "ending"}
	case l.Expires.Sub(v.now) < soon:
		return Badge{State: Attention, Word: "ends soon", Icon: IconWaiting}
	}
	return Badge{State: OK, Word: "live"}
}

// databases lists the databases that the person may log in to, or all of them for
// those who look after logins.
func (v *visit) databases(ctx context.Context, p *Secrets, all bool) error {
	list, err := v.c.cfg.Databases.DatabasesIn(ctx, v.tx)
	if err != nil {
		return err
	}
	for _, s := range list {
		path := ownLogin(s.Database)
		mayLogIn := v.actor.Kind == nightporter.Person && v.c.cfg.Gate.May(ctx, nightporter.Action{Name: "database.read", Capability: nightporter.Read, Path: path})
		if !all && !mayLogIn {
			continue
		}
		row := DatabaseRow{Name: s.Database, Kind: databaseKind(s.Plugin), Environment: s.Environment, Badge: v.databaseBadge(s), Counted: all}
		if all {
			row.Logins, row.Ending, row.Findings, row.Compared, row.Note = s.Logins, s.Ending, s.Findings, s.Compared, s.Trouble
			p.Filter.Databases = append(p.Filter.Databases, s.Database)
		}
		if s.Environment != "" && !slices.Contains(p.Filter.Environments, s.Environment) && all {
			p.Filter.Environments = append(p.Filter.Environments, s.Environment)
		}
		if mayLogIn && !s.Dark {
			row.Form = &Form{
				ID: "login-to-" + strings.ReplaceAll(s.Database, "/", "-"), URL: "/secrets/login/" + (&url.URL{Path: s.Database}).EscapedPath(),
				Label: "Log in as yourself", Kind: Plain,
				Explain: "Makes a login in your name, for an hour at most. The password is shown once, and the login ends with your session here.",
				CLI:     loginCommand(s.Database),
			}
		}
		p.Databases = append(p.Databases, row)
	}
	slices.Sort(p.Filter.Environments)
	return nil
}

// ownLogin is the path that hands out a person's own login to a database.
func ownLogin(name string) string {
	i := strings.LastIndexByte(name, '/')
	return name[:i+1] + "login/" + name[i+1:]
}

// loginCommand is the command that does the same.
func loginCommand(name string) string {
	i := strings.LastIndexByte(name, '/')
	if mount := name[:max(i, 0)]; mount != "database" {
		return "nightporter secret login " + name[i+1:] + " --mount " + mount
	}
	return "nightporter secret login " + name[i+1:]
}

func databaseKind(plugin string) string {
	switch {
	case strings.HasPrefix(plugin, "postgresql"):
		return "PostgreSQL"
	case strings.HasPrefix(plugin, "mysql"):
		return "MySQL"
	}
	return plugin
}

// databaseBadge says what is known of a database. That it answers is known from
// its last answer alone, and not for ever.
func (v *visit) databaseBadge(s database.Status) Badge {
	switch {
	case s.Dark:
		return Badge{State: Muted, Icon: IconAsleep, Word: "dark"}
	case s.Trouble != "":
		return Badge{State: Failed, Word: "does not answer"}
	case s.Answered.IsZero(), v.now.Sub(s.Answered) > answeredWithin:
		return Badge{State: Unknown, Word: "not asked lately"}
	}
	return Badge{State: OK, Word: "answers"}
}

// stuckLogins are the logins that should be gone and are not, for those who run
// the house: one need a database.
func (v *visit) stuckLogins(ctx context.Context) ([]need, error) {
	if v.c.cfg.Databases == nil || !v.runsTheHouse() {
		return nil, nil
	}
	held, err := v.c.cfg.Databases.Held(ctx, v.tx, database.HeldFilter{Sight: database.Sight{All: true}, Limit: 1000})
	if err != nil {
		return nil, err
	}
	byDatabase := map[string]*need{}
	var order []string
	counts := map[string]int{}
	for _, l := range held.Logins {
		if l.State != string(lease.Doomed) || l.Error == "" || v.now.Sub(l.Doomed) < stuckAfter {
			continue
		}
		counts[l.Database]++
		n := byDatabase[l.Database]
		if n == nil {
			url := SecretsFilter{Database: l.Database}.url(1)
			n = &need{urgency: broken, Need: Need{
				ID: "logins-" + strings.ReplaceAll(l.Database, "/", "-"), State: Failed, Subject: l.Database, URL: url, Owner: l.Environment,
				Reason: l.Error, Since: l.Doomed, Act: &Link{Text: "Open", URL: url},
			}}
			byDatabase[l.Database], order = n, append(order, l.Database)
		}
		if !l.Doomed.IsZero() && l.Doomed.Before(n.Since) {
			n.Since = l.Doomed
		}
	}
	var list []need
	for _, name := range order {
		n := byDatabase[name]
		n.What = "does not let go of " + things(counts[name], "login", "logins")
		list = append(list, *n)
	}
	return list, nil
}

// sessionRows are sessions as a page shows them.
func sessionRows(list []provider.Session) []SessionRow {
	var rows []SessionRow
	for _, s := range list {
		rows = append(rows, SessionRow{
			ID: s.ID, Client: cmp.Or(s.Client, "the server's own machine"), Program: cmp.Or(s.Program, "unnamed"), Database: s.Database, State: s.State, Since: s.Since,
		})
	}
	return rows
}

// entryURL is the page about an entry of the register.
func entryURL(m *database.Mark) string { return fmt.Sprintf("/activity/%d", m.Entry) }
