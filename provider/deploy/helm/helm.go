// Package helm deploys services to Kubernetes with Helm, as a library: no helm
// program is called, and one that a person calls finds the same releases.
//
// A deployment is an install or upgrade that waits for nothing. Whether it is good
// is what [Deployer.Observe] sees in the cluster's own objects, and going back is
// a step of its own:
//
//	Start    install or upgrade; Kubernetes brings new pods up beside the old ones
//	Observe  the rollout, the pods, and what the service answers about its version
//	Switch   the new one counts from now on; done when no old pod is left
//	Discard  roll back to the revision before, or uninstall where there was none
//
// Kubernetes sends requests to a new pod as soon as it is ready, before Switch: an
// image that never becomes ready never gets one, but a version that is ready and
// wrong has had some by the time it is found.
//
// What is known of a deployment is kept beside it, in a ConfigMap: every key with
// its version, its revision and its part. It is written before Helm acts. So a
// release that a dead process left pending is recognised as ours and healed, and
// one that somebody else's helm is working on is left alone.
//
// Every pod carries three labels that say which deployment it is of. They are put
// on after the chart was rendered, so that any chart will do.
package helm

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"helm.sh/helm/v4/pkg/kube"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Place is where a service's release is.
type Place struct {
	Namespace string
	Release   string
}

// Config makes a [Deployer].
type Config struct {
	// Open connects to the cluster of an environment. Required; [Kubeconfig]
	// makes one. It is asked again and again: it should remember.
	Open func(environment string) (*Cluster, error)
	// Place says where a service's release is. nil means a namespace called as
	// the environment and a release called as the service.
	Place func(service, environment string) Place
	// Log gets what Helm has to say to operators. nil means nothing.
	Log *slog.Logger
	// Now tells the time. nil means time.Now.
	Now func() time.Time
	// Lease is how long an operation of another process is believed to be
	// under way. 0 means 2 min: an operation that waits for nothing takes
	// seconds, and each of its requests 30 s at most.
	Lease time.Duration
}

// Deployer deploys with Helm. Its methods may be called by many goroutines.
type Deployer struct {
	cfg    Config
	worker string // this process, in the records of what is under way

	mu    sync.Mutex
	locks map[string]*sync.Mutex // one operation a release
}

var (
	_ deploy.Deployer = (*Deployer)(nil)
	_ deploy.Planner  = (*Deployer)(nil)
	_ deploy.Auditor  = (*Deployer)(nil)
)

// fieldManager owns what Helm applies. It is what the helm program calls itself:
// a person and Nightporter can then take turns with a release, where two managers
// would be in conflict about each field.
const fieldManager = "helm"

var setFieldManager = sync.OnceFunc(func() { kube.ManagedFieldsManager = fieldManager })

// New makes a deployer. It connects to nothing yet.
func New(cfg Config) (*Deployer, error) {
	if cfg.Open == nil {
		return nil, errors.New("helm: Open is required")
	}
	if cfg.Place == nil {
		cfg.Place = func(service, environment string) Place { return Place{Namespace: environment, Release: service} }
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Lease == 0 {
		cfg.Lease = 2 * time.Minute
	}
	setFieldManager()
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails, crypto/rand
	return &Deployer{cfg: cfg, worker: hex.EncodeToString(id), locks: map[string]*sync.Mutex{}}, nil
}

// Start implements [deploy.Deployer].
func (d *Deployer) Start(ctx context.Context, r deploy.Request) (deploy.Token, error) {
	if err := validate(r); err != nil {
		return "", err
	}
	r = r.WithDefaults()
	at, err := d.at(r.Service, r.Environment)
	if err != nil {
		return "", err
	}
	defer d.lock(at)()
	b, err := at.book(ctx)
	if err != nil {
		return "", err
	}
	e := b.byKey(r.Key)
	switch {
	case e == nil:
		if err := d.free(b); err != nil {
			return "", err
		}
		e = b.add(r, d.cfg.Now())
		before, err := at.deployed()
		if err != nil {
			return "", err
		}
		e.Before = before
	case !e.sameAs(r):
		return "", nightporter.E(nightporter.Conflict, "the key %s already started something else", r.Key)
	case e.Revision != 0 || e.Refused != "" || e.Role != deploy.Candidate:
		return at.token(e.Label), nil
	default: // begun, and nobody knows how far it came
		if err := d.free(b); err != nil {
			return "", err
		}
	}
	if err := d.begin(ctx, at, b); err != nil {
		return "", err
	}
	revision, err := d.apply(ctx, at, b, e, r)
	switch {
	case err == nil:
		e.Revision = revision
	case nightporter.CodeOf(err) == nightporter.Invalid:
		// It can never work. What of it is there is for Discard to remove.
		e.Refused, e.Revision = clip(nightporter.MessageOf(err)), revision
	default:
		return "", errors.Join(err, d.end(ctx, at, b))
	}
	if err := d.end(ctx, at, b); err != nil {
		return "", err
	}
	return at.token(e.Label), nil
}

// validate checks what this provider needs of a request.
func validate(r deploy.Request) error {
	if err := r.Validate(); err != nil {
		return err
	}
	if err := r.Chart.Validate(); err != nil {
		return err
	}
	if repository, tag, digest := r.Artifact.Image(); repository == "" || tag == "" && digest == "" {
		return nightporter.E(nightporter.Invalid, "%q is no image with a tag or a digest", r.Artifact).
			WithHint("write artifact: {image: \"registry.acme.test/%s:{version}\"}", r.Service)
	}
	if len(r.Env) > 0 {
		return nightporter.E(nightporter.Invalid, "%s is deployed by helm, which keeps everything it is given: variables belong in its values file", r.Service)
	}
	return nil
}

// Switch implements [deploy.Deployer].
func (d *Deployer) Switch(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	at, label, err := d.parse(t)
	if err != nil {
		return "", err
	}
	defer d.lock(at)()
	b, e, err := at.entry(ctx, t, label)
	if err != nil {
		return "", err
	}
	switch e.Role {
	case deploy.Candidate:
		o, err := d.look(ctx, at, b, e)
		if err != nil {
			return "", err
		}
		if o.State != deploy.Healthy {
			return "", nightporter.E(nightporter.Conflict, "%s is not healthy and cannot serve: %s", e.Key, o.Message)
		}
		e.Role, e.Healthy = deploy.Serving, true
	case deploy.Draining, deploy.Ended:
		return "", nightporter.E(nightporter.Conflict, "%s was ended and cannot serve", e.Key)
	}
	for _, older := range b.Entries {
		if older == e {
			break
		}
		if older.Role != deploy.Ended {
			older.Role = deploy.Draining
		}
	}
	if err := at.save(ctx, b); err != nil {
		return "", err
	}
	return at.drained(ctx, b)
}

// Discard implements [deploy.Deployer].
func (d *Deployer) Discard(ctx context.Context, t deploy.Token) (deploy.Progress, error) {
	at, label, err := d.parse(t)
	if err != nil {
		return "", err
	}
	defer d.lock(at)()
	b, e, err := at.entry(ctx, t, label)
	if err != nil {
		return "", err
	}
	switch e.Role {
	case deploy.Serving:
		return "", nightporter.E(nightporter.Conflict, "%s serves and cannot be discarded", e.Key)
	case deploy.Ended:
		return deploy.Done, nil
	}
	if err := d.free(b); err != nil {
		return "", err
	}
	e.Role = deploy.Draining
	if err := d.begin(ctx, at, b); err != nil {
		return "", err
	}
	if err := d.goBack(ctx, at, b, e); err != nil {
		return "", errors.Join(err, d.end(ctx, at, b))
	}
	if err := d.end(ctx, at, b); err != nil {
		return "", err
	}
	return at.drained(ctx, b)
}

// Running implements [deploy.Deployer].
func (d *Deployer) Running(ctx context.Context, service, environment string) ([]deploy.Instance, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	at, err := d.at(service, environment)
	if err != nil {
		return nil, err
	}
	b, err := at.book(ctx)
	if err != nil {
		return nil, err
	}
	var out []deploy.Instance
	for _, e := range b.Entries {
		if e.Role == deploy.Ended {
			continue
		}
		i := deploy.Instance{
			Token: at.token(e.Label), Key: e.Key, Version: e.Version, Commit: e.Commit, Artifact: e.Artifact,
			StartedAt: e.StartedAt, Role: e.Role, State: deploy.Starting,
		}
		if e.Healthy {
			i.State = deploy.Healthy
		}
		if e.Role == deploy.Serving && b.current() == e {
			there, err := at.anything(ctx, e)
			if err != nil {
				return nil, err
			}
			if !there {
				i.State = deploy.Gone
			}
		}
		out = append(out, i)
	}
	return out, nil
}

// Stop implements [deploy.Deployer]. It puts every workload to sleep and leaves
// the release: the service's address, its volumes and its history stay for the
// next start.
func (d *Deployer) Stop(ctx context.Context, service, environment string) (deploy.Progress, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return "", err
	}
	at, err := d.at(service, environment)
	if err != nil {
		return "", err
	}
	defer d.lock(at)()
	b, err := at.book(ctx)
	if err != nil || len(b.Entries) == 0 {
		return deploy.Done, err
	}
	if err := d.free(b); err != nil {
		return "", err
	}
	alive := false
	for _, e := range b.Entries {
		if e.Role != deploy.Ended {
			e.Role, alive = deploy.Draining, true
		}
	}
	if !alive {
		return deploy.Done, nil
	}
	if err := at.save(ctx, b); err != nil {
		return "", err
	}
	if err := at.sleep(ctx); err != nil {
		return "", err
	}
	return at.drained(ctx, b)
}

// Logs implements [deploy.Deployer].
func (d *Deployer) Logs(ctx context.Context, service, environment string, n int) ([]string, error) {
	if err := deploy.ValidateNames(service, environment); err != nil {
		return nil, err
	}
	at, err := d.at(service, environment)
	if err != nil {
		return nil, err
	}
	b, err := at.book(ctx)
	if err != nil {
		return nil, err
	}
	var chosen *entry
	for _, e := range b.Entries {
		if chosen == nil || chosen.Role != deploy.Serving {
			chosen = e
		}
	}
	if chosen == nil || n <= 0 {
		return nil, nil
	}
	pods, err := at.pods(ctx, chosen.Label)
	if err != nil {
		return nil, err
	}
	return at.lastWords(ctx, pods, n), nil
}

// at finds the release of a service in an environment.
func (d *Deployer) at(service, environment string) (*site, error) {
	p := d.cfg.Place(service, environment)
	return d.site(environment, p)
}

func (d *Deployer) site(environment string, p Place) (*site, error) {
	if err := p.validate(); err != nil {
		return nil, err
	}
	c, err := d.cfg.Open(environment)
	if err != nil {
		return nil, err
	}
	return &site{Cluster: c, Place: p, environment: environment, log: d.cfg.Log}, nil
}

// lock lets one operation at a release. Two environments may share a cluster, but
// not a place in it.
func (d *Deployer) lock(at *site) (unlock func()) {
	d.mu.Lock()
	name := at.environment + "/" + at.Namespace + "/" + at.Release
	l := d.locks[name]
	if l == nil {
		l = &sync.Mutex{}
		d.locks[name] = l
	}
	d.mu.Unlock()
	l.Lock()
	return l.Unlock
}

const tokenPrefix = "helm:"

func (s *site) token(label string) deploy.Token {
	return deploy.Token(tokenPrefix + strings.Join([]string{s.environment, s.Namespace, s.Release, label}, "/"))
}

// parse finds out what a token names.
func (d *Deployer) parse(t deploy.Token) (*site, string, error) {
	text, ok := strings.CutPrefix(string(t), tokenPrefix)
	parts := strings.Split(text, "/")
	if !ok || len(parts) != 4 || !isLabel(parts[3]) || deploy.ValidateNames(parts[0], parts[0]) != nil {
		return nil, "", noInstance(t)
	}
	at, err := d.site(parts[0], Place{Namespace: parts[1], Release: parts[2]})
	if err != nil {
		return nil, "", err
	}
	return at, parts[3], nil
}

func noInstance(t deploy.Token) error {
	return nightporter.E(nightporter.NotFound, "no instance is called %s", t)
}

// validate refuses names that Kubernetes or Helm would.
func (p Place) validate() error {
	if len(p.Namespace) == 0 || len(p.Namespace) > 63 || strings.Trim(p.Namespace, nameBytes) != "" || strings.HasPrefix(p.Namespace, "-") || strings.HasSuffix(p.Namespace, "-") {
		return nightporter.E(nightporter.Invalid, "%q cannot name a namespace", p.Namespace).
			WithHint("write `namespace` under the environment's cluster or the service's deploy: letters, digits and hyphens, at most 63")
	}
	if len(p.Release) == 0 || len(p.Release) > maxRelease || strings.Trim(p.Release, nameBytes) != "" || strings.HasPrefix(p.Release, "-") || strings.HasSuffix(p.Release, "-") {
		return nightporter.E(nightporter.Invalid, "%q cannot name a release", p.Release).
			WithHint("write `release` under the service's deploy: letters, digits and hyphens, at most %d", maxRelease)
	}
	return nil
}

const (
	nameBytes  = "abcdefghijklmnopqrstuvwxyz0123456789-"
	maxRelease = 53 // helm: 63 less what charts put after it
)

// free refuses to begin while another process is at it. After the lease that one
// counts as dead.
func (d *Deployer) free(b *book) error {
	if o := b.Operation; o != nil && o.Worker != d.worker && d.cfg.Now().Before(o.Until) {
		return nightporter.E(nightporter.Unavailable, "another process of Nightporter is at %s until %s", b.at.Release, o.Until.UTC().Format(time.RFC3339))
	}
	return nil
}

// begin notes that an operation is under way, and whose it is.
func (d *Deployer) begin(ctx context.Context, at *site, b *book) error {
	b.Operation = &operation{Worker: d.worker, Until: d.cfg.Now().Add(d.cfg.Lease).UTC()}
	return at.save(ctx, b)
}

// end notes that it is over. It is written also when the caller has gone.
func (d *Deployer) end(ctx context.Context, at *site, b *book) error {
	b.Operation = nil
	if err := at.save(context.WithoutCancel(ctx), b); err != nil {
		return fmt.Errorf("note how the operation ended: %w", err)
	}
	return nil
}

// clip bounds a message that comes from outside.
func clip(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	const most = 500
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "") + " …"
	}
	return s
}

func lastLines(lines []string, n int) []string {
	return slices.Clone(lines[max(0, len(lines)-n):])
}
