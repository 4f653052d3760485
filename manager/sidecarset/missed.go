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
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// unsyncedPace is when to look again whether all sets are known.
const unsyncedPace = 200 * time.Millisecond

// missed finds the pods that sets should have been injected into and were not: each pod is looked at once when it appears, in
// an index of the sets, and never all pods for a set.
type missed struct {
	*Controller
	// wakes has looked at again the sets that missed pods.
	wakes chan event.GenericEvent
	// synced says whether all sets are in the index.
	synced func() bool

	mu   sync.Mutex
	sets sidecar.Index
	pods map[string]map[types.NamespacedName]types.UID // by set
}

// newMissed watches SidecarSets.
func newMissed(ctx context.Context, informers cache.Cache, c *Controller) (*missed, error) {
	m := &missed{Controller: c, wakes: make(chan event.GenericEvent), pods: map[string]map[types.NamespacedName]types.UID{}}
	informer, err := informers.GetInformer(ctx, &v1beta1.SidecarSet{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, err
	}
	told, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: m.put, UpdateFunc: func(_, now any) { m.put(now) }, DeleteFunc: m.forget,
	})
	if err != nil {
		return nil, err
	}
	m.synced = told.HasSynced
	return m, nil
}

func (m *missed) put(object any) {
	if set, ok := object.(*v1beta1.SidecarSet); ok {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.sets.Put(set)
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

// watch has each pod looked at when it appears and when its labels change.
func (m *missed) watch(mgr ctrl.Manager) error {
	err := ctrl.NewControllerManagedBy(mgr).
		Named("sidecarset-missed-pods").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Complete(m)
	if err != nil {
		return fmt.Errorf("watch pods that sidecars missed: %w", err)
	}
	return nil
}

// Reconcile looks at one pod.
func (m *missed) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if !m.synced() {
		return reconcile.Result{RequeueAfter: unsyncedPace}, nil
	}
	pod, exists := m.Pods.Get(req.NamespacedName)
	var by []string
	if exists && m.injects(pod.Namespace) {
		by = m.missedBy(pod)
	}
	for _, name := range m.note(req.NamespacedName, pod, by) {
		select {
		case m.wakes <- event.GenericEvent{Object: &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}}:
		case <-ctx.Done():
		}
	}
	return reconcile.Result{}, nil
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

func (m *missed) missedBy(pod *corev1.Pod) []string {
	labels := m.namespaceLabels(pod.Namespace)
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
