package story

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"nightporter.dev/nightporter/demo/world"
)

// browser: what a newcomer does with a mouse works without a script.
func browser(s *Story) {
	next := s.ledger
	var ben *world.Browser
	s.Step("a sign-in link lets one browser in, once, and Home says what waits", func(ctx context.Context) (err error) {
		link, err := s.SignInLink(ctx, world.Ben)
		if err != nil {
			return err
		}
		if ben, err = s.NewBrowser(); err != nil {
			return err
		}
		home, err := ben.SignIn(ctx, link)
		if err != nil {
			return err
		}
		if home.Status != http.StatusOK || !strings.Contains(home.HTML, "ledger") {
			return fmt.Errorf("Home answers %d and does not name the ledger, which waits for an approval", home.Status)
		}
		thief, err := s.NewBrowser()
		if err != nil {
			return err
		}
		if page, err := thief.SignIn(ctx, link); err == nil && page.Status != http.StatusUnauthorized {
			return fmt.Errorf("the link worked twice: %d", page.Status)
		}
		return nil
	}, nil)

	page := ""
	s.Step("Kim, who may not decide, finds no button to approve", func(ctx context.Context) error {
		r, err := s.Reaches(ctx, next.service, next.commit, "waiting")
		if err != nil {
			return err
		}
		page = "/releases/" + r.ID
		link, err := s.SignInLink(ctx, world.Kim)
		if err != nil {
			return err
		}
		kim, err := s.NewBrowser()
		if err != nil {
			return err
		}
		if _, err := kim.SignIn(ctx, link); err != nil {
			return err
		}
		seen, err := kim.Open(ctx, page)
		if err != nil {
			return err
		}
		if !strings.Contains(seen.HTML, "Write even faster") {
			return fmt.Errorf("the page answers %d and does not say what the release brings", seen.Status)
		}
		if _, err := kim.Send(ctx, seen, "/approve", nil); !errors.Is(err, world.ErrNoForm) {
			return fmt.Errorf("there is a button: %w", err)
		}
		return nil
	}, nil)

	s.Step("Ben presses Approve on the release's page: prod runs it", func(ctx context.Context) error {
		seen, err := ben.Open(ctx, page)
		if err != nil {
			return err
		}
		after, err := ben.Send(ctx, seen, "/approve", url.Values{"comment": {"looks good"}})
		if err == nil && after.Status != http.StatusOK {
			err = fmt.Errorf("the button leads to %d", after.Status)
		}
		return err
	}, func(ctx context.Context) error { return s.runs(ctx, next, "dev", "preprod", "prod") })
	s.inProd = next
}
