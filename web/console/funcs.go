package console

import (
	"fmt"
	"html/template"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// funcs is all that a template may call beside the methods of its view model.
// templates/README.md describes them.
func funcs(assets *assets) template.FuncMap {
	return template.FuncMap{
		"asset":    assets.url,
		"icon":     icon,
		"ago":      ago,
		"lately":   lately,
		"until":    until,
		"clock":    clock,
		"stamp":    stamp,
		"earlier":  earlier,
		"between":  func(from, to time.Time) string { return span(to.Sub(from)) },
		"wall":     func(t time.Time) string { return t.Format("Mon 15:04") },
		"rfc3339":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"zone":     zone,
		"took":     took,
		"count":    count,
		"words":    words,
		"things":   things,
		"sentence": sentence,
		"handles":  handles,
		"initials": initials,
		"minus":    func(a, b int) int { return a - b },
		"results":  func() []string { return []string{"done", "denied", "failed"} },
		"changes":  func(c []Change, now time.Time) changesView { return changesView{c, now} },
		"stages":   func(s []Stage, now time.Time) stagesView { return stagesView{s, now} },
		"action":   func(f Form) actionView { return actionView{Form: f} },
		"opened":   func(f Form) actionView { return actionView{Form: f, Open: true} },
		"bump":     bump,
		"steps":    func(s []Step, now time.Time) stepsView { return stepsView{s, now} },
		"branch":   func(b Branch, now time.Time) branchView { return branchView{b, now} },
	}
}

// A partial sees one value only: these give it the time of the page as well.
type (
	changesView struct {
		Changes []Change
		Now     time.Time
	}
	stepsView struct {
		Steps []Step
		Now   time.Time
	}
	branchView struct {
		Branch
		Now time.Time
	}
	stagesView struct {
		Stages []Stage
		Now    time.Time
	}
)

// actionView is a form and whether it stands open on the page.
type actionView struct {
	Form
	Open bool
}

// icon draws an icon of templates/icons.html. Icons never stand for a word:
// they are hidden from screen readers.
func icon(name any) template.HTML {
	n := fmt.Sprint(name)
	for _, r := range n {
		if !unicode.IsLower(r) {
			return ""
		}
	}
	return template.HTML(`<svg class="icon" aria-hidden="true"><use href="#i-` + n + `"/></svg>`)
}

// ago is how long ago t was, "2 h 14 min". static/console.js keeps it counting.
func ago(t, now time.Time) template.HTML { return timeTag(t, now, "ago", span(now.Sub(t))) }

// lately is ago in one unit, "2 h", for columns.
func lately(t, now time.Time) template.HTML { return timeTag(t, now, "lately", brief(now.Sub(t))) }

// until is how long it is until t.
func until(t, now time.Time) template.HTML { return timeTag(t, now, "until", span(t.Sub(now))) }

// clock is a time of day, "12:04:31".
func clock(t, now time.Time) template.HTML {
	return timeTag(t, now, "", t.In(now.Location()).Format("15:04:05"))
}

// stamp is a time as short as it may be: "09:12" today, "Fri 16:40" within the
// week, "14 Nov 16:40" before that.
func stamp(t, now time.Time) template.HTML {
	local := t.In(now.Location())
	layout := "2 Jan 2006 15:04"
	switch {
	case sameDay(local, now):
		layout = "15:04"
	case now.Sub(t).Abs() < 6*24*time.Hour:
		layout = "Mon 15:04"
	case local.Year() == now.Year():
		layout = "2 Jan 15:04"
	}
	return timeTag(t, now, "", local.Format(layout))
}

// earlier names the day that t is in, unless that is today: "Yesterday", "Fri 20 Nov".
func earlier(t, now time.Time) string {
	local := t.In(now.Location())
	switch {
	case sameDay(local, now):
		return ""
	case sameDay(local, now.AddDate(0, 0, -1)):
		return "Yesterday"
	}
	return local.Format("Mon 2 Jan")
}

// zone is the name of the page's time zone for static/console.js, or "" when
// only this machine knows it.
func zone(now time.Time) string {
	if name := now.Location().String(); name != "Local" {
		return name
	}
	return ""
}

func sameDay(a, b time.Time) bool {
	ay, am, ad := a.Date()
	by, bm, bd := b.Date()
	return ay == by && am == bm && ad == bd
}

func timeTag(t, now time.Time, live, text string) template.HTML {
	if t.IsZero() {
		return ""
	}
	local := t.In(now.Location())
	attr := ""
	if live != "" {
		attr = ` data-time="` + live + `"`
	}
	return template.HTML(`<time datetime="` + t.UTC().Format(time.RFC3339) + `" title="` +
		local.Format("Monday 2 January 2006, 15:04:05 MST") + `"` + attr + `>` +
		template.HTMLEscapeString(text) + `</time>`)
}

// span is a length of time in at most two units. static/console.js has the same
// rules.
func span(d time.Duration) string {
	d = max(d, 0)
	minutes, hours, days := int(d.Minutes()), int(d.Hours()), int(d.Hours())/24
	switch {
	case minutes < 1:
		return "moments"
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	case hours < 6 && minutes%60 != 0:
		return fmt.Sprintf("%d h %d min", hours, minutes%60)
	case hours < 48:
		return fmt.Sprintf("%d h", hours)
	}
	return fmt.Sprintf("%d d", days)
}

// brief is a length of time in one unit.
func brief(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "now"
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h", int(d.Hours()))
	}
	return fmt.Sprintf("%d d", int(d.Hours())/24)
}

// took is a measured length: "0.8 s", "41 s", "4 min 12 s".
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
}

// count writes a number with thousands separators: "88,214".
func count(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// words writes small numbers as words, as headlines do.
func words(n int) string {
	small := [...]string{"no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"}
	if n >= 0 && n < len(small) {
		return small[n]
	}
	return count(n)
}

// things is a count and its noun: things(1, "change", "changes").
func things(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// sentence starts with a capital.
func sentence(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	if n == 0 {
		return s
	}
	return string(unicode.ToUpper(r)) + s[n:]
}

// handles lists logins as people write them: "@ana, @sam".
func handles(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "@" + strings.Join(names, ", @")
}

// initials are the one or two letters of an avatar.
func initials(name string) string {
	letters := ""
	for part := range strings.FieldsFuncSeq(name, func(r rune) bool { return !unicode.IsLetter(r) }) {
		r, _ := utf8.DecodeRuneInString(part)
		letters += string(unicode.ToUpper(r))
		if utf8.RuneCountInString(letters) == 2 {
			break
		}
	}
	return letters
}

// bump is how a bump is drawn: its name where it is one of ours.
func bump(b any) string {
	switch s := fmt.Sprint(b); s {
	case "major", "minor", "patch":
		return s
	}
	return "none"
}
