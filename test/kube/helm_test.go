//go:build kube

package kube

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/charts"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
	"nightporter.dev/nightporter/provider/deploy/helm"
)

// world is a namespace of the shared cluster, and a deployer for it.
type world struct {
	*cluster
	t         *testing.T
	namespace string
	d         *helm.Deployer
	n         int
}

func newWorld(t *testing.T, namespace string) *world {
	t.Helper()
	w := &world{cluster: shared, t: t, namespace: namespace}
	w.d = deployer(t, shared.kubeconfig, namespace, 0)
	return w
}

func deployer(t testing.TB, kubeconfig, namespace string, lease time.Duration) *helm.Deployer {
	c, err := helm.Connect(helm.Access{Kubeconfig: kubeconfig})
	if err == nil {
		var d *helm.Deployer
		if d, err = helm.New(helm.Config{Open: func(string) (*helm.Cluster, error) { return c, nil }, Place: placed(namespace), Lease: lease}); err == nil {
			return d
		}
	}
	t.Fatal(err)
	return nil
}

func placed(namespace string) func(string, string) helm.Place {
	return func(service, _ string) helm.Place { return helm.Place{Namespace: namespace, Release: service} }
}

func request(key, tag, values string) (deploy.Request, error) {
	text, _, _ := strings.Cut(tag, "-")
	version, err := nightporter.ParseVersion(text)
	if err != nil {
		return deploy.Request{}, err
	}
	archive, err := charts.Base()
	return deploy.Request{
		Key: key, Service: "ledger", Environment: "dev", Version: version, Commit: deploytest.CommitA,
		Artifact: deploy.Artifact("registry.test/ledger:" + tag), Chart: &deploy.Chart{Archive: archive, Values: []byte(values)},
		Health: deploy.Health{Within: 10 * time.Second},
	}, err
}

func (w *world) start(tag, values string) deploy.Token {
	w.t.Helper()
	w.n++
	r, err := request(fmt.Sprintf("r%d", w.n), tag, values)
	noError(w.t, err)
	token, err := w.d.Start(w.t.Context(), r)
	noError(w.t, err)
	return token
}

// settle looks until a start has left starting.
func (w *world) settle(token deploy.Token, want deploy.State) deploy.Observation {
	w.t.Helper()
	var o deploy.Observation
	deploytest.Eventually(w.t, "the start is over", func() bool {
		var err error
		o, err = w.d.Observe(w.t.Context(), token)
		noError(w.t, err)
		return o.State != deploy.Starting
	})
	if o.State != want {
		w.t.Fatalf("it is %s (%s), want %s; %q", o.State, o.Message, want, o.Lines)
	}
	return o
}

func (w *world) finish(what string, verb func(context.Context) (deploy.Progress, error)) {
	w.t.Helper()
	deploytest.Eventually(w.t, what+" is done", func() bool {
		p, err := verb(w.t.Context())
		if nightporter.CodeOf(err) == nightporter.Unavailable {
			return false // somebody wrote meanwhile: the caller comes again
		}
		noError(w.t, err)
		return p == deploy.Done
	})
}

func (w *world) serve(tag, values string) deploy.Token {
	w.t.Helper()
	token := w.start(tag, values)
	w.settle(token, deploy.Healthy)
	w.finish("switch", func(ctx context.Context) (deploy.Progress, error) { return w.d.Switch(ctx, token) })
	return token
}

func (w *world) discard(token deploy.Token) {
	w.t.Helper()
	w.finish("discard", func(ctx context.Context) (deploy.Progress, error) { return w.d.Discard(ctx, token) })
}

// live is the Deployment as the API has it.
func (w *world) live() *appsv1.Deployment {
	w.t.Helper()
	d, err := w.api.AppsV1().Deployments(w.namespace).Get(w.t.Context(), "ledger", metav1.GetOptions{})
	noError(w.t, err)
	return d
}

// ready are the names of the pods that are ready, with their images.
func (w *world) ready() map[string]string {
	w.t.Helper()
	pods, err := w.api.CoreV1().Pods(w.namespace).List(w.t.Context(), metav1.ListOptions{})
	noError(w.t, err)
	out := map[string]string{}
	for _, p := range pods.Items {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				out[p.Name] = p.Spec.Containers[0].Image
			}
		}
	}
	return out
}

func (w *world) wantReady(tag string, n int) {
	w.t.Helper()
	got := w.ready()
	for pod, image := range got {
		if image != "registry.test/ledger:"+tag {
			w.t.Errorf("the pod %s runs %s, want %s", pod, image, tag)
		}
	}
	if len(got) != n {
		w.t.Errorf("%d pods are ready, want %d", len(got), n)
	}
}

// revisions are the states of Helm's revisions, from the labels of its records.
func (w *world) revisions() []string {
	w.t.Helper()
	secrets, err := w.api.CoreV1().Secrets(w.namespace).List(w.t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	noError(w.t, err)
	var out []string
	for _, s := range secrets.Items {
		out = append(out, fmt.Sprintf("%s %s", s.Labels["version"], s.Labels["status"]))
	}
	slices.Sort(out)
	return out
}

func (w *world) wantRevisions(want ...string) {
	w.t.Helper()
	if got := w.revisions(); !slices.Equal(got, want) {
		w.t.Errorf("helm has %q, want %q", got, want)
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFirstDeploymentMakesItsNamespaceAndServes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "first")
	w.serve("1.0.0", "replicas: 2\n")
	w.wantReady("1.0.0", 2)
	w.wantRevisions("1 deployed")
	ns, err := w.api.CoreV1().Namespaces().Get(t.Context(), "first", metav1.GetOptions{})
	noError(t, err)
	if ns.Labels["nightporter.dev/environment"] != "dev" {
		t.Errorf("the namespace carries %v, want its environment", ns.Labels)
	}
	if _, err := w.api.PolicyV1().PodDisruptionBudgets("first").Get(t.Context(), "ledger", metav1.GetOptions{}); err != nil {
		t.Errorf("the chart's budget: %v", err)
	}
}

func TestGoodUpgradeReplacesEveryPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "upgrade")
	w.serve("1.0.0", "replicas: 2\n")
	w.serve("1.1.0", "replicas: 2\n")
	w.wantReady("1.1.0", 2)
	w.wantRevisions("1 superseded", "2 deployed")
	owners := map[string]bool{}
	for _, f := range w.live().ManagedFields {
		owners[f.Manager] = true
	}
	if !owners["helm"] || owners["kube.test"] {
		t.Errorf("the Deployment's fields are owned by %v, want helm", owners)
	}
}

func TestFirstDeploymentThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "first-bad")
	token := w.start("1.0.0-crash", "")
	o := w.settle(token, deploy.Failed)
	if !strings.Contains(o.Message, "exited with status 1") || o.Retryable {
		t.Errorf("the observation is %+v, want the exit and no way around it", o)
	}
	w.discard(token)
	w.wantRevisions()
	if _, err := w.api.AppsV1().Deployments("first-bad").Get(t.Context(), "ledger", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the Deployment: %v, want it gone", err)
	}
}

func TestImageThatIsNeverReadyIsRolledBackAndWhatServesNeverStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "bad")
	first := w.serve("1.0.0", "replicas: 2\n")
	before := w.ready()
	token := w.start("1.1.0-bad", "replicas: 2\n")
	o := w.settle(token, deploy.Failed)
	if !strings.Contains(o.Message, "ErrImagePull") || !strings.Contains(o.Message, "within 10s") || o.Retryable {
		t.Errorf("the observation is %+v, want the image and the time", o)
	}
	if got := w.ready(); !samePods(got, before) {
		t.Errorf("while it failed %v were ready, want %v", got, before)
	}
	w.discard(token)
	if got := w.ready(); !samePods(got, before) {
		t.Errorf("after the rollback %v are ready, want the same pods as before: %v", got, before)
	}
	w.wantRevisions("1 superseded", "2 superseded", "3 deployed")
	w.settle(first, deploy.Healthy)
	w.serve("1.1.1", "replicas: 2\n")
	w.wantReady("1.1.1", 2)
}

func samePods(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			return false
		}
	}
	return true
}

func TestKubernetesGivesUpBeforeWeDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "deadline")
	w.n = 100
	r, err := request("r101", "1.0.0-bad", "progressDeadline: 2\n")
	noError(t, err)
	r.Health.Within = time.Hour
	token, err := w.d.Start(t.Context(), r)
	noError(t, err)
	if o := w.settle(token, deploy.Failed); !strings.Contains(o.Message, "no progress within its deadline") {
		t.Errorf("it failed with %q, want Kubernetes' own deadline", o.Message)
	}
}

func TestScaleToZeroAndBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "night")
	w.serve("1.0.0", "replicas: 3\n")
	stop := func(ctx context.Context) (deploy.Progress, error) { return w.d.Stop(ctx, "ledger", "dev") }
	w.finish("stop", stop)
	w.finish("stop again", stop)
	if d := w.live(); *d.Spec.Replicas != 0 || d.Annotations["nightporter.dev/replicas"] != "3" {
		t.Errorf("asleep it wants %d replicas and remembers %q, want 0 and 3", *d.Spec.Replicas, d.Annotations["nightporter.dev/replicas"])
	}
	w.wantReady("1.0.0", 0)
	// A bad image at night is not a green one, and does not turn the lights on.
	bad := w.start("1.1.0-bad", "replicas: 3\n")
	w.settle(bad, deploy.Failed)
	w.discard(bad)
	if d := w.live(); *d.Spec.Replicas != 0 {
		t.Errorf("after a failed start it wants %d replicas, want 0", *d.Spec.Replicas)
	}
	w.serve("1.0.0", "replicas: 3\n")
	w.wantReady("1.0.0", 3)
	if had, ok := w.live().Annotations["nightporter.dev/replicas"]; ok {
		t.Errorf("awake it still remembers %q", had)
	}
}

func TestAutoscalersReplicasComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "autoscaler")
	values := "autoscaling: {enabled: true, min: 2, max: 5}\n"
	w.serve("1.0.0", values)
	_, err := w.api.AppsV1().Deployments("autoscaler").Patch(t.Context(), "ledger", types.MergePatchType, []byte(`{"spec":{"replicas":4}}`), metav1.PatchOptions{}, "scale")
	noError(t, err)
	deploytest.Eventually(t, "four pods are ready", func() bool { return len(w.ready()) == 4 })
	w.finish("stop", func(ctx context.Context) (deploy.Progress, error) { return w.d.Stop(ctx, "ledger", "dev") })
	w.wantReady("1.0.0", 0)
	w.serve("1.1.0", values)
	w.wantReady("1.1.0", 4)
}

func TestAnotherProgramsFieldsAreNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "conflict")
	w.serve("1.0.0", "replicas: 2\n")
	theirs := `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"ledger"},"spec":{"replicas":1}}`
	force := true
	_, err := w.api.AppsV1().Deployments("conflict").Patch(t.Context(), "ledger", types.ApplyPatchType, []byte(theirs), metav1.PatchOptions{FieldManager: "argocd-controller", Force: &force})
	noError(t, err)
	token := w.start("1.1.0", "replicas: 2\n")
	o := w.settle(token, deploy.Failed)
	if !strings.Contains(o.Message, "argocd-controller") || !strings.Contains(o.Message, "replicas") {
		t.Errorf("it failed with %q, want the program and the field", o.Message)
	}
}

func TestPlanAsksTheClusterAndChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "plan")
	w.serve("1.0.0", "")
	before := w.live().ResourceVersion
	r, err := request("planned", "1.1.0", "metrics: {path: /metrics}\n")
	noError(t, err)
	changes, err := w.d.Plan(t.Context(), r)
	noError(t, err)
	var seen []string
	for _, c := range changes {
		for _, f := range c.Fields {
			seen = append(seen, c.Object+" "+f.Path)
		}
	}
	if !slices.ContainsFunc(seen, func(s string) bool { return strings.HasSuffix(s, "containers[0].image") }) {
		t.Errorf("the plan has %q, want the image", seen)
	}
	w.wantRevisions("1 deployed")
	if after := w.live(); after.Spec.Template.Spec.Containers[0].Image != "registry.test/ledger:1.0.0" {
		t.Errorf("after the plan the Deployment changed (%s to %s)", before, after.ResourceVersion)
	}
}

const childVariable = "NIGHTPORTER_KUBE_CHILD"

// child is a Nightporter of its own process, which is killed.
func child() int {
	kubeconfig, namespace, _ := strings.Cut(os.Getenv(childVariable), "|")
	c, err := helm.Connect(helm.Access{Kubeconfig: kubeconfig})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	d, err := helm.New(helm.Config{Open: func(string) (*helm.Cluster, error) { return c, nil }, Place: placed(namespace), Lease: childLease})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	r, err := request("upgrade", "1.1.0", "replicas: 2\n")
	if err == nil {
		_, err = d.Start(context.Background(), r)
	}
	fmt.Fprintln(os.Stderr, "the child lived:", err)
	return 1
}

// childLease is how long a killed process is believed to live.
const childLease = 3 * time.Second

func TestKilledInTheMiddleOfAnUpgradeHeals(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "killed")
	w.serve("1.0.0", "replicas: 2\n")
	// Something in between holds the upgrade's own request, so that the kill
	// falls where it hurts: Helm has written its record, and not the objects.
	api, err := url.Parse(w.server)
	noError(t, err)
	held, once := make(chan struct{}), sync.Once{}
	forward := httputil.NewSingleHostReverseProxy(api)
	forward.Transport = &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	between := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/deployments/ledger") && !r.URL.Query().Has("dryRun") {
			_, _ = io.Copy(io.Discard, r.Body) // or the server would not see the client go
			once.Do(func() { close(held) })
			<-r.Context().Done()
			return
		}
		forward.ServeHTTP(rw, r)
	}))
	t.Cleanup(between.Close)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	noError(t, w.writeKubeconfig(kubeconfig, between.URL))
	self, err := os.Executable()
	noError(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childVariable+"="+kubeconfig+"|killed")
	cmd.Stderr, cmd.SysProcAttr = os.Stderr, endWithParent()
	noError(t, cmd.Start())
	select {
	case <-held:
	case <-time.After(time.Minute):
		t.Error("the child never came to the Deployment")
	}
	noError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	w.wantRevisions("1 deployed", "2 pending-upgrade")

	next := deployer(t, w.kubeconfig, "killed", childLease)
	r, err := request("upgrade", "1.1.0", "replicas: 2\n")
	noError(t, err)
	var token deploy.Token
	refused := false
	deploytest.Eventually(t, "the dead process is called dead", func() bool {
		token, err = next.Start(t.Context(), r)
		if nightporter.CodeOf(err) == nightporter.Unavailable {
			refused = true
			return false
		}
		noError(t, err)
		return true
	})
	if !refused {
		t.Error("the release was taken over at once: a process that is only slow would have been overrun")
	}
	w.d = next
	w.settle(token, deploy.Healthy)
	w.finish("switch", func(ctx context.Context) (deploy.Progress, error) { return next.Switch(ctx, token) })
	w.wantReady("1.1.0", 2)
	w.wantRevisions("1 superseded", "2 failed", "3 deployed")
}

func TestNoCredentialReachesTheCluster(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "credential")
	w.serve("1.0.0", "")
	r, err := request("leak", "1.1.0", "env: {DATABASE_PASSWORD: hunter2}\n")
	noError(t, err)
	token, err := w.d.Start(t.Context(), r)
	noError(t, err)
	w.settle(token, deploy.Failed)
	secrets, err := w.api.CoreV1().Secrets("credential").List(t.Context(), metav1.ListOptions{})
	noError(t, err)
	maps, err := w.api.CoreV1().ConfigMaps("credential").List(t.Context(), metav1.ListOptions{})
	noError(t, err)
	text := fmt.Sprint(secrets.Items, maps.Items)
	if strings.Contains(text, "hunter2") {
		t.Error("the password is in the cluster")
	}
	w.wantRevisions("1 deployed") // refused before Helm kept anything
}
