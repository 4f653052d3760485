package launch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

// podWith makes a pod whose containers have these priorities; an empty one is none.
func podWith(priorities ...string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
	for i, p := range priorities {
		c := corev1.Container{Name: fmt.Sprint("c", i)}
		if p != "" {
			c.Env = []corev1.EnvVar{{Name: "A", Value: "a"}, {Name: v1beta1.ContainerLaunchPriorityEnv, Value: p}}
		}
		pod.Spec.Containers = append(pod.Spec.Containers, c)
	}
	return pod
}

func ordered(pod *corev1.Pod, value string) *corev1.Pod {
	pod.Annotations = map[string]string{v1beta1.ContainerLaunchPriorityKey: value}
	return pod
}

// barriers are the references of a pod's containers, as name/key; empty for a container without one.
func barriers(pod *corev1.Pod) []string {
	var out []string
	for i := range pod.Spec.Containers {
		text := ""
		for j := range pod.Spec.Containers[i].Env {
			if ref := barrierOf(&pod.Spec.Containers[i].Env[j]); ref != nil {
				text += ref.Name + "/" + ref.Key
			}
		}
		out = append(out, text)
	}
	return out
}

func TestContainersWaitInTheOrderThatThePodAsksFor(t *testing.T) {
	unnamed := podWith("1", "2")
	unnamed.Name, unnamed.GenerateName = "", "web-"
	copied := ordered(podWith("", ""), "Ordered")
	copied.Annotations[v1beta1.ContainerLaunchPriorityCompletedKey] = "true"
	other := podWith("1", "2")
	Prepare(other, "")
	other.Name = "copy"
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want []string
	}{
		"the order of the spec":                     {ordered(podWith("", "", ""), "Ordered"), []string{"web-barrier/p_0", "web-barrier/p_-1", "web-barrier/p_-2"}},
		"the order of the spec wins":                {ordered(podWith("", "7"), "Ordered"), []string{"web-barrier/p_0", "web-barrier/p_-1"}},
		"priorities":                                {podWith("", "5", "-3"), []string{"web-barrier/p_0", "web-barrier/p_5", "web-barrier/p_-3"}},
		"a name that is made here":                  {unnamed, []string{"made-barrier/p_1", "made-barrier/p_2"}},
		"a copy of a pod with a barrier":            {other, []string{"copy-barrier/p_1", "copy-barrier/p_2"}},
		"a copy of a pod whose order was completed": {copied, []string{"web-barrier/p_0", "web-barrier/p_-1"}},
		"one container":                             {ordered(podWith(""), "Ordered"), []string{""}},
		"the same priority for all":                 {podWith("2", "2"), []string{"", ""}},
		"no priority for any":                       {podWith("", ""), []string{"", ""}},
		"an empty annotation":                       {ordered(podWith("", ""), ""), []string{"", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			if errs := Prepare(tc.pod, "made"); len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			if diff := cmp.Diff(tc.want, barriers(tc.pod)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if tc.pod.Annotations[v1beta1.ContainerLaunchPriorityCompletedKey] != "" {
				t.Error("a new pod is said to have its order completed")
			}
			again := tc.pod.DeepCopy()
			if errs := Prepare(again, "other"); len(errs) > 0 || !cmp.Equal(tc.pod, again) {
				t.Errorf("prepared again: %v\n%s", errs, cmp.Diff(tc.pod, again))
			}
		})
	}
}

func TestWhatIsNoOrderIsRefused(t *testing.T) {
	fixed := podWith("1", "2")
	fixed.Spec.Containers[0].Env = append(fixed.Spec.Containers[0].Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchBarrierEnv, Value: "x"})
	long := podWith("1", "2")
	long.Name = strings.Repeat("a", 246)
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"another word": {ordered(podWith("", ""), "ordered"),
			`metadata.annotations[apps.kruise.io/container-launch-priority]: Unsupported value: "ordered": supported values: "Ordered"`},
		"a priority in words": {podWith("first", "2"),
			`spec.containers[0].env[1].value: Invalid value: "first": KRUISE_CONTAINER_PRIORITY must be an integer of 32 bits, written out here: containers are told their turn before any of them runs`},
		"a priority out of bounds": {podWith("1", "99999999999"),
			`spec.containers[1].env[1].value: Invalid value: "99999999999": KRUISE_CONTAINER_PRIORITY must be an integer of 32 bits, written out here: containers are told their turn before any of them runs`},
		"a barrier that is none": {fixed,
			`spec.containers[0].env[2]: Forbidden: KRUISE_CONTAINER_BARRIER is set for a pod that asks for an order of its containers; give the variable another name`},
		"a name without room": {long, `metadata.name: Too long: may not be more than 245 bytes`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := fmt.Sprint(Prepare(tc.pod, "made").ToAggregate()); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

// is gives a container of a pod a status: made, ready, over (ended well), broken (ended badly).
func is(pod *corev1.Pod, container int, states ...string) *corev1.Pod {
	s := corev1.ContainerStatus{Name: pod.Spec.Containers[container].Name}
	for _, state := range states {
		switch state {
		case "made":
			s.ContainerID = "containerd://1"
		case "ready":
			s.ContainerID, s.Ready = "containerd://1", true
		case "over":
			s.ContainerID, s.State.Terminated = "containerd://1", &corev1.ContainerStateTerminated{}
		case "broken":
			s.ContainerID, s.State.Terminated = "containerd://1", &corev1.ContainerStateTerminated{ExitCode: 1}
		}
	}
	pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, s)
	return pod
}

func waiting(policy corev1.RestartPolicy, priorities ...string) *corev1.Pod {
	pod := podWith(priorities...)
	pod.Spec.RestartPolicy = policy
	Prepare(pod, "")
	return pod
}

func TestABarrierOpensAsContainersBecomeReady(t *testing.T) {
	const always, never, onFailure = corev1.RestartPolicyAlways, corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure
	foreign := podWith("", "")
	foreign.Spec.Containers[0].Env = []corev1.EnvVar{{Name: v1beta1.ContainerLaunchBarrierEnv, Value: "x"}}
	foreign.Spec.Containers[1].Env = []corev1.EnvVar{{Name: v1beta1.ContainerLaunchBarrierEnv, ValueFrom: &corev1.EnvVarSource{
		ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: "p_x", LocalObjectReference: corev1.LocalObjectReference{Name: "web-barrier"}}}}}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
		done bool
	}{
		"at first, the highest":                       {waiting(always, "1", "2", "0"), "p_2", false},
		"one that runs is not ready":                  {is(waiting(always, "1", "2", "0"), 1, "made"), "p_2", false},
		"once it is ready, the next":                  {is(waiting(always, "1", "2", "0"), 1, "ready"), "p_1 p_2", false},
		"of two with one priority, both must be":      {is(waiting(always, "1", "2", "2"), 1, "ready"), "p_2", false},
		"all ready":                                   {is(is(waiting(always, "1", "2"), 0, "ready"), 1, "ready"), "p_1 p_2", true},
		"what was opened stays while others fail":     {is(is(waiting(always, "1", "2"), 0, "made"), 1, "made"), "p_1 p_2", false},
		"a container that starts again holds up":      {is(waiting(always, "1", "2"), 1, "over"), "p_2", false},
		"one that ended for good does not":            {is(waiting(onFailure, "1", "2"), 1, "over"), "p_1 p_2", false},
		"one that failed and starts again holds up":   {is(waiting(onFailure, "1", "2"), 1, "broken"), "p_2", false},
		"one that failed for good does not":           {is(waiting(never, "1", "2"), 1, "broken"), "p_1 p_2", false},
		"variables of the name that are none of ours": {foreign, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			barrier, done := Open(tc.pod)
			var keys []string
			for key := range barrier {
				keys = append(keys, key)
			}
			slices.Sort(keys)
			if got := strings.Join(keys, " "); got != tc.want || done != tc.done {
				t.Errorf("open %q, done %t, want %q, %t", got, done, tc.want, tc.done)
			}
			if waits := Waits(tc.pod); waits != (tc.want != "") {
				t.Errorf("it waits: %t", waits)
			}
		})
	}
}

func TestAPodThatEndsOrIsDoneWaitsForNothing(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"completed": func(p *corev1.Pod) {
			p.Annotations = map[string]string{v1beta1.ContainerLaunchPriorityCompletedKey: "true"}
		},
		"deleted":   func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} },
		"failed":    func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed },
		"succeeded": func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded },
	} {
		t.Run(name, func(t *testing.T) {
			pod := waiting(corev1.RestartPolicyAlways, "1", "2")
			change(pod)
			if Waits(pod) {
				t.Error("it waits")
			}
		})
	}
}

// A fair kubelet makes every container whose key is there, and makes it ready in the end, whatever the priorities.
func TestEveryContainerStartsInTheEndAndNoneBeforeThoseOfHigherPriorityAreReady(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod := podWith()
		priority := map[string]int{}
		for i := range rapid.IntRange(2, 6).Draw(t, "containers") {
			p := rapid.IntRange(-2, 2).Draw(t, "priority")
			c := corev1.Container{Name: fmt.Sprint("c", i), Env: []corev1.EnvVar{{Name: v1beta1.ContainerLaunchPriorityEnv, Value: fmt.Sprint(p)}}}
			pod.Spec.Containers = append(pod.Spec.Containers, c)
			pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: c.Name})
			priority[c.Name] = p
		}
		if errs := Prepare(pod, ""); len(errs) > 0 {
			t.Fatal(errs)
		}
		if !Waits(pod) {
			return // all priorities are equal
		}
		for range 20 {
			barrier, done := Open(pod)
			if done {
				return
			}
			for i := range pod.Status.ContainerStatuses {
				s := &pod.Status.ContainerStatuses[i]
				if _, open := barrier[key(priority[s.Name])]; !open {
					continue
				}
				if s.ContainerID == "" {
					for _, o := range pod.Status.ContainerStatuses {
						if priority[o.Name] > priority[s.Name] && !o.Ready {
							t.Fatalf("%s starts while %s is not ready", s.Name, o.Name)
						}
					}
				}
				s.ContainerID = "containerd://1"
			}
			for i := range pod.Status.ContainerStatuses {
				if s := &pod.Status.ContainerStatuses[i]; s.ContainerID != "" {
					s.Ready = true
				}
			}
		}
		t.Fatal("the containers did not all start")
	})
}
