package crash

import (
	"fmt"
	"net/http"
	"strings"

	"nightporter.dev/nightporter/provider/forge/github/githubtest"
)

// merges are the commits of the story, oldest first, with the version that each
// must get.
type merges []merged

type merged struct{ version, commit string }

type release struct {
	ID, Version, State string
}

// story plays: pull requests whose labels are checked, two merges within a second, an approval of the newer one, then a
// version that is not healthy. It acts only as people and GitHub do.
func (w *world) story() merges {
	w.t.Helper()
	// A repository begins with the first look at it: merges from before that
	// are history.
	w.until("the repository was looked at", func() string {
		var forges struct {
			Items []struct {
				SweptAt string `json:"swept_at"`
			}
		}
		if err := w.call(w.t.Context(), w.root, http.MethodGet, "/api/forges", nil, &forges); err != nil {
			return err.Error()
		}
		if len(forges.Items) == 0 || forges.Items[0].SweptAt == "" {
			return "no sweep yet"
		}
		return ""
	})
	var out merges
	one := w.open("Add interest", "minor", nil)
	two := w.open("Round to pence", "patch", nil)
	out = append(out, merged{"0.1.0", w.merge(one)}, merged{"0.1.1", w.merge(two)})
	w.approve("0.1.1")
	w.until("production runs 0.1.1 and git says so", func() string {
		if got := w.tags()["prod"]; got != out[1].commit {
			return fmt.Sprintf("the tag prod is on %q, want %s", got, out[1].commit)
		}
		return ""
	})
	out = append(out, merged{"0.1.2", w.merge(w.open("Break it", "patch", map[string]string{"mood": "bad\n"}))})
	w.until("0.1.2 was rolled back", func() string {
		r, err := w.release("0.1.2")
		if err != nil {
			return err.Error()
		}
		if r.State != "rolled_back" {
			return r.Version + " is " + r.State
		}
		return ""
	})
	return out
}

func (w *world) open(title, label string, files map[string]string) int {
	w.t.Helper()
	number, err := w.hub.OpenPull("ledger", githubtest.NewPull{Title: title, Author: "ana-gh", Labels: []string{label}, Files: files})
	if err == nil {
		err = w.hub.Approve("ledger", number, "sam-gh")
	}
	head := ""
	if err == nil {
		head, err = w.hub.HeadOf("ledger", number)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.until("the pull request's label was checked", func() string {
		statuses, err := w.hub.Statuses("ledger", head)
		if err != nil {
			return err.Error()
		}
		if got := statuses["nightporter/version"].State; got != "success" {
			return fmt.Sprintf("its status is %q", got)
		}
		return ""
	})
	return number
}

func (w *world) merge(number int) string {
	w.t.Helper()
	commit, err := w.hub.Merge("ledger", number, githubtest.Squash, "ana-gh")
	if err != nil {
		w.t.Fatal(err)
	}
	return commit
}

func (w *world) releases() ([]release, error) {
	var list struct{ Items []release }
	err := w.call(w.t.Context(), w.root, http.MethodGet, "/api/releases?service=ledger", nil, &list)
	return list.Items, err
}

func (w *world) release(version string) (release, error) {
	list, err := w.releases()
	if err != nil {
		return release{}, err
	}
	for _, r := range list {
		if r.Version == version {
			return r, nil
		}
	}
	return release{}, fmt.Errorf("there is no release of %s yet", version)
}

// approve says yes as sam, until the house has heard it.
func (w *world) approve(version string) {
	w.t.Helper()
	asked := false
	w.until(version+" is approved", func() string {
		r, err := w.release(version)
		if err != nil {
			return err.Error()
		}
		if r.State != "waiting" {
			if asked { // it was heard, though the house died before it answered
				return ""
			}
			return r.Version + " is " + r.State
		}
		asked = true
		err = w.call(w.t.Context(), w.sam, http.MethodPost, "/api/releases/"+r.ID+"/approve", map[string]string{"comment": "looks good"}, nil)
		// The house may have died between the commit and its answer.
		if err == nil || strings.Contains(err.Error(), "has decided on this release already") || strings.Contains(err.Error(), "does not wait") {
			return ""
		}
		return err.Error()
	})
}
