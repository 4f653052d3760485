package kinds

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

func daemonSets() *Kind {
	return &Kind{
		Name: "DaemonSet", Word: "daemonset.apps.kruise.io", Words: []string{"ads", "daemon"},
		Native:  []string{"daemonset", "daemonsets", "ds"},
		New:     func() Workload { return &daemonSet{&v1beta1.DaemonSet{}} },
		NewList: func() client.ObjectList { return &v1beta1.DaemonSetList{} },
	}
}

type daemonSet struct{ set *v1beta1.DaemonSet }

func (d *daemonSet) Kind() *Kind                     { return daemonSets() }
func (d *daemonSet) Object() client.Object           { return d.set }
func (d *daemonSet) Copy() Workload                  { return &daemonSet{d.set.DeepCopy()} }
func (d *daemonSet) Selector() *metav1.LabelSelector { return d.set.Spec.Selector }
func (d *daemonSet) Nodes() Need                     { return Needed }

func (d *daemonSet) View(owned Owned, options workload.Options, newID func() string) (*View, error) {
	view, err := workload.NewDaemonSet(d.set, owned.Owned, owned.Nodes, newID, options)
	if err != nil {
		return nil, err
	}
	want, err := view.PerNode(nil)
	if err != nil {
		return nil, err
	}
	wanted := 0
	for _, node := range want.Nodes {
		if node.Runs {
			wanted++
		}
	}
	how := v1beta1.StandardRollingUpdateType
	if r := d.set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Type != "" {
		how = r.Type
	}
	v := &View{
		Workload:  view,
		Revisions: view.Revisions, MaxSurge: want.MaxSurge, Partition: want.Partition, Pods: view.Pods, Strays: view.Strays,
		Rules: podset.Rules{
			Replicas: wanted, MaxUnavailable: want.MaxUnavailable, Paused: want.Paused, OnDelete: want.OnDelete, Policy: want.Policy,
			UpdateRevision: want.UpdateRevision,
		},
		Hooks: d.set.Spec.Lifecycle, MinReadySeconds: d.set.Spec.MinReadySeconds,
		Policy:             fmt.Sprintf("rollingUpdateType is %s", how),
		OnDeleteRemedy:     "delete the old pods to have them replaced",
		ObservedGeneration: d.set.Status.ObservedGeneration, Counts: d.counts,
		Plan:  func(now time.Time) (podset.Plan, error) { return view.Plan(now, nil) },
		Facts: view.Replicas,
		Act: func(w *world.World, plan podset.Plan) error {
			return w.Act(view, plan, world.Tidy{Strays: view.Strays}, nil)
		},
		Report: func(t podset.Tally) { d.report(view, t) },
	}
	for _, c := range d.set.Status.Conditions {
		v.Conditions = append(v.Conditions, Condition{
			Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
		})
	}
	return v, nil
}

func (d *daemonSet) counts(t podset.Tally) []Count {
	s := &d.set.Status
	return []Count{
		{"existing", int(s.CurrentNumberScheduled), t.Replicas}, {"ready", int(s.NumberReady), t.Ready},
		{"available", int(s.NumberAvailable), t.Available}, {"updated", int(s.UpdatedNumberScheduled), t.Updated},
	}
}

// report keeps what the controller would.
func (d *daemonSet) report(view *workload.DaemonSet, t podset.Tally) {
	s := &d.set.Status
	s.ObservedGeneration, s.Conditions, s.UpdateRevision = d.set.Generation, nil, view.Update
	s.CurrentNumberScheduled, s.NumberReady = int32(t.Replicas), int32(t.Ready)
	s.NumberAvailable, s.UpdatedNumberScheduled = int32(t.Available), int32(t.Updated)
}

func (d *daemonSet) Change(change Change) error {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if change.Replicas != nil {
		errs = append(errs, field.Forbidden(spec.Child("replicas"), "a DaemonSet has none: it wants a pod on each node that takes one"))
	}
	errs = append(errs, change.images(&d.set.Spec.Template.Spec, spec)...)
	errs = append(errs, d.changeRolling(change, spec.Child("updateStrategy"))...)
	return errs.ToAggregate()
}

func (d *daemonSet) changeRolling(change Change, path *field.Path) field.ErrorList {
	strategy := &d.set.Spec.UpdateStrategy
	if !change.rolls() {
		return nil
	}
	if strategy.Type == v1beta1.OnDeleteDaemonSetStrategyType {
		return field.ErrorList{field.Invalid(path.Child("type"), strategy.Type, onDelete)}
	}
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateDaemonSet{}
	}
	rolling, path := strategy.RollingUpdate, path.Child("rollingUpdate")
	errs := setCount(&rolling.Partition, change.Partition, true, path.Child("partition"))
	errs = append(errs, setCount(&rolling.MaxUnavailable, change.MaxUnavailable, false, path.Child("maxUnavailable"))...)
	errs = append(errs, setCount(&rolling.MaxSurge, change.MaxSurge, false, path.Child("maxSurge"))...)
	errs = append(errs, setChoice(&rolling.Type, change.Policy,
		[]v1beta1.RollingUpdateType{v1beta1.StandardRollingUpdateType, v1beta1.InplaceRollingUpdateType}, path.Child("rollingUpdateType"))...)
	if change.Paused != nil {
		rolling.Paused = change.Paused
	}
	return append(errs, d.together(path)...)
}

// together checks what several fields must keep together.
func (d *daemonSet) together(path *field.Path) field.ErrorList {
	rolling := d.set.Spec.UpdateStrategy.RollingUpdate
	surges := rolling.MaxSurge != nil && !isZero(rolling.MaxSurge)
	var errs field.ErrorList
	switch {
	case surges && rolling.MaxUnavailable != nil && !isZero(rolling.MaxUnavailable):
		errs = append(errs, field.Invalid(path.Child("maxSurge"), rolling.MaxSurge.String(),
			"maxUnavailable and maxSurge must not both be above 0: a node either gets a new pod before its old one goes, or after"))
	case !surges && isZero(rolling.MaxUnavailable):
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), rolling.MaxUnavailable.String(),
			"maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"))
	}
	if surges && rolling.Type == v1beta1.InplaceRollingUpdateType {
		errs = append(errs, field.Invalid(path.Child("maxSurge"), rolling.MaxSurge.String(),
			fmt.Sprintf("must be 0 with rollingUpdateType %s: a second pod cannot be made in place", rolling.Type)))
	}
	return errs
}
