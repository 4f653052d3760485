package faults

import (
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// ledger remembers what the processes wrote of each pod, whether they got an answer or not.
type ledger struct {
	created, deleted, taken, revised, moved, adopted map[types.UID]int64 // by the resource version of the latest such write
}

func newLedger() ledger {
	return ledger{
		created: map[types.UID]int64{}, deleted: map[types.UID]int64{}, taken: map[types.UID]int64{},
		revised: map[types.UID]int64{}, moved: map[types.UID]int64{}, adopted: map[types.UID]int64{},
	}
}

// view is what one reconcile decides on: its object, its time, and its cache of pods.
type view struct {
	set    client.Object
	wanted wanted
	// newest is the revision of its template.
	newest string
	// template finds the pod template of a revision.
	template func(revision string) (*corev1.PodTemplateSpec, error)
	now      time.Time
	at       int64 // the resource version that the cache of pods had reached
	pods     map[types.UID]*replica.Replica
	// selected are the pods that the set's selector chose, and those on their way out.
	selected map[types.UID]bool
}

// wanted is what a set wants of its pods, as far as promises speak of it.
type wanted struct {
	replicas, surge, partition int
	// floor is how many pods must stay available.
	floor int
	// paused is true where no pod is updated.
	paused bool
	// excludesLeaving leaves pods that prepare to go out of the count of pods.
	excludesLeaving bool
	// stuck is true where a pod that was asked to go may stay for ever.
	stuck bool
	// doomed are the names of pods to delete.
	doomed map[string]bool
	// sequence is that of a set whose pods have ordinals, and perNode that of a set with a pod on each node.
	sequence *podset.Sequence
	perNode  *podset.PerNode
	// sidecars is that of a set whose containers stand in pods of others.
	sidecars *podset.Sidecars
	// facts are how pods are read.
	facts    replica.Options
	selector *metav1.LabelSelector
}

// place is the place of a pod among those with wanted ordinals, or of its node among those that there are: -1 for one that is not
// wanted. Where pods have none it is 0.
func (w *wanted) place(r *replica.Replica) int {
	if w.perNode != nil {
		return slices.IndexFunc(w.perNode.Nodes, func(n podset.Node) bool { return n.Name == r.Node && n.Runs })
	}
	if w.sequence == nil {
		return 0
	}
	ordinal, err := strconv.Atoi(strings.TrimPrefix(r.Name, "web-"))
	if err != nil {
		return -1
	}
	return slices.Index(w.sequence.Ordinals, ordinal)
}

// byPlace says whether the partition keeps pods by their place, and not any.
func (w *wanted) byPlace() bool { return w.sequence != nil && !w.sequence.Unordered }

// keeps says whether the partition keeps a pod by its place.
func (w *wanted) keeps(r *replica.Replica) bool {
	return w.byPlace() && w.place(r) < w.partition
}

// look notes what a reconcile sees as it observes its pods.
func (p *process) look() {
	if p.set != nil && p.view == nil {
		var err error
		p.view, err = p.viewOf(p.set)
		p.machine.must(err)
	}
}

// viewOf is what a reconcile of a set sees now.
func (p *process) viewOf(set client.Object) (*view, error) {
	v, err := p.machine.kind.view(p, set)
	if err != nil {
		return nil, err
	}
	v.set, v.now, v.at = set, p.began, p.mirrors[kindPod].at
	if p.machine.kind.guests {
		return v, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(v.wanted.selector)
	if err != nil {
		return nil, err
	}
	v.pods, v.selected = map[types.UID]*replica.Replica{}, map[types.UID]bool{}
	options := v.wanted.facts
	options.Now = v.now
	for _, pod := range cached[*corev1.Pod](p.mirrors[kindPod]) {
		if !ours(pod, set.GetUID()) {
			continue
		}
		r := replica.Of(pod, options)
		r.Node = placement.NodeOf(pod)
		v.pods[pod.UID] = &r
		v.selected[pod.UID] = pod.DeletionTimestamp != nil || selector.Matches(labels.Set(pod.Labels))
	}
	return v, nil
}

// counts are the pods as a reconcile must count them: those in its caches, with all that was written since.
type counts struct {
	active, leaving, available int
	staying, old, doomed       int
	// beyond are the old ones that the partition does not keep by their place; serving are all that are available.
	beyond, serving int
	// condemned are those that are not wanted, which count for nothing else.
	condemned int
}

func (v *view) doomed(r *replica.Replica) bool { return r.SpecifiedDelete || v.wanted.doomed[r.Name] }

func (m *machine) count(v *view) (c counts) {
	since := func(of map[types.UID]int64, uid types.UID) bool { return of[uid] > v.at }
	for uid, r := range v.pods {
		if !v.selected[uid] || !r.Active() || since(m.ledger.deleted, uid) {
			continue
		}
		serves := r.Available && !since(m.ledger.taken, uid)
		if serves {
			c.serving++
		}
		if v.wanted.place(r) < 0 {
			c.condemned++
			continue
		}
		c.active++
		if serves {
			c.available++
		}
		leaves := r.State == lifecycle.PreparingDelete
		if since(m.ledger.moved, uid) {
			leaves = !leaves
		}
		switch {
		case leaves:
			c.leaving++
		case v.doomed(r):
			c.doomed++
		default:
			c.staying++
			if !v.isNew(r.Revision) && !since(m.ledger.revised, uid) {
				c.old++
				if !v.wanted.keeps(r) {
					c.beyond++
				}
			}
		}
	}
	for _, pod := range m.active() { // one that was lost meanwhile may be replaced
		if since(m.ledger.created, pod.UID) && !since(m.ledger.deleted, pod.UID) && v.pods[pod.UID] == nil && ours(pod, v.set.GetUID()) {
			c.active++
		}
	}
	return c
}

// isNew says whether a pod's revision is the one of the template that a reconcile sees.
func (v *view) isNew(label string) bool {
	return revision.ShortHash(label) == revision.ShortHash(v.newest)
}

// written checks the promises after a write of the process under test. before and after are nil where there is no object.
func (m *machine) written(p *process, r *request, before, after client.Object) {
	switch r.kind {
	case kindPod:
		b, _ := before.(*corev1.Pod)
		a, _ := after.(*corev1.Pod)
		if p.view == nil {
			m.brokenf("%s before anything was read", r)
			return
		}
		switch {
		case m.kind.guests:
			m.kind.written(m, p.view, r, b, a)
		case b == nil:
			m.podCreated(p.view, a)
		default:
			m.podWritten(p.view, r, b, a)
		}
	case kindClaim:
		if r.verb == "delete" {
			m.claimDeleted(before)
		}
	case kindRevision:
		if r.verb == "delete" && m.kind.guests {
			m.checkKept(p.view, before)
		}
	}
}

// answered checks what a write promises whose answer arrived.
func (m *machine) answered(p *process, r *request) {
	if r.kind != m.kind.name || r.sub != "status" {
		return
	}
	if wait := p.statusAt.Add(time.Second).Sub(p.view.now); !p.statusAt.IsZero() && wait > 0 && p.statusSkew == m.skew {
		m.brokenf("the status is written %s too soon after the last time", wait)
	}
	p.statusAt, p.statusSkew = p.view.now, m.skew
}

// podCreated checks that there are never too many pods, no two in one slot, and none without its claims.
func (m *machine) podCreated(v *view, pod *corev1.Pod) {
	were := m.census(v)
	if m.ledger.created[pod.UID] = m.version; v.wanted.perNode != nil {
		m.podOnNodeCreated(v, pod, were)
		return
	}
	c := m.count(v)
	inUse := c.active
	if v.wanted.excludesLeaving {
		inUse -= c.leaving
	}
	if most := v.wanted.replicas + v.wanted.surge; inUse > most {
		m.brokenf("pod %s is one too many: %d with it, %d and %d above are wanted", pod.Name, inUse, v.wanted.replicas, v.wanted.surge)
	}
	m.kind.created(m, v, pod)
	if set := m.set(); set == nil || set.GetUID() != v.set.GetUID() {
		return // all that belongs to the set is being collected
	}
	for _, name := range claimsOf(pod) {
		if m.tables[kindClaim].objects[name] == nil {
			m.brokenf("pod %s is created, and its claim %s does not exist", pod.Name, name)
		}
	}
}

// podWritten checks what a change of a pod promises. after is nil when the pod is gone.
func (m *machine) podWritten(v *view, r *request, before, after *corev1.Pod) {
	if after != nil && !ours(before, v.set.GetUID()) && ours(after, v.set.GetUID()) {
		m.podAdopted(v, before)
		return
	}
	was, were := m.count(v), m.census(v)
	known, uid := v.pods[before.UID], before.UID
	ends := after == nil || after.DeletionTimestamp != nil && before.DeletionTimestamp == nil
	var leaves, prepares, revises, restarts, closes bool
	if ends {
		m.ledger.deleted[uid] = m.version
	} else {
		from, to := stateOf(before), stateOf(after)
		leaves = to == lifecycle.PreparingDelete && from != to
		prepares = to == lifecycle.PreparingUpdate && from != to
		revises = revisionOf(after) != revisionOf(before)
		restarts = len(story.Restarts(before, after)) > 0
		m.must(m.order.Wrote(before, after))
		m.checkServing(after)
		closes = gate(before) != corev1.ConditionFalse && gate(after) == corev1.ConditionFalse || lifecycle.Serves(from) && !lifecycle.Serves(to)
		if leaves || from == lifecycle.PreparingDelete && to != from {
			m.ledger.moved[uid] = m.version
		}
		if revises {
			m.ledger.revised[uid] = m.version
		}
		m.checkHolds(v, r, before, after)
		if restarts && gate(before) != corev1.ConditionFalse {
			m.brokenf("pod %s restarts, and was not taken out of service first", before.Name)
		}
		if ours(before, v.set.GetUID()) && !ours(after, v.set.GetUID()) && v.selected[uid] {
			m.brokenf("pod %s is released, and the selector chooses it", before.Name)
		}
	}
	if ends || restarts || closes {
		m.ledger.taken[uid] = m.version
	}
	if known == nil && m.ledger.created[uid] > v.at {
		return // a pod of this very plan, which is put into service
	}
	if known == nil {
		m.brokenf("%s: the pod is not in the cache that was decided on", r)
		return
	}
	m.checkState(v, r, known, before, after)
	if v.wanted.perNode != nil {
		m.podOnNodeWritten(v, known, were, ends || leaves || prepares || revises)
		return
	}
	is := m.count(v)
	if is.available < was.available && is.available < v.wanted.floor {
		m.brokenf("%s leaves %d pods available, at least %d must stay", r, is.available, v.wanted.floor)
	}
	if is.serving < was.serving && is.serving < v.wanted.floor {
		m.brokenf("%s leaves %d pods available in all, at least %d must stay", r, is.serving, v.wanted.floor)
	}
	if revises {
		m.checkResized(v, r, after)
	}
	m.checkUpdate(v, r, was, known, ends || leaves, prepares || revises)
}

// podAdopted checks that nobody loses a pod, and that no pod is adopted that the selector does not choose.
func (m *machine) podAdopted(v *view, pod *corev1.Pod) {
	m.ledger.adopted[pod.UID] = m.version
	selector, err := metav1.LabelSelectorAsSelector(v.wanted.selector)
	m.must(err)
	if metav1.GetControllerOfNoCopy(pod) != nil || !m.kind.adopts {
		m.brokenf("pod %s is adopted, and is another's", pod.Name)
	}
	if err == nil && v.at >= versionOf(pod) && !selector.Matches(labels.Set(pod.Labels)) {
		m.brokenf("pod %s is adopted, and the selector does not choose it", pod.Name)
	}
}

// checkUpdate checks that updates stop where the partition, a pause or OnDelete says so. was is how pods were counted
// before the write.
func (m *machine) checkUpdate(v *view, r *request, was counts, pod *replica.Replica, goes, updates bool) {
	if updates && v.wanted.paused {
		m.brokenf("%s updates the pod, although the update is paused or OnDelete", r)
	}
	settled := pod.State == lifecycle.PreparingDelete || pod.State == lifecycle.PreparingUpdate && goes
	if !goes && !updates || settled || v.doomed(pod) || v.isNew(pod.Revision) || m.movedBefore(v, pod.UID) {
		return
	}
	if v.wanted.place(pod) < 0 || pod.Phase == replica.Ended {
		return
	}
	if v.wanted.paused {
		if surplus := was.staying + was.doomed - v.wanted.replicas; surplus <= 0 {
			m.brokenf("%s takes an old pod, although the update is paused or OnDelete and there are none too many", r)
		}
		return
	}
	if was.old <= v.wanted.partition && !v.wanted.byPlace() || v.wanted.keeps(pod) {
		m.brokenf("%s takes one of %d old pods, the partition keeps %d", r, was.old, v.wanted.partition)
	}
}

// movedBefore says whether a write before the present one sent the pod away already.
func (m *machine) movedBefore(v *view, uid types.UID) bool {
	moved := m.ledger.moved[uid]
	return moved > v.at && moved < m.version
}

// claimDeleted checks that no pod loses its claim.
func (m *machine) claimDeleted(claim client.Object) {
	for _, pod := range m.active() {
		if slices.Contains(claimsOf(pod), claim.GetName()) && m.ledger.deleted[pod.UID] == 0 {
			m.brokenf("claim %s is deleted, and pod %s lives with it", claim.GetName(), pod.Name)
		}
	}
}

func stateOf(pod *corev1.Pod) lifecycle.State {
	return lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey])
}

func revisionOf(pod *corev1.Pod) string { return pod.Labels[appsv1.ControllerRevisionHashLabelKey] }

// gate is the condition by which a pod is taken out of service.
func gate(pod *corev1.Pod) corev1.ConditionStatus {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == v1beta1.InPlaceUpdateReady {
			return c.Status
		}
	}
	return ""
}
