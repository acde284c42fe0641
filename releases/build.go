package releases

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/run"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/provider/deploy"
)

// builder makes the artifact of a release, once for every environment.
type builder struct{ r *Releases }

// buildToken is the step's token: the provider's, and what is frozen with it.
type buildToken struct {
	Build  deploy.Token `json:"build,omitempty"`
	Frozen Frozen       `json:"frozen"`
}

func (b *builder) Start(ctx context.Context, t run.Task) (string, error) {
	rel, service, err := b.r.load(ctx, t)
	if err != nil {
		return "", err
	}
	token := buildToken{Frozen: Frozen{Kind: service.Deploy.Kind}}
	token.Frozen.follow(service)
	if err := token.Frozen.settings(service); err != nil {
		return "", err
	}
	d, err := b.r.deployer(service.Deploy.Kind)
	if err != nil {
		return "", err
	}
	if token.Frozen.Artifact, err = b.r.named(ctx, rel, service); err != nil {
		return "", err
	}
	if token.Frozen.Kind == kindCommand {
		// The checkout holds the program, and the image is what it deploys.
		token.Frozen.Image, token.Frozen.Artifact = string(token.Frozen.Artifact), ""
	}
	if b.r.cfg.Source != nil {
		maker, builds := d.(deploy.Builder)
		if token.Frozen.Artifact != "" {
			maker = nil // somebody else has built it
		}
		if builds || token.Frozen.Artifact != "" {
			if token.Build, err = b.build(ctx, t, maker, rel, service, &token.Frozen); err != nil {
				return "", err
			}
		}
	}
	out, err := json.Marshal(token)
	return string(out), err
}

// build checks the commit out, reads what the repository says about itself, and
// starts the build, unless there is nobody to build: maker is nil for an image.
func (b *builder) build(ctx context.Context, t run.Task, maker deploy.Builder, rel *Release, service catalog.Service, frozen *Frozen) (deploy.Token, error) {
	dir, done, err := b.r.cfg.Source.Checkout(ctx, rel.Repo, rel.Commit)
	if err != nil {
		return "", err
	}
	defer done()
	name := filepath.Join(dir, config.RepoFileName)
	if text, err := os.ReadFile(name); err == nil {
		file, err := config.ParseRepoFile(text, config.RepoFileName)
		if err != nil {
			return "", err
		}
		service = file.Apply(service)
	} else if !os.IsNotExist(err) {
		return "", fmt.Errorf("read %s of %s: %w", config.RepoFileName, rel.Repo, err)
	}
	frozen.follow(service)
	if frozen.Chart, err = b.r.chart(ctx, service, dir); err != nil {
		return "", err
	}
	if maker == nil {
		return "", nil
	}
	if len(frozen.Command) == 0 {
		return "", nightporter.E(nightporter.Invalid, "nobody says how to start %s", rel.Service).
			WithHint("write `run: [./bin/app]` into %s of its repository, or under deploy in nightporter.yaml", config.RepoFileName)
	}
	source := dir
	if frozen.Kind != kindCommand { // a command's folder is where it runs
		if source, err = folder(dir, frozen.Dir); err != nil {
			return "", err
		}
	}
	return maker.Build(ctx, deploy.BuildRequest{
		Key: key(t), Service: rel.Service, Commit: rel.Commit, Source: source, Command: service.Deploy.Build, Within: frozen.Timeout,
	})
}

// folder is a folder of a checkout. A link that leads elsewhere is none: whoever
// may merge must not be able to build from outside.
func folder(checkout, dir string) (string, error) {
	if dir == "" || dir == "." {
		return checkout, nil
	}
	root, err := filepath.EvalSymlinks(checkout)
	if err != nil {
		return "", err
	}
	want := filepath.Join(root, dir)
	if real, err := filepath.EvalSymlinks(want); err != nil || real != want || !filepath.IsLocal(dir) {
		return "", nightporter.E(nightporter.Invalid, "the repository has no folder %s", dir).WithHint("correct deploy.dir in nightporter.yaml")
	}
	return want, nil
}

func (b *builder) Observe(ctx context.Context, t run.Task, token string) (run.Observation, error) {
	var tok buildToken
	if err := json.Unmarshal([]byte(token), &tok); err != nil {
		return run.Observation{}, fmt.Errorf("read the token of %s: %w", t.Key(), err)
	}
	if tok.Build == "" && tok.Frozen.Artifact != "" {
		return run.Observation{State: run.Succeeded, Message: "deploys " + string(tok.Frozen.Artifact), Output: tok.Frozen}, nil
	}
	if tok.Build == "" {
		return run.Observation{State: run.Succeeded, Message: "nothing to build", Output: tok.Frozen}, nil
	}
	d, err := b.r.deployer(tok.Frozen.Kind)
	if err != nil {
		return run.Observation{}, err
	}
	maker, ok := d.(deploy.Builder)
	if !ok {
		return run.Observation{}, nightporter.E(nightporter.Invalid, "%s no longer builds", tok.Frozen.Kind)
	}
	o, err := maker.ObserveBuild(ctx, tok.Build)
	if err != nil {
		return run.Observation{}, err
	}
	switch o.State {
	case deploy.Built:
		tok.Frozen.Artifact = o.Artifact
		return run.Observation{State: run.Succeeded, Message: "built " + short(string(o.Artifact)), Lines: o.Lines, Output: tok.Frozen}, nil
	case deploy.BuildFailed:
		return run.Observation{State: run.Failed, Retryable: o.Retryable, Message: o.Message, Lines: o.Lines}, nil
	}
	return run.Observation{State: run.Running, Message: "building", Lines: o.Lines}, nil
}

// Cancel does nothing: a build is shared by everybody who needs the commit, and
// ends by itself.
func (b *builder) Cancel(context.Context, run.Task, string) error { return nil }

// follow takes over how the service is started and judged.
func (f *Frozen) follow(s catalog.Service) {
	f.Command = s.Deploy.Run
	f.Health = deploy.Health{HTTP: s.Health.HTTP, Within: s.Health.Within}
}

// settings takes over what the deploy target says beside its command.
func (f *Frozen) settings(s catalog.Service) error {
	if len(s.Deploy.Settings) == 0 {
		return nil
	}
	var extra struct {
		Env     map[string]string `json:"env"`
		Drain   config.Duration   `json:"drain"`
		Timeout config.Duration   `json:"timeout"`
		Dir     string            `json:"dir"`
		Actions []string          `json:"actions"`
	}
	if err := json.Unmarshal(s.Deploy.Settings, &extra); err != nil {
		return nightporter.Wrap(err, nightporter.Invalid, "the deploy settings of %s are damaged", s.Name)
	}
	f.Env, f.Drain, f.Timeout = extra.Env, extra.Drain.Std(), extra.Timeout.Std()
	f.Dir = extra.Dir
	if f.Kind == kindCommand {
		f.Actions = extra.Actions
	}
	return nil
}

// within bounds a deployment: the provider itself gives up once the service had
// its time to become healthy, and the command that deploys its own; the rest is
// for draining what ran before.
func (f Frozen) within() time.Duration {
	d := cmp.Or(f.Health.Within, deploy.DefaultWithin) + 5*time.Minute
	if f.Kind == kindCommand {
		d += f.timeout()
	}
	return d
}

// kindCommand is the deploy target whose deployments are commands that take their
// time themselves.
const kindCommand = "command"

func (f Frozen) timeout() time.Duration { return cmp.Or(f.Timeout, deploy.DefaultBuildWithin) }

// expected is what a release of a service will freeze, as far as its steps' bounds
// depend on it before it is built.
func expected(s catalog.Service) (f Frozen) {
	f.Kind = s.Deploy.Kind
	f.follow(s)
	_ = f.settings(s) // damaged settings fail the build, which says so
	return f
}

// load reads what a task is about.
func (r *Releases) load(ctx context.Context, t run.Task) (*Release, catalog.Service, error) {
	var in stepInput
	if err := t.Decode(&in); err != nil {
		return nil, catalog.Service{}, err
	}
	var rel *Release
	err := r.cfg.Gate.Look(ctx, func(tx *store.Tx) (err error) {
		rel, err = Get(ctx, tx, in.Release)
		return err
	})
	if err != nil {
		return nil, catalog.Service{}, err
	}
	service, ok := r.cfg.Catalog.Current().Service(rel.Service)
	if !ok {
		return nil, service, nightporter.E(nightporter.NotFound, "service %s is no longer in the configuration", rel.Service)
	}
	return rel, service, nil
}

func (r *Releases) deployer(kind string) (deploy.Deployer, error) {
	d := r.cfg.Deployers[kind]
	if d == nil {
		return nil, nightporter.E(nightporter.Invalid, "this server cannot deploy to %q", kind)
	}
	return d, nil
}

// key is a task's key without the spaces that step names have.
func key(t run.Task) string { return strings.ReplaceAll(t.Key(), " ", "-") }

func short(s string) string {
	s = strings.TrimPrefix(s, "sha256:")
	return s[:min(12, len(s))]
}
