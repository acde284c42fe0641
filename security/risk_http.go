package security

import (
	"context"
	"net/http"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/httpapi"
	"nightporter.dev/nightporter/internal/store"
)

type closeBody struct {
	Why string `json:"why"`
}

// riskRoutes are the part of the API that the register has.
func (s *Security) riskRoutes() []httpapi.Route {
	act := func(verb, summary string, request any, h httpapi.Handler) httpapi.Route {
		return httpapi.Route{
			Method: http.MethodPost, Pattern: "/api/security/risks/{id}/" + verb, Action: httpapi.DoesWhat(riskAction(verb)),
			Summary: summary, Request: request, Response: Risk{}, Handler: h,
		}
	}
	return []httpapi.Route{
		{
			Method: http.MethodGet, Pattern: "/api/security/risks", Action: httpapi.Does("risk.list", nightporter.List, risksPath),
			Summary: "The risk register, the highest score first: ?asset= ?owner= ?state= ?format=csv", Response: httpapi.List[Risk]{}, Handler: s.getRisks,
		},
		{
			Method: http.MethodPost, Pattern: "/api/security/risks", Action: httpapi.Does("risk.add", nightporter.Update, risksPath),
			Summary: "Write a risk into the register", Request: RiskDraft{}, Response: Risk{}, Handler: s.postRisk,
		},
		{
			Method: http.MethodGet, Pattern: "/api/security/risks/{id}",
			Action: httpapi.DoesWhat(func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
				return nightporter.Action{Name: "risk.read", Capability: nightporter.List, Path: risksPath}, nightporter.Resource{Kind: "risk", ID: r.PathValue("id")}, nil
			}),
			Summary: "One risk", Response: Risk{}, Handler: s.getRisk,
		},
		act("revise", "Say something else of a risk: it has to be approved again", RiskDraft{}, s.postRevise),
		act("confirm", "Take over the likelihood that its findings speak for", nil, s.postConfirm),
		act("approve", "Agree to what is done about it, as somebody who does not own it", nil, s.postApprove),
		act("close", "It is gone", closeBody{}, s.postClose),
	}
}

// RiskAction is what somebody wants who approves, confirms, revises or closes a risk.
func RiskAction(verb string) nightporter.Action {
	return nightporter.Action{Name: "risk." + verb, Capability: nightporter.Update, Path: risksPath + "/" + verb}
}

func riskAction(verb string) httpapi.ActionFunc {
	return func(r *http.Request) (nightporter.Action, nightporter.Resource, error) {
		return RiskAction(verb), nightporter.Resource{Kind: "risk", ID: r.PathValue("id")}, nil
	}
}

func (s *Security) getRisks(w http.ResponseWriter, r *http.Request) error {
	page, err := httpapi.ReadPage(r)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	var list []Risk
	if err := s.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		list, err = Risks(ctx, tx, RiskFilter{Asset: q.Get("asset"), Owner: q.Get("owner"), State: q.Get("state")}, s.cfg.Now())
		return err
	}); err != nil {
		return err
	}
	if wantsCSV(r) {
		return writeCSV(w, "risks", riskRows(list))
	}
	if page.After != "" {
		i := slices.IndexFunc(list, func(r Risk) bool { return r.ID == page.After })
		if i < 0 {
			return nightporter.E(nightporter.Invalid, "after is not a cursor of this list")
		}
		list = list[i+1:]
	}
	return httpapi.WriteList(w, page, list, func(r Risk) string { return r.ID })
}

func (s *Security) getRisk(w http.ResponseWriter, r *http.Request) error {
	var risk *Risk
	if err := s.view(r, func(ctx context.Context, tx *store.Tx) (err error) {
		risk, err = GetRisk(ctx, tx, r.PathValue("id"), s.cfg.Now())
		return err
	}); err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusOK, risk)
}

func (s *Security) postRisk(w http.ResponseWriter, r *http.Request) error {
	var d RiskDraft
	if err := httpapi.ReadJSON(r, &d); err != nil {
		return err
	}
	risk, err := s.AddRisk(r.Context(), d)
	if err != nil {
		return err
	}
	return httpapi.WriteJSON(w, http.StatusCreated, risk)
}

func (s *Security) postRevise(w http.ResponseWriter, r *http.Request) error {
	var d RiskDraft
	if err := httpapi.ReadJSON(r, &d); err != nil {
		return err
	}
	return answer[Risk](w)(s.ReviseRisk(r.Context(), r.PathValue("id"), d))
}

func (s *Security) postConfirm(w http.ResponseWriter, r *http.Request) error {
	return answer[Risk](w)(s.ConfirmRisk(r.Context(), r.PathValue("id")))
}

func (s *Security) postApprove(w http.ResponseWriter, r *http.Request) error {
	return answer[Risk](w)(s.ApproveRisk(r.Context(), r.PathValue("id")))
}

func (s *Security) postClose(w http.ResponseWriter, r *http.Request) error {
	var body closeBody
	if err := httpapi.ReadJSON(r, &body); err != nil {
		return err
	}
	return answer[Risk](w)(s.CloseRisk(r.Context(), r.PathValue("id"), body.Why))
}
