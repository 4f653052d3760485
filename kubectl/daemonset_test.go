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
)

// everywhere is a DaemonSet with a pod on each of three nodes.
func everywhere(how v1beta1.RollingUpdateType) *v1beta1.DaemonSet {
	set := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "demo"}}
	set.Spec.Template.Labels = set.Spec.Selector.MatchLabels
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateDaemonSet{Type: how}
	return set
}

// Each scene is played, and what the plugin says of it compared with a file in testdata.
func TestWhyADaemonSetIsStuck(t *testing.T) {
	for name, scene := range map[string]struct {
		how  v1beta1.RollingUpdateType
		play func(*stage)
	}{
		"a daemonset at rest": {v1beta1.StandardRollingUpdateType, nil},
		"a daemonset with a bad image": {v1beta1.StandardRollingUpdateType, func(s *stage) {
			s.w.Bad["a:2"] = true
			s.apply(kinds.Change{Images: []string{"main=a:2"}})
			s.run(30 * time.Second)
		}},
		"a daemonset with a node that is lost": {v1beta1.InplaceRollingUpdateType, func(s *stage) {
			if err := s.w.LoseNode("node-1", true); err != nil {
				s.Fatal(err)
			}
			s.run(10 * time.Second)
			s.apply(kinds.Change{Images: []string{"main=a:2"}})
			s.run(30 * time.Second)
		}},
		"a daemonset up to its partition": {v1beta1.InplaceRollingUpdateType, func(s *stage) {
			s.apply(kinds.Change{Images: []string{"main=a:2"}, Partition: "2"})
			s.run(30 * time.Second)
		}},
		"a daemonset up to its selector": {v1beta1.InplaceRollingUpdateType, func(s *stage) {
			s.workload.Object().(*v1beta1.DaemonSet).Spec.UpdateStrategy.RollingUpdate.Selector = &metav1.LabelSelector{
				MatchLabels: map[string]string{corev1.LabelHostname: "node-1"},
			}
			s.apply(kinds.Change{Images: []string{"main=a:2"}, Partition: "1"})
			s.run(30 * time.Second)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, everywhere(scene.how))
			if scene.play != nil {
				scene.play(s)
			}
			golden(t, name, s.kubectl("explain", "ads/demo"))
			if s.requests > 6 {
				t.Errorf("%d requests, want one for each kind", s.requests)
			}
		})
	}
}

func TestThePlanOfADaemonSetToTheEnd(t *testing.T) {
	for name, scene := range map[string]struct {
		how  v1beta1.RollingUpdateType
		args []string
	}{
		"plan a daemonset node by node": {v1beta1.StandardRollingUpdateType, []string{"--set-image", "main=a:2"}},
		"plan a daemonset in place":     {v1beta1.InplaceRollingUpdateType, []string{"--set-image", "main=a:2", "--max-unavailable", "2", "--partition", "1"}},
		"plan a daemonset with a surge": {v1beta1.StandardRollingUpdateType, []string{"--set-image", "main=a:2", "--max-surge", "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, everywhere(scene.how))
			before := fmt.Sprint(s.workload.Object(), s.w.Pods, s.revisions)
			golden(t, name, s.kubectl(append([]string{"plan", "daemonset.apps.kruise.io/demo"}, scene.args...)...))
			if after := fmt.Sprint(s.workload.Object(), s.w.Pods, s.revisions); after != before {
				t.Error("the plan changed something")
			}
		})
	}
}

func TestADaemonSetIsNamedSoThatItIsNotTakenForANativeOne(t *testing.T) {
	s := stageOf(t, everywhere(v1beta1.InplaceRollingUpdateType))
	for _, args := range [][]string{
		{"ads/demo"}, {"daemon", "demo"}, {"ds.apps.kruise.io/demo"}, {"daemonsets.v1beta1.apps.kruise.io", "demo"},
	} {
		if out := s.kubectl(append([]string{"explain"}, args...)...); !strings.Contains(out, "at rest") {
			t.Errorf("%v: %s", args, out)
		}
	}
	var told strings.Builder
	for _, args := range [][]string{
		{"explain", "ds/demo"}, {"explain", "daemonset", "demo"}, {"explain", "ads/gone"},
		{"plan", "ads/demo", "--replicas", "3"}, {"plan", "ads/demo", "--max-surge", "1"}, {"plan", "ads/demo", "--max-surge", "1", "--max-unavailable", "1"},
		{"plan", "ads/demo", "--max-unavailable", "0"}, {"plan", "ads/demo", "--policy", "InPlaceOnly"},
	} {
		told.WriteString(s.kubectl(args...))
	}
	golden(t, "a daemonset refused", told.String())
}
