package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// inUse is the label by which the stories hold a pod. Every pod of heldBy has it.
	inUse = "e2e.kruise.io/in-use"
	// tidyUp is the finalizer by which they do.
	tidyUp = "e2e.kruise.io/tidy-up"
)

// heldBy gives a CloneSet hooks and, to its pods, the label inUse and the gate that keeps them out of service while a hook
// asks for that.
func heldBy(hooks v1beta1.Lifecycle) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.Lifecycle = &hooks
		set.Spec.Template.Labels = map[string]string{app: set.Name, inUse: "yes"}
		set.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReadyConditionType}}
	}
}

// labelHook is a hook that a pod carries by the label inUse, and that takes it out of service.
func labelHook() *v1beta1.LifecycleHook {
	return &v1beta1.LifecycleHook{LabelsHandler: map[string]string{inUse: "yes"}, MarkPodNotReady: true}
}

func hookHoldsADeletion(s *space) {
	s.watch(&discoveryv1.EndpointSlice{})
	set := s.start("held", 3, heldBy(v1beta1.Lifecycle{PreDelete: labelHook()}))
	s.service(set)
	before := s.podsNow("held")
	s.untilEndpoints("held", before)

	s.change("held", replicas(2))
	held := s.untilState("held", v1beta1.LifecycleStatePreparingDelete)
	s.untilOutOfService(held, `{"userAgent":"Lifecycle","key":"preDeleteHook"}`)
	left := without(held, before)
	s.untilEndpoints("held", left)
	s.untilMessage("held", "1 pod is to be deleted, waiting for the preDelete hook of "+held.Name)
	if says := s.explain("held"); !strings.Contains(says, "preDelete hook of "+held.Name) {
		s.Errorf("kubectl kruise explain does not say that the hook of pod %s is waited for:\n%s", held.Name, says)
	}
	s.untilEvent("WaitingForHook", held.Name)
	s.same("the pods while one is held", s.identities(before), s.identities(s.podsNow("held")))
	s.same("the containers while one is held", lives(before, app), lives(s.podsNow("held"), app))

	s.label(held, inUse, "")
	s.untilGone("held", held)
	s.untilDone(s.change("held", replicas(2)))
	s.same("the other pods", s.identities(left), s.identities(s.podsNow("held")))
	s.same("their containers", lives(left, app), lives(s.podsNow("held"), app))
}

func finalizerHoldsADeletion(s *space) {
	s.start("tidy", 2, func(set *v1beta1.CloneSet) {
		set.Spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{FinalizersHandler: []string{tidyUp}}}
		set.Spec.Template.Finalizers = []string{tidyUp}
	})
	before := s.podsNow("tidy")
	for _, pod := range before {
		if !controllerutil.ContainsFinalizer(pod, tidyUp) {
			s.Errorf("pod %s lacks the finalizer of the template", pod.Name)
		}
		s.Cleanup(func() { s.letGo(pod) })
	}
	end := s.guard("tidy", ready(2), existing(2))
	s.change("tidy", replicas(1))
	held := s.untilState("tidy", v1beta1.LifecycleStatePreparingDelete)
	s.untilMessage("tidy", "waiting for the preDelete hook of "+held.Name)

	// A pod that is wanted again is kept.
	s.untilDone(s.change("tidy", replicas(2)))
	s.same("the pods that were wanted again", s.identities(before), s.identities(s.podsNow("tidy")))
	end()

	set := s.change("tidy", replicas(1))
	held = s.untilState("tidy", v1beta1.LifecycleStatePreparingDelete)
	s.letGo(held)
	s.untilGone("tidy", held)
	s.untilDone(set)
}

func hookHoldsAnUpdate(s *space) {
	s.watch(&discoveryv1.EndpointSlice{})
	set := s.start("turn", 2, heldBy(v1beta1.Lifecycle{InPlaceUpdate: labelHook()}))
	s.service(set)
	before := s.podsNow("turn")
	s.untilEndpoints("turn", before)

	end := s.guard("turn", serving(1), existing(2))
	set = s.change("turn", image("1.10.3"))
	for turn := range before {
		held := s.untilState("turn", v1beta1.LifecycleStatePreparingUpdate)
		s.untilOutOfService(held, `{"userAgent":"Lifecycle","key":"preUpdateHook"}`)
		s.untilEndpoints("turn", without(held, before))
		s.untilMessage("turn", "waiting for the inPlaceUpdate hook of "+held.Name)
		s.same("the images while a pod waits for its hook", turn, tags(s.podsNow("turn"))["1.10.3"])

		s.label(held, inUse, "")
		updated := s.untilState("turn", v1beta1.LifecycleStateUpdated)
		if updated.UID != held.UID || tags([]*corev1.Pod{updated})["1.10.3"] != 1 || containerOf(updated, app).RestartCount != 1 {
			s.Errorf("the pod that waits for its hook again is not the one that was updated: %s", describePod(updated))
		}
		s.same("the images while an updated pod waits for its hook", turn+1, tags(s.podsNow("turn"))["1.10.3"])

		s.label(held, inUse, "yes")
		s.until("pod "+held.Name+" is back in service", func() string {
			for _, pod := range s.pods("turn") {
				if pod.UID == held.UID && serves(pod) && statusOf(pod, v1beta1.KruisePodReadyConditionType) == corev1.ConditionTrue {
					return ""
				}
			}
			return s.describe("turn")
		})
	}
	s.untilDone(set)
	end()
	s.untilEndpoints("turn", before)
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("turn")))
}

func hookHoldsANewPod(s *space) {
	const warm = "e2e.kruise.io/warm"
	set := s.begin("warm", 2, func(set *v1beta1.CloneSet) {
		set.Spec.Lifecycle = &v1beta1.Lifecycle{PreNormal: &v1beta1.LifecycleHook{LabelsHandler: map[string]string{warm: "yes"}}}
	})
	s.until("two pods are ready and none counts as available", func() string {
		status := s.set("warm").Status
		if status.ReadyReplicas != 2 || status.AvailableReplicas != 0 {
			return s.describe("warm")
		}
		return ""
	})
	for _, pod := range s.podsNow("warm") {
		s.same("the state of a pod that is not warm", string(v1beta1.LifecycleStatePreparingNormal), pod.Labels[v1beta1.LifecycleStateKey])
		s.label(pod, warm, "yes")
	}
	s.untilDone(set)
	s.same("the pods that serve", 2, count(s.podsNow("warm"), serves))
}

// label gives a pod a label, or takes it away for the value "".
func (s *space) label(pod *corev1.Pod, key, value string) {
	s.Helper()
	text := "null"
	if value != "" {
		text = fmt.Sprintf("%q", value)
	}
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:%s}}}`, key, text))
	if err := s.client.Patch(s.Context(), pod.DeepCopy(), patch); err != nil {
		s.Fatalf("labelling pod %s: %v", pod.Name, err)
	}
}

// letGo takes all finalizers off a pod, if it is still there. It works in a cleanup, too.
func (s *space) letGo(pod *corev1.Pod) {
	s.Helper()
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))
	if err := s.client.Patch(context.WithoutCancel(s.Context()), pod.DeepCopy(), patch); client.IgnoreNotFound(err) != nil {
		s.Fatalf("taking the finalizers off pod %s: %v", pod.Name, err)
	}
}

// untilState waits until a pod of a CloneSet is in a state of its life cycle, and returns it.
func (s *space) untilState(set string, state v1beta1.LifecycleStateType) *corev1.Pod {
	s.Helper()
	var found *corev1.Pod
	s.until(fmt.Sprintf("a pod of %s is in state %s", set, state), func() string {
		for _, pod := range s.pods(set) {
			if pod.Labels[v1beta1.LifecycleStateKey] == string(state) {
				found = pod
				return ""
			}
		}
		return s.describe(set)
	})
	return found
}

// untilOutOfService waits until a pod is held out of service for a reason, and kubelet has seen it.
func (s *space) untilOutOfService(pod *corev1.Pod, hold string) {
	s.Helper()
	s.until(fmt.Sprintf("pod %s is held by %s", pod.Name, hold), func() string {
		now := &corev1.Pod{}
		if err := s.seen.Get(s.Context(), client.ObjectKeyFromObject(pod), now); err != nil {
			return err.Error()
		}
		for _, condition := range now.Status.Conditions {
			if condition.Type == v1beta1.KruisePodReadyConditionType && condition.Status == corev1.ConditionFalse &&
				strings.Contains(condition.Message, hold) && statusOf(now, corev1.PodReady) == corev1.ConditionFalse {
				return ""
			}
		}
		return fmt.Sprintf("%s with the conditions %v", describePod(now), now.Status.Conditions)
	})
}

// untilEndpoints waits until a Service has exactly these pods as ready endpoints. The space must watch EndpointSlices.
func (s *space) untilEndpoints(service string, pods []*corev1.Pod) {
	s.Helper()
	var wanted []string
	for _, pod := range pods {
		wanted = append(wanted, pod.Name)
	}
	slices.Sort(wanted)
	s.until(fmt.Sprintf("the endpoints of %s are %v", service, wanted), func() string {
		var list discoveryv1.EndpointSliceList
		if err := s.seen.List(s.Context(), &list, client.MatchingLabels{discoveryv1.LabelServiceName: service}); err != nil {
			return err.Error()
		}
		var have []string
		for _, slice := range list.Items {
			for _, endpoint := range slice.Endpoints {
				if endpoint.Conditions.Ready != nil && *endpoint.Conditions.Ready && endpoint.TargetRef != nil {
					have = append(have, endpoint.TargetRef.Name)
				}
			}
		}
		slices.Sort(have)
		if !slices.Equal(have, wanted) {
			return fmt.Sprint(have)
		}
		return ""
	})
}
