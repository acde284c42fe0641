package leaks

import (
	"cmp"
	"context"
	"net/http"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/security"
)

type scanBody struct {
	Repo string `json:"repo,omitempty"` // "github/ledger"; "" for all
	Full bool   `json:"full,omitempty"` // from its beginning
}

// started are the runs to follow.
type started struct {
	Runs []string `json:"runs"`
}

type accepted struct {
	Run string `json:"run"`
}

// Routes are this package's part of the API.
func (l *Leaks) Routes() []httpapi.Route {
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/security/scans", Action: httpapi.Does("scan.list", nightporter.List, "api/security/scans"),
			Summary: "How the last scan of each repository for secrets went", Response: httpapi.List[Repo]{}, Handler: l.getScans,
		},
		{
			Method: http.MethodPost, Pattern: "/api/security/scans", Action: httpapi.Does("scan.start", nightporter.Update, "api/security/scans"),
			Summary: "Look for secrets in one repository, or in all", Request: scanBody{}, Response: started{}, Handler: l.postScan,
		},
		{
			Method: http.MethodGet, Pattern: "/api/security/findings/{id}/leak", Action: httpapi.DoesWhat(l.about("")),
			Summary: "Where a found secret stands, what databases said to it, and what was done about it", Response: Leak{}, Handler: l.getLeak,
		},
		{
			Method: http.MethodPost, Pattern: "/api/security/findings/{id}/test", Action: httpapi.DoesWhat(l.about("test")),
			Summary: "Try a found password on the databases that are known here", Response: accepted{}, Handler: l.postTest,
		},
		{
			Method: http.MethodPost, Pattern: "/api/security/findings/{id}/repair", Action: httpapi.DoesWhat(l.about("repair")),
			Summary: "Change the password of the account, lease logins instead, and try the old one again", Response: accepted{}, Handler: l.postRepair,
		},
	}
}

// about names what a request wants, with the service that the finding is about; to
// read it without a verb.
func (l *Leaks) about(verb string) httpapi.ActionFunc {
	return func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
		id := r.PathValue("id")
		var f *security.Finding
		err := l.cfg.Gate.Look(r.Context(), func(tx *store.Tx) (err error) {
			f, err = security.GetFinding(r.Context(), tx, id)
			return err
		})
		if err != nil {
			return nightporter.Action{}, nightporter.Resource{}, err
		}
		action := f.Action(verb)
		if verb == "" {
			action = nightporter.Action{Name: "leak.read", Capability: nightporter.Read, Path: "api/security/findings/" + cmp.Or(f.Service, "-")}
		}
		return action, nightporter.Resource{Kind: "finding", ID: id}, nil
	}
}

func (l *Leaks) getScans(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	var list []Repo
	err = l.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		list, err = repos(ctx, tx, `WHERE repo > ? ORDER BY repo LIMIT ?`, page.After, page.Limit+1)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(r Repo) string { return r.Repo })
}

func (l *Leaks) getLeak(w http.ResponseWriter, r *http.Request) error {
	var k *Leak
	err := l.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		k, err = Get(ctx, tx, r.PathValue("id"))
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, k)
}

// view reads for a request whose route declared the action.
func (l *Leaks) view(r *http.Request, fn func(ctx context.Context, tx *store.Tx) error) error {
	action, resource := httpapi.ActionFrom(r.Context())
	return l.cfg.Gate.View(r.Context(), action, resource, func(tx *store.Tx) error { return fn(r.Context(), tx) })
}

func (l *Leaks) postScan(w http.ResponseWriter, r *http.Request) error {
	var body scanBody
	if err := httpapi.ReadOptionalJSON(r, &body); err != nil {
		return err
	}
	if err := l.authorise(r); err != nil {
		return err
	}
	wanted := l.cfg.Catalog.Current().Repositories()
	if body.Repo != "" {
		repo, err := nightporter.ParseRepo(body.Repo)
		if err != nil {
			return err
		}
		wanted = []nightporter.Repo{repo}
	}
	out := started{Runs: []string{}}
	for _, repo := range wanted {
		id, err := l.Scan(r.Context(), repo, body.Full)
		if nightporter.CodeOf(err) == nightporter.Conflict && body.Repo == "" {
			continue // it is being scanned
		}
		if err != nil {
			return err
		}
		out.Runs = append(out.Runs, id)
	}
	return httpapi.WriteJSON(w, http.StatusAccepted, out)
}

// authorise asks for what the route declared.
func (l *Leaks) authorise(r *http.Request) error {
	action, resource := httpapi.ActionFrom(r.Context())
	return l.cfg.Gate.Authorise(r.Context(), action, resource)
}

func (l *Leaks) postTest(w http.ResponseWriter, r *http.Request) error {
	return l.accept(w, r, l.Test)
}

func (l *Leaks) postRepair(w http.ResponseWriter, r *http.Request) error {
	return l.accept(w, r, l.Repair)
}

func (l *Leaks) accept(w http.ResponseWriter, r *http.Request, start func(context.Context, string) (string, error)) error {
	if err := l.authorise(r); err != nil {
		return err
	}
	id, err := start(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/runs/"+id)
	return httpapi.WriteJSON(w, http.StatusAccepted, accepted{Run: id})
}
