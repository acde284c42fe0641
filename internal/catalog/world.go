package catalog

import (
	"iter"
	"maps"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
)

// Words that stand for people in approval rules, reminders and channels. No team
// and no person may be called so.
const (
	Owner     = "owner"     // the team that owns the service in question
	Operators = "operators" // the people and teams of Snapshot.Operators
)

// World is a checked snapshot with its look-ups. It never changes. What its
// methods return is shared: callers must not modify the slices and maps inside.
type World struct {
	generation uint64
	s          Snapshot

	services     map[string]Service
	byRepo       map[nightporter.Repo][]Service
	environments map[string]Environment
	people       map[string]Person
	teams        map[string]Team
	calendars    map[string]Calendar
	forges       map[string]Forge
	teamsOf      map[string][]string // person → teams, sorted
	logins       map[login]string    // forge and lower-case login → person
	stages       [][]string
}

type login struct{ forge, name string }

func newWorld(s Snapshot, generation uint64) *World {
	w := &World{
		generation:   generation,
		s:            s,
		services:     index(s.Services, func(v Service) string { return v.Name }),
		byRepo:       map[nightporter.Repo][]Service{},
		environments: index(s.Environments, func(v Environment) string { return v.Name }),
		people:       index(s.People, func(v Person) string { return v.Name }),
		teams:        index(s.Teams, func(v Team) string { return v.Name }),
		calendars:    index(s.Calendars, func(v Calendar) string { return v.Name }),
		forges:       index(s.Forges, func(v Forge) string { return v.Name }),
		teamsOf:      map[string][]string{},
		logins:       map[login]string{},
		stages:       s.stages(),
	}
	for _, v := range s.Services {
		w.byRepo[v.Repo] = append(w.byRepo[v.Repo], v)
	}
	for _, t := range s.Teams {
		for _, m := range t.Members {
			w.teamsOf[m] = append(w.teamsOf[m], t.Name)
		}
	}
	for m, teams := range w.teamsOf {
		slices.Sort(teams)
		w.teamsOf[m] = slices.Compact(teams)
	}
	for _, p := range s.People {
		for forge, name := range p.Logins {
			w.logins[login{forge, strings.ToLower(name)}] = p.Name
		}
	}
	return w
}

func index[T any](in []T, key func(T) string) map[string]T {
	out := make(map[string]T, len(in))
	for _, v := range in {
		out[key(v)] = v
	}
	return out
}

// stages is the pipeline, or its default: everything but production at once, then
// production.
func (s Snapshot) stages() [][]string {
	if len(s.Pipeline) > 0 {
		return s.Pipeline
	}
	var before, production []string
	for _, e := range s.Environments {
		if e.Kind == nightporter.Production {
			production = append(production, e.Name)
		} else {
			before = append(before, e.Name)
		}
	}
	var stages [][]string
	for _, stage := range [][]string{before, production} {
		if len(stage) > 0 {
			slices.Sort(stage)
			stages = append(stages, stage)
		}
	}
	return stages
}

// Generation counts the worlds of this process: 0 is the empty one, the first
// that is loaded is 1.
func (w *World) Generation() uint64 { return w.generation }

// Service finds a service by name.
func (w *World) Service(name string) (Service, bool) { v, ok := w.services[name]; return v, ok }

// Services lists all services in the order of the file.
func (w *World) Services() []Service { return w.s.Services }

// ServicesOf lists the services that are built from repo, in the order of the
// file. It is empty for a repository that nobody declared.
func (w *World) ServicesOf(repo nightporter.Repo) []Service { return w.byRepo[repo] }

// Repositories lists every repository that a service or an environment is built
// from, sorted and each once.
func (w *World) Repositories() []nightporter.Repo {
	seen := map[nightporter.Repo]bool{}
	for repo := range w.byRepo {
		seen[repo] = true
	}
	for _, e := range w.s.Environments {
		if e.Cloud.Repo != (nightporter.Repo{}) {
			seen[e.Cloud.Repo] = true
		}
	}
	return slices.SortedFunc(maps.Keys(seen), func(a, b nightporter.Repo) int {
		return strings.Compare(a.String(), b.String())
	})
}

// Environment finds an environment by name.
func (w *World) Environment(name string) (Environment, bool) {
	v, ok := w.environments[name]
	return v, ok
}

// Environments lists all environments, sorted by name.
func (w *World) Environments() []Environment { return w.s.Environments }

// Forge finds a forge by the name that the configuration gives it.
func (w *World) Forge(name string) (Forge, bool) { v, ok := w.forges[name]; return v, ok }

// Forges lists all forges, sorted by name.
func (w *World) Forges() []Forge { return w.s.Forges }

// Calendar finds a calendar by name.
func (w *World) Calendar(name string) (Calendar, bool) { v, ok := w.calendars[name]; return v, ok }

// Team finds a team by name.
func (w *World) Team(name string) (Team, bool) { v, ok := w.teams[name]; return v, ok }

// Teams lists all teams, sorted by name.
func (w *World) Teams() []Team { return w.s.Teams }

// People lists all people, sorted by name.
func (w *World) People() []Person { return w.s.People }

// PersonByUserName finds a person by their name in the configuration.
func (w *World) PersonByUserName(name string) (Person, bool) { v, ok := w.people[name]; return v, ok }

// PersonByForgeLogin finds the person whom a forge knows by login. Forges ignore
// case in logins, and so does this.
func (w *World) PersonByForgeLogin(forge, name string) (Person, bool) {
	person, ok := w.logins[login{forge, strings.ToLower(name)}]
	if !ok {
		return Person{}, false
	}
	return w.people[person], true
}

// TeamsOf names the teams that a person is in, sorted.
func (w *World) TeamsOf(person string) []string { return w.teamsOf[person] }

// OwnerOf is the team that owns a service.
func (w *World) OwnerOf(service string) (Team, bool) {
	s, ok := w.services[service]
	if !ok {
		return Team{}, false
	}
	return w.Team(s.Owner)
}

// IsOperator tells whether a person is an operator, by name or through a team.
func (w *World) IsOperator(person string) bool {
	return slices.Contains(w.Who(Operators, ""), person)
}

// Stages is the pipeline of a service: the stages of the whole pipeline without
// the environments that the service does not use. Stages that become empty are
// left out. An unknown service gets the whole pipeline.
func (w *World) Stages(service string) [][]string {
	s, ok := w.services[service]
	if !ok || len(s.Environments) == 0 {
		return w.stages
	}
	var stages [][]string
	for _, stage := range w.stages {
		var keep []string
		for _, e := range stage {
			if slices.Contains(s.Environments, e) {
				keep = append(keep, e)
			}
		}
		if len(keep) > 0 {
			stages = append(stages, keep)
		}
	}
	return stages
}

// EnvironmentsOf names the environments that a service may be deployed to, those
// of the pipeline and others.
func (w *World) EnvironmentsOf(service string) (names []string) {
	s := w.services[service]
	for _, e := range w.s.Environments {
		if len(s.Environments) == 0 || slices.Contains(s.Environments, e.Name) {
			names = append(names, e.Name)
		}
	}
	return names
}

// Production names the production environments in the order of the pipeline.
func (w *World) Production() iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, stage := range w.stages {
			for _, name := range stage {
				if w.environments[name].Kind == nightporter.Production && !yield(name) {
					return
				}
			}
		}
	}
}

// ApprovalFor is the rule for letting a release of service into environment: the
// service's own one, or else the environment's. It asks for an approval that
// nobody can give when the environment is not known.
func (w *World) ApprovalFor(service, environment string) Approval {
	if s, ok := w.services[service]; ok {
		if a, ok := s.Approval[environment]; ok {
			return a
		}
	}
	e, ok := w.environments[environment]
	if !ok {
		return Approval{Count: 1, Author: Refuse}
	}
	return e.Approval
}

// Approvers names the people who may approve a release of service into
// environment, sorted. Whether the author is among them is decided per release.
func (w *World) Approvers(service, environment string) []string {
	var people []string
	for _, who := range w.ApprovalFor(service, environment).From {
		people = append(people, w.Who(who, service)...)
	}
	slices.Sort(people)
	return slices.Compact(people)
}

// Who turns "owner", "operators", a team or a person into the names of people,
// sorted. Owner is that of service. Nobody is an empty list.
func (w *World) Who(who, service string) []string {
	var people []string
	switch who {
	case Owner:
		people = w.teams[w.services[service].Owner].Members
	case Operators:
		for _, o := range w.s.Operators {
			if o != Operators && o != Owner {
				people = append(people, w.Who(o, "")...)
			}
		}
	default:
		if t, ok := w.teams[who]; ok {
			people = t.Members
		} else if _, ok := w.people[who]; ok {
			people = []string{who}
		}
	}
	people = slices.Sorted(slices.Values(people))
	return slices.Compact(people)
}
