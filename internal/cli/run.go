package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"nightporter.dev/nightporter/client"
)

func (c *CLI) runCommands() *cobra.Command {
	show := &cobra.Command{
		Use: "show RUN", Short: "The steps of a run and the end of their output",
		Example: "  nightporter run show run_0198c0ffee00",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			run, err := api.Run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if c.json {
				return c.printJSON(run)
			}
			c.printf("%s  %s\n\n", c.out.paint(strong, clean(run.ID)), c.painted(c.out.state(run.State)))
			pairs(c.cfg.Stdout, c.out,
				[2]string{"Kind", clean(run.Kind)}, [2]string{"Of", clean(run.Subject.String())},
				[2]string{"By", clean(run.Cause)}, [2]string{"Began", c.stamp(run.StartedAt)},
				[2]string{"Ended", c.stamp(run.FinishedAt)}, [2]string{"Message", clean(run.Message)})
			c.printf("\n")
			c.drawSteps(run)
			return nil
		},
	}
	var ask consent
	reason := ""
	cancel := &cobra.Command{
		Use: "cancel RUN", Short: "End a run at the step that it is at",
		Example: `  nightporter run cancel run_0198c0ffee00 --reason "wrong branch"`,
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			run, err := api.Run(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			at := "before it began"
			if s := current(run); s != nil {
				at = "at " + s.Name
			}
			if err := c.agree(ask, fmt.Sprintf("Run %s of %s ends %s. What it did so far stays.", run.ID, run.Subject, at)); err != nil {
				return err
			}
			if err := api.CancelRun(cmd.Context(), args[0], reason); err != nil {
				return err
			}
			c.sayf("Run %s is being cancelled. See it end with: nightporter run follow %s", clean(run.ID), clean(run.ID))
			return nil
		},
	}
	cancel.Flags().StringVar(&reason, "reason", "", "why, for those who read it later")
	ask.flag(cancel)

	var timeout time.Duration
	follow := &cobra.Command{
		Use: "follow RUN", Short: "Stay with a run until it is over or waits for a person",
		Example: "  nightporter run follow run_0198c0ffee00\n  nightporter run follow run_0198c0ffee00 --timeout 5m",
		Args:    takes(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			api, err := c.api()
			if err != nil {
				return err
			}
			run, err := c.follow(cmd.Context(), api, args[0], timeout, 0)
			if err != nil {
				return err
			}
			return c.ended(cmd.Context(), api, run)
		},
	}
	follow.Flags().DurationVar(&timeout, "timeout", 0, "wait at most this `long`; then exit 6, and the work goes on (default for ever)")
	return noun("run", "Work of many steps: releases, nights", "  nightporter run follow run_0198c0ffee00", show, cancel, follow)
}

// drawSteps writes the steps of a run, with the output of those that failed.
func (c *CLI) drawSteps(run *client.Run) {
	t := table{columns: []column{{head: "Step"}, {head: "State"}, {head: "Took", right: true}, {head: "Tries", right: true, spare: 1}, {head: "Message"}}}
	for i := range run.Steps {
		s := &run.Steps[i]
		took := ""
		switch {
		case s.StartedAt.IsZero():
		case !s.FinishedAt.IsZero():
			took = clockwise(s.FinishedAt.Sub(s.StartedAt))
		case !s.Over():
			took = clockwise(c.cfg.Now().Sub(s.StartedAt))
		}
		tries := ""
		if s.Attempts > 1 {
			tries = fmt.Sprint(s.Attempts)
		}
		t.add(text(s.Name), c.out.state(s.State), text(took), text(tries), dim(s.Message))
	}
	t.write(c.cfg.Stdout, c.out)
	for i := range run.Steps {
		s := &run.Steps[i]
		if s.State != "failed" || len(s.Lines) == 0 {
			continue
		}
		c.printf("\n%s\n", c.out.paint(strong, "The end of what "+clean(s.Name)+" said"))
		for _, line := range s.Lines[max(0, len(s.Lines)-lastLines):] {
			c.printf("  %s %s\n", c.out.paint(quiet, "│"), clean(line))
		}
	}
}
