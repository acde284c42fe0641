package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"helm.sh/helm/v4/pkg/action"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	"helm.sh/helm/v4/pkg/storage/driver"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

const (
	// labelRevision is on a release record that we made. Helm hands labels on to
	// the next revision, whoever makes it, so it names the one it was meant for.
	labelRevision = "nightporter.dev/revision"
	// goesBack begins the description of a rollback of ours.
	goesBack = "Nightporter went back to revision "
	// maxHistory is how many revisions Helm keeps.
	maxHistory = 20
)

// last reads the newest revision of the release; nil where there is none.
func (s *site) last() (*release.Release, error) {
	found, err := s.helm().Releases.Last(s.Release)
	if errors.Is(err, driver.ErrReleaseNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, s.fault(err, "read the release %s", s.Release)
	}
	return asRelease(found)
}

func asRelease(found any) (*release.Release, error) {
	switch r := found.(type) {
	case *release.Release:
		return r, nil
	case release.Release:
		return &r, nil
	}
	return nil, fmt.Errorf("helm answers with a %T", found)
}

// deployed is the revision that Helm calls deployed, 0 where there is none.
func (s *site) deployed() (int, error) {
	found, err := s.helm().Releases.Deployed(s.Release)
	if errors.Is(err, driver.ErrNoDeployedReleases) || errors.Is(err, driver.ErrReleaseNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, s.fault(err, "read the release %s", s.Release)
	}
	r, err := asRelease(found)
	if err != nil {
		return 0, err
	}
	return r.Version, nil
}

// instanceOf is the label of the start that made a revision, "" for one that was
// not made by us.
func instanceOf(r *release.Release) string {
	if r == nil || r.Labels[labelRevision] != strconv.Itoa(r.Version) && !strings.HasPrefix(r.Info.Description, goesBack) {
		return ""
	}
	return r.Labels[labelInstance]
}

// heal puts a release right that a dead process of ours left half done. Helm itself
// would refuse to touch it for ever. It says what it did, "" for nothing.
func (s *site) heal(b *book) (string, error) {
	last, err := s.last()
	if err != nil || last == nil || !last.Info.Status.IsPending() {
		return "", err
	}
	if b.byLabel(instanceOf(last)) == nil {
		return "", nightporter.E(nightporter.Unavailable, "somebody's helm is at %s: revision %d is %s since %s", s.Release, last.Version, last.Info.Status, last.Info.LastDeployed.UTC().Format("2006-01-02 15:04 MST")).
			WithHint("if that helm is dead: helm rollback %s -n %s", s.Release, s.Namespace)
	}
	said := fmt.Sprintf("revision %d was left %s by a process that died", last.Version, last.Info.Status)
	last.SetStatus(common.StatusFailed, "Nightporter: "+said)
	if err := s.helm().Releases.Update(last); err != nil {
		return "", s.fault(err, "heal the release %s", s.Release)
	}
	s.log.Warn("healed a release", "release", s.Release, "namespace", s.Namespace, "because", said)
	return said, nil
}

// apply installs or upgrades, and waits for nothing. It returns the revision that
// Helm made, also when it failed; 0 when it did not get as far.
func (d *Deployer) apply(ctx context.Context, s *site, b *book, e *entry, r deploy.Request) (revision int, err error) {
	if e.Healed, err = s.heal(b); err != nil {
		return 0, err
	}
	last, err := s.last()
	if err != nil {
		return 0, err
	}
	if instanceOf(last) == e.Label && last.Info.Status == common.StatusDeployed {
		return last.Version, s.wake(ctx) // all done, and only not noted
	}
	_, err = s.act(ctx, e, r, last, action.DryRunNone)
	if err != nil {
		made := 0
		if now, lookErr := s.last(); lookErr == nil && instanceOf(now) == e.Label {
			made = now.Version
		}
		return made, s.fault(err, "helm")
	}
	if last, err = s.last(); err != nil {
		return 0, err
	}
	return last.Version, s.wake(ctx)
}

// act runs Helm's install or upgrade.
func (s *site) act(ctx context.Context, e *entry, r deploy.Request, last *release.Release, dry action.DryRunStrategy) (*release.Release, error) {
	ch, err := loader.LoadArchive(bytes.NewReader(r.Chart.Archive))
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the chart cannot be read: %s", clip(err.Error()))
	}
	values, err := valuesFor(r, ch)
	if err != nil {
		return nil, err
	}
	labels := map[string]string{labelInstance: e.Label, labelRevision: "1"}
	marks := &marker{site: s, entry: e}
	// The caller may go while Helm is at it: Helm would go on in the background,
	// and we would believe it dead.
	ctx = context.WithoutCancel(ctx)
	var out any
	if last == nil {
		install := action.NewInstall(s.helm())
		install.ReleaseName, install.Namespace, install.Labels, install.PostRenderer = s.Release, s.Namespace, labels, marks
		install.WaitStrategy, install.DryRunStrategy, install.Timeout = kube.HookOnlyStrategy, dry, requestTimeout
		out, err = install.RunWithContext(ctx, ch, values)
	} else {
		labels[labelRevision] = strconv.Itoa(last.Version + 1)
		up := action.NewUpgrade(s.helm())
		up.Namespace, up.Labels, up.PostRenderer, up.MaxHistory = s.Namespace, labels, marks, maxHistory
		up.WaitStrategy, up.DryRunStrategy, up.Timeout, up.ResetValues = kube.HookOnlyStrategy, dry, requestTimeout, true
		out, err = up.RunWithContext(ctx, s.Release, ch, values)
	}
	if err != nil {
		if marks.refused != nil {
			return nil, marks.refused
		}
		return nil, err
	}
	return asRelease(out)
}

// goBack undoes a start that never served: to the revision before, or to nothing.
func (d *Deployer) goBack(ctx context.Context, s *site, b *book, e *entry) error {
	last, err := s.last()
	if err != nil || last == nil {
		return err
	}
	ours := instanceOf(last)
	pending := last.Info.Status.IsPending()
	if pending && b.byLabel(ours) == nil {
		_, err := s.heal(b) // says whose it is
		return err
	}
	if ours != e.Label && !pending {
		return nil // it never became a revision, or has been undone
	}
	serving := false
	for _, other := range b.Entries {
		serving = serving || other.Role == deploy.Serving
	}
	switch {
	case e.Before == 0:
		return s.uninstall()
	case !serving: // what was there before is asleep, and stays so
		return s.sleep(ctx)
	}
	back := action.NewRollback(s.helm())
	back.Version, back.WaitStrategy, back.Timeout, back.MaxHistory = e.Before, kube.HookOnlyStrategy, requestTimeout, maxHistory
	back.Description = goesBack + strconv.Itoa(e.Before)
	if err := back.Run(s.Release); err != nil {
		return s.fault(err, "roll %s back to revision %d", s.Release, e.Before)
	}
	return s.wake(ctx)
}

func (s *site) uninstall() error {
	un := action.NewUninstall(s.helm())
	un.WaitStrategy, un.IgnoreNotFound, un.DeletionPropagation, un.Timeout = kube.HookOnlyStrategy, true, "background", requestTimeout
	if _, err := un.Run(s.Release); err != nil {
		return s.fault(err, "uninstall %s", s.Release)
	}
	return nil
}

// credentialNames are what keys are called that hold secrets in the clear. Names
// of objects that hold them, such as secretName, are not among them.
var credentialNames = []string{"password", "passwd", "secret", "token", "apikey", "accesskey", "secretkey", "privatekey", "clientsecret", "credentials"}

// valuesFor makes the values: the repository's own, those for one environment, and
// what the pipeline decides.
func valuesFor(r deploy.Request, ch *chart.Chart) (map[string]any, error) {
	values, err := loader.LoadValues(bytes.NewReader(r.Chart.Values))
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the values file cannot be read: %s", clip(err.Error()))
	}
	if each, ok := values["environments"].(map[string]any); ok {
		delete(values, "environments")
		if own, ok := each[r.Environment].(map[string]any); ok {
			values = loader.MergeMaps(values, own)
		}
	}
	if path := credentialIn(values, ""); path != "" {
		return nil, nightporter.E(nightporter.Invalid, "%s in the values file holds a credential", path).
			WithHint("helm keeps values in the cluster for everybody to read: lend it with `credentials`, or name a Kubernetes secret")
	}
	repository, tag, digest := r.Artifact.Image()
	if _, plain := ch.Values["image"].(string); plain {
		values["image"] = string(r.Artifact)
	} else {
		image := map[string]any{"repository": repository, "tag": tag, "digest": digest}
		if _, known := in(ch.Values, "image")["digest"]; !known {
			delete(image, "digest")
			if digest != "" { // repository:tag is all that it knows, and a digest may stand where the tag does
				image["repository"], image["tag"] = repository+"@sha256", strings.TrimPrefix(digest, "sha256:")
			}
		}
		values["image"] = loader.MergeMaps(in(values, "image"), image)
	}
	// A chart that takes these says so by having them among its defaults.
	if _, known := ch.Values["environment"]; known {
		values["environment"] = r.Environment
	}
	if _, known := ch.Values["nightporter"]; known {
		own := map[string]any{
			"service": r.Service, "environment": r.Environment, "version": r.Version.String(), "commit": r.Commit,
			"health": r.Health.HTTP, "within": int(r.Health.Within.Seconds()), "drain": int(r.Drain.Seconds()),
		}
		if r.Credentials != nil {
			own["address"] = r.Credentials.Address
		}
		values["nightporter"] = loader.MergeMaps(in(values, "nightporter"), own)
	}
	return values, nil
}

func in(values map[string]any, key string) map[string]any {
	m, _ := values[key].(map[string]any)
	return m
}

// credentialIn finds a key that looks as if it held a secret.
func credentialIn(v any, path string) string {
	switch v := v.(type) {
	case map[string]any:
		for key, inner := range v {
			text, isText := inner.(string)
			if isText && text != "" && isCredentialName(key) {
				return strings.TrimPrefix(path+"."+key, ".")
			}
			if found := credentialIn(inner, path+"."+key); found != "" {
				return found
			}
		}
		// The variables of a container: {name: PASSWORD, value: …}.
		name, _ := v["name"].(string)
		if value, _ := v["value"].(string); value != "" && isCredentialName(name) {
			return strings.TrimPrefix(path+"."+name, ".")
		}
	case []any:
		for _, inner := range v {
			if found := credentialIn(inner, path); found != "" {
				return found
			}
		}
	}
	return ""
}

func isCredentialName(key string) bool {
	key = strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(key))
	for _, name := range credentialNames {
		if strings.HasSuffix(key, name) {
			return true
		}
	}
	return false
}
