package world_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/placement"
)

// pinned is a pod that may run on one node alone.
func pinned(name, node string) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}}}
	placement.Pin(&pod.Spec, node)
	return pod
}

func TestAPodRunsWhereItMayAndNowhereElse(t *testing.T) {
	team := corev1.Taint{Key: "team", Effect: corev1.TaintEffectNoSchedule}
	for name, test := range map[string]struct {
		change    func(*world.World) error
		scheduled bool
	}{
		"a node that takes pods":       {func(*world.World) error { return nil }, true},
		"a cordoned one":               {func(w *world.World) error { return w.Cordon("node-1", true) }, false},
		"one that was cordoned":        {func(w *world.World) error { _ = w.Cordon("node-1", true); return w.Cordon("node-1", false) }, true},
		"a tainted one":                {func(w *world.World) error { return w.Taint("node-1", team, true) }, false},
		"one that is lost":             {func(w *world.World) error { return w.LoseNode("node-1", true) }, false},
		"one that is full":             {func(w *world.World) error { w.Full["node-1"] = true; return nil }, false},
		"one that is gone":             {func(w *world.World) error { w.RemoveNode("node-1"); return nil }, false},
		"while another one is tainted": {func(w *world.World) error { return w.Taint("node-0", team, true) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := world.New()
			if err := test.change(w); err != nil {
				t.Fatal(err)
			}
			if err := w.Create(pinned("demo", "node-1")); err != nil {
				t.Fatal(err)
			}
			w.Tick(time.Second)
			want := ""
			if test.scheduled {
				want = "node-1"
			}
			if got := w.Pod("demo").Spec.NodeName; got != want {
				t.Errorf("it runs on %q, want %q", got, want)
			}
		})
	}
}

func TestANodeThatGoesTakesItsPodsWithIt(t *testing.T) {
	w := world.New()
	for pod, node := range map[string]string{"a": "node-0", "b": "node-1"} {
		if err := w.Create(pinned(pod, node)); err != nil {
			t.Fatal(err)
		}
	}
	w.Tick(time.Second)
	before := w.Node("node-1")
	w.RemoveNode("node-0")
	if w.Pod("a") != nil || w.Pod("b") == nil || w.Node("node-0") != nil {
		t.Errorf("pods %d, nodes %d", len(w.Pods), len(w.Nodes))
	}
	if err := w.ChangeNode("node-1", func(n *corev1.Node) { n.Labels["gpu"] = "yes" }); err != nil {
		t.Fatal(err)
	}
	if before.Labels["gpu"] != "" || w.Node("node-1").Labels["gpu"] != "yes" {
		t.Error("a node that was read changed, or the node did not")
	}
}
