package app

import (
	"context"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/audit"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/repos"
	"nightporter.dev/nightporter/versions"
)

// What follows works without a server: on a configuration, or on a copy of a
// store.

// LoadConfig reads and checks a configuration with everything that the house
// knows, such as the notation of schedules. k is what this binary has of
// Kubernetes, nil for nothing.
func LoadConfig(path string, k *Kubernetes) (*config.Config, error) {
	return config.Load(path, CheckSchedules, checkKinds(k))
}

// checkKinds warns of what the configuration knows and this binary does not do.
func checkKinds(k *Kubernetes) func(catalog.Snapshot) []catalog.Problem {
	return func(s catalog.Snapshot) (out []catalog.Problem) {
		warn := func(path, text, what, kind string) {
			out = append(out, catalog.Problem{Path: path, Severity: catalog.Warning, Message: fmt.Sprintf(text, what, kind)})
		}
		const later = "this version has no %s of the kind %q yet"
		for _, f := range s.Forges {
			if f.Kind != "github" && f.Kind != "gitea" && f.Kind != "mem" {
				warn(catalog.Key("forges", f.Name)+".kind", later, "forge", f.Kind)
			}
		}
		for i, v := range s.Services {
			at := catalog.At("services", i) + ".deploy.kind"
			switch v.Deploy.Kind {
			case "process", "command", "mem":
			case "helm":
				if k == nil {
					warn(at, withoutKubernetes, "deploy target", "helm")
				}
			default:
				warn(at, later, "deploy target", v.Deploy.Kind)
			}
		}
		for _, e := range s.Environments {
			if k := e.Cloud.Kind; k != "" && k != "process" && k != "mem" {
				warn(catalog.Key("environments", e.Name)+".cloud.kind", later, "cloud", k)
			}
		}
		return out
	}
}

// CheckSchedules judges the schedules of environments, which the configuration
// keeps as text.
func CheckSchedules(s catalog.Snapshot) []catalog.Problem {
	var out []catalog.Problem
	calendars := map[string]schedule.Calendar{}
	for _, c := range s.Calendars {
		parsed, err := schedule.ParseDates(c.Dates)
		if err != nil && c.File == "" {
			out = append(out, catalog.Problem{Path: catalog.Key("calendars", c.Name), Message: nightporter.MessageOf(err), Hint: nightporter.HintOf(err)})
		}
		calendars[c.Name] = parsed
	}
	for _, e := range s.Environments {
		if e.Schedule.Windows == "" {
			continue
		}
		_, err := schedule.Parse(schedule.Spec{
			Windows: e.Schedule.Windows, Timezone: e.Schedule.Timezone, Except: e.Schedule.Except, Also: e.Schedule.Also,
		}, calendars)
		problems, ok := err.(schedule.Problems)
		if err != nil && !ok {
			problems = schedule.Problems{{Field: "windows", Message: nightporter.MessageOf(err), Hint: nightporter.HintOf(err)}}
		}
		for _, p := range problems {
			field := p.Field
			if field == "windows" {
				field = "schedule"
			}
			out = append(out, catalog.Problem{Path: catalog.Key("environments", e.Name) + "." + field, Message: p.Message, Hint: p.Hint})
		}
	}
	return out
}

// VerifyStore verifies the register in a copy of a store, with the public key
// that the copy holds and with checkpoints that were kept elsewhere. It changes
// nothing, and needs no unseal key.
func VerifyStore(ctx context.Context, url string, anchors []string) (r audit.Report, err error) {
	db, err := store.OpenCopy(ctx, url)
	if err != nil {
		return r, err
	}
	defer db.Close()
	err = db.View(ctx, func(tx *store.Tx) error {
		var key []byte
		err := tx.QueryRow(ctx, `SELECT value FROM setting WHERE name = 'audit.public_key'`).Scan(&key)
		if err != nil && !store.IsNotFound(err) {
			return nightporter.Wrap(err, nightporter.Invalid, "this is not a copy of a store")
		}
		var notes []string
		for _, text := range anchors {
			// A file of anchors holds one or many; one that holds none is no anchor.
			if found := audit.Notes(text); len(found) > 0 {
				notes = append(notes, found...)
			} else {
				notes = append(notes, text)
			}
		}
		r, err = audit.Verify(ctx, tx, string(key), notes...)
		return err
	})
	return r, err
}

// NextVersion is `version next` without a server: the forge's tags decide.
func NextVersion(ctx context.Context, configPath, version string, repo nightporter.Repo) (versions.Next, error) {
	a, f, err := offline(configPath, version, repo)
	if err != nil {
		return versions.Next{}, err
	}
	return versions.NextOf(ctx, f, repo, a.versionRules())
}

// CheckVersion is `version check` without a server: the rules of the configuration,
// and the forge's tags. With a number, the forge is asked what the pull request says.
func CheckVersion(ctx context.Context, configPath, version string, repo nightporter.Repo, number int, p versions.Pull) (versions.Verdict, error) {
	a, f, err := offline(configPath, version, repo)
	if err != nil {
		return versions.Verdict{}, err
	}
	if number != 0 {
		if p, err = versions.Ask(ctx, f, repo, number); err != nil {
			return versions.Verdict{}, err
		}
	}
	last, err := versions.LastOf(ctx, f, repo)
	if err != nil {
		return versions.Verdict{}, err
	}
	return versions.Judge(p, a.versionRules(), last), nil
}

// LocalRepos is `repo plan --local` and `repo adopt --local`: the configuration and
// the forge that it names, or all of them for "".
func LocalRepos(configPath, version, forgeName string) (repos.Local, error) {
	cfg, err := LoadConfig(configPath, nil)
	if err != nil {
		return repos.Local{}, err
	}
	a, err := readOnly(cfg, version)
	if err != nil {
		return repos.Local{}, err
	}
	l := repos.Local{Forges: map[string]forge.Forge{}, World: a.catalog.Current(), Standard: cfg.Repos, PlaceOf: cfg.Place}
	for name, f := range cfg.Forges {
		if forgeName != "" && name != forgeName {
			continue
		}
		if l.Forges[name], err = a.makeForge("forges."+name, f); err != nil {
			return l, fmt.Errorf("forge %s: %w", name, err)
		}
	}
	return l, nil
}

// LocalBoard is the board without a server: the environments' tags say what was
// released last, and the default branch how far that is behind. Whether anything
// runs, only a server knows: every state is unknown.
func LocalBoard(ctx context.Context, configPath, version string) ([]releases.Row, error) {
	cfg, err := LoadConfig(configPath, nil)
	if err != nil {
		return nil, err
	}
	a, err := readOnly(cfg, version)
	if err != nil {
		return nil, err
	}
	world := a.catalog.Current()
	var rows []releases.Row
	for _, s := range world.Services() {
		f, err := a.makeForge("forges."+s.Repo.Forge, cfg.Forges[s.Repo.Forge])
		if err != nil {
			return nil, fmt.Errorf("forge %s: %w", s.Repo.Forge, err)
		}
		row, err := localRow(ctx, world, f, s)
		if err != nil {
			return nil, fmt.Errorf("look at %s: %w", s.Repo, err)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func localRow(ctx context.Context, world *catalog.World, f forge.Forge, s catalog.Service) (releases.Row, error) {
	row := releases.Row{Service: s.Name, Owner: s.Owner, Repo: s.Repo, Environments: map[string]releases.Cell{}}
	row.Production.Changes = []releases.Change{}
	tags, err := f.Tags(ctx, s.Repo.Name)
	if err != nil {
		return row, err
	}
	versionAt := map[string]string{}
	for tag, commit := range tags {
		if v, err := nightporter.ParseVersion(tag); err == nil {
			versionAt[commit] = v.String()
		}
	}
	production := ""
	for _, stage := range world.Stages(s.Name) {
		for _, env := range stage {
			commit := tags[env]
			row.Environments[env] = releases.Cell{State: "unknown", Commit: commit, Version: versionAt[commit]}
			if e, _ := world.Environment(env); e.Kind == nightporter.Production {
				production = commit
			}
		}
	}
	if production == "" {
		return row, nil
	}
	row.Production.Released = true
	h, err := f.History(ctx, s.Repo.Name, forge.Range{Since: production, Limit: 200})
	if err != nil {
		return row, err
	}
	row.Production.Behind = len(h.Merges)
	for i, m := range h.Merges {
		title, _, _ := strings.Cut(m.Message, "\n")
		if i == 0 {
			row.Production.OldestUnreleased = m.CommittedAt
		}
		row.Production.Changes = append(row.Production.Changes, releases.Change{
			Commit: m.Commit, Title: title, Authors: m.Authors, Version: versionAt[m.Commit], MergedAt: m.CommittedAt,
		})
	}
	return row, nil
}

// offline gives one repository's forge from a configuration.
func offline(configPath, version string, repo nightporter.Repo) (*App, forge.Forge, error) {
	cfg, err := LoadConfig(configPath, nil)
	if err != nil {
		return nil, nil, err
	}
	named, ok := cfg.Forges[repo.Forge]
	if !ok {
		return nil, nil, nightporter.E(nightporter.NotFound, "no forge is called %q in %s", repo.Forge, configPath)
	}
	a, err := readOnly(cfg, version)
	if err != nil {
		return nil, nil, err
	}
	f, err := a.makeForge("forges."+repo.Forge, named)
	return a, f, err
}

// readOnly is a house without a store: enough to make providers.
func readOnly(cfg *config.Config, version string) (*App, error) {
	a := &App{opts: Options{Config: cfg, Version: version}, catalog: &catalog.Catalog{}}
	a.config.Store(cfg)
	_, err := a.catalog.Load(cfg.Catalog())
	return a, err
}
