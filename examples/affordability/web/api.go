package web

import (
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"example.org/affordability/detect"
	"example.org/affordability/money"
	"example.org/affordability/profile"
	"example.org/affordability/spend"
	"example.org/affordability/store"
)

//go:embed openapi.json
var openAPIDocument []byte

func (s *Server) openAPI(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(openAPIDocument) // the client went away
}

func (s *Server) apiConsent(w http.ResponseWriter, r *http.Request, v visitor) {
	v, err := s.welcome(w, r, v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	id, address, err := s.begin(r.Context(), v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]string{"id": id, "status": waiting, "authorize_url": address})
}

func (s *Server) apiGetConsent(w http.ResponseWriter, r *http.Request, v visitor) {
	var c consent
	if err := s.get(r.Context(), store.Consent, v.id, r.PathValue("id"), &c); err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": c.ID, "status": c.Status, "made": c.Made.UTC(), "readable": c.readable(s.cfg.Now())})
}

func (s *Server) apiDeleteConsent(w http.ResponseWriter, r *http.Request, v visitor) {
	var c consent
	err := s.get(r.Context(), store.Consent, v.id, r.PathValue("id"), &c)
	if err == nil {
		err = s.revoke(r.Context(), &c)
	}
	if err == nil {
		err = s.cfg.Store.Delete(r.Context(), store.Consent, v.id, c.ID)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *Server) apiRead(w http.ResponseWriter, r *http.Request, v visitor) {
	c, err := s.usable(r.Context(), v)
	var id string
	if err == nil {
		id, err = s.startReading(r.Context(), v, *c, clientIP(r))
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Location", "/v1/profiles/"+id)
	writeJSON(w, http.StatusAccepted, map[string]string{"id": id, "state": underWay})
}

// load finds a reading of this visitor; "latest" is the newest.
func (s *Server) load(r *http.Request, v visitor) (*reading, *profile.Profile, error) {
	var p *reading
	if id := r.PathValue("id"); id != "" && id != "latest" {
		p = &reading{}
		if err := s.get(r.Context(), store.Profile, v.id, id, p); err != nil {
			return nil, nil, err
		}
	} else {
		var err error
		if p, err = s.latest(r.Context(), v); err != nil {
			return nil, nil, err
		}
	}
	// A reading whose process ended in the middle never finishes.
	if p.State == underWay && s.cfg.Now().Sub(p.Made) > 5*time.Minute {
		p.State, p.Problem = failed, "The reading was interrupted. Read again."
	}
	if p.State != isReady {
		return p, nil, nil
	}
	prof, err := s.compute(r.Context(), v, p, nil)
	return p, prof, err
}

func (s *Server) apiProfile(w http.ResponseWriter, r *http.Request, v visitor) {
	p, prof, err := s.load(r, v)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if prof == nil {
		writeJSON(w, http.StatusOK, map[string]string{"id": p.ID, "state": p.State, "problem": p.Problem})
		return
	}
	hash := prof.Hash()
	etag := `"` + hash[:32] + r.URL.Query().Get("explain") + `"`
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if r.URL.Query().Get("explain") != "1" {
		prof = short(prof)
	}
	writeJSON(w, http.StatusOK, map[string]any{"id": p.ID, "state": p.State, "hash": hash, "profile": prof})
}

// short drops what a figure is made of.
func short(p *profile.Profile) *profile.Profile {
	c := *p
	c.Figures = slices.Clone(p.Figures)
	for i := range c.Figures {
		c.Figures[i].Inputs, c.Figures[i].Rows = nil, nil
	}
	return &c
}

func (s *Server) apiStreams(w http.ResponseWriter, r *http.Request, v visitor) {
	_, prof, err := s.load(r, v)
	if err == nil && prof == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	type row struct {
		*detect.Stream
		Usual money.Amount `json:"usual_payment"`
		Rows  []string     `json:"rows"`
	}
	items := []row{}
	for _, st := range prof.Streams {
		items = append(items, row{st, st.Median(), st.Keys()})
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": items})
}

func (s *Server) apiTransactions(w http.ResponseWriter, r *http.Request, v visitor) {
	_, prof, err := s.load(r, v)
	if err == nil && prof == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	want := r.URL.Query().Get("category")
	items := []profile.Entry{}
	for _, e := range prof.Entries {
		if want == "" || e.Category == want {
			items = append(items, e)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"items": items})
}

// say records a correction: every payment to or from the payee of this line is in a category from now on. An empty
// category takes the correction back.
func (s *Server) say(r *http.Request, v visitor, key, category string) error {
	if _, known := spend.ByID(category); !known && category != "" {
		return fmt.Errorf("category: %w", errInput)
	}
	s.answers.Lock()
	defer s.answers.Unlock()
	_, prof, err := s.load(r, v)
	if err != nil {
		return err
	}
	if prof == nil {
		return store.ErrNotFound
	}
	i := slices.IndexFunc(prof.Entries, func(e profile.Entry) bool { return e.Key == key })
	if i < 0 {
		return store.ErrNotFound
	}
	said, err := s.corrections(r.Context(), v)
	if err != nil {
		return err
	}
	payee := detect.Payee(prof.Entries[i].Line)
	if category == "" {
		delete(said, payee)
	} else {
		said[payee] = category
	}
	return s.put(r.Context(), store.Said, v.id, "said-"+v.id, "", said)
}

func (s *Server) apiCorrect(w http.ResponseWriter, r *http.Request, v visitor) {
	var body struct {
		Category string `json:"category"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		s.fail(w, r, errInput)
		return
	}
	if err := s.say(r, v, r.PathValue("key"), body.Category); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// Limits of a what-if.
const (
	maxRateBP  = 2000
	maxTerm    = 480
	maxDeposit = 5_000_000_00
	maxPeople  = 12
)

// sane refuses answers that no mortgage has.
func sane(a profile.Answers) error {
	switch {
	case a.RateBP < 0 || a.RateBP > maxRateBP, a.FixedMonths < 0 || a.FixedMonths > maxTerm, a.TermMonths < 12 || a.TermMonths > maxTerm,
		a.Deposit < 0 || a.Deposit > maxDeposit, a.Adults < 1 || a.Adults > maxPeople, a.Children < 0 || a.Children > maxPeople:
		return errInput
	}
	return nil
}

// apiScenario computes a what-if from the answers in the body; those left out stay as they are.
func (s *Server) apiScenario(w http.ResponseWriter, r *http.Request, v visitor) {
	p, prof, err := s.load(r, v)
	if err == nil && prof == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	ans := prof.Answers
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	if err := dec.Decode(&ans); err != nil {
		s.fail(w, r, errInput)
		return
	}
	if err := sane(ans); err != nil {
		s.fail(w, r, err)
		return
	}
	out, err := s.compute(r.Context(), v, p, &ans)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"hash": out.Hash(), "profile": short(out)})
}

func (s *Server) apiForget(w http.ResponseWriter, r *http.Request, v visitor) {
	if err := s.forget(r.Context(), v); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// apiReport is the report for programs: the profile with everything that it is made of, signed.
func (s *Server) apiReport(w http.ResponseWriter, r *http.Request, v visitor) {
	_, prof, err := s.load(r, v)
	if err == nil && prof == nil {
		err = store.ErrNotFound
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	raw, err := json.Marshal(map[string]any{"profile": prof, "hash": prof.Hash(), "made": s.cfg.Now().UTC().Format(time.RFC3339), "limits": limits})
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Disposition", `attachment; filename="affordability.json"`)
	writeJSON(w, http.StatusOK, map[string]any{"report": json.RawMessage(raw), "signature": base64.StdEncoding.EncodeToString(s.cfg.Box.Sign(raw)), "algorithm": "Ed25519 over the bytes of report"})
}

func (s *Server) reportKey(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]string{"algorithm": "Ed25519", "key": base64.StdEncoding.EncodeToString(s.cfg.Box.PublicKey())})
}

// limits are said on every report.
var limits = []string{
	"This is not advice and not a lender’s decision.",
	"It sees the accounts that you shared and no others.",
	"The due day of a rent is taken to be the usual day of payment: a bank does not know your tenancy agreement.",
	"With a real bank, a service like this needs permission from the Financial Conduct Authority.",
}

// number reads a form field with a default and bounds.
func number(text string, usual int64) (int64, error) {
	if text == "" {
		return usual, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, errors.Join(errInput, err)
	}
	return n, nil
}
