package cloneset

import (
	"context"
	"fmt"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// work is one reconcile of one CloneSet: what was observed, what was decided, and what came of it.
type work struct {
	*Controller
	set *v1beta1.CloneSet
	key types.NamespacedName

	// observed
	pods     []*corev1.Pod // owned and selected
	strays   []*corev1.Pod // owned, but no longer selected
	byUID    map[types.UID]*corev1.Pod
	slots    map[string]bool                            // instance ids of pods, also of those that end
	claimsOf map[string][]*corev1.PersistentVolumeClaim // by instance id
	history  []*appsv1.ControllerRevision
	data     []byte                     // the template as revision data
	newest   *appsv1.ControllerRevision // the revision that equals the template, if it exists

	// read and compared once, by revision; mu guards them, since steps are carried out side by side
	mu        sync.Mutex
	templates map[string]*corev1.PodTemplateSpec
	changes   map[string]inplace.Change

	// decided
	updateRevision  string
	currentRevision string
	plan            podset.Plan
	decided         bool

	// done
	results        []podops.Result
	collisionCount *int32
}

func newWork(c *Controller, set *v1beta1.CloneSet) *work {
	return &work{
		Controller: c, set: set, key: client.ObjectKeyFromObject(set), collisionCount: set.Status.CollisionCount,
		byUID: map[types.UID]*corev1.Pod{}, slots: map[string]bool{},
		claimsOf: map[string][]*corev1.PersistentVolumeClaim{}, templates: map[string]*corev1.PodTemplateSpec{}, changes: map[string]inplace.Change{},
	}
}

// Observe gathers the set's pods, claims and revisions from the caches.
func (w *work) Observe(context.Context) error {
	selector, err := metav1.LabelSelectorAsSelector(w.set.Spec.Selector)
	if err != nil {
		return fmt.Errorf("spec.selector: %w", err)
	}
	owned, err := w.Controller.pods.OwnedBy(w.set.UID)
	if err != nil {
		return err
	}
	for _, pod := range owned {
		w.slots[pod.Labels[v1beta1.CloneSetInstanceID]] = true
		if pod.DeletionTimestamp == nil && !selector.Matches(labels.Set(pod.Labels)) {
			w.strays = append(w.strays, pod)
			continue
		}
		w.pods = append(w.pods, pod)
		w.byUID[pod.UID] = pod
	}
	claims, err := w.Controller.claims.OwnedBy(w.set.UID)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		if id := claim.Labels[v1beta1.CloneSetInstanceID]; id != "" {
			w.claimsOf[id] = append(w.claimsOf[id], claim)
		}
	}
	return w.observeRevisions()
}

// observeRevisions finds the revision that the template has, and the one of the last complete rollout.
func (w *work) observeRevisions() error {
	var err error
	if w.history, err = w.Controller.revisions.OwnedBy(w.set.UID); err != nil {
		return err
	}
	if w.data, err = revision.Data(&w.set.Spec.Template); err != nil {
		return err
	}
	w.newest = revision.Find(w.history, &w.set.Spec.Template, w.data)
	if w.newest != nil {
		w.updateRevision = w.newest.Name
	} else {
		w.updateRevision = revision.Name(w.set.Name, revision.Hash(w.data, collisions(w.collisionCount)))
	}
	w.currentRevision = w.updateRevision
	if w.revisionNamed(w.set.Status.CurrentRevision) != nil {
		w.currentRevision = w.set.Status.CurrentRevision
	}
	return nil
}

// podKey is the key of the pod with an instance id.
func (w *work) podKey(id string) types.NamespacedName {
	return types.NamespacedName{Namespace: w.set.Namespace, Name: w.set.Name + "-" + id}
}

func collisions(count *int32) int32 {
	if count == nil {
		return 0
	}
	return *count
}

// revisionNamed finds a revision by its name or by its short hash, as pods carry the one or the other.
func (w *work) revisionNamed(name string) *appsv1.ControllerRevision {
	if name == "" {
		return nil
	}
	for _, r := range w.history {
		if r.Name == name || r.Labels[revision.HashLabel] == name {
			return r
		}
	}
	return nil
}

// templateOf is the pod template of a revision. The newest one need not exist yet.
func (w *work) templateOf(name string) (*corev1.PodTemplateSpec, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.readTemplate(name)
}

// readTemplate is templateOf for those who hold mu.
func (w *work) readTemplate(name string) (*corev1.PodTemplateSpec, error) {
	if name == w.updateRevision {
		return &w.set.Spec.Template, nil
	}
	if t, ok := w.templates[name]; ok {
		return t, nil
	}
	r := w.revisionNamed(name)
	if r == nil {
		return nil, fmt.Errorf("revision %q is not among those kept", name)
	}
	t, err := revision.Template(r)
	if err != nil {
		return nil, err
	}
	w.templates[name] = t
	return t, nil
}
