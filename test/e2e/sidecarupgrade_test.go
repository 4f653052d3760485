package e2e

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// coldSidecar, nativeSidecar and hotSidecar are the demo server beside other containers, each on a port of its own.
	coldSidecar, nativeSidecar, hotSidecar = "cold", "native", "hot"
	coldPort, nativePort, hotPort          = "8081", "8082", "8083"
	// idleImage does nothing but run.
	idleImage = "registry.k8s.io/pause:3.10"
)

func server(name, port string) v1beta1.SidecarContainer {
	return v1beta1.SidecarContainer{Container: corev1.Container{
		Name: name, Image: demo("1.10.2"), Env: []corev1.EnvVar{{Name: "PORT", Value: port}},
	}}
}

// sidecars makes a SidecarSet for the pods of a CloneSet of this namespace, and waits until new pods get it.
func (s *space) sidecars(pods string, change func(*v1beta1.SidecarSetSpec)) *v1beta1.SidecarSet {
	s.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: s.name + "-" + pods}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{app: pods}}
	set.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: s.name}}
	change(&set.Spec)
	if err := s.client.Create(s.Context(), set); err != nil {
		s.Fatalf("creating SidecarSet %s: %v", set.Name, err)
	}
	after := context.WithoutCancel(s.Context())
	s.Cleanup(func() {
		if err := client.IgnoreNotFound(s.client.Delete(after, set)); err != nil {
			s.Errorf("removing SidecarSet %s: %v", set.Name, err)
		}
	})
	s.watch(&v1beta1.SidecarSet{})
	s.untilInjected(set.Spec.Selector.MatchLabels)
	return set
}

// untilInjected waits until new pods with these labels get sidecars. No watch tells what the API server knows of its webhooks.
func (s *space) untilInjected(labels map[string]string) {
	s.Helper()
	pace := time.NewTicker(200 * time.Millisecond)
	defer pace.Stop()
	for deadline := time.Now().Add(patience); ; <-pace.C {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, GenerateName: "try-", Labels: labels}}
		pod.Spec.Containers = []corev1.Container{{Name: app, Image: demo("1.10.2")}}
		err := s.client.Create(s.Context(), pod, client.DryRunAll)
		if err == nil && pod.Annotations[v1beta1.SidecarSetHashKey] != "" {
			return
		}
		if time.Now().After(deadline) {
			s.Fatalf("new pods do not get the sidecars: %v", err)
		}
	}
}

// upgrade gives all sidecars of a set another tag and waits until all pods have it.
func (s *space) upgrade(set *v1beta1.SidecarSet, tag string) {
	s.Helper()
	before := set.DeepCopy()
	for _, list := range [][]v1beta1.SidecarContainer{set.Spec.Containers, set.Spec.InitContainers} {
		for i := range list {
			list[i].Image = demo(tag)
		}
	}
	if err := s.client.Patch(s.Context(), set, client.MergeFrom(before)); err != nil {
		s.Fatalf("changing SidecarSet %s: %v", set.Name, err)
	}
	s.until("all pods have the new sidecars", func() string {
		is := &v1beta1.SidecarSet{}
		if err := s.seen.Get(s.Context(), client.ObjectKeyFromObject(set), is); err != nil {
			return err.Error()
		}
		st := is.Status
		if st.ObservedGeneration != set.Generation || st.MatchedPods == 0 || st.UpdatedReadyPods != st.MatchedPods {
			return fmt.Sprintf("status %+v", st)
		}
		return ""
	})
}

// sidecarsInPlace upgrades a sidecar and a native one while the container beside them runs on.
func sidecarsInPlace(s *space) {
	set := s.sidecars("guests", func(spec *v1beta1.SidecarSetSpec) {
		native := server(nativeSidecar, nativePort)
		native.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		spec.Containers, spec.InitContainers = []v1beta1.SidecarContainer{server(coldSidecar, coldPort)}, []v1beta1.SidecarContainer{native}
	})
	s.start("guests", 3)
	before := s.podsNow("guests")
	end := s.guard("guests", serving(2), existing(3))
	s.upgrade(set, "1.10.3")
	end()
	after := s.podsNow("guests")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the container beside the sidecars", lives(before, app), lives(after, app))
	for _, pod := range after {
		if n := containerOf(pod, coldSidecar).RestartCount; n != 1 {
			s.Errorf("the sidecar of pod %s was restarted %d times, not once", pod.Name, n)
		}
		for _, port := range []string{coldPort, nativePort} {
			s.untilPage(net.JoinHostPort(pod.Status.PodIP, port), "1.10.3")
		}
		s.untilPage(net.JoinHostPort(pod.Status.PodIP, "8080"), "1.10.2")
	}
	revisions := &appsv1.ControllerRevisionList{}
	if err := s.client.List(s.Context(), revisions, client.InNamespace(kruiseNamespace), client.MatchingLabels{v1beta1.SidecarSetNameKey: set.Name}); err != nil {
		s.Fatal(err)
	}
	if len(revisions.Items) != 2 {
		s.Errorf("%d revisions of the SidecarSet are kept, want 2", len(revisions.Items))
	}
	if out := run(s.T, s.kubeconfig, root, "bin/kubectl-kruise", "explain", "sidecarset/"+set.Name); !strings.Contains(out, "at rest") {
		s.Errorf("the plugin says of the SidecarSet: %s", out)
	}
}

// hotUpgrade upgrades a sidecar by its twin while a client asks it all the time.
func hotUpgrade(s *space) {
	set := s.sidecars("hot", func(spec *v1beta1.SidecarSetSpec) {
		hot := server(hotSidecar, hotPort)
		hot.UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: idleImage}
		// The twins hand the port over by a socket in a folder that both have.
		hot.Env = append(hot.Env, corev1.EnvVar{Name: "SHARE", Value: "/share"})
		hot.VolumeMounts = []corev1.VolumeMount{{Name: "share", MountPath: "/share"}}
		spec.Volumes = []corev1.Volume{{Name: "share", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		spec.Containers = []v1beta1.SidecarContainer{hot}
	})
	s.start("hot", 1)
	before := s.podsNow("hot")
	address := net.JoinHostPort(before[0].Status.PodIP, hotPort)
	s.untilPage(address, "1.10.2")
	stop := s.ask(address)
	s.upgrade(set, "1.10.3")
	s.untilPage(address, "1.10.3")
	answers, lost := stop()
	s.Logf("answers by version: %v", answers)
	if len(lost) > 0 {
		s.Errorf("%d requests were lost:\n%s", len(lost), strings.Join(lost, "\n"))
	}
	if answers["1.10.2"] == 0 || answers["1.10.3"] == 0 {
		s.Errorf("the requests were not answered by both versions: %v", answers)
	}
	after := s.podsNow("hot")
	s.same("what the pod keeps", s.identities(before), s.identities(after))
	s.same("the container beside the sidecar", lives(before, app), lives(after, app))
	for name, image := range map[string]string{hotSidecar + "-1": idleImage, hotSidecar + "-2": demo("1.10.3")} {
		for _, c := range after[0].Spec.Containers {
			if c.Name == name && c.Image != image {
				s.Errorf("twin %s has the image %s, want %s", name, c.Image, image)
			}
		}
	}
}

// ask asks a server all the time. The function that it returns ends that, and returns the number of answers by version and
// what was not answered.
func (s *space) ask(address string) func() (answers map[string]int, lost []string) {
	done := make(chan struct{})
	answers := map[string]int{}
	var lost []string
	var users sync.WaitGroup
	users.Go(func() {
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		for {
			asked := time.Now()
			says, err := page(s.Context(), address)
			if err != nil {
				lost = append(lost, fmt.Sprintf("%s, after %s: %v", asked.Format(time.StampMilli), time.Since(asked), err))
			}
			answers[says["version"]]++
			select {
			case <-pace.C:
			case <-done:
				return
			}
		}
	})
	return func() (map[string]int, []string) {
		close(done)
		users.Wait()
		return answers, lost
	}
}
