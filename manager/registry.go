// Package manager is kruise-manager: the list of everything that it runs.
//
// It promises that the list is complete: a controller, a webhook or a converter runs if and only if it stands here,
// its gate is on and the CustomResourceDefinition of its kind is installed.
package manager

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	policyv1alpha1 "kruise.io/kruise/api/policy/v1alpha1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/convert"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/manager/containerrecreaterequest"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/manager/images"
	"kruise.io/kruise/manager/launchpriority"
	"kruise.io/kruise/manager/nodepodprobe"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/manager/persistentpodstate"
	"kruise.io/kruise/manager/pod"
	"kruise.io/kruise/manager/podprobemarker"
	"kruise.io/kruise/manager/podreadiness"
	"kruise.io/kruise/manager/podunavailablebudget"
	"kruise.io/kruise/manager/protection"
	"kruise.io/kruise/manager/sidecarset"
	"kruise.io/kruise/manager/sidecarterminator"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/plan/affinity"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/workload"
)

// Name is the name of the program, its lease and its user agent.
const Name = "kruise-manager"

// Options is what the flags say.
type Options struct {
	// ExternalCerts says that somebody else keeps the webhook certificate.
	ExternalCerts bool
	// Kinds limits the manager to work on kinds of these names; empty is all. Objects of the others are admitted, converted and
	// protected as ever.
	Kinds []string
	// WebhooksOnly runs no controllers.
	WebhooksOnly bool
	// Workloads are what feature gates and flags say about workloads of all kinds.
	Workloads workload.Options
	// CloneSetWorkers is how many CloneSets are worked on at a time.
	CloneSetWorkers int
	// DaemonSetWorkers is how many DaemonSets are worked on at a time.
	DaemonSetWorkers int
	// StatefulSetWorkers is how many StatefulSets are worked on at a time.
	StatefulSetWorkers int
	// PersistentPodStateWorkers is how many PersistentPodStates are worked on at a time.
	PersistentPodStateWorkers int
	// Recreate are the options of ContainerRecreateRequests.
	Recreate containerrecreaterequest.Options
	// Images tunes the controllers that pull images ahead.
	Images images.Options
	// SidecarSets are the options of SidecarSets; their namespace and whom they ask is filled in.
	SidecarSets sidecarset.Options
	// Pod tunes the admission of pods.
	Pod pod.Options
	// Budgets say what PodUnavailableBudgets protect pods from, and BudgetWorkers how many are worked on at a time.
	Budgets       disruption.Options
	BudgetWorkers int
	// Protection switches the protection against deletion.
	Protection protection.Options
	// TerminateSidecars ends the sidecars of jobs with their work.
	TerminateSidecars bool
	// Probes switches PodProbeMarkers on, for which the workers work: so many markers and nodes at a time.
	Probes                                     bool
	PodProbeMarkerWorkers, NodePodProbeWorkers int

	// others are the kinds of workloads besides StatefulSets whose pods are remembered, as the cluster's configuration lists them.
	others affinity.Kinds
}

// entry is one kind that the manager knows.
type entry struct {
	// kind and version name what must be served by the API server for the entry to run.
	kind schema.GroupVersionKind
	// needed names kinds that need this one: where they are switched on by name, so is it.
	needed []string
	// beside names kinds that the controller looks at, too: it does not run while one of them is not served.
	beside []string
	// on is the gate.
	on bool
	// forAll says that the kind is none of ours, so the entry runs whatever kinds the manager is limited to.
	forAll bool
	// converts says how versions are converted, if it takes more than another apiVersion.
	converts *convert.Kind
	// every adds what every replica has beside its webhooks, if there is any.
	every func(ctx context.Context, mgr ctrl.Manager) error
	// webhook and controller add them to the manager. A kind that no user writes has no webhook, one that is only judged no
	// controller. The webhook is served whatever kinds the manager is limited to: the API server asks all the same, and would
	// refuse every object where nobody answers.
	webhook    func(mgr ctrl.Manager) error
	controller func(ctx context.Context, mgr ctrl.Manager) error
}

// worked says whether the manager works on the kind of the entry.
func (e entry) worked(o *Options) bool {
	return e.forAll || slices.ContainsFunc(append(e.needed, e.kind.Kind), o.worksOn)
}

// runs says whether anything runs for the kind, if it is served.
func (e entry) runs(o *Options) bool { return e.on && (e.webhook != nil || e.worked(o)) }

// worksOn says whether a kind is among those that the manager is limited to.
func (o *Options) worksOn(kind string) bool {
	return len(o.Kinds) == 0 || slices.Contains(o.Kinds, kind)
}

// unknown are the names among those that the manager is limited to that no kind has.
func (o *Options) unknown() []string {
	return slices.DeleteFunc(slices.Clone(o.Kinds), func(name string) bool {
		return slices.ContainsFunc(registry(o, serve.Place{}), func(e entry) bool { return e.kind.Kind == name })
	})
}

// registry is THE list.
func registry(o *Options, place serve.Place) []entry {
	desk := permits.New(o.Budgets)
	budgets := podunavailablebudget.Options{Workers: o.BudgetWorkers, Permits: desk, Reserved: place.Reserved()}
	cloneSets, cloneSet := cloneset.Conversion(), cloneset.Options{Workers: o.CloneSetWorkers, Permits: desk, Options: o.Workloads}
	daemonSets, daemonSet := daemonset.Conversion(), daemonset.Options{Workers: o.DaemonSetWorkers, Permits: desk, Options: o.Workloads}
	statefulSet := statefulset.Options{Workers: o.StatefulSetWorkers, Permits: desk, Options: o.Workloads}
	sidecarSets, sidecarSet := sidecarset.Conversion(), o.SidecarSets
	sidecarSet.Namespace, sidecarSet.Only, sidecarSet.Permits = place.Namespace, place.Only, desk
	states, state := persistentpodstate.Conversion(), persistentpodstate.Options{Workers: o.PersistentPodStateWorkers, Others: o.others, Reserved: place.Reserved(), Options: o.Workloads}
	pulls := &images.Shared{Options: o.Images}
	nodeImage, job, list := v1beta1.GroupVersion.WithKind("NodeImage"), v1beta1.GroupVersion.WithKind("ImagePullJob"), v1beta1.GroupVersion.WithKind("ImageListPullJob")
	markers := podprobemarker.Options{Workers: o.PodProbeMarkerWorkers, Off: !o.Probes}
	pods := o.Pod
	pods.Permits, pods.Others = desk, o.others
	pods.Sidecars, pods.Returns = o.worksOn("SidecarSet"), o.worksOn("PersistentPodState")
	pods.Serverless = pods.Serverless && o.worksOn("PodProbeMarker")
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
		{kind: nodeImage, on: o.Images.Enabled, needed: []string{job.Kind, list.Kind}, beside: []string{job.Kind, list.Kind}, controller: pulls.SetupNodeImages},
		// Their webhooks are served even where nobody works on them, to say so.
		{kind: job, on: true, needed: []string{list.Kind}, beside: []string{nodeImage.Kind, list.Kind}, webhook: o.Images.SetupJobWebhook, controller: pulls.SetupJobs},
		{kind: list, on: true, beside: []string{nodeImage.Kind, job.Kind}, webhook: o.Images.SetupListWebhook, controller: pulls.SetupLists},
		{
			kind: v1beta1.GroupVersion.WithKind("ContainerRecreateRequest"), on: true, webhook: o.Recreate.SetupWebhook,
			controller: func(ctx context.Context, mgr ctrl.Manager) error { return setupRecreate(ctx, mgr, o) },
		},
		// Before pods, whose admission asks for the budgets. Its webhook is served even where no gate is on, to say so.
		{
			kind: policyv1beta1.GroupVersion.WithKind("PodUnavailableBudget"), on: true, webhook: budgets.SetupWebhook, every: budgets.Open,
			controller: budgets.SetupController,
		},
		{
			kind: corev1.SchemeGroupVersion.WithKind("Pod"), on: true, forAll: true,
			webhook:    func(mgr ctrl.Manager) error { return pods.SetupWebhook(mgr, place.Namespace) },
			controller: func(ctx context.Context, mgr ctrl.Manager) error { return setupPods(ctx, mgr, pods, place) },
		},
		{
			kind: v1beta1.GroupVersion.WithKind("SidecarSet"), on: true, converts: &sidecarSets,
			webhook: sidecarSet.SetupWebhook, controller: sidecarSet.SetupController,
		},
		{
			// Its webhook is served even where nobody probes, to say so.
			kind: v1alpha1.GroupVersion.WithKind("PodProbeMarker"), on: true, webhook: markers.SetupWebhook, controller: markers.SetupController,
		},
		{
			kind: v1alpha1.GroupVersion.WithKind("NodePodProbe"), on: o.Probes, needed: []string{"PodProbeMarker"}, beside: []string{"PodProbeMarker"},
			controller: func(ctx context.Context, mgr ctrl.Manager) error {
				return nodepodprobe.SetupController(ctx, mgr, nodepodprobe.Options{Workers: o.NodePodProbeWorkers, Serverless: o.Pod.Serverless})
			},
		},
		{
			kind: v1beta1.GroupVersion.WithKind("PersistentPodState"), on: true, converts: &states, webhook: state.SetupWebhook,
			controller: func(ctx context.Context, mgr ctrl.Manager) error {
				return persistentpodstate.SetupController(ctx, mgr, state)
			},
		},
		// Served with the gate off, too: the API server may still ask on behalf of another replica.
		{kind: corev1.SchemeGroupVersion.WithKind("Namespace"), on: true, forAll: true, webhook: o.Protection.SetupWebhook},
		{
			kind: v1beta1.GroupVersion.WithKind("StatefulSet"), on: true, webhook: statefulSet.SetupWebhook,
			controller: func(ctx context.Context, mgr ctrl.Manager) error {
				return statefulset.SetupController(ctx, mgr, statefulSet)
			},
		},
	}
}

// setupRecreate adds the controllers of ContainerRecreateRequests, and of what makes some.
func setupRecreate(ctx context.Context, mgr ctrl.Manager, o *Options) error {
	err := o.Recreate.SetupController(ctx, mgr)
	if err == nil && o.TerminateSidecars {
		err = sidecarterminator.SetupController(mgr)
	}
	return err
}

// setupPods adds the controllers that go with the admission of pods. With its gate off, one is left: it takes away the
// webhooks of an earlier run.
func setupPods(ctx context.Context, mgr ctrl.Manager, o pod.Options, place serve.Place) error {
	err := pod.SetupController(ctx, mgr, o, place)
	if err == nil && o.Enabled {
		err = launchpriority.SetupController(mgr)
	}
	if err == nil && o.Enabled && o.GateForAll {
		err = podreadiness.SetupController(mgr)
	}
	return err
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
		Mutating:      []string{"kruise-mutating-webhook-configuration", pod.MutatingConfiguration},
		Validating:    []string{"kruise-validating-webhook-configuration", pod.ValidatingConfiguration},
		ExternalCerts: o.ExternalCerts,
		Setup: func(ctx context.Context, mgr ctrl.Manager, place serve.Place) error {
			return setup(ctx, mgr, o, place)
		},
	}
	for _, e := range registry(o, serve.Place{}) {
		if e.converts != nil {
			component.Converts = append(component.Converts, *e.converts)
		}
	}
	return component, nil
}

// NewScheme makes a scheme that knows the kinds of Kubernetes and ours.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme, policyv1beta1.AddToScheme, policyv1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("making the scheme: %w", err)
		}
	}
	return scheme, nil
}

// setup adds to the manager what stands in the registry and can run.
func setup(ctx context.Context, mgr ctrl.Manager, o *Options, place serve.Place) error {
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
	others, theirs, err := listed(ctx, mgr, place)
	if err != nil {
		return err
	}
	missing, err := unserved(mgr, o)
	if err != nil {
		return err
	}
	o.others = others
	if has(missing, "ImagePullJob") {
		o.Workloads.PullAhead, o.Workloads.PullAheadForDaemonSets = false, false
	}
	for _, e := range registry(o, place) {
		logger := log.FromContext(ctx).WithValues("kind", e.kind.Kind)
		switch {
		case !e.runs(o):
			logger.Info("The kind is switched off")
		case has(missing, e.kind.Kind):
			logger.Info("The API server does not serve the kind, so nothing is run for it until its CustomResourceDefinition is installed", "version", e.kind.GroupVersion().String())
		default:
			if err := e.setup(log.IntoContext(ctx, logger), mgr, o, missing); err != nil {
				return fmt.Errorf("setting up %s: %w", e.kind.Kind, err)
			}
		}
	}
	return await(mgr, place, append(theirs, missing...))
}

// unserved are the kinds that something would run for, and that the API server does not serve.
func unserved(mgr ctrl.Manager, o *Options) ([]schema.GroupVersionKind, error) {
	var missing []schema.GroupVersionKind
	for _, e := range registry(o, serve.Place{}) {
		if !e.runs(o) {
			continue
		}
		served, err := serve.IsServed(mgr, e.kind)
		if err != nil {
			return nil, err
		}
		if !served {
			missing = append(missing, e.kind)
		}
	}
	return missing, nil
}

// has says whether a kind of ours is among some.
func has(kinds []schema.GroupVersionKind, name string) bool {
	return slices.ContainsFunc(kinds, func(kind schema.GroupVersionKind) bool { return kind.Kind == name })
}

// setup adds to the manager what runs for the kind, where some are missing.
func (e entry) setup(ctx context.Context, mgr ctrl.Manager, o *Options, missing []schema.GroupVersionKind) error {
	logger := log.FromContext(ctx)
	if e.webhook != nil {
		if err := e.webhook(mgr); err != nil {
			return err
		}
	}
	if !e.worked(o) {
		logger.Info("Objects of the kind are admitted, and nobody works on them: CUSTOM_RESOURCE_ENABLE does not name it")
		return nil
	}
	if e.every != nil {
		if err := e.every(ctx, mgr); err != nil {
			return err
		}
	}
	if o.WebhooksOnly || e.controller == nil {
		return nil
	}
	if i := slices.IndexFunc(e.beside, func(name string) bool { return has(missing, name) }); i >= 0 {
		logger.Info("Objects of the kind are admitted, and nobody works on them until the API server serves another", "other", e.beside[i])
		return nil
	}
	return e.controller(ctx, mgr)
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
