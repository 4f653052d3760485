package workload

import (
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// cloneSetKind is the kind in the owner references of pods, claims and revisions.
var cloneSetKind = v1beta1.GroupVersion.WithKind("CloneSet")

// Owned are the objects whose controller a workload is.
type Owned struct {
	Pods      []*corev1.Pod
	Claims    []*corev1.PersistentVolumeClaim
	Revisions []*appsv1.ControllerRevision
	// PodExists tells whether a pod of a name exists, whoever owns it. Nil: there are no others.
	PodExists func(name string) bool
}

// CloneSet is a CloneSet with what belongs to it.
type CloneSet struct {
	*Revisions
	// Set is the CloneSet itself. It is only read.
	Set *v1beta1.CloneSet
	// Pods are the pods that it owns and selects, Strays those that it owns and no longer selects.
	Pods, Strays []*corev1.Pod
	// Claims are its claims by instance id.
	Claims map[string][]*corev1.PersistentVolumeClaim

	ids       map[string]bool // instance ids of pods, also of those that end
	podExists func(name string) bool
}

// NewCloneSet reads a CloneSet. The error names the field that cannot be read.
func NewCloneSet(set *v1beta1.CloneSet, owned Owned) (*CloneSet, error) {
	c := &CloneSet{
		Set: set, Claims: map[string][]*corev1.PersistentVolumeClaim{}, ids: map[string]bool{}, podExists: owned.PodExists,
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	for _, pod := range owned.Pods {
		c.ids[pod.Labels[v1beta1.CloneSetInstanceID]] = true
		if pod.DeletionTimestamp == nil && !selector.Matches(labels.Set(pod.Labels)) {
			c.Strays = append(c.Strays, pod)
			continue
		}
		c.Pods = append(c.Pods, pod)
	}
	for _, claim := range owned.Claims {
		if id := claim.Labels[v1beta1.CloneSetInstanceID]; id != "" {
			c.Claims[id] = append(c.Claims[id], claim)
		}
	}
	collisions := int32(0)
	if set.Status.CollisionCount != nil {
		collisions = *set.Status.CollisionCount
	}
	c.Revisions, err = ReadRevisions(set.Name, owned.Revisions, &set.Spec.Template, set.Status.CurrentRevision, collisions)
	return c, err
}

// Plan decides what to do now. newID makes up an instance id.
func (c *CloneSet) Plan(now time.Time, newID func() string) (podset.Plan, error) {
	pool, err := c.Pool(newID)
	if err != nil {
		return podset.Plan{}, err
	}
	return pool.Plan(now, c.Replicas(now)), nil
}

// Pool is what the CloneSet wants of its pods. newID makes up an instance id.
func (c *CloneSet) Pool(newID func() string) (*podset.Pool, error) {
	pool, err := poolOf(c.Set)
	if err != nil {
		return nil, err
	}
	pool.UpdateRevision, pool.CurrentRevision = c.Update, c.Current
	pool.Change = c.Change
	pool.FreshSlots = func(n int) []string { return c.freshIDs(n, newID) }
	return &pool, nil
}

// Replicas reads the facts about the pods.
func (c *CloneSet) Replicas(now time.Time) []replica.Replica {
	options := replica.Options{
		Now: now, MinReadySeconds: c.Set.Spec.MinReadySeconds, Hooks: c.Set.Spec.Lifecycle, SlotLabel: v1beta1.CloneSetInstanceID,
	}
	out := make([]replica.Replica, len(c.Pods))
	for i, pod := range c.Pods {
		out[i] = replica.Of(pod, options)
	}
	return out
}

// Owner is the owner reference of everything that the CloneSet owns.
func (c *CloneSet) Owner() metav1.OwnerReference {
	return *metav1.NewControllerRef(c.Set, cloneSetKind)
}

// NewRevision makes the revision of the template, to be created.
func (c *CloneSet) NewRevision() *appsv1.ControllerRevision {
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: c.Set.Namespace, Name: c.Update,
			Labels:          maps.Clone(c.Set.Spec.Template.Labels),
			Annotations:     maps.Clone(c.Set.Annotations),
			OwnerReferences: []metav1.OwnerReference{c.Owner()},
		},
		Revision: revision.Next(c.History),
	}
	r.Data.Raw = c.Data
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels[revision.HashLabel] = revision.ShortHash(r.Name)
	delete(r.Annotations, corev1.LastAppliedConfigAnnotation)
	return r
}

// NewPod makes the pod of a step that creates one, and the claims that must be created before it.
func (c *CloneSet) NewPod(step podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	template, err := c.Template(step.To)
	if err != nil {
		return nil, nil, err
	}
	owner := c.Owner()
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.GenerateName = c.Set.Namespace, c.podName(step.Slot), ""
	pod.OwnerReferences = append(pod.OwnerReferences, owner)
	podset.Prepare(pod, step.To, c.Set.Spec.Lifecycle)
	pod.Labels[v1beta1.CloneSetInstanceID] = step.Slot

	var claims []*corev1.PersistentVolumeClaim
	for i := range c.Set.Spec.VolumeClaimTemplates {
		template := &c.Set.Spec.VolumeClaimTemplates[i]
		claim := claimOf(template, template.Name+"-"+pod.Name, c.Set.Spec.Selector.MatchLabels, owner)
		claim.Namespace = c.Set.Namespace
		claim.Labels[v1beta1.CloneSetInstanceID] = step.Slot
		Mount(&pod.Spec, template.Name, claim.Name)
		if !slices.ContainsFunc(c.Claims[step.Slot], func(c *corev1.PersistentVolumeClaim) bool { return c.Name == claim.Name }) {
			claims = append(claims, claim)
		}
	}
	return pod, claims, nil
}

// Target tells where an update of a pod in place leads to.
func (c *CloneSet) Target(_ *corev1.Pod, step podset.Step) (inplace.Target, error) {
	template, err := c.Template(step.To)
	if err != nil {
		return inplace.Target{}, err
	}
	t := inplace.Target{
		Revision: step.To, Hash: revision.ShortHash(step.To), Template: template,
		Change: c.Change(step.Pod.Revision),
		Hooked: c.Set.Spec.Lifecycle != nil && lifecycle.Hooked(c.Set.Spec.Lifecycle.InPlaceUpdate),
	}
	if r := c.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		t.GraceSeconds = r.InPlaceUpdateStrategy.GracePeriodSeconds
	}
	return t, nil
}

// ClaimsOf lists the claims that go with a pod.
func (c *CloneSet) ClaimsOf(step podset.Step) []*corev1.PersistentVolumeClaim {
	return c.Claims[step.Pod.Slot]
}

// ExpiredClaims lists claims that no pod has and no pod may have again.
func (c *CloneSet) ExpiredClaims() []*corev1.PersistentVolumeClaim {
	if c.Set.Spec.ScaleStrategy.EnablePVCReuse {
		return nil
	}
	var out []*corev1.PersistentVolumeClaim
	for _, id := range c.idleClaims() {
		out = append(out, c.Claims[id]...)
	}
	return out
}

// RemainingPodsToDelete lists the names in podsToDelete without those of pods that are gone.
func (c *CloneSet) RemainingPodsToDelete() []string {
	names := make(map[string]bool, len(c.Pods))
	for _, pod := range c.Pods {
		names[pod.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(c.Set.Spec.ScaleStrategy.PodsToDelete), func(name string) bool { return !names[name] })
}

// freshIDs makes up instance ids that are not in use. Where the set lets claims be used again, ids of claims that no pod
// has go first.
func (c *CloneSet) freshIDs(n int, newID func() string) []string {
	var out []string
	if c.Set.Spec.ScaleStrategy.EnablePVCReuse {
		idle := c.idleClaims()
		out = append(out, idle[:min(n, len(idle))]...)
	}
	for len(out) < n {
		if id := newID(); !c.ids[id] && c.Claims[id] == nil {
			c.ids[id] = true
			out = append(out, id)
		}
	}
	return out
}

// idleClaims lists the instance ids of claims that no pod has and nobody deletes, in order. A pod that the set let go of
// keeps its claims.
func (c *CloneSet) idleClaims() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Claims)), func(id string) bool {
		return c.ids[id] || c.podExists != nil && c.podExists(c.podName(id)) || terminating(c.Claims[id])
	})
}

func (c *CloneSet) podName(id string) string { return c.Set.Name + "-" + id }
