package repos

import (
	"context"
	"fmt"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos/standard"
)

// Local is what can be said of repositories without a server: from a configuration
// and a forge.
type Local struct {
	Forges   map[string]forge.Forge // by the name in the configuration
	World    *catalog.World
	Standard config.Repos
	PlaceOf  func(path string) string // where a setting stands; nil when nobody knows
}

// Plan compares a forge with the standard. What only a server knows stays unknown:
// who changed a rule, since when it is so, and whether webhooks arrive. Nothing of
// it is kept, so it cannot be applied.
func (l Local) Plan(ctx context.Context, forgeName, only string) (*standard.Plan, error) {
	name, g, err := governorOf(l.Forges, forgeName)
	if err != nil {
		return nil, err
	}
	rules, err := rulesOf(l.Standard, l.World, name, 0, l.PlaceOf)
	if err != nil {
		return nil, err
	}
	survey, err := g.Survey(ctx, rules.Wants())
	if err != nil {
		return nil, fmt.Errorf("survey %s: %w", name, err)
	}
	return rules.Make(standard.Input{Survey: survey, Now: time.Now(), Only: only})
}

// Adopt writes down the standard that most repositories have already.
func (l Local) Adopt(ctx context.Context, forgeName string) (standard.Adoption, error) {
	name, g, err := governorOf(l.Forges, forgeName)
	if err != nil {
		return standard.Adoption{}, err
	}
	return adopt(ctx, name, g, l.World, time.Now())
}

func adopt(ctx context.Context, name string, g forge.Governor, world *catalog.World, now time.Time) (standard.Adoption, error) {
	survey, err := g.Survey(ctx, (&standard.Standard{}).Wants())
	if err != nil {
		return standard.Adoption{}, fmt.Errorf("survey %s: %w", name, err)
	}
	return standard.Adopt(standard.AdoptInput{
		Survey: survey, Now: now,
		TeamOf: func(slug string) string {
			for _, t := range world.Teams() {
				if t.ForgeTeam.Forge == name && t.ForgeTeam.Name == slug || t.Name == slug {
					return t.Name
				}
			}
			return ""
		},
		OwnerOf: func(repo string) string {
			for _, s := range world.ServicesOf(nightporter.Repo{Forge: name, Name: repo}) {
				return s.Owner
			}
			for _, t := range world.Teams() {
				return t.Name // somebody has to review it
			}
			return ""
		},
	}), nil
}
