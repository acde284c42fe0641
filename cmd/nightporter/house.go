package main

import (
	"context"
	"encoding/json"
	"os"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/client"
	"nightporter.dev/nightporter/environments/schedule"
	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/internal/cli"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/versions"
)

// house gives the command line what it needs of the house without a server.
type house struct {
	version string
	io      stdio
}

func (h house) server(ctx context.Context, o cli.ServerOptions) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return app.Serve(ctx, app.ServeOptions{
		Self:       self,
		ConfigPath: o.Config, Dev: o.Dev, DevToken: o.DevRootToken, Listen: o.Listen, AddressFile: o.AddressFile,
		Store: o.Store, DemoClock: o.DemoClock, Version: h.version, Samples: samples, Kubernetes: kubernetes(), Stdout: h.io.out, Stderr: h.io.err,
	})
}

func (h house) init(ctx context.Context, o cli.InitOptions) (cli.InitResult, error) {
	made, err := app.Init(ctx, o.Dir, h.version)
	return cli.InitResult(made), err
}

func (h house) validate(_ context.Context, path string) (warnings []string, err error) {
	cfg, err := app.LoadConfig(path, kubernetes())
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings() {
		warnings = append(warnings, w.Path+": "+w.Message)
	}
	return warnings, nil
}

func (h house) schema() ([]byte, error) { return config.Schema(), nil }

func (h house) verifyAudit(ctx context.Context, o cli.VerifyOptions) (client.Report, error) {
	if o.File != "" {
		return client.Report{}, nightporter.E(nightporter.Invalid, "exports cannot be verified by this version").
			WithHint("verify a copy of the store: nightporter audit verify --store sqlite:COPY")
	}
	r, err := app.VerifyStore(ctx, o.Store, o.Anchors)
	return client.Report(r), err
}

func (h house) scheduleNext(_ context.Context, o cli.ScheduleOptions) ([]cli.ScheduleItem, error) {
	s, err := schedule.Parse(schedule.Spec{Windows: o.Windows, Timezone: o.Timezone, Except: o.Except, Also: o.Also}, nil)
	if err != nil {
		return nil, err
	}
	var items []cli.ScheduleItem
	for _, e := range s.Next(o.After, o.Count, schedule.Overrides{}) {
		items = append(items, cli.ScheduleItem{At: e.At, State: string(e.State)})
	}
	return items, nil
}

func (h house) localVersionNext(ctx context.Context, o cli.LocalOptions, repo nightporter.Repo) (cli.NextVersion, error) {
	next, err := app.NextVersion(ctx, o.Config, h.version, repo)
	return cli.NextVersion(next), err
}

func (h house) localVersionCheck(ctx context.Context, o cli.LocalOptions, repo nightporter.Repo, p client.PullToCheck) (client.VersionVerdict, error) {
	v, err := app.CheckVersion(ctx, o.Config, h.version, repo, p.Number, versions.Pull{Labels: p.Labels, Title: p.Title, Body: p.Body})
	return client.VersionVerdict(v), err
}

func (h house) localRepoPlan(ctx context.Context, o cli.LocalOptions, forge, only string) (*client.RepoPlan, error) {
	l, err := app.LocalRepos(o.Config, h.version, forge)
	if err != nil {
		return nil, err
	}
	p, err := l.Plan(ctx, forge, only)
	if err != nil {
		return nil, err
	}
	return asClient[client.RepoPlan](p)
}

func (h house) localRepoAdopt(ctx context.Context, o cli.LocalOptions, forge string) (*client.Adoption, error) {
	l, err := app.LocalRepos(o.Config, h.version, forge)
	if err != nil {
		return nil, err
	}
	a, err := l.Adopt(ctx, forge)
	if err != nil {
		return nil, err
	}
	return asClient[client.Adoption](a)
}

// asClient hands a value over in the client's shape, by way of the JSON that a
// server would have sent.
func asClient[T any](v any) (*T, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var out T
	return &out, json.Unmarshal(text, &out)
}

// localBoard hands the board over in the client's shape, by way of the JSON that a
// server would have sent.
func (h house) localBoard(ctx context.Context, o cli.LocalOptions) (cli.LocalBoard, error) {
	rows, err := app.LocalBoard(ctx, o.Config, h.version)
	if err != nil {
		return cli.LocalBoard{}, err
	}
	wire, err := json.Marshal(rows)
	if err != nil {
		return cli.LocalBoard{}, err
	}
	var out cli.LocalBoard
	if err := json.Unmarshal(wire, &out.Rows); err != nil {
		return cli.LocalBoard{}, err
	}
	cfg, err := app.LoadConfig(o.Config, kubernetes())
	if err != nil {
		return cli.LocalBoard{}, err
	}
	for _, stage := range cfg.Catalog().Pipeline {
		out.Environments = append(out.Environments, stage...)
	}
	return out, nil
}
