package story

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/sidecar"
	"kruise.io/kruise/plan/workload"
)

// SidecarSet is a SidecarSet in a world, where others have pods. Its spec may be changed at any time.
type SidecarSet struct {
	Name string
	Spec v1beta1.SidecarSetSpec
	// Annotations are those of the set.
	Annotations map[string]string
	// Revisions are what it injected so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision

	pods   int
	served map[types.UID]bool // the pods that were ever in service
	taken  map[types.UID]bool // the pods that an upgrade took out of service and that are not back
}

func readSidecarSet(text []byte) (string, set, error) {
	var object v1beta1.SidecarSet
	err := yaml.UnmarshalStrict(text, &object)
	return object.Name, &SidecarSet{Name: object.Name, Spec: object.Spec, Annotations: object.Annotations}, err
}

// SidecarRound is one turn of the controller of a SidecarSet: what it sees, and what it decides.
type SidecarRound struct {
	Want *podset.Sidecars
	Pods []replica.Replica
	Plan podset.Plan

	set  *SidecarSet
	view *workload.SidecarSet
}

// Decide lets the controller decide what to do, and checks the promises that the plan and the world show.
func (s *SidecarSet) Decide(w *world.World) (*SidecarRound, error) {
	view, err := s.View(w)
	if err != nil {
		return nil, err
	}
	r := &SidecarRound{set: s, view: view, Pods: view.Replicas(w.Now)}
	if r.Want, err = view.Sidecars(r.Pods); err != nil {
		return nil, err
	}
	r.Plan = r.Want.Plan(w.Now, r.Pods)
	return r, errors.Join(CheckSidecarPlan(r.Want, r.Pods, r.Plan), CheckService(w, r.Pods), s.checkTwins(w, r.Pods), s.checkTaken(r))
}

func (s *SidecarSet) decide(w *world.World) (turn, error) {
	r, err := s.Decide(w)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *SidecarRound) facts() ([]replica.Replica, podset.Plan) { return r.Pods, r.Plan }

// moves are none: the life cycle of a pod is the affair of its owner.
func (r *SidecarRound) moves() ([]lifecycle.Transition, error) { return nil, nil }

// Act carries the decision out, and checks the promises of the world before and after each write. After so many writes the
// manager ends, as in a crash.
func (r *SidecarRound) Act(w *world.World, writes int) error {
	floor := SidecarFloor(r.Want, r.Pods)
	kept := func() error {
		view, err := r.set.View(w)
		if err != nil {
			return err
		}
		return atLeast(floor, available(view.Replicas(w.Now)), "pods")
	}
	err := act(w, r.view, r.Plan, world.Tidy{}, writes, kept)
	if e := r.set.noteTaken(w, r); e != nil {
		return e
	}
	if err != nil {
		if errors.Is(err, errCrash) {
			return kept()
		}
		return err
	}
	tell, err := r.view.Tell(w.Now)
	for _, patch := range tell {
		if e := w.PatchStatus(patch.Pod.Name, patch.Body); !apierrors.IsConflict(e) { // a pod that was just changed is told next time
			err = errors.Join(err, e)
		}
	}
	return errors.Join(err, kept())
}

// View is the SidecarSet with the pods that it was injected into. It registers what it injects as a revision, if that is new.
func (s *SidecarSet) View(w *world.World) (*workload.SidecarSet, error) {
	view, err := s.read(w)
	if err != nil {
		return nil, err
	}
	if newest := view.Newest; newest != nil { // an older one that holds the same becomes the newest again
		newest.Revision = max(newest.Revision, revision.Next(s.Revisions)-1)
		return view, nil
	}
	made, hash := view.NewRevision(), fmt.Sprintf("v%d", len(s.Revisions)+1)
	made.Name, made.Labels[revision.HashLabel] = revision.Name(s.Name, hash), hash
	s.Revisions = append(s.Revisions, made)
	return s.read(w)
}

func (s *SidecarSet) object() *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: s.Name, UID: setUID, Annotations: s.Annotations}, Spec: s.Spec}
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	return set
}

func (s *SidecarSet) read(w *world.World) (*workload.SidecarSet, error) {
	pods := slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !sidecar.Injected(pod, s.Name) })
	return workload.NewSidecarSet(s.object(), workload.Injected{Pods: pods, Revisions: s.Revisions})
}

// AddPods lets somebody create so many pods with these labels, into which the sidecars are injected.
func (s *SidecarSet) AddPods(w *world.World, n int, labels map[string]string) error {
	view, err := s.View(w)
	if err != nil {
		return err
	}
	for range n {
		name := s.Name + "-" + letters(s.pods)
		s.pods++
		owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "other", UID: "other", Controller: new(true)}
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, OwnerReferences: []metav1.OwnerReference{owner}}}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
		problems := sidecar.Inject(pod, []sidecar.Injection{{Set: view.Set, Revision: view.Update}}, sidecar.Options{Now: metav1.NewTime(w.Now)})
		if len(problems) > 0 {
			return problems[0].Err
		}
		if err := w.Create(pod); err != nil {
			return err
		}
	}
	return nil
}

// addPods is the verb.
func (s *SidecarSet) addPods(w *world.World, text string) error {
	words := strings.Fields(text)
	if len(words) == 0 {
		return errors.New("how many pods?")
	}
	n, err := strconv.Atoi(words[0])
	if err != nil {
		return err
	}
	labels := map[string]string{}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		labels[key] = value
	}
	return s.AddPods(w, n, labels)
}

func (s *SidecarSet) container(name string) *corev1.Container {
	for _, list := range [][]v1beta1.SidecarContainer{s.Spec.Containers, s.Spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i].Container
			}
		}
	}
	return nil
}

func (s *SidecarSet) patch(patch []byte) error {
	after, err := merged(&v1beta1.SidecarSet{Spec: s.Spec}, patch)
	if err == nil {
		s.Spec = after.Spec
	}
	return err
}

func (s *SidecarSet) gate(name string) error {
	return fmt.Errorf("no gate switches anything for SidecarSets, and %q neither", name)
}

func (s *SidecarSet) status(w *world.World) (string, error) {
	view, err := s.View(w)
	if err != nil {
		return "", err
	}
	plan, err := view.Plan(w.Now)
	t := plan.Tally
	return fmt.Sprintf("%d pods, %d ready, %d available; %d of %d updated, %d ready; latest %s",
		t.Replicas, t.Ready, t.Available, t.Updated, t.ExpectedUpdated, t.UpdatedAvailable, view.Update), err
}
