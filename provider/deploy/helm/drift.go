package helm

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/action"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

// Drift implements [deploy.Auditor]: Helm's newest revision, and the images that
// the workloads have, against what was deployed here.
func (d *Deployer) Drift(ctx context.Context, service, environment string) ([]string, error) {
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
	last, err := at.last()
	if err != nil {
		return nil, err
	}
	e := b.current()
	switch {
	case e == nil && last == nil:
		return nil, nil
	case e == nil && len(b.Entries) == 0:
		return []string{fmt.Sprintf("helm has a release %s, and it was never deployed here", at.Release)}, nil
	case e == nil:
		return at.awake(ctx)
	case last == nil:
		return []string{fmt.Sprintf("helm has no release %s: somebody uninstalled it", at.Release)}, nil
	}
	var out []string
	if instanceOf(last) != e.Label {
		out = append(out, fmt.Sprintf("helm's revision %d (%s, %s) was not made here", last.Version, last.Info.Status, last.Info.LastDeployed.UTC().Format("2006-01-02 15:04 MST")))
	}
	objects, err := parse(strings.NewReader(last.Manifest))
	if err != nil {
		return nil, err
	}
	for _, o := range objects {
		more, err := at.differs(ctx, o)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// awake finds workloads that run although every start was ended.
func (s *site) awake(ctx context.Context) ([]string, error) {
	all, err := s.workloads(ctx)
	var out []string
	for _, w := range all {
		if w.wanted > 0 {
			out = append(out, fmt.Sprintf("%s/%s wants %d replicas although the service was stopped", w.kind, w.name, w.wanted))
		}
	}
	return out, err
}

// differs compares the images of a workload with what Helm holds.
func (s *site) differs(ctx context.Context, o map[string]any) ([]string, error) {
	template := podTemplate(o)
	if template == nil {
		return nil, nil
	}
	have, err := s.images(ctx, o)
	if err != nil {
		return nil, err
	}
	if have == nil {
		return []string{name(o) + " is not there any more"}, nil
	}
	var out []string
	containers, _ := dig(template, "spec")["containers"].([]any)
	for _, c := range containers {
		container, _ := c.(map[string]any)
		n, _ := container["name"].(string)
		if want, _ := container["image"].(string); have[n] != want {
			out = append(out, fmt.Sprintf("%s runs %q in %s, not %q", name(o), have[n], n, want))
		}
	}
	return out, nil
}

// Plan implements [deploy.Planner]. The cluster itself is asked whether it would
// take the objects; what they would change is compared with what Helm holds.
func (d *Deployer) Plan(ctx context.Context, r deploy.Request) ([]deploy.Change, error) {
	if err := validate(r); err != nil {
		return nil, err
	}
	at, err := d.at(r.Service, r.Environment)
	if err != nil {
		return nil, err
	}
	last, err := at.last()
	if err != nil {
		return nil, err
	}
	if last != nil && last.Info.Status.IsPending() {
		return nil, nightporter.E(nightporter.Conflict, "revision %d of %s is %s", last.Version, at.Release, last.Info.Status)
	}
	e := &entry{Label: labelOf(r.Key), Artifact: r.Artifact}
	planned, err := at.act(ctx, e, r.WithDefaults(), last, action.DryRunServer)
	if err != nil {
		return nil, at.fault(err, "helm")
	}
	before := map[string]map[string]any{}
	if last != nil {
		if before, err = byName(last.Manifest); err != nil {
			return nil, err
		}
	}
	after, err := byName(planned.Manifest)
	if err != nil {
		return nil, err
	}
	var out []deploy.Change
	for _, n := range slices.Sorted(maps.Keys(after)) {
		old, there := before[n]
		if !there {
			out = append(out, deploy.Change{Object: n, Verb: deploy.Create})
			continue
		}
		var fields []deploy.Field
		compare("", old, after[n], &fields)
		if len(fields) == 0 {
			continue
		}
		if strings.HasPrefix(n, "Secret/") {
			for i := range fields {
				fields[i].Before, fields[i].After = "", ""
			}
		}
		out = append(out, deploy.Change{Object: n, Verb: deploy.Update, Fields: fields})
	}
	for _, n := range slices.Sorted(maps.Keys(before)) {
		if _, stays := after[n]; !stays {
			out = append(out, deploy.Change{Object: n, Verb: deploy.Delete})
		}
	}
	return out, nil
}

func byName(manifest string) (map[string]map[string]any, error) {
	objects, err := parse(strings.NewReader(manifest))
	out := map[string]map[string]any{}
	for _, o := range objects {
		if template := podTemplate(o); template != nil {
			delete(dig(template, "metadata", "labels"), labelInstance) // another in each start
		}
		out[name(o)] = o
	}
	return out, err
}

// maxFields bounds what a plan shows of one object.
const maxFields = 50

// compare lists the values that differ.
func compare(path string, before, after any, out *[]deploy.Field) {
	if len(*out) >= maxFields || reflect.DeepEqual(before, after) {
		return
	}
	b, wasMap := before.(map[string]any)
	a, isMap := after.(map[string]any)
	if wasMap && isMap {
		keys := maps.Clone(b)
		maps.Copy(keys, a)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			compare(strings.TrimPrefix(path+"."+k, "."), b[k], a[k], out)
		}
		return
	}
	bl, wasList := before.([]any)
	al, isList := after.([]any)
	if wasList && isList && len(bl) == len(al) {
		for i := range bl {
			compare(fmt.Sprintf("%s[%d]", path, i), bl[i], al[i], out)
		}
		return
	}
	*out = append(*out, deploy.Field{Path: path, Before: show(before), After: show(after)})
}

func show(v any) string {
	if v == nil {
		return ""
	}
	return clip(fmt.Sprint(v))
}
