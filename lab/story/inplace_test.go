package story_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/workload"
)

// small is a CloneSet of five pods of two containers, updated in place, where all that can be is allowed.
func small() *story.CloneSet {
	one := intstr.FromInt32(1)
	replicas := int32(5)
	set := &story.CloneSet{Name: "demo", Options: workload.Options{InPlace: inplace.Options{Resources: true, EnvFromMetadata: true}}}
	set.Spec.Replicas = &replicas
	set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{
		PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType, MaxUnavailable: &one}
	container := func(name, priority string) corev1.Container {
		return corev1.Container{
			Name: name, Image: name + ":1", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}},
			Env: []corev1.EnvVar{{Name: v1beta1.ContainerLaunchPriorityEnv, Value: priority},
				{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + name + "']"}}}},
		}
	}
	set.Spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"web": "1", "side": "1"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{container("web", "1"), container("side", "5")}},
	}
	return set
}

// run lets the set and the world go on for some seconds. least is the least number of available pods in that time.
func run(t *testing.T, w *world.World, set *story.CloneSet, seconds int) (least int, waiting []string) {
	t.Helper()
	least = 5
	for range seconds {
		round, err := set.Decide(w)
		if err != nil {
			t.Fatal(err)
		}
		if err := round.Act(w, story.NoLimit); err != nil {
			t.Fatal(err)
		}
		least, waiting = min(least, round.Plan.Tally.Available), round.Plan.Waiting()
		w.Tick(time.Second)
	}
	return least, waiting
}

// current counts the pods that run as the template says.
func current(w *world.World, set *story.CloneSet) (n int) {
	for _, pod := range w.Pods {
		all := true
		for i, c := range set.Spec.Template.Spec.Containers {
			is := pod.Spec.Containers[i]
			all = all && is.Image == c.Image && is.Resources.Requests.Cpu().Equal(*c.Resources.Requests.Cpu()) && w.Current(pod, c.Name)
		}
		if all && pod.Labels["web"] == set.Spec.Template.Labels["web"] {
			n++
		}
	}
	return n
}

func TestARolloutOfImagesResourcesAndLabelsInBatchesReachesEveryPod(t *testing.T) {
	w, set := world.New(), small()
	w.Agent = true
	run(t, w, set, 10)
	for i := range set.Spec.Template.Spec.Containers {
		c := &set.Spec.Template.Spec.Containers[i]
		c.Image, c.Resources.Requests = c.Name+":2", corev1.ResourceList{"cpu": resource.MustParse("2")}
	}
	set.Spec.Template.Labels = map[string]string{"web": "2", "side": "1"}
	names := fmt.Sprint(len(w.Pods), w.Pods[0].UID)
	if least, waiting := run(t, w, set, 120); current(w, set) != 5 || least < 4 || len(waiting) > 0 || fmt.Sprint(len(w.Pods), w.Pods[0].UID) != names {
		t.Errorf("%d pods are current, %d were available at least, %q, pods %d", current(w, set), least, waiting, len(w.Pods))
	}
}

func TestAResizeThatNoNodeHasStopsWithinMaxUnavailableWhileEveryPodServes(t *testing.T) {
	w, set := world.New(), small()
	run(t, w, set, 10)
	w.Resize = corev1.PodReasonInfeasible
	size := func(cpu string) {
		set.Spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{"cpu": resource.MustParse(cpu)}
	}
	size("64")
	least, waiting := run(t, w, set, 30)
	asked := 0
	for _, pod := range w.Pods {
		if pod.Spec.Containers[0].Resources.Requests.Cpu().Value() == 64 {
			asked++
		}
	}
	if least != 5 || asked != 1 || len(waiting) != 2 {
		t.Errorf("%d pods were available at least, %d were resized, %q", least, asked, waiting)
	}
	w.Resize = ""
	size("2")
	if least, waiting := run(t, w, set, 60); least != 5 || current(w, set) != 5 || len(waiting) > 0 {
		t.Errorf("%d pods were available at least, %d are current, %q", least, current(w, set), waiting)
	}
}
