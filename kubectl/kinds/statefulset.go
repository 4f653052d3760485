package kinds

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

func statefulSets() *Kind {
	return &Kind{
		Name: "StatefulSet", Word: "statefulset.apps.kruise.io", Words: []string{"asts"},
		Native:  []string{"statefulset", "statefulsets", "sts"},
		New:     func() Workload { return &statefulSet{&v1beta1.StatefulSet{}} },
		NewList: func() client.ObjectList { return &v1beta1.StatefulSetList{} },
	}
}

type statefulSet struct{ set *v1beta1.StatefulSet }

func (s *statefulSet) Kind() *Kind                     { return statefulSets() }
func (s *statefulSet) Object() client.Object           { return s.set }
func (s *statefulSet) Copy() Workload                  { return &statefulSet{s.set.DeepCopy()} }
func (s *statefulSet) Selector() *metav1.LabelSelector { return s.set.Spec.Selector }
func (s *statefulSet) Nodes() Need                     { return Needless }

func (s *statefulSet) View(owned Owned, options workload.Options, _ func() string) (*View, error) {
	view, err := workload.NewStatefulSet(s.set, owned.Owned, options)
	if err != nil {
		return nil, err
	}
	sequence, err := view.Sequence()
	if err != nil {
		return nil, err
	}
	v := &View{
		Workload:  view,
		Revisions: view.Revisions, Rules: sequence.Rules, Partition: sequence.Partition, Pods: view.Pods, Strays: view.Strays,
		Hooks: s.set.Spec.Lifecycle, MinReadySeconds: workload.MinReadySeconds(&s.set.Spec),
		Policy:             fmt.Sprintf("podUpdatePolicy is %s", sequence.Policy),
		OnDeleteRemedy:     "delete the old pods to have them replaced",
		ObservedGeneration: s.set.Status.ObservedGeneration, Counts: s.counts,
		Plan: view.Plan, Facts: view.Replicas,
		Act: func(w *world.World, plan podset.Plan) error {
			tidy := world.Tidy{Strays: view.Strays, Orphans: view.OrphanPods, Owner: view.Owner()}
			if tidy.Owners, err = view.Retention(sequence); err != nil {
				return err
			}
			return w.Act(view, plan, tidy, nil)
		},
		Report: func(t podset.Tally) {
			s.set.Status.ObservedGeneration, s.set.Status.Conditions = s.set.Generation, nil
			view.Count(&s.set.Status, t, sequence.Replicas)
		},
	}
	for _, c := range s.set.Status.Conditions {
		v.Conditions = append(v.Conditions, Condition{
			Type: string(c.Type), Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
		})
	}
	return v, nil
}

func (s *statefulSet) counts(t podset.Tally) []Count {
	status := &s.set.Status
	return []Count{
		{"existing", int(status.Replicas), t.Replicas + t.Ending}, {"ready", int(status.ReadyReplicas), t.Ready},
		{"available", int(status.AvailableReplicas), t.Available}, {"updated", int(status.UpdatedReplicas), t.Updated},
	}
}

func (s *statefulSet) Change(change Change) error {
	spec := field.NewPath("spec")
	errs := change.common(&s.set.Spec.Replicas, &s.set.Spec.Template.Spec, spec)
	errs = append(errs, s.changeRolling(change, spec.Child("updateStrategy"))...)
	return errs.ToAggregate()
}

func (s *statefulSet) changeRolling(change Change, path *field.Path) field.ErrorList {
	strategy := &s.set.Spec.UpdateStrategy
	if !change.rolls() {
		return nil
	}
	if strategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		return field.ErrorList{field.Invalid(path.Child("type"), strategy.Type, onDelete)}
	}
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{}
	}
	rolling, path := strategy.RollingUpdate, path.Child("rollingUpdate")
	errs := setNumber(&rolling.Partition, change.Partition, path.Child("partition"))
	errs = append(errs, setCount(&rolling.MaxUnavailable, change.MaxUnavailable, false, path.Child("maxUnavailable"))...)
	if change.MaxSurge != "" {
		errs = append(errs, field.Forbidden(path.Child("maxSurge"), "a StatefulSet has none: no two pods can have the same ordinal"))
	}
	errs = append(errs, setChoice(&rolling.PodUpdatePolicy, change.Policy, podUpdatePolicies(), path.Child("podUpdatePolicy"))...)
	if change.Paused != nil {
		rolling.Paused = *change.Paused
	}
	return append(errs, s.together(path)...)
}

// together checks what several fields must keep together.
func (s *statefulSet) together(path *field.Path) field.ErrorList {
	rolling := s.set.Spec.UpdateStrategy.RollingUpdate
	var errs field.ErrorList
	switch most := rolling.MaxUnavailable; {
	case isZero(most):
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), most.String(), "must be above 0: no pod could ever be updated"))
	case most != nil && most.String() != "1" && s.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement:
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), most.String(),
			"must be 1 with podManagementPolicy OrderedReady, where pods follow one after the other"))
	}
	gate := corev1.PodReadinessGate{ConditionType: v1beta1.InPlaceUpdateReady}
	if policy := rolling.PodUpdatePolicy; policy != "" && policy != v1beta1.RecreatePodUpdatePolicyType &&
		!slices.Contains(s.set.Spec.Template.Spec.ReadinessGates, gate) {
		errs = append(errs, field.Invalid(path.Child("podUpdatePolicy"), policy,
			fmt.Sprintf("needs the readiness gate %s in the template", gate.ConditionType)))
	}
	return errs
}
