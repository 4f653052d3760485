package affinity

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

// drawn is a random workload and what is remembered of it.
func drawn(t *rapid.T) (*v1beta1.PersistentPodState, *Workload) {
	s := state()
	if rapid.Bool().Draw(t, "keeps") {
		whenDeleted(s)
	}
	node := rapid.SampledFrom([]string{"n1", "n2", "n3", "n9"})
	s.Status.PodStates = map[string]v1beta1.PodState{}
	w := &Workload{Name: "web"}
	for i := range 6 {
		name := fmt.Sprint("web-", i)
		if rapid.Bool().Draw(t, "remembered") {
			s.Status.PodStates[name] = at(node.Draw(t, "was on"), "a")
		}
		if rapid.Bool().Draw(t, "wanted") {
			w.Ordinals = append(w.Ordinals, i)
		}
		if rapid.Bool().Draw(t, "there") {
			var change []func(*corev1.Pod)
			if rapid.Bool().Draw(t, "not ready") {
				change = append(change, notReady)
			}
			if rapid.Bool().Draw(t, "going") {
				change = append(change, leaving)
			}
			w.Pods = append(w.Pods, on(node.Draw(t, "is on"), name, change...))
		}
	}
	return s, w
}

func TestWhateverHappensNoPodIsForgottenThatMayComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := drawn(t)
		after := Remember(s, w, nodes)
		for name := range s.Status.PodStates {
			there := slices.ContainsFunc(w.Pods, func(p *corev1.Pod) bool { return p.Name == name })
			_, kept := after[name]
			if mayCome := there || w.wants(name) || s.Spec.PersistentPodStateRetentionPolicy == "WhenDeleted"; kept != mayCome {
				t.Fatalf("%s is remembered: %t, may come back: %t", name, kept, mayCome)
			}
		}
		for name, is := range after {
			before, was := s.Status.PodStates[name]
			i := slices.IndexFunc(w.Pods, func(p *corev1.Pod) bool { return p.Name == name })
			if serves := i >= 0 && ready(w.Pods[i]) && w.Pods[i].DeletionTimestamp == nil; !serves && (!was || !cmp.Equal(is, before)) {
				t.Fatalf("what is remembered of %s changed although it is not ready: %v, now %v", name, before, is)
			}
		}
	})
}

func TestRememberingTwiceOrInAnotherOrderChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, w := drawn(t)
		once := Remember(s, w, nodes)
		s.Status.PodStates = once
		w.Pods = rapid.Permutation(w.Pods).Draw(t, "order")
		if twice := Remember(s, w, nodes); !cmp.Equal(once, twice) {
			t.Fatalf("once %v, twice %v", once, twice)
		}
	})
}

func TestInjectionKeepsWhatTheAuthorWrote(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, _ := drawn(t)
		pod := on("", fmt.Sprint("web-", rapid.IntRange(0, 6).Draw(t, "ordinal")))
		labels := rapid.MapOfN(rapid.SampledFrom([]string{host, zone, "disk"}), rapid.SampledFrom([]string{"n1", "x"}), 0, 3).Draw(t, "selector")
		pod.Spec.NodeSelector = maps.Clone(labels)
		Inject(pod, s)
		for key, value := range labels {
			if pod.Spec.NodeSelector[key] != value {
				t.Fatalf("the author wants %s=%s, the pod asks for %v", key, value, pod.Spec.NodeSelector)
			}
		}
		again := pod.DeepCopy()
		if Inject(again, s); !cmp.Equal(pod, again) {
			t.Fatalf("twice is not once: %s", cmp.Diff(pod, again))
		}
	})
}
