package app

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/environments"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/releases"
)

// probing asks the services of a rebuilt environment the questions of the
// configuration. It asks anew until all are right: what has just come back may
// need a moment.
type probing struct{ a *App }

func (p probing) Probe(ctx context.Context, environment, id string) (environments.Handover, error) {
	ctx = nightporter.WithActor(ctx, nightporter.SystemActor("environments", id))
	questions := p.a.config.Load().Environments[environment].Probes
	var lines []string
	for i, q := range questions {
		header := ""
		if !q.Header.IsZero() {
			var err error
			if header, err = p.a.resolve(ctx, catalog.At(catalog.Key("environments", environment)+".probes", i)+".header", q.Header); err != nil {
				return environments.Handover{State: run.Running, Message: nightporter.MessageOf(err)}, nil
			}
		}
		seen, err := p.a.modules.releases.Probe(ctx, releases.Probe{
			Service: q.Service, Environment: environment, Path: q.Path, Header: header, Contains: q.Contains,
		})
		switch nightporter.CodeOf(err) {
		case "":
			lines = append(lines, q.Name+": "+seen.Source)
		case nightporter.Unavailable, nightporter.Conflict:
			return environments.Handover{State: run.Running, Message: q.Name + ": " + nightporter.MessageOf(err), Lines: lines}, nil
		default:
			return environments.Handover{}, err
		}
	}
	if len(questions) == 0 {
		return environments.Handover{State: run.Succeeded}, nil
	}
	return environments.Handover{State: run.Succeeded, Message: fmt.Sprintf("%d questions answered right", len(questions)), Lines: lines}, nil
}
