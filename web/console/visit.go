package console

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/policy"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
)

// visit is one request for a page: who asks, and the snapshot of the store and
// the world that all of the page is read from.
type visit struct {
	frozen map[string]string // of the page of a service: why its environments take nothing new
	c      *Console
	r      *http.Request
	tx     *store.Tx
	world  *catalog.World
	actor  nightporter.Actor
	now    time.Time
	// change is the number of the last change when the snapshot was asked for.
	change uint64

	rows []releases.Row // the whole board, once somebody asked for it
	mine []Need         // what needs the actor, likewise
}

func (c *Console) visit(r *http.Request, tx *store.Tx, change uint64) *visit {
	return &visit{c: c, r: r, tx: tx, change: change, world: c.cfg.Catalog.Current(), actor: nightporter.ActorFrom(r.Context()), now: c.cfg.RealNow()}
}

// board reads what runs where, of all services. The rows are shared: nobody may
// change them.
func (v *visit) board(ctx context.Context) ([]releases.Row, error) {
	if v.rows == nil {
		rows, err := v.c.boards.read(ctx, v)
		if err != nil {
			return nil, err
		}
		v.rows = v.c.cfg.Releases.Seen(rows)
	}
	return v.rows, nil
}

// boards keeps the last board that was read, because every page counts from it
// what needs somebody. It is as good as a new one while the world is the same,
// the register has not grown (every change writes there) and nobody said that
// something moved.
type boards struct {
	mu   sync.Mutex
	of   boardOf
	rows []releases.Row
}

type boardOf struct {
	generation, change uint64
	entries            int64
}

func (b *boards) read(ctx context.Context, v *visit) ([]releases.Row, error) {
	of := boardOf{generation: v.world.Generation(), change: v.change}
	if err := v.tx.QueryRow(ctx, `SELECT COALESCE(MAX(seq), -1) + 1 FROM audit_entry`).Scan(&of.entries); err != nil {
		return nil, fmt.Errorf("read the register's size: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock() // who comes meanwhile waits, and finds it read
	if b.rows != nil && b.of == of {
		return b.rows, nil
	}
	rows, err := releases.Board(ctx, v.tx, v.world)
	if err != nil {
		return nil, err
	}
	b.of, b.rows = of, rows
	return rows, nil
}

// environments are the columns of boards and pipelines, in the pipeline's order.
func (v *visit) environments() []catalog.Environment {
	var list []catalog.Environment
	for _, stage := range v.world.Stages("") {
		for _, name := range stage {
			if e, ok := v.world.Environment(name); ok {
				list = append(list, e)
			}
		}
	}
	return list
}

// runsTheHouse says whether the person hears of everybody's trouble: operators,
// and whoever holds a root token.
func (v *visit) runsTheHouse() bool {
	return v.world.IsOperator(v.actor.Name) || slices.Contains(v.actor.Policies, policy.RootName)
}

// concerns says whether the person hears of the trouble of a team's services.
func (v *visit) concerns(team string) bool {
	return v.runsTheHouse() || slices.Contains(v.world.TeamsOf(v.actor.Name), team)
}

// layout is what is around every page of somebody who is signed in. current is
// the link of the rail that the page belongs to.
func (v *visit) layout(ctx context.Context, title, current string) (Layout, error) {
	l := v.c.layout(v.r, title, current)
	l.Now, l.Live = v.now, true
	needs, err := v.needs(ctx)
	if err != nil {
		return l, err
	}
	l.Rail[0].Count = len(needs)
	if l.NextEvent == nil {
		if l.NextEvent, err = v.nextEvent(ctx); err != nil {
			return l, err
		}
	}
	if said, ok := flashes[flashOf(v.r)]; ok {
		l.Notices = append(l.Notices, said)
	}
	forges, err := repos.Forges(ctx, v.tx)
	if err != nil {
		return l, err
	}
	for _, f := range forges {
		if !f.FailingSince.IsZero() {
			l.Notices = append(l.Notices, Notice{
				State: Unknown, Title: f.Name + " has not answered since " + v.shortly(f.FailingSince) + ".",
				Text: "What is on main since then is unknown; what was merged before goes on.",
			})
		}
	}
	return l, nil
}

// shortly is a time for a sentence: "12:04" today, "Fri 20 Nov 12:04" before.
func (v *visit) shortly(t time.Time) string {
	local := t.In(v.now.Location())
	if sameDay(local, v.now) {
		return local.Format("15:04")
	}
	return local.Format("Mon 2 Jan 15:04")
}

// layout is the part of a page's surroundings that needs no store, so that pages
// about errors have it too. Without an actor there is no rail.
func (c *Console) layout(r *http.Request, title, current string) Layout {
	l := Layout{Title: title, Now: c.cfg.RealNow(), Theme: themeOf(r), Query: r.URL.Query().Get("q"), Program: c.cfg.Version}
	if c.cfg.Demo {
		l.DemoClock = c.cfg.Now()
	}
	actor := nightporter.ActorFrom(r.Context())
	if actor.Name == "" {
		return l
	}
	l.NextEvent = c.cfg.NextEvent()
	l.Rail = []RailItem{
		{Text: "Home", URL: "/", Icon: IconHome, Key: "h"},
		{Text: "Services", URL: "/services", Icon: IconServices, Key: "s"},
	}
	if c.cfg.Environments != nil {
		l.Rail = append(l.Rail, RailItem{Text: "Environments", URL: "/environments", Icon: IconEnvs, Key: "e"})
	}
	if c.cfg.Databases != nil {
		l.Rail = append(l.Rail, RailItem{Text: "Secrets", URL: "/secrets", Icon: IconSecrets, Key: "x"})
	}
	if c.cfg.Repos != nil {
		l.Rail = append(l.Rail, RailItem{Text: "Repos", URL: "/repos", Icon: IconRepos, Key: "r"})
	}
	if c.cfg.Security != nil {
		l.Rail = append(l.Rail, RailItem{Text: "Security", URL: "/security", Icon: IconSecurity, Key: "y"})
	}
	if c.cfg.Dashboards != nil {
		l.Rail = append(l.Rail, RailItem{Text: "Dashboards", URL: "/dashboards", Icon: IconMetrics, Key: "d"})
	}
	l.Foot = []RailItem{{Text: "Activity", URL: "/activity", Icon: IconActivity, Key: "a"}}
	for _, items := range [][]RailItem{l.Rail, l.Foot} {
		for i := range items {
			items[i].Current = items[i].Text == current
		}
	}
	l.Person = &Viewer{Name: actor.Name, Role: role(c.cfg.Catalog.Current(), actor)}
	return l
}

// role says in a few words what somebody is here.
func role(world *catalog.World, a nightporter.Actor) string {
	teams := world.TeamsOf(a.Name)
	switch {
	case slices.Contains(a.Policies, policy.RootName):
		return "holds a root token"
	case a.Kind != nightporter.Person:
		return "token of a program"
	case world.IsOperator(a.Name):
		return "operator"
	case len(teams) > 0:
		return "owner in " + strings.Join(teams, ", ")
	}
	return "developer"
}

// themeOf reads the cookie that static/console.js sets.
func themeOf(r *http.Request) string {
	if cookie, err := r.Cookie("theme"); err == nil && (cookie.Value == "light" || cookie.Value == "dark") {
		return cookie.Value
	}
	return ""
}
