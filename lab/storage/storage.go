// Package storage gives the lab's nodes persistent volumes that are made on demand and can grow.
//
// A volume is a folder below the folder of one node, offered as a "local" volume with an affinity to that node. All nodes of
// the lab share one host, so one process, which runs beside them, makes and removes the folders of all of them. A claim that
// asks for more gets it, where its class allows that: the volume's capacity and the claim's status follow. No quota stands
// behind a size: it is what the API says, not what the disk enforces.
package storage

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

const (
	// Provisioner is the name that storage classes use.
	Provisioner = "lab.kruise.io/local"
	// User is the name that the provisioner's client certificate carries; Manifests gives it its rights.
	User = "kruise-lab-provisioner"
)

// Manifests are the objects that a cluster needs before Run: the storage classes "standard" (the default one, whose volumes can
// grow) and "fixed" (whose volumes cannot), and the rights of User.
//
//go:embed storage.yaml
var Manifests []byte

// Options of the provisioner.
type Options struct {
	// Directory holds a folder for each node; volumes are in <Directory>/<node>/volumes. It is the same path on every node.
	Directory string
}

// Run makes, grows and removes volumes until ctx ends.
func Run(ctx context.Context, config *rest.Config, opts Options) error {
	directory, err := filepath.Abs(opts.Directory)
	if err != nil {
		return fmt.Errorf("folder for volumes %q: %w", opts.Directory, err)
	}
	if info, err := os.Stat(directory); err != nil || !info.IsDir() {
		return fmt.Errorf("folder for volumes %q must exist: it holds the folders of the nodes", directory)
	}
	clientset, err := kubernetes.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, storagev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("register the types: %w", err)
		}
	}
	mgr, err := ctrl.NewManager(config, manager.Options{
		Scheme:  scheme,
		Logger:  log.FromContext(ctx),
		Metrics: server.Options{BindAddress: "0"},
	})
	if err != nil {
		return fmt.Errorf("make the manager: %w", err)
	}
	expander := &expander{client: mgr.GetClient(), events: mgr.GetEventRecorder(User)}
	if err := ctrl.NewControllerManagedBy(mgr).Named("expander").For(&corev1.PersistentVolumeClaim{}).Complete(expander); err != nil {
		return fmt.Errorf("start the expander: %w", err)
	}
	err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
		controller.NewProvisionController(ctx, clientset, Provisioner, &provisioner{directory: directory},
			controller.LeaderElection(false),
			controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, time.Minute)),
		).Run(ctx)
		return nil
	}))
	if err != nil {
		return fmt.Errorf("start the provisioner: %w", err)
	}
	if err := mgr.Start(ctx); err != nil {
		return fmt.Errorf("run the provisioner: %w", err)
	}
	return nil
}
