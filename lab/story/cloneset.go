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
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// CloneSet is a CloneSet whose pods are all the pods of a world. Its spec may be changed at any time.
type CloneSet struct {
	Name string
	Spec v1beta1.CloneSetSpec
	// Revisions are the templates so far. They are named <name>-v1, <name>-v2, and so on.
	Revisions []*appsv1.ControllerRevision
	// CurrentRevision is that of the last complete rollout.
	CurrentRevision string

	slots int
}

// Decide observes the world and makes a plan. It registers the template as a revision, if it is new.
func (c *CloneSet) Decide(w *world.World) (podset.Plan, error) {
	pool, err := c.Pool()
	if err != nil {
		return podset.Plan{}, err
	}
	return pool.Plan(w.Now, c.Observe(w)), nil
}

// Reconcile makes one plan and carries it out.
func (c *CloneSet) Reconcile(w *world.World) (podset.Plan, error) {
	plan, err := c.Decide(w)
	if err != nil {
		return plan, err
	}
	for _, step := range plan.Steps {
		if err := w.Do(c.Owner(), step); err != nil {
			return plan, err
		}
	}
	return plan, c.Report(plan.Tally)
}

// Report keeps of a tally what later decisions need: the revision of a complete rollout becomes the current one.
func (c *CloneSet) Report(t podset.Tally) error {
	pool, err := c.Pool()
	if err == nil && t.Updated == t.Replicas && t.Replicas == pool.Replicas {
		c.CurrentRevision = pool.UpdateRevision
	}
	return err
}

// Observe reads the facts about every pod.
func (c *CloneSet) Observe(w *world.World) []replica.Replica {
	out := make([]replica.Replica, 0, len(w.Pods))
	for _, pod := range w.Pods {
		out = append(out, replica.Of(pod, replica.Options{
			Now: w.Now, MinReadySeconds: c.Spec.MinReadySeconds, Hooks: c.Spec.Lifecycle, SlotLabel: v1beta1.CloneSetInstanceID,
		}))
	}
	return out
}

// Pool is what the spec wants.
func (c *CloneSet) Pool() (*podset.Pool, error) {
	update, err := c.UpdateRevision()
	if err != nil {
		return nil, err
	}
	if c.CurrentRevision == "" {
		c.CurrentRevision = update
	}
	pool, err := podset.PoolOf(&v1beta1.CloneSet{Spec: c.Spec})
	if err != nil {
		return nil, err
	}
	pool.UpdateRevision, pool.CurrentRevision = update, c.CurrentRevision
	pool.Change = func(from string) inplace.Change { return c.change(from, update) }
	pool.FreshSlots = c.freshSlots
	return &pool, nil
}

// Owner is what the executor must know.
func (c *CloneSet) Owner() world.Owner {
	o := world.Owner{Name: c.Name, SlotLabel: v1beta1.CloneSetInstanceID, Template: c.template, Hooks: c.Spec.Lifecycle}
	if r := c.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		o.GraceSeconds = r.InPlaceUpdateStrategy.GracePeriodSeconds
	}
	return o
}

// UpdateRevision is the name of the template's revision, which is made if need be.
func (c *CloneSet) UpdateRevision() (string, error) {
	data, err := revision.Data(&c.Spec.Template)
	if err != nil {
		return "", err
	}
	if found := revision.Find(c.Revisions, &c.Spec.Template, data); found != nil {
		found.Revision = max(found.Revision, revision.Next(c.Revisions)-1)
		return found.Name, nil
	}
	name := revision.Name(c.Name, fmt.Sprintf("v%d", len(c.Revisions)+1))
	c.Revisions = append(c.Revisions, &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Name: name}, Data: runtime.RawExtension{Raw: data}, Revision: revision.Next(c.Revisions),
	})
	return name, nil
}

func (c *CloneSet) template(name string) (*corev1.PodTemplateSpec, error) {
	i := slices.IndexFunc(c.Revisions, func(r *appsv1.ControllerRevision) bool { return r.Name == name })
	if i < 0 {
		return nil, fmt.Errorf("no revision %q", name)
	}
	return revision.Template(c.Revisions[i])
}

func (c *CloneSet) change(from, to string) inplace.Change {
	before, err := c.template(from)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	after, err := c.template(to)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	change, err := inplace.Compare(before, after)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	return change
}

// freshSlots makes up slots that read well: a, b, c, and so on.
func (c *CloneSet) freshSlots(n int) []string {
	var out []string
	for range n {
		slot := ""
		for i := c.slots; i >= 0; i = i/26 - 1 {
			slot = string(rune('a'+i%26)) + slot
		}
		c.slots++
		out = append(out, slot)
	}
	return out
}
