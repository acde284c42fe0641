package github

import (
	"encoding/json"
	"mime"
	"net/http"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/forge"
)

// hints says what GitHub's events are to us. Everything else is HintOther.
var hints = map[string]forge.Hint{
	"pull_request":        forge.HintPullRequest,
	"pull_request_review": forge.HintPullRequest,
	"push":                forge.HintPush,
	"delete":              forge.HintPush,
	"create":              forge.HintCreate,
	"repository":          forge.HintCreate,

	"label":                  forge.HintSettings,
	"team":                   forge.HintSettings,
	"team_add":               forge.HintSettings,
	"repository_ruleset":     forge.HintSettings,
	"branch_protection_rule": forge.HintSettings,
}

// parts says what of the settings an event is about. GitHub tells nothing when
// somebody changes merge methods, the wiki or issues: "repository" comes for the
// topics, the default branch, the description and the homepage only.
var parts = map[string]forge.Part{
	"repository": forge.PartSettings, "label": forge.PartLabels, "team": forge.PartTeams, "team_add": forge.PartTeams,
	"repository_ruleset": forge.PartRules, "branch_protection_rule": forge.PartRules,
}

// ParseWebhook implements [forge.Receiver]. It reads from the body only what the
// hint needs, so that new fields of GitHub's and old servers do no harm.
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
	d := forge.Delivery{ID: header.Get("X-GitHub-Delivery"), Event: header.Get("X-GitHub-Event"), Hint: forge.HintOther}
	if d.ID == "" || d.Event == "" {
		return forge.Delivery{}, nightporter.E(nightporter.Invalid, "the webhook has no X-GitHub-Delivery or X-GitHub-Event")
	}
	if kind, _, _ := mime.ParseMediaType(header.Get("Content-Type")); kind != "application/json" {
		return forge.Delivery{}, nightporter.E(nightporter.Invalid, "the webhook is not JSON").
			WithHint("set the webhook's content type to application/json on GitHub")
	}
	var payload struct {
		Repository *struct {
			Name  string
			Owner struct{ Login string }
		}
		Sender struct{ Login string }
	}
	if err := json.Unmarshal(body, &payload); err != nil {
		return forge.Delivery{}, nightporter.Wrap(err, nightporter.Invalid, "the webhook's JSON makes no sense")
	}
	d.Sender = payload.Sender.Login
	// One App can be installed in many organisations and has one secret.
	r := payload.Repository
	if r != nil && r.Name != "" && strings.EqualFold(r.Owner.Login, f.cfg.Organisation) {
		d.Repo = r.Name
		if hint, ok := hints[d.Event]; ok {
			d.Hint, d.Part = hint, parts[d.Event]
		}
	}
	return d, nil
}
