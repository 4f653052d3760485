package kubectl_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/plan/sidecar"
)

// beside is a SidecarSet for the pods of others.
func beside() *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "proxy", Image: "proxy:1"}}}
	return set
}

// addPods lets others create pods that get the sidecars.
func (s *stage) addPods(n int) {
	s.Helper()
	set, _ := s.workload.Object().(*v1beta1.SidecarSet)
	for range n {
		s.ids++
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web-" + name(s.ids), Labels: map[string]string{"app": "demo"}}}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
		in := sidecar.Injection{Set: set, Revision: set.Status.LatestRevision}
		if problems := sidecar.Inject(pod, []sidecar.Injection{in}, sidecar.Options{Now: metav1.NewTime(s.w.Now)}); len(problems) > 0 {
			s.Fatal(problems)
		}
		if err := s.w.Create(pod); err != nil {
			s.Fatal(err)
		}
	}
}

// Each scene is played, and what the plugin says of it compared with a file in testdata.
func TestWhyASidecarSetIsStuck(t *testing.T) {
	for name, play := range map[string]func(*stage){
		"a sidecarset at rest": nil,
		"a sidecarset with a bad image": func(s *stage) {
			s.w.Bad["proxy:2"] = true
			s.apply(kinds.Change{Images: []string{"proxy=proxy:2"}})
			s.run(30 * time.Second)
		},
		"a sidecarset that pods cannot follow": func(s *stage) {
			set, _ := s.workload.Object().(*v1beta1.SidecarSet)
			set.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: "high"}}
			s.run(10 * time.Second)
		},
		"a sidecarset up to its partition": func(s *stage) {
			s.apply(kinds.Change{Images: []string{"proxy=proxy:2"}, Partition: "2"})
			s.run(30 * time.Second)
		},
		"a paused sidecarset": func(s *stage) {
			s.apply(kinds.Change{Images: []string{"proxy=proxy:2"}, Paused: new(true)})
			s.run(10 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, beside())
			if play != nil {
				play(s)
			}
			golden(t, name, s.kubectl("explain", "sidecarset/demo"))
			if s.requests > 6 {
				t.Errorf("%d requests, want one for each kind", s.requests)
			}
		})
	}
}

func TestThePlanOfASidecarSetToTheEnd(t *testing.T) {
	s := stageOf(t, beside())
	before := fmt.Sprint(s.workload.Object(), s.w.Pods, s.revisions)
	golden(t, "plan a sidecarset", s.kubectl("plan", "sidecarset/demo", "--set-image", "proxy=proxy:2", "--partition", "1"))
	if after := fmt.Sprint(s.workload.Object(), s.w.Pods, s.revisions); after != before {
		t.Error("the plan changed something")
	}
	var told strings.Builder
	for _, args := range [][]string{
		{"explain", "sidecarset/gone"}, {"plan", "sidecarset/demo", "--replicas", "3"}, {"plan", "sidecarset/demo", "--max-surge", "1"},
		{"plan", "sidecarset/demo", "--set-image", "main=main:2"}, {"plan", "sidecarset/demo", "--max-unavailable", "half"},
	} {
		told.WriteString(s.kubectl(args...))
	}
	golden(t, "a sidecarset refused", told.String())
}
