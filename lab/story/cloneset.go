package story

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// CloneSet is a CloneSet in a world. Its spec may be changed at any time.
type CloneSet struct {
	Name string
	Spec v1beta1.CloneSetSpec
	// Revisions are the templates so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision
	// CurrentRevision is that of the last complete rollout.
	CurrentRevision string
	// Options are those of the whole cluster.
	Options workload.Options

	slots int
}

// Decide observes the world and makes a plan. It registers the template as a revision, if it is new.
func (c *CloneSet) Decide(w *world.World) (podset.Plan, error) {
	view, err := c.View(w)
	if err != nil {
		return podset.Plan{}, err
	}
	return view.Plan(w.Now, c.newID)
}

// Reconcile makes one plan and carries it out.
func (c *CloneSet) Reconcile(w *world.World) (podset.Plan, error) {
	view, err := c.View(w)
	if err != nil {
		return podset.Plan{}, err
	}
	plan, err := w.Reconcile(view, c.newID)
	if err != nil {
		return plan, err
	}
	return plan, c.Report(w, plan.Tally)
}

// Report keeps of a tally what later decisions need: the revision of a complete rollout becomes the current one.
func (c *CloneSet) Report(w *world.World, t podset.Tally) error {
	view, err := c.View(w)
	if err != nil {
		return err
	}
	pool, err := view.Pool(c.newID)
	if err == nil && t.Updated == t.Replicas && t.Replicas == pool.Replicas {
		c.CurrentRevision = pool.UpdateRevision
	}
	return err
}

// Observe reads the facts about every pod.
func (c *CloneSet) Observe(w *world.World) ([]replica.Replica, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	return view.Replicas(w.Now), nil
}

// View is the CloneSet with what belongs to it. It registers the template as a revision, if it is new.
func (c *CloneSet) View(w *world.World) (*workload.CloneSet, error) {
	if err := c.register(); err != nil {
		return nil, err
	}
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Name: c.Name, UID: "the-set"}, Spec: c.Spec}
	set.Status.CurrentRevision = c.CurrentRevision
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	owned := workload.Owned{
		Claims: w.Claims, Revisions: c.Revisions, PodExists: func(name string) bool { return w.Pod(name) != nil },
	}
	owned.Pods = slices.DeleteFunc(slices.Clone(w.Pods), func(pod *corev1.Pod) bool { return !metav1.IsControlledBy(pod, set) })
	return workload.NewCloneSet(set, owned, c.Options)
}

// register makes a revision of the template, or brings an older one that equals it to the front.
func (c *CloneSet) register() error {
	data, err := revision.Data(&c.Spec.Template)
	if err != nil {
		return err
	}
	if found := revision.Find(c.Revisions, &c.Spec.Template, data); found != nil {
		found.Revision = max(found.Revision, revision.Next(c.Revisions)-1)
		return nil
	}
	c.Revisions = append(c.Revisions, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: revision.Name(c.Name, fmt.Sprintf("v%d", len(c.Revisions)+1))},
		Data:       runtime.RawExtension{Raw: data}, Revision: revision.Next(c.Revisions),
	})
	if c.CurrentRevision == "" {
		c.CurrentRevision = c.Revisions[0].Name
	}
	return nil
}

// newID makes up an instance id that reads well: a, b, c, and so on.
func (c *CloneSet) newID() string {
	id := ""
	for i := c.slots; i >= 0; i = i/26 - 1 {
		id = string(rune('a'+i%26)) + id
	}
	c.slots++
	return id
}
