// Package apiserver gives tests a real kube-apiserver and etcd, with the CustomResourceDefinitions of the chart, and
// runs the manager's webhooks against it as a cluster would call them: over TLS, with the certificates that the manager
// makes and the CAs that it places.
//
// It promises that nothing is simulated but the cluster's other controllers, which do not run, and the network that leads from the
// API server to the Service of the managers, where a test has it called; that a test which cannot
// start a server fails and says what to do; and that tests in namespaces of their own do not disturb each other.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/checkout"
	"kruise.io/kruise/manager"
)

// Server is a running API server.
type Server struct {
	// Config talks to the server as an administrator, without a throttle.
	Config *rest.Config
	// Client reads from the server, never from a cache, and knows all kinds of the manager.
	Client client.WithWatch

	environment *envtest.Environment
	network     *network
	webhookPort int
	// atEnd is what Main ends before the server.
	atEnd []func() error
}

// Start starts a server whose CRDs convert, and whose webhook configurations call, on a port that RunWebhooks serves.
func Start(ctx context.Context) (*Server, error) {
	log.SetLogger(logr.Discard()) // tests look at the world, not at logs
	programs, err := findPrograms()
	if err != nil {
		return nil, err
	}
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{webhookPort: port, environment: &envtest.Environment{
		BinaryAssetsDirectory:    programs,
		ControlPlaneStartTimeout: time.Minute,
		ControlPlaneStopTimeout:  time.Minute,
	}}
	if s.network, err = newNetwork(ctx); err != nil {
		return nil, err
	}
	s.environment.ControlPlane.GetAPIServer().Configure().Set("egress-selector-config-file", s.network.configuration())
	if s.Config, err = s.environment.Start(); err != nil {
		// Part of it may run: what is left running would outlive the test.
		return nil, errors.Join(fmt.Errorf("starting kube-apiserver and etcd of %s: %w", programs, err), s.Stop())
	}
	s.Config.QPS = -1
	if err := s.prepare(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context) error {
	scheme, err := manager.NewScheme()
	if err != nil {
		return err
	}
	if err := apiextensionsv1.AddToScheme(scheme); err != nil {
		return fmt.Errorf("making a scheme: %w", err)
	}
	if s.Client, err = client.NewWithWatch(s.Config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client: %w", err)
	}
	crds, err := readCRDs(s.webhookPort)
	if err != nil {
		return err
	}
	objects := append(webhookConfigurations(s.webhookPort), namespace(ownNamespace), service())
	for _, crd := range crds {
		objects = append(objects, crd)
	}
	for _, object := range objects {
		if err := s.Client.Create(ctx, object); err != nil {
			return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
		}
	}
	if err := envtest.WaitForCRDs(s.Config, crds, envtest.CRDInstallOptions{MaxTime: time.Minute, PollInterval: 20 * time.Millisecond}); err != nil {
		return fmt.Errorf("waiting until the CRDs are served: %w", err)
	}
	return nil
}

// As is the server as a user sees it: replicas that it starts may do what the user may.
func (s *Server) As(user string) *Server {
	as := *s
	as.Config = rest.CopyConfig(s.Config)
	as.Config.Impersonate.UserName = user
	return &as
}

// Stop stops the server and forgets everything that it stored.
func (s *Server) Stop() error {
	err := s.environment.Stop()
	if err != nil {
		err = fmt.Errorf("stopping kube-apiserver and etcd: %w", err)
	}
	return errors.Join(err, s.network.close())
}

// Namespace makes a namespace for one test.
func (s *Server) Namespace(tb testing.TB) string {
	tb.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := s.Client.Create(tb.Context(), ns); err != nil {
		tb.Fatalf("creating a namespace: %v", err)
	}
	return ns.Name
}

func namespace(name string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// findPrograms returns the folder with kube-apiserver and etcd: that of KUBEBUILDER_ASSETS, or the newest of the lab.
func findPrograms() (string, error) {
	if assets := os.Getenv("KUBEBUILDER_ASSETS"); assets != "" {
		return assets, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder of this user: %w", err)
	}
	candidates, err := filepath.Glob(filepath.Join(cache, "kruise-lab", "bin", "kubernetes-*", "kube-apiserver"))
	if err != nil {
		return "", fmt.Errorf("looking for kube-apiserver: %w", err)
	}
	newest, found := time.Time{}, ""
	for _, candidate := range candidates {
		folder := filepath.Dir(candidate)
		info, err := os.Stat(filepath.Join(folder, "etcd"))
		if err == nil && info.ModTime().After(newest) {
			newest, found = info.ModTime(), folder
		}
	}
	if found == "" {
		return "", errors.New("there is no kube-apiserver and etcd to test with: run `make test-integration`, which builds them once (some minutes), or name a folder that has both in KUBEBUILDER_ASSETS")
	}
	return found, nil
}

// ChartFile is the path of a generated file of the chart.
func ChartFile(name string) (string, error) {
	root, err := checkout.Root()
	if err != nil {
		return "", fmt.Errorf("looking for %s of the chart: %w", name, err)
	}
	return filepath.Join(root, "deploy/chart/files", name), nil
}

// readCRDs reads the CRDs of the chart. Those that convert by webhook are told to call it on this machine.
func readCRDs(port int) ([]*apiextensionsv1.CustomResourceDefinition, error) {
	pattern, err := ChartFile("crds/*.yaml")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no CustomResourceDefinitions at %s: run `make generate`", pattern)
	}
	var crds []*apiextensionsv1.CustomResourceDefinition
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading a CRD: %w", err)
		}
		crd := &apiextensionsv1.CustomResourceDefinition{}
		if err := yaml.UnmarshalStrict(text, crd); err != nil {
			return nil, fmt.Errorf("reading the CRD %s: %w", file, err)
		}
		if conversion := crd.Spec.Conversion; conversion != nil && conversion.Webhook != nil {
			url := urlOf(port, *conversion.Webhook.ClientConfig.Service.Path)
			conversion.Webhook.ClientConfig = &apiextensionsv1.WebhookClientConfig{URL: &url}
		}
		crds = append(crds, crd)
	}
	return crds, nil
}
