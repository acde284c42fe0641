package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/charts"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/provider/deploy"
)

// Kubernetes makes what talks to a cluster. cmd/nightporter hands it over: most
// tests, and whoever deploys without Kubernetes, use a binary without it, which is
// half as large and built in a fraction of the time.
type Kubernetes struct {
	Helm func(HelmOptions) (deploy.Deployer, error)
}

// HelmOptions are what a deployer that uses Helm needs to know.
type HelmOptions struct {
	// Cluster says which cluster an environment's services run in.
	Cluster func(environment string) (ClusterAccess, error)
	// Place says in which namespace a service's release is, and its name.
	Place func(service, environment string) (namespace, release string)
	Log   *slog.Logger
}

// ClusterAccess says how to connect to a cluster. It is comparable.
type ClusterAccess struct {
	Kubeconfig, Context, UserAgent string
}

// withoutKubernetes is what validate and the log say of a configuration that needs
// what this binary does not have.
const withoutKubernetes = "this binary was built without Kubernetes (with the tag nokube): it has no %s of the kind %q"

// makeHelm makes the deployer for clusters. The configuration is asked at each use:
// it may be read again.
func (a *App) makeHelm(p *Providers) error {
	if a.opts.Kubernetes == nil {
		a.log.Warn(fmt.Sprintf(withoutKubernetes, "deploy target", "helm"))
		return nil
	}
	d, err := a.opts.Kubernetes.Helm(HelmOptions{
		Log: a.log.With("part", "helm"),
		Cluster: func(environment string) (ClusterAccess, error) {
			e, ok := a.config.Load().Environments[environment]
			if !ok {
				return ClusterAccess{}, nightporter.E(nightporter.NotFound, "there is no environment %s", environment)
			}
			access := ClusterAccess{UserAgent: "nightporter/" + a.opts.Version}
			if c := e.Cluster; c != nil {
				access.Kubeconfig, access.Context = string(c.Kubeconfig), c.Context
			}
			return access, nil
		},
		Place: func(service, environment string) (namespace, release string) {
			return place(a.config.Load(), service, environment)
		},
	})
	if err != nil {
		return err
	}
	p.Deployers["helm"] = d
	return nil
}

// place is what the service says, else its environment's cluster, else their names.
func place(cfg *config.Config, service, environment string) (namespace, release string) {
	namespace, release = environment, service
	if c := cfg.Environments[environment].Cluster; c != nil && c.Namespace != "" {
		namespace = c.Namespace
	}
	for _, s := range cfg.Services {
		if s.Name == service {
			namespace, release = cmp.Or(s.Deploy.Namespace, namespace), cmp.Or(s.Deploy.Release, release)
		}
	}
	fill := strings.NewReplacer("{environment}", environment)
	return fill.Replace(namespace), fill.Replace(release)
}

// checkouts gives the files of a repository, as a mirror does.
type checkouts interface {
	CheckoutAt(ctx context.Context, repo nightporter.Repo, rev string) (dir, commit string, done func(), err error)
}

// chartbox finds charts: the one that is built in, and those in repositories of the
// forges.
type chartbox struct {
	source checkouts // nil where there is no forge
	base   func() (*deploy.Chart, error)
}

func newChartbox(source checkouts) chartbox {
	return chartbox{source: source, base: sync.OnceValues(func() (*deploy.Chart, error) {
		archive, err := charts.Base()
		return &deploy.Chart{Archive: archive}, err
	})}
}

const builtin = "builtin:"

// Chart implements what releases needs. A version is always named, but for the
// chart that is built in: whoever deploys must know what.
func (b chartbox) Chart(ctx context.Context, ref, version string) (*deploy.Chart, error) {
	if name, ok := strings.CutPrefix(ref, builtin); ok {
		if name != "base" {
			return nil, nightporter.E(nightporter.Invalid, "there is no built-in chart %q", name).WithHint("there is %sbase", builtin)
		}
		c, err := b.base()
		if err != nil {
			return nil, err
		}
		files, err := fs.Sub(charts.Files(), "base")
		if err != nil {
			return nil, err
		}
		return described(files, c.Archive, ref, version)
	}
	if strings.Contains(ref, "://") {
		return nil, nightporter.E(nightporter.Invalid, "charts from registries are not fetched yet: %s", ref).
			WithHint("keep the chart in a repository of the forge (chart: github/charts/NAME), or use %sbase", builtin)
	}
	parts := strings.SplitN(strings.Trim(ref, "/"), "/", 3)
	if len(parts) < 2 || b.source == nil {
		return nil, nightporter.E(nightporter.Invalid, "%q is no chart in a repository", ref).WithHint("write FORGE/REPOSITORY/FOLDER, or %sbase", builtin)
	}
	if version == "" {
		return nil, nightporter.E(nightporter.Invalid, "no version of the chart %s is named: every environment must get the same", ref).
			WithHint("add chart_version, which is a tag of its repository")
	}
	repo, err := nightporter.ParseRepo(parts[0] + "/" + parts[1])
	if err != nil {
		return nil, err
	}
	folder := "."
	if len(parts) == 3 {
		folder = path.Clean(parts[2])
	}
	dir, done, err := b.tagged(ctx, repo, folder, version)
	if err != nil {
		return nil, err
	}
	defer done()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open the checkout of %s: %w", repo, err)
	}
	defer root.Close()
	if info, err := root.Stat(folder); err != nil || !info.IsDir() {
		return nil, nightporter.E(nightporter.NotFound, "%s has no folder %s at that version", repo, folder)
	}
	files, err := fs.Sub(root.FS(), folder)
	if err != nil {
		return nil, err
	}
	archive, err := charts.Pack(files, ".")
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the chart %s cannot be packaged", ref)
	}
	return described(files, archive, ref, version)
}

// tagged checks out the tag of a chart's version, as chart-releaser or people name
// it.
func (b chartbox) tagged(ctx context.Context, repo nightporter.Repo, folder, version string) (string, func(), error) {
	names := []string{"v" + version, version}
	if folder != "." {
		names = append([]string{path.Base(folder) + "-" + version}, names...)
	}
	for _, name := range names {
		dir, _, done, err := b.source.CheckoutAt(ctx, repo, "refs/tags/"+name)
		if nightporter.CodeOf(err) != nightporter.NotFound {
			return dir, done, err
		}
	}
	return "", nil, nightporter.E(nightporter.NotFound, "%s has no tag %s", repo, strings.Join(names, ", "))
}

// described reads what a chart says about itself, and holds it against what was
// asked for.
func described(files fs.FS, archive []byte, ref, version string) (*deploy.Chart, error) {
	text, err := fs.ReadFile(files, "Chart.yaml")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nightporter.E(nightporter.Invalid, "%s is no chart: it has no Chart.yaml", ref)
	}
	if err != nil {
		return nil, err
	}
	var about struct {
		Name    string `yaml:"name"`
		Version string `yaml:"version"`
	}
	if err := yaml.Unmarshal(text, &about); err != nil {
		return nil, nightporter.E(nightporter.Invalid, "the Chart.yaml of %s cannot be read", ref)
	}
	if version != "" && about.Version != version {
		return nil, nightporter.E(nightporter.Invalid, "the chart %s says that it is version %s, not %s", ref, about.Version, version)
	}
	c := &deploy.Chart{Archive: archive, Name: about.Name, Version: about.Version}
	return c, c.Validate()
}
