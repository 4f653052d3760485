package inplace_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// tier makes the container web take the label tier into its environment.
var tier = envFrom(0, "metadata.labels['tier']")

// takingIn is a pod whose container web takes the label tier into its environment.
func takingIn(edits ...func(*corev1.Pod)) *corev1.Pod {
	return pod(append([]func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.Containers[0].Env = template(tier).Spec.Containers[0].Env }}, edits...)...)
}

// agent reports what is in the environment of the container web: the label tier of a value.
func agent(value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		hash, _ := inplace.EnvHash(&p.Spec.Containers[0], &metav1.ObjectMeta{Labels: map[string]string{"tier": value}})
		p.Annotations[v1beta1.RuntimeContainerMetaKey] = fmt.Sprintf(
			`{"containers":[{"name":"web","containerID":%q,"restartCount":1,"hashes":{"plainHash":7,"extractedEnvFromMetadataHash":%d}}]}`,
			p.Status.ContainerStatuses[0].ContainerID, hash)
	}
}

// again is what kubelet reports of the container web when it was started anew.
func again(p *corev1.Pod) { restart("web", "web:1", "sha256:web:1")(p) }

func TestALabelInAnEnvironmentWaitsForTheAgentToRestartTheContainer(t *testing.T) {
	updating := begin(t, takingIn(), to(t, takingIn(), template(tier, label("tier", "back"))))
	if updating.Labels["tier"] != "back" || condition(updating, v1beta1.InPlaceUpdateReady).Status != corev1.ConditionFalse {
		t.Fatalf("labels %v, condition %+v", updating.Labels, condition(updating, v1beta1.InPlaceUpdateReady))
	}
	record, _ := inplace.StateOf(updating)
	want := map[string]v1beta1.InPlaceUpdateContainerStatus{"web": {ContainerID: "containerd://first-web", EnvFromMetadata: true}}
	if diff := cmp.Diff(want, record.LastContainerStatuses); diff != "" || !record.UpdateEnvFromMetadata || record.UpdateImages {
		t.Errorf("record %+v (-want +got):\n%s", record, diff)
	}
	waiting := inplace.Progress{Stage: inplace.Running, Waiting: "web", Trouble: "env: waiting for the node's agent to restart web"}
	for name, test := range map[string]struct {
		edits []func(*corev1.Pod)
		want  inplace.Progress
	}{
		"nothing happened": {nil, waiting},
		"a new container, and nobody who reports its environment": {[]func(*corev1.Pod){again}, inplace.Progress{}},
		"a new container with the new label":                      {[]func(*corev1.Pod){again, agent("back")}, inplace.Progress{}},
		"a new container that started just before the change":     {[]func(*corev1.Pod){again, agent("front")}, waiting},
		"a new container that the agent has not looked at":        {[]func(*corev1.Pod){agent("front"), again}, waiting},
		"a container that has the new label already":              {[]func(*corev1.Pod){agent("back")}, inplace.Progress{}},
		"a container that has the new label, and is being stopped": {[]func(*corev1.Pod){agent("back"), func(p *corev1.Pod) {
			report := p.Annotations[v1beta1.RuntimeContainerMetaKey]
			p.Annotations[v1beta1.RuntimeContainerMetaKey] = strings.Replace(report, `"restartCount"`, `"stopTime":"2026-01-01T00:00:00Z","restartCount"`, 1)
		}}, waiting},
		"a new container whose environment the agent cannot read": {[]func(*corev1.Pod){again, func(p *corev1.Pod) {
			p.Annotations[v1beta1.RuntimeContainerMetaKey] = `{"containers":[{"name":"web","containerID":"x","hashes":{"plainHash":7}}]}`
		}}, inplace.Progress{}},
		"the container is not reported": {[]func(*corev1.Pod){func(p *corev1.Pod) { p.Status.ContainerStatuses = nil }}, waiting},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, inplace.ProgressOf(edited(updating, append(test.edits, observe)...))); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
}

func TestALabelAndItsRollbackThatTheAgentNeverSawWaitForNoRestart(t *testing.T) {
	before := takingIn(agent("front"))
	changed := begin(t, before, to(t, before, template(tier, label("tier", "back"), image("web", "web:2"))))
	back := inplace.Target{Revision: "demo-v1", Hash: "v1", Template: template(tier), Change: inplace.Change{
		Images: map[string]string{"web": "web:1"}, Env: map[string]metav1.ObjectMeta{"web": {Labels: map[string]string{"tier": "front"}}}}}
	if got := inplace.ProgressOf(edited(begin(t, changed, back), observe)); got.Stage != inplace.Done {
		t.Errorf("progress %+v", got)
	}
}

func TestALabelInAnEnvironmentStaysAsItIsDuringTheGracePeriod(t *testing.T) {
	before := takingIn()
	waiting := begin(t, before, to(t, before, template(tier, label("tier", "back")), grace(30)))
	if waiting.Labels["tier"] != "front" || inplace.ProgressOf(waiting).Stage != inplace.Grace {
		t.Fatalf("labels %v: the agent would restart the container at once", waiting.Labels)
	}
	patches, err := inplace.Continue(waiting, start().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if after := apply(t, waiting, patches); after.Labels["tier"] != "back" || inplace.ProgressOf(after).Waiting != "web" {
		t.Errorf("labels %v, progress %+v", after.Labels, inplace.ProgressOf(after))
	}
	// A revision without the label takes it away for good.
	gone := begin(t, waiting, inplace.Target{Revision: "demo-v3", Hash: "v3",
		Template: template(tier, func(t *corev1.PodTemplateSpec) { delete(t.Labels, "tier") })})
	if _, ok := gone.Labels["tier"]; ok || inplace.ProgressOf(gone).Stage == inplace.Grace {
		t.Errorf("labels %v, progress %+v", gone.Labels, inplace.ProgressOf(gone))
	}
}

func TestTheHashOfAnEnvironmentIsThatOfLabelsAndAnnotationsAlone(t *testing.T) {
	c := &takingIn().Spec.Containers[0]
	front, ok := inplace.EnvHash(c, &metav1.ObjectMeta{Labels: map[string]string{"tier": "front", "app": "any"}})
	back, _ := inplace.EnvHash(c, &metav1.ObjectMeta{Labels: map[string]string{"tier": "back"}})
	read, _ := inplace.EnvHashOf(c, func(env, _, _ string) string { return map[string]string{"FROM_POD": "front"}[env] })
	if !ok || front == back || front != read {
		t.Errorf("hashes %d, %d and %d", front, back, read)
	}
	if _, ok := inplace.EnvHash(&pod().Spec.Containers[0], &metav1.ObjectMeta{}); ok {
		t.Error("a container that takes nothing in has a hash")
	}
}
