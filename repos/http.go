package repos

import (
	"io"
	"net/http"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

// maxHook bounds a webhook's body. GitHub's own limit is 25 MB; what we read of
// it never comes near this.
const maxHook = 8 << 20

// Routes are this package's part of the API.
func (r *Repos) Routes() []httpapi.Route {
	return append([]httpapi.Route{
		{
			// A webhook proves itself by its signature, which Receive checks
			// before it looks at anything.
			Method: http.MethodPost, Pattern: "/hooks/{forge}", Access: httpapi.Public, MaxBody: maxHook, Handler: r.postHook,
		},
		{
			Method: http.MethodGet, Pattern: "/api/forges", Action: httpapi.Does("forge.list", nightporter.List, "api/repos"),
			Summary: "How the forges were when they were last asked", Response: httpapi.List[ForgeState]{}, Handler: r.getForges,
		},
	}, r.conformRoutes()...)
}

func (r *Repos) postHook(w http.ResponseWriter, req *http.Request) error {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the webhook's body cannot be read")
	}
	if err := r.Receive(req.Context(), req.PathValue("forge"), req.Header, body); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (r *Repos) getForges(w http.ResponseWriter, req *http.Request) error {
	page, err := httpapi.ReadPage(req)
	if err != nil {
		return err
	}
	var list []ForgeState
	action, resource := httpapi.ActionFrom(req.Context())
	err = r.cfg.Gate.View(req.Context(), action, resource, func(tx *store.Tx) error {
		list, err = Forges(req.Context(), tx)
		return err
	})
	if err != nil {
		return err
	}
	return httpapi.WriteList(w, page, list, func(f ForgeState) string { return f.Name })
}
