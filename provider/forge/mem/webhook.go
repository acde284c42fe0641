package mem

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

// The headers of this forge's webhooks.
const (
	eventHeader    = "X-Mem-Event"
	deliveryHeader = "X-Mem-Delivery"
)

type payload struct {
	Repo   string `json:"repo"`
	Sender string `json:"sender"`
}

type webhook struct {
	header http.Header
	body   []byte
}

// delivery is what was sent and what is held back.
type delivery struct {
	serial int
	last   webhook
	held   []webhook
}

// ParseWebhook implements [forge.Receiver].
func (f *Forge) ParseWebhook(header http.Header, body []byte) (forge.Delivery, error) {
	if err := forge.Verify(f.cfg.Secret, header, body); err != nil {
		return forge.Delivery{}, err
	}
	var p payload
	if err := json.Unmarshal(body, &p); err != nil {
		return forge.Delivery{}, nightporter.Wrap(err, nightporter.Invalid, "the webhook is not JSON")
	}
	d := forge.Delivery{
		ID: header.Get(deliveryHeader), Event: header.Get(eventHeader),
		Hint: forge.HintOther, Repo: p.Repo, Sender: p.Sender,
	}
	if part, ok := strings.CutPrefix(d.Event, "settings/"); ok {
		d.Hint, d.Part = forge.HintSettings, forge.Part(part)
	}
	switch d.Event {
	case "pull_request", "pull_request_review":
		d.Hint = forge.HintPullRequest
	case "push":
		d.Hint = forge.HintPush
	case "create":
		d.Hint = forge.HintCreate
	}
	return d, nil
}

// LastWebhook returns the newest webhook, sent or not.
func (f *Forge) LastWebhook() (http.Header, []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.delivered.last.header, f.delivered.last.body
}

// SendHeld sends what [Hold] kept back, the newest first.
func (f *Forge) SendHeld() {
	f.mu.Lock()
	held := f.delivered.held
	f.delivered.held = nil
	f.mu.Unlock()
	slices.Reverse(held)
	for _, w := range held {
		f.cfg.Deliver(w.header.Clone(), w.body)
	}
}

// send makes a webhook and does to it what the fault says. The lock is not held:
// whoever receives it may look at the forge at once.
func (f *Forge) send(event, repo, sender string) {
	body, err := json.Marshal(payload{Repo: repo, Sender: sender})
	if err != nil {
		panic(err) // two strings
	}
	f.mu.Lock()
	f.delivered.serial++
	w := webhook{body: body, header: http.Header{}}
	w.header.Set(eventHeader, event)
	w.header.Set(deliveryHeader, fmt.Sprintf("mem-%d", f.delivered.serial))
	w.header.Set(forge.SignatureHeader, forge.Sign(f.cfg.Secret, body))
	f.delivered.last = w
	fault := f.fault.Webhooks
	times := 1
	switch {
	case f.cfg.Deliver == nil || fault == Lose:
		times = 0
	case fault == Hold:
		f.delivered.held = append(f.delivered.held, w)
		times = 0
	case fault == Duplicate:
		times = 2
	}
	f.mu.Unlock()
	for range times {
		f.cfg.Deliver(w.header.Clone(), w.body)
	}
}
