package kubectl_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

var update = flag.Bool("update", false, "write the outputs in testdata anew")

// golden compares what a person sees with what was seen before; go test ./kubectl -update writes it anew.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(name)+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with -update to write it", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s reads otherwise; run with -update if it should (-want +got):\n%s", path, diff)
	}
}

// five is a CloneSet of five pods, updated in place.
func five() *builder.CloneSetBuilder {
	return builder.CloneSet("demo").Replicas(5).InPlace().MaxUnavailable("20%")
}

// condition sets a condition of a pod.
func condition(pod *corev1.Pod, c corev1.PodCondition) {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == c.Type {
			pod.Status.Conditions[i] = c
			return
		}
	}
	pod.Status.Conditions = append(pod.Status.Conditions, c)
}

// notReady takes a pod's readiness away since a time.
func notReady(pod *corev1.Pod, since metav1.Time) {
	condition(pod, corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse, LastTransitionTime: since})
	condition(pod, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", LastTransitionTime: since})
	pod.Status.ContainerStatuses[0].Ready = false
}

// Each scene is played, and what the plugin says of it compared with a file in testdata.
func TestWhyIsItStuck(t *testing.T) {
	for name, scene := range map[string]struct {
		begin *builder.CloneSetBuilder
		play  func(*stage)
	}{
		"at rest":                               {five(), nil},
		"at rest beside a pod that was evicted": {five().Replicas(2), func(s *stage) { s.evict("demo-b") }},
		"nothing is wanted":                     {five().Replicas(0), nil},
		"coming up": {five().Replicas(1), func(s *stage) {
			s.change(func(spec *v1beta1.CloneSetSpec) { spec.Replicas = new(int32(12)) })
			s.run(2 * time.Second)
		}},
		"an update in place under way": {five(), func(s *stage) {
			s.image("a:2")
			s.run(2 * time.Second)
		}},
		"an image that cannot be pulled": {five(), func(s *stage) {
			s.w.Bad["a:2"] = true
			s.image("a:2")
			s.run(20 * time.Second)
			s.edit("demo-a", func(p *corev1.Pod) {
				p.Status.ContainerStatuses[0].State.Waiting.Message = "Back-off pulling image \"a:2\":\nnot found"
			})
		}},
		"an update that has to recreate": {five(), func(s *stage) {
			s.change(func(spec *v1beta1.CloneSetSpec) {
				spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "1"}}
				spec.Template.Labels["tier"] = "front"
			})
			s.run(time.Second)
		}},
		"an update in place that is impossible": {five(), func(s *stage) {
			s.change(func(spec *v1beta1.CloneSetSpec) {
				spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = v1beta1.InPlaceOnlyPodUpdatePolicyType
				spec.Template.Spec.HostNetwork = true
			})
			s.run(5 * time.Second)
		}},
		"paused": {five().Paused(), func(s *stage) {
			s.image("a:2")
			s.run(5 * time.Second)
		}},
		"a partition that is reached": {five().Partition("3"), func(s *stage) {
			s.image("a:2")
			s.run(30 * time.Second)
		}},
		"on delete": {five(), func(s *stage) {
			s.change(func(spec *v1beta1.CloneSetSpec) {
				spec.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{Type: v1beta1.OnDeleteCloneSetUpdateStrategyType}
			})
			s.image("a:2")
			s.run(5 * time.Second)
		}},
		"a manager that does not run": {five(), func(s *stage) {
			s.image("a:2")
			s.w.Lose("demo-c")
			s.w.Tick(5 * time.Minute)
		}},
		"a manager that stopped after the latest change": {five(), func(s *stage) {
			s.w.Lose("demo-c")
			s.w.Tick(5 * time.Minute)
		}},
		"a deadline and a quota": {five(), func(s *stage) {
			s.w.Lose("demo-c")
			at := s.ago(3 * time.Minute)
			s.set.Status.Replicas, s.set.Status.ReadyReplicas, s.set.Status.AvailableReplicas, s.set.Status.UpdatedReplicas = 4, 4, 4, 4
			s.set.Status.Conditions = []v1beta1.CloneSetCondition{
				{Type: v1beta1.CloneSetConditionFailedScale, Status: corev1.ConditionTrue, Reason: "Error", LastTransitionTime: at,
					Message: `create pod default/demo-…: pods "demo-…" is forbidden: exceeded quota: four`},
				{Type: v1beta1.CloneSetConditionTypeProgressing, Status: corev1.ConditionFalse, LastTransitionTime: at,
					Reason: v1beta1.CloneSetProgressDeadlineExceeded, Message: "5 of 5 pods updated, 4 of them available"},
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, scene.begin)
			if scene.play != nil {
				scene.play(s)
			}
			golden(t, name, s.kubectl("explain", "cloneset/demo"))
			if s.requests > 5 {
				t.Errorf("%d requests, want one for each kind", s.requests)
			}
		})
	}
}

func TestAnExplanationForPrograms(t *testing.T) {
	s := newStage(t, five())
	s.w.Bad["a:2"] = true
	s.image("a:2")
	s.run(20 * time.Second)
	golden(t, "for programs", s.kubectl("explain", "cloneset", "demo", "-o", "yaml")+s.kubectl("explain", "clone", "demo", "-o", "json"))
}
