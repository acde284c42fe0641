package standard

import (
	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/config"
)

// StrictSquash is the profile that small teams come from: nothing reaches the
// default branch but by one squashed, reviewed, labelled and signed commit.
const StrictSquash = "strict-squash"

// profile gives the layers of a shipped profile; "" has none.
func profile(name string) ([]layer, error) {
	switch name {
	case "":
		return nil, nil
	case StrictSquash:
		return []layer{
			{name: "profile " + StrictSquash, rules: strictSquash(), soft: true},
			{
				name: "profile " + StrictSquash + ", services", match: config.Match{Names: []string{"*service*"}},
				rules: config.Standard{RequiredChecks: []string{"pr-label-check", "build", "test"}},
			},
		}, nil
	}
	return nil, nightporter.E(nightporter.Invalid, "there is no profile %q", name).WithHint("use %s", StrictSquash)
}

// strictSquash are the settings of the script that this replaces, one by one. It
// left project boards alone and knew the default branch as a constant, so both
// are not set here. Its teams were examples to be replaced: they are granted
// where the forge has a team of that name, and your own are added beside them.
func strictSquash() config.Standard {
	return config.Standard{
		MergeMethods: []string{"squash"},
		Wiki:         new(false),
		Issues:       new(false),
		Labels: []config.Label{
			{Name: "major", Color: "b60205", Description: "major change"},
			{Name: "minor", Color: "e8894a", Description: "minor change"},
			{Name: "patch", Color: "b5d3ff", Description: "patch change"},
		},
		Teams:           map[string]string{"dev": "write", "readonly": "read", "alladmins": "admin"},
		RequiredReviews: new(1),
		RequiredChecks:  []string{"pr-label-check"},
		UpToDate:        new(true),
		SignedCommits:   new(true),
		Webhook:         new(true),
		InitialVersion:  "0.0.1",
		Skip:            []string{"repo-conformity-enforcer"},
	}
}
