package workload

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// cloneSetKind is the kind in the owner references of pods, claims and revisions.
var cloneSetKind = v1beta1.GroupVersion.WithKind("CloneSet")

// CloneSet is a CloneSet with what belongs to it.
type CloneSet struct {
	*Revisions
	Options
	// Set is the CloneSet itself. It is only read.
	Set *v1beta1.CloneSet
	// Pods are the pods that it owns and selects, Strays those that it owns and no longer selects.
	Pods, Strays []*corev1.Pod
	// Orphans are revisions that it uses and nobody owns, as after they were restored from a backup. It has to own them.
	Orphans []*appsv1.ControllerRevision
	// Claims are its claims by instance id.
	Claims map[string][]*corev1.PersistentVolumeClaim

	all       []*corev1.Pod   // Pods and Strays
	ids       map[string]bool // instance ids of all, also of those that end; nil until somebody asks
	node      func(name string) map[string]string
	podExists func(name string) bool
}

// NewCloneSet reads a CloneSet. The error names the field that cannot be read.
func NewCloneSet(set *v1beta1.CloneSet, owned Owned, options Options) (*CloneSet, error) {
	c := &CloneSet{
		Set: set, Claims: map[string][]*corev1.PersistentVolumeClaim{}, all: owned.Pods,
		Options: options, node: owned.Node, podExists: owned.PodExists,
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	c.Pods, c.Strays = owned.selected(selector)
	for _, claim := range owned.Claims {
		if id := claim.Labels[v1beta1.CloneSetInstanceID]; id != "" {
			c.Claims[id] = append(c.Claims[id], claim)
		}
	}
	c.Orphans = owned.orphans(set.Name, selector, c.Pods, set.Status.UpdateRevision, set.Status.CurrentRevision)
	of := Definition{Workload: set, Owner: c.Owner(), Template: &set.Spec.Template, Current: set.Status.CurrentRevision, InPlace: options.InPlace}
	if set.Status.CollisionCount != nil {
		of.Collisions = *set.Status.CollisionCount
	}
	if options.RecreateForClaims && !inPlaceOnly(set) {
		if of.ClaimsHash, err = hashClaims(set.Spec.VolumeClaimTemplates); err != nil {
			return nil, err
		}
	}
	c.Revisions, err = ReadRevisions(slices.Concat(owned.Revisions, c.Orphans), of)
	return c, err
}

// inPlaceOnly says whether pods are never recreated for an update.
func inPlaceOnly(set *v1beta1.CloneSet) bool {
	r := set.Spec.UpdateStrategy.RollingUpdate
	return r != nil && r.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType
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
	pool.Rollback, pool.PreparingUpdateAsUpdate = c.PartitionRollback, c.Options.PreparingUpdateAsUpdate
	pool.ExcludePreparingDelete = pool.ExcludePreparingDelete || c.ExcludePreparingDelete
	pool.KeepsClaims = c.keepsClaims
	if keys := topologyKeys(&c.Set.Spec.Template); len(keys) > 0 && c.node != nil {
		pool.Spread = order.Spread{Keys: keys, Domain: func(node, key string) string { return c.node(node)[key] }}
	}
	pool.FreshSlots = func(n int, to string) []string { return c.freshIDs(n, to, newID) }
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

// NewPod makes the pod of a step that creates one, and the claims that must be created before it.
func (c *CloneSet) NewPod(step podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	template, err := c.Template(step.To)
	if err != nil {
		return nil, nil, err
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.GenerateName = c.Set.Namespace, c.podName(step.Slot), ""
	pod.OwnerReferences = append(pod.OwnerReferences, c.Owner())
	podset.Prepare(pod, c.revisionLabel(step.To), revision.ShortHash(step.To), c.Set.Spec.Lifecycle,
		v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReadyConditionType)
	pod.Labels[v1beta1.CloneSetInstanceID] = step.Slot

	var claims []*corev1.PersistentVolumeClaim
	for i := range c.Set.Spec.VolumeClaimTemplates {
		template := &c.Set.Spec.VolumeClaimTemplates[i]
		claim := c.newClaim(template, step.Slot)
		Mount(&pod.Spec, template.Name, claim.Name)
		if c.claimNamed(step.Slot, claim.Name) == nil {
			claims = append(claims, claim)
		}
	}
	return pod, claims, nil
}

// Target tells where an update of a pod in place leads to.
func (c *CloneSet) Target(_ *corev1.Pod, step podset.Step) (inplace.Target, error) {
	return c.target(step, c.revisionLabel(step.To), c.Set.Spec.Lifecycle, c.inPlaceTuning())
}

// revisionLabel is what the revision label of a pod says of a revision.
func (c *CloneSet) revisionLabel(name string) string {
	if c.ShortHash {
		return revision.ShortHash(name)
	}
	return name
}

// topologyKeys are the node labels over whose values a template wants its own pods spread.
func topologyKeys(template *corev1.PodTemplateSpec) []string {
	var keys []string
	for _, constraint := range template.Spec.TopologySpreadConstraints {
		selector, err := metav1.LabelSelectorAsSelector(constraint.LabelSelector)
		if err == nil && selector.Matches(labels.Set(template.Labels)) && !slices.Contains(keys, constraint.TopologyKey) {
			keys = append(keys, constraint.TopologyKey)
		}
	}
	return keys
}

// RemainingPodsToDelete lists the names in podsToDelete without those of pods that are gone.
func (c *CloneSet) RemainingPodsToDelete() []string {
	if len(c.Set.Spec.ScaleStrategy.PodsToDelete) == 0 { // nearly always, and there may be many pods
		return nil
	}
	names := make(map[string]bool, len(c.Pods))
	for _, pod := range c.Pods {
		names[pod.Name] = true
	}
	return slices.DeleteFunc(slices.Clone(c.Set.Spec.ScaleStrategy.PodsToDelete), func(name string) bool { return !names[name] })
}

// used are the instance ids that are in use.
func (c *CloneSet) used() map[string]bool {
	if c.ids == nil { // seldom needed, and there may be many pods
		c.ids = make(map[string]bool, len(c.all))
		for _, pod := range c.all {
			c.ids[pod.Labels[v1beta1.CloneSetInstanceID]] = true
		}
	}
	return c.ids
}

func (c *CloneSet) podName(id string) string { return c.Set.Name + "-" + id }
