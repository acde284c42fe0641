package helm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/kube"
	kubefake "helm.sh/helm/v4/pkg/kube/fake"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/cli-runtime/pkg/resource"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	restfake "k8s.io/client-go/rest/fake"
	clienttest "k8s.io/client-go/testing"

	"nightporter.dev/nightporter/charts"
	"nightporter.dev/nightporter/provider/deploy"
)

// cluster plays a cluster: Helm's fake client writes objects into client-go's fake
// API, and a controller of a few lines makes pods of Deployments. The end of an
// image's tag decides how its pods do. The real thing runs under test/kube.
type cluster struct {
	kubefake.PrintingKubeClient
	t      *testing.T
	api    *fake.Clientset
	mu     sync.Mutex
	puts   map[string]int // how often a Deployment was written, by the pods' label
	broken error          // what writing answers, when set
	die    func(o *unstructured.Unstructured)
	// stalled makes Deployments give up.
	stalled bool
}

// namespaces are those that there are.
var namespaces = []string{"dev", "preprod"}

// hand is Helm's client for one namespace.
type hand struct {
	*cluster
	namespace string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, api: fake.NewClientset(), puts: map[string]int{}}
	c.Out, c.LogOutput = io.Discard, io.Discard
	// Whoever asks about pods or Deployments sees them as they are by now.
	c.api.PrependReactor("*", "*", func(a clienttest.Action) (bool, runtime.Object, error) {
		switch {
		case a.GetSubresource() == "log":
			return true, &runtime.Unknown{Raw: c.log(a.GetNamespace())}, nil
		case a.GetSubresource() == "scale":
			return true, nil, c.scale(a.(clienttest.PatchAction))
		case a.GetResource().Resource == "configmaps" && (a.GetVerb() == "create" || a.GetVerb() == "update"):
			return c.guard(a.(clienttest.UpdateAction).GetObject().(*corev1.ConfigMap))
		case a.GetVerb() == "get" || a.GetVerb() == "list":
			c.reconcile()
		}
		return false, nil, nil
	})
	c.api.AddProxyReactor("pods", func(a clienttest.Action) (bool, rest.ResponseWrapper, error) {
		get := a.(clienttest.ProxyGetAction)
		o, err := c.api.Tracker().Get(corev1.SchemeGroupVersion.WithResource("pods"), get.GetNamespace(), get.GetName())
		if err != nil {
			return true, nil, err
		}
		version, fate, _ := strings.Cut(tagOf(o.(*corev1.Pod).Spec.Containers[0].Image), "-")
		if fate == "old" {
			version = "0.0.9"
		}
		return true, answer(fmt.Sprintf(`{"version":%q}`, version)), nil
	})
	return c
}

// guard numbers the versions of a ConfigMap and refuses a write on an old one, as
// the API does and its fake does not.
func (c *cluster) guard(m *corev1.ConfigMap) (bool, runtime.Object, error) {
	maps := corev1.SchemeGroupVersion.WithResource("configmaps")
	m = m.DeepCopy()
	before, err := c.api.Tracker().Get(maps, m.Namespace, m.Name)
	if err != nil {
		m.ResourceVersion = "1"
		return true, m, c.api.Tracker().Create(maps, m, m.Namespace)
	}
	n, _ := strconv.Atoi(before.(*corev1.ConfigMap).ResourceVersion)
	if m.ResourceVersion != strconv.Itoa(n) {
		return true, nil, apierrors.NewConflict(maps.GroupResource(), m.Name, errors.New("it was changed"))
	}
	m.ResourceVersion = strconv.Itoa(n + 1)
	return true, m, c.api.Tracker().Update(maps, m, m.Namespace)
}

// answer is what a pod says.
type answer string

func (a answer) DoRaw(context.Context) ([]byte, error) { return []byte(a), nil }
func (a answer) Stream(context.Context) (io.ReadCloser, error) {
	return io.NopCloser(strings.NewReader(string(a))), nil
}

func tagOf(image string) string { return image[strings.LastIndexByte(image, ':')+1:] }

// connect is what a Deployer connects with.
func (c *cluster) connect(environment string) (*Cluster, error) {
	can := common.DefaultCapabilities.Copy()
	can.KubeVersion = common.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
	return &Cluster{Client: c.api, Kube: hand{c, environment}, Capabilities: can}, nil
}

// Build implements Helm's client: a list of what a manifest holds.
func (c hand) Build(r io.Reader, _ bool) (kube.ResourceList, error) {
	objects, err := parse(r)
	if err != nil {
		return nil, err
	}
	var list kube.ResourceList
	for _, o := range objects {
		u := &unstructured.Unstructured{Object: o}
		resourceOf, _ := meta.UnsafeGuessKindToResource(u.GroupVersionKind())
		if u.GetNamespace() == "" {
			u.SetNamespace(c.namespace)
		}
		list = append(list, &resource.Info{
			Client: &restfake.RESTClient{
				NegotiatedSerializer: scheme.Codecs.WithoutConversion(), GroupVersion: u.GroupVersionKind().GroupVersion(),
				Client: restfake.CreateHTTPClient(func(*http.Request) (*http.Response, error) { return c.find(resourceOf, u.GetNamespace(), u.GetName()) }),
			},
			Mapping:   &meta.RESTMapping{Resource: resourceOf, GroupVersionKind: u.GroupVersionKind(), Scope: meta.RESTScopeNamespace},
			Namespace: u.GetNamespace(), Name: u.GetName(), Object: u,
		})
	}
	return list, nil
}

func (c *cluster) find(r schema.GroupVersionResource, namespace, name string) (*http.Response, error) {
	o, err := c.api.Tracker().Get(r, namespace, name)
	status := http.StatusOK
	if err != nil {
		s := err.(apierrors.APIStatus).Status()
		s.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		o, status = &s, http.StatusNotFound
	} else if gvk, _, err := scheme.Scheme.ObjectKinds(o); err == nil {
		o = o.DeepCopyObject()
		o.GetObjectKind().SetGroupVersionKind(gvk[0])
	}
	text, err := json.Marshal(o)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(text)),
	}, err
}

// Create implements Helm's client.
func (c *cluster) Create(list kube.ResourceList, _ ...kube.ClientCreateOption) (*kube.Result, error) {
	return &kube.Result{Created: list}, c.put(list)
}

// Update implements Helm's client.
func (c *cluster) Update(before, after kube.ResourceList, _ ...kube.ClientUpdateOption) (*kube.Result, error) {
	if err := c.put(after); err != nil {
		return &kube.Result{}, err
	}
	gone := before.Difference(after)
	c.Delete(gone, metav1.DeletePropagationBackground)
	return &kube.Result{Updated: after, Deleted: gone}, nil
}

// Delete implements Helm's client.
func (c *cluster) Delete(list kube.ResourceList, _ metav1.DeletionPropagation) (*kube.Result, []error) {
	for _, info := range list {
		_ = c.api.Tracker().Delete(info.Mapping.Resource, info.Namespace, info.Name)
	}
	return &kube.Result{Deleted: list}, nil
}

func (c *cluster) put(list kube.ResourceList) error {
	for _, info := range list {
		u := info.Object.(*unstructured.Unstructured)
		if c.die != nil {
			c.die(u)
		}
		if c.broken != nil {
			return c.broken
		}
		o, err := scheme.Scheme.New(info.Mapping.GroupVersionKind)
		if err != nil {
			return err
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, o); err != nil {
			return err
		}
		before, err := c.api.Tracker().Get(info.Mapping.Resource, info.Namespace, info.Name)
		there := err == nil
		if d, ok := o.(*appsv1.Deployment); ok {
			c.mu.Lock()
			c.puts[d.Spec.Template.Labels[labelInstance]]++
			c.mu.Unlock()
			d.Generation = 1
			if there {
				old := before.(*appsv1.Deployment)
				d.Generation, d.Status = old.Generation+1, old.Status
				if had, ok := old.Annotations[annotationReplicas]; ok { // others' fields stay
					if d.Annotations == nil {
						d.Annotations = map[string]string{}
					}
					d.Annotations[annotationReplicas] = had
				}
				if d.Spec.Replicas == nil {
					d.Spec.Replicas = old.Spec.Replicas
				}
			}
		}
		if there {
			err = c.api.Tracker().Update(info.Mapping.Resource, o, info.Namespace)
		} else {
			err = c.api.Tracker().Create(info.Mapping.Resource, o, info.Namespace)
		}
		if err != nil {
			return fmt.Errorf("write %s: %w", info.Name, err)
		}
	}
	return nil
}

func (c *cluster) scale(a clienttest.PatchAction) error {
	var change struct{ Spec struct{ Replicas int32 } }
	if err := json.Unmarshal(a.GetPatch(), &change); err != nil {
		return err
	}
	o, err := c.api.Tracker().Get(deployments, a.GetNamespace(), a.GetName())
	if err != nil {
		return err
	}
	d := o.(*appsv1.Deployment).DeepCopy()
	d.Spec.Replicas = &change.Spec.Replicas
	d.Generation++
	return c.api.Tracker().Update(deployments, d, a.GetNamespace())
}

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	podsOf      = corev1.SchemeGroupVersion.WithResource("pods")
)

// lingers is how often the cluster is looked at until a stubborn pod has gone.
const lingers = 60

// reconcile is the controllers and the kubelet: pods for each Deployment, the new
// ones first, the old ones gone when those are ready.
func (c *cluster) reconcile() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, namespace := range namespaces {
		list, err := c.api.Tracker().List(deployments, deployments.GroupVersion().WithKind("Deployment"), namespace)
		if err != nil {
			c.t.Errorf("list Deployments: %v", err)
			return
		}
		owned := map[string]bool{}
		for _, d := range list.(*appsv1.DeploymentList).Items {
			owned[d.Name] = true
			c.roll(&d)
		}
		for _, p := range c.pods(namespace) {
			if owner := p.Annotations["owner"]; !owned[owner] {
				c.end(p)
			}
		}
	}
}

func (c *cluster) pods(namespace string) []*corev1.Pod {
	list, err := c.api.Tracker().List(podsOf, podsOf.GroupVersion().WithKind("Pod"), namespace)
	if err != nil {
		c.t.Errorf("list pods: %v", err)
		return nil
	}
	var out []*corev1.Pod
	for i := range list.(*corev1.PodList).Items {
		out = append(out, &list.(*corev1.PodList).Items[i])
	}
	return out
}

func (c *cluster) roll(d *appsv1.Deployment) {
	label := d.Spec.Template.Labels[labelInstance]
	fate := ""
	if _, after, ok := strings.Cut(tagOf(d.Spec.Template.Spec.Containers[0].Image), "-"); ok {
		fate = after
	}
	wanted := int(orOne(d.Spec.Replicas))
	for i := range wanted {
		name := fmt.Sprintf("%s-%s-%d", d.Name, label, i)
		if _, err := c.api.Tracker().Get(podsOf, d.Namespace, name); err == nil {
			continue
		}
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
			Name: name, Namespace: d.Namespace, Labels: d.Spec.Template.Labels, Annotations: map[string]string{"owner": d.Name},
		}, Spec: d.Spec.Template.Spec}
		p.Status = fates(fate)
		if err := c.api.Tracker().Create(podsOf, p, d.Namespace); err != nil {
			c.t.Errorf("make the pod %s: %v", name, err)
		}
	}
	updated, ready, all := 0, 0, 0
	for _, p := range c.pods(d.Namespace) {
		if p.Annotations["owner"] == d.Name && p.Labels[labelInstance] == label && p.DeletionTimestamp == nil {
			if updated++; updated > wanted {
				c.end(p)
				updated--
			} else if isReady(*p) {
				ready++
			}
		}
	}
	for _, p := range c.pods(d.Namespace) {
		if p.Annotations["owner"] != d.Name || p.Labels[labelInstance] == label && p.DeletionTimestamp == nil {
			continue
		}
		if ready >= wanted || p.DeletionTimestamp != nil || !isReady(*p) {
			c.end(p)
			continue
		}
		all++
	}
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, UpdatedReplicas: int32(updated), Replicas: int32(updated + all), AvailableReplicas: int32(ready + all),
	}
	if c.stalled && ready < wanted {
		d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded"}}
	}
	if err := c.api.Tracker().Update(deployments, d, d.Namespace); err != nil {
		c.t.Errorf("write the status of %s: %v", d.Name, err)
	}
}

// end lets a pod go: at once, or after a while when it is stubborn.
func (c *cluster) end(p *corev1.Pod) {
	if strings.HasSuffix(tagOf(p.Spec.Containers[0].Image), "-stubborn") {
		p = p.DeepCopy()
		if p.DeletionTimestamp == nil {
			p.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}
		looks, _ := strconv.Atoi(p.Annotations["looks"])
		if p.Annotations["looks"] = strconv.Itoa(looks + 1); looks < lingers {
			_ = c.api.Tracker().Update(podsOf, p, p.Namespace)
			return
		}
	}
	_ = c.api.Tracker().Delete(podsOf, p.Namespace, p.Name)
}

// fates is how the pods of an image do.
func fates(fate string) corev1.PodStatus {
	ready := func(s corev1.ConditionStatus) []corev1.PodCondition {
		return []corev1.PodCondition{{Type: corev1.PodReady, Status: s}}
	}
	state := func(s corev1.ContainerState, last corev1.ContainerState, restarts int32) []corev1.ContainerStatus {
		return []corev1.ContainerStatus{{Name: "ledger", State: s, LastTerminationState: last, RestartCount: restarts}}
	}
	switch fate {
	case "silent":
		return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionFalse), ContainerStatuses: state(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{}, 0)}
	case "crashing":
		return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionFalse), ContainerStatuses: state(
			corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
			corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}, crashes)}
	case "missing":
		return corev1.PodStatus{Phase: corev1.PodPending, Conditions: ready(corev1.ConditionFalse), ContainerStatuses: state(
			corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "manifest unknown"}}, corev1.ContainerState{}, 0)}
	}
	return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: ready(corev1.ConditionTrue), ContainerStatuses: state(corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, corev1.ContainerState{}, 0)}
}

func (c *cluster) log(string) []byte { return []byte("starting ledger\nno configuration\n") }

// deployer is a fresh one for the same cluster, as after a restart.
func (c *cluster) deployer() *Deployer {
	c.t.Helper()
	d, err := New(Config{Open: c.connect})
	if err != nil {
		c.t.Fatal(err)
	}
	return d
}

// baseChart is the chart that comes with Nightporter.
func baseChart(t *testing.T, values string) *deploy.Chart {
	t.Helper()
	archive, err := charts.Base()
	if err != nil {
		t.Fatal(err)
	}
	return &deploy.Chart{Archive: archive, Name: "base", Version: "1.0.0", Values: []byte(values)}
}
