package pod

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

// opened are the keys of a pod's barrier.
func opened(t *testing.T, p *corev1.Pod) string {
	t.Helper()
	barrier := &corev1.ConfigMap{}
	err := server.Client.Get(t.Context(), client.ObjectKey{Namespace: p.Namespace, Name: p.Name + "-barrier"}, barrier)
	if apierrors.IsNotFound(err) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	if owners := barrier.OwnerReferences; len(owners) != 1 || owners[0].UID != p.UID || owners[0].Kind != "Pod" {
		t.Errorf("the barrier belongs to %v", owners)
	}
	return strings.Join(slices.Sorted(maps.Keys(barrier.Data)), " ")
}

// become says of containers of a pod that they are made and, if so, ready.
func become(t *testing.T, p *corev1.Pod, ready bool, names ...string) {
	t.Helper()
	before := p.DeepCopy()
	for _, name := range names {
		p.Status.ContainerStatuses = slices.DeleteFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == name })
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{Name: name, Image: "demo:1", ContainerID: "containerd://" + name, Ready: ready})
	}
	p.Status.Phase = corev1.PodRunning
	if err := server.Client.Status().Patch(t.Context(), p, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
}

func TestContainersHaveTheirTurnAsThoseBeforeThemBecomeReady(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	asked(t, namespace)
	p := ordered(namespace)
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "c", Image: "demo:1"})
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(p.Name, "web-") || len(p.Name) != len("web-")+5 || !waits(p) {
		t.Fatalf("pod %s, waits: %t", p.Name, waits(p))
	}
	apiserver.Eventually(t, "the first has its turn", func() bool { return opened(t, p) == "p_0" })
	become(t, p, true, "a")
	apiserver.Eventually(t, "the second has its turn", func() bool { return opened(t, p) == "p_-1 p_0" })
	become(t, p, false, "a", "b")
	apiserver.Eventually(t, "the second keeps its turn and the third has none", func() bool { return opened(t, p) == "p_-1 p_0" })
	become(t, p, true, "a", "b")
	apiserver.Eventually(t, "the third has its turn", func() bool { return opened(t, p) == "p_-1 p_-2 p_0" })
	become(t, p, true, "c")
	apiserver.Eventually(t, "the order is completed", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			t.Fatal(err)
		}
		return p.Annotations["apps.kruise.io/container-launch-priority-completed"] == "true"
	})
}

// A pod of a name that was there before, as in a StatefulSet, must not find the barrier of the other one open.
func TestAPodOfTheSameNameWaitsForItsOwnTurn(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	asked(t, namespace)
	left := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-0-barrier"}}
	create := func() *corev1.Pod {
		p := ordered(namespace)
		p.Name, p.GenerateName = "web-0", ""
		if err := server.Client.Create(t.Context(), p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := create()
	apiserver.Eventually(t, "the first has its turn", func() bool { return opened(t, first) == "p_0" })
	become(t, first, true, "a", "b")
	apiserver.Eventually(t, "both have their turn", func() bool { return opened(t, first) == "p_-1 p_0" })
	if err := server.Client.Delete(t.Context(), first, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	second := create()
	apiserver.Eventually(t, "the barrier is that of the other pod, with the first turn alone", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(left), left); err != nil {
			t.Fatal(err)
		}
		return len(left.Data) == 1 && left.Data["p_0"] == "true" && len(left.OwnerReferences) == 1 && left.OwnerReferences[0].UID == second.UID
	})
}

func TestAVariableOfTheBarriersNameHarmsNobody(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	asked(t, namespace)
	odd := plain(namespace)
	odd.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "KRUISE_CONTAINER_BARRIER", Value: "mine"}}
	odd.Spec.Containers[1].Env = []corev1.EnvVar{{Name: "KRUISE_CONTAINER_BARRIER", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}}
	if err := server.Client.Create(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	become(t, odd, true, "a")
	p := ordered(namespace)
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "others have their turn", func() bool { return opened(t, p) == "p_0" })
	if got := opened(t, odd); got != "" {
		t.Errorf("a pod that asked for nothing has a barrier with %s", got)
	}
}

func TestOrdersThatCannotBeAreRefused(t *testing.T) {
	namespace := server.Namespace(t)
	managed(t, asIs)
	asked(t, namespace)
	priority := func(values ...corev1.EnvVar) *corev1.Pod {
		p := plain(namespace)
		for i := range values {
			values[i].Name = "KRUISE_CONTAINER_PRIORITY"
			p.Spec.Containers[i].Env = []corev1.EnvVar{values[i]}
		}
		return p
	}
	word := ordered(namespace)
	word.Annotations["apps.kruise.io/container-launch-priority"] = "ordered"
	barrier := ordered(namespace)
	barrier.Spec.Containers[1].Env = []corev1.EnvVar{{Name: "KRUISE_CONTAINER_BARRIER", Value: "mine"}}
	long := ordered(namespace)
	long.Name, long.GenerateName = strings.Repeat("a", 250), ""
	const notANumber = `KRUISE_CONTAINER_PRIORITY must be an integer of 32 bits, written out here: containers are told their turn before any of them runs`
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"a word in another spelling": {word, `Pod "web-" is invalid: metadata.annotations[apps.kruise.io/container-launch-priority]: Unsupported value: "ordered": supported values: "Ordered"`},
		"a priority in words":        {priority(corev1.EnvVar{Value: "first"}), `Pod "web-" is invalid: spec.containers[0].env[0].value: Invalid value: "first": ` + notANumber},
		"a priority from elsewhere": {priority(corev1.EnvVar{ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}),
			`Pod "web-" is invalid: spec.containers[0].env[0].value: Invalid value: "": ` + notANumber},
		"a barrier of the user's own": {barrier, `Pod "web-" is invalid: spec.containers[1].env[0]: Forbidden: KRUISE_CONTAINER_BARRIER is set for a pod that asks for an order of its containers; give the variable another name`},
		"a name without room":         {long, fmt.Sprintf(`Pod %q is invalid: metadata.name: Too long: may not be more than 245 bytes`, long.Name)},
	} {
		t.Run(name, func(t *testing.T) {
			err := server.Client.Create(t.Context(), tc.pod)
			if err == nil {
				t.Fatal("it was let in")
			}
			if got, want := err.Error(), `admission webhook "create-fail-0.mpod.kb.io" denied the request: launch-priority: `+tc.want; got != want {
				t.Errorf("message\n%s\nwant\n%s", got, want)
			}
		})
	}
	for name, p := range map[string]*corev1.Pod{"equal priorities": priority(corev1.EnvVar{Value: "2"}, corev1.EnvVar{Value: "2"}), "no priority": plain(namespace)} {
		t.Run(name, func(t *testing.T) {
			if err := server.Client.Create(t.Context(), p); err != nil || waits(p) {
				t.Errorf("%v, its containers wait: %t", err, waits(p))
			}
		})
	}
}
