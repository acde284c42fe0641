package helm

import (
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	psa "k8s.io/pod-security-admission/api"
	psapolicy "k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/yaml"

	"nightporter.dev/nightporter/provider/deploy"
)

// rendered is what the base chart makes of values, read as strictly as a cluster
// does: a field that Kubernetes does not know is an error.
func rendered(t *testing.T, values string) map[string]runtime.Object {
	t.Helper()
	c := newCluster(t)
	r := c.request("1.0.0", "")
	r.Key, r.Chart = "k", baseChart(t, values)
	r.Credentials = &deploy.Credentials{Address: "https://porter.test:8200", Token: noToken}
	s, err := c.deployer().at("ledger", "dev")
	noError(t, err)
	rel, err := s.act(t.Context(), &entry{Label: labelOf("k"), Artifact: r.Artifact}, r.WithDefaults(), nil, action.DryRunServer)
	noError(t, err)
	objects, err := parse(strings.NewReader(rel.Manifest))
	noError(t, err)
	out := map[string]runtime.Object{}
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for _, o := range objects {
		text, err := yaml.Marshal(o)
		noError(t, err)
		decoded, _, err := strict.Decode(text, nil, nil)
		if err != nil {
			t.Fatalf("%s is not what Kubernetes takes: %v\n%s", name(o), err, text)
		}
		out[name(o)] = decoded
	}
	return out
}

func TestBaseChart(t *testing.T) {
	t.Parallel()

	t.Run("helm's own linter finds nothing", func(t *testing.T) {
		t.Parallel()
		lint := action.NewLint()
		lint.Strict, lint.KubeVersion = true, &common.KubeVersion{Version: "v1.36.3", Major: "1", Minor: "36"}
		result := lint.Run([]string{"../../../charts/base"}, map[string]any{"image": map[string]any{"repository": "registry.test/ledger", "tag": "1.0.0"}})
		for _, m := range result.Messages {
			if m.Severity > 1 { // above info
				t.Errorf("%s", m)
			}
		}
		for _, err := range result.Errors {
			t.Error(err)
		}
		if result.TotalChartsLinted != 1 {
			t.Errorf("%d charts were linted, want 1", result.TotalChartsLinted)
		}
	})

	full := "autoscaling: {enabled: true}\nlogin: {enabled: true}\nmetrics: {path: /metrics}\nenv: {LOG: debug}\nwritable: {tmp: /tmp, cache: /var/cache/ledger}\n"

	t.Run("its pods are as restricted as Kubernetes' own standard asks", func(t *testing.T) {
		t.Parallel()
		judge, err := psapolicy.NewEvaluator(psapolicy.DefaultChecks(), nil)
		noError(t, err)
		for _, values := range []string{"", full} {
			d := rendered(t, values)["Deployment/ledger"].(*appsv1.Deployment)
			results := judge.EvaluatePod(psa.LevelVersion{Level: psa.LevelRestricted, Version: psa.LatestVersion()}, &d.Spec.Template.ObjectMeta, &d.Spec.Template.Spec)
			if all := psapolicy.AggregateCheckResults(results); !all.Allowed {
				t.Errorf("refused: %s", all.ForbiddenDetail())
			}
			if len(results) < 5 {
				t.Errorf("only %d checks were made", len(results))
			}
			c := d.Spec.Template.Spec.Containers[0]
			if !*c.SecurityContext.ReadOnlyRootFilesystem || *d.Spec.Template.Spec.AutomountServiceAccountToken {
				t.Error("the image is writable, or the cluster's API is reachable with a token")
			}
		}
	})

	t.Run("by default there is a service, an account, a budget and no autoscaler", func(t *testing.T) {
		t.Parallel()
		got := []string{}
		for n := range rendered(t, "") {
			got = append(got, n)
		}
		slices.Sort(got)
		want := []string{"Deployment/ledger", "PodDisruptionBudget/ledger", "Service/ledger", "ServiceAccount/ledger"}
		if !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})

	t.Run("what serves never stops while it is replaced", func(t *testing.T) {
		t.Parallel()
		d := rendered(t, "")["Deployment/ledger"].(*appsv1.Deployment)
		if u := d.Spec.Strategy.RollingUpdate.MaxUnavailable; u.IntValue() != 0 {
			t.Errorf("%s pods may be missing during a rollout", u)
		}
		if p := d.Spec.Template.Spec.Containers[0].ReadinessProbe; p.HTTPGet == nil || p.HTTPGet.Path != "/healthz" {
			t.Errorf("the readiness probe is %+v, want what nightporter.yaml says: /healthz", p)
		}
	})

	t.Run("with an autoscaler the replicas are its own", func(t *testing.T) {
		t.Parallel()
		all := rendered(t, full)
		if n := all["Deployment/ledger"].(*appsv1.Deployment).Spec.Replicas; n != nil {
			t.Errorf("the Deployment sets %d replicas: each upgrade would undo the autoscaler", *n)
		}
		h := all["HorizontalPodAutoscaler/ledger"].(*autoscalingv2.HorizontalPodAutoscaler)
		if h.Spec.ScaleTargetRef.Name != "ledger" || h.Spec.MaxReplicas != 6 {
			t.Errorf("the autoscaler is %+v", h.Spec)
		}
	})

	t.Run("one pod gets no budget, or its node could never be drained", func(t *testing.T) {
		t.Parallel()
		if _, there := rendered(t, "replicas: 1\n")["PodDisruptionBudget/ledger"]; there {
			t.Error("there is a budget")
		}
		b := rendered(t, "replicas: 3\n")["PodDisruptionBudget/ledger"].(*policyv1.PodDisruptionBudget)
		if b.Spec.MinAvailable.IntValue() != 1 {
			t.Errorf("the budget is %v, want 1", b.Spec.MinAvailable)
		}
	})

	t.Run("a service logs in with a token of the cluster, and with nothing else", func(t *testing.T) {
		t.Parallel()
		d := rendered(t, full)["Deployment/ledger"].(*appsv1.Deployment)
		var token *corev1.ServiceAccountTokenProjection
		for _, v := range d.Spec.Template.Spec.Volumes {
			if v.Projected != nil {
				token = v.Projected.Sources[0].ServiceAccountToken
			}
		}
		if token == nil || token.Audience != "nightporter" || token.Path != "token" || *token.ExpirationSeconds != 3600 {
			t.Errorf("the projected token is %+v", token)
		}
		env := map[string]string{}
		for _, e := range d.Spec.Template.Spec.Containers[0].Env {
			env[e.Name] = e.Value
		}
		for n, want := range map[string]string{
			"VAULT_ADDR": "https://porter.test:8200", "NIGHTPORTER_LOGIN_ROLE": "ledger-dev", "NIGHTPORTER_LOGIN_TOKEN_FILE": "/var/run/secrets/nightporter/token",
			"NIGHTPORTER_VERSION": "1.0.0", "PORT": "8080", "LOG": "debug",
		} {
			if env[n] != want {
				t.Errorf("%s is %q, want %q", n, env[n], want)
			}
		}
	})

	t.Run("an environment's own values come on top", func(t *testing.T) {
		t.Parallel()
		values := "replicas: 2\nenvironments: {dev: {replicas: 1}, prod: {replicas: 7}}\n"
		if n := *rendered(t, values)["Deployment/ledger"].(*appsv1.Deployment).Spec.Replicas; n != 1 {
			t.Errorf("dev has %d replicas, want its own 1", n)
		}
	})

	t.Run("values that it does not know are refused by name", func(t *testing.T) {
		t.Parallel()
		c := newCluster(t)
		d := c.deployer()
		r := c.request("1.0.0", "")
		r.Key, r.Chart = "k", baseChart(t, "replica: 3\n")
		token, err := d.Start(t.Context(), r)
		noError(t, err)
		if o, err := d.Observe(t.Context(), token); err != nil || o.State != deploy.Failed || !strings.Contains(o.Message, "replica") {
			t.Errorf("it is %s (%s), %v; want failed with the name", o.State, o.Message, err)
		}
	})

	t.Run("an image by its digest runs by its digest", func(t *testing.T) {
		t.Parallel()
		digest := "sha256:" + strings.Repeat("ab", 32)
		c := newCluster(t)
		d := c.deployer()
		r := c.request("1.0.0", "")
		r.Key, r.Artifact = "k", deploy.Artifact("registry.test:5000/ledger@"+digest)
		_, err := d.Start(t.Context(), r)
		noError(t, err)
		if got := c.live(t).Spec.Template.Spec.Containers[0].Image; got != "registry.test:5000/ledger@"+digest {
			t.Errorf("the pod's image is %s", got)
		}
	})
}
