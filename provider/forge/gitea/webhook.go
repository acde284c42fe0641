package gitea

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

// hint says what an event of Gitea's is to us. Those about pull requests have many
// names, which all begin alike.
func hint(event string) forge.Hint {
	switch {
	case strings.HasPrefix(event, "pull_request"):
		return forge.HintPullRequest
	case event == "push" || event == "delete":
		return forge.HintPush
	case event == "create" || event == "repository":
		return forge.HintCreate
	}
	return forge.HintOther
}

// ParseWebhook implements [forge.Receiver]. Gitea tells nobody when settings,
// labels or teams are changed.
func (f *Forge) ParseWebhook(header http.Header, body []byte) (forge.Delivery, error) {
	if f.cfg.WebhookSecret == nil {
		return forge.Delivery{}, &forge.SignatureError{Reason: "no secret is configured"}
	}
	secret, err := f.cfg.WebhookSecret()
	if err != nil {
		return forge.Delivery{}, nightporter.Wrap(err, nightporter.Unavailable, "the webhook secret cannot be read")
	}
	if err := forge.Verify(secret, header, body); err != nil {
		return forge.Delivery{}, err
	}
	d := forge.Delivery{ID: header.Get("X-Gitea-Delivery"), Event: header.Get("X-Gitea-Event"), Hint: forge.HintOther}
	if d.ID == "" || d.Event == "" { // a Forgejo may send its own names alone
		d.ID, d.Event = header.Get("X-Forgejo-Delivery"), header.Get("X-Forgejo-Event")
	}
	if d.ID == "" || d.Event == "" {
		return forge.Delivery{}, nightporter.E(nightporter.Invalid, "the webhook has no X-Gitea-Delivery or X-Gitea-Event")
	}
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind != "application/json" {
		return forge.Delivery{}, nightporter.E(nightporter.Invalid, "the webhook is not JSON").
			WithHint("set the webhook's content type to application/json on Gitea")
	}
	var payload struct {
		Repository *struct {
			Name  string
			Owner user
		}
		Sender user
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return forge.Delivery{}, nightporter.Wrap(err, nightporter.Invalid, "the webhook's JSON makes no sense")
	}
	d.Sender = payload.Sender.Login
	if r := payload.Repository; r != nil && r.Name != "" && strings.EqualFold(r.Owner.Login, f.cfg.Organisation) {
		d.Repo, d.Hint = r.Name, hint(d.Event)
	}
	return d, nil
}
