package sidecar_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/sidecar"
)

var dawn = time.Date(2026, 1, 1, 6, 0, 0, 0, time.UTC)

// meshed is a set with one hot sidecar, and a pod into which it was injected and that is ready.
func meshed(t *testing.T) (*v1beta1.SidecarSet, *corev1.Pod) {
	t.Helper()
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{
		Container:       corev1.Container{Name: "mesh", Image: "mesh:1"},
		UpgradeStrategy: v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: "idle:1"},
	}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "uid", ResourceVersion: "7", Generation: 1}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	if problems := sidecar.Inject(pod, []sidecar.Injection{{Set: set, Revision: "demo-v1"}}, sidecar.Options{Now: metav1.NewTime(dawn)}); len(problems) > 0 {
		t.Fatal(problems)
	}
	report(pod, "1")
	return set, pod
}

// report has kubelet report that all containers run what the spec says, and are ready; generation tells their starts apart.
func report(pod *corev1.Pod, generation string) {
	pod.Status.ContainerStatuses = nil
	for _, c := range pod.Spec.Containers {
		status := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: "sha256:" + c.Image, ContainerID: c.Name + generation + c.Image, Ready: true}
		status.State.Running = &corev1.ContainerStateRunning{}
		pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, status)
	}
	pod.Status.ObservedGeneration = pod.Generation
}

func guest(t *testing.T, set *v1beta1.SidecarSet, pod *corev1.Pod) *sidecar.Guest {
	t.Helper()
	g, err := sidecar.GuestOf(set, pod)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// carry applies a patch as the API server does.
func carry(t *testing.T, pod *corev1.Pod, patch []byte) {
	t.Helper()
	before, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	*pod = corev1.Pod{}
	if err := json.Unmarshal(after, pod); err != nil {
		t.Fatal(err)
	}
	pod.Generation++
}

// upgrade gives the set an image and begins the upgrade of the pod.
func upgrade(t *testing.T, set *v1beta1.SidecarSet, pod *corev1.Pod, image string) {
	t.Helper()
	set.Spec.Containers[0].Image = image
	hashes, err := sidecar.HashesOf(set)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := guest(t, set, pod).Begin(sidecar.Target{Hashes: hashes, Revision: "demo-" + image}, dawn)
	if err != nil {
		t.Fatal(err)
	}
	carry(t, pod, patch)
}

func twins(pod *corev1.Pod) string {
	return pod.Spec.Containers[0].Image + " " + pod.Spec.Containers[1].Image + " " + pod.Annotations[v1beta1.SidecarSetWorkingHotUpgradeContainerKey]
}

func wantTwins(t *testing.T, pod *corev1.Pod, want string) {
	t.Helper()
	if got := twins(pod); got != want {
		t.Errorf("the twins are %s, want %s", got, want)
	}
}

func TestANewImageGoesToTheIdleTwin(t *testing.T) {
	set, pod := meshed(t)
	upgrade(t, set, pod, "mesh:2")
	wantTwins(t, pod, `mesh:1 mesh:2 {"mesh":"mesh-2"}`)
	if stage := guest(t, set, pod).Stage(); stage != inplace.Running {
		t.Errorf("the stage is %d before kubelet started it", stage)
	}
	report(pod, "2")
	g := guest(t, set, pod)
	if g.Stage() != inplace.NextBatch {
		t.Errorf("the stage is %d once the new twin is ready", g.Stage())
	}
	patch, err := g.Continue(dawn)
	if err != nil {
		t.Fatal(err)
	}
	carry(t, pod, patch)
	report(pod, "3")
	wantTwins(t, pod, `idle:1 mesh:2 {"mesh":"mesh-2"}`)
	if stage := guest(t, set, pod).Stage(); stage != inplace.Done {
		t.Errorf("the stage is %d in the end", stage)
	}
}

func TestWhileTheNewTwinIsNotReadyTheOldOneIsLeftAlone(t *testing.T) {
	set, pod := meshed(t)
	upgrade(t, set, pod, "mesh:2") // kubelet still reports the idle one, which is ready
	upgrade(t, set, pod, "mesh:3")
	wantTwins(t, pod, `mesh:1 mesh:3 {"mesh":"mesh-2"}`)
}

func TestOnceTheNewTwinIsReadyTheNextImageGoesToTheOldOne(t *testing.T) {
	set, pod := meshed(t)
	upgrade(t, set, pod, "mesh:2")
	report(pod, "2")
	upgrade(t, set, pod, "mesh:3")
	wantTwins(t, pod, `mesh:3 mesh:2 {"mesh":"mesh-1"}`)
}

func TestTheWayBackRestartsNothingThatServes(t *testing.T) {
	set, pod := meshed(t)
	upgrade(t, set, pod, "mesh:2")
	upgrade(t, set, pod, "mesh:1")
	wantTwins(t, pod, `mesh:1 idle:1 {"mesh":"mesh-1"}`)
	if got := pod.Annotations[v1beta1.SidecarSetVersionKeyPrefix+"mesh-2"]; got != "0" {
		t.Errorf("the idle twin has version %s", got)
	}
}

func TestAPodSaysOfEachSetWhetherItCanBeUpgraded(t *testing.T) {
	set, pod := meshed(t)
	if patch, err := guest(t, set, pod).Tell(true, dawn); patch != nil || err != nil {
		t.Errorf("a pod that can be upgraded is told so: %s, %v", patch, err)
	}
	tell := func(upgradable bool) string {
		patch, err := guest(t, set, pod).Tell(upgradable, dawn)
		if err != nil {
			t.Fatal(err)
		}
		if patch != nil {
			carry(t, pod, patch)
		}
		c := pod.Status.Conditions[0]
		return string(c.Status) + " " + c.Reason + " " + c.Message
	}
	want := []string{`False UpdateImmutableField {"demo":false}`, `False UpdateImmutableField {"demo":false}`, `True AllSidecarsetUpgradable {"demo":true}`}
	if diff := cmp.Diff(want, []string{tell(false), tell(false), tell(true)}); diff != "" {
		t.Errorf("the condition (-want +got):\n%s", diff)
	}
	// Another set cannot be upgraded: the condition is False whatever this one says.
	pod.Status.Conditions[0].Message = `{"demo":false,"other":false,"gone":false}`
	pod.Annotations[v1beta1.SidecarSetHashKey] = pod.Annotations[v1beta1.SidecarSetHashKey][:len(pod.Annotations[v1beta1.SidecarSetHashKey])-1] + `,"other":{"hash":"x"}}`
	if got, want := tell(true), `False UpdateImmutableField {"demo":true,"other":false}`; got != want {
		t.Errorf("with another set: %s, want %s", got, want)
	}
}

func TestWhatMoreThanImagesNeedsBlocksAnUpgrade(t *testing.T) {
	set, pod := meshed(t)
	set.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: "high"}}
	hashes, err := sidecar.HashesOf(set)
	if err != nil {
		t.Fatal(err)
	}
	if guest(t, set, pod).Blocked(hashes) == "" {
		t.Error("a change of env does not block")
	}
	set.Spec.Containers[0].Env = nil
	pod.Spec.Containers = pod.Spec.Containers[1:]
	if hashes, err = sidecar.HashesOf(set); err != nil {
		t.Fatal(err)
	}
	if got, want := guest(t, set, pod).Blocked(hashes), `it has no container "mesh-1"`; got != want {
		t.Errorf("a pod without a twin: %q, want %q", got, want)
	}
}
