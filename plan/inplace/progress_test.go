package inplace_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// updating is a pod whose web container was changed to an image, with the record of the update as JSON.
func updating(image, record string) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		p.Spec.Containers[0].Image = image
		p.Generation++
		p.Labels[v1beta1.LifecycleStateKey] = string(lifecycle.Updating)
		p.Annotations[v1beta1.InPlaceUpdateStateKey] = record
		condition(p, v1beta1.InPlaceUpdateReady).Status = corev1.ConditionFalse
	})
}

const (
	ourRecord = `{"revision":"demo-v2","updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":` +
		`{"web":{"imageID":"sha256:web:1","containerID":"containerd://first-web","image":"web:1"}}}`
	// Older systems record the image ID alone.
	olderRecord = `{"revision":"demo-v2","updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":` +
		`{"web":{"imageID":"sha256:web:1"}}}`
)

// oldKubelet reports no generation.
func oldKubelet(p *corev1.Pod) { p.Status.ObservedGeneration = 0 }

func TestAnUpdateIsDoneWhenKubeletRestartedTheContainer(t *testing.T) {
	ours := func(edits ...func(*corev1.Pod)) *corev1.Pod { return edited(updating("web:2", ourRecord), edits...) }
	older := func(edits ...func(*corev1.Pod)) *corev1.Pod { return edited(updating("web:2", olderRecord), edits...) }
	waiting := inplace.Progress{Stage: inplace.Running, Waiting: "web"}
	done := inplace.Progress{}
	// named gives the container another image name in the status, as runtimes do that know one digest under two tags.
	named := func(image string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Status.ContainerStatuses[0].Image = image }
	}
	startedAgain := func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State.Running.StartedAt = metav1.NewTime(start().Add(time.Minute))
	}
	pulling := func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want inplace.Progress
	}{
		"nothing happened yet":                                       {ours(), waiting},
		"kubelet saw the change and did nothing yet":                 {ours(observe), waiting},
		"a new digest":                                               {ours(restart("web", "web:2", "sha256:web:2")), done},
		"a new digest under a name of the runtime's own":             {ours(restart("web", "sha256:f00", "sha256:web:2")), done},
		"the same digest under a new tag, in a new container":        {ours(restart("web", "web:2", "sha256:web:1")), done},
		"the same digest, named by its old tag":                      {ours(restart("web", "web:1", "sha256:web:1")), done},
		"the same digest in the old container, named by the new tag": {ours(observe, named("web:2")), waiting},
		"another container restarted":                                {ours(restart("side", "side:1", "sha256:side:1")), waiting},
		"the image cannot be pulled":                                 {ours(observe, pulling), waiting},
		"the status of the container is missing": {
			ours(observe, func(p *corev1.Pod) { p.Status.ContainerStatuses = p.Status.ContainerStatuses[1:] }), waiting},
		"the status of the container is empty": {
			ours(observe, func(p *corev1.Pod) { p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "web"} }), waiting},
		"a new container, from before kubelet saw the change": {
			ours(restart("web", "web:1", "sha256:web:1"), func(p *corev1.Pod) { p.Status.ObservedGeneration = 1 }), waiting},
		"a kubelet that reports no generation, and a new digest": {ours(restart("web", "web:2", "sha256:web:2"), oldKubelet), done},
		"a kubelet that reports no generation, and nothing new":  {ours(oldKubelet), waiting},

		"an older record and a new digest":                       {older(restart("web", "web:2", "sha256:web:2")), done},
		"an older record and a new digest without a name":        {older(restart("web", "", "sha256:web:2")), done},
		"an older record and nothing new":                        {older(observe), waiting},
		"an older record, the same digest and a later start":     {older(observe, startedAgain), done},
		"an older record, the same digest under the wanted name": {older(observe, named("web:2")), done},
		"an older record, the wanted name in its long form":      {older(observe, named("docker.io/library/web:2")), done},
		"an older record of an unknown container": {
			edited(updating("web:2", `{"lastContainerStatuses":{"gone":{"imageID":"x"}}}`), observe),
			inplace.Progress{Stage: inplace.Running, Waiting: "gone"}},

		"an image that was overtaken by another is running": {
			edited(updating("web:3", `{"updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":{"web":{"imageID":"sha256:web:1","containerID":"containerd://first-web","image":"web:2"}}}`),
				restart("web", "web:2", "sha256:web:2")), waiting},
		"the image that overtook another is running": {
			edited(updating("web:3", `{"updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":{"web":{"imageID":"sha256:web:1","containerID":"containerd://first-web","image":"web:2"}}}`),
				restart("web", "web:3", "sha256:web:3")), done},
		"a container that never ran before": {
			edited(updating("web:2", `{"lastContainerStatuses":{"web":{"image":"web:1"}}}`), restart("web", "web:2", "sha256:web:2")), done},
		"a container that never ran before, and starts with the old image": {
			edited(updating("web:2", `{"lastContainerStatuses":{"web":{"image":"web:1"}}}`), observe), waiting},
		"an image without a tag, as the runtime spells it out": {
			edited(updating("web", `{"lastContainerStatuses":{"web":{"imageID":"sha256:web:1"}}}`), observe, named("docker.io/library/web:latest")), done},
		"an image name that no parser knows": {
			edited(updating("Web:2", olderRecord), observe, named("Web:2")), done},

		"no update was ever made":           {pod(), done},
		"a record that cannot be read":      {updating("web:2", `{"lastContainerStatuses":`), done},
		"a record of nothing, seen":         {edited(updating("web:2", `{}`), observe), done},
		"a record of nothing, not yet seen": {updating("web:2", `{}`), inplace.Progress{Stage: inplace.Running}},
		"an old record on a pod at its work is not even read": {
			pod(func(p *corev1.Pod) { p.Annotations[v1beta1.InPlaceUpdateStateKey] = ourRecord }), done},
		"a pod in the state Normal whose gate is still closed": {
			ours(observe, func(p *corev1.Pod) { p.Labels[v1beta1.LifecycleStateKey] = "Normal" }), waiting},
		"a grace period without a record is over at once": {
			edited(updating("web:1", `{}`), func(p *corev1.Pod) {
				delete(p.Annotations, v1beta1.InPlaceUpdateStateKey)
				p.Annotations[v1beta1.InPlaceUpdateGraceKey] = `{"revision":"demo-v2","graceSeconds":30}`
			}), inplace.Progress{Stage: inplace.Grace, GraceUntil: start().Add(-time.Hour + 30*time.Second)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, inplace.ProgressOf(test.pod)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func BenchmarkProgressOf(b *testing.B) {
	for name, p := range map[string]*corev1.Pod{
		"at its work": pod(func(p *corev1.Pod) { p.Annotations[v1beta1.InPlaceUpdateStateKey] = ourRecord }),
		"updating":    edited(updating("web:2", ourRecord), restart("web", "web:2", "sha256:web:2")),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				inplace.ProgressOf(p)
			}
		})
	}
}
