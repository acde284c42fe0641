package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/identity"
	"nightporter.dev/nightporter/internal/lease"
	"nightporter.dev/nightporter/internal/store"
	provider "nightporter.dev/nightporter/provider/database"
	"nightporter.dev/nightporter/secrets/database"
)

// secretRoutes are the pages about logins. They are only there when the house
// hands any out.
func (c *Console) secretRoutes() []httpapi.Route {
	if c.cfg.Databases == nil {
		return nil
	}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/secrets", Action: httpapi.Does("lease.list", nightporter.Read, "api/leases"),
			Handler: c.show(page{c.secrets, nil}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		{
			Method: http.MethodGet, Pattern: "/secrets/logins/{lease...}", Handler: c.getLogin, Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				return nightporter.Action{Name: "lease.read", Capability: nightporter.Read, Path: "api/leases"},
					nightporter.Resource{Kind: "lease", ID: r.PathValue("lease")}, nil
			}),
		},
		{
			Method: http.MethodPost, Pattern: "/secrets/revoke/{lease...}", Handler: c.postRevoke, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				action, err := c.revokeActionOf(r)
				return action, nightporter.Resource{Kind: "lease", ID: r.PathValue("lease")}, err
			}),
		},
		{
			Method: http.MethodPost, Pattern: "/secrets/login/{database...}", Handler: c.postLogin, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Answer: httpapi.NotKept, // it holds a password
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				path := ownLogin(r.PathValue("database"))
				return nightporter.Action{Name: "database.read", Capability: nightporter.Read, Path: path}, nightporter.Resource{Kind: "database", ID: path}, nil
			}),
		},
	}
}

// revokeActionOf is the action that a form to end a login asks for. The answer to
// somebody who may not is the same whether or not there is such a login.
func (c *Console) revokeActionOf(r *http.Request) (action nightporter.Action, err error) {
	if err := takeKey(r); err != nil {
		return action, err
	}
	ctx := r.Context()
	err = c.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		s, err := c.cfg.Databases.Story(ctx, tx, r.PathValue("lease"), personOf(ctx))
		mine := err == nil && s.Mine
		if err != nil && nightporter.CodeOf(err) != nightporter.NotFound {
			return err
		}
		action, _ = c.revokeActionFor(ctx, r.PathValue("lease"), mine)
		return nil
	})
	return action, err
}

// personOf is the name of the actor if that is a person, else "".
func personOf(ctx context.Context) string {
	if a := nightporter.ActorFrom(ctx); a.Kind == nightporter.Person {
		return a.Name
	}
	return ""
}

// getLogin answers GET /secrets/logins/{lease...}. The database is asked for the
// sessions before the snapshot is taken: nobody waits for a network with one open.
func (c *Console) getLogin(w http.ResponseWriter, r *http.Request) error {
	ctx, id := r.Context(), r.PathValue("lease")
	var seen bool
	var live bool
	err := c.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		s, err := c.cfg.Databases.Story(ctx, tx, id, personOf(ctx))
		if err != nil {
			return err
		}
		_, seen = c.revokeActionFor(ctx, id, s.Mine)
		live = !s.Left
		return nil
	})
	if err == nil && !seen {
		err = nightporter.E(nightporter.NotFound, "there is no such login")
	}
	if err != nil {
		return err
	}
	var sessions []provider.Session
	var why error
	if live {
		sessions, why = c.cfg.Databases.Sessions(ctx, id)
	}
	return c.show(page{html: func(ctx context.Context, v *visit) (Page, error) { return c.login(ctx, v, id, sessions, why) }})(w, r)
}

// login is the page about one login.
func (c *Console) login(ctx context.Context, v *visit, id string, sessions []provider.Session, why error) (Page, error) {
	s, err := c.cfg.Databases.Story(ctx, v.tx, id, personOf(ctx))
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, cmp.Or(s.Username, "Login"), "Secrets")
	if err != nil {
		return nil, err
	}
	p := &LoginPage{
		Layout: l, Username: s.Username, Badge: v.loginBadge(s.Login), Facts: loginFacts(s), Moments: v.moments(s), Sessions: sessionRows(sessions),
		CLI: "nightporter secret lease list --username " + s.Username,
	}
	p.Headline = v.loginHeadline(s)
	switch {
	case s.Gone != nil:
		p.Badge = Badge{State: OK, Word: "gone"}
	case s.Left:
		p.Badge = Badge{State: Unknown, Word: "not proven"}
	}
	switch {
	case s.Left:
	case why != nil:
		p.SessionsNote = "Not known: " + nightporter.MessageOf(why) + "."
	case len(sessions) == 0:
		p.SessionsNote = "The database has no session of it now."
	}
	if s.Left {
		p.CLI = ""
	} else if s.State == string(lease.Live) {
		p.Forms = []Form{v.revokeForm(s, sessions, why)}
	}
	if !s.Left && s.Parent != "" {
		p.Tree, err = v.tree(ctx, s)
	}
	return p, err
}

// loginHeadline says where a login stands, in the rest of a sentence.
func (v *visit) loginHeadline(s *database.Story) string {
	where := cmp.Or(s.Database, "its database")
	switch {
	case s.Gone != nil && s.Proof == "vanished":
		return "is gone with its database"
	case s.Gone != nil:
		return "is gone, confirmed by the database at " + v.shortly(s.Gone.At)
	case s.Left:
		return "is not in the journal any more"
	case s.State == string(lease.Doomed) && s.Error != "":
		return "should be gone and is not"
	case s.State == string(lease.Doomed):
		return "is being ended"
	}
	return "can log in to " + where + " until " + v.shortly(s.Expires)
}

func loginFacts(s *database.Story) []Fact {
	var facts []Fact
	add := func(label, value, url string) {
		if value != "" {
			facts = append(facts, Fact{Label: label, Value: value, URL: url})
		}
	}
	add("Held by", s.Owner, "")
	add("Database", s.Database, "")
	add("Environment", s.Environment, "")
	role := s.Role
	if strings.Contains(s.Path, "/login/") {
		role = "their own login"
	}
	add("Role", role, "")
	add("Asked for at", s.Path, "")
	add("Ends because", s.Reason, "")
	return facts
}

// moments is what is on record of a login. That it is gone is read from there, and
// never taken for granted.
func (v *visit) moments(s *database.Story) []Moment {
	var list []Moment
	if s.Asked != nil {
		list = append(list, Moment{Badge: Badge{State: Muted, Word: "asked for"}, Text: "by " + s.Asked.By, At: s.Asked.At, URL: entryURL(s.Asked)})
	}
	if !s.Renewed.IsZero() {
		list = append(list, Moment{Badge: Badge{State: Muted, Word: "renewed"}, At: s.Renewed})
	}
	if s.Revoked != nil {
		list = append(list, Moment{Badge: Badge{State: Attention, Word: "revoked"}, Text: "by " + s.Revoked.By, At: s.Revoked.At, URL: entryURL(s.Revoked)})
	}
	switch {
	case s.Gone != nil && s.Proof == "vanished":
		list = append(list, Moment{Badge: Badge{State: OK, Word: "gone"}, Text: "its database is gone, by the inventory of its environment", At: s.Gone.At, URL: entryURL(s.Gone)})
	case s.Gone != nil:
		list = append(list, Moment{Badge: Badge{State: OK, Word: "gone"}, Text: "confirmed by the database", At: s.Gone.At, URL: entryURL(s.Gone)})
	case s.Left:
		list = append(list, Moment{Badge: Badge{State: Unknown, Word: "not proven"}, Text: "it left the journal, and the register does not name it. Of many logins that end together it names the first fifty"})
	case s.State == string(lease.Doomed) && s.Error != "":
		list = append(list, Moment{Badge: Badge{State: Failed, Word: "does not end"}, Text: s.Error + ". It is tried again until it is gone", At: s.Doomed})
	case s.State == string(lease.Doomed):
		list = append(list, Moment{Badge: Badge{State: Running, Word: "ending…"}, Text: "the database has not confirmed it yet", At: s.Doomed})
	default:
		list = append(list, Moment{Badge: Badge{State: v.loginBadge(s.Login).State, Icon: IconWaiting, Word: "ends"}, Text: "by itself at " + v.shortly(s.Expires)})
	}
	return list
}

// revokeForm says what loses access before anything happens.
func (v *visit) revokeForm(s *database.Story, sessions []provider.Session, why error) Form {
	f := Form{
		ID: "revoke", URL: "/secrets/revoke/" + strings.TrimPrefix(loginURL(s.Lease), "/secrets/logins/"), Label: "Revoke", Kind: Danger, Key: rand.Text(),
		Comment: "Why (optional)", CLI: "nightporter secret lease revoke " + s.Lease,
	}
	f.Explain = cmp.Or(s.Owner, "Whoever holds it") + " loses access to " + s.Database + " as " + s.Username + ". "
	switch {
	case why != nil:
		f.Explain += "Which sessions end with it is not known now."
	case len(sessions) == 0:
		f.Explain += "It has no session open."
	default:
		f.Explain += "It has " + things(len(sessions), "session", "sessions") + " open, which " + plural(len(sessions), "ends", "end") + " with it."
	}
	if v.inProduction(s.Environment) {
		f.Confirm = s.Database[strings.LastIndexByte(s.Database, '/')+1:]
	}
	return f
}

// inProduction says whether something of an environment is production's: what is
// bound to none is.
func (v *visit) inProduction(environment string) bool { return inProduction(v.world, environment) }

func inProduction(world *catalog.World, environment string) bool {
	e, ok := world.Environment(environment)
	return !ok || e.Kind == nightporter.Production
}

// postRevoke ends a login. The page that follows says how far that is.
func (c *Console) postRevoke(w http.ResponseWriter, r *http.Request) error {
	f, err := readSent(r)
	if err != nil {
		return err
	}
	ctx, id := r.Context(), r.PathValue("lease")
	action, _ := httpapi.ActionFrom(ctx)
	var s *database.Story
	if err := c.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		s, err = c.cfg.Databases.Story(ctx, tx, id, personOf(ctx))
		return err
	}); err != nil {
		return err
	}
	name := s.Database[strings.LastIndexByte(s.Database, '/')+1:]
	if !s.Left && inProduction(c.cfg.Catalog.Current(), s.Environment) && f.confirm != name {
		return nightporter.E(nightporter.Invalid, "type %s to end a login to a production database", name)
	}
	// One that ended meanwhile is what they wanted.
	if err := c.cfg.Databases.End(ctx, action, id, f.comment); err != nil && (nightporter.CodeOf(err) != nightporter.NotFound || !s.Left) {
		return err
	}
	c.done(w, r, loginURL(id), "revoke")
	return nil
}

// postLogin hands out the person's own login. What it answers holds a password: it
// is kept nowhere, and there is no address that shows it again.
func (c *Console) postLogin(w http.ResponseWriter, r *http.Request) error {
	if err := readForm(r); err != nil {
		return err
	}
	ctx, name := r.Context(), r.PathValue("database")
	resp, err := c.cfg.Vault.Read(ctx, ownLogin(name))
	if err != nil {
		return err
	}
	if resp.Lease.ID == "" { // something else is mounted there: it is no login, and this is no page for it
		return nightporter.E(nightporter.NotFound, "no database is called %s", name)
	}
	text := func(field string) string {
		s, _ := resp.Data[field].(string)
		return s
	}
	p := &IssuedLogin{
		Layout: c.layout(r, "Your login", "Secrets"), Database: name, Username: text("username"), Password: text("password"),
		Ends: c.cfg.RealNow().Add(resp.Lease.Duration), URL: loginURL(resp.Lease.ID), CLI: "nightporter secret lease revoke " + resp.Lease.ID,
	}
	for _, warning := range resp.Warnings {
		if !strings.HasPrefix(warning, "the token that asked") { // which the page says in its own words
			p.Warning = sentence(warning) + "."
		}
	}
	if err := c.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		chain, err := lease.Ancestry(ctx, tx, nightporter.ActorFrom(ctx).Accessor, c.cfg.RealNow())
		if chain.Until.Before(p.Ends) {
			p.Session = chain.Until
		}
		return err
	}); err != nil {
		return err
	}
	p.Address, p.Command = reach(text("connection_url"), text("plugin_name"), p.Username)
	c.Notify()
	return c.write(w, http.StatusOK, p)
}

// reach is where a database is, and the command that opens it. Neither holds a
// password: psql asks for it.
func reach(connection, plugin, username string) (address, command string) {
	if i := strings.LastIndex(connection, "@"); i >= 0 {
		address = connection[i+1:]
	}
	address, _, _ = strings.Cut(address, "?")
	scheme, _, found := strings.Cut(connection, "://")
	if address == "" || !found || !strings.HasPrefix(plugin, "postgresql") || strings.ContainsAny(address, " '\"\\$`") {
		return address, ""
	}
	return address, "psql " + scheme + "://" + username + "@" + address
}

// maxBranches bounds a tree: of wider ones the page says how much more there is.
const maxBranches = 100

// tree is everything that hangs together with a login: from the topmost token
// that the person may see.
func (v *visit) tree(ctx context.Context, s *database.Story) ([]Branch, error) {
	all := v.c.cfg.Gate.May(ctx, revokeAction(revokeAny))
	top := ""
	for id := s.Parent; id != ""; {
		info, err := identity.Find(ctx, v.tx, id)
		if nightporter.CodeOf(err) == nightporter.NotFound || nightporter.CodeOf(err) == nightporter.Unauthenticated {
			break
		}
		if err != nil {
			return nil, err
		}
		if !all && (info.ActorKind != nightporter.Person || info.Actor != v.actor.Name) {
			break
		}
		top, id = id, info.Lease.Parent
	}
	if top == "" {
		return nil, nil
	}
	root, err := lease.Get(ctx, v.tx, top)
	if err != nil {
		return nil, err
	}
	left := maxBranches
	b, err := v.branch(ctx, root, s.Lease, &left)
	return []Branch{b}, err
}

// branch draws a lease and what hangs from it. left is how many more may be drawn.
func (v *visit) branch(ctx context.Context, l lease.Lease, here string, left *int) (Branch, error) {
	*left--
	b := Branch{Expires: l.ExpiresAt, Here: l.ID == here, Badge: Badge{State: OK, Word: "live"}}
	switch {
	case l.State == lease.Doomed:
		b.Badge = Badge{State: Running, Word: "ending"}
	case l.State == lease.Intended:
		b.Badge = Badge{State: Running, Word: "being made"}
	}
	if l.Kind != lease.Token {
		b.Text, b.Sub, b.URL = l.Path, "login of "+l.Owner, loginURL(l.ID)
		return b, nil
	}
	info, err := identity.Find(ctx, v.tx, l.ID)
	if err != nil && nightporter.CodeOf(err) != nightporter.NotFound {
		return b, err
	}
	b.Text, b.Sub = l.Owner, "token"
	if err == nil {
		b.Text = info.Actor
		b.Sub = map[identity.TokenKind]string{identity.Session: "session", identity.Wrapping: "wrapped answer"}[info.Kind]
		b.Sub = cmp.Or(b.Sub, "token") + " by " + cmp.Or(info.Method, "token")
	}
	children, err := lease.Query(ctx, v.tx, `WHERE parent = ? ORDER BY issued_at, id`, l.ID)
	if err != nil {
		return b, err
	}
	// The way to the login of the page is drawn, however many others there are.
	if i := slices.IndexFunc(children, func(c lease.Lease) bool { return c.ID == here }); i > 0 {
		children = append([]lease.Lease{children[i]}, slices.Delete(children, i, i+1)...)
	}
	for _, child := range children {
		if *left <= 0 {
			b.More++
			continue
		}
		c, err := v.branch(ctx, child, here, left)
		if err != nil {
			return b, err
		}
		b.Children = append(b.Children, c)
	}
	return b, nil
}
