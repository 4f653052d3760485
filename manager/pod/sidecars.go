package pod

import (
	"context"
	"errors"
	"fmt"
	"sync"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/podwebhook"
	"kruise.io/kruise/plan/sidecar"
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch

// asksForSidecars has each set ask for its pods, by itself: with its own policy, where it has one.
func asksForSidecars(w *world) ([]podwebhook.Demand, error) {
	if w.sets == nil {
		return nil, nil
	}
	var out []podwebhook.Demand
	for _, set := range w.sets.All() {
		if !sidecar.Injects(set) {
			continue
		}
		d := podwebhook.Demand{Pods: set.Spec.Selector, NamespaceSelector: set.Spec.NamespaceSelector, Policy: policyOf(set)}
		names, only := sidecar.Namespaces(set)
		if !only {
			out = append(out, d)
			continue
		}
		d.NamespaceSelector = nil
		for _, d.Namespace = range names {
			out = append(out, d)
		}
	}
	return out, nil
}

// policyOf is what a set says about pods that cannot be injected; empty is nothing.
func policyOf(set *v1beta1.SidecarSet) admissionregistrationv1.FailurePolicyType {
	switch p := admissionregistrationv1.FailurePolicyType(set.Annotations[v1beta1.SidecarSetInjectionFailurePolicyKey]); p {
	case admissionregistrationv1.Fail, admissionregistrationv1.Ignore:
		return p
	default:
		return ""
	}
}

// sidecars are what is injected into one pod, and what cannot be.
type sidecars struct {
	injections []sidecar.Injection
	problems   []sidecar.Problem
	options    sidecar.Options
	// policy is what becomes of a pod that a set cannot be injected into.
	policy map[string]admissionregistrationv1.FailurePolicyType
}

func injectSidecars(pod *corev1.Pod, f *facts) field.ErrorList {
	if f.sidecars == nil {
		return nil
	}
	var errs field.ErrorList
	for _, p := range append(f.sidecars.problems, sidecar.Inject(pod, f.sidecars.injections, f.sidecars.options)...) {
		if f.sidecars.policy[p.Set] == admissionregistrationv1.Ignore {
			f.warnings = append(f.warnings, fmt.Sprintf("SidecarSet %s is not injected: %v", p.Set, p.Err))
			continue
		}
		errs = append(errs, field.Forbidden(field.NewPath("spec"), fmt.Sprintf("SidecarSet %s cannot be injected: %v", p.Set, p.Err)))
	}
	return errs
}

// setStore finds the SidecarSets of a pod.
type setStore struct {
	namespaces *index.Store[*metav1.PartialObjectMetadata]
	live       client.Reader
	// revisions finds the revisions of a set; they are read once a set pins one.
	revisions func(set string) ([]*appsv1.ControllerRevision, error)
	policy    admissionregistrationv1.FailurePolicyType
	sort      bool

	mu    sync.RWMutex
	index sidecar.Index
}

// of gathers what is injected into a pod. identity is the name that the pod has, or gets.
func (s *setStore) of(ctx context.Context, pod *corev1.Pod, identity string) (*sidecars, error) {
	s.mu.RLock()
	some := s.index.Len() > 0
	s.mu.RUnlock()
	if !some {
		return nil, nil
	}
	namespace, err := s.namespace(ctx, pod.Namespace)
	if err != nil {
		return nil, err
	}
	s.mu.RLock()
	chosen := sidecar.Chosen(s.index.Matching(namespace, pod.Labels))
	s.mu.RUnlock()
	if len(chosen) == 0 {
		return nil, nil
	}
	out := &sidecars{options: sidecar.Options{Now: metav1.Now().Rfc3339Copy(), SortByName: s.sort}, policy: map[string]admissionregistrationv1.FailurePolicyType{}}
	for _, set := range chosen {
		out.policy[set.Name] = policyOf(set)
		if out.policy[set.Name] == "" {
			out.policy[set.Name] = s.policy
		}
		in, err := s.injection(set, pod, identity)
		if err != nil {
			out.problems = append(out.problems, sidecar.Problem{Set: set.Name, Err: err})
			continue
		}
		out.injections = append(out.injections, in)
	}
	return out, nil
}

// namespace reads the labels of a namespace. One that is so new that it is not cached yet is asked for.
func (s *setStore) namespace(ctx context.Context, name string) (map[string]string, error) {
	if found, ok := s.namespaces.Get(types.NamespacedName{Name: name}); ok {
		return found.Labels, nil
	}
	asked := metadataOf("Namespace")
	if err := s.live.Get(ctx, client.ObjectKey{Name: name}, asked); err != nil {
		return nil, fmt.Errorf("reading the labels of namespace %s, by which SidecarSets select: %w", name, err)
	}
	return asked.Labels, nil
}

// injection is a set at the revision that a pod gets.
func (s *setStore) injection(set *v1beta1.SidecarSet, pod *corev1.Pod, identity string) (sidecar.Injection, error) {
	newest := sidecar.Injection{Set: set}
	if set.Status.ObservedGeneration == set.Generation {
		newest.Revision = set.Status.LatestRevision
	}
	if !sidecar.IsPinned(set) {
		return newest, nil
	}
	revisions, err := s.revisions(set.Name)
	if err != nil {
		return newest, err
	}
	pinned := sidecar.Pinned(set, revisions)
	if pinned == nil {
		return newest, errors.New("there is no such revision as injectionStrategy.revision names")
	}
	if !sidecar.GetsPinned(set, pod, identity, pinned) {
		return newest, nil
	}
	at, err := sidecar.At(set, pinned)
	return sidecar.Injection{Set: at, Revision: pinned.Name}, err
}

// newSetStore watches SidecarSets for the admission of pods. It returns what says whether it knows them all.
func newSetStore(ctx context.Context, mgr ctrl.Manager, own string, o Options) (*setStore, func() bool, error) {
	namespaces, err := index.For(ctx, mgr.GetCache(), metadataOf("Namespace"))
	if err != nil {
		return nil, nil, err
	}
	s := &setStore{namespaces: namespaces, live: mgr.GetAPIReader(), sort: o.SortSidecars, policy: o.policy(sidecarLine().name, sidecarLine().policy)}
	if s.revisions, err = revisionsOf(ctx, mgr, own); err != nil {
		return nil, nil, err
	}
	informer, err := mgr.GetCache().GetInformer(ctx, &v1beta1.SidecarSet{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, nil, err
	}
	change := func(do func(set *v1beta1.SidecarSet)) func(any) {
		return func(obj any) {
			if gone, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			if set, ok := obj.(*v1beta1.SidecarSet); ok {
				s.mu.Lock()
				defer s.mu.Unlock()
				do(set)
			}
		}
	}
	put := change(s.index.Put)
	told, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: put, UpdateFunc: func(_, now any) { put(now) }, DeleteFunc: change(func(set *v1beta1.SidecarSet) { s.index.Delete(set.Name) }),
	})
	if err != nil {
		return nil, nil, err
	}
	return s, told.HasSynced, nil
}

// bySet finds revisions by their set.
var bySet = index.Index[*appsv1.ControllerRevision]{Name: "kruise/sidecarset", Values: func(r *appsv1.ControllerRevision) []string {
	return []string{r.Labels[v1beta1.SidecarSetNameKey]}
}}

// revisionsOf finds the revisions of a SidecarSet. They are watched from the first time on that somebody asks: most clusters
// pin none, and the history of thousands of sets is large.
func revisionsOf(ctx context.Context, mgr ctrl.Manager, own string) (func(set string) ([]*appsv1.ControllerRevision, error), error) {
	ours, err := metav1.ParseToLabelSelector(v1beta1.SidecarSetNameKey)
	if err != nil {
		return nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(ours)
	if err != nil {
		return nil, err
	}
	histories, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		ByObject: map[client.Object]cache.ByObject{
			&appsv1.ControllerRevision{}: {Label: selector, Field: fields.OneTermEqualSelector("metadata.namespace", own)},
		},
	})
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(everyReplica(histories.Start)); err != nil {
		return nil, err
	}
	var once sync.Mutex
	var store *index.Store[*appsv1.ControllerRevision]
	return func(set string) ([]*appsv1.ControllerRevision, error) {
		once.Lock()
		defer once.Unlock()
		if store == nil {
			watched, err := index.With(ctx, histories, &appsv1.ControllerRevision{}, bySet)
			if err != nil {
				return nil, err
			}
			if !histories.WaitForCacheSync(ctx) {
				return nil, errors.New("the manager stops")
			}
			store = watched
		}
		return store.By(bySet, set)
	}, nil
}

// metadataOf is the metadata of an object of a kind of Kubernetes' core.
func metadataOf(kind string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{}
	m.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	return m
}
