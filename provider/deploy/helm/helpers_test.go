package helm

import (
	"context"
	"errors"
	"testing"
	"testing/fstest"

	appsv1 "k8s.io/api/apps/v1"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/charts"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want nightporter.Code) {
	t.Helper()
	if got := nightporter.CodeOf(err); got != want {
		t.Fatalf("error %v has code %q, want %q", err, got, want)
	}
}

func noToken(context.Context) (string, error) { return "", errors.New("nobody asks for a token here") }

func (c *cluster) stop(t *testing.T, d *Deployer) {
	t.Helper()
	deploytest.Eventually(t, "the service has stopped", func() bool {
		p, err := d.Stop(t.Context(), "ledger", "dev")
		noError(t, err)
		return p == deploy.Done
	})
}

func (c *cluster) discard(t *testing.T, d *Deployer, token deploy.Token) {
	t.Helper()
	deploytest.Eventually(t, "the candidate is gone", func() bool {
		p, err := d.Discard(t.Context(), token)
		noError(t, err)
		return p == deploy.Done
	})
}

// scaleTo is what an autoscaler does.
func (c *cluster) scaleTo(name string, n int32) error {
	o, err := c.api.Tracker().Get(deployments, "dev", name)
	if err != nil {
		return err
	}
	d := o.(*appsv1.Deployment).DeepCopy()
	d.Spec.Replicas = &n
	return c.api.Tracker().Update(deployments, d, "dev")
}

// pack makes a chart of some files.
func pack(t *testing.T, files map[string]string) *deploy.Chart {
	t.Helper()
	tree := fstest.MapFS{}
	for name, text := range files {
		tree["own/"+name] = &fstest.MapFile{Data: []byte(text)}
	}
	archive, err := charts.Pack(tree, "own")
	noError(t, err)
	return &deploy.Chart{Archive: archive, Name: "own", Version: "0.1.0"}
}
