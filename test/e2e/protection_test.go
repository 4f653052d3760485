package e2e

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	policyv1alpha1 "kruise.io/kruise/api/policy/v1alpha1"
)

// keepsNamespace checks that a namespace with pods is not deleted while its label protects it, and that it is once they are gone.
func keepsNamespace(s *space) {
	set := s.start("kept", 2, grace(1))
	s.protect(s.name, policyv1alpha1.DeletionProtectionTypeCascading)
	before := s.podsNow("kept")
	// As it is without the label: whoever deletes one by mistake is told so by kubectl, and nothing happened.
	s.refusedDeletion(s.name, "Namespace "+s.name+" is protected by its label policy.kruise.io/delete-protection=Cascading while it has 2 active pods")
	s.same("the pods", uids(before), uids(s.podsNow("kept")))

	set = s.change(set.Name, replicas(0))
	s.untilPods("the pods are gone", 0, func(*corev1.Pod) bool { return true })
	s.untilDone(set)
	// The story's own namespace is deleted when it is over, and that must not be refused.
	if err := s.client.Delete(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.name}}, client.DryRunAll); err != nil {
		s.Errorf("the namespace has no pods any more: %v", err)
	}
}

// refusesProtected checks that, while no manager runs, a namespace with the label is not deleted and one without it is.
func (s *space) refusesProtected() {
	s.Helper()
	kept, plain := s.cluster.space(s.T), s.cluster.space(s.T)
	kept.protect(kept.name, policyv1alpha1.DeletionProtectionTypeAlways)
	kept.refusedDeletion(kept.name, `failed calling webhook "vdeletion.kb.io"`)
	kept.protect(kept.name, "") // taking the label off waits for no manager
	if err := s.client.Delete(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: plain.name}}, client.DryRunAll); err != nil {
		s.Errorf("a namespace without the label cannot be deleted while no manager runs: %v", err)
	}
}

// protect gives a namespace the label, or takes it off if there is no value.
func (s *space) protect(namespace, value string) {
	s.Helper()
	patch := `{"metadata":{"labels":{"` + policyv1alpha1.DeletionProtectionKey + `":"` + value + `"}}}`
	if value == "" {
		patch = `{"metadata":{"labels":{"` + policyv1alpha1.DeletionProtectionKey + `":null}}}`
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	if err := s.client.Patch(context.WithoutCancel(s.Context()), ns, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		s.Fatalf("labelling the namespace %s: %v", namespace, err)
	}
}

// refusedDeletion checks that a namespace cannot be deleted, and in which words.
func (s *space) refusedDeletion(namespace, want string) {
	s.Helper()
	err := s.client.Delete(s.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}})
	if err == nil || !strings.Contains(err.Error(), want) {
		s.Errorf("deleting the namespace %s: %v, want it refused with %q", namespace, err, want)
	}
}
