package versions

import (
	"net/http"
	"strconv"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

// Routes are this package's part of the API.
func (v *Versions) Routes() []httpapi.Route {
	return []httpapi.Route{{
		Method: http.MethodPost, Pattern: "/api/versions/check", Action: httpapi.Does("version.check", nightporter.Read, "api/versions/check"),
		Summary: "Whether a pull request may be merged, and what it would become", Request: checkBody{}, Response: Verdict{}, Handler: v.postCheck,
	}, {
		Method: http.MethodGet, Pattern: "/api/versions/next", Action: httpapi.Does("version.next", nightporter.Read, "api/versions/next"),
		Summary: "What the next merge of a repository would become, by label", Response: Next{}, Handler: v.getNext,
	}, {
		Method: http.MethodGet, Pattern: "/api/versions", Action: httpapi.Does("version.list", nightporter.List, "api/versions"),
		Summary: "The ledger of a repository, newest first", Response: httpapi.List[Row]{}, Handler: v.getVersions,
	}}
}

func (v *Versions) getNext(w http.ResponseWriter, req *http.Request) error {
	repo, err := nightporter.ParseRepo(req.URL.Query().Get("repo"))
	if err != nil {
		return err
	}
	f, err := v.forge(repo)
	if err != nil {
		return err
	}
	next, err := NextOf(req.Context(), f, repo, v.cfg.Rules())
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, next)
}

func (v *Versions) getVersions(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	repo, err := nightporter.ParseRepo(req.URL.Query().Get("repo"))
	if err != nil {
		return err
	}
	before := int64(0)
	if page.After != "" {
		if before, err = strconv.ParseInt(page.After, 10, 64); err != nil {
			return nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
	}
	var rows []Row
	action, resource := httpapi.ActionFrom(req.Context())
	err = v.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error {
		rows, err = List(req.Context(), tx, repo, before, page.Limit+1)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, rows, func(r Row) string { return strconv.FormatInt(r.Place, 10) })
}

// checkBody is a pull request to judge: by its number, which the forge is asked
// about, or by what it says.
type checkBody struct {
	Repo   nightporter.Repo `json:"repo"`
	Number int              `json:"number,omitempty"`
	Pull
}

func (v *Versions) postCheck(w http.ResponseWriter, req *http.Request) error {
	var in checkBody
	if err := httpapi.ReadJSON(req, &in); err != nil {
		return err
	}
	f, err := v.forge(in.Repo)
	if err != nil {
		return err
	}
	if in.Number != 0 {
		if in.Pull, err = Ask(req.Context(), f, in.Repo, in.Number); err != nil {
			return err
		}
	}
	last, err := v.last(req.Context(), in.Repo)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, Judge(in.Pull, v.cfg.Rules(), last))
}
