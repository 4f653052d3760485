package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager/pod"
)

// budget makes a budget by which so many pods of a CloneSet may be away, and waits until its pods are counted.
func (s *space) budget(set string, pods, mayGo int32) *policyv1beta1.PodUnavailableBudget {
	s.Helper()
	s.watch(&policyv1beta1.PodUnavailableBudget{})
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Name: set}}
	b.Spec.TargetReference = &policyv1beta1.TargetReference{APIVersion: v1beta1.GroupVersion.String(), Kind: "CloneSet", Name: set}
	b.Spec.MaxUnavailable = new(intstr.FromInt32(mayGo))
	s.create(b)
	s.untilAllowed(set, pods, mayGo)
	return b
}

// untilAllowed waits until a budget counts so many available pods, of which so many may go.
func (s *space) untilAllowed(budget string, available, allowed int32) {
	s.Helper()
	s.until(fmt.Sprintf("the budget %s counts %d available pods", budget, available), func() string {
		b := &policyv1beta1.PodUnavailableBudget{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: budget}, b); err != nil {
			return err.Error()
		}
		if b.Status.CurrentAvailable != available || b.Status.UnavailableAllowed != allowed {
			return fmt.Sprintf("%+v", b.Status)
		}
		return ""
	})
}

// asksAboutPods says how many webhooks ask about pods that change or go.
func (s *space) asksAboutPods() int {
	s.Helper()
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Name: pod.ValidatingConfiguration}, c); err != nil {
		s.Fatalf("reading the webhooks for pods: %v", err)
	}
	return len(c.Webhooks)
}

// eventually waits for what no watch of the space tells.
func (s *space) eventually(what string, holds func() bool) {
	s.Helper()
	err := wait.PollUntilContextTimeout(s.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		s.Fatalf("waited %s in vain until %s", patience, what)
	}
}

// drainWaits drains a node under a budget. It runs alone: nobody else can use the node meanwhile.
func drainWaits(s *space) {
	const replicas = 6
	nobody := func() bool { return s.asksAboutPods() == 0 }
	s.eventually("the budgets of other stories are gone, and nobody is asked about pods", nobody)
	s.start("kept", replicas)
	b := s.budget("kept", replicas, 0)
	pods := s.podsNow("kept")
	s.eventually("the API server asks about deletions", func() bool { return s.client.Delete(s.Context(), pods[0], client.DryRunAll) != nil })
	if err := s.client.Patch(s.Context(), b, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"maxUnavailable":1}}`))); err != nil {
		s.Fatal(err)
	}
	s.untilAllowed("kept", replicas, 1)
	end := s.guard("kept", ready(replicas-1))

	// A manager that has not heard of it yet refuses, which spends nothing.
	s.eventually("one pod may go", func() bool { return s.client.Delete(s.Context(), pods[0]) == nil })
	const words = "PodUnavailableBudget kept lets no more pods become unavailable: 5 of 6 are available, and 5 must be"
	if err := s.client.Delete(s.Context(), pods[1]); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), words) {
		s.Errorf("deleting another: %v", err)
	}
	s.untilEvent("PubPreventPodDeletion", words)
	s.untilAllowed("kept", replicas, 1)

	node := crowded(s.podsNow("kept"))
	s.Cleanup(func() { s.kubectl(s.T, "", "uncordon", node) })
	said := s.kubectl(s.T, "", "drain", node, "--pod-selector="+app+"=kept", "--timeout=180s")
	s.Logf("kubectl drain: %s", said)
	if left := s.podsOn("kept", node); len(left) > 0 {
		s.Errorf("%d pods are left on %s", len(left), node)
	}
	s.untilAllowed("kept", replicas, 1)
	end()

	if err := s.client.Delete(s.Context(), b); err != nil {
		s.Fatal(err)
	}
	s.eventually("nobody is asked about pods any more", nobody)
}

// crowded is the node with the most of some pods.
func crowded(pods []*corev1.Pod) (node string) {
	on := map[string]int{}
	for _, p := range pods {
		if on[p.Spec.NodeName]++; node == "" || on[p.Spec.NodeName] > on[node] {
			node = p.Spec.NodeName
		}
	}
	return node
}

// budgetHoldsUpdate updates in place, as fast as the set allows, under a budget that allows less.
func budgetHoldsUpdate(s *space) {
	const replicas = 4
	s.start("held", replicas, maxUnavailable(3))
	s.budget("held", replicas, 1)
	before := s.podsNow("held")
	end := s.guard("held", ready(replicas-1))
	set := s.change("held", image("1.10.3"))
	s.untilMessage("held", "PodUnavailableBudget held lets no more pods become unavailable")
	s.untilDone(set)
	end()
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("held")))
}
