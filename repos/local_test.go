package repos_test

import (
	"context"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/forge"
	"nightporter.dev/nightporter/repos"
)

// Without a server the plan is the same, but for what only a server knows.
func TestAPlanWithoutAServerIsTheSame(t *testing.T) {
	t.Parallel()
	s, f := gitHub(t, nil)
	check(t, s.AddShell("ledger"))
	check(t, s.AddShell("cards"))
	h := open(t, options{forge: f, rules: strict})
	var cfg config.Repos
	check(t, yaml.Unmarshal([]byte(strict), &cfg))
	l := repos.Local{Forges: map[string]forge.Forge{"github": f}, World: declared(t).Current(), Standard: cfg}
	p, err := l.Plan(context.Background(), "", "")
	check(t, err)
	want := h.plan("")
	if p.Price != want.Price || len(p.Writes) != len(want.Writes) || p.Counts["drift"] != want.Counts["drift"] || p.ID != "" {
		t.Errorf("got %+v with %d writes, want %+v with %d", p.Price, len(p.Writes), want.Price, len(want.Writes))
	}
	a, err := l.Adopt(context.Background(), "github")
	if err != nil || !strings.Contains(a.YAML, "repos:") || a.Looked != 2 {
		t.Errorf("got %+v, %v", a, err)
	}
	if _, err := l.Plan(context.Background(), "other", ""); err == nil {
		t.Error("a forge that is not there was planned")
	}
}
