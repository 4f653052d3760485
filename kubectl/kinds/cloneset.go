package kinds

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

func cloneSets() *Kind {
	return &Kind{
		Name: "CloneSet", Word: "cloneset", Words: []string{"clonesets", "clone"},
		New:     func() Workload { return &cloneSet{&v1beta1.CloneSet{}} },
		NewList: func() client.ObjectList { return &v1beta1.CloneSetList{} },
	}
}

type cloneSet struct{ set *v1beta1.CloneSet }

func (c *cloneSet) Kind() *Kind                     { return cloneSets() }
func (c *cloneSet) Object() client.Object           { return c.set }
func (c *cloneSet) Copy() Workload                  { return &cloneSet{c.set.DeepCopy()} }
func (c *cloneSet) Selector() *metav1.LabelSelector { return c.set.Spec.Selector }

// Nodes are of use to a set that spreads its pods: surplus pods go by what their nodes have in common.
func (c *cloneSet) Nodes() Need {
	if len(c.set.Spec.Template.Spec.TopologySpreadConstraints) > 0 {
		return Useful
	}
	return Needless
}

func (c *cloneSet) View(owned Owned, options workload.Options, newID func() string) (*View, error) {
	if c.Nodes() == Useful && !owned.NodesForbidden {
		owned.Node = labelsOf(owned.Nodes)
	}
	view, err := workload.NewCloneSet(c.set, owned.Owned, options)
	if err != nil {
		return nil, err
	}
	pool, err := view.Pool(newID)
	if err != nil {
		return nil, err
	}
	v := &View{
		Workload:  view,
		Revisions: view.Revisions, MaxSurge: pool.MaxSurge, Partition: pool.Partition, Pods: view.Pods, Strays: view.Strays,
		Rules: podset.Rules{
			Replicas: pool.Replicas, MaxUnavailable: pool.MaxUnavailable, Paused: pool.Paused, OnDelete: pool.OnDelete, Policy: pool.Policy,
			UpdateRevision: pool.UpdateRevision,
		},
		Hooks: c.set.Spec.Lifecycle, MinReadySeconds: c.set.Spec.MinReadySeconds,
		Policy:             fmt.Sprintf("podUpdatePolicy is %s", pool.Policy),
		OnDeleteRemedy:     "delete the old pods, or list them in spec.scaleStrategy.podsToDelete, to have them replaced",
		ObservedGeneration: c.set.Status.ObservedGeneration, Counts: c.counts,
		Plan:  func(now time.Time) (podset.Plan, error) { return view.Plan(now, newID) },
		Facts: view.Replicas,
		Act: func(w *world.World, plan podset.Plan) error {
			return w.Act(view, plan, world.Tidy{Strays: view.Strays, Claims: view.ExpiredClaims(view.Current)}, nil)
		},
		Report: func(t podset.Tally) { c.report(view, t, pool.Replicas) },
	}
	if owned.NodesForbidden {
		v.Assumptions = append(v.Assumptions, "nodes may not be listed, so that surplus pods go by how many share a node and not by topologySpreadConstraints")
	}
	for _, s := range c.set.Status.Conditions {
		v.Conditions = append(v.Conditions, Condition{
			Type: string(s.Type), Status: string(s.Status), Reason: s.Reason, Message: s.Message, Since: s.LastTransitionTime.Time,
		})
	}
	return v, nil
}

// labelsOf tells the labels of nodes by their names, nil for one that is not there.
func labelsOf(nodes []*corev1.Node) func(name string) map[string]string {
	labels := make(map[string]map[string]string, len(nodes))
	for _, node := range nodes {
		labels[node.Name] = node.Labels
	}
	return func(name string) map[string]string { return labels[name] }
}

func (c *cloneSet) counts(t podset.Tally) []Count {
	s := &c.set.Status
	return []Count{
		{"existing", int(s.Replicas), t.Replicas}, {"ready", int(s.ReadyReplicas), t.Ready},
		{"available", int(s.AvailableReplicas), t.Available}, {"updated", int(s.UpdatedReplicas), t.Updated},
	}
}

// report keeps what the controller would.
func (c *cloneSet) report(view *workload.CloneSet, t podset.Tally, wanted int) {
	s := &c.set.Status
	s.ObservedGeneration, s.Conditions = c.set.Generation, nil
	s.Replicas, s.ReadyReplicas, s.AvailableReplicas, s.UpdatedReplicas = int32(t.Replicas), int32(t.Ready), int32(t.Available), int32(t.Updated)
	s.CurrentRevision = view.Current
	if t.Updated == t.Replicas && t.Replicas == wanted {
		s.CurrentRevision = view.Update
	}
}

func (c *cloneSet) Change(change Change) error {
	spec := field.NewPath("spec")
	errs := change.common(&c.set.Spec.Replicas, &c.set.Spec.Template.Spec, spec)
	errs = append(errs, c.changeRolling(change, spec.Child("updateStrategy"))...)
	return errs.ToAggregate()
}

func (c *cloneSet) changeRolling(change Change, path *field.Path) field.ErrorList {
	strategy := &c.set.Spec.UpdateStrategy
	if !change.rolls() {
		return nil
	}
	if strategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType {
		return field.ErrorList{field.Invalid(path.Child("type"), strategy.Type, onDelete)}
	}
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{}
	}
	rolling, path := strategy.RollingUpdate, path.Child("rollingUpdate")
	errs := setCount(&rolling.Partition, change.Partition, true, path.Child("partition"))
	errs = append(errs, setCount(&rolling.MaxUnavailable, change.MaxUnavailable, false, path.Child("maxUnavailable"))...)
	errs = append(errs, setCount(&rolling.MaxSurge, change.MaxSurge, false, path.Child("maxSurge"))...)
	errs = append(errs, setChoice(&rolling.PodUpdatePolicy, change.Policy, podUpdatePolicies(), path.Child("podUpdatePolicy"))...)
	if change.Paused != nil {
		rolling.Paused = *change.Paused
	}
	return append(errs, c.together(path)...)
}

// together checks what several fields must keep together.
func (c *cloneSet) together(path *field.Path) field.ErrorList {
	rolling := c.set.Spec.UpdateStrategy.RollingUpdate
	var errs field.ErrorList
	if isZero(rolling.MaxUnavailable) && (rolling.MaxSurge == nil || isZero(rolling.MaxSurge)) &&
		(c.set.Spec.Replicas == nil || *c.set.Spec.Replicas != 0) {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), rolling.MaxUnavailable.String(),
			"maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"))
	}
	if rolling.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType && rolling.MaxSurge != nil && !isZero(rolling.MaxSurge) {
		errs = append(errs, field.Invalid(path.Child("maxSurge"), rolling.MaxSurge.String(),
			fmt.Sprintf("must be 0 with podUpdatePolicy %s: extra pods cannot be made in place", rolling.PodUpdatePolicy)))
	}
	return errs
}
