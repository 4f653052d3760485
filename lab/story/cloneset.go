package story

import (
	"errors"

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

// Decide lets the controller decide what to do now, and checks the promises that the plan shows.
func (c *CloneSet) Decide(w *world.World) (*Round, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	r := &Round{Pods: view.Replicas(w.Now)}
	if r.Pool, err = view.Pool(c.newID); err != nil {
		return nil, err
	}
	r.Plan = r.Pool.Plan(w.Now, r.Pods)
	least := CensusOf(r.Pool, r.Pods).Floor(r.Pool)
	r.kept = func() error {
		return floor("pods are available", func() (int, error) {
			pods, err := c.Observe(w)
			return CensusOf(r.Pool, pods).Available, err
		}, least)
	}
	r.done = func() error {
		c.Spec.ScaleStrategy.PodsToDelete = view.RemainingPodsToDelete()
		return errors.Join(CheckOwnership(w), c.Report(w, r.Plan.Tally))
	}
	r.turn = world.CloneSet(view, r.Plan)
	return r, errors.Join(CheckPlan(r.Pool, r.Pods, r.Plan), CheckService(w, r.Pods))
}

// Report keeps of a tally what later decisions need: the revision of a complete rollout becomes the current one.
func (c *CloneSet) Report(w *world.World, t podset.Tally) error {
	pool, err := c.Pool(w)
	if err == nil && t.Updated == t.Replicas && t.Replicas == pool.Replicas {
		c.CurrentRevision = pool.UpdateRevision
	}
	return err
}

// Pool is what the set wants of its pods.
func (c *CloneSet) Pool(w *world.World) (*podset.Pool, error) {
	view, err := c.View(w)
	if err != nil {
		return nil, err
	}
	return view.Pool(c.newID)
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
	view, err := c.read(w)
	if err != nil || !(history{c.Name, &c.Revisions, &c.CurrentRevision}).register(view.Revisions) {
		return view, err
	}
	return c.read(w)
}

func (c *CloneSet) read(w *world.World) (*workload.CloneSet, error) {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Name: c.Name, UID: setUID}, Spec: c.Spec}
	set.Status.CurrentRevision = c.CurrentRevision
	if set.Spec.Selector == nil { // a story need not say
		set.Spec.Selector = &metav1.LabelSelector{}
	}
	return workload.NewCloneSet(set, workload.Owned{
		Pods: ownedIn(w), Claims: w.Claims, Revisions: c.Revisions, PodExists: func(name string) bool { return w.Pod(name) != nil },
	}, c.Options)
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

func (c *CloneSet) options() *workload.Options { return &c.Options }

func (c *CloneSet) template() *corev1.PodTemplateSpec { return &c.Spec.Template }

func (c *CloneSet) manifest() any { return &v1beta1.CloneSet{Spec: c.Spec} }

func (c *CloneSet) change(manifest []byte) error {
	var object v1beta1.CloneSet
	err := yaml.UnmarshalStrict(manifest, &object)
	c.Spec = object.Spec
	return err
}
