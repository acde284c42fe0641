package environments

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/provider/notify"
)

// audience are those whom an environment concerns: the owners of what runs there,
// and the operators.
func audience(w *catalog.World, name string) []string {
	var all []string
	for _, s := range w.Services() {
		for _, stage := range w.Stages(s.Name) {
			if slices.Contains(stage, name) {
				all = append(all, s.Owner)
			}
		}
	}
	slices.Sort(all)
	return append(slices.Compact(all), catalog.Operators)
}

// tell sends a message to everybody concerned. One who cannot be reached does not
// keep it from the others.
func (e *Environments) tell(ctx context.Context, m notify.Message) error {
	if e.cfg.Tell == nil {
		return nil
	}
	m.URL, m.At = e.cfg.Page(m.Environment), e.cfg.Clock.Now()
	if lines := []rune(m.Text); len(lines) > notify.MaxText {
		m.Text = string(lines[:notify.MaxText])
	}
	var first error
	for _, who := range audience(e.cfg.Catalog.Current(), m.Environment) {
		if err := e.cfg.Tell.Tell(ctx, who, m); err != nil && first == nil {
			first = err
		}
	}
	return first
}

func (e *Environments) tellNudge(ctx context.Context, env catalog.Environment, dusk time.Time) error {
	return e.tell(ctx, notify.Message{
		Key:         fmt.Sprintf("environment/%s/dusk/%d", env.Name, dusk.Unix()),
		Title:       fmt.Sprintf("%s goes dark at %s", env.Name, dusk.Format("15:04 MST")),
		Text:        fmt.Sprintf("Still working? nightporter env keep %s --for 2h --reason \"…\"", env.Name),
		Severity:    notify.Info,
		Environment: env.Name,
	})
}

// TellFailed tells people that an environment did not come back, or could not be
// torn down. It hears [nightporter.DrillFailed].
func (e *Environments) TellFailed(ctx context.Context, d nightporter.DrillFailed) error {
	if d.Scratch != "" {
		return e.tell(ctx, notify.Message{
			Key: "environment/" + d.Environment + "/drill/" + d.Run, Severity: notify.Problem, Environment: d.Environment,
			Title: title("%s would not come back: %s", d.Environment, d.Reason),
			Text:  strings.Join(d.Lines, "\n"),
		})
	}
	return e.tell(ctx, notify.Message{
		Key: "environment/" + d.Environment + "/failed/" + d.Run, Severity: notify.Critical, Environment: d.Environment,
		Title: title("%s needs a person: %s", d.Environment, d.Reason),
		Text:  strings.Join(d.Lines, "\n"),
	})
}

// TellPassed tells people when the newest infrastructure could not be built and
// the last good one runs instead. It hears [nightporter.DrillPassed].
func (e *Environments) TellPassed(ctx context.Context, d nightporter.DrillPassed) error {
	if d.FellBackFrom == "" && d.Reason == "" {
		return nil
	}
	from := "its newest code"
	if d.FellBackFrom != "" {
		from = short(d.FellBackFrom)
	}
	return e.tell(ctx, notify.Message{
		Key: "environment/" + d.Environment + "/fellback/" + d.Run, Severity: notify.Problem, Environment: d.Environment,
		Title: title("%s could not be built from %s; %s runs instead", d.Environment, from, short(d.Commit)),
		Text:  strings.TrimSpace(d.Reason + "\n" + strings.Join(d.Lines, "\n")),
	})
}

// title makes one line that channels take.
func title(format string, args ...any) string {
	text := []rune(strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " "))
	return string(text[:min(len(text), notify.MaxTitle)])
}
