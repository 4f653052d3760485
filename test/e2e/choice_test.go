package e2e

import (
	"fmt"
	"path/filepath"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// walkThroughChoice types what docs/tasks/choose-pods.md says and reads what a user reads.
func walkThroughChoice(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/choose-pods"))
	const patched = "cloneset.apps.kruise.io/shop patched"
	now := func(*v1beta1.CloneSet) {}

	s.prints(kubectl("create", "-f", "cloneset.yaml"), "cloneset.apps.kruise.io/shop created")
	s.untilDone(s.change("shop", now))
	before := s.podsNow("shop")

	replaced := before[0]
	s.prints(kubectl("label", "pod", replaced.Name, "apps.kruise.io/specified-delete=true"), "pod/"+replaced.Name+" labeled")
	s.untilGone("shop", replaced)
	s.untilAvailable("shop", 4)
	s.stay(without(replaced, before))

	named := s.podsNow("shop")[1]
	s.prints(kubectl("patch", "clone", "shop", "--type=merge", "-p",
		fmt.Sprintf(`{"spec": {"replicas": 3, "scaleStrategy": {"podsToDelete": [%q]}}}`, named.Name)), patched)
	s.untilGone("shop", named)
	s.until("the list is empty", func() string {
		if len(s.set("shop").Spec.ScaleStrategy.PodsToDelete) > 0 {
			return s.describe("shop")
		}
		return ""
	})
	kubectl("scale", "clone", "shop", "--replicas=4")
	s.untilDone(s.change("shop", now))

	before = s.podsNow("shop")
	cheap := before[2]
	s.prints(kubectl("annotate", "pod", cheap.Name, "controller.kubernetes.io/pod-deletion-cost=-10"), "pod/"+cheap.Name+" annotated")
	kubectl("scale", "clone", "shop", "--replicas=3")
	s.untilGone("shop", cheap)
	s.stay(without(cheap, before))
	kubectl("scale", "clone", "shop", "--replicas=4")
	s.untilDone(s.change("shop", now))

	s.prints(kubectl("patch", "clone", "shop", "--type=merge", "--patch-file", "hooks.yaml"), patched)
	kubectl("label", "pod", "-l", "app=shop", "example.com/in-use=yes")
	before = s.podsNow("shop")
	kubectl("scale", "clone", "shop", "--replicas=3")
	held := s.untilState("shop", v1beta1.LifecycleStatePreparingDelete)
	s.untilMessage("shop", "1 pod is to be deleted, waiting for the preDelete hook of "+held.Name)
	kubectl("label", "pod", held.Name, "example.com/in-use-")
	s.untilGone("shop", held)
	s.stay(without(held, before))
	updatesACanary(s, kubectl)
	kubectl("delete", "clone", "shop")
	s.untilLeft("shop", 0)
}

// updatesACanary updates the pod with a label first, whose hook holds it before and after, and then the others.
func updatesACanary(s *space, kubectl func(...string) string) {
	s.Helper()
	canary := s.podsNow("shop")[1].Name
	kubectl("label", "pod", canary, "canary=yes")
	kubectl("patch", "clone", "shop", "--type=merge", "-p", `{"spec": {"updateStrategy": {"rollingUpdate": {"partition": 2}}}}`)
	kubectl("patch", "clone", "shop", "--type=json", "-p", imagePatch("1.10.3"))
	s.same("the pod that is updated first", canary, s.untilState("shop", v1beta1.LifecycleStatePreparingUpdate).Name)
	s.untilMessage("shop", "waiting for the inPlaceUpdate hook of "+canary)
	kubectl("label", "pod", canary, "example.com/in-use-")
	s.same("the pod that is updated", canary, s.untilState("shop", v1beta1.LifecycleStateUpdated).Name)
	kubectl("label", "pod", canary, "example.com/in-use=yes")
	s.untilSaid(s.set("shop"), v1beta1.CloneSetProgressPartitionAvailable)
	kubectl("patch", "clone", "shop", "--type=merge", "-p", `{"spec": {"lifecycle": null, "updateStrategy": {"rollingUpdate": {"partition": 0}}}}`)
	s.untilDone(s.change("shop", func(*v1beta1.CloneSet) {}))
	s.same("the pods with the new image", 3, tags(s.podsNow("shop"))["1.10.3"])
}

// stay checks that pods are still there.
func (s *space) stay(pods []*corev1.Pod) {
	s.Helper()
	there := uids(s.podsNow("shop"))
	for _, pod := range pods {
		if !slices.Contains(there, string(pod.UID)) {
			s.Errorf("pod %s is gone, and was not to go", pod.Name)
		}
	}
}
