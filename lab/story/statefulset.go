package story

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
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

	order Order
}

func readStatefulSet(text []byte) (string, set, error) {
	var object v1beta1.StatefulSet
	err := yaml.UnmarshalStrict(text, &object)
	return object.Name, &StatefulSet{Name: object.Name, Spec: object.Spec}, err
}

// SequenceRound is one turn of the controller of a StatefulSet.
type SequenceRound struct {
	Sequence *podset.Sequence
	Pods     []replica.Replica
	Plan     podset.Plan

	set  *StatefulSet
	view *workload.StatefulSet
	tidy world.Tidy
}

// Decide lets the controller decide what to do now, and checks the promises that the plan shows.
func (s *StatefulSet) Decide(w *world.World) (*SequenceRound, error) {
	view, err := s.View(w)
	if err != nil {
		return nil, err
	}
	r := &SequenceRound{set: s, view: view, Pods: view.Replicas(w.Now)}
	if r.Sequence, err = view.Sequence(); err != nil {
		return nil, err
	}
	r.Plan = r.Sequence.Plan(w.Now, r.Pods)
	r.tidy = world.Tidy{Strays: view.Strays, Orphans: view.OrphanPods, Owner: view.Owner()}
	if r.tidy.Owners, err = view.Retention(r.Sequence); err != nil {
		return nil, err
	}
	return r, errors.Join(CheckSequence(r.Sequence, r.Pods, r.Plan), CheckService(w, r.Pods))
}

func (s *StatefulSet) decide(w *world.World) (turn, error) {
	r, err := s.Decide(w)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *SequenceRound) facts() ([]replica.Replica, podset.Plan) { return r.Pods, r.Plan }

func (r *SequenceRound) moves() ([]lifecycle.Transition, error) {
	return Moves(r.Plan, r.Sequence.IsNew)
}

// Act carries the decision out, and checks the promises of the world before and after each write. After so many writes
// the manager ends, as in a crash; the next round begins with what the cluster says.
func (r *SequenceRound) Act(w *world.World, writes int) error {
	before, inOrder := LineupOf(r.Sequence, r.Pods), r.set.order.watch(w)
	kept := func() error {
		pods, err := r.set.Observe(w)
		return errors.Join(err, inOrder(), before.CheckServing(r.Sequence, pods))
	}
	err := act(w, r.view, r.Plan, r.tidy, writes, kept)
	if errors.Is(err, errCrash) {
		return kept()
	}
	if err := errors.Join(err, kept()); err != nil {
		return err
	}
	r.view.Count(&r.set.Status, r.Plan.Tally, len(r.Sequence.Ordinals))
	r.set.Status.VolumeClaims = r.view.VolumeClaims(r.Sequence)
	return checkNames(w)
}

func (s *StatefulSet) status(w *world.World) (string, error) {
	view, err := s.View(w)
	if err != nil {
		return "", err
	}
	sequence, err := view.Sequence()
	if err != nil {
		return "", err
	}
	var text strings.Builder
	text.WriteString(counts(sequence.Plan(w.Now, view.Replicas(w.Now)).Tally, len(sequence.Ordinals), sequence.CurrentRevision, sequence.UpdateRevision))
	for _, c := range view.VolumeClaims(sequence) {
		fmt.Fprintf(&text, "; claims %s: %d as their template says, %d of them ready", c.VolumeClaimName, c.CompatibleReplicas, c.CompatibleReadyReplicas)
	}
	return text.String(), nil
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
	if err != nil || !register(view.Revisions, s.Name, &s.Revisions, &s.Status.CurrentRevision) {
		return view, err
	}
	return s.read(w)
}

func (s *StatefulSet) read(w *world.World) (*workload.StatefulSet, error) {
	set := &v1beta1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: s.Name, UID: setUID}, Spec: s.Spec, Status: s.Status}
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	controlled := func(pod *corev1.Pod) bool { return metav1.GetControllerOfNoCopy(pod) != nil }
	return workload.NewStatefulSet(set, workload.Owned{
		Pods: controlledIn(w), Revisions: s.Revisions, Claim: w.Claim, PodExists: func(name string) bool { return w.Pod(name) != nil },
		Unowned: slices.DeleteFunc(slices.Clone(w.Pods), controlled),
	}, s.Options)
}

func (s *StatefulSet) container(name string) *corev1.Container {
	return containerOf(&s.Spec.Template, name)
}

func (s *StatefulSet) patch(patch []byte) error {
	after, err := merged(&v1beta1.StatefulSet{Spec: s.Spec}, patch)
	if err == nil {
		s.Spec = after.Spec
	}
	return err
}

func (s *StatefulSet) gate(name string) error { return openGate(&s.Options, name) }
