package workload

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/sidecar"
)

// sidecarSetKind is the kind in the owner references of revisions.
var sidecarSetKind = v1beta1.GroupVersion.WithKind("SidecarSet")

// SidecarSet is a SidecarSet with what it was injected into. None of the pods is its own.
type SidecarSet struct {
	// Set is the SidecarSet itself. It is only read.
	Set *v1beta1.SidecarSet
	// Pods are the pods that it selects and was injected into.
	Pods []*corev1.Pod
	// History are its revisions that are kept. Newest is the one that holds what it injects; nil until it is made.
	History []*appsv1.ControllerRevision
	Newest  *appsv1.ControllerRevision
	// Update is the name of the newest revision, which need not exist yet.
	Update string

	namespace string
	data      []byte
	hashes    sidecar.Hashes
	guests    []guest // in the order of Pods
	budgets   func(namespace string) ([]*policyv1beta1.PodUnavailableBudget, error)
}

// guest is how the sidecars stand in one pod.
type guest struct {
	*sidecar.Guest
	// unreadable says that the pod's record cannot be read.
	unreadable error
	revision   string
	stage      inplace.Stage
	blocked    string
}

// Injected are what a SidecarSet was injected into, and its revisions.
type Injected struct {
	// Pods are the pods that say that the set was injected into them.
	Pods []*corev1.Pod
	// Revisions are those that the set owns.
	Revisions []*appsv1.ControllerRevision
	// NamespaceLabels tells the labels of a namespace. Nil: the set has no selector of namespaces.
	NamespaceLabels func(name string) map[string]string
	// Namespace is where the set's revisions are.
	Namespace string
	// Budgets tells the budgets of a namespace that are asked about changes of pods. Nil: nobody is.
	Budgets func(namespace string) ([]*policyv1beta1.PodUnavailableBudget, error)
}

// NewSidecarSet reads a SidecarSet. The error names the field that cannot be read.
func NewSidecarSet(set *v1beta1.SidecarSet, in Injected) (*SidecarSet, error) {
	s := &SidecarSet{Set: set, History: in.Revisions, namespace: in.Namespace, budgets: in.Budgets}
	var err error
	if s.hashes, err = sidecar.Current(set); err != nil {
		return nil, err
	}
	if s.data, err = sidecar.RevisionData(set); err != nil {
		return nil, err
	}
	if s.Newest = s.find(); s.Newest != nil {
		s.Update = s.Newest.Name
	} else {
		collisions := int32(0)
		if set.Status.CollisionCount != nil {
			collisions = *set.Status.CollisionCount
		}
		s.Update = revision.Name(set.Name, revision.Hash(s.data, collisions))
	}
	if s.Pods, err = matched(&set.Spec, in); err != nil {
		return nil, err
	}
	for _, pod := range s.Pods {
		s.guests = append(s.guests, s.guestOf(pod))
	}
	return s, nil
}

// find looks for the revision that holds what the set injects; of several the one with the highest number. Nearly always one
// has the very bytes, and none has to be decoded.
func (s *SidecarSet) find() *appsv1.ControllerRevision {
	highest := func(same func(*appsv1.ControllerRevision) bool) (found *appsv1.ControllerRevision) {
		for _, r := range s.History {
			if (found == nil || r.Revision > found.Revision) && same(r) {
				found = r
			}
		}
		return found
	}
	if r := highest(func(r *appsv1.ControllerRevision) bool { return bytes.Equal(r.Data.Raw, s.data) }); r != nil {
		return r
	}
	return highest(func(r *appsv1.ControllerRevision) bool { return sidecar.SameRevision(s.Set, r) })
}

// matched are the pods that the set selects.
func matched(spec *v1beta1.SidecarSetSpec, in Injected) ([]*corev1.Pod, error) {
	pods, err := metav1.LabelSelectorAsSelector(spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("spec.selector: %w", err)
	}
	namespaces := labels.Everything()
	if spec.NamespaceSelector != nil {
		if namespaces, err = metav1.LabelSelectorAsSelector(spec.NamespaceSelector); err != nil {
			return nil, fmt.Errorf("spec.namespaceSelector: %w", err)
		}
	}
	var out []*corev1.Pod
	known := map[string]bool{}
	for _, pod := range in.Pods {
		if !pods.Matches(labels.Set(pod.Labels)) {
			continue
		}
		selected, looked := known[pod.Namespace]
		if !looked {
			selected = namespaces.Empty() || in.NamespaceLabels == nil || namespaces.Matches(labels.Set(in.NamespaceLabels(pod.Namespace)))
			known[pod.Namespace] = selected
		}
		if selected {
			out = append(out, pod)
		}
	}
	return out, nil
}

func (s *SidecarSet) guestOf(pod *corev1.Pod) guest {
	g, err := sidecar.GuestOf(s.Set, pod)
	if err != nil {
		return guest{unreadable: err, revision: "unknown", blocked: err.Error()}
	}
	out := guest{Guest: g, revision: s.Update, stage: g.Stage()}
	if has := g.Hashes(); has.All != s.hashes.All {
		out.revision = g.Revision()
		if out.revision == "" || revision.ShortHash(out.revision) == revision.ShortHash(s.Update) { // as another manager may leave it
			out.revision = "hash " + has.All[:min(len(has.All), shownOfHash)]
		}
		out.blocked = g.Blocked(s.hashes)
	}
	return out
}

// shownOfHash is how much is shown of a hash of sidecars.
const shownOfHash = 10

// Owner is the owner reference of revisions.
func (s *SidecarSet) Owner() metav1.OwnerReference {
	return *metav1.NewControllerRef(s.Set, sidecarSetKind)
}

// Templates are the revisions of the set as they can be compared: what each of them injects, as a template of a pod that has
// nothing else. It fails on a revision that cannot be read.
func (s *SidecarSet) Templates() (*Revisions, error) {
	r := &Revisions{
		History: s.History, Data: s.data, Newest: s.Newest, Update: s.Update, Current: s.Update,
		of:        Definition{Workload: s.Set, Owner: s.Owner(), Template: templateOf(s.Set)},
		templates: map[string]*corev1.PodTemplateSpec{}, changes: map[[2]string]inplace.Change{},
	}
	for _, kept := range s.History {
		at, err := sidecar.At(s.Set, kept)
		if err != nil {
			return nil, err
		}
		r.templates[kept.Name] = templateOf(at)
	}
	images := s.images()
	for i := range s.guests {
		g := &s.guests[i]
		r.changes[[2]string{g.revision, s.Update}] = inplace.Change{Images: images[g.revision], Blocked: g.blocked}
	}
	return r, nil
}

func templateOf(set *v1beta1.SidecarSet) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{}
	for i := range set.Spec.InitContainers {
		t.Spec.InitContainers = append(t.Spec.InitContainers, set.Spec.InitContainers[i].Container)
	}
	for i := range set.Spec.Containers {
		t.Spec.Containers = append(t.Spec.Containers, set.Spec.Containers[i].Container)
	}
	return t
}

// NewRevision makes the newest revision, to be created.
func (s *SidecarSet) NewRevision() *appsv1.ControllerRevision {
	made := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: s.namespace, Name: s.Update, OwnerReferences: []metav1.OwnerReference{s.Owner()},
			Labels: map[string]string{v1beta1.SidecarSetNameKey: s.Set.Name, revision.HashLabel: revision.ShortHash(s.Update)},
		},
		Revision: revision.Next(s.History),
	}
	made.Data.Raw = s.data
	if version := s.Set.Spec.CustomVersion; version != "" {
		made.Labels[v1beta1.SidecarSetCustomVersionKey] = version
	}
	return made
}

// Expired lists the revisions to delete: those that no pod has and new pods are not to get, beyond the newest ones that the
// set keeps.
func (s *SidecarSet) Expired() []*appsv1.ControllerRevision {
	limit := defaultHistory
	if n := s.Set.Spec.RevisionHistoryLimit; n != nil {
		limit = int(*n)
	}
	if len(s.History) <= limit+1 {
		return nil
	}
	live := map[string]bool{s.Update: true}
	for _, g := range s.guests {
		if g.Guest != nil {
			live[g.Revision()] = true
		}
	}
	if pinned := sidecar.Pinned(s.Set, s.History); pinned != nil {
		live[pinned.Name] = true
	}
	return revision.Expired(s.History, func(name string) bool { return live[name] }, limit)
}

// defaultHistory is how many unused revisions are kept where a SidecarSet does not say.
const defaultHistory = 10

// Replicas reads the facts about Pods, in their order: of the pods, how the sidecars stand in them, and nothing else of what
// their own workloads do with them.
func (s *SidecarSet) Replicas(now time.Time) []replica.Replica {
	out := make([]replica.Replica, len(s.Pods))
	for i, pod := range s.Pods {
		out[i] = s.replica(pod, &s.guests[i], now)
	}
	return out
}

func (s *SidecarSet) replica(pod *corev1.Pod, g *guest, now time.Time) replica.Replica {
	r := replica.Of(pod, replica.Options{Now: now})
	if pod.Namespace != "" { // the pods of a set may be everywhere
		r.Name = pod.Namespace + "/" + pod.Name
	}
	r.Revision, r.Stage, r.Available = g.revision, g.stage, r.Ready && g.stage == inplace.Done
	r.State, r.Holds = lifecycle.None, lifecycle.HoldsOf(nil, pod)
	r.AvailableAt, r.SpecifiedDelete, r.Unsettled, r.Gated = time.Time{}, false, false, false
	if !r.Terminating {
		r.GraceUntil = time.Time{}
	}
	return r
}

// NewPod fails: the pods of a SidecarSet are made by others.
func (s *SidecarSet) NewPod(podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	return nil, nil, errNoPods
}

// Target fails: a SidecarSet knows no whole pod.
func (s *SidecarSet) Target(*corev1.Pod, podset.Step) (inplace.Target, error) {
	return inplace.Target{}, errNoPods
}

// ClaimsOf is empty: a SidecarSet has no claims.
func (s *SidecarSet) ClaimsOf(podset.Step) []*corev1.PersistentVolumeClaim { return nil }

var errNoPods = errors.New("a SidecarSet has no pods of its own")

// PodPatches implements podset.Patcher.
func (s *SidecarSet) PodPatches(step podset.Step, pod *corev1.Pod, now time.Time) (inplace.Patches, error) {
	g, err := sidecar.GuestOf(s.Set, pod)
	if err != nil {
		return inplace.Patches{}, err
	}
	var body []byte
	switch step.Do {
	case podset.Update:
		body, err = g.Begin(sidecar.Target{Hashes: s.hashes, Revision: step.To, PodNotReady: !step.Pod.Ready && g.Excused()}, now)
	case podset.Apply:
		body, err = g.Continue(now)
	default:
		err = fmt.Errorf("pod %s/%s: no patch of sidecars does %q", pod.Namespace, pod.Name, step.Do)
	}
	return inplace.Patches{Pod: body, Restarts: step.Do == podset.Update && len(g.Images()) > 0}, err
}

// PodPatch is a patch of a pod's status.
type PodPatch struct {
	Pod  *corev1.Pod
	Body []byte
}

// Tell makes the patches that say on pods whether their sidecars can be upgraded in place.
func (s *SidecarSet) Tell(now time.Time) ([]PodPatch, error) {
	if s.notUpdate() {
		return nil, nil
	}
	var out []PodPatch
	for i, pod := range s.Pods {
		g := &s.guests[i]
		if g.Guest == nil || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
			continue
		}
		body, err := g.Tell(g.blocked == "", now)
		if err != nil {
			return nil, err
		}
		if body != nil {
			out = append(out, PodPatch{pod, body})
		}
	}
	return out, nil
}

// images are the containers that an upgrade restarts in pods of a revision.
func (s *SidecarSet) images() map[string]map[string]string {
	out := map[string]map[string]string{}
	for i := range s.guests {
		g := &s.guests[i]
		if g.Guest == nil || g.blocked != "" || g.revision == s.Update {
			continue
		}
		if out[g.revision] == nil {
			out[g.revision] = map[string]string{}
		}
		maps.Copy(out[g.revision], g.Images())
	}
	return out
}

// byName finds the guests by the names that the facts about their pods have.
func (s *SidecarSet) byName(facts []replica.Replica) map[string]*guest {
	out := make(map[string]*guest, len(facts))
	for i := range facts {
		out[facts[i].Name] = &s.guests[i]
	}
	return out
}
