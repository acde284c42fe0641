package helm

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"time"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/kube"
	"helm.sh/helm/v4/pkg/storage"
	"helm.sh/helm/v4/pkg/storage/driver"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"nightporter.dev/nightporter"
)

// Cluster is a connection to a Kubernetes cluster.
type Cluster struct {
	// Client reads objects. Required.
	Client kubernetes.Interface
	// Rest connects Helm, for a namespace. Required, unless Kube and
	// Capabilities are set.
	Rest func(namespace string) genericclioptions.RESTClientGetter
	// Kube replaces Helm's own client; for tests.
	Kube kube.Interface
	// Capabilities replace what the cluster says that it can; for tests.
	Capabilities *common.Capabilities
}

// Access says how to connect to a cluster.
type Access struct {
	// Kubeconfig is a file. "" means the usual places: $KUBECONFIG, then
	// ~/.kube/config, then the service account of the pod that we run in.
	Kubeconfig string
	// Context is one of the file's contexts. "" means its current one.
	Context string
	// UserAgent is what the cluster's own audit log shows. "" means "nightporter".
	UserAgent string
}

// requestTimeout bounds one request to a cluster.
const requestTimeout = 30 * time.Second

// Connect reads the configuration. It makes no request.
func Connect(a Access) (*Cluster, error) {
	config, err := a.loader("").ClientConfig()
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the kubeconfig cannot be used").
			WithHint("check it with: kubectl --kubeconfig %q --context %q version", a.Kubeconfig, a.Context)
	}
	config.Timeout, config.QPS, config.Burst = requestTimeout, 50, 100
	config.UserAgent = "nightporter"
	if a.UserAgent != "" {
		config.UserAgent = a.UserAgent
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, nightporter.Wrap(err, nightporter.Invalid, "the kubeconfig cannot be used")
	}
	found := memory.NewMemCacheClient(client.Discovery())
	mapper := restmapper.NewDeferredDiscoveryRESTMapper(found)
	return &Cluster{Client: client, Rest: func(namespace string) genericclioptions.RESTClientGetter {
		return getter{config: config, found: found, mapper: mapper, loader: a.loader(namespace)}
	}}, nil
}

func (a Access) loader(namespace string) clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.Kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: a.Context, Context: clientcmdapi.Context{Namespace: namespace},
	})
}

// getter hands one connection to Helm, which asks in four ways. What the cluster
// offers is remembered in memory, not in files under the home folder.
type getter struct {
	config *rest.Config
	found  discovery.CachedDiscoveryInterface
	mapper meta.ResettableRESTMapper
	loader clientcmd.ClientConfig
}

func (g getter) ToRESTConfig() (*rest.Config, error) { return rest.CopyConfig(g.config), nil }
func (g getter) ToDiscoveryClient() (discovery.CachedDiscoveryInterface, error) {
	return g.found, nil
}
func (g getter) ToRESTMapper() (meta.RESTMapper, error)        { return g.mapper, nil }
func (g getter) ToRawKubeConfigLoader() clientcmd.ClientConfig { return g.loader }

// site is one release in a cluster.
type site struct {
	*Cluster
	Place
	environment string
	log         *slog.Logger
}

// helm prepares Helm's actions for the release.
func (s *site) helm() *action.Configuration {
	cfg := action.NewConfiguration(action.ConfigurationSetLogger(s.log.Handler()))
	d := driver.NewSecrets(s.Client.CoreV1().Secrets(s.Namespace))
	d.SetLogger(s.log.Handler())
	cfg.Releases = storage.Init(d)
	cfg.KubeClient, cfg.Capabilities = s.Kube, s.Capabilities
	if s.Rest != nil {
		cfg.RESTClientGetter = s.Rest(s.Namespace)
	}
	if cfg.KubeClient == nil {
		client := kube.New(s.Rest(s.Namespace))
		client.Namespace = s.Namespace
		client.SetLogger(s.log.Handler())
		cfg.KubeClient = client
	}
	return cfg
}

// fault turns what a cluster answered into one of our errors.
func (s *site) fault(err error, doing string, args ...any) error {
	code := nightporter.Invalid
	var ours *nightporter.Error
	switch {
	case errors.As(err, &ours), errors.Is(err, context.Canceled):
		return err
	case transient(err):
		code = nightporter.Unavailable
	}
	e := nightporter.Wrap(err, code, doing+": %s", append(args, clip(err.Error()))...)
	switch {
	case apierrors.IsForbidden(err):
		return e.WithHint("give Nightporter's identity in the cluster the rights that docs/kubernetes.md lists, in the namespace %s", s.Namespace)
	case apierrors.IsConflict(err):
		return e.WithHint("another program owns these fields: let only one of them set them (kubectl get -o yaml --show-managed-fields)")
	}
	return e
}

// transient says that trying again may help: the cluster did not answer, or said
// that it could not just now.
func transient(err error) bool {
	var network net.Error
	var address *url.Error
	switch {
	case errors.As(err, &network), errors.As(err, &address), errors.Is(err, context.DeadlineExceeded):
		return true
	case apierrors.IsServerTimeout(err), apierrors.IsTimeout(err), apierrors.IsTooManyRequests(err), apierrors.IsServiceUnavailable(err),
		apierrors.IsInternalError(err), apierrors.IsUnauthorized(err), apierrors.IsUnexpectedServerError(err):
		return true
	}
	return false
}
