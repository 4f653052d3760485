package kinds

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/sidecar"
	"kruise.io/kruise/plan/workload"
)

func sidecarSets() *Kind {
	return &Kind{
		Name: "SidecarSet", Word: "sidecarset", Words: []string{"sidecarsets"}, Cluster: true,
		New:     func() Workload { return &sidecarSet{&v1beta1.SidecarSet{}} },
		NewList: func() client.ObjectList { return &v1beta1.SidecarSetList{} },
	}
}

type sidecarSet struct{ set *v1beta1.SidecarSet }

func (s *sidecarSet) Kind() *Kind                     { return sidecarSets() }
func (s *sidecarSet) Object() client.Object           { return s.set }
func (s *sidecarSet) Copy() Workload                  { return &sidecarSet{s.set.DeepCopy()} }
func (s *sidecarSet) Selector() *metav1.LabelSelector { return s.set.Spec.Selector }
func (s *sidecarSet) Nodes() Need                     { return Needless }

func (s *sidecarSet) View(owned Owned, _ workload.Options, _ func() string) (*View, error) {
	in := workload.Injected{Revisions: owned.Revisions, NamespaceLabels: owned.NamespaceLabels}
	if owned.Gates.Changes {
		in.Budgets = func(namespace string) ([]*policyv1beta1.PodUnavailableBudget, error) { return owned.in(namespace), nil }
	}
	for _, pod := range owned.All {
		if sidecar.Injected(pod, s.set.Name) {
			in.Pods = append(in.Pods, pod)
		}
	}
	view, err := workload.NewSidecarSet(s.set, in)
	if err != nil {
		return nil, err
	}
	v := &View{
		Workload: view,
		Pods:     view.Pods, Policy: "no pod is recreated for its sidecars", Strategy: "spec.updateStrategy",
		OnDeleteRemedy:     "set spec.updateStrategy.type to RollingUpdate, or delete the old pods to have them replaced",
		BlockedRemedy:      "recreate the pods that cannot be upgraded in place, or change nothing but images",
		ObservedGeneration: s.set.Status.ObservedGeneration, Counts: s.counts,
		Plan:   view.Plan,
		Facts:  view.Replicas,
		Act:    func(w *world.World, plan podset.Plan) error { return w.Act(view, plan, world.Tidy{}, nil) },
		Report: func(t podset.Tally) { s.report(view, t) },
		Revise: view.NewRevision,
	}
	for _, c := range s.set.Status.Conditions {
		v.Conditions = append(v.Conditions, Condition{
			Type: c.Type, Status: string(c.Status), Reason: c.Reason, Message: c.Message, Since: c.LastTransitionTime.Time,
		})
	}
	if v.Revisions, err = view.Templates(); err != nil {
		return nil, err
	}
	return v, s.rules(v, view)
}

// rules fills in what the pods go by. All pods that the set was injected into are wanted, as many as others make.
func (s *sidecarSet) rules(v *View, view *workload.SidecarSet) error {
	facts := view.Replicas(time.Time{})
	want, err := view.Sidecars(facts)
	if err != nil {
		return err
	}
	v.Rules, v.Partition = want.Rules(facts), want.Partition
	v.Rules.OnDelete, v.Rules.Replicas = want.NotUpdate, 0
	for i := range facts {
		if facts[i].Active() {
			v.Rules.Replicas++
		}
	}
	return nil
}

func (s *sidecarSet) counts(t podset.Tally) []Count {
	st := &s.set.Status
	return []Count{
		{"matched", int(st.MatchedPods), t.Replicas}, {"ready", int(st.ReadyPods), t.Ready},
		{"updated", int(st.UpdatedPods), t.Updated}, {"updated and ready", int(st.UpdatedReadyPods), t.UpdatedAvailable},
	}
}

// report keeps what the controller would.
func (s *sidecarSet) report(view *workload.SidecarSet, t podset.Tally) {
	st := &s.set.Status
	st.ObservedGeneration, st.Conditions, st.LatestRevision = s.set.Generation, nil, view.Update
	st.MatchedPods, st.ReadyPods = int32(t.Replicas), int32(t.Ready)
	st.UpdatedPods, st.UpdatedReadyPods = int32(t.Updated), int32(t.UpdatedAvailable)
}

func (s *sidecarSet) Change(change Change) error {
	spec := field.NewPath("spec")
	before := s.set.DeepCopy()
	var errs field.ErrorList
	if change.Replicas != nil {
		errs = append(errs, field.Forbidden(spec.Child("replicas"), "a SidecarSet has none: its pods belong to others"))
	}
	for flag, value := range map[string]string{"maxSurge": change.MaxSurge, "podUpdatePolicy": change.Policy} {
		if value != "" {
			errs = append(errs, field.Forbidden(spec.Child("updateStrategy", flag), "a SidecarSet has none: it creates and deletes no pod"))
		}
	}
	errs = append(errs, change.imagesOf(s.containers(), spec)...)
	strategy, path := &s.set.Spec.UpdateStrategy, spec.Child("updateStrategy")
	errs = append(errs, setCount(&strategy.Partition, change.Partition, true, path.Child("partition"))...)
	errs = append(errs, setCount(&strategy.MaxUnavailable, change.MaxUnavailable, false, path.Child("maxUnavailable"))...)
	if strategy.Selector != nil && change.Partition != "" && !isZero(strategy.Partition) {
		errs = append(errs, field.Forbidden(path.Child("partition"), "partition and selector exclude each other: each says which pods stay as they are"))
	}
	if change.Paused != nil {
		strategy.Paused = *change.Paused
	}
	if len(errs) > 0 {
		return errs.ToAggregate()
	}
	return sidecar.Stamp(s.set, before)
}

// containers are the sidecars.
func (s *sidecarSet) containers() (all []*corev1.Container) {
	for _, list := range [][]v1beta1.SidecarContainer{s.set.Spec.Containers, s.set.Spec.InitContainers} {
		for i := range list {
			all = append(all, &list[i].Container)
		}
	}
	return all
}

// Apart are copies of pods of several namespaces that have no namespace, and names that tell them apart: a modelled cluster
// has one namespace.
func Apart(pods []*corev1.Pod) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range pods {
		pod = pod.DeepCopy()
		pod.Namespace, pod.Name = "", fmt.Sprintf("%s/%s", pod.Namespace, pod.Name)
		out = append(out, pod)
	}
	return out
}
