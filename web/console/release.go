package console

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/releases"
	"nightporter.dev/nightporter/versions"
)

// logLines is how much of a failed step's output a release shows.
const logLines = 20

// release answers GET /releases/{id}: where does it stand, what does it wait for?
func (c *Console) release(ctx context.Context, v *visit) (Page, error) {
	d, err := c.cfg.Releases.Show(ctx, v.tx, v.r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	l, err := v.layout(ctx, d.Service+" "+d.Version.String(), "Services")
	if err != nil {
		return nil, err
	}
	ledger, err := versions.List(ctx, v.tx, d.Repo, d.Place+1, max(len(d.Changes), 1))
	if err != nil {
		return nil, err
	}
	service, _ := v.world.Service(d.Service)
	view := releaseView{visit: v, d: d}
	p := &Release{
		Layout: l, ID: d.ID, Service: d.Service, ServiceURL: "/services/" + d.Service, Version: d.Version.String(), Commit: short(d.Commit),
		Owner: service.Owner, Badge: badges[d.State], Headline: view.headline(), Opened: d.CreatedAt, OpenedBy: view.openedBy(),
		Banner: view.banner(), Stages: view.stages(), Steps: view.steps(), Log: view.log(), Changes: withLabels(d.Changes, ledger),
		Rule: v.rule(d.Service, view.decidesOn()), CLI: "nightporter release show " + d.ID,
	}
	if len(p.Changes) == 0 {
		p.ChangesNote = "Nothing that production does not have."
	}
	for _, vote := range d.Votes {
		badge := Badge{State: OK, Word: "approved"}
		if !vote.Approved {
			badge = Badge{State: Failed, Word: "rejected"}
		}
		p.Approvals = append(p.Approvals, Approval{Who: vote.Person, Badge: badge, Comment: vote.Comment, At: vote.At})
	}
	p.Forms, p.NotYou, err = view.forms(ctx)
	return p, err
}

// releaseTwin is what /api/releases/{id} answers.
func (c *Console) releaseTwin(ctx context.Context, v *visit) (any, error) {
	return c.cfg.Releases.Show(ctx, v.tx, v.r.PathValue("id"))
}

// releaseView says things about one release.
type releaseView struct {
	*visit
	d *releases.Detail
}

// path is the release's own pipeline: one environment for a promotion.
func (v releaseView) path() [][]string {
	if v.d.Target != "" {
		return [][]string{{v.d.Target}}
	}
	return v.world.Stages(v.d.Service)
}

// last is the environment at the end of the release's way.
func (v releaseView) last() string {
	env := ""
	for _, stage := range v.path() {
		env = stage[len(stage)-1]
	}
	return env
}

// decidesOn is the environment whose approval rule the page shows.
func (v releaseView) decidesOn() string {
	if v.d.WaitsFor != "" {
		return v.d.WaitsFor
	}
	return v.last()
}

func (v releaseView) step(name string) *run.Step { return v.d.Work.Step(name) }

// runs is what an environment runs of the service now, or nil.
func (v releaseView) runs(env string) *releases.Placement {
	i := slices.IndexFunc(v.d.Environments, func(p releases.Placement) bool { return p.Environment == env })
	if i < 0 {
		return nil
	}
	return &v.d.Environments[i]
}

// headline is the state as the end of a sentence that begins with the version.
func (v releaseView) headline() string {
	switch v.d.State {
	case releases.Building:
		return "is being built"
	case releases.Deploying:
		for _, s := range v.d.Work.Steps {
			if env, ok := strings.CutPrefix(s.Name, "deploy "); ok && !s.State.Over() && s.State != run.Pending {
				return "is on its way to " + env
			}
		}
		return "is on its way"
	case releases.Waiting:
		return "waits for approval to " + v.d.WaitsFor
	case releases.Held:
		return "is held before " + v.d.WaitsFor
	case releases.Healthy:
		if p := v.runs(v.last()); p != nil && p.Commit == v.d.Commit {
			return "runs in " + v.last()
		}
		return "reached " + v.last()
	case releases.RolledBack, releases.Broken:
		word := "failed"
		if v.d.State == releases.RolledBack {
			word = "was rolled back"
		}
		if s := v.failedStep(); s != nil {
			if env, ok := strings.CutPrefix(s.Name, "deploy "); ok {
				return word + " in " + env
			}
			return "failed to " + s.Name
		}
		return word
	case releases.Superseded:
		return "was overtaken"
	}
	return "was " + string(v.d.State)
}

// openedBy says what the release came from.
func (v releaseView) openedBy() string {
	by := ""
	if v.d.Cause != "" {
		by = " by " + handles([]string{v.d.Cause})
	}
	switch v.d.Kind {
	case releases.Promotion:
		return "promoted" + by
	case releases.Rollback:
		return "rolled back" + by
	}
	i := slices.IndexFunc(v.d.Changes, func(c releases.Change) bool { return c.Commit == v.d.Commit })
	if i < 0 {
		return "merge on main"
	}
	m := v.d.Changes[i]
	return "merge of " + subject(nightporter.Merged{PullRequest: m.PullRequest, Commit: m.Commit, Authors: m.Authors})
}

// banner says what somebody must know before anything else.
func (v releaseView) banner() *Notice {
	switch {
	case v.d.Bad != "":
		text := sentence(v.d.Bad) + ". It goes no further by itself."
		if v.canRetry() {
			text += " Retry lifts the mark."
		}
		return &Notice{State: Failed, Title: v.d.Version.String() + " is marked bad.", Text: text}
	case v.d.State == releases.Held:
		return &Notice{State: Attention, Title: "Held before " + v.d.WaitsFor + ".", Text: sentence(v.d.Message)}
	case v.d.State == releases.Superseded:
		return &Notice{State: Muted, Title: "A newer release took over.", Text: sentence(v.d.Message), Link: &Link{Text: "Open " + v.d.Service, URL: "/services/" + v.d.Service}}
	case v.d.State == releases.Broken, v.d.State == releases.Rejected, v.d.State == releases.Cancelled:
		if v.d.Message != "" {
			return &Notice{State: badges[v.d.State].State, Title: sentence(v.d.Message) + "."}
		}
	}
	return nil
}

// stages is the way to production, with the build before it and a gate before
// each environment that has one.
func (v releaseView) stages() []Stage {
	var list []Stage
	if s := v.step("build"); s != nil {
		list = append(list, Stage{Items: []StageItem{stageItem("build", s, "built")}})
	}
	for _, stage := range v.path() {
		var gates, envs []StageItem
		for _, env := range stage {
			if s := v.step("approve " + env); s != nil {
				gates = append(gates, v.gate(env, s))
			}
			envs = append(envs, v.stop(env))
		}
		if len(gates) > 0 {
			list = append(list, Stage{Items: gates})
		}
		list = append(list, Stage{Items: envs})
	}
	return list
}

// gate is the approval before an environment.
func (v releaseView) gate(env string, s *run.Step) StageItem {
	rule := v.world.ApprovalFor(v.d.Service, env)
	item := stageItem("approval", s, "approved")
	item.Gate = true
	switch {
	case !rule.Needed():
		item.Name = "go"
		if s.State == run.Succeeded {
			item.Word = "open"
		}
	case v.d.WaitsFor == env:
		approved := 0
		for _, vote := range v.d.Votes {
			if vote.Approved {
				approved++
			}
		}
		item.State, item.Word, item.Icon = Attention, "waiting", IconWaiting
		item.Detail = fmt.Sprintf("%d of %d", approved, rule.Count)
	case s.State == run.Failed:
		item.Word = "rejected"
	}
	if v.d.State == releases.Held && v.d.WaitsFor == env {
		item.State, item.Word, item.Icon = Attention, "held", IconHold
	}
	return item
}

// stop is one environment on the way.
func (v releaseView) stop(env string) StageItem {
	now := v.runs(env)
	s := v.step("deploy " + env)
	if s == nil { // it ran there before this run began
		item := StageItem{Name: env, Badge: Badge{State: Muted, Word: "not part"}}
		if now != nil && now.Commit == v.d.Commit {
			item.Badge, item.Since = Badge{State: OK, Word: "healthy"}, now.Since
		}
		return item
	}
	item := stageItem(env, s, "healthy")
	if s.State == run.Failed && now != nil {
		item.Word, item.Icon = "rolled back", IconRolledBack
	}
	if now != nil && now.Commit != v.d.Commit {
		item.Detail = now.Version.String() + " runs"
		if s.State == run.Succeeded { // what was seen then says nothing about now
			item.Badge = Badge{State: Muted, Word: "replaced"}
		}
	}
	return item
}

// stageItem is a step as the strip draws it.
func stageItem(name string, s *run.Step, done string) StageItem {
	item := StageItem{Name: name, Badge: stepBadge(s)}
	switch {
	case s.State == run.Succeeded:
		item.Word, item.Took = done, s.FinishedAt.Sub(s.StartedAt)
	case s.State.Over():
		if !s.StartedAt.IsZero() {
			item.Took = s.FinishedAt.Sub(s.StartedAt)
		}
	default:
		item.Since = s.StartedAt
	}
	return item
}

func stepBadge(s *run.Step) Badge {
	switch s.State {
	case run.Succeeded:
		return Badge{State: OK, Word: "done"}
	case run.Failed:
		return Badge{State: Failed, Word: "failed"}
	case run.Starting, run.Running:
		return Badge{State: Running, Word: "running"}
	case run.Waiting:
		return Badge{State: Attention, Word: "waiting", Icon: IconWaiting}
	case run.Paused:
		return Badge{State: Unknown, Word: "paused"}
	case run.Pending, run.Queued:
		return Badge{State: Muted, Word: "not yet"}
	}
	return Badge{State: Muted, Word: string(s.State)}
}

func (v releaseView) steps() []Step {
	var list []Step
	for i := range v.d.Work.Steps {
		s := &v.d.Work.Steps[i]
		name, env, _ := strings.Cut(s.Name, " ")
		if name == "go" {
			name, env = "go back", strings.TrimPrefix(s.Name, "go back in ")
		}
		step := Step{Name: name, Environment: env, Badge: stepBadge(s), Started: s.StartedAt, Attempts: s.Attempt, Detail: s.Message, Expected: s.Expected}
		if s.State.Over() && !s.StartedAt.IsZero() {
			step.Took = max(s.FinishedAt.Sub(s.StartedAt), time.Millisecond)
		}
		list = append(list, step)
	}
	return list
}

// failedStep is the step that the release failed at, or nil. A tag that could not
// be moved is not one.
func (v releaseView) failedStep() *run.Step {
	for i := range v.d.Work.Steps {
		if s := &v.d.Work.Steps[i]; s.State == run.Failed && !strings.HasPrefix(s.Name, "tag ") && !strings.HasPrefix(s.Name, "approve ") {
			return s
		}
	}
	return nil
}

// log is the end of the output of what failed.
func (v releaseView) log() *Log {
	s := v.failedStep()
	if s == nil || len(s.Lines) == 0 {
		return nil
	}
	lines := s.Lines[max(0, len(s.Lines)-logLines):]
	where := s.Name
	if env, ok := strings.CutPrefix(s.Name, "deploy "); ok {
		where = "in " + env
	}
	return &Log{Title: fmt.Sprintf("%s %s %s, last %s", v.d.Service, v.d.Version, where, things(len(lines), "line", "lines")), Lines: lines}
}

// rule is what the configuration asks for before an environment, in words.
func (v *visit) rule(service, env string) string {
	rule := v.world.ApprovalFor(service, env)
	if !rule.Needed() {
		return "Nobody is asked for " + env + ": what is healthy before it goes on."
	}
	var from []string
	for _, who := range rule.From {
		if who == catalog.Owner {
			if team, ok := v.world.OwnerOf(service); ok {
				who = team.Name
			}
		}
		from = append(from, who)
	}
	text := fmt.Sprintf("%d of %s for %s.", rule.Count, strings.Join(from, ", "), env)
	switch rule.Author {
	case catalog.Reviewed:
		text += " Who wrote a change may approve what somebody else has reviewed."
	case catalog.Refuse:
		text += " Who wrote a change may not approve it."
	}
	return text
}
