package repos_test

import (
	"context"
	"strings"
	"testing"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos"
)

// A standard that names what is not there is refused before the first write, with
// the line that says so.
func TestATeamThatIsNotThereIsRefusedWithItsLine(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ file, line string }{
		"in the standard": {"people: {ana: {}}\nteams: {ghosts: {members: [ana]}}\nrepos:\n  standard:\n    wiki: false\n    teams:\n      ghosts: write\n", ":7"},
		"in a group":      {"people: {ana: {}}\nteams: {ghosts: {members: [ana]}}\nrepos:\n  groups:\n    - name: all\n      match: {names: ['*']}\n      standard:\n        teams: {ghosts: write}\n", ":8"},
	} {
		cfg, err := config.Parse([]byte(c.file), t.TempDir()+"/nightporter.yaml")
		check(t, err)
		f := newForge(t, "ledger")
		l := repos.Local{Forges: map[string]forge.Forge{"github": f}, World: declared(t).Current(), Standard: cfg.Repos, PlaceOf: cfg.Place}
		_, err = l.Plan(context.Background(), "", "")
		if nightporter.CodeOf(err) != nightporter.Invalid || !strings.Contains(err.Error(), "nightporter.yaml"+c.line) || !strings.Contains(err.Error(), "ghosts") {
			t.Errorf("%s: got %v, want it refused with nightporter.yaml%s", name, err, c.line)
		}
		if written(f) != 0 {
			t.Errorf("%s: something was written", name)
		}
	}
}
