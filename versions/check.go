package versions

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/forge"
)

// StatusContext is the name of our status, or check run, on pull requests: what a
// branch rule demands.
const StatusContext = "nightporter/version"

// Pull is what the check looks at.
type Pull struct {
	Labels []string `json:"labels"`
	Title  string   `json:"title"`
	Body   string   `json:"body,omitempty"`
}

// Verdict is what the check says of a pull request.
type Verdict struct {
	OK bool `json:"ok"`
	// Says is the result in a line: "minor: 1.4.2 becomes 1.5.0", or the first
	// problem.
	Says string `json:"says"`
	// Bump is what it would count as; "" when that cannot be said.
	Bump nightporter.Bump `json:"bump,omitempty"`
	// Problems are what its author must do.
	Problems []string `json:"problems,omitempty"`
}

// Judge says whether a pull request may be merged. Last is the version before it,
// nil when there is none or nobody knows.
func Judge(p Pull, rules Rules, last *nightporter.Version) Verdict {
	bump, problem := bumpOf(p.Labels, p.Title, rules)
	v := Verdict{Bump: bump}
	if problem != "" {
		v.Bump, v.Problems = "", append(v.Problems, problem)
	}
	v.Problems = append(v.Problems, rules.Description.Problems(p.Body)...)
	switch {
	case len(v.Problems) > 0:
		v.Says = strings.Join(v.Problems, "; ")
	case last == nil:
		v.OK, v.Says = true, string(bump)
	default:
		v.OK, v.Says = true, Describe(bump, *last, next(last, bump, IsPre(p.Labels), rules))
	}
	return v
}

// Text is what the check says at length, in Markdown.
func (v Verdict) Text(rules Rules) string {
	if v.OK {
		return v.Says
	}
	text := "Before this can be merged:\n\n"
	for _, p := range v.Problems {
		text += "- " + p + "\n"
	}
	text += "\n| label | the next version after 1.4.2 |\n|---|---|\n| `major` | 2.0.0 |\n| `minor` | 1.5.0 |\n| `patch` | 1.4.3 |\n| `skip-release` | none: it rides with the next version |\n"
	if d := rules.Description; len(d.Sections) > 0 {
		text += "\nThe description needs these sections, with some text in each:\n\n"
		for _, s := range d.Sections {
			text += "- " + s + "\n"
		}
	}
	return text
}

// Check puts the result on the head of an open pull request: whether it has
// exactly one version label and a description as demanded, and what to do if not.
// It hears [nightporter.PullRequestChanged].
func (v *Versions) Check(ctx context.Context, e nightporter.PullRequestChanged) error {
	f, err := v.forge(e.Repo)
	if err != nil {
		return err
	}
	rules := v.cfg.Rules()
	p := Pull{Labels: e.Labels, Title: e.Title}
	if reader, ok := f.(forge.PullReader); ok && rules.Description.Any() {
		d, err := reader.ReadPull(ctx, e.Repo.Name, e.Number)
		if err != nil {
			return fmt.Errorf("read #%d of %s: %w", e.Number, e.Repo, err)
		}
		p.Body = d.Body
	} else if !ok {
		rules.Description = Description{} // this forge does not tell
	}
	last, err := v.last(ctx, e.Repo)
	if err != nil {
		return err
	}
	verdict := Judge(p, rules, last)
	s := forge.Status{Context: StatusContext, State: forge.Success, Description: verdict.Says, TargetURL: v.cfg.Page(e.Repo)}
	if !verdict.OK {
		s.State = forge.Failure
	}
	if err := v.mark(ctx, f, e, s, verdict.Text(rules)); err != nil {
		return fmt.Errorf("mark #%d of %s: %w", e.Number, e.Repo, err)
	}
	return nil
}

// mark makes a check run where we are an App, and a status elsewhere.
func (v *Versions) mark(ctx context.Context, f Forge, e nightporter.PullRequestChanged, s forge.Status, text string) error {
	if checker, ok := f.(forge.CheckRunner); ok {
		err := checker.SetCheckRun(ctx, e.Repo.Name, e.Head, forge.CheckRun{Status: s, Text: text})
		var missing *forge.NotOfferedError
		if !errors.As(err, &missing) {
			return err
		}
	}
	return f.SetStatus(ctx, e.Repo.Name, e.Head, s)
}

// last is the newest version, as far as the ledger knows.
func (v *Versions) last(ctx context.Context, repo nightporter.Repo) (last *nightporter.Version, err error) {
	err = v.cfg.Gate.Look(ctx, func(tx *store.Tx) error {
		last, err = highest(ctx, tx, repo)
		return err
	})
	return last, err
}

// Ask reads from the forge what a pull request says.
func Ask(ctx context.Context, f any, repo nightporter.Repo, number int) (Pull, error) {
	reader, ok := f.(forge.PullReader)
	if !ok {
		return Pull{}, &forge.NotOfferedError{What: "reading a pull request"}
	}
	d, err := reader.ReadPull(ctx, repo.Name, number)
	return Pull{Labels: d.Labels, Title: d.Title, Body: d.Body}, err
}
