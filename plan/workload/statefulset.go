package workload

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// statefulSetKind is the kind in the owner references of pods, claims and revisions.
var statefulSetKind = v1beta1.GroupVersion.WithKind("StatefulSet")

// StatefulSet is a StatefulSet with what belongs to it.
type StatefulSet struct {
	*Revisions
	Options
	// Set is the StatefulSet itself. It is only read.
	Set *v1beta1.StatefulSet
	// Pods are the pods that it owns and selects and that have a name of its own, Strays those that it owns and no longer
	// selects.
	Pods, Strays []*corev1.Pod
	// Orphans are revisions that it uses and nobody owns, as after they were restored from a backup. It has to own them.
	Orphans []*appsv1.ControllerRevision
	// OrphanPods are pods that it selects, that have a name of its own, and that nobody owns. It has to own them.
	OrphanPods []*corev1.Pod

	podExists func(name string) bool
	claim     func(name string) *corev1.PersistentVolumeClaim
}

// NewStatefulSet reads a StatefulSet. The error names the field that cannot be read.
func NewStatefulSet(set *v1beta1.StatefulSet, owned Owned, options Options) (*StatefulSet, error) {
	s := &StatefulSet{Set: set, Options: options, podExists: owned.PodExists, claim: owned.Claim}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	selected, strays := owned.selected(selector)
	s.Strays = strays
	s.Pods = slices.DeleteFunc(selected, func(pod *corev1.Pod) bool { return s.ordinalOf(pod.Name) == "" })
	for _, pod := range owned.Unowned {
		if pod.DeletionTimestamp == nil && s.ordinalOf(pod.Name) != "" && selector.Matches(labels.Set(pod.Labels)) {
			s.OrphanPods = append(s.OrphanPods, pod)
		}
	}
	pods := slices.Concat(s.Pods, s.OrphanPods)
	s.Orphans = owned.orphans(set.Name, selector, pods, set.Status.UpdateRevision, set.Status.CurrentRevision)
	of := Definition{Workload: set, Owner: s.Owner(), Template: &set.Spec.Template, Current: set.Status.CurrentRevision, InPlace: options.InPlace}
	if set.Status.CollisionCount != nil {
		of.Collisions = *set.Status.CollisionCount
	}
	s.Revisions, err = ReadRevisions(slices.Concat(owned.Revisions, s.Orphans), of)
	return s, err
}

// ordinalOf is the ordinal in the name of a pod, in decimal; empty for a name that is none of the set's.
func (s *StatefulSet) ordinalOf(pod string) string {
	text, ok := strings.CutPrefix(pod, s.Set.Name+"-")
	ordinal, err := strconv.Atoi(text)
	if !ok || err != nil || ordinal < 0 || strconv.Itoa(ordinal) != text { // web-01 is not web-1
		return ""
	}
	return text
}

// Plan decides what to do now.
func (s *StatefulSet) Plan(now time.Time) (podset.Plan, error) {
	sequence, err := s.Sequence()
	if err != nil {
		return podset.Plan{}, err
	}
	return sequence.Plan(now, s.Replicas(now)), nil
}

// Sequence is what the StatefulSet wants of its pods.
func (s *StatefulSet) Sequence() (*podset.Sequence, error) {
	sequence, err := sequenceOf(s.Set, s.Options)
	if err != nil {
		return nil, err
	}
	sequence.UpdateRevision, sequence.CurrentRevision = s.Update, s.Current
	sequence.Change = s.Change
	sequence.Blocked = s.blocked
	if s.growsClaims() {
		sequence.Claims = s.claimsState
	}
	return &sequence, nil
}

// Replicas reads the facts about the pods.
func (s *StatefulSet) Replicas(now time.Time) []replica.Replica {
	options := replica.Options{Now: now, Hooks: s.Set.Spec.Lifecycle, MinReadySeconds: MinReadySeconds(&s.Set.Spec)}
	out := make([]replica.Replica, len(s.Pods))
	for i, pod := range s.Pods {
		out[i] = replica.Of(pod, options)
		out[i].Slot = s.ordinalOf(pod.Name)
		out[i].Lost = s.lost(pod, out[i].Slot)
	}
	return out
}

// MinReadySeconds is how long a pod of a StatefulSet must be ready before it counts as available. What the rolling update says
// goes before the field that native StatefulSets have.
func MinReadySeconds(spec *v1beta1.StatefulSetSpec) int32 {
	if r := spec.UpdateStrategy.RollingUpdate; r != nil && r.MinReadySeconds != nil && *r.MinReadySeconds > 0 {
		return *r.MinReadySeconds
	}
	return spec.MinReadySeconds
}

// Owner is the owner reference of everything that the StatefulSet controls.
func (s *StatefulSet) Owner() metav1.OwnerReference {
	return *metav1.NewControllerRef(s.Set, statefulSetKind)
}

// NewPod makes the pod of a step that creates one, and the claims that must be created before it.
func (s *StatefulSet) NewPod(step podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	template, err := s.Template(step.To)
	if err != nil {
		return nil, nil, err
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.GenerateName = s.Set.Namespace, s.podName(step.Slot), ""
	pod.OwnerReferences = append(pod.OwnerReferences, s.Owner())
	podset.Prepare(pod, step.To, revision.ShortHash(step.To), s.Set.Spec.Lifecycle,
		v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReadyConditionType)
	maps.Copy(pod.Labels, s.identity(step.Slot))
	pod.Spec.Hostname, pod.Spec.Subdomain = pod.Name, s.Set.Spec.ServiceName
	return pod, s.mountClaims(pod, step.Slot), nil
}

// Target tells where an update of a pod in place leads to.
func (s *StatefulSet) Target(_ *corev1.Pod, step podset.Step) (inplace.Target, error) {
	return s.target(step, step.To, s.Set.Spec.Lifecycle, s.inPlaceTuning())
}

func (s *StatefulSet) podName(ordinal string) string { return s.Set.Name + "-" + ordinal }

// blocked says why no pod can be created at an ordinal that has none: somebody else has its name, or its claims are on
// their way out.
func (s *StatefulSet) blocked(ordinal int) string {
	name := s.podName(strconv.Itoa(ordinal))
	if s.podExists != nil && s.podExists(name) {
		return fmt.Sprintf("pod %s exists and is not the set's own", name)
	}
	return s.staleClaim(strconv.Itoa(ordinal))
}

// Count writes the counts of a plan into a status, and the current revision, which is the newest one once the rollout to it
// is complete. Pods that end count as replicas, as with native StatefulSets: their names are not free yet.
func (s *StatefulSet) Count(status *v1beta1.StatefulSetStatus, t podset.Tally, wanted int) {
	status.Replicas = int32(t.Replicas + t.Ending)
	status.ReadyReplicas, status.AvailableReplicas = int32(t.Ready), int32(t.Available)
	status.CurrentReplicas, status.UpdatedReplicas = int32(t.Current), int32(t.Updated)
	status.UpdatedReadyReplicas, status.UpdatedAvailableReplicas = int32(t.UpdatedReady), int32(t.UpdatedAvailable)
	status.CurrentRevision, status.UpdateRevision = s.Current, s.Update
	if t.Ending == 0 && t.Replicas == wanted && t.UpdatedReady == wanted {
		status.CurrentRevision, status.CurrentReplicas = s.Update, status.UpdatedReplicas
	}
}
