package workload

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// daemonSetKind is the kind in the owner references of pods and revisions.
var daemonSetKind = v1beta1.GroupVersion.WithKind("DaemonSet")

// daemonScheduler is the name of the scheduler of pods that are bound to their nodes as they are created.
const daemonScheduler = "kubernetes.io/daemonset-controller"

// DaemonSet is a DaemonSet with what belongs to it.
type DaemonSet struct {
	*Revisions
	Options
	// Set is the DaemonSet itself. It is only read.
	Set *v1beta1.DaemonSet
	// Pods are the pods that it owns and selects, Strays those that it owns and no longer selects.
	Pods, Strays []*corev1.Pod
	// Orphans are revisions that it uses and nobody owns, as after they were restored from a backup. It has to own them.
	Orphans []*appsv1.ControllerRevision
	// OrphanPods are pods that it selects and that nobody owns. It has to own them.
	OrphanPods []*corev1.Pod
	// Nodes are the nodes of the cluster, in the order of their names.
	Nodes []podset.Node

	podExists func(name string) bool
	newID     func() string
	// named are the names that were made up.
	named map[string]bool
}

// NewDaemonSet reads a DaemonSet. newID makes up the end of a pod's name. The error names the field
// that cannot be read.
func NewDaemonSet(set *v1beta1.DaemonSet, owned Owned, nodes []*corev1.Node, newID func() string, options Options) (*DaemonSet, error) {
	d := &DaemonSet{Set: set, Options: options, podExists: owned.PodExists, newID: newID, named: map[string]bool{}}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	d.Pods, d.Strays = owned.selected(selector)
	for _, pod := range owned.Unowned {
		if pod.DeletionTimestamp == nil && selector.Matches(labels.Set(pod.Labels)) {
			d.OrphanPods = append(d.OrphanPods, pod)
		}
	}
	d.Orphans = owned.orphans(set.Name, selector, slices.Concat(d.Pods, d.OrphanPods), set.Status.UpdateRevision)
	of := Definition{Workload: set, Owner: d.Owner(), Template: &set.Spec.Template, InPlace: options.InPlace}
	if set.Status.CollisionCount != nil {
		of.Collisions = *set.Status.CollisionCount
	}
	if d.Revisions, err = ReadRevisions(slices.Concat(owned.Revisions, d.Orphans), of); err != nil {
		return nil, err
	}
	d.Current = d.mostOld()
	d.Nodes, err = d.readNodes(nodes)
	return d, err
}

// mostOld is the name of the revision that the most pods have that are not of the newest; the newest where there are none. It
// stands for the current revision, which the status of a DaemonSet does not hold.
func (d *DaemonSet) mostOld() string {
	counts := map[string]int{}
	for _, pod := range d.Pods {
		if r := d.Named(pod.Labels[appsv1.ControllerRevisionHashLabelKey]); r != nil && r.Name != d.Update {
			counts[r.Name]++
		}
	}
	most := d.Update
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name] > counts[most] {
			most = name
		}
	}
	return most
}

// Pulls decides about pulling images ahead, as for CloneSets. Annotations alone tune it. The error names a field that cannot be read.
func (d *DaemonSet) Pulls(tally podset.Tally) (Pulls, error) {
	want, err := perNodeOf(d.Set, tally.Desired)
	if err != nil {
		return Pulls{}, err
	}
	return d.pulls(tally, pulling{
		inPlace: inPlace(d.Set) && !want.OnDelete, replicas: tally.Desired, maxUnavailable: want.MaxUnavailable, partition: want.Partition,
		selector: d.Set.Spec.Selector, tuning: annotatedTuning(d.Set.Annotations, v1beta1.InPlaceUpdateStrategy{}, tally.Desired),
	}), nil
}

// SelectsAll says whether the selector is empty. Such a set owns nothing, and is left alone.
func SelectsAll(set *v1beta1.DaemonSet) bool {
	s := set.Spec.Selector
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// readNodes reads the facts about the nodes.
func (d *DaemonSet) readNodes(nodes []*corev1.Node) ([]podset.Node, error) {
	included := labels.Everything()
	if r := d.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Selector != nil {
		var err error
		if included, err = metav1.LabelSelectorAsSelector(r.Selector); err != nil {
			return nil, fmt.Errorf("spec.updateStrategy.rollingUpdate.selector: %w", err)
		}
	}
	rule := placement.RuleOf(&d.Set.Spec.Template)
	out := make([]podset.Node, 0, len(nodes))
	for _, node := range nodes {
		verdict, err := rule.On(node)
		if err != nil {
			return nil, err
		}
		out = append(out, podset.Node{
			Name: node.Name, Verdict: verdict, Lost: placement.Lost(node), Excluded: !included.Matches(labels.Set(node.Labels)),
		})
	}
	slices.SortFunc(out, func(a, b podset.Node) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// Plan decides what to do now. retryAt says when a pod that failed on a node may be replaced. Nil: at once.
func (d *DaemonSet) Plan(now time.Time, retryAt func(node string) time.Time) (podset.Plan, error) {
	want, err := d.PerNode(retryAt)
	if err != nil {
		return podset.Plan{}, err
	}
	return want.Plan(now, d.Replicas(now)), nil
}

// PerNode is what the DaemonSet wants of its pods.
func (d *DaemonSet) PerNode(retryAt func(node string) time.Time) (*podset.PerNode, error) {
	desired := 0
	for i := range d.Nodes {
		if d.Nodes[i].Runs {
			desired++
		}
		if retryAt != nil {
			d.Nodes[i].RetryAt = retryAt(d.Nodes[i].Name)
		}
	}
	want, err := perNodeOf(d.Set, desired)
	if err != nil {
		return nil, err
	}
	want.Nodes, want.CountIneligible = d.Nodes, !d.PruneIneligible
	want.UpdateRevision, want.NewName, want.Change = d.Update, d.podName, d.Change
	return &want, nil
}

// hooks are the hooks that count for pods of DaemonSets.
func (d *DaemonSet) hooks() *v1beta1.Lifecycle {
	if d.Set.Spec.Lifecycle == nil {
		return nil
	}
	return &v1beta1.Lifecycle{PreDelete: d.Set.Spec.Lifecycle.PreDelete}
}

// Replicas reads the facts about the pods.
func (d *DaemonSet) Replicas(now time.Time) []replica.Replica {
	options := replica.Options{Now: now, MinReadySeconds: d.Set.Spec.MinReadySeconds, Hooks: d.hooks()}
	out := make([]replica.Replica, len(d.Pods))
	for i, pod := range d.Pods {
		out[i] = replica.Of(pod, options)
		out[i].Node = placement.NodeOf(pod)
		out[i].Slot = out[i].Node
	}
	return out
}

// Owner is the owner reference of everything that the DaemonSet owns.
func (d *DaemonSet) Owner() metav1.OwnerReference {
	return *metav1.NewControllerRef(d.Set, daemonSetKind)
}

// NewRevision makes the revision of the template, to be created. It carries its hash under the label of pods, too, as the
// revisions of all DaemonSets do.
func (d *DaemonSet) NewRevision() *appsv1.ControllerRevision {
	r := d.Revisions.NewRevision()
	r.Labels[appsv1.ControllerRevisionHashLabelKey] = revision.ShortHash(r.Name)
	return r
}

// NewPod makes the pod of a step that creates one. Its slot is its node, and the step has its name.
func (d *DaemonSet) NewPod(step podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	template, err := d.Template(step.To)
	if err != nil {
		return nil, nil, err
	}
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.Namespace, pod.Name, pod.GenerateName = d.Set.Namespace, step.Name, ""
	pod.OwnerReferences = append(pod.OwnerReferences, d.Owner())
	gates := []corev1.PodConditionType{v1beta1.KruisePodReadyConditionType}
	if inPlace(d.Set) {
		gates = append(gates, v1beta1.InPlaceUpdateReady)
	}
	hash := revision.ShortHash(step.To)
	podset.Prepare(pod, hash, hash, d.hooks(), gates...)
	pod.Spec.Tolerations = placement.Tolerations(&pod.Spec)
	if d.BindDirectly {
		pod.Spec.SchedulerName, pod.Spec.NodeName = daemonScheduler, step.Slot
	} else {
		placement.Pin(&pod.Spec, step.Slot)
	}
	return pod, nil, nil
}

// Target tells where an update of a pod in place leads to.
func (d *DaemonSet) Target(_ *corev1.Pod, step podset.Step) (inplace.Target, error) {
	template, err := d.Template(step.To)
	if err != nil {
		return inplace.Target{}, err
	}
	hash := revision.ShortHash(step.To)
	return inplace.Target{Revision: hash, Hash: hash, Template: template, Change: d.Change(step.Pod.Revision, step.To)}, nil
}

// ClaimsOf lists the claims that go with a pod: none.
func (d *DaemonSet) ClaimsOf(podset.Step) []*corev1.PersistentVolumeClaim { return nil }

// podName makes up a name that no pod has. A long name of a set is cut, so that the name can be that of a host.
func (d *DaemonSet) podName() string {
	const longest = 57 // leaves room for a hyphen and five characters within 63
	base := d.Set.Name
	if len(base) > longest {
		base = strings.TrimRight(base[:longest], "-.")
	}
	for {
		name := base + "-" + d.newID()
		if !d.named[name] && (d.podExists == nil || !d.podExists(name)) {
			d.named[name] = true
			return name
		}
	}
}

// NodeMatters says whether a change of a node matters to a set: whether its pods are to run there, may stay there and are to be
// updated there, and whether they can be changed. Nil stands for a node that is not there. What cannot be read matters: the
// set's controller tells.
func NodeMatters(set *v1beta1.DaemonSet, before, after *corev1.Node) bool {
	d := DaemonSet{Set: set}
	read := func(node *corev1.Node) (podset.Node, error) {
		if node == nil {
			return podset.Node{}, nil
		}
		all, err := d.readNodes([]*corev1.Node{node})
		if err != nil {
			return podset.Node{}, err
		}
		if node := all[0]; node.Runs || node.Keeps {
			return node, nil
		}
		return podset.Node{}, nil
	}
	a, err := read(before)
	b, otherErr := read(after)
	return err != nil || otherErr != nil || a != b
}
