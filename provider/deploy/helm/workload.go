package helm

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"nightporter.dev/nightporter"
)

// workload is what a Deployment, StatefulSet or DaemonSet says about itself.
type workload struct {
	kind, name  string
	annotations map[string]string
	seen        bool // its controller has seen the latest change
	wanted      int32
	updated     int32
	ready       int32
	failed      string
}

func (w *workload) done() bool { return w.seen && w.updated >= w.wanted && w.ready >= w.wanted }

// workload reads one as it is now; nil when it is not there.
func (s *site) workload(ctx context.Context, o map[string]any) (*workload, error) {
	id := dig(o, "metadata")
	n, _ := id["name"].(string)
	var w *workload
	var err error
	switch o["kind"] {
	case "Deployment":
		var d *appsv1.Deployment
		if d, err = s.Client.AppsV1().Deployments(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			w = &workload{
				annotations: d.Annotations, seen: d.Status.ObservedGeneration >= d.Generation, wanted: orOne(d.Spec.Replicas),
				updated: d.Status.UpdatedReplicas, ready: d.Status.AvailableReplicas,
			}
			// Available may still count old pods while new ones come up.
			w.ready -= max(0, d.Status.Replicas-d.Status.UpdatedReplicas)
			for _, c := range d.Status.Conditions {
				if c.Type == appsv1.DeploymentProgressing && c.Reason == "ProgressDeadlineExceeded" && w.seen {
					w.failed = "no progress within its deadline"
				}
				if c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue {
					w.failed = clip(c.Message)
				}
			}
		}
	case "StatefulSet":
		var d *appsv1.StatefulSet
		if d, err = s.Client.AppsV1().StatefulSets(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			w = &workload{
				annotations: d.Annotations, seen: d.Status.ObservedGeneration >= d.Generation, wanted: orOne(d.Spec.Replicas),
				updated: d.Status.UpdatedReplicas, ready: d.Status.AvailableReplicas,
			}
		}
	case "DaemonSet":
		var d *appsv1.DaemonSet
		if d, err = s.Client.AppsV1().DaemonSets(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			w = &workload{
				annotations: d.Annotations, seen: d.Status.ObservedGeneration >= d.Generation, wanted: d.Status.DesiredNumberScheduled,
				updated: d.Status.UpdatedNumberScheduled, ready: d.Status.NumberAvailable,
			}
		}
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.fault(err, "read %s", name(o))
	}
	w.kind, w.name, w.ready = fmt.Sprint(o["kind"]), n, max(0, w.ready)
	return w, nil
}

func orOne(n *int32) int32 {
	if n == nil {
		return 1 // the API's own default
	}
	return *n
}

// workloads reads all of the release that are there.
func (s *site) workloads(ctx context.Context) ([]*workload, error) {
	last, err := s.last()
	if err != nil || last == nil {
		return nil, err
	}
	objects, err := parse(strings.NewReader(last.Manifest))
	if err != nil {
		return nil, err
	}
	var out []*workload
	for _, o := range objects {
		if podTemplate(o) == nil {
			continue
		}
		w, err := s.workload(ctx, o)
		if err != nil {
			return nil, err
		}
		if w != nil {
			out = append(out, w)
		}
	}
	return out, nil
}

// sleep scales every workload to zero. How many it had is written on it first.
func (s *site) sleep(ctx context.Context) error {
	all, err := s.workloads(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		if w.kind == "DaemonSet" {
			return nightporter.E(nightporter.Invalid, "DaemonSet/%s cannot be put to sleep: it has no replicas", w.name).
				WithHint("leave it out of the service's chart, or the service out of the environments that sleep")
		}
		if w.wanted == 0 {
			continue
		}
		if err := s.remember(ctx, w, strconv.Itoa(int(w.wanted))); err != nil {
			return err
		}
		if err := s.scale(ctx, w, 0); err != nil {
			return err
		}
	}
	return nil
}

// wake brings back what a chart does not: replicas that it leaves to an autoscaler,
// which does nothing while they are 0.
func (s *site) wake(ctx context.Context) error {
	all, err := s.workloads(ctx)
	if err != nil {
		return err
	}
	for _, w := range all {
		had, ok := w.annotations[annotationReplicas]
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(had, 10, 32)
		if w.wanted == 0 && err == nil && n > 0 {
			if err := s.scale(ctx, w, int32(n)); err != nil {
				return err
			}
		}
		if err := s.remember(ctx, w, ""); err != nil {
			return err
		}
	}
	return nil
}

// remember writes how many replicas a workload has when awake; "" forgets it.
func (s *site) remember(ctx context.Context, w *workload, replicas string) error {
	var value any
	if replicas != "" {
		value = replicas
	}
	return s.patch(ctx, w, map[string]any{"metadata": map[string]any{"annotations": map[string]any{annotationReplicas: value}}})
}

// scale goes through the scale subresource, as an autoscaler does: the field stays
// Helm's.
func (s *site) scale(ctx context.Context, w *workload, n int32) error {
	return s.patch(ctx, w, map[string]any{"spec": map[string]any{"replicas": n}}, "scale")
}

func (s *site) patch(ctx context.Context, w *workload, change map[string]any, subresource ...string) error {
	text, err := json.Marshal(change)
	if err != nil {
		return err
	}
	o := metav1.PatchOptions{FieldManager: ownManager}
	switch w.kind {
	case "Deployment":
		_, err = s.Client.AppsV1().Deployments(s.Namespace).Patch(ctx, w.name, types.MergePatchType, text, o, subresource...)
	case "StatefulSet":
		_, err = s.Client.AppsV1().StatefulSets(s.Namespace).Patch(ctx, w.name, types.MergePatchType, text, o, subresource...)
	}
	if err != nil {
		return s.fault(err, "change %s/%s", w.kind, w.name)
	}
	return nil
}

// images are those of a workload's containers as they are now; nil when it is not
// there.
func (s *site) images(ctx context.Context, o map[string]any) (map[string]string, error) {
	n, _ := dig(o, "metadata")["name"].(string)
	var spec corev1.PodSpec
	var err error
	switch o["kind"] {
	case "Deployment":
		var d *appsv1.Deployment
		if d, err = s.Client.AppsV1().Deployments(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			spec = d.Spec.Template.Spec
		}
	case "StatefulSet":
		var d *appsv1.StatefulSet
		if d, err = s.Client.AppsV1().StatefulSets(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			spec = d.Spec.Template.Spec
		}
	case "DaemonSet":
		var d *appsv1.DaemonSet
		if d, err = s.Client.AppsV1().DaemonSets(s.Namespace).Get(ctx, n, metav1.GetOptions{}); err == nil {
			spec = d.Spec.Template.Spec
		}
	}
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, s.fault(err, "read %s", name(o))
	}
	out := map[string]string{}
	for _, c := range spec.Containers {
		out[c.Name] = c.Image
	}
	return out, nil
}
