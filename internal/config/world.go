package config

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
)

// Catalog is the declared world of the file, ready for [catalog.Catalog.Load].
func (c *Config) Catalog() catalog.Snapshot {
	s := catalog.Snapshot{
		Operators: c.Operators,
		Pipeline:  c.Pipeline,
	}
	for name, f := range sorted(c.Forges) {
		s.Forges = append(s.Forges, catalog.Forge{Name: name, Kind: f.Kind, Organisation: f.Organisation})
	}
	for name, p := range sorted(c.People) {
		s.People = append(s.People, catalog.Person{Name: name, DisplayName: p.Name, Email: p.Email, Logins: p.Logins})
	}
	for name, t := range sorted(c.Teams) {
		s.Teams = append(s.Teams, catalog.Team{Name: name, Members: t.Members, ForgeTeam: t.Forge})
	}
	for name, k := range sorted(c.Calendars) {
		calendar := catalog.Calendar{Name: name, File: string(k.File)}
		for _, d := range k.Dates {
			calendar.Dates = append(calendar.Dates, string(d))
		}
		s.Calendars = append(s.Calendars, calendar)
	}
	for name, e := range sorted(c.Environments) {
		s.Environments = append(s.Environments, e.catalog(name))
	}
	for _, v := range c.Services {
		s.Services = append(s.Services, v.catalog())
	}
	return s
}

// sorted goes through a map by name, so that equal files make equal worlds.
func sorted[V any](m map[string]V) func(yield func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

func (e Environment) catalog(name string) catalog.Environment {
	out := catalog.Environment{
		Environment: nightporter.Environment{Name: name, Kind: e.Kind},
		Schedule: catalog.Schedule{
			Windows: e.Schedule, Timezone: e.Timezone, Except: e.Except, Also: e.Also,
			ReadyBy: e.ReadyBy != "off", FirstNight: e.FirstNight,
			Nudge: e.Nudge.Std(), KeepMax: e.KeepMax.Std(), RTO: e.RTO.Std(),
		},
		WhenDark: catalog.WhenDark(e.WhenDark),
	}
	if e.Cloud.Kind != "" {
		out.Cloud = catalog.Cloud{
			Kind: e.Cloud.Kind, Repo: e.Cloud.Repo, Ref: e.Cloud.Ref, Dir: e.Cloud.Dir,
			Settings: settings(e.Cloud),
		}
	}
	switch {
	case e.Approval != nil:
		out.Approval = e.Approval.catalog()
	case e.Kind == nightporter.Production:
		out.Approval = catalog.Approval{Count: 1, From: []string{catalog.Owner}, Author: catalog.Reviewed}
	}
	zone, err := time.LoadLocation(e.Timezone)
	if err != nil {
		zone = time.UTC // the zone is refused where it is read
	}
	for _, f := range e.Freezes {
		out.Freezes = append(out.Freezes, catalog.Freeze{From: f.From.In(zone), To: f.To.In(zone), Reason: f.Reason})
	}
	return out
}

func (a Approval) catalog() catalog.Approval {
	if a.None {
		return catalog.Approval{}
	}
	out := catalog.Approval{Count: a.Count, From: a.From, Author: catalog.AuthorRule(a.Author)}
	for _, r := range a.Remind {
		out.Remind = append(out.Remind, catalog.Reminder{After: r.After.Std(), Who: r.Who})
	}
	return out
}

func (v Service) catalog() catalog.Service {
	out := catalog.Service{
		Service:      nightporter.Service{Name: v.Name, Repo: v.Repo, Owner: v.Owner},
		Description:  v.Description,
		Runbook:      v.Runbook,
		OnCall:       v.OnCall,
		DependsOn:    v.DependsOn,
		Environments: v.Environments,
		Artifact: catalog.Artifact{
			Image: v.Artifact.Image, WaitForCheck: v.Artifact.WaitFor.Check, WaitForAPI: v.Artifact.WaitFor.API,
		},
		Deploy: catalog.Deploy{
			Kind: v.Deploy.Kind, Build: v.Deploy.Build, Run: v.Deploy.Run, Values: v.Deploy.Values,
			Settings: settings(v.Deploy),
		},
		Health:      catalog.Health{HTTP: v.Health.HTTP, Within: v.Health.Within.Std()},
		Credentials: v.Credentials,
		Dashboards:  v.Dashboards,
		Rules:       v.Rules,
	}
	for name, a := range v.Approval {
		if out.Approval == nil {
			out.Approval = map[string]catalog.Approval{}
		}
		out.Approval[name] = a.catalog()
	}
	return out
}

// settings is a section as JSON with the keys of the file, for a provider that
// this package does not know. Durations are texts such as "5m"; what is empty is
// left out.
func settings(section any) json.RawMessage {
	v := reflect.ValueOf(section)
	out := map[string]any{}
	for _, f := range fieldsOf(v.Type()).list {
		if value := v.FieldByIndex(f.index); !value.IsZero() {
			out[f.name] = value.Interface()
		}
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic("config: settings as JSON: " + err.Error()) // texts, numbers and lists always can
	}
	return b
}
