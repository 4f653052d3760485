package story

import (
	"errors"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/pause"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// DaemonSet is a DaemonSet in a world. Its spec may be changed at any time.
type DaemonSet struct {
	Name string
	Spec v1beta1.DaemonSetSpec
	// Revisions are the templates so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision
	// Options are those of the whole cluster.
	Options workload.Options

	names  int
	pauses *pause.Pauses
	order  Order
}

// NewDaemonSet makes a DaemonSet.
func NewDaemonSet(name string, spec v1beta1.DaemonSetSpec) *DaemonSet {
	return &DaemonSet{Name: name, Spec: spec, pauses: pause.New(time.Second, 15*time.Minute)}
}

func readDaemonSet(text []byte) (string, set, error) {
	var object v1beta1.DaemonSet
	err := yaml.UnmarshalStrict(text, &object)
	return object.Name, NewDaemonSet(object.Name, object.Spec), err
}

// NodeRound is one turn of the controller of a DaemonSet: what it sees, and what it decides.
type NodeRound struct {
	Want *podset.PerNode
	Pods []replica.Replica
	Plan podset.Plan

	set  *DaemonSet
	view *workload.DaemonSet
}

// Decide lets the controller decide what to do, and checks the promises that the plan shows.
func (d *DaemonSet) Decide(w *world.World) (*NodeRound, error) {
	view, err := d.View(w)
	if err != nil {
		return nil, err
	}
	r := &NodeRound{set: d, view: view, Pods: view.Replicas(w.Now)}
	if r.Want, err = view.PerNode(d.pauses.Until); err != nil {
		return nil, err
	}
	r.Plan = r.Want.Plan(w.Now, r.Pods)
	return r, errors.Join(CheckNodePlan(r.Want, r.Pods, r.Plan), CheckService(w, r.Pods))
}

func (d *DaemonSet) decide(w *world.World) (turn, error) {
	r, err := d.Decide(w)
	if err != nil {
		return nil, err
	}
	return r, nil
}

func (r *NodeRound) facts() ([]replica.Replica, podset.Plan) { return r.Pods, r.Plan }

func (r *NodeRound) moves() ([]lifecycle.Transition, error) { return Moves(r.Plan, r.Want.IsNew) }

// Act carries the decision out, and checks the promises of the world before and after each write. After so many writes the
// manager ends, as in a crash.
func (r *NodeRound) Act(w *world.World, writes int) error {
	before, inOrder := NodeCensusOf(r.Want, r.Pods), r.set.order.watch(w)
	kept := func() error {
		view, err := r.set.View(w)
		if err != nil {
			return err
		}
		return errors.Join(inOrder(), NodeCensusOf(r.Want, view.Replicas(w.Now)).CheckAfter(before, r.Want))
	}
	for _, s := range r.Plan.Steps {
		if s.Do == podset.Delete && s.Pod.Phase == replica.Ended {
			r.set.pauses.Failed(s.Pod.Node, w.Now)
		}
	}
	err := act(w, r.view, r.Plan, world.Tidy{Strays: r.view.Strays}, writes, kept)
	if errors.Is(err, errCrash) {
		return kept()
	}
	return errors.Join(err, kept())
}

// View is the DaemonSet with what belongs to it. It registers the template as a revision, if it is new.
func (d *DaemonSet) View(w *world.World) (*workload.DaemonSet, error) {
	view, err := d.read(w)
	if err != nil {
		return nil, err
	}
	if newest := view.Newest; newest != nil { // an older one that equals the template becomes the newest again
		newest.Revision = max(newest.Revision, revision.Next(d.Revisions)-1)
		return view, nil
	}
	made, hash := view.NewRevision(), fmt.Sprintf("v%d", len(d.Revisions)+1)
	made.Name, made.Labels[revision.HashLabel] = revision.Name(d.Name, hash), hash
	d.Revisions = append(d.Revisions, made)
	return d.read(w)
}

func (d *DaemonSet) read(w *world.World) (*workload.DaemonSet, error) {
	set := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Name: d.Name, UID: "the-set"}, Spec: d.Spec}
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	owned := workload.Owned{Revisions: d.Revisions, PodExists: func(name string) bool { return w.Pod(name) != nil }}
	owned.Pods = slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !metav1.IsControlledBy(pod, set) })
	return workload.NewDaemonSet(set, owned, w.Nodes, d.newID, d.Options)
}

// newID makes up the end of a pod's name that reads well: a, b, c, and so on.
func (d *DaemonSet) newID() string {
	d.names++
	return letters(d.names - 1)
}

func (d *DaemonSet) container(name string) *corev1.Container {
	return containerOf(&d.Spec.Template, name)
}

func (d *DaemonSet) patch(patch []byte) error {
	after, err := merged(&v1beta1.DaemonSet{Spec: d.Spec}, patch)
	if err == nil {
		d.Spec = after.Spec
	}
	return err
}

func (d *DaemonSet) gate(name string) error { return openGate(&d.Options, name) }

func (d *DaemonSet) status(w *world.World) (string, error) {
	view, err := d.View(w)
	if err != nil {
		return "", err
	}
	plan, err := view.Plan(w.Now, d.pauses.Until)
	t := plan.Tally
	return fmt.Sprintf("%d nodes, %d with a pod, %d ready, %d available; %d of %d updated, %d available; %d misscheduled",
		t.Desired, t.Replicas, t.Ready, t.Available, t.Updated, t.ExpectedUpdated, t.UpdatedAvailable, t.Misscheduled), err
}
