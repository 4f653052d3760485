package kubectl_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/test/builder"
)

// ordered is a StatefulSet of three pods with a claim each, one after the other.
func ordered() *builder.StatefulSetBuilder {
	return builder.StatefulSet("demo").Namespace("default").Replicas(3).Claim("data")
}

// Each scene is played, and what the plugin says of it compared with a file in testdata.
func TestWhyAStatefulSetIsStuck(t *testing.T) {
	for name, scene := range map[string]struct {
		begin *builder.StatefulSetBuilder
		play  func(*stage)
	}{
		"a statefulset at rest": {ordered(), nil},
		"a statefulset with a bad image": {ordered(), func(s *stage) {
			s.w.Bad["a:2"] = true
			s.apply(kinds.Change{Images: []string{"main=a:2"}})
			s.run(30 * time.Second)
		}},
		"a statefulset that waits for its first pod": {ordered(), func(s *stage) {
			s.w.Lose("demo-0")
			s.w.Lose("demo-2")
			s.w.Unready["a:1"] = true
			s.run(5 * time.Second)
		}},
		"a statefulset whose pod has another's name": {ordered(), func(s *stage) {
			other := builder.Pod("demo-3").Namespace("default").OwnedBy(metav1.OwnerReference{UID: "other", Controller: new(true)}).Object()
			other.Labels = s.set0().Spec.Selector.MatchLabels
			if err := s.w.Create(other); err != nil {
				s.Fatal(err)
			}
			s.apply(kinds.Change{Replicas: new(int32(5))})
			s.run(5 * time.Second)
		}},
		"a statefulset on delete": {ordered().OnDelete(), func(s *stage) {
			s.apply(kinds.Change{Images: []string{"main=a:2"}})
			s.run(5 * time.Second)
		}},
		"a statefulset up to its partition": {ordered().Parallel().InPlace().Partition(2), func(s *stage) {
			s.apply(kinds.Change{Images: []string{"main=a:2"}})
			s.run(30 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, scene.begin.Object())
			if scene.play != nil {
				scene.play(s)
			}
			golden(t, name, s.kubectl("explain", "asts/demo"))
			if s.requests > 5 {
				t.Errorf("%d requests, want one for each kind", s.requests)
			}
		})
	}
}

// set0 is the StatefulSet of a stage.
func (s *stage) set0() *v1beta1.StatefulSet {
	set, ok := s.workload.Object().(*v1beta1.StatefulSet)
	if !ok {
		s.Fatal("the stage has no StatefulSet")
	}
	return set
}

func TestThePlanOfAStatefulSetToTheEnd(t *testing.T) {
	for name, scene := range map[string]struct {
		begin *builder.StatefulSetBuilder
		args  []string
	}{
		"plan a statefulset in order":          {ordered(), []string{"--set-image", "main=a:2"}},
		"plan a statefulset up to a partition": {ordered().Parallel().InPlace(), []string{"--set-image", "main=a:2", "--partition", "1", "--max-unavailable", "2"}},
		"plan to scale a statefulset":          {ordered(), []string{"--replicas", "5"}},
		"plan to scale a statefulset in":       {ordered(), []string{"--replicas", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, scene.begin.Object())
			before := fmt.Sprint(s.set0(), s.w.Pods, s.w.Claims, s.revisions)
			golden(t, name, s.kubectl(append([]string{"plan", "statefulset.apps.kruise.io/demo"}, scene.args...)...))
			if after := fmt.Sprint(s.set0(), s.w.Pods, s.w.Claims, s.revisions); after != before {
				t.Error("the plan changed something")
			}
		})
	}
}

func TestAStatefulSetIsNamedSoThatItIsNotTakenForANativeOne(t *testing.T) {
	s := stageOf(t, ordered().Object())
	for _, args := range [][]string{
		{"asts/demo"}, {"asts", "demo"}, {"sts.apps.kruise.io/demo"}, {"statefulsets.apps.kruise.io", "demo"}, {"StatefulSet.v1beta1.apps.kruise.io/demo"},
	} {
		if out := s.kubectl(append([]string{"explain"}, args...)...); !strings.Contains(out, "at rest") {
			t.Errorf("%v: %s", args, out)
		}
	}
	var told strings.Builder
	for _, args := range [][]string{
		{"explain", "sts/demo"}, {"explain", "statefulset", "demo"}, {"explain", "sts.apps/demo"}, {"explain", "asts/gone"},
		{"plan", "asts/demo", "--max-surge", "1"}, {"plan", "asts/demo", "--partition", "20%"}, {"plan", "asts/demo", "--max-unavailable", "2"},
		{"plan", "asts/demo", "--max-unavailable", "0"}, {"plan", "asts/demo", "--policy", "InPlaceIfPossible"},
	} {
		told.WriteString(s.kubectl(args...))
	}
	golden(t, "a statefulset refused", told.String())
}
