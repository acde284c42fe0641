package command

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Observe implements [deploy.Deployer].
func (d *Deployer) Observe(ctx context.Context, t deploy.Token) (deploy.Observation, error) {
	p, err := d.settled(ctx, t)
	if err != nil {
		return deploy.Observation{}, err
	}
	o := deploy.Observation{Role: p.Role, Address: p.Address}
	o.Evidence = nightporter.Evidence{ObservedAt: d.cfg.Now().UTC(), Source: "run of " + p.program()}
	if p.Role == deploy.Ended || p.Role == deploy.Draining {
		o.State, o.Message = deploy.Gone, "was ended"
		return o, nil
	}
	s, err := d.cfg.Jobs.Look(ctx, p.jobKey(Deploy))
	if err != nil && nightporter.CodeOf(err) != nightporter.NotFound {
		return o, err
	}
	o.Lines = s.Lines
	switch {
	case err != nil || !s.Ended:
		o.State, o.Message = deploy.Starting, p.program()+" is at work"
		return o, nil
	case s.Exit != 0:
		o.State, o.Message, o.Retryable = deploy.Failed, p.program()+" "+s.Message, s.Exit == exitTemporary
		return o, nil
	case p.Failed != "":
		o.State, o.Message = deploy.Failed, p.Failed
		return o, nil
	}
	if !p.can(Observe) {
		// The only evidence is that the program said so, and when.
		o.State, o.Message, o.Evidence.ObservedAt = deploy.Healthy, p.program()+" succeeded", s.EndedAt
		o.Evidence.Source = "exit status of " + p.program()
		return d.reported(p, o, s.Report)
	}
	return d.ask(ctx, p, o, s)
}

// ask runs the program with observe. No door is closed meanwhile: a program that
// is slow to answer holds nobody up.
func (d *Deployer) ask(ctx context.Context, p *deployment, o deploy.Observation, deployed deploy.JobState) (deploy.Observation, error) {
	seen, err := d.look(ctx, p)
	if err != nil {
		return o, err
	}
	if ctx.Err() != nil {
		return o, ctx.Err()
	}
	o.Evidence = nightporter.Evidence{ObservedAt: seen.EndedAt, Source: "exit status of " + p.program() + " observe"}
	o.Lines = lastOf(slices.Concat(deployed.Lines, seen.Lines))
	o.Message = "healthy"
	if seen.Exit != 0 {
		o.Message = p.program() + " observe " + seen.Message
	}
	if len(seen.Lines) > 0 {
		o.Message = seen.Lines[len(seen.Lines)-1]
	}
	late := d.cfg.Now().Sub(deployed.EndedAt) >= p.Within
	switch {
	case seen.Exit == 0:
		o.State = deploy.Healthy
		report := deployed.Report
		if len(seen.Report) > 0 {
			report = seen.Report
		}
		return d.reported(p, o, report)
	case seen.Exit == exitNotRunning:
		o.State, o.Message = deploy.Failed, "nothing of it runs: "+o.Message
	case late && p.HealthyAt.IsZero():
		o.State, o.Message = deploy.Failed, fmt.Sprintf("not healthy within %s: %s", p.Within, o.Message)
	case late:
		o.State, o.Message = deploy.Failed, "not healthy any more: "+o.Message
	default:
		o.State = deploy.Starting
	}
	return o, nil
}

func (d *Deployer) look(ctx context.Context, p *deployment) (deploy.JobState, error) {
	within, cancel := context.WithTimeout(ctx, d.cfg.LookWithin)
	defer cancel()
	return d.cfg.Jobs.Ask(within, p.job(Observe, nil))
}

func lastOf(lines []string) []string { return lines[max(0, len(lines)-deploy.LogLines):] }

// reported believes a good look only when the program did not name another
// version or commit.
func (d *Deployer) reported(p *deployment, o deploy.Observation, report map[string]string) (deploy.Observation, error) {
	o.Reported = cmp.Or(report["version"], report["commit"])
	o.Address = cmp.Or(report["address"], p.Address)
	for name, want := range map[string]string{"version": p.Version.String(), "commit": p.Commit} {
		if got := report[name]; got != "" && got != want {
			o.State, o.Message, o.Reported = deploy.Failed, fmt.Sprintf("it is %s %s, not %s", name, got, want), got
			return o, nil
		}
	}
	if !p.HealthyAt.IsZero() && o.Address == p.Address {
		return o, nil
	}
	defer d.door(p.Service + "/" + p.Environment)()
	p, all, err := d.find(p.token())
	if err != nil {
		return o, err
	}
	if p.HealthyAt.IsZero() {
		p.HealthyAt = d.cfg.Now().UTC()
	}
	p.Address = o.Address
	return o, d.save(p.Service, p.Environment, all)
}

// settled reads a deployment. One in place has the serving role as soon as its
// program has begun, also when the caller was killed in between.
func (d *Deployer) settled(ctx context.Context, t deploy.Token) (*deployment, error) {
	p, _, err := d.find(t)
	if err != nil || !p.inPlace() || p.Role != deploy.Candidate {
		return p, err
	}
	s, err := d.cfg.Jobs.Look(ctx, p.jobKey(Deploy))
	if nightporter.CodeOf(err) == nightporter.NotFound || err == nil && !s.Started {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.door(p.Service + "/" + p.Environment)()
	p, all, err := d.find(t)
	if err != nil {
		return nil, err
	}
	return p, d.took(p, all)
}

// Running implements [deploy.Deployer].
func (d *Deployer) Running(ctx context.Context, service, environment string) ([]deploy.Instance, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, err := d.at(service, environment)
	if err != nil {
		return nil, err
	}
	var running []deploy.Instance
	for _, p := range all {
		if p.over() {
			continue
		}
		if p, err = d.settled(ctx, p.token()); err != nil {
			return nil, err
		}
		s, err := d.cfg.Jobs.Look(ctx, p.jobKey(Deploy))
		if nightporter.CodeOf(err) == nightporter.NotFound || err == nil && !s.Started {
			continue
		}
		if err != nil {
			return nil, err
		}
		i := deploy.Instance{
			Token: p.token(), Key: p.Key, Version: p.Version, Commit: p.Commit, Artifact: p.Artifact, Address: p.Address,
			StartedAt: s.StartedAt, Role: p.Role, State: deploy.Starting,
		}
		if p.Image != "" {
			i.Artifact = deploy.Artifact(p.Image)
		}
		switch {
		case s.Ended && s.Exit != 0:
			i.State = deploy.Gone // the program did not get that far
		case !p.HealthyAt.IsZero():
			i.State = deploy.Healthy
		}
		if p.Role == deploy.Serving && s.Ended && p.can(Observe) {
			seen, err := d.look(ctx, p)
			if err != nil {
				return nil, err
			}
			if seen.Exit == exitNotRunning {
				i.State = deploy.Gone
			}
		}
		running = append(running, i)
	}
	slices.SortStableFunc(running, func(a, b deploy.Instance) int { return a.StartedAt.Compare(b.StartedAt) })
	return running, nil
}

// Logs implements [deploy.Deployer]: what the program wrote.
func (d *Deployer) Logs(ctx context.Context, service, environment string, n int) ([]string, error) {
	all, err := d.at(service, environment)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	shown := all[len(all)-1]
	for _, p := range all {
		if p.Role == deploy.Serving {
			shown = p
		}
	}
	s, err := d.cfg.Jobs.Look(ctx, shown.jobKey(Deploy))
	if nightporter.CodeOf(err) == nightporter.NotFound {
		return nil, nil
	}
	return s.Lines[max(0, len(s.Lines)-n):], err
}
