package e2e

import (
	"net/http"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
)

// kept is a namespace with a budget that lets no pod go, and four pods of it: one serves, one is never ready, and two are being
// deleted, which a finalizer holds up.
func (s *space) kept() *space {
	s.Helper()
	k := s.cluster.space(s.T)
	k.watch(&policyv1beta1.PodUnavailableBudget{})
	for _, name := range []string{"serves", "not-ready", "going", "going-too"} {
		k.create(guest(name, map[string]string{app: "kept"}, func(p *corev1.Pod) {
			switch name {
			case "not-ready":
				p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "e2e.kruise.io/never"}}
			case "going", "going-too":
				p.Finalizers = []string{tidyUp}
			}
		}))
	}
	k.untilPods("three of them serve", 3, isReady)
	for _, name := range []string{"going", "going-too"} {
		going := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: k.name, Name: name}}
		k.Cleanup(func() { k.letGo(going) })
		if err := k.client.Delete(k.Context(), going); err != nil {
			k.Fatal(err)
		}
	}
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Name: "kept"}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{app: "kept"}}
	b.Spec.MaxUnavailable, b.Spec.ProtectTotalReplicas = new(intstr.FromInt32(0)), new(int32(2))
	k.create(b)
	k.untilAllowed("kept", 1, 0)
	k.eventually("the API server asks about deletions and evictions", func() bool {
		return byBudget(k.deletes("serves", client.DryRunAll)) && byBudget(k.evicts("serves", client.DryRunAll))
	})
	return k
}

// guest is a pod of nobody that runs the demo server.
func guest(name string, labels map[string]string, changes ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
	p.Spec.Containers = []corev1.Container{{Name: app, Image: demo("1.10.2")}}
	p.Spec.TerminationGracePeriodSeconds = new(int64(1))
	for _, change := range changes {
		change(p)
	}
	return p
}

// byBudget says whether a budget refused something.
func byBudget(err error) bool {
	return err != nil && strings.Contains(err.Error(), "lets no more pods become unavailable")
}

func (s *space) deletes(pod string, options ...client.DeleteOption) error {
	return s.client.Delete(s.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: pod}}, options...)
}

func (s *space) evicts(pod string, options ...client.SubResourceCreateOption) error {
	return s.client.SubResource("eviction").Create(s.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: pod}}, &policyv1.Eviction{}, options...)
}

// keepsWhatServes checks that, while no manager runs, the pod of a budget that serves stays, and what serves nobody, is of another
// namespace or is on its way already goes. It returns what checks that the pod may go once a manager runs and the budget lets it.
func (s *space) keepsWhatServes() (back func()) {
	s.Helper()
	for what, err := range map[string]error{"deletion": s.deletes("serves"), "eviction": s.evicts("serves")} {
		if status, ok := err.(apierrors.APIStatus); !ok || status.Status().Code != http.StatusInternalServerError || !strings.Contains(err.Error(), "failed calling webhook") {
			s.Errorf("the %s of a pod that serves, while no manager runs: %v", what, err)
		}
	}
	elsewhere := s.cluster.space(s.T)
	for _, name := range []string{"deleted", "evicted"} {
		elsewhere.create(guest(name, map[string]string{app: "kept"}))
	}
	elsewhere.untilPods("pods of another namespace run", 2, isReady)
	for what, err := range map[string]error{
		"deletion of a pod that is not ready":              s.deletes("not-ready"),
		"deletion of a pod that is on its way":             s.deletes("going"),
		"change of a pod that is on its way":               s.client.Patch(s.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "going-too"}}, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))),
		"change of a pod that serves, which costs nothing": s.client.Patch(s.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "serves"}}, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"e2e":"changed"}}}`))),
		"deletion of a pod of another namespace":           elsewhere.deletes("deleted"),
		"eviction of a pod of another namespace":           elsewhere.evicts("evicted"),
	} {
		if err != nil {
			s.Errorf("the %s, while no manager runs: %v", what, err)
		}
	}
	elsewhere.untilPods("they are gone", 0, func(*corev1.Pod) bool { return true })
	s.untilPods("the pod that serves is left, and the one that its finalizer holds", 2, func(*corev1.Pod) bool { return true })
	return func() {
		s.Helper()
		s.eventually("the budget refuses, and not its absent manager", func() bool { return byBudget(s.deletes("serves", client.DryRunAll)) })
		edit(s, "kept", &policyv1beta1.PodUnavailableBudget{}, func(b *policyv1beta1.PodUnavailableBudget) { b.Spec.MaxUnavailable = new(intstr.FromInt32(2)) })
		s.eventually("the pod may go", func() bool { return s.evicts("serves") == nil })
	}
}

// returning is a namespace with two StatefulSets whose pods are remembered: one must return to its node, one would like to.
func (s *space) returning() *space {
	s.Helper()
	r := s.cluster.space(s.T)
	r.watch(&appsv1.StatefulSet{}, &v1beta1.PersistentPodState{})
	for name, key := range map[string]string{"must": v1beta1.RequiredPersistentTopologyKey, "likes": v1beta1.PreferredPersistentTopologyKey} {
		labels := map[string]string{app: name}
		r.create(&appsv1.StatefulSet{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{v1beta1.AutoGeneratePersistentPodStateKey: "true", key: corev1.LabelHostname}},
			Spec: appsv1.StatefulSetSpec{
				Selector: &metav1.LabelSelector{MatchLabels: labels},
				Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: guest("", nil).Spec},
			},
		})
	}
	r.untilRemembered("must")
	r.untilRemembered("likes")
	r.untilAsked()
	return r
}

// returnsLater checks that, while no manager runs, a pod that must return to its node waits and one that would like to does not. It
// returns what checks that the first one is at home once a manager runs.
func (s *space) returnsLater() (back func()) {
	s.Helper()
	home := s.untilRemembered("must")
	was := &corev1.Pod{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: "likes-0"}, was); err != nil {
		s.Fatal(err)
	}
	for _, name := range []string{"must-0", "likes-0"} {
		if err := s.deletes(name); err != nil {
			s.Fatal(err)
		}
	}
	s.untilPods("the pod that would like to return runs anew", 1, func(p *corev1.Pod) bool { return p.Name == "likes-0" && p.UID != was.UID && isReady(p) })
	s.untilEvent("FailedCreate", "failed calling webhook")
	s.untilPods("the pod that must return is not there", 0, func(p *corev1.Pod) bool { return p.Name == "must-0" })
	return func() {
		s.Helper()
		s.untilPods("the pod that must return is at home", 1, func(p *corev1.Pod) bool { return p.Name == "must-0" && p.Spec.NodeName == home && isReady(p) })
	}
}
