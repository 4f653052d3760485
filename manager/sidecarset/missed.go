package sidecarset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// unsyncedPace is when to look again whether all sets are known.
const unsyncedPace = 200 * time.Millisecond

// missed finds the pods that sets should have been injected into and were not: each pod is looked at when it appears, in an index
// of the sets. Events of different kinds come in any order, so a set that begins to select pods has those looked at again that
// were created since, once for all sets that come meanwhile; so has a namespace that appears or gets other labels.
type missed struct {
	*Controller
	// wakes has looked at again the sets that missed pods.
	wakes chan event.GenericEvent
	// again asks for a look at the pods that were created since the time below. One that is not taken yet is enough.
	again chan event.GenericEvent
	// synced says whether all sets are in the index.
	synced func() bool

	mu    sync.Mutex
	sets  sidecar.Index
	since *metav1.Time                                  // the earliest at which a set began to select whose pods were not looked at
	pods  map[string]map[types.NamespacedName]types.UID // by set
}

// newMissed watches SidecarSets.
func newMissed(ctx context.Context, informers cache.Cache, c *Controller) (*missed, error) {
	m := &missed{
		Controller: c, wakes: make(chan event.GenericEvent), again: make(chan event.GenericEvent, 1), pods: map[string]map[types.NamespacedName]types.UID{},
	}
	informer, err := informers.GetInformer(ctx, &v1beta1.SidecarSet{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	told, err := informer.AddEventHandler(toolscache.ResourceEventHandlerDetailedFuncs{AddFunc: m.add, UpdateFunc: m.update, DeleteFunc: m.forget})
	if err != nil {
		return nil, err
	}
	m.synced = told.HasSynced
	return m, nil
}

// add takes in a set. Pods wait until all those are in that there are at the beginning.
func (m *missed) add(object any, atTheBeginning bool) {
	if set, ok := object.(*v1beta1.SidecarSet); ok {
		m.put(set, !atTheBeginning)
	}
}

func (m *missed) update(before, now any) {
	old, ok := before.(*v1beta1.SidecarSet)
	if set, is := now.(*v1beta1.SidecarSet); ok && is {
		m.put(set, !sidecar.SameSelection(set, old))
	}
}

// put takes in a set, and has the pods looked at again that it may have missed if it selects others than before.
func (m *missed) put(set *v1beta1.SidecarSet, selects bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sets.Put(set)
	if !selects {
		return
	}
	if since := sidecar.Since(set); m.since == nil || since.Before(m.since) {
		m.since = &since
	}
	select {
	case m.again <- event.GenericEvent{Object: &v1beta1.SidecarSet{}}:
	default:
	}
}

func (m *missed) forget(object any) {
	if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = gone.Obj
	}
	if set, ok := object.(*v1beta1.SidecarSet); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sets.Delete(set.Name)
		delete(m.pods, set.Name)
	}
}

// watch has each pod looked at when it appears and when its labels or those of its namespace change.
func (m *missed) watch(mgr ctrl.Manager) error {
	changed := builder.WithPredicates(predicate.LabelChangedPredicate{})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("sidecarset-missed-pods").
		For(&corev1.Pod{}, changed).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(m.podsIn), changed).
		WatchesRawSource(source.Channel(m.again, &handler.EnqueueRequestForObject{})).
		Complete(m)
	if err != nil {
		return fmt.Errorf("watch pods that sidecars missed: %w", err)
	}
	return nil
}

// podsIn are the pods of a namespace.
func (m *missed) podsIn(_ context.Context, namespace client.Object) []reconcile.Request {
	pods, err := m.Pods.InNamespace(namespace.GetName())
	if err != nil {
		return nil
	}
	out := make([]reconcile.Request, 0, len(pods))
	for _, pod := range pods {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)})
	}
	return out
}

// Reconcile looks at one pod, or, where none is named, at those that sets may have missed before they were known.
func (m *missed) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !m.synced() {
		return reconcile.Result{RequeueAfter: unsyncedPace}, nil
	}
	if req.Name != "" {
		pod, _ := m.Pods.Get(req.NamespacedName)
		m.look(ctx, req.NamespacedName, pod)
		return reconcile.Result{}, nil
	}
	m.mu.Lock()
	since := m.since
	m.since = nil
	m.mu.Unlock()
	if since == nil {
		return reconcile.Result{}, nil
	}
	for _, pod := range m.Pods.All() {
		if !pod.CreationTimestamp.Before(since) {
			m.look(ctx, client.ObjectKeyFromObject(pod), pod)
		}
	}
	return reconcile.Result{}, nil
}

// look notes by which sets a pod is missed, which is nil once it is gone, and wakes those that have one more or one less.
func (m *missed) look(ctx context.Context, key types.NamespacedName, pod *corev1.Pod) {
	var by []string
	if pod != nil && m.injects(pod.Namespace) {
		by = m.missedBy(pod)
	}
	for _, name := range m.note(key, pod, by) {
		select {
		case m.wakes <- event.GenericEvent{Object: &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}}:
		case <-ctx.Done():
		}
	}
}

// note keeps by which sets a pod is missed, and returns the sets that have one more or one less.
func (m *missed) note(key types.NamespacedName, pod *corev1.Pod, by []string) (changed []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, pods := range m.pods { // few sets miss any
		if _, had := pods[key]; had && !slices.Contains(by, name) {
			changed = append(changed, name)
			if delete(pods, key); len(pods) == 0 {
				delete(m.pods, name)
			}
		}
	}
	for _, name := range by {
		if m.pods[name] == nil {
			m.pods[name] = map[types.NamespacedName]types.UID{}
		}
		m.pods[name][key] = pod.UID
	}
	return append(changed, by...)
}

// injects says whether anything is ever injected into the pods of a namespace.
func (m *missed) injects(namespace string) bool {
	return namespace != metav1.NamespaceSystem && namespace != metav1.NamespacePublic && namespace != m.namespace
}

// missedBy names the sets that missed a pod: none while its namespace is not known, which has it looked at again.
func (m *missed) missedBy(pod *corev1.Pod) []string {
	namespace, known := m.namespaces.Get(types.NamespacedName{Name: pod.Namespace})
	if !known {
		return nil
	}
	labels := namespace.Labels
	m.mu.Lock()
	matching := m.sets.Matching(labels, pod.Labels)
	m.mu.Unlock()
	return sidecar.Missed(pod, labels, matching)
}

// of names the pods that a set missed and that are still there, in their order.
func (m *missed) of(set string) []string {
	m.mu.Lock()
	pods := maps.Clone(m.pods[set])
	m.mu.Unlock()
	var out []string
	for key, uid := range pods {
		if pod, ok := m.Pods.Get(key); ok && pod.UID == uid && slices.Contains(m.missedBy(pod), set) {
			out = append(out, key.String())
		}
	}
	slices.Sort(out)
	return out
}
