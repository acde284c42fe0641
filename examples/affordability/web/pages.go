package web

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/obie"
	"example.org/affordability/profile"
	"example.org/affordability/spend"
	"example.org/affordability/store"
)

//go:embed pages
var files embed.FS

// views are the parsed pages, one template set each.
type views struct{ byName map[string]*template.Template }

// view is what a page may draw. Each page uses a part of it.
type view struct {
	Title    string
	Page     string // for the navigation
	Problem  string
	Notice   string
	Refresh  bool
	Bank     string
	Policy   string
	Dated    string
	Note     string
	Asked    string // the query that carries a what-if from page to page
	P        *profile.Profile
	Base     *profile.Profile // the profile without the what-if
	Reading  *reading
	Figure   *profile.Figure
	Rows     []profile.Entry
	Used     []profile.Figure // figures that this one goes into
	Stream   *detect.Stream
	Groups   []group
	Choices  []spend.Category
	Consents []consentView
	Limits   []string
	Hash     string
	Sources  map[string]string
	Held     []string
	Made     time.Time
}

// group is one kind of spending with its categories.
type group struct {
	Figure *profile.Figure
	Name   string
	Says   string
	Lines  []groupLine
}

type groupLine struct {
	Category spend.Category
	Monthly  money.Amount
	Share    int // of the largest, in per cent, for the bar
}

type consentView struct {
	consent
	Until    time.Time
	Readable bool
}

// mainFigures are the figures of the report and the comparison, in the order of reading.
var mainFigures = []string{"net_income", "gross_income", "rent", "committed", "living", "headroom", "loan_income", "loan_affordable", "loan_stress", "loan_cautious", "loan_rent", "loan", "payment", "deposit", "price"}

func parseViews() (*views, error) {
	v := &views{byName: map[string]*template.Template{}}
	funcs := template.FuncMap{
		"pounds":    func(a money.Amount) string { return a.Pounds() },
		"day":       func(t time.Time) string { return t.Format("2 January 2006") },
		"short":     func(t time.Time) string { return t.Format("2 Jan 2006") },
		"lower":     strings.ToLower,
		"amount":    func(n int64) money.Amount { return money.Amount(n) },
		"pct":       profile.Percent,
		"years":     func(m int) int { return m / 12 },
		"fig":       figLink,
		"ids":       func() []string { return mainFigures },
		"depositOf": func(a profile.Answers) int64 { return int64(a.Deposit) / 100 },
	}
	names, err := fs.Glob(files, "pages/*.html")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		base := strings.TrimSuffix(strings.TrimPrefix(name, "pages/"), ".html")
		if base == "layout" {
			continue
		}
		t, err := template.New("layout.html").Funcs(funcs).ParseFS(files, "pages/layout.html", name)
		if err != nil {
			return nil, fmt.Errorf("parsing page %s: %w", base, err)
		}
		v.byName[base] = t
	}
	return v, nil
}

// figLink is an amount that opens. Figures of a what-if keep its query.
func figLink(v view, id string) template.HTML {
	f := v.P.Figure(id)
	if f == nil {
		return "<span class=\"none\">none</span>"
	}
	text := f.Value.Pounds()
	if f.Value.Abs() < 10_000_00 && f.Value%100 != 0 {
		text = f.Value.String()
	}
	// Both parts are ours: an id of letters and digits, and an amount.
	return template.HTML(fmt.Sprintf(`<a class="amount" href="/figures/%s%s" aria-label="%s, %s: how it was made">%s</a>`,
		url.PathEscape(id), template.HTMLEscapeString(v.Asked), template.HTMLEscapeString(f.Name), text, text))
}

// draw writes a page.
func (s *Server) draw(w http.ResponseWriter, r *http.Request, status int, name string, v view) {
	v.Bank, v.Policy, v.Dated, v.Note = s.cfg.BankAs, s.cfg.Policy.Version, s.cfg.Policy.Dated, s.cfg.Policy.Note
	var b strings.Builder
	if err := s.views.byName[name].Execute(&b, v); err != nil {
		s.cfg.Log.Error("drawing a page failed", "page", name, "error", err)
		http.Error(w, "Something went wrong on our side.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(b.String())) // the browser went away
}

func (s *Server) static(w http.ResponseWriter, r *http.Request) {
	raw, err := files.ReadFile("pages/" + r.PathValue("file"))
	kind := map[string]string{".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}[ext(r.PathValue("file"))]
	if err != nil || kind == "" {
		s.fail(w, r, errNotFound)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(raw) // the browser went away
}

func ext(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[i:]
	}
	return ""
}

func (s *Server) pageConnect(w http.ResponseWriter, r *http.Request, v visitor) {
	q := r.URL.Query()
	out := view{Title: "What could your rent pay for?", Page: "connect"}
	switch {
	case q.Get("deleted") != "":
		out.Notice = "Everything is deleted, here and at your bank."
	case q.Get("denied") != "":
		out.Notice = "You did not share anything. Nothing was kept."
	default:
		if _, err := s.latest(r.Context(), v); err == nil {
			http.Redirect(w, r, "/profile", http.StatusSeeOther)
			return
		}
	}
	s.draw(w, r, http.StatusOK, "connect", out)
}

// show loads the newest profile and draws a page of it, or says why there is none.
func (s *Server) show(w http.ResponseWriter, r *http.Request, v visitor, name string, fill func(*view) error) {
	p, prof, err := s.load(r, v)
	if name == "data" && v.id != "" && (errors.Is(err, store.ErrNotFound) || err == nil && prof == nil) {
		// Whoever has a session may see what we hold and delete it, whatever became of the reading.
		p, prof, err = &reading{State: isReady}, &profile.Profile{}, nil
	}
	if errors.Is(err, store.ErrNotFound) {
		http.Redirect(w, r, "/", http.StatusSeeOther)
		return
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	out := view{Page: name, Reading: p, P: prof, Base: prof}
	switch {
	case p.State == underWay:
		out.Title, out.Refresh = "Reading your accounts", true
		s.draw(w, r, http.StatusOK, "waiting", out)
		return
	case prof == nil:
		out.Title, out.Problem = "The reading did not finish", p.Problem
		s.draw(w, r, http.StatusOK, "problem", out)
		return
	case name != "data" && prof.State != profile.Ready:
		out.Title = "No figures"
		s.draw(w, r, http.StatusOK, "nofigures", out)
		return
	}
	if asked, ans, err := answersOf(r.URL.Query(), prof.Answers); err != nil {
		s.fail(w, r, err)
		return
	} else if asked {
		if out.P, err = s.compute(r.Context(), v, p, &ans); err != nil {
			s.fail(w, r, err)
			return
		}
		out.Asked = "?" + query(ans).Encode()
	}
	if err := fill(&out); err != nil {
		s.fail(w, r, err)
		return
	}
	s.draw(w, r, http.StatusOK, name, out)
}

// answersOf reads a what-if from a form or a query. Rates are per cent with two decimals, terms are years, deposits
// are whole pounds: what people type.
func answersOf(q url.Values, ans profile.Answers) (asked bool, _ profile.Answers, err error) {
	for _, f := range []struct {
		name string
		set  func(int64)
	}{
		{"rate", func(n int64) { ans.RateBP = n }},
		{"fixed", func(n int64) { ans.FixedMonths = int(n) * 12 }},
		{"term", func(n int64) { ans.TermMonths = int(n) * 12 }},
		{"deposit", func(n int64) { ans.Deposit = money.Amount(n) * 100 }},
		{"adults", func(n int64) { ans.Adults = int(n) }},
		{"children", func(n int64) { ans.Children = int(n) }},
	} {
		if text := q.Get(f.name); text != "" {
			if len(text) > 9 {
				return false, ans, errInput
			}
			n, err := number(text, 0)
			if err != nil {
				return false, ans, err
			}
			f.set(n)
			asked = true
		}
	}
	if asked {
		err = sane(ans)
	}
	return asked, ans, err
}

func query(a profile.Answers) url.Values {
	return url.Values{
		"rate": {fmt.Sprint(a.RateBP)}, "fixed": {fmt.Sprint(a.FixedMonths / 12)}, "term": {fmt.Sprint(a.TermMonths / 12)},
		"deposit": {fmt.Sprint(int64(a.Deposit) / 100)}, "adults": {fmt.Sprint(a.Adults)}, "children": {fmt.Sprint(a.Children)},
	}
}

func (s *Server) pageProfile(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "profile", func(out *view) error {
		out.Title = out.P.Says
		return nil
	})
}

func (s *Server) pageRent(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "rent", func(out *view) error {
		out.Title = "No rent found"
		for _, st := range out.P.Streams {
			if st.Sort == detect.RentPaid {
				out.Stream = st
			}
		}
		if rec := out.P.Record; rec != nil {
			out.Title = fmt.Sprintf("%d of %d rents on time", rec.OnTime, rec.Due)
			rows := map[string]bool{}
			for _, k := range out.Stream.Keys() {
				rows[k] = true
			}
			out.Rows = pick(out.P, rows)
		}
		return nil
	})
}

// pick returns the entries with these keys, newest first.
func pick(p *profile.Profile, keys map[string]bool) []profile.Entry {
	var list []profile.Entry
	for _, e := range p.Entries {
		if keys[e.Key] {
			list = append(list, e)
		}
	}
	slices.Reverse(list)
	return list
}

var groupSays = map[spend.Group]string{
	spend.Committed:     "What you owe others. A lender takes it off in full.",
	spend.Essential:     "Food, home, travel. A lender uses this or a modelled least, whichever is more.",
	spend.Quality:       "What makes living decent. What we cannot place is counted here, to be careful.",
	spend.Discretionary: "What you could do without. It is shown and not taken off.",
}

func (s *Server) pageSpending(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "spending", func(out *view) error {
		out.Choices = spend.Categories()
		if id := r.URL.Query().Get("category"); id != "" {
			c, ok := spend.ByID(id)
			if !ok {
				return store.ErrNotFound
			}
			out.Title = c.Name
			keys := map[string]bool{}
			for _, e := range out.P.Entries {
				if e.Category == id && e.InWindow {
					keys[e.Key] = true
				}
			}
			out.Rows = pick(out.P, keys)
			return nil
		}
		total := money.Amount(0)
		largest := money.Amount(1)
		for _, m := range out.P.Spending {
			largest = max(largest, m)
		}
		for _, g := range []spend.Group{spend.Committed, spend.Essential, spend.Quality, spend.Discretionary} {
			f := out.P.Figure(string(g))
			total += f.Value
			gr := group{Figure: f, Name: f.Name, Says: groupSays[g]}
			for _, c := range spend.Categories() {
				if m := out.P.Spending[c.ID]; c.Group == g && m > 0 {
					gr.Lines = append(gr.Lines, groupLine{c, m, int(m * 100 / largest)})
				}
			}
			slices.SortStableFunc(gr.Lines, func(a, b groupLine) int { return -cmp.Compare(a.Monthly, b.Monthly) })
			out.Groups = append(out.Groups, gr)
		}
		out.Title = total.Pounds() + " goes out each month, besides housing"
		return nil
	})
}

func (s *Server) pageWhatIf(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "whatif", func(out *view) error {
		out.Title = fmt.Sprintf("With these answers: a loan of %s, a price of %s", out.P.Value("loan").Pounds(), out.P.Value("price").Pounds())
		out.Sources = s.cfg.Policy.Sources
		return nil
	})
}

// doAnswers keeps a what-if as the profile's answers.
func (s *Server) doAnswers(w http.ResponseWriter, r *http.Request, v visitor) {
	if err := r.ParseForm(); err != nil {
		s.fail(w, r, errInput)
		return
	}
	s.answers.Lock()
	defer s.answers.Unlock()
	p, prof, err := s.load(r, v)
	if err == nil && prof == nil {
		err = store.ErrNotFound
	}
	if err == nil {
		var ans profile.Answers
		if _, ans, err = answersOf(r.PostForm, prof.Answers); err == nil {
			p.Answers = &ans
			err = s.put(r.Context(), store.Profile, v.id, p.ID, "", p)
		}
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	http.Redirect(w, r, "/profile", http.StatusSeeOther)
}

func (s *Server) pageReport(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "report", func(out *view) error {
		out.Title, out.Limits, out.Hash, out.Made = "Affordability report", limits, out.P.Hash(), s.cfg.Now()
		return nil
	})
}

func (s *Server) pageFigure(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "figure", func(out *view) error {
		f := out.P.Figure(r.PathValue("figure"))
		if f == nil {
			return store.ErrNotFound
		}
		out.Title, out.Figure, out.Sources = f.Name+": "+f.Value.String(), f, s.cfg.Policy.Sources
		keys := map[string]bool{}
		for _, k := range f.Rows {
			keys[k] = true
		}
		out.Rows = pick(out.P, keys)
		for _, other := range out.P.Figures {
			if slices.ContainsFunc(other.Inputs, func(in profile.Input) bool { return in.From == f.ID }) {
				out.Used = append(out.Used, other)
			}
		}
		for _, st := range out.P.Streams {
			if strings.HasPrefix(f.ID, "income_"+st.ID+"_") || f.ID == "rent" && st.Sort == detect.RentPaid {
				out.Stream = st
			}
		}
		return nil
	})
}

func (s *Server) pageData(w http.ResponseWriter, r *http.Request, v visitor) {
	s.show(w, r, v, "data", func(out *view) error {
		list, err := s.consents(r.Context(), v)
		if err != nil {
			return err
		}
		out.Title = "What we hold about you"
		for _, c := range list {
			c.Tokens = obie.Tokens{}
			out.Consents = append(out.Consents, consentView{c, c.Confirmed.Add(obie.Life), c.readable(s.cfg.Now())})
		}
		settled := 0
		for _, e := range out.P.Entries {
			if e.Settled {
				settled++
			}
		}
		out.Held = []string{
			fmt.Sprintf("%d transactions from %s to %s", len(out.P.Entries), first(out.P.Entries), out.P.AsOf.Format("2 January 2006")),
			fmt.Sprintf("%d of them booked for good; only those count", settled),
			"your corrections and your answers on the what-if page",
			"the bank’s keys to your consent, until you end it",
		}
		switch q := r.URL.Query(); {
		case q.Get("confirmed") != "":
			out.Notice = "Confirmed. We may read for another ninety days."
		case q.Get("revoked") != "":
			out.Notice = "The consent has ended, here and at your bank. What was read stays until you delete it."
		}
		return nil
	})
}

func first(list []profile.Entry) string {
	if len(list) == 0 {
		return "nothing"
	}
	return list[0].Day.Format("2 January 2006")
}

// doCorrect takes the form on a list of rows.
func (s *Server) doCorrect(w http.ResponseWriter, r *http.Request, v visitor) {
	if err := s.say(r, v, r.PostFormValue("key"), r.PostFormValue("category")); err != nil {
		s.fail(w, r, err)
		return
	}
	back := "/spending"
	if c, ok := spend.ByID(r.PostFormValue("back")); ok {
		back = "/spending?category=" + c.ID
	}
	http.Redirect(w, r, back, http.StatusSeeOther)
}
