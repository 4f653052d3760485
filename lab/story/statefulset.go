package story

import (
	"errors"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

// StatefulSet is a StatefulSet in a world. Its spec may be changed at any time.
type StatefulSet struct {
	Name string
	Spec v1beta1.StatefulSetSpec
	// Status is what the controller reported last.
	Status v1beta1.StatefulSetStatus
	// Revisions are the templates so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision
	// Options are those of the whole cluster.
	Options workload.Options
}

// Decide lets the controller decide what to do now, and checks the promises that the plan shows.
func (s *StatefulSet) Decide(w *world.World) (*Round, error) {
	view, err := s.View(w)
	if err != nil {
		return nil, err
	}
	r := &Round{Pods: view.Replicas(w.Now)}
	if r.Sequence, err = view.Sequence(); err != nil {
		return nil, err
	}
	r.Plan = r.Sequence.Plan(w.Now, r.Pods)
	r.turn = world.Turn{Workload: view, Strays: view.Strays, Orphans: view.OrphanPods, Owner: view.Owner()}
	if r.turn.Retention, err = view.Retention(r.Sequence); err != nil {
		return nil, err
	}
	r.volumeClaims = view.VolumeClaims(r.Sequence)
	before := LineupOf(r.Sequence, r.Pods)
	r.kept = func() error {
		pods, err := s.Observe(w)
		return errors.Join(err, before.CheckServing(r.Sequence, pods))
	}
	r.done = func() error {
		s.report(view, r)
		return checkNames(w)
	}
	return r, errors.Join(CheckSequence(r.Sequence, r.Pods, r.Plan), CheckService(w, r.Pods))
}

// report writes the status.
func (s *StatefulSet) report(view *workload.StatefulSet, r *Round) {
	view.Count(&s.Status, r.Plan.Tally, len(r.Sequence.Ordinals))
	s.Status.VolumeClaims = r.volumeClaims
}

// Sequence is what the set wants of its pods.
func (s *StatefulSet) Sequence(w *world.World) (*podset.Sequence, error) {
	view, err := s.View(w)
	if err != nil {
		return nil, err
	}
	return view.Sequence()
}

// Observe reads the facts about every pod.
func (s *StatefulSet) Observe(w *world.World) ([]replica.Replica, error) {
	view, err := s.View(w)
	if err != nil {
		return nil, err
	}
	return view.Replicas(w.Now), nil
}

// View is the StatefulSet with what belongs to it. It registers the template as a revision, if it is new.
func (s *StatefulSet) View(w *world.World) (*workload.StatefulSet, error) {
	view, err := s.read(w)
	if err != nil || !(history{s.Name, &s.Revisions, &s.Status.CurrentRevision}).register(view.Revisions) {
		return view, err
	}
	return s.read(w)
}

func (s *StatefulSet) read(w *world.World) (*workload.StatefulSet, error) {
	set := &v1beta1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: s.Name, UID: setUID}, Spec: s.Spec, Status: s.Status}
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	unowned := func(pod *corev1.Pod) bool { return metav1.GetControllerOfNoCopy(pod) == nil }
	return workload.NewStatefulSet(set, workload.Owned{
		Pods: ownedIn(w), Revisions: s.Revisions, Claim: w.Claim, PodExists: func(name string) bool { return w.Pod(name) != nil },
		Unowned: slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !unowned(pod) }),
	}, s.Options)
}

func (s *StatefulSet) options() *workload.Options { return &s.Options }

func (s *StatefulSet) template() *corev1.PodTemplateSpec { return &s.Spec.Template }

func (s *StatefulSet) manifest() any { return &v1beta1.StatefulSet{Spec: s.Spec} }

func (s *StatefulSet) change(manifest []byte) error {
	var object v1beta1.StatefulSet
	err := yaml.UnmarshalStrict(manifest, &object)
	s.Spec = object.Spec
	return err
}
