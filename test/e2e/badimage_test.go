package e2e

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// untilStuck gives a CloneSet an image that does not exist, and waits until it says so.
func (s *space) untilStuck(name string) {
	s.Helper()
	set := s.change(name, image("no-such-tag"))
	s.until("the condition says that the image cannot be pulled", func() string {
		now := s.set(name)
		// ErrImagePull or ImagePullBackOff: a kubelet says now the one, now the other.
		if now.Status.ObservedGeneration < set.Generation || !strings.Contains(progress(now).Message, "ImagePull") {
			return s.describe(name)
		}
		return ""
	})
	s.Logf("the condition says: %s", progress(s.set(name)).Message)
}

func badImage(s *space) {
	s.start("bad", 4)
	end := s.guard("bad", serving(3), existing(4), changed("no-such-tag", 1))
	first := s.podsNow("bad")
	s.untilStuck("bad")
	s.untilEvent("PodsUnavailable", s.broken("bad").Name)
	s.untilDone(s.change("bad", image("1.10.3")))
	fixed := s.podsNow("bad")
	s.same("what the pods keep", s.identities(first), s.identities(fixed))

	s.untilStuck("bad")
	broken := s.podsNow("bad")
	s.untilDone(s.change("bad", image("1.10.3")))
	end()
	back := s.podsNow("bad")
	s.same("what the pods keep", s.identities(first), s.identities(back))
	for i, pod := range back {
		_, tag, _ := strings.Cut(broken[i].Spec.Containers[0].Image, ":")
		if then, now := containerOf(fixed[i], app), containerOf(pod, app); tag == "1.10.3" && then.ContainerID != now.ContainerID {
			s.Errorf("pod %s never had the bad image, and was restarted by the rollback all the same", pod.Name)
		}
	}
}

// broken is the pod of a CloneSet that has the image that does not exist. There is one.
func (s *space) broken(set string) *corev1.Pod {
	s.Helper()
	for _, pod := range s.podsNow(set) {
		if strings.HasSuffix(pod.Spec.Containers[0].Image, ":no-such-tag") {
			return pod
		}
	}
	s.Fatalf("no pod has the bad image: %s", s.describe(set))
	return nil
}

func badImageOfAnExtraPod(s *space) {
	s.start("extra", 3, maxUnavailable(0), maxSurge(1), policy(v1beta1.RecreatePodUpdatePolicyType))
	first := s.podsNow("extra")
	end := s.guard("extra", serving(3), existing(4), changed("no-such-tag", 1))
	s.untilStuck("extra")
	broken := s.broken("extra")
	s.untilEvent("PodsUnavailable", broken.Name)
	s.untilMessage("extra", broken.Name)
	s.same("the pods that serve, while the extra one does not", s.identities(first), s.identities(without(broken, s.podsNow("extra"))))

	s.untilDone(s.change("extra", image("1.10.3")))
	s.untilGone("extra", append(first, broken)...)
	s.untilLeft("extra", 3)
	end()
	s.same("the images", map[string]int{"1.10.3": 3}, tags(s.podsNow("extra")))
	s.same("the pods that serve", 3, count(s.podsNow("extra"), serves))
}

// refused asks for a change that cannot be made in place of pods that may not be recreated.
func refused(s *space) {
	env := func(vars ...corev1.EnvVar) func(*v1beta1.CloneSet) {
		return func(set *v1beta1.CloneSet) { set.Spec.Template.Spec.Containers[0].Env = vars }
	}
	changed := env(corev1.EnvVar{Name: "test", Value: "new"})
	set := s.start("only", 3, policy(v1beta1.InPlaceOnlyPodUpdatePolicyType))
	before := s.podsNow("only")
	end := s.guard("only", serving(3), existing(3))
	wrong := set.DeepCopy()
	changed(wrong)
	if err := s.client.Patch(s.Context(), wrong, client.MergeFrom(set)); err == nil || !strings.Contains(err.Error(), "InPlaceOnly") {
		s.Errorf("the change was not refused at once: %v", err)
	}

	// Who changes first and says InPlaceOnly afterwards is told by the controller.
	s.untilSaid(s.change("only", both(policy(v1beta1.InPlaceIfPossiblePodUpdatePolicyType), paused(true), changed)), v1beta1.CloneSetPaused)
	s.change("only", both(policy(v1beta1.InPlaceOnlyPodUpdatePolicyType), paused(false)))
	s.untilEvent("FailedUpdatePodInPlace", "env")
	s.untilMessage("only", "InPlaceOnly")

	// It is told once, however often the controller looks.
	for seconds := range int32(3) {
		set := s.change("only", func(set *v1beta1.CloneSet) { set.Spec.MinReadySeconds = seconds + 1 })
		s.until("the controller has looked again", func() string {
			if s.set("only").Status.ObservedGeneration < set.Generation {
				return s.describe("only")
			}
			return ""
		})
	}
	if told := s.events("FailedUpdatePodInPlace"); len(told) != 1 || told[0].Series != nil {
		s.Errorf("the refusal was not told once: %v", told)
	}
	s.untilDone(s.change("only", both(policy(v1beta1.InPlaceIfPossiblePodUpdatePolicyType), env())))
	end()
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("only")))
	s.same("the containers", lives(before, app), lives(s.podsNow("only"), app))
}
