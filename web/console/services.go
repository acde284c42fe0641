package console

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/versions"
)

// rowsPerPage is how many services one page of the board holds.
const rowsPerPage = 100

// The filters of the board, as they stand in the URL.
const (
	showBehind  = "behind"
	showWaiting = "waiting"
	showFailed  = "failed"
	showHold    = "hold"
)

// boardQuery is what the URL of the board asks for.
type boardQuery struct {
	search, show, owner string
	page                int // from 1
}

func readBoardQuery(q url.Values) boardQuery {
	page, err := strconv.Atoi(q.Get("page"))
	if err != nil || page < 1 {
		page = 1
	}
	return boardQuery{search: strings.TrimSpace(q.Get("q")), show: q.Get("show"), owner: q.Get("owner"), page: page}
}

// url is the board's address with the query's settings.
func (q boardQuery) url() string {
	v := url.Values{}
	for name, value := range map[string]string{"q": q.search, "show": q.show, "owner": q.owner} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if q.page > 1 {
		v.Set("page", strconv.Itoa(q.page))
	}
	if len(v) == 0 {
		return "/services"
	}
	return "/services?" + v.Encode()
}

func (q boardQuery) showing(show string) boardQuery { q.show, q.page = show, 1; return q }
func (q boardQuery) ownedBy(team string) boardQuery { q.owner, q.page = team, 1; return q }
func (q boardQuery) at(page int) boardQuery         { q.page = page; return q }

// matches says whether a service is searched for.
func (q boardQuery) matches(row *releases.Row) bool {
	return (q.owner == "" || row.Owner == q.owner) && strings.Contains(strings.ToLower(row.Service), strings.ToLower(q.search))
}

// shown says whether a service passes the filter.
func (q boardQuery) shown(row *releases.Row) bool {
	switch q.show {
	case showBehind:
		return row.Production.Behind > 0
	case showWaiting:
		return waiting(row)
	case showFailed:
		return failed(row)
	case showHold:
		return held(row)
	}
	return true
}

func waiting(row *releases.Row) bool {
	return row.Release != nil && row.Release.State == releases.Waiting
}

func failed(row *releases.Row) bool {
	return row.Release != nil && (row.Release.State == releases.RolledBack || row.Release.State == releases.Broken)
}

func held(row *releases.Row) bool {
	return row.Hold != nil || row.Release != nil && row.Release.State == releases.Held
}

// summarise counts for the board's first line.
func summarise(rows []releases.Row) BoardSummary {
	s := BoardSummary{Services: len(rows)}
	for i := range rows {
		row := &rows[i]
		if row.Production.Behind > 0 {
			s.Behind++
			if at := row.Production.OldestUnreleased; s.Oldest.IsZero() || at.Before(s.Oldest) {
				s.Oldest = at
			}
		}
		for n, is := range map[*int]bool{&s.Waiting: waiting(row), &s.Failed: failed(row), &s.Held: held(row), &s.Unreleased: !row.Production.Released} {
			if is {
				*n++
			}
		}
	}
	return s
}

// rank puts first what needs somebody.
func rank(row *releases.Row) int {
	switch {
	case failed(row):
		return 0
	case waiting(row):
		return 1
	case held(row):
		return 2
	case row.Release != nil && !row.Release.State.Over():
		return 3
	case row.Production.Behind > 0:
		return 4
	case !row.Production.Released:
		return 5
	}
	return 6
}

// board answers GET /services: how far is production behind main?
func (c *Console) board(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Services", "Services")
	if err != nil {
		return nil, err
	}
	all, err := v.board(ctx)
	if err != nil {
		return nil, err
	}
	q := readBoardQuery(v.r.URL.Query())
	b := &Board{Layout: l, Summary: summarise(all), Search: q.search, CLI: "nightporter release board"}
	for _, e := range v.environments() {
		b.Environments = append(b.Environments, BoardEnvironment{Name: e.Name, Kind: e.Kind})
	}
	var found, shown []*releases.Row
	for i := range all {
		if q.matches(&all[i]) {
			found = append(found, &all[i])
			if q.shown(&all[i]) {
				shown = append(shown, &all[i])
			}
		}
	}
	b.Filters = v.filters(q, found)
	slices.SortStableFunc(shown, func(a, b *releases.Row) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Production.OldestUnreleased.Compare(b.Production.OldestUnreleased), cmp.Compare(a.Service, b.Service))
	})
	b.Total = len(shown)
	q.page = min(q.page, max(1, (len(shown)+rowsPerPage-1)/rowsPerPage))
	first := (q.page - 1) * rowsPerPage
	last := min(first+rowsPerPage, len(shown))
	b.From, b.To = min(first+1, last), last
	if q.page > 1 {
		b.Newer = q.at(q.page - 1).url()
	}
	if last < len(shown) {
		b.Older = q.at(q.page + 1).url()
	}
	for _, row := range shown[first:last] {
		r, err := v.boardRow(ctx, row)
		if err != nil {
			return nil, err
		}
		b.Rows = append(b.Rows, r)
	}
	return b, nil
}

// filters are the choices above the board, counted within what is searched for.
func (v *visit) filters(q boardQuery, found []*releases.Row) []Filter {
	list := []Filter{{Text: "All", Count: len(found), URL: q.showing("").url(), Current: q.show == ""}}
	for _, f := range []struct{ text, show string }{{"Behind", showBehind}, {"Waiting", showWaiting}, {"Failed", showFailed}, {"On hold", showHold}} {
		n := 0
		for _, row := range found {
			if q.showing(f.show).shown(row) {
				n++
			}
		}
		list = append(list, Filter{Text: f.text, Count: n, URL: q.showing(f.show).url(), Current: q.show == f.show})
	}
	teams := slices.Clone(v.world.TeamsOf(v.actor.Name))
	if q.owner != "" && !slices.Contains(teams, q.owner) {
		teams = append(teams, q.owner)
	}
	for _, team := range teams {
		n := 0
		for _, row := range v.rows {
			if q.ownedBy(team).matches(&row) {
				n++
			}
		}
		if n == 0 && team != q.owner {
			continue
		}
		f := Filter{Text: team, Count: n, URL: q.ownedBy(team).url(), Current: q.owner == team}
		if f.Current {
			f.URL = q.ownedBy("").url() // pressing it again shows everybody's
		}
		list = append(list, f)
	}
	return list
}

// boardRow puts a service into the board's words.
func (v *visit) boardRow(ctx context.Context, row *releases.Row) (BoardRow, error) {
	ledger, err := v.ledger(ctx, row)
	if err != nil {
		return BoardRow{}, err
	}
	r := BoardRow{
		Service: row.Service, URL: "/services/" + row.Service, Owner: row.Owner, Main: mainOf(row, ledger), Behind: behindOf(row, ledger),
	}
	for _, e := range v.environments() {
		if cell, ok := row.Environments[e.Name]; ok {
			r.Cells = append(r.Cells, cellOf(e.Environment, cell, row, r.Main.Version))
		} else {
			r.Cells = append(r.Cells, Cell{Environment: e.Name, Kind: e.Kind, State: Muted, Word: "not used"})
		}
	}
	statusOf(row, &r)
	return r, nil
}

// ledger reads the newest versions of a row's repository: as many as the page
// shows, and enough to find the last one that was cut. Where production has every
// merge, main is what production runs, and nothing is read.
func (v *visit) ledger(ctx context.Context, row *releases.Row) ([]versions.Row, error) {
	if row.Production.Released && row.Production.Behind == 0 {
		return nil, nil
	}
	return versions.List(ctx, v.tx, row.Repo, 0, min(max(row.Production.Behind, 3), 20))
}

// boardTwin is what /api/board answers.
func boardTwin(ctx context.Context, v *visit) (any, error) {
	page, err := httpapi.ReadPage(v.r)
	if err != nil {
		return nil, err
	}
	rows, err := v.board(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(rows, func(r releases.Row) bool { return r.Service == page.After }); i >= 0 {
		rows = rows[i+1:]
	}
	return listOf(page, rows, func(r releases.Row) string { return r.Service }), nil
}

// listOf cuts a page out of a list, as httpapi.WriteList does.
func listOf[T any](p httpapi.Page, items []T, cursor func(T) string) httpapi.List[T] {
	l := httpapi.List[T]{Items: append([]T{}, items[:min(len(items), p.Limit)]...)}
	if len(items) > p.Limit {
		l.Next = cursor(items[p.Limit-1])
	}
	return l
}

// older says whether a version comes before another. What cannot be read is not
// older.
func older(version, than string) bool {
	a, err := nightporter.ParseVersion(version)
	if err != nil {
		return false
	}
	b, err := nightporter.ParseVersion(than)
	return err == nil && a.Compare(b) < 0
}
