package helm

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"

	"nightporter.dev/nightporter"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/deploytest"
)

func TestDeployer(t *testing.T) {
	t.Parallel()
	deploytest.Run(t, func(t *testing.T) deploytest.World {
		c := newCluster(t)
		return deploytest.World{
			Deployer: c.deployer(),
			Request: func(version string, b deploytest.Behaviour) deploy.Request {
				return c.request(version, map[deploytest.Behaviour]string{
					deploytest.Good: "", deploytest.Silent: "-silent", deploytest.Crashing: "-crashing", deploytest.Old: "-old", deploytest.Stubborn: "-stubborn",
				}[b])
			},
			Starts: func(key string) int {
				c.mu.Lock()
				defer c.mu.Unlock()
				return c.puts[labelOf(key)]
			},
			Kill: func(deploy.Instance) {
				if err := c.api.Tracker().Delete(deployments, "dev", "ledger"); err != nil {
					t.Errorf("delete the Deployment: %v", err)
				}
			},
			Restart: func() deploy.Deployer { return c.deployer() },
		}
	})
}

// request asks for a version of the ledger whose image has a fate.
func (c *cluster) request(version, fate string) deploy.Request {
	c.t.Helper()
	v, err := nightporter.ParseVersion(version)
	if err != nil {
		c.t.Fatal(err)
	}
	return deploy.Request{
		Service: "ledger", Environment: "dev", Version: v, Commit: deploytest.CommitA,
		Artifact: deploy.Artifact(fmt.Sprintf("registry.test:5000/ledger:%s%s", version, fate)),
		Chart:    baseChart(c.t, "replicas: 1\n"), Health: deploy.Health{HTTP: "/healthz"},
	}
}

func (c *cluster) live(t *testing.T) *appsv1.Deployment {
	t.Helper()
	o, err := c.api.Tracker().Get(deployments, "dev", "ledger")
	if err != nil {
		t.Fatal(err)
	}
	return o.(*appsv1.Deployment)
}
