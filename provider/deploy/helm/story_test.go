package helm

import (
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/release/common"
	release "helm.sh/helm/v4/pkg/release/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
)

func (c *cluster) start(t *testing.T, d *Deployer, key, version, fate string) deploy.Token {
	t.Helper()
	r := c.request(version, fate)
	r.Key = key
	token, err := d.Start(t.Context(), r)
	if err != nil {
		t.Fatalf("start %s: %v", key, err)
	}
	return token
}

func (c *cluster) serve(t *testing.T, d *Deployer, key, version string) deploy.Token {
	t.Helper()
	token := c.start(t, d, key, version, "")
	if p, err := d.Switch(t.Context(), token); err != nil || p != deploy.Done {
		t.Fatalf("switch to %s: %s, %v", version, p, err)
	}
	return token
}

// history is what Helm's own storage says, oldest first.
func (c *cluster) history(t *testing.T) []*release.Release {
	t.Helper()
	s, err := c.deployer().at("ledger", "dev")
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.helm().Releases.History("ledger")
	if err != nil {
		t.Fatal(err)
	}
	var out []*release.Release
	for _, r := range list {
		one, err := asRelease(r)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, one)
	}
	return out
}

func (c *cluster) wantImage(t *testing.T, tag string) {
	t.Helper()
	if got := c.live(t).Spec.Template.Spec.Containers[0].Image; got != "registry.test:5000/ledger:"+tag {
		t.Errorf("the Deployment runs %s, want the tag %s", got, tag)
	}
}

// The traps that Kubernetes and Helm have for whoever deploys with them.
func TestTraps(t *testing.T) {
	t.Parallel()

	t.Run("a release that a killed deployer left pending is healed when its lease is over", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		c.serve(t, c.deployer(), "r1", "1.0.0")
		now := time.Now()
		dying, err := New(Config{Open: c.connect, Now: func() time.Time { return now }})
		noError(t, err)
		// The process dies while Helm writes the objects: the release stays
		// pending-upgrade, and nobody takes our own note back.
		died := make(chan struct{})
		c.die = func(*unstructured.Unstructured) {
			close(died)
			select {} // for ever, as far as this test is concerned
		}
		r := c.request("1.1.0", "")
		r.Key = "r2"
		go func() { _, _ = dying.Start(t.Context(), r) }()
		<-died
		c.die = nil
		if last := c.history(t); last[len(last)-1].Info.Status != common.StatusPendingUpgrade {
			t.Fatalf("the release is %s, want pending-upgrade: the trap is not set", last[len(last)-1].Info.Status)
		}
		next, err := New(Config{Open: c.connect, Now: func() time.Time { return now }})
		noError(t, err)
		_, err = next.Start(t.Context(), r)
		wantCode(t, err, nightporter.Unavailable) // it may still be alive
		now = now.Add(3 * time.Minute)
		token, err := next.Start(t.Context(), r)
		noError(t, err)
		o, err := next.Observe(t.Context(), token)
		if err != nil || o.State != deploy.Healthy {
			t.Fatalf("after the lease: %s (%s), %v", o.State, o.Message, err)
		}
		c.wantImage(t, "1.1.0")
		all := c.history(t)
		if got := all[1].Info; got.Status != common.StatusFailed || !strings.Contains(got.Description, "left pending-upgrade by a process that died") {
			t.Errorf("the dead revision is %s (%s), want failed with the reason", got.Status, got.Description)
		}
	})

	t.Run("a release that somebody else's helm is at is left alone", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		s, err := d.at("ledger", "dev")
		noError(t, err)
		theirs := *c.history(t)[0]
		theirs.Version, theirs.Labels = 2, maps.Clone(theirs.Labels) // helm hands our labels on
		theirs.Info = &release.Info{Status: common.StatusPendingUpgrade, Description: "Preparing upgrade", LastDeployed: time.Now()}
		noError(t, s.helm().Releases.Create(&theirs))
		r := c.request("1.1.0", "")
		r.Key = "r2"
		_, err = d.Start(t.Context(), r)
		wantCode(t, err, nightporter.Unavailable)
		if hint := nightporter.HintOf(err); !strings.Contains(hint, "helm rollback ledger") {
			t.Errorf("the hint %q does not say what to do about a dead helm", hint)
		}
	})

	t.Run("a version without a replica is neither good nor bad", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		now := time.Now()
		d, err := New(Config{Open: c.connect, Now: func() time.Time { return now }})
		noError(t, err)
		r := c.request("1.0.0", "-missing")
		r.Key, r.Chart = "r1", baseChart(t, "replicas: 0\n")
		token, err := d.Start(t.Context(), r)
		noError(t, err)
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Starting {
			t.Errorf("with nothing running it is %s (%s), %v; want starting", o.State, o.Message, err)
		}
		_, err = d.Switch(t.Context(), token)
		wantCode(t, err, nightporter.Conflict)
		now = now.Add(time.Hour)
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed || !o.Retryable {
			t.Errorf("later it is %+v, %v; want failed and no fault of the version", o, err)
		}
	})

	t.Run("a start that fails while everything sleeps leaves the lights off", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		c.stop(t, d)
		token := c.start(t, d, "r2", "1.1.0", "-crashing")
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed {
			t.Fatalf("it is %s, %v; want failed", o.State, err)
		}
		c.discard(t, d, token)
		if n := *c.live(t).Spec.Replicas; n != 0 {
			t.Errorf("%d replicas are wanted after the failed start, want none", n)
		}
	})

	t.Run("an autoscaler's replicas come back after the night", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		values := "autoscaling: {enabled: true, min: 2}\n"
		r := c.request("1.0.0", "")
		r.Key, r.Chart = "r1", baseChart(t, values)
		token, err := d.Start(t.Context(), r)
		noError(t, err)
		noError(t, c.scaleTo("ledger", 3)) // as the autoscaler does
		if p, err := d.Switch(t.Context(), token); err != nil || p != deploy.Done {
			t.Fatalf("switch: %s, %v", p, err)
		}
		c.stop(t, d)
		c.stop(t, d) // the second one must not remember zero
		if got := c.live(t).Annotations[annotationReplicas]; got != "3" {
			t.Errorf("the Deployment remembers %q replicas, want 3", got)
		}
		r.Key = "r2"
		_, err = d.Start(t.Context(), r)
		noError(t, err)
		if n := *c.live(t).Spec.Replicas; n != 3 {
			t.Errorf("%d replicas after the night, want 3", n)
		}
		if _, still := c.live(t).Annotations[annotationReplicas]; still {
			t.Error("the remembered number is still there: the next night would trust it")
		}
	})

	t.Run("objects are owned by the name that the helm program has", func(t *testing.T) {
		t.Parallel()
		newCluster(t).deployer()
		if kube.ManagedFieldsManager != "helm" {
			t.Errorf("the field manager is %q, want helm", kube.ManagedFieldsManager)
		}
	})

	t.Run("another program's fields are no business of ours", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		c.broken = apierrors.NewConflict(schema.GroupResource{Group: "apps", Resource: "deployments"}, "ledger", errors.New(`conflict with "argocd": .spec.replicas`))
		token := c.start(t, d, "r2", "1.1.0", "")
		c.broken = nil
		o, err := d.Observe(t.Context(), token)
		if err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, `conflict with "argocd"`) {
			t.Errorf("it is %s (%s), %v; want failed by the conflict", o.State, o.Message, err)
		}
		c.discard(t, d, token)
		c.wantImage(t, "1.0.0")
	})

	t.Run("a rollback is a new revision, and what serves is found again", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		first := c.serve(t, d, "r1", "1.0.0")
		second := c.start(t, d, "r2", "1.1.0", "-crashing")
		c.discard(t, d, second)
		all := c.history(t)
		if n := len(all); n != 3 || all[2].Info.Description != "Nightporter went back to revision 1" || all[2].Info.Status != common.StatusDeployed {
			t.Errorf("helm has %d revisions, the last is %s (%s)", n, all[n-1].Info.Status, all[n-1].Info.Description)
		}
		c.wantImage(t, "1.0.0")
		if o, err := c.deployer().Observe(t.Context(), first); err != nil || o.State != deploy.Healthy || o.Role != deploy.Serving {
			t.Errorf("the old one is %s %s (%s), %v; want serving and healthy", o.Role, o.State, o.Message, err)
		}
		if drift, err := d.Drift(t.Context(), "ledger", "dev"); err != nil || len(drift) != 0 {
			t.Errorf("our own rollback is called drift: %q, %v", drift, err)
		}
		third := c.serve(t, d, "r3", "1.2.0") // and the next upgrade goes on from it
		if o, err := d.Observe(t.Context(), third); err != nil || o.State != deploy.Healthy {
			t.Errorf("the next version is %s, %v", o.State, err)
		}
	})

	t.Run("a rollback that was cut off goes on", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		second := c.start(t, d, "r2", "1.1.0", "-crashing")
		died := make(chan struct{})
		c.die = func(*unstructured.Unstructured) {
			close(died)
			select {}
		}
		go func() { _, _ = d.Discard(t.Context(), second) }()
		<-died
		c.die = nil
		later := time.Now().Add(time.Hour)
		next, err := New(Config{Open: c.connect, Now: func() time.Time { return later }})
		noError(t, err)
		c.discard(t, next, second)
		c.wantImage(t, "1.0.0")
		all := c.history(t)
		if last := all[len(all)-1]; last.Info.Status != common.StatusDeployed {
			t.Errorf("the last revision is %s, want deployed", last.Info.Status)
		}
	})

	t.Run("Kubernetes' own deadline ends the wait before ours", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		token := c.start(t, d, "r1", "1.0.0", "-silent")
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Starting {
			t.Fatalf("it is %s, %v; want starting", o.State, err)
		}
		if s := c.live(t).Spec.ProgressDeadlineSeconds; s == nil || *s != 120 {
			t.Errorf("the base chart sets the deadline %v, want 120", s)
		}
		c.stalled = true
		o, err := d.Observe(t.Context(), token)
		if err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, "no progress within its deadline") {
			t.Errorf("it is %s (%s), %v; want failed by the deadline", o.State, o.Message, err)
		}
	})

	t.Run("no credential gets into what helm keeps", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		for _, values := range []string{
			"env: {DATABASE_PASSWORD: hunter2}\n",
			"smtp: {password: hunter2}\n",
			"environments: {dev: {env: {API_TOKEN: hunter2}}}\n",
			"extra: [{name: CLIENT_SECRET, value: hunter2}]\n",
		} {
			r := c.request("1.0.0", "")
			r.Key, r.Chart = "r"+values, baseChart(t, values)
			r.Key = labelOf(values)
			token, err := d.Start(t.Context(), r)
			noError(t, err)
			o, err := d.Observe(t.Context(), token)
			if err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, "holds a credential") || strings.Contains(o.Message, "hunter2") {
				t.Errorf("%s: %s (%s), %v; want refused without the value", values, o.State, o.Message, err)
			}
		}
		r := c.request("1.0.0", "")
		r.Key, r.Env = "env", map[string]string{"A": "hunter2"}
		_, err := d.Start(t.Context(), r)
		wantCode(t, err, nightporter.Invalid)
		r = c.request("1.0.0", "")
		r.Key = "lent"
		r.Credentials = &deploy.Credentials{Address: "https://porter.test", Token: noToken}
		_, err = d.Start(t.Context(), r)
		noError(t, err)
		// The judge: everything that the cluster holds.
		secrets, err := c.api.CoreV1().Secrets("dev").List(t.Context(), metav1.ListOptions{})
		noError(t, err)
		for _, s := range secrets.Items {
			for _, v := range s.Data {
				if strings.Contains(string(v), "hunter2") {
					t.Errorf("the secret %s holds the credential", s.Name)
				}
			}
		}
	})
}

func TestObserve(t *testing.T) {
	t.Parallel()

	t.Run("an image that cannot be pulled says why, with the cluster's events", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		now := time.Now()
		d, err := New(Config{Open: c.connect, Now: func() time.Time { return now }})
		noError(t, err)
		token := c.start(t, d, "r1", "1.0.0", "-missing")
		o, err := d.Observe(t.Context(), token)
		noError(t, err)
		if o.State != deploy.Starting {
			t.Fatalf("at first it is %s, want starting: a registry may be slow", o.State)
		}
		pods, err := c.api.CoreV1().Pods("dev").List(t.Context(), metav1.ListOptions{})
		noError(t, err)
		_, err = c.api.CoreV1().Events("dev").Create(t.Context(), &corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Name: "e"}, Type: corev1.EventTypeWarning, Reason: "Failed", Message: "manifest unknown",
			InvolvedObject: corev1.ObjectReference{Kind: "Pod", Name: pods.Items[0].Name},
		}, metav1.CreateOptions{})
		noError(t, err)
		now = now.Add(2 * time.Minute)
		o, err = d.Observe(t.Context(), token)
		if err != nil || o.State != deploy.Failed || o.Retryable || !strings.Contains(o.Message, "ErrImagePull: manifest unknown") {
			t.Errorf("it is %+v, %v; want failed for the image", o, err)
		}
		if !strings.Contains(strings.Join(o.Lines, "\n"), "Failed: manifest unknown") {
			t.Errorf("the lines %q lack the cluster's event", o.Lines)
		}
	})

	t.Run("a first deployment that fails leaves nothing", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		token := c.start(t, d, "r1", "1.0.0", "-crashing")
		c.discard(t, d, token)
		if _, err := c.api.Tracker().Get(deployments, "dev", "ledger"); !apierrors.IsNotFound(err) {
			t.Errorf("the Deployment is still there: %v", err)
		}
		c.serve(t, d, "r2", "1.0.1") // and the next one is a first one again
	})

	t.Run("what somebody does with helm is drift", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		token := c.serve(t, d, "r1", "1.0.0")
		s, err := d.at("ledger", "dev")
		noError(t, err)
		theirs := *c.history(t)[0]
		theirs.Version, theirs.Info = 2, &release.Info{Status: common.StatusDeployed, LastDeployed: time.Now(), Description: "Upgrade complete"}
		noError(t, s.helm().Releases.Create(&theirs))
		drift, err := d.Drift(t.Context(), "ledger", "dev")
		if err != nil || len(drift) != 1 || !strings.Contains(drift[0], "revision 2") {
			t.Errorf("drift is %q, %v; want revision 2", drift, err)
		}
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed {
			t.Errorf("what serves is %s (%s), %v; want failed: nobody knows it", o.State, o.Message, err)
		}
	})

	t.Run("an image that was changed by hand is drift", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		live := c.live(t).DeepCopy()
		live.Spec.Template.Spec.Containers[0].Image = "registry.test:5000/ledger:9.9.9"
		noError(t, c.api.Tracker().Update(deployments, live, "dev"))
		drift, err := d.Drift(t.Context(), "ledger", "dev")
		if err != nil || len(drift) != 1 || !strings.Contains(drift[0], "9.9.9") {
			t.Errorf("drift is %q, %v; want the image", drift, err)
		}
	})

	t.Run("a plan shows what would change and changes nothing", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		c.serve(t, d, "r1", "1.0.0")
		r := c.request("1.1.0", "")
		r.Key = "r2"
		changes, err := d.Plan(t.Context(), r)
		noError(t, err)
		found := false
		for _, change := range changes {
			for _, f := range change.Fields {
				found = found || change.Object == "Deployment/ledger" && strings.HasSuffix(f.Path, "containers[0].image") && strings.HasSuffix(f.After, ":1.1.0")
			}
		}
		if !found {
			t.Errorf("the plan %+v lacks the image", changes)
		}
		c.wantImage(t, "1.0.0")
		if n := len(c.history(t)); n != 1 {
			t.Errorf("helm has %d revisions after a plan, want 1", n)
		}
	})

	t.Run("a chart that ignores the image is refused", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		r := c.request("1.0.0", "")
		r.Key, r.Chart = "r1", pack(t, map[string]string{
			"Chart.yaml":       "apiVersion: v2\nname: own\nversion: 0.1.0\n",
			"templates/d.yaml": "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: ledger}\nspec: {template: {spec: {containers: [{name: a, image: 'nginx:1'}]}}}\n",
		})
		token, err := d.Start(t.Context(), r)
		noError(t, err)
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, "nothing in the chart runs") {
			t.Errorf("it is %s (%s), %v; want refused", o.State, o.Message, err)
		}
	})

	t.Run("a chart with a hook is refused", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		r := c.request("1.0.0", "")
		r.Key, r.Chart = "r1", pack(t, map[string]string{
			"Chart.yaml":       "apiVersion: v2\nname: own\nversion: 0.1.0\n",
			"templates/j.yaml": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, annotations: {helm.sh/hook: pre-upgrade}}\n",
		})
		token, err := d.Start(t.Context(), r)
		noError(t, err)
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, "hook") {
			t.Errorf("it is %s (%s), %v; want refused", o.State, o.Message, err)
		}
	})
}
