// Package manager is kruise-manager: the list of everything that it runs.
//
// It promises that the list is complete: a controller, a webhook or a converter runs if and only if it stands here,
// its gate is on and the CustomResourceDefinition of its kind is installed.
package manager

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/plan/workload"
)

// Name is the name of the program, its lease and its user agent.
const Name = "kruise-manager"

// Options is what the flags say.
type Options struct {
	// ExternalCerts says that somebody else keeps the webhook certificate.
	ExternalCerts bool
	// Kinds limits the manager to kinds of these names; empty is all.
	Kinds []string
	// WebhooksOnly runs no controllers.
	WebhooksOnly bool
	// Workloads are what feature gates and flags say about workloads of all kinds.
	Workloads workload.Options
	// CloneSetWorkers is how many CloneSets are worked on at a time.
	CloneSetWorkers int
	// DaemonSetWorkers is how many DaemonSets are worked on at a time.
	DaemonSetWorkers int
}

// entry is one kind that the manager knows.
type entry struct {
	// kind and version name what must be served by the API server for the entry to run.
	kind schema.GroupVersionKind
	// on is the gate.
	on bool
	// converts says how versions are converted, if it takes more than another apiVersion.
	converts *convert.Kind
	// webhook and controller add them to the manager.
	webhook    func(mgr ctrl.Manager) error
	controller func(ctx context.Context, mgr ctrl.Manager) error
}

// registry is THE list.
func registry(o *Options) []entry {
	cloneSets, cloneSet := cloneset.Conversion(), cloneset.Options{Workers: o.CloneSetWorkers, Options: o.Workloads}
	daemonSets, daemonSet := daemonset.Conversion(), daemonset.Options{Workers: o.DaemonSetWorkers, Options: o.Workloads}
	return []entry{
		{
			kind: v1beta1.GroupVersion.WithKind("CloneSet"), on: true, converts: &cloneSets, webhook: cloneSet.SetupWebhook,
			controller: func(ctx context.Context, mgr ctrl.Manager) error {
				return cloneset.SetupController(ctx, mgr, cloneSet)
			},
		},
		{
			kind: v1beta1.GroupVersion.WithKind("DaemonSet"), on: true, converts: &daemonSets, webhook: daemonSet.SetupWebhook,
			controller: func(ctx context.Context, mgr ctrl.Manager) error {
				return daemonset.SetupController(ctx, mgr, daemonSet)
			},
		},
	}
}

// Component is kruise-manager as serve runs it.
func Component(o *Options) (serve.Component, error) {
	scheme, err := NewScheme()
	if err != nil {
		return serve.Component{}, err
	}
	component := serve.Component{
		Name:          Name,
		Scheme:        scheme,
		Mutating:      []string{"kruise-mutating-webhook-configuration"},
		Validating:    []string{"kruise-validating-webhook-configuration"},
		ExternalCerts: o.ExternalCerts,
		Setup:         func(ctx context.Context, mgr ctrl.Manager) error { return setup(ctx, mgr, o) },
	}
	for _, e := range registry(o) {
		if e.converts != nil {
			component.Converts = append(component.Converts, *e.converts)
		}
	}
	return component, nil
}

// NewScheme makes a scheme that knows the kinds of Kubernetes and ours.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("making the scheme: %w", err)
		}
	}
	return scheme, nil
}

// setup adds to the manager what stands in the registry and can run.
func setup(ctx context.Context, mgr ctrl.Manager, o *Options) error {
	if o.Workloads.InPlace.Resources {
		served, err := servesResize(mgr)
		if err != nil {
			return err
		}
		if !served {
			log.FromContext(ctx).Info("WARNING: the API server does not serve pods/resize, which Kubernetes has since 1.33: pods are recreated for other resources, whatever the gate InPlaceWorkloadVerticalScaling says")
			o.Workloads.InPlace.Resources = false
		}
	}
	for _, e := range registry(o) {
		logger := log.FromContext(ctx).WithValues("kind", e.kind.Kind)
		if !e.on || len(o.Kinds) > 0 && !slices.Contains(o.Kinds, e.kind.Kind) {
			logger.Info("The kind is switched off")
			continue
		}
		_, err := mgr.GetRESTMapper().RESTMapping(e.kind.GroupKind(), e.kind.Version)
		if meta.IsNoMatchError(err) {
			logger.Info("The API server does not serve the kind, so nothing is run for it. Install its CustomResourceDefinition and restart", "version", e.kind.GroupVersion().String())
			continue
		}
		if err != nil {
			return fmt.Errorf("asking the API server for %s: %w", e.kind, err)
		}
		if err := e.webhook(mgr); err != nil {
			return fmt.Errorf("setting up %s: %w", e.kind.Kind, err)
		}
		if o.WebhooksOnly {
			continue
		}
		if err := e.controller(ctx, mgr); err != nil {
			return fmt.Errorf("setting up %s: %w", e.kind.Kind, err)
		}
	}
	return nil
}

// servesResize says whether the resources of pods can be changed in place.
func servesResize(mgr ctrl.Manager) (bool, error) {
	client, err := discovery.NewDiscoveryClientForConfigAndClient(mgr.GetConfig(), mgr.GetHTTPClient())
	if err != nil {
		return false, fmt.Errorf("asking the API server for pods/resize: %w", err)
	}
	core, err := client.ServerResourcesForGroupVersion("v1")
	if err != nil {
		return false, fmt.Errorf("asking the API server for pods/resize: %w", err)
	}
	return slices.ContainsFunc(core.APIResources, func(r metav1.APIResource) bool { return r.Name == "pods/resize" }), nil
}
