package console

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/provider/cloud"
)

// seenWithin is how old the sight of an environment that is up may be: it is
// looked at each morning.
const seenWithin = 26 * time.Hour

// environmentRoutes are the pages about environments, and what can be done to one.
func (c *Console) environmentRoutes() []httpapi.Route {
	if c.cfg.Environments == nil {
		return nil
	}
	act := func(verb, of string, can nightporter.Capability, do func(ctx context.Context, name string, f wished) error) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: "/environments/{name}/" + verb, Credential: httpapi.TokenOrSession, MaxBody: maxForm,
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				name := r.PathValue("name")
				return environments.Act(name, of, can), nightporter.Resource{Kind: "environment", ID: name}, takeKey(r)
			}),
			Handler: c.postEnvironment(verb, do),
		}
	}
	e := c.cfg.Environments
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/environments", Action: httpapi.Does("environment.list", nightporter.List, "api/environments"),
			Handler: c.show(page{c.environments, environmentsTwin}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		{
			Method: http.MethodGet, Pattern: "/environments/{name}",
			Action:  httpapi.DoesTo("environment.read", nightporter.Read, "api/environments/{name}", "environment", "name"),
			Handler: c.show(page{c.environment, environmentTwin}), Credential: httpapi.TokenOrSession, LogLevel: slog.LevelDebug,
		},
		act("keep", "keep", nightporter.Update, func(ctx context.Context, name string, f wished) error {
			if f.until.IsZero() {
				return nightporter.E(nightporter.Invalid, "say until when")
			}
			_, err := e.Keep(ctx, name, environments.Wish{State: schedule.On, Until: f.until, Reason: f.comment})
			return err
		}),
		act("unkeep", "keep", nightporter.Delete, func(ctx context.Context, name string, _ wished) error { return e.Unkeep(ctx, name) }),
		act("up", "up", nightporter.Update, func(ctx context.Context, name string, f wished) error {
			_, err := e.Go(ctx, name, cloud.Up, environments.Press{Until: f.until, Reason: f.comment})
			return err
		}),
		act("drill", "drill", nightporter.Update, func(ctx context.Context, name string, _ wished) error {
			_, err := e.Drill(ctx, name, environments.Head)
			return err
		}),
		act("down", "down", nightporter.Update, func(ctx context.Context, name string, f wished) error {
			switch {
			case f.confirm != name:
				return nightporter.E(nightporter.Invalid, "type %s to tear it down", name)
			case f.comment == "":
				return nightporter.E(nightporter.Invalid, "say why: others see it")
			}
			_, err := e.Go(ctx, name, cloud.Down, environments.Press{Reason: f.comment})
			return err
		}),
	}
}

// wished is what a form about an environment holds.
type wished struct {
	sent
	until time.Time
}

func (c *Console) postEnvironment(verb string, do func(ctx context.Context, name string, f wished) error) httpapi.Handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		s, err := readSent(r)
		if err != nil {
			return err
		}
		f, name := wished{sent: s}, r.PathValue("name")
		// A field of a day and a time has a T between them.
		if f.until, err = c.cfg.Environments.Until(name, strings.Replace(r.PostForm.Get("until"), "T", " ", 1), ""); err != nil {
			return err
		}
		if err := do(r.Context(), name, f); err != nil {
			return err
		}
		c.done(w, r, "/environments/"+name, "environment-"+verb)
		return nil
	}
}

func environmentsTwin(ctx context.Context, v *visit) (any, error) {
	list, err := v.c.cfg.Environments.List(ctx, v.tx)
	return httpapi.List[environments.Summary]{Items: list}, err
}

func environmentTwin(ctx context.Context, v *visit) (any, error) {
	return v.c.cfg.Environments.Show(ctx, v.tx, v.r.PathValue("name"))
}

// environments answers GET /environments.
func (c *Console) environments(ctx context.Context, v *visit) (Page, error) {
	l, err := v.layout(ctx, "Environments", "Environments")
	if err != nil {
		return nil, err
	}
	list, err := c.cfg.Environments.List(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	p := &Environments{Layout: l, CLI: "nightporter env status"}
	for _, s := range list {
		row := EnvironmentRow{
			Name: s.Name, URL: "/environments/" + s.Name, Kind: string(s.Kind), Badge: v.environmentBadge(s), Seen: s.ObservedAt, Note: s.Message, Because: wantedText(s),
			Next: v.nextText(s),
		}
		if s.Managed {
			week, err := c.cfg.Environments.Week(ctx, v.tx, s.Name, c.cfg.Now())
			if err != nil {
				return nil, err
			}
			for _, d := range v.calendar(week).Days {
				if d.Today {
					row.Today = &d
				}
			}
		}
		p.Rows = append(p.Rows, row)
	}
	p.Headline = v.lights(list)
	return p, nil
}

// lights is the list's first line.
func (v *visit) lights(list []environments.Summary) string {
	var up, dark, moving, broken []string
	for _, s := range list {
		switch s.State {
		case environments.Up:
			up = append(up, s.Name)
		case environments.Down:
			dark = append(dark, s.Name)
		case environments.Closing, environments.Building, environments.Verifying:
			moving = append(moving, s.Name)
		case environments.Partial:
			broken = append(broken, s.Name)
		}
	}
	named := func(names []string, one, many string) string {
		if len(names) > 3 {
			return words(len(names)) + " " + many
		}
		return strings.Join(names, ", ") + " " + plural(len(names), one, many)
	}
	var parts []string
	for _, group := range []struct {
		names     []string
		one, many string
	}{{broken, "is incomplete", "are incomplete"}, {moving, "is on its way", "are on their way"}, {dark, "is dark", "are dark"}, {up, "is up", "are up"}} {
		if len(group.names) > 0 {
			parts = append(parts, named(group.names, group.one, group.many))
		}
	}
	switch {
	case len(list) == 0:
		return "There are no environments yet"
	case len(parts) == 0:
		return "No environment is torn down at night"
	}
	return sentence(strings.Join(parts, ", "))
}

// environmentBadge is a state in a word. What nobody has seen lately is not good.
func (v *visit) environmentBadge(s environments.Summary) Badge {
	switch {
	case s.Kind == nightporter.Production:
		return Badge{State: Muted, Word: "never sleeps"}
	case !s.Managed:
		return Badge{State: Muted, Word: "not managed"}
	}
	switch s.State {
	case environments.Up:
		if v.now.Sub(s.ObservedAt) > seenWithin {
			return Badge{State: Unknown, Word: "not seen lately"}
		}
		return Badge{State: OK, Word: "up"}
	case environments.Down:
		return Badge{State: Muted, Icon: IconAsleep, Word: "dark"}
	case environments.Closing:
		return Badge{State: Running, Word: "going dark"}
	case environments.Building:
		return Badge{State: Running, Word: "being built"}
	case environments.Verifying:
		return Badge{State: Running, Word: "being checked"}
	case environments.Partial:
		return Badge{State: Failed, Word: "incomplete"}
	}
	return Badge{State: Unknown, Word: "unknown"}
}

// wantedText says what an environment should be now, and why.
func wantedText(s environments.Summary) string {
	switch {
	case s.Kind == nightporter.Production:
		return "Production has no schedule: nothing here can tear it down."
	case !s.Managed:
		return "Nobody says what it is made of, so it is never torn down."
	case s.Desired == "":
		return ""
	}
	rule, detail, _ := strings.Cut(s.Because, ": ")
	why := map[schedule.Rule]string{
		schedule.ByOverride: "somebody's wish", schedule.ByAlso: "a further window", schedule.ByExcept: "an exception", schedule.ByWindows: "its schedule",
	}[schedule.Rule(rule)]
	if detail != "" {
		why += ", " + detail
	}
	return "Should be " + string(s.Desired) + ", by " + cmp.Or(why, rule) + "."
}

// nextText says what the schedule brings next, by its clock.
func (v *visit) nextText(s environments.Summary) string {
	if s.Next == nil {
		return ""
	}
	verb := "goes dark"
	if s.Next.State == schedule.On {
		verb = "is up again"
	}
	return verb + " at " + v.byClock(s.Next.At, s.Timezone)
}

// byClock is a time of the schedules' clock, as the clocks of a zone show it.
func (v *visit) byClock(t time.Time, zone string) string {
	loc, err := schedule.LoadZone(zone)
	if err != nil {
		loc = v.now.Location()
	}
	local, now := t.In(loc), v.c.cfg.Now().In(loc)
	if sameDay(local, now) {
		return local.Format("15:04")
	}
	return local.Format("Mon 2 Jan 15:04")
}

// nextEvent is what the schedule does next to any environment; nil for nothing.
func (v *visit) nextEvent(ctx context.Context) (*NextEvent, error) {
	if v.c.cfg.Environments == nil {
		return nil, nil
	}
	list, err := v.c.cfg.Environments.List(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	var next *NextEvent
	var names []string
	for _, s := range list {
		switch {
		case s.Next == nil || next != nil && s.Next.At.After(next.At):
			continue
		case next == nil || s.Next.At.Before(next.At):
			next, names = &NextEvent{At: s.Next.At, URL: "/environments"}, nil
		}
		names = append(names, s.Name)
		next.Text = strings.Join(names, ", ") + " " + plural(len(names), "goes dark", "go dark")
		if s.Next.State == schedule.On {
			next.Text = strings.Join(names, ", ") + " " + plural(len(names), "is", "are") + " up again"
		}
	}
	return next, nil
}

// environment answers GET /environments/{name}.
func (c *Console) environment(ctx context.Context, v *visit) (Page, error) {
	name := v.r.PathValue("name")
	d, err := c.cfg.Environments.Show(ctx, v.tx, name)
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, d.Name, "Environments")
	if err != nil {
		return nil, err
	}
	p := &EnvironmentPage{
		Layout: l, Name: d.Name, Kind: string(d.Kind), Badge: v.environmentBadge(d.Summary), Seen: d.ObservedAt, Because: wantedText(d.Summary),
		Facts: environmentFacts(d), CLI: "nightporter env status " + d.Name,
	}
	p.Headline = p.Badge.Word
	switch {
	case d.Kind == nightporter.Production:
		p.NotYou = "Production has no schedule and no buttons: independent locks keep the night away from it."
		return p, nil
	case !d.Managed:
		return p, nil
	case d.State == environments.Up || d.State == environments.Down:
		p.Headline = "is " + p.Badge.Word
		if next := v.nextText(d.Summary); next != "" {
			p.Headline += ", and " + next
		}
	default:
		p.Headline = "is " + p.Badge.Word
	}
	p.Banner = v.environmentBanner(d)
	if p.Forms, err = v.environmentForms(ctx, d); err != nil {
		return nil, err
	}
	if len(p.Forms) == 0 {
		p.NotYou = "Your policies do not let you wake it, keep it on or tear it down. Developers and operators may."
	}
	p.Run = v.runView(d)
	if p.Run == nil && d.Drilling != nil {
		p.Run = runOf("Being drilled, beside itself", d.Drilling)
	}
	at, err := weekOf(v.r, c.cfg.Now())
	if err != nil {
		return nil, err
	}
	week, err := c.cfg.Environments.Week(ctx, v.tx, d.Name, at)
	if err != nil {
		return nil, err
	}
	p.Week = v.calendar(week)
	p.Week.Older = "/environments/" + d.Name + "?week=" + week.Days[0].From.Add(-12*time.Hour).In(week.Zone).Format(time.DateOnly)
	p.Week.Newer = "/environments/" + d.Name + "?week=" + week.Days[6].To.Add(12*time.Hour).In(week.Zone).Format(time.DateOnly)
	p.Recovery, p.Trend, p.Drills = v.drills(d)
	p.Savings, err = v.savings(ctx, d, week)
	return p, err
}

// weekOf is an instant of the week that the address asks for.
func weekOf(r *http.Request, now time.Time) (time.Time, error) {
	text := r.URL.Query().Get("week")
	if text == "" {
		return now, nil
	}
	day, err := time.Parse(time.DateOnly, text)
	if err != nil || day.Year() < 2000 || day.Year() > 2199 {
		return now, nightporter.E(nightporter.Invalid, "week must be a day such as 2026-03-27")
	}
	return day.Add(12 * time.Hour), nil
}

// environmentBanner tells what is out of the ordinary.
func (v *visit) environmentBanner(d *environments.Detail) *Notice {
	switch {
	case d.State == environments.Partial && d.Run == "":
		n := &Notice{State: Failed, Title: "The last run did not get to its end.", Text: sentence(d.Message) + "."}
		if !d.NotBefore.IsZero() && d.NotBefore.After(v.now) {
			n.Text += " It is tried again by itself at " + v.shortly(d.NotBefore) + "."
		}
		return n
	case d.Override != nil:
		zone := d.Timezone
		return &Notice{
			State: Attention, Title: "Kept " + string(d.Override.State) + " until " + v.byClock(d.Override.Until, zone) + " by @" + d.Override.Person + ".",
			Text: sentence(d.Override.Reason),
		}
	case d.SparedUntil.After(v.c.cfg.Now()):
		return &Notice{State: Attention, Title: "Its first night only showed what it would do.", Text: "From " + v.byClock(d.SparedUntil, d.Timezone) + " on the schedule acts."}
	}
	return nil
}

func environmentFacts(d *environments.Detail) []Fact {
	var facts []Fact
	add := func(label, value string) {
		if value != "" {
			facts = append(facts, Fact{Label: label, Value: value})
		}
	}
	if d.Managed {
		add("Schedule", cmp.Or(d.Schedule, "always"))
		add("Time zone", d.Timezone)
	}
	if d.Repo != "" {
		add("Built from", strings.TrimSpace(d.Repo+" "+d.Ref+" "+strings.TrimPrefix(d.Dir, ".")))
	}
	add("Runs commit", short(d.Commit))
	if d.GoodCommit != d.Commit {
		add("Last good", short(d.GoodCommit))
	}
	return facts
}

// environmentForms are what this person may do to an environment now.
func (v *visit) environmentForms(ctx context.Context, d *environments.Detail) ([]Form, error) {
	may := func(verb string, c nightporter.Capability) bool {
		return v.c.cfg.Gate.May(ctx, environments.Act(d.Name, verb, c))
	}
	zone, err := schedule.LoadZone(cmp.Or(d.Timezone, "UTC"))
	if err != nil {
		zone = time.UTC
	}
	now := v.c.cfg.Now().In(zone)
	env, _ := v.world.Environment(d.Name)
	most := cmp.Or(env.Schedule.KeepMax, 12*time.Hour)
	const local = "2006-01-02T15:04"
	until := func(d time.Duration) *Until {
		return &Until{
			Label: "Until (" + zone.String() + ")", Value: now.Add(d).Round(15 * time.Minute).Format(local), Min: now.Format(local), Max: now.Add(most).Format(local),
		}
	}
	form := func(verb, label string, kind FormKind, explain string) Form {
		return Form{ID: verb, URL: "/environments/" + d.Name + "/" + verb, Label: label, Kind: kind, Key: rand.Text(), Explain: explain}
	}
	var list []Form
	isUp := d.State == environments.Up
	if may("up", nightporter.Update) && !isUp && d.State != environments.Building && d.State != environments.Verifying {
		f := form("up", "Wake", Primary, "Builds it from its code, and keeps it up until then. It is a drill like any other.")
		f.Until, f.Comment, f.CLI = until(2*time.Hour), "Why (optional)", "nightporter env up "+d.Name
		list = append(list, f)
	}
	if may("keep", nightporter.Update) {
		f := form("keep", "Keep on until…", Plain, "The schedule decides again after that. At most "+span(most)+" from now.")
		f.Until, f.Comment, f.CommentRequired = until(4*time.Hour), "Why", Required
		f.CLI = "nightporter env keep " + d.Name + ` --until 23:00 --reason "…"`
		list = append(list, f)
	}
	if d.Override != nil && may("keep", nightporter.Delete) {
		f := form("unkeep", "Let the schedule decide", Plain, "Ends every wish about it now.")
		f.CLI = "nightporter env unkeep " + d.Name
		list = append(list, f)
	}
	if d.Drillable && d.Drilling == nil && may("drill", nightporter.Update) {
		f := form("drill", "Drill now", Plain, "Builds it a second time beside itself, from the code that the next morning builds and what was last captured. "+
			"It is proven good, timed and cleared away. "+d.Name+" is not touched.")
		f.CLI = "nightporter env drill " + d.Name
		list = append(list, f)
	}
	if may("down", nightporter.Update) && d.State != environments.Down && d.State != environments.Closing {
		f := form("down", "Sleep now", Danger, "Tears it down now, as at dusk: services end, database logins are revoked, everything is destroyed and built again from code.")
		f.Comment, f.CommentRequired, f.Confirm, f.CLI = "Why", Required, d.Name, "nightporter env down "+d.Name
		list = append(list, f)
	}
	return list, nil
}

// stepStates are the states of a run's step in a word.
var stepStates = map[run.State]Badge{
	run.Pending: {State: Muted, Word: "not yet"}, run.Starting: {State: Running, Word: "starting"}, run.Running: {State: Running, Word: "running"},
	run.Waiting: {State: Attention, Word: "waiting", Icon: IconWaiting}, run.Paused: {State: Attention, Word: "paused", Icon: IconHold},
	run.Succeeded: {State: OK, Word: "done"}, run.Failed: {State: Failed, Word: "failed"}, run.Cancelled: {State: Muted, Word: "cancelled"},
	run.Skipped: {State: Muted, Word: "skipped"},
}

// runView is the run in progress, or nil.
func (v *visit) runView(d *environments.Detail) *RunView {
	r := d.Work
	if r == nil {
		return nil
	}
	if r.Kind != "env.up" {
		return runOf("Going dark", r)
	}
	view := runOf("Coming back", r)
	view.Expected, _ = time.ParseDuration(d.Recovery.P50) // "" before the first drill
	return view
}

// runOf shows the steps of a run.
func runOf(title string, r *run.Run) *RunView {
	view := &RunView{Title: title, Started: cmp.Or(r.StartedAt, r.CreatedAt)}
	for _, s := range r.Steps {
		view.Steps = append(view.Steps, stepOf(s))
		if len(s.Lines) > 0 && (s.State == run.Running || s.State == run.Failed) {
			view.Log = &Log{Title: s.Name + ", last lines", Lines: s.Lines[max(0, len(s.Lines)-20):]}
			if s.State == run.Running {
				view.Log.State = Running
			}
		}
	}
	return view
}

// stepOf is a step of a run as pages show it.
func stepOf(s run.Step) Step {
	step := Step{Name: s.Name, Badge: stepStates[s.State], Started: s.StartedAt, Expected: s.Expected, Attempts: s.Attempt, Detail: s.Message}
	if !s.FinishedAt.IsZero() && !s.StartedAt.IsZero() {
		step.Took = max(s.FinishedAt.Sub(s.StartedAt), time.Millisecond)
	}
	return step
}

// drills are the rebuilds, and how long they take.
func (v *visit) drills(d *environments.Detail) (figures []Figure, trend *Trend, rows []DrillRow) {
	if len(d.Drills) == 0 {
		return nil, nil, nil
	}
	r := d.Recovery
	figures = []Figure{{Label: "Came back", Value: count(r.Passed), Unit: "of " + things(r.Drills, "drill", "drills"), Detail: "the last twenty at most, without those beside it"}}
	if r.P50 != "" {
		figures = append(figures, Figure{Label: "Half take at most", Value: roundly(r.P50), Detail: "95 of 100 at most " + roundly(r.P95)})
	}
	budget := Figure{Label: "May take", Value: cmp.Or(roundly(r.Budget), "any time"), Detail: "the rto of its schedule"}
	if r.Budget == "" {
		budget.Detail = "no rto is set"
	}
	figures = append(figures, budget)
	for _, one := range d.Drills {
		row := DrillRow{At: one.FinishedAt, Took: max(one.Took(), time.Millisecond), Badge: Badge{State: OK, Word: "passed"}, Commit: short(one.Commit)}
		if !one.Passed {
			row.Badge, row.Note = Badge{State: Failed, Word: "failed"}, one.Failure
		}
		if one.Scratch != "" {
			row.Beside = true
			row.Note = strings.TrimSuffix("beside it, as "+one.Scratch+": "+row.Note, ": ")
		}
		if one.FellBackFrom != "" {
			row.Note = strings.TrimSpace("fell back from " + short(one.FellBackFrom) + ": " + cmp.Or(one.Reason, row.Note))
		}
		for _, s := range one.Steps {
			row.Steps = append(row.Steps, Step{Name: s.Name, Badge: stepStates[run.State(s.State)], Took: time.Duration(s.Seconds * float64(time.Second))})
		}
		if len(one.Lines) > 0 {
			row.Log = &Log{Title: cmp.Or(one.Step, "It") + ", last lines", Lines: one.Lines[max(0, len(one.Lines)-20):]}
		}
		rows = append(rows, row)
	}
	budgeted, _ := time.ParseDuration(r.Budget)
	return figures, trendOf(slices.DeleteFunc(slices.Clone(rows), func(r DrillRow) bool { return r.Beside }), budgeted), rows
}

// roundly is a duration of the API, as pages write it: "20 min", "4 min 12 s".
func roundly(text string) string {
	d, err := time.ParseDuration(text)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(took(d), " 0 s")
}

// trendOf draws rebuilds, the oldest left, against their budget.
func trendOf(rows []DrillRow, budget time.Duration) *Trend {
	const step, bar, height = 16, 10, 64
	top := budget
	for _, r := range rows {
		top = max(top, r.Took)
	}
	t := &Trend{Width: step*len(rows) - (step - bar), Height: height, Budget: -1}
	if top <= 0 || len(rows) < 3 {
		return nil // two bars are no trend
	}
	for i, r := range slices.Backward(rows) {
		h := max(2, float64(height-4)*float64(r.Took)/float64(top))
		t.Bars = append(t.Bars, TrendBar{X: float64(step * (len(rows) - 1 - i)), Y: height - h, W: bar, H: h, State: r.Badge.State})
	}
	t.Label = fmt.Sprintf("The last %s, oldest first; the newest took %s", things(len(rows), "rebuild", "rebuilds"), took(rows[0].Took))
	if budget > 0 {
		t.Budget = height - float64(height-4)*float64(budget)/float64(top)
		t.Label += ", and may take " + took(budget)
	}
	return t
}

// savings are what was spared, with what it does not hold.
func (v *visit) savings(ctx context.Context, d *environments.Detail, week *environments.Week) (*SavingsView, error) {
	now := v.c.cfg.Now()
	view := &SavingsView{}
	for _, period := range []struct {
		name     string
		from, to time.Time
	}{{"the week above", week.Days[0].From, week.Days[6].To}, {"last 30 days", now.AddDate(0, 0, -30), now}} {
		s, err := v.c.cfg.Environments.Savings(ctx, v.tx, d.Name, period.from, period.to)
		if err != nil {
			return nil, err
		}
		row := SavingsRow{
			Period: period.name, Hours: fmt.Sprintf("%.1f h in %s", s.Hours, things(s.Nights, "night", "nights")), Scheduled: fmt.Sprintf("%.1f h", s.ScheduledHours),
		}
		if s.Currency != "" {
			view.Priced = true
			row.List, row.Cash = fmt.Sprintf("%s %.2f", s.Currency, s.AtListPrice), fmt.Sprintf("%s %.2f", s.Currency, s.Cash)
		}
		view.Rows, view.Notes = append(view.Rows, row), s.Notes
	}
	return view, nil
}

// incomplete are the environments that are neither up nor dark and that nobody
// works on, for those who run the house.
func (v *visit) incomplete(ctx context.Context) ([]need, error) {
	if v.c.cfg.Environments == nil || !v.runsTheHouse() {
		return nil, nil
	}
	all, err := v.c.cfg.Environments.List(ctx, v.tx)
	if err != nil {
		return nil, err
	}
	var list []need
	for _, s := range all {
		if s.State != environments.Partial || s.Run != "" {
			continue
		}
		url := "/environments/" + s.Name
		list = append(list, need{urgency: broken, Need: Need{
			ID: "environment-" + s.Name, State: Failed, Subject: s.Name, What: "is incomplete", URL: url, Reason: s.Message,
			Since: s.ObservedAt, Act: &Link{Text: "See why", URL: url},
		}})
	}
	return list, nil
}

// environmentURL is the page about an environment, or "" where there is none.
func (v *visit) environmentURL(name string) string {
	if v.c.cfg.Environments == nil {
		return ""
	}
	return "/environments/" + name
}
