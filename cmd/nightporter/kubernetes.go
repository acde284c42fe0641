//go:build !nokube

package main

import (
	"sync"

	"nightporter.dev/nightporter/internal/app"
	"nightporter.dev/nightporter/provider/deploy"
	"nightporter.dev/nightporter/provider/deploy/helm"
)

// kubernetes is what talks to clusters. It is linked here only, because Helm and
// the client are more than all the rest.
func kubernetes() *app.Kubernetes { return &app.Kubernetes{Helm: newHelm} }

func newHelm(o app.HelmOptions) (deploy.Deployer, error) {
	return helm.New(helm.Config{
		Open: clusters(o.Cluster), Log: o.Log,
		Place: func(service, environment string) helm.Place {
			namespace, release := o.Place(service, environment)
			return helm.Place{Namespace: namespace, Release: release}
		},
	})
}

// clusters remembers one connection for each way in: a changed configuration makes
// another.
func clusters(access func(environment string) (app.ClusterAccess, error)) func(string) (*helm.Cluster, error) {
	var mu sync.Mutex
	open := map[app.ClusterAccess]*helm.Cluster{}
	return func(environment string) (*helm.Cluster, error) {
		a, err := access(environment)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if c := open[a]; c != nil {
			return c, nil
		}
		c, err := helm.Connect(helm.Access{Kubeconfig: a.Kubeconfig, Context: a.Context, UserAgent: a.UserAgent})
		if err == nil {
			open[a] = c
		}
		return c, err
	}
}
