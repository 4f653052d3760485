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
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager/cloneset"
)

// Name is the name of the program, its lease and its user agent.
const Name = "kruise-manager"

// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=secrets,verbs=create
// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=secrets,resourceNames=kruise-webhook-certs,verbs=get;list;watch;update
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,verbs=create
// +kubebuilder:rbac:groups=coordination.k8s.io,namespace=kruise-system,resources=leases,resourceNames=kruise-manager,verbs=get;update
// +kubebuilder:rbac:groups="";events.k8s.io,resources=events,verbs=create;patch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=mutatingwebhookconfigurations,resourceNames=kruise-mutating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=admissionregistration.k8s.io,resources=validatingwebhookconfigurations,resourceNames=kruise-validating-webhook-configuration,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apiextensions.k8s.io,resources=customresourcedefinitions,resourceNames=clonesets.apps.kruise.io,verbs=get;list;watch;patch

// Options is what the flags say.
type Options struct {
	// Gates are the feature gates.
	Gates Gates
	// Kinds limits the manager to kinds of these names; empty is all.
	Kinds []string
	// CloneSet tunes the controller of CloneSets.
	CloneSet cloneset.Options
}

// entry is one kind that the manager knows.
type entry struct {
	// kind and version name what must be served by the API server for the entry to run.
	kind schema.GroupVersionKind
	// crd names the definition, if it converts between versions by our webhook.
	crd string
	// on is the gate.
	on bool
	// setup adds controller, webhook and converter to the manager.
	setup func(ctx context.Context, mgr ctrl.Manager, o *Options) error
}

// registry is THE list.
func registry(_ *Options) []entry {
	return []entry{
		{kind: v1beta1.GroupVersion.WithKind("CloneSet"), crd: "clonesets.apps.kruise.io", on: true, setup: setupCloneSet},
	}
}

func setupCloneSet(ctx context.Context, mgr ctrl.Manager, o *Options) error {
	if err := cloneset.SetupWebhook(mgr); err != nil {
		return err
	}
	return cloneset.SetupController(ctx, mgr, o.CloneSet)
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
		ExternalCerts: o.Gates.ExternalCerts,
		Setup:         func(ctx context.Context, mgr ctrl.Manager) error { return setup(ctx, mgr, o) },
	}
	for _, e := range registry(o) {
		if e.crd != "" {
			component.CRDs = append(component.CRDs, e.crd)
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
	for _, e := range registry(o) {
		logger := log.FromContext(ctx).WithValues("kind", e.kind.Kind)
		if !e.on || !wanted(o.Kinds, e.kind.Kind) {
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
		if err := e.setup(ctx, mgr, o); err != nil {
			return fmt.Errorf("setting up %s: %w", e.kind.Kind, err)
		}
	}
	return nil
}

func wanted(kinds []string, kind string) bool {
	return len(kinds) == 0 || slices.Contains(kinds, kind)
}
