package story

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/demo/world"
	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// drift: somebody changes how a repository is set up. The forge's own settings say
// whether it happened, and whether it was undone.
func drift(s *Story) {
	const mallory, repo = "mallory-gh", "ledger"
	s.Step("nightporter repo apply: every repository has the labels of the standard", func(ctx context.Context) error {
		_, err := s.Porter.Command(ctx, s.Porter.RootToken, "repo", "apply", "--yes")
		return err
	}, func(context.Context) error {
		for _, name := range world.Services() {
			if err := s.labelled(name, true); err != nil {
				return err
			}
		}
		return nil
	})

	var sam *world.Browser
	s.Step("somebody removes the labels of ledger: Home says who, and offers to restore them", func(ctx context.Context) error {
		if err := s.Forge.Configure(repo, mallory, func(c *githubtest.Settings) { c.Labels = nil }); err != nil {
			return err
		}
		if err := s.labelled(repo, false); err != nil {
			return err
		}
		link, err := s.SignInLink(ctx, world.Sam)
		if err != nil {
			return err
		}
		if sam, err = s.NewBrowser(); err != nil {
			return err
		}
		_, err = sam.SignIn(ctx, link)
		return err
	}, func(ctx context.Context) error {
		// Plan looks now; by itself the porter looks each hour, and a minute
		// after a webhook. It exits 3: there are differences.
		out, err := s.Porter.Command(ctx, s.Porter.RootToken, "repo", "plan")
		if err == nil || !strings.Contains(string(out), "changed by "+mallory) {
			return fmt.Errorf("repo plan says %q, %v; want a difference, and who made it", out, err)
		}
		home, err := sam.Open(ctx, "/")
		if err != nil {
			return err
		}
		for _, want := range []string{"labels changed by @" + mallory, "Restore"} {
			if !strings.Contains(home.HTML, want) {
				return fmt.Errorf("Home answers %d and does not say %q", home.Status, want)
			}
		}
		return nil
	})

	s.Step("Sam presses Restore, reads the plan and applies it: the forge has them again", func(ctx context.Context) error {
		page, err := sam.Open(ctx, "/repos/github/"+repo)
		if err != nil {
			return err
		}
		plan, err := sam.Send(ctx, page, "/plan", nil)
		if err != nil {
			return err
		}
		if plan.Status != http.StatusOK || !strings.Contains(plan.HTML, "major #b60205") {
			return fmt.Errorf("the plan answers %d and does not show what it writes", plan.Status)
		}
		if err := s.labelled(repo, false); err != nil {
			return fmt.Errorf("looking wrote something: %w", err)
		}
		_, err = sam.Send(ctx, plan, "/apply", nil)
		return err
	}, func(ctx context.Context) error {
		if err := s.labelled(repo, true); err != nil {
			return err
		}
		home, err := sam.Open(ctx, "/")
		if err == nil && strings.Contains(home.HTML, mallory) {
			err = fmt.Errorf("Home still speaks of %s", mallory)
		}
		return err
	})
}

// labelled checks on the forge whether a repository has the labels of the standard.
func (s *Story) labelled(repo string, want bool) error {
	c, err := s.Forge.SettingsOf(repo)
	if err != nil {
		return err
	}
	have := map[string]string{}
	for _, l := range c.Labels {
		have[l.Name] = l.Color
	}
	has := have["major"] == "b60205" && have["minor"] == "e8894a" && have["patch"] == "b5d3ff"
	if has != want {
		return fmt.Errorf("%s has the labels %v; want those of the standard: %v", repo, have, want)
	}
	return nil
}
