package console

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/releases"
)

// forms are the actions that this person may take on a release now. notYou says
// why the approval that it waits for is not among them.
//
// They are what the page offers, not what protects anything: releases decides
// again when a form arrives.
func (v releaseView) forms(ctx context.Context) (list []Form, notYou string, err error) {
	switch {
	case v.d.State == releases.Waiting || v.d.State == releases.Held:
		list, notYou, err = v.decision(ctx)
	case v.canRetry():
		list = v.retry(ctx)
	}
	if err != nil {
		return nil, "", err
	}
	return slices.Concat(list, v.promotions(ctx), v.rollbacks(ctx)), notYou, nil
}

// may says whether the policies let the person do a thing to the service.
func (v releaseView) may(ctx context.Context, env, verb string) bool {
	return v.c.cfg.Gate.May(ctx, releases.Act(v.d.Service, env, verb))
}

// form begins a form of the release.
func (v releaseView) form(verb, env, label string, kind FormKind) Form {
	f := Form{
		ID: verb, URL: "/releases/" + v.d.ID + "/" + verb, Label: label, Kind: kind, Key: rand.Text(),
		CLI: "nightporter release " + verb + " " + v.d.ID,
	}
	if env != "" {
		f.ID, f.URL = verb+"-"+env, f.URL+"/"+env
	}
	return f
}

// decision offers Approve and Reject.
func (v releaseView) decision(ctx context.Context) (list []Form, notYou string, err error) {
	env, me := v.d.WaitsFor, v.actor.Name
	rule := v.world.ApprovalFor(v.d.Service, env)
	if env == "" || !rule.Needed() {
		return nil, "", nil
	}
	for _, vote := range v.d.Votes {
		if vote.Person == me {
			return nil, fmt.Sprintf("You have decided. %d of %d is needed.", rule.Count, rule.Count), nil
		}
	}
	switch {
	case v.actor.Kind != nightporter.Person:
		return nil, "Only a person can decide. " + v.whoMay(env, ""), nil
	case !slices.Contains(v.d.Approvers, me) || !v.may(ctx, env, "approve"):
		return nil, v.whoMay(env, ""), nil
	}
	own, err := v.ownChange(ctx, env, rule.Author)
	if err != nil {
		return nil, "", err
	}
	if own == "" {
		f := v.form("approve", "", "Approve for "+env, Primary)
		f.Explain, f.Comment = v.brings(env), "Comment (optional)"
		list = append(list, f)
	} else {
		notYou = own + " " + v.whoMay(env, me)
	}
	if v.may(ctx, env, "reject") {
		f := v.form("reject", "", "Reject", Plain)
		f.Explain = v.d.Version.String() + " stays out of " + env + ". The next merge opens a new release."
		f.Comment, f.CommentRequired = "Why", Required
		list = append(list, f)
	}
	return list, notYou, nil
}

// brings says what an approval does.
func (v releaseView) brings(env string) string {
	text := fmt.Sprintf("Brings %s to %s", things(len(v.d.Changes), "change", "changes"), env)
	if now := v.runs(env); now != nil {
		text += fmt.Sprintf(" in place of %s. If it is not healthy, %s stays", now.Version, now.Version)
	}
	return text + "."
}

// whoMay names who may decide, without one of them.
func (v releaseView) whoMay(env, without string) string {
	who := slices.DeleteFunc(slices.Clone(v.d.Approvers), func(n string) bool { return n == without })
	switch len(who) {
	case 0:
		return "Nobody else may approve for " + env + ": the rule in nightporter.yaml names nobody who could."
	case 1:
		return handles(who) + " may approve."
	}
	return handles(who[:len(who)-1]) + " or " + handles(who[len(who)-1:]) + " may approve."
}

// ownChange says why a person may not approve their own change, or "". It follows
// the rule that releases applies when the approval arrives.
func (v releaseView) ownChange(ctx context.Context, env string, rule catalog.AuthorRule) (string, error) {
	if rule == catalog.Allow {
		return "", nil
	}
	person, _ := v.world.PersonByUserName(v.actor.Name)
	login := person.Logins[v.d.Repo.Forge]
	if login == "" {
		return "Nobody can tell which changes are yours: your login at " + v.d.Repo.Forge + " is not in nightporter.yaml.", nil
	}
	after := int64(0)
	if now := v.runs(env); now != nil {
		after = now.Place
	}
	merges, err := releases.Merges(ctx, v.tx, v.d.Repo, after, v.d.Place)
	if err != nil {
		return "", err
	}
	is := func(l string) bool { return strings.EqualFold(l, login) }
	for _, m := range merges {
		if !slices.ContainsFunc(m.Authors, is) {
			continue
		}
		what := subject(nightporter.Merged{PullRequest: m.PullRequest, Commit: m.Commit})
		reviewed := slices.ContainsFunc(m.Reviewers, func(l string) bool {
			return !slices.ContainsFunc(m.Authors, func(a string) bool { return strings.EqualFold(a, l) })
		})
		switch {
		case rule == catalog.Refuse:
			return "You wrote " + what + ", and " + env + " asks for somebody else.", nil
		case !reviewed:
			return "You wrote " + what + ", and nobody else reviewed it.", nil
		}
	}
	return "", nil
}

// canRetry says whether the release ended before it was everywhere. One that was
// overtaken can be promoted instead.
func (v releaseView) canRetry() bool {
	return v.d.State.Over() && v.d.State != releases.Healthy && v.d.State != releases.Superseded
}

// retry offers to deploy the same version again.
func (v releaseView) retry(ctx context.Context) []Form {
	env := v.d.Target
	if stages := v.world.Stages(v.d.Service); env == "" && len(stages) > 0 {
		env = stages[0][0] // the environment whose path rules a whole release
	}
	if !v.may(ctx, env, "retry") {
		return nil
	}
	f := v.form("retry", "", "Retry "+v.d.Version.String(), Primary)
	f.Explain = "Deploys the same version again wherever it does not run yet, and lifts the mark if it is marked bad."
	return []Form{f}
}

// promotions offers to bring a version that was built where something else runs.
// One that is marked bad too: only a person can know better.
func (v releaseView) promotions(ctx context.Context) []Form {
	if v.d.State != releases.Healthy && v.d.State != releases.Superseded {
		return nil
	}
	if s := v.step("build"); s != nil && s.State != run.Succeeded {
		return nil
	}
	var list []Form
	for _, stage := range v.world.Stages(v.d.Service) {
		for _, env := range stage {
			now := v.runs(env)
			if now != nil && now.Commit == v.d.Commit || !v.may(ctx, env, "promote") {
				continue
			}
			f := v.form("promote", env, "Bring to "+env, Plain)
			f.CLI = fmt.Sprintf("nightporter release promote %s %s --to %s", v.d.Service, v.d.Version, env)
			f.Explain = fmt.Sprintf("Opens a release of %s for %s alone.", v.d.Version, env)
			if v.world.ApprovalFor(v.d.Service, env).Needed() {
				f.Explain += " It asks for its approval."
			}
			if v.d.Bad != "" {
				f.Explain += " The version is marked bad."
			}
			list = append(list, f)
		}
	}
	return list
}

// rollbacks offers to bring back what ran before, where this release runs.
func (v releaseView) rollbacks(ctx context.Context) []Form {
	if !v.d.State.Over() {
		return nil
	}
	var list []Form
	for _, stage := range slices.Backward(v.world.Stages(v.d.Service)) {
		for _, env := range stage {
			now := v.runs(env)
			if now == nil || now.Release != v.d.ID || !v.may(ctx, env, "rollback") {
				continue
			}
			f := v.form("rollback", env, "Roll back in "+env, Danger)
			f.CLI += " --env " + env
			f.Explain = fmt.Sprintf("Brings back what was last healthy in %s before %s, and marks %s bad.", env, now.Version, now.Version)
			f.Comment, f.CommentRequired = "Why", Required
			if e, _ := v.world.Environment(env); e.Kind == nightporter.Production {
				f.Confirm = v.d.Service
			}
			list = append(list, f)
		}
	}
	return list
}
