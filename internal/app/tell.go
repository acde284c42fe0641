package app

import (
	"context"
	"fmt"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/notify"
	"nightporter.dev/nightporter/repos"
)

// Tell sends a message to an audience: "owner" and "operators" are those of the
// message's service, everything else is the name of a team or a person. Nobody
// having a channel is no error: the pages show the same.
func (a *App) Tell(ctx context.Context, audience string, m notify.Message) error {
	world := a.catalog.Current()
	if audience == catalog.Owner {
		if team, ok := world.OwnerOf(m.Service); ok {
			audience = team.Name
		}
	}
	for _, channel := range (*a.channels.Load())[audience] {
		if err := channel.Send(ctx, m); err != nil {
			return fmt.Errorf("tell %s: %w", audience, err)
		}
	}
	return nil
}

func (a *App) tellWaiting(ctx context.Context, e nightporter.AwaitingApproval) error {
	return a.Tell(ctx, catalog.Owner, notify.Message{
		Key:   "release/" + e.Release + "/waits/" + e.Environment,
		Title: fmt.Sprintf("%s %s waits for an approval for %s (%d changes)", e.Service, e.Version, e.Environment, e.Changes),
		URL:   a.page("/releases/" + e.Release), Severity: notify.Action, Service: e.Service, Environment: e.Environment, At: a.clock.Now(),
	})
}

func (a *App) tellRolledBack(ctx context.Context, e nightporter.ReleaseRolledBack) error {
	return a.Tell(ctx, catalog.Owner, notify.Message{
		Key:   "release/" + e.Release + "/back/" + e.Environment,
		Title: fmt.Sprintf("%s %s was unhealthy in %s; what ran before still does", e.Service, e.Version, e.Environment),
		Text:  e.Reason, URL: a.page("/releases/" + e.Release), Severity: notify.Problem, Service: e.Service, Environment: e.Environment, At: a.clock.Now(),
	})
}

func (a *App) tellHealthy(ctx context.Context, e nightporter.ReleaseHealthy) error {
	return a.Tell(ctx, catalog.Owner, notify.Message{
		Key:   "release/" + e.Release + "/healthy/" + e.Environment,
		Title: fmt.Sprintf("%s %s is in %s (%d changes)", e.Service, e.Version, e.Environment, len(e.Merges)),
		URL:   a.page("/releases/" + e.Release), Severity: notify.Info, Service: e.Service, Environment: e.Environment, At: a.clock.Now(),
	})
}

func (a *App) tellDown(ctx context.Context, e nightporter.ServiceDown) error {
	what := "has died in %s and is being started again"
	if e.Alive {
		what = "does not answer as it should in %s"
	}
	return a.Tell(ctx, catalog.Owner, notify.Message{
		Key:   fmt.Sprintf("service/%s/%s/down/%d", e.Service, e.Environment, e.At.UnixMicro()),
		Title: fmt.Sprintf("%s %s "+what, e.Service, e.Version, e.Environment),
		Text:  e.Reason, URL: a.page("/services/" + e.Service), Severity: notify.Problem, Service: e.Service, Environment: e.Environment, At: a.clock.Now(),
	})
}

func (a *App) tellUp(ctx context.Context, e nightporter.ServiceUp) error {
	return a.Tell(ctx, catalog.Owner, notify.Message{
		Key:   fmt.Sprintf("service/%s/%s/up/%d", e.Service, e.Environment, e.At.UnixMicro()),
		Title: fmt.Sprintf("%s %s is well again in %s", e.Service, e.Version, e.Environment),
		URL:   a.page("/services/" + e.Service), Severity: notify.Info, Service: e.Service, Environment: e.Environment, At: a.clock.Now(),
	})
}

// tellDrifted tells the owner of every service of the repository once.
func (a *App) tellDrifted(ctx context.Context, e repos.Drifted) error {
	who := "somebody"
	if e.Who != "" {
		who = "@" + e.Who
	}
	told := map[string]bool{}
	for _, s := range a.catalog.Current().ServicesOf(e.Repo) {
		if told[s.Owner] {
			continue
		}
		told[s.Owner] = true
		err := a.Tell(ctx, catalog.Owner, notify.Message{
			Key:   fmt.Sprintf("repo/%s/%s/%d", e.Repo, e.Rule, e.At.Unix()),
			Title: fmt.Sprintf("%s: %s was changed by %s", e.Repo, e.Rule, who),
			Text:  fmt.Sprintf("It is %s and should be %s.", e.Have, e.Want), Severity: notify.Problem, Service: s.Name, At: a.clock.Now(),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
