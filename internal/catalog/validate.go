package catalog

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"nightporter.dev/nightporter"
)

// Severity tells a problem that stops from one that is only worth saying.
type Severity string

// The severities.
const (
	Fatal   Severity = "error"
	Warning Severity = "warning"
)

// Problem is one thing that is wrong with a snapshot.
type Problem struct {
	// Path says where, in the words of the configuration file:
	// "services[2].owner", "environments.dev.approval.from[0]".
	Path     string
	Message  string
	Hint     string // what to do about it, or ""
	Severity Severity
}

func (p Problem) String() string {
	text := p.Path + ": " + p.Message
	if p.Hint != "" {
		text += " (" + p.Hint + ")"
	}
	return text
}

func onlyErrors(in []Problem) []Problem {
	return slices.DeleteFunc(in, func(p Problem) bool { return p.Severity == Warning })
}

// Key is the path of an element of a map: "environments.dev", and with quotes
// where the name holds more than letters, digits, - and _:
// `databases["database/ledger"]`.
func Key(path, name string) string {
	if !plainKey.MatchString(name) {
		return path + "[" + strconv.Quote(name) + "]"
	}
	if path == "" {
		return name
	}
	return path + "." + name
}

// At is the path of an element of a list: "services[2]".
func At(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

var (
	plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)
	// A name is a part of URLs, policy paths, DNS labels and file names.
	name = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,61}[a-z0-9])?$`)
)

// Validate finds everything that is wrong: names that refer to nothing, names
// taken twice, and rules that production does not allow. No problem hides
// another one.
func (s Snapshot) Validate() []Problem {
	c := checker{
		forges:       namesOf(s.Forges, func(v Forge) string { return v.Name }),
		people:       namesOf(s.People, func(v Person) string { return v.Name }),
		teams:        namesOf(s.Teams, func(v Team) string { return v.Name }),
		calendars:    namesOf(s.Calendars, func(v Calendar) string { return v.Name }),
		environments: namesOf(s.Environments, func(v Environment) string { return v.Name }),
		services:     namesOf(s.Services, func(v Service) string { return v.Name }),
		operators:    len(s.Operators),
	}
	c.checkNames("forges", "a forge", c.forges)
	c.checkNames("calendars", "a calendar", c.calendars)
	c.checkPeople(s.People)
	c.checkTeams(s.Teams)
	for i, who := range s.Operators {
		c.checkWho(At("operators", i), who, nil)
	}
	c.checkNames("environments", "an environment", c.environments)
	for _, e := range s.Environments {
		c.checkEnvironment(e)
	}
	c.checkPipeline(s)
	for i, v := range s.Services {
		c.checkService(At("services", i), s.Services[:i], v, s.stages())
	}
	return c.problems
}

type checker struct {
	problems []Problem

	forges, people, teams, calendars, environments, services []string

	operators int
}

func namesOf[T any](in []T, key func(T) string) []string {
	out := make([]string, len(in))
	for i, v := range in {
		out[i] = key(v)
	}
	return out
}

func (c *checker) fail(path, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Severity: Fatal})
}

func (c *checker) warn(path, hint, format string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path, Message: fmt.Sprintf(format, args...), Hint: hint, Severity: Warning})
}

// checkRef reports a name that is not among the declared ones.
func (c *checker) checkRef(path, kind, ref string, declared []string) bool {
	if slices.Contains(declared, ref) {
		return true
	}
	c.fail(path, didYouMean(ref, declared), "there is no %s %q", kind, ref)
	return false
}

// didYouMean proposes the nearest name, or lists a few when none is near.
func didYouMean(word string, declared []string) string {
	if near := Nearest(word, declared); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	known := slices.Sorted(slices.Values(declared))
	switch {
	case len(known) == 0:
		return "none is declared"
	case len(known) > 6:
		return ""
	}
	return "declared: " + strings.Join(known, ", ")
}

const nameHint = "use lower-case letters, digits, dots, hyphens and underscores, at most 63, with a letter or digit at both ends"

func (c *checker) checkNames(path, kind string, names []string) {
	seen := map[string]bool{}
	for _, n := range names {
		switch {
		case !name.MatchString(n):
			c.fail(Key(path, n), nameHint, "%q cannot name %s", n, kind)
		case seen[n]:
			c.fail(Key(path, n), "", "%q is declared twice", n)
		}
		seen[n] = true
	}
}

func (c *checker) checkPeople(people []Person) {
	c.checkNames("people", "a person", c.people)
	taken := map[login]string{}
	for _, p := range people {
		at := Key("people", p.Name)
		c.checkReserved(at, p.Name)
		for _, forge := range slices.Sorted(maps.Keys(p.Logins)) {
			if !c.checkRef(Key(at, forge), "forge", forge, c.forges) {
				continue
			}
			id := login{forge, strings.ToLower(p.Logins[forge])}
			if id.name == "" {
				c.fail(Key(at, forge), "leave the line out", "the login is empty")
				continue
			}
			if other, ok := taken[id]; ok {
				c.fail(Key(at, forge), "", "the login %q belongs to %s already", p.Logins[forge], other)
			}
			taken[id] = p.Name
		}
	}
}

func (c *checker) checkReserved(at, n string) {
	if n == Owner || n == Operators {
		c.fail(at, "choose another name", "%q is a word of the approval rules", n)
	}
}

func (c *checker) checkTeams(teams []Team) {
	c.checkNames("teams", "a team", c.teams)
	for _, t := range teams {
		at := Key("teams", t.Name)
		c.checkReserved(at, t.Name)
		if slices.Contains(c.people, t.Name) {
			c.fail(at, "an approval rule could not tell them apart", "%q is a person already", t.Name)
		}
		for i, m := range t.Members {
			c.checkRef(At(at+".members", i), "person", m, c.people)
		}
		if t.ForgeTeam != (nightporter.Repo{}) {
			c.checkRef(at+".forge", "forge", t.ForgeTeam.Forge, c.forges)
		}
	}
}

func (c *checker) checkEnvironment(e Environment) {
	at := Key("environments", e.Name)
	switch e.Kind {
	case nightporter.Development, nightporter.Staging:
	case nightporter.Production:
		// Lock 1 of the six that keep the night away from production.
		if e.Schedule.Windows != "" {
			c.fail(at+".schedule", "production is never torn down by a clock; remove the schedule, or change the kind if this is not production",
				"production cannot have a schedule")
		}
	default:
		c.fail(at+".kind", "choose development, staging or production", "%q is no kind of environment", e.Kind)
	}
	for i, day := range e.Schedule.Except {
		if !looksLikeDate(day) {
			c.checkRef(At(at+".except", i), "calendar", day, c.calendars)
		}
	}
	if e.Schedule.Windows == "" && len(e.Schedule.Except)+len(e.Schedule.Also) > 0 {
		c.fail(at, `add schedule: "Mon-Fri 07:00-21:00"`, "except and also need a schedule")
	}
	if e.Cloud.Repo != (nightporter.Repo{}) {
		c.checkRef(at+".cloud.repo", "forge", e.Cloud.Repo.Forge, c.forges)
	}
	c.checkApproval(at+".approval", e.Approval)
	for i, f := range e.Freezes {
		here := At(at+".freezes", i)
		if !f.To.After(f.From) {
			c.fail(here+".to", "", "the freeze ends before it begins")
		}
		if strings.TrimSpace(f.Reason) == "" {
			c.fail(here+".reason", `write reason: "holidays"`, "a freeze needs a reason")
		}
	}
}

// looksLikeDate tells a date from the name of a calendar. The schedule's own
// parser judges whether the day exists.
func looksLikeDate(s string) bool {
	return len(s) == len("2026-12-24") && s[4] == '-' && s[7] == '-' && strings.Trim(s, "0123456789-") == ""
}

func (c *checker) checkApproval(at string, a Approval) {
	if a.Count <= 0 { // below 0 is refused where the text is read
		return
	}
	switch a.Author {
	case Reviewed, Refuse, Allow:
	default:
		c.fail(at+".author", "choose reviewed, refuse or allow", "%q is no author rule", a.Author)
	}
	if len(a.From) == 0 {
		c.fail(at+".from", "write from: [owner]", "nobody may approve")
	}
	for i, who := range a.From {
		c.checkWho(At(at+".from", i), who, []string{Owner, Operators})
	}
	for i, r := range a.Remind {
		if r.After <= 0 {
			c.fail(At(at+".remind", i), `write "4h owner"`, "a reminder needs a time to wait")
		}
		c.checkWho(At(at+".remind", i), r.Who, []string{Owner, Operators})
	}
}

// checkWho checks a word that stands for people.
func (c *checker) checkWho(at, who string, words []string) {
	if slices.Contains(words, who) {
		if who == Operators && c.operators == 0 {
			c.warn(at, "add operators: [a person or a team]", "nobody is an operator, so this reaches nobody")
		}
		return
	}
	c.checkRef(at, "person or team", who, slices.Concat(words, c.teams, c.people))
}

func (c *checker) checkPipeline(s Snapshot) {
	seen := map[string]string{}
	for i, stage := range s.Pipeline {
		at := At("pipeline", i)
		if len(stage) == 0 {
			c.fail(at, "remove it", "the stage is empty")
		}
		for j, e := range stage {
			here := At(at, j)
			if !c.checkRef(here, "environment", e, c.environments) {
				continue
			}
			if before, ok := seen[e]; ok {
				c.fail(here, "a release passes each environment once", "%q is in the pipeline already, at %s", e, before)
			}
			seen[e] = here
		}
	}
}

func (c *checker) checkService(at string, before []Service, v Service, stages [][]string) {
	switch {
	case v.Name == "":
		c.fail(at, "add name: …", "the service has no name")
	case !name.MatchString(v.Name):
		c.fail(at+".name", nameHint, "%q cannot name a service", v.Name)
	case slices.ContainsFunc(before, func(o Service) bool { return o.Name == v.Name }):
		c.fail(at+".name", "", "service %q is declared twice", v.Name)
	}
	if v.Repo == (nightporter.Repo{}) {
		c.fail(at, "add repo: github/"+v.Name, "service %q has no repository", v.Name)
	} else {
		c.checkRef(at+".repo", "forge", v.Repo.Forge, c.forges)
	}
	if v.Owner == "" {
		c.fail(at, "add owner: with the name of a team", "service %q has no owner", v.Name)
	} else if slices.Contains(c.people, v.Owner) {
		c.fail(at+".owner", "people change jobs; make a team of one", "%q is a person, and a service is owned by a team", v.Owner)
	} else {
		c.checkRef(at+".owner", "team", v.Owner, c.teams)
	}
	for i, d := range v.DependsOn {
		c.checkRef(At(at+".depends_on", i), "service", d, c.services)
	}
	for i, e := range v.Environments {
		if c.checkRef(At(at+".environments", i), "environment", e, c.environments) &&
			!slices.ContainsFunc(stages, func(stage []string) bool { return slices.Contains(stage, e) }) {
			c.fail(At(at+".environments", i), "add it to the pipeline", "%q is in no stage of the pipeline", e)
		}
	}
	if v.Deploy.Kind == "" {
		c.fail(at, "add deploy: {kind: process}", "service %q has no deploy target", v.Name)
	}
	if v.Artifact.WaitForAPI && v.Artifact.WaitForCheck != "" {
		c.fail(at+".artifact.wait_for", "keep one of them", "an artifact waits for a check or for the API, not for both")
	}
	for _, e := range slices.Sorted(maps.Keys(v.Approval)) {
		here := Key(at+".approval", e)
		if c.checkRef(here, "environment", e, c.environments) {
			c.checkApproval(here, v.Approval[e])
		}
	}
}
