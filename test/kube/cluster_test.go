//go:build kube

package kube

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

// cluster is a running control plane.
type cluster struct {
	dir        string
	server     string // https://127.0.0.1:…
	token      string // of an administrator
	kubeconfig string
	api        kubernetes.Interface // the judge
	binary     string
	parts      []*exec.Cmd
}

var shared *cluster

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	os.Exit(run(m))
}

// run starts one cluster for all tests. Each of them has namespaces of its own.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nightporter-kube-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	began := time.Now()
	c, err := start(dir)
	if c != nil {
		defer c.stop()
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "no cluster: %v\n", err)
		logs, _ := filepath.Glob(filepath.Join(dir, "*.log"))
		for _, name := range logs {
			if text, err := os.ReadFile(name); err == nil {
				fmt.Fprintf(os.Stderr, "--- %s\n%s\n", filepath.Base(name), tail(text, 2000))
			}
		}
		return 1
	}
	fmt.Fprintf(os.Stderr, "a cluster after %s\n", time.Since(began).Round(100*time.Millisecond))
	shared = c
	return m.Run()
}

func tail(text []byte, n int) []byte { return text[max(0, len(text)-n):] }

// start starts the parts, each when the one before answers.
func start(dir string) (*cluster, error) {
	binary := os.Getenv("NIGHTPORTER_KUBE")
	if binary == "" {
		return nil, fmt.Errorf("NIGHTPORTER_KUBE does not say where the control plane is: run make test-kube")
	}
	ports, err := freePorts(5)
	if err != nil {
		return nil, err
	}
	token := make([]byte, 16)
	_, _ = rand.Read(token)
	c := &cluster{dir: dir, binary: binary, token: hex.EncodeToString(token), server: "https://127.0.0.1:" + ports[0], kubeconfig: filepath.Join(dir, "kubeconfig")}
	if err := c.keys(); err != nil {
		return nil, err
	}
	if err := c.writeKubeconfig(c.kubeconfig, c.server); err != nil {
		return nil, err
	}
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = 200, 400
	if c.api, err = kubernetes.NewForConfig(config); err != nil {
		return nil, err
	}
	etcd, peer := "http://127.0.0.1:"+ports[1], "http://127.0.0.1:"+ports[2]
	err = c.part("etcd", "--name", "t", "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync=true", "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "t="+peer)
	if err != nil {
		return c, err
	}
	if err := answers(http.DefaultClient, etcd+"/health"); err != nil {
		return c, err
	}
	// The server does not advertise a loopback address: it is told one of those
	// for documentation (RFC 5737), which nobody dials.
	err = c.part("apiserver", "--etcd-servers", etcd, "--bind-address", "127.0.0.1", "--advertise-address", "198.51.100.1", "--secure-port", ports[0],
		"--endpoint-reconciler-type", "none", "--tls-cert-file", "api.crt", "--tls-private-key-file", "api.key", "--token-auth-file", "tokens.csv",
		"--authorization-mode", "RBAC", "--service-account-issuer", "https://kubernetes.default.svc", "--service-account-key-file", "sa.key",
		"--service-account-signing-key-file", "sa.key", "--service-cluster-ip-range", "10.96.0.0/16", "--profiling=false")
	if err != nil {
		return c, err
	}
	insecure := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	if err := answers(insecure, c.server+"/readyz"); err != nil {
		return c, err
	}
	for part, port := range map[string]string{"controller-manager": ports[3], "scheduler": ports[4]} {
		args := []string{
			"--kubeconfig", c.kubeconfig, "--authentication-kubeconfig", c.kubeconfig, "--authorization-kubeconfig", c.kubeconfig,
			"--leader-elect=false", "--bind-address", "127.0.0.1", "--secure-port", port,
		}
		if part == "controller-manager" {
			args = append(args, "--service-account-private-key-file", "sa.key", "--use-service-account-credentials=true")
		}
		if err := c.part(part, args...); err != nil {
			return c, err
		}
	}
	return c, c.joinNode()
}

// part starts one part of the control plane. It ends with us, whatever ends us.
func (c *cluster) part(name string, args ...string) error {
	log, err := os.Create(filepath.Join(c.dir, name+".log"))
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(c.binary, append([]string{name}, args...)...)
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.dir, log, log, endWithParent()
	if err := cmd.Start(); err != nil {
		return err
	}
	c.parts = append(c.parts, cmd)
	return nil
}

// stop ends them, the last one first. Nothing of them is kept, so nothing is asked.
func (c *cluster) stop() {
	for i := len(c.parts) - 1; i >= 0; i-- {
		_ = c.parts[i].Process.Kill()
		_ = c.parts[i].Wait()
	}
}

// answers waits until an address answers with 200.
func answers(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	last := "no answer"
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		if resp, err := client.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
			last = resp.Status
		} else {
			last = err.Error()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %s", url, last)
		}
	}
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // all at once, so that no port is named twice
		_, port, _ := net.SplitHostPort(l.Addr().String())
		out = append(out, port)
	}
	return out, nil
}

// keys writes the server's certificate, the key of service accounts and the
// administrator's token.
func (c *cluster) keys() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kube-apiserver"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(10, 96, 0, 1)}, DNSNames: []string{"localhost", "kubernetes.default.svc"},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	account, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	for name, text := range map[string][]byte{
		"api.crt":    pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"api.key":    pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"sa.key":     pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(account)}),
		"tokens.csv": []byte(c.token + ",admin,1,system:masters\n"),
	} {
		if err := os.WriteFile(filepath.Join(c.dir, name), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (c *cluster) writeKubeconfig(name, server string) error {
	ca := filepath.Join(c.dir, "api.crt")
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: t
clusters: [{name: t, cluster: {server: %q, certificate-authority: %q}}]
users: [{name: t, user: {token: %s}}]
contexts: [{name: t, context: {cluster: t, user: t}}]
`, server, ca, c.token)
	if server != c.server { // something in between, with a certificate of its own
		text = strings.Replace(text, fmt.Sprintf("certificate-authority: %q", ca), "insecure-skip-tls-verify: true", 1)
	}
	return os.WriteFile(name, bytes.TrimSpace([]byte(text)), 0o600)
}
