package story

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightporter.dev/nightporter/demo/judge"
	"nightporter.dev/nightporter/demo/world"
)

// asleep are the services that run in dev in the evening.
var asleep = []string{"ledger", "gateway", "notifier", "affordability"}

// night: dev is torn down in the evening and built again by the morning, and last
// evening's changes of the infrastructure have been tried out by then.
func night(s *Story) {
	git := s.Git(world.Infrastructure)
	good, broken := "", ""
	s.Step("in the evening a component is added and tried out with nightporter env up; the next commit is broken", func(ctx context.Context) (err error) {
		if err := s.ClockAt(18, 30); err != nil {
			return err
		}
		if good, err = s.Forge.PushDirect(world.Infrastructure, "Search the statements", world.Login(world.Kim), world.Components("queue", "search")); err != nil {
			return err
		}
		if _, err = s.Command(ctx, world.Sam, "env", "up", "dev", "--until", "20:00", "--reason", "trying the search"); err != nil {
			return err
		}
		if _, err := s.component("search"); err != nil {
			return err
		}
		files := world.Components("queue", "search")
		files["dev/environment.yaml"] += "  - name: reports\n    kind: process\n    command: [/bin/sleep, infinity]\n    needs: [serach]\n"
		broken, err = s.Forge.PushDirect(world.Infrastructure, "Print reports at night", world.Login(world.Kim), files)
		return err
	}, func(ctx context.Context) error {
		head, err := git.Commit(ctx, "refs/heads/main")
		if err == nil && head != broken {
			err = fmt.Errorf("main of %s is at %.10s, not at the broken commit", world.Infrastructure, head)
		}
		return err
	})

	before, pids := map[string]judge.Answer{}, map[int]bool{}
	s.Step(StepDusk, func(ctx context.Context) error {
		for _, service := range asleep {
			_, a, err := s.Proc.Serving(ctx, service, "dev")
			if err != nil {
				return err
			}
			before[service] = a
		}
		all, err := s.Proc.In("dev")
		if err != nil {
			return err
		}
		for _, p := range all {
			pids[p.PID] = true
		}
		prod, err := s.Proc.Keep(ctx, "ledger", "prod")
		if err != nil {
			return err
		}
		err = errors.Join(s.ClockAt(21, 0), s.Until(ctx, "dev is gone", s.dark))
		_, wrong := prod.Stop()
		return errors.Join(err, wrong)
	}, s.dark)

	s.Step(StepNight, s.sleepUntilMorning, nil)

	s.Step("by the morning the same versions answer as new processes; the added component is there, the broken commit was caught, and people know", nil, func(ctx context.Context) error {
		for _, name := range []string{"queue", "search"} {
			p, err := s.component(name)
			if err == nil && pids[p.PID] {
				err = fmt.Errorf("%s is the process of the evening", p)
			}
			if err != nil {
				return err
			}
		}
		if _, err := s.component("reports"); err == nil {
			return errors.New("a component of the broken commit is there")
		}
		for _, service := range asleep {
			p, a, err := s.Proc.Serving(ctx, service, "dev")
			if err != nil {
				return err
			}
			was := before[service]
			if a.Version != was.Version || a.Commit != was.Commit || pids[p.PID] {
				return fmt.Errorf("%s in dev is %s at %.10s (%s); in the evening it was %s at %.10s", service, a.Version, a.Commit, p, was.Version, was.Commit)
			}
		}
		if s.Database != nil {
			for _, service := range world.Tenants() {
				if _, err := s.lease(ctx, service, "dev"); err != nil {
					return err
				}
			}
		}
		return s.told("operators", fmt.Sprintf("dev could not be built from %.7s; %.7s runs instead", broken, good))
	})

	if s.Database == nil {
		s.NotRun("no PostgreSQL", StepProven)
	} else {
		s.Step(StepProven, nil, func(ctx context.Context) error {
			out, err := s.Command(ctx, world.Ben, "env", "status", "dev", "--json")
			if err == nil && !bytes.Contains(out, []byte("the profile of tenant 1: GET http://127.0.0.1:")) {
				err = errors.New("the drill of dev does not say who was asked for the profile of tenant 1")
			}
			return errors.Join(err, s.golden(ctx))
		})
	}

	s.Step("nightporter env savings and env runs tell of the night", nil, func(ctx context.Context) error {
		for _, verb := range []string{"savings", "runs"} {
			out, err := s.Command(ctx, world.Ben, "env", verb, "dev", "--json")
			if err != nil {
				return err
			}
			if !json.Valid(out) {
				return fmt.Errorf("env %s answered %.100q", verb, out)
			}
		}
		return nil
	})
}

// component finds the process of a part of dev.
func (s *Story) component(name string) (judge.Process, error) {
	all, err := s.Proc.In("dev")
	if err != nil {
		return judge.Process{}, err
	}
	all = slices.DeleteFunc(all, func(p judge.Process) bool { return p.Component != name })
	if len(all) != 1 {
		return judge.Process{}, fmt.Errorf("dev has %d processes of its component %s: %v", len(all), name, all)
	}
	return all[0], nil
}

// dark checks that nothing of dev is alive, and that its databases are closed.
func (s *Story) dark(ctx context.Context) error {
	all, err := s.Proc.In("dev")
	if err == nil && len(all) > 0 {
		err = fmt.Errorf("%d processes of dev are alive: %v", len(all), all)
	}
	if err != nil || s.Database == nil {
		return err
	}
	for _, service := range world.Tenants() {
		logins, err := s.Database.Logins(ctx, world.DatabaseOf(service, "dev"))
		if err == nil && len(logins) > 0 {
			err = fmt.Errorf("%v can log in to the database of %s in dev", logins, service)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// nightRate is how fast the night passes: an hour a second.
const nightRate = 3600

// sleepUntilMorning lets the hours pass, and looks again and again whether they
// are quiet. What it sees counts only while the clock has not shown seven.
func (s *Story) sleepUntilMorning(ctx context.Context) error {
	evening := s.Clock.Now().In(world.London)
	seven := time.Date(evening.Year(), evening.Month(), evening.Day()+1, 7, 0, 0, 0, world.London)
	if err := s.Clock.Run(nightRate); err != nil {
		return err
	}
	looks := 0
	for {
		err := s.dark(ctx)
		now := s.Clock.Now()
		if !now.Before(seven) {
			break
		}
		if err != nil {
			return errors.Join(fmt.Errorf("at %s: %w", now.In(world.London).Format("Mon 15:04"), err), s.Clock.Run(1))
		}
		looks++
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.Progress("looked %d times in the dark", looks)
	return s.Clock.Run(1)
}
