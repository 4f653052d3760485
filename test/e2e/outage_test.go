package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1alpha1 "kruise.io/kruise/api/policy/v1alpha1"
)

// managers is the namespace of the managers, to be waited on.
func (s *space) managers() *space {
	s.Helper()
	m := s.look(s.T, kruiseNamespace)
	m.watch(&appsv1.Deployment{}, &coordinationv1.Lease{})
	return m
}

// leader is who leads the managers: the name of a pod and a part that differs from one of its lives to the next.
func (s *space) leader() string {
	s.Helper()
	lease := &coordinationv1.Lease{}
	err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: leaderLease}, lease)
	if client.IgnoreNotFound(err) != nil {
		s.Fatalf("looking at the lease of the managers: %v", err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// untilManagersAre waits until so many managers run and are ready, and no others are left.
func (s *space) untilManagersAre(n int32) {
	s.Helper()
	s.until(fmt.Sprintf("%d managers are ready", n), func() string {
		deployment := &appsv1.Deployment{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: manager}, deployment); err != nil {
			return err.Error()
		}
		var pods corev1.PodList
		if err := s.seen.List(s.Context(), &pods, client.MatchingLabels{"control-plane": "controller-manager"}); err != nil {
			return err.Error()
		}
		status := deployment.Status
		if status.ObservedGeneration < deployment.Generation || status.ReadyReplicas != n || len(pods.Items) != int(n) {
			return fmt.Sprintf("%d of %d managers ready, %d pods", status.ReadyReplicas, n, len(pods.Items))
		}
		return ""
	})
}

func leaderKilled(s *space) {
	managers := s.managers()
	managers.untilManagersAre(2)
	s.start("led", 6, maxUnavailable(2), grace(2))
	before := s.podsNow("led")
	end := s.guard("led", serving(4), existing(6))
	set := s.change("led", image("1.10.3"))
	s.untilUpdated(set, 1)

	leader := managers.leader()
	pod := &corev1.Pod{}
	name, _, _ := strings.Cut(leader, "_")
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: kruiseNamespace, Name: name}, pod); err != nil {
		s.Fatalf("looking for the leader %s: %v", leader, err)
	}
	process := managers.process(pod, "manager")
	program, err := os.Readlink(filepath.Join("/proc", fmt.Sprint(process), "exe"))
	if err != nil || filepath.Base(program) != "kruise-manager" {
		s.Fatalf("process %d is %s and not a manager: %v", process, program, err)
	}
	if err := syscall.Kill(process, syscall.SIGKILL); err != nil {
		s.Fatalf("killing process %d: %v", process, err)
	}
	if updated := s.set("led").Status.UpdatedReplicas; updated == 6 {
		s.Errorf("the update was over before the leader was killed")
	}

	managers.until("another manager leads", func() string {
		if now := managers.leader(); now == leader || now == "" {
			return "the leader " + now
		}
		return ""
	})
	s.Logf("%s was killed, %s leads", leader, managers.leader())
	s.untilDone(set)
	end()
	after := s.podsNow("led")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
	managers.untilManagersAre(2)
}

func nothingWaits(s *space) {
	s.watch(&appsv1.Deployment{}, &appsv1.StatefulSet{}, &batchv1.Job{})
	openGates(s) // nothing is protected without one
	managers := s.managers()
	s.start("orphan", 2)
	before := s.podsNow("orphan")
	dead, back := s.twoPolicies()
	kept, returning := s.kept(), s.returning()
	s.kubectl(s.T, "", "scale", "deployment", manager, "--namespace", kruiseNamespace, "--replicas=0")
	s.Cleanup(func() {
		s.kubectl(s.T, "", "scale", "deployment", manager, "--namespace", kruiseNamespace, "--replicas=2")
	})
	managers.untilManagersAre(0)

	template := func(name string) corev1.PodTemplateSpec {
		return corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{app: name}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: demo("1.10.2")}}},
		}
	}
	selector := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{app: name}}
	}
	once := template("once")
	once.Spec.RestartPolicy = corev1.RestartPolicyNever
	s.create(&appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "deployment"},
		Spec:       appsv1.DeploymentSpec{Replicas: ptr.To[int32](2), Selector: selector("deployment"), Template: template("deployment")},
	})
	s.create(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "statefulset"},
		Spec:       appsv1.StatefulSetSpec{Selector: selector("statefulset"), Template: template("statefulset")},
	})
	s.create(&batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "job"}, Spec: batchv1.JobSpec{Template: once}})
	s.create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, Spec: template("alone").Spec})
	s.untilPods("five pods of other kinds run", 5, func(pod *corev1.Pod) bool {
		return !ownedBy(pod, "orphan") && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue
	})

	s.refusesOrdered() // only what asks for us waits for us
	s.refusesProtected()

	// What a Deployment does with its pods goes on, too, and pods of ours can go.
	s.kubectl(s.T, "", "set", "image", "deployment/deployment", app+"="+demo("1.10.3"), "--namespace", s.name)
	s.untilPods("the Deployment runs the new image", 2, func(pod *corev1.Pod) bool {
		return pod.Spec.Containers[0].Image == demo("1.10.3") && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue
	})
	s.kubectl(s.T, "", "delete", "--namespace", s.name, "deployment/deployment", "statefulset/statefulset", "job/job", "pod/alone", "pod/"+before[0].Name)
	s.untilPods("one pod of ours is left, untouched", 1, func(*corev1.Pod) bool { return true })
	s.same("the pod that was left alone", s.identities(before[1:]), s.identities(s.podsNow("orphan")))
	s.same("its container", lives(before[1:], app), lives(s.podsNow("orphan"), app))

	dead()
	mayGo, atHome := kept.keepsWhatServes(), returning.returnsLater()

	s.kubectl(s.T, "", "scale", "deployment", manager, "--namespace", kruiseNamespace, "--replicas=2")
	managers.untilManagersAre(2)
	back()
	mayGo()
	atHome()
	s.untilPods("the missing pod is made up for", 2, serves)
}

// untilPods waits until so many pods of the namespace are as wanted, and for all others to go if all are wanted.
func (s *space) untilPods(what string, n int, wanted func(*corev1.Pod) bool) {
	s.Helper()
	s.until(what, func() string {
		var pods corev1.PodList
		if err := s.seen.List(s.Context(), &pods, client.InNamespace(s.name)); err != nil {
			return err.Error()
		}
		found, text := 0, ""
		for i := range pods.Items {
			if wanted(&pods.Items[i]) {
				found++
			}
			text += "\n  " + describePod(&pods.Items[i])
		}
		if found != n {
			return fmt.Sprintf("%d of %d pods:%s", found, n, text)
		}
		return ""
	})
}

func uninstalled(s *space) {
	managers := s.managers()
	openGates(s) // nothing is protected without one
	s.start("stay", 2)
	locks := s.locks()
	s.upgraded(managers, "stay")
	locks.closed()
	s.untilDone(s.change("stay", replicas(3)))
	before := s.podsNow("stay")
	end := s.guard("stay", serving(3), existing(3))
	values := filepath.Join(s.TempDir(), "values.yaml")
	text := s.helm(s.T, "get", "values", release, "--namespace", kruiseNamespace, "--output", "yaml")
	if err := os.WriteFile(values, []byte(text), 0o600); err != nil {
		s.Fatal(err)
	}

	s.helm(s.T, "uninstall", release, "--namespace", kruiseNamespace, "--wait")
	managers.untilPods("no manager is left", 0, func(*corev1.Pod) bool { return true })
	left := &v1beta1.CloneSet{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: "stay"}, left); err != nil || left.DeletionTimestamp != nil {
		s.Errorf("the CloneSet did not outlive the product: %v, deleted at %v", err, left.DeletionTimestamp)
	}
	if names := s.kubectl(s.T, "", "get", "crd", "--output", "name"); !strings.Contains(names, "clonesets.apps.kruise.io") {
		s.Errorf("the kind is gone with the product; left are %q", names)
	}
	check := func() {
		s.Helper()
		s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("stay")))
		s.same("the containers", lives(before, app), lives(s.podsNow("stay"), app))
	}
	check()
	locks.open()

	late := s.lacks("imagelistpulljobs.apps.kruise.io")
	s.helm(s.T, "install", release, "deploy/chart", "--namespace", kruiseNamespace, "--values", values, "--set", "crds.install=false", "--wait")
	managers.untilManagersAre(2)
	end()
	check()
	locks.closed()
	late(managers)

	end = s.guard("stay", serving(3), existing(4))
	s.untilDone(s.change("stay", replicas(4)))
	end()
	after := s.podsNow("stay")
	kept := after[:0:0]
	for _, pod := range after {
		if _, old := s.identities(before)[pod.Name]; old {
			kept = append(kept, pod)
		}
	}
	s.same("the containers of the pods that were there", lives(before, app), lives(kept, app))
	s.untilDone(s.change("stay", image("1.10.3")))
	s.same("the images", map[string]int{"1.10.3": 4}, tags(s.podsNow("stay")))
}

// upgraded replaces all managers by an upgrade of the release, which disturbs no pod of a CloneSet.
func (s *space) upgraded(managers *space, set string) {
	s.Helper()
	n := len(s.podsNow(set))
	end := s.guard(set, serving(n), existing(n))
	old := managers.podsOfManagers()
	s.helm(s.T, "upgrade", release, "deploy/chart", "--namespace", kruiseNamespace, "--reuse-values", "--set-string", "manager.podAnnotations.e2e=upgraded", "--wait")
	managers.untilManagersAre(2)
	for _, pod := range managers.podsOfManagers() {
		if isManager(pod) && slices.ContainsFunc(old, func(before *corev1.Pod) bool { return before.UID == pod.UID }) {
			s.Errorf("the upgrade left manager %s where it was", pod.Name)
		}
	}
	end()
}

// isManager says whether a pod of the release is one of its managers.
func isManager(pod *corev1.Pod) bool { return pod.Labels["control-plane"] == "controller-manager" }

// lacks takes a kind away. It returns what has the release bring it back, and checks that managers that were started before serve it
// then, each of which started anew for it, once.
func (s *space) lacks(crd string) (back func(managers *space)) {
	s.Helper()
	s.kubectl(s.T, "", "delete", "crd", crd)
	return func(managers *space) {
		s.Helper()
		before := restarts(managers.podsOfManagers())
		s.helm(s.T, "upgrade", release, "deploy/chart", "--namespace", kruiseNamespace, "--reuse-values", "--set", "crds.install=true")
		managers.until("each manager has started anew, and is ready", func() string {
			text := ""
			for _, pod := range managers.podsOfManagers() {
				if isManager(pod) && (containerOf(pod, "manager").RestartCount == before[pod.Name] || statusOf(pod, corev1.PodReady) != corev1.ConditionTrue) {
					text += "\n  " + describePod(pod)
				}
			}
			return text
		})
		list := &v1beta1.ImageListPullJob{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "late"}}
		list.Spec.Images = []string{demo("1.10.2")}
		s.eventually("objects of the kind are admitted", func() bool { return s.client.Create(s.Context(), list.DeepCopy(), client.DryRunAll) == nil })
		for _, pod := range managers.podsOfManagers() {
			if is := containerOf(pod, "manager"); isManager(pod) && (is.RestartCount != before[pod.Name]+1 || is.LastTerminationState.Terminated == nil || is.LastTerminationState.Terminated.ExitCode != 0) {
				s.Errorf("manager %s was restarted %d times, after %d before: %+v", pod.Name, is.RestartCount, before[pod.Name], is.LastTerminationState.Terminated)
			}
		}
	}
}

// locks are objects on whose account something waits for a manager: a SidecarSet whose pods must not miss it, a budget that lets no
// pod go, and a namespace that is protected.
type locks struct{ sidecars, budget, protected *space }

func (s *space) locks() *locks {
	s.Helper()
	l := &locks{sidecars: s.cluster.space(s.T), budget: s.kept(), protected: s.cluster.space(s.T)}
	l.sidecars.sidecars("locked", func(spec *v1beta1.SidecarSetSpec) {
		spec.Containers = []v1beta1.SidecarContainer{server("side", "8081")}
	})
	l.protected.protect(l.protected.name, policyv1alpha1.DeletionProtectionTypeAlways)
	l.protected.Cleanup(func() { l.protected.protect(l.protected.name, "") })
	l.closed()
	return l
}

// closed waits until each of them does what it is for.
func (l *locks) closed() {
	l.budget.Helper()
	l.sidecars.eventually("pods get their sidecars", func() bool {
		pod := guest("locked", map[string]string{app: "locked"})
		pod.Namespace = l.sidecars.name
		return l.sidecars.client.Create(l.sidecars.Context(), pod, client.DryRunAll) == nil && len(pod.Spec.Containers) == 2
	})
	l.budget.eventually("the budget keeps its pod", func() bool { return byBudget(l.budget.deletes("serves", client.DryRunAll)) })
	l.protected.eventually("the namespace is kept", func() bool {
		err := l.protected.client.Delete(l.protected.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.protected.name}}, client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "is protected by its label")
	})
}

// open checks that, without a manager, nothing waits for one.
func (l *locks) open() {
	l.budget.Helper()
	pod := guest("locked", map[string]string{app: "locked"})
	pod.Namespace = l.sidecars.name
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.protected.name}}
	for what, err := range map[string]error{
		"creation of a pod of a SidecarSet":    l.sidecars.client.Create(l.sidecars.Context(), pod, client.DryRunAll),
		"deletion of a pod of a budget":        l.budget.deletes("serves", client.DryRunAll),
		"eviction of a pod of a budget":        l.budget.evicts("serves", client.DryRunAll),
		"deletion of a namespace with a label": l.protected.client.Delete(l.protected.Context(), namespace, client.DryRunAll),
	} {
		if err != nil {
			l.budget.Errorf("the %s, once the product is uninstalled: %v", what, err)
		}
	}
}
