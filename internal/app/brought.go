package app

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/internal/catalog"
	"nightporter.dev/nightporter/internal/config"
	"nightporter.dev/nightporter/internal/store"
	"nightporter.dev/nightporter/metrics"
	"nightporter.dev/nightporter/metrics/dashboards"
	"nightporter.dev/nightporter/provider/notify"
)

// maxBrought bounds a dashboard or a file of rules in a repository.
const maxBrought = 4 << 20

// bring takes the dashboards and rules that a repository lists over into the
// workspaces of its services, whenever it has a new version. What is wrong with
// one is the owner's to mend, and keeps nothing else up.
func (a *App) bring(ctx context.Context, e nightporter.VersionCut) error {
	services := a.catalog.Current().ServicesOf(e.Repo)
	if len(services) == 0 {
		return nil
	}
	dir, done, err := a.providers.Source.Checkout(ctx, e.Repo, e.Commit)
	if err != nil {
		return err
	}
	defer done()
	root, err := os.OpenRoot(dir) // a link must not lead out of the checkout
	if err != nil {
		return fmt.Errorf("open the checkout of %s: %w", e.Repo, err)
	}
	defer func() { _ = root.Close() }() // only read from
	for _, service := range services {
		if text, err := readIn(root, config.RepoFileName); err == nil {
			file, err := config.ParseRepoFile(text, config.RepoFileName)
			if err != nil {
				return nil // the build says so, to whoever merged it
			}
			service = file.Apply(service)
		}
		for _, name := range append(service.Dashboards, service.Rules...) {
			err := a.bringFile(ctx, root, service, name)
			switch nightporter.CodeOf(err) {
			case "":
			case nightporter.Internal, nightporter.Unavailable:
				return err
			default:
				if err := a.Tell(ctx, catalog.Owner, notify.Message{
					Key:   "brought/" + service.Name + "/" + e.Commit + "/" + name,
					Title: fmt.Sprintf("%s of %s %s was not taken over", name, service.Name, e.Version), Text: nightporter.MessageOf(err),
					URL: a.page("/dashboards"), Severity: notify.Problem, Service: service.Name, At: a.clock.Now(),
				}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// bringFile takes one file over: a dashboard when it is JSON, rules otherwise. What
// is there already is not written again.
func (a *App) bringFile(ctx context.Context, root *os.Root, service catalog.Service, name string) error {
	text, err := readIn(root, name)
	if err != nil {
		return err
	}
	workspace := a.modules.metrics.WorkspaceOf(service.Name, service.Owner)
	stem := service.Name
	if base := strings.TrimSuffix(path.Base(name), path.Ext(name)); base != service.Name {
		stem += "-" + base
	}
	if path.Ext(name) != ".json" {
		stem = strings.ToLower(stem)
		all, err := a.modules.metrics.Rules(ctx, workspace)
		if err != nil || slices.ContainsFunc(all, func(f metrics.RuleFile) bool { return f.Name == stem && f.Text == string(text) }) {
			return err
		}
		_, err = a.modules.metrics.SaveRules(ctx, workspace, stem, string(text))
		return err
	}
	var there []byte
	err = a.db.View(ctx, func(tx *store.Tx) (err error) {
		there, err = a.modules.dashboards.Export(ctx, tx, workspace, stem, 0)
		return err
	})
	if err != nil && nightporter.CodeOf(err) != nightporter.NotFound || err == nil && bytes.Equal(there, text) {
		return err
	}
	_, err = a.modules.dashboards.Save(ctx, workspace, text, dashboards.Import{UID: stem, Replace: err == nil})
	return err
}

// readIn reads a file of a checkout. One that is not there is the owner's mistake.
func readIn(root *os.Root, name string) ([]byte, error) {
	f, err := root.Open(name)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.NotFound, "the repository has no file %s", name)
	}
	defer func() { _ = f.Close() }() // only read from
	text, err := io.ReadAll(io.LimitReader(f, maxBrought+1))
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "%s cannot be read", name)
	}
	if len(text) > maxBrought {
		return nil, nightporter.E(nightporter.Invalid, "%s is larger than %d MiB", name, maxBrought>>20)
	}
	return text, nil
}
