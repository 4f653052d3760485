package kubectl_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// Each scene is played, and the plan of the plugin compared with a file in testdata. A plan reads and changes nothing.
func TestThePlanToTheEnd(t *testing.T) {
	for name, scene := range map[string]struct {
		begin *builder.CloneSetBuilder
		play  func(*stage)
		args  []string
	}{
		"plan without a change": {five(), nil, nil},
		"plan a new image": {
			five().Replicas(10), nil, []string{"--set-image", "main=a:2"}},
		"plan a new image beside a pod that was evicted": {
			five().Replicas(2), func(s *stage) { s.evict("demo-b") }, []string{"--set-image", "main=a:2"}},
		"plan a new image with a partition": {
			five(), nil, []string{"--set-image", "main=a:2", "--partition", "60%"}},
		"plan to recreate with a surge": {
			five().Claim("data"), nil,
			[]string{"--set-image", "main=a:2", "--policy", "ReCreate", "--max-surge", "2", "--max-unavailable", "1"}},
		"plan to scale": {five(), nil, []string{"--replicas", "7"}},
		"plan with a limit of scaling": {
			five().ScaleMaxUnavailable("1"), nil, []string{"--replicas", "7", "--start-takes", "30s"}},
		"plan to scale to nothing": {five(), nil, []string{"--replicas", "0"}},
		"plan while paused": {
			five().Paused(), nil, []string{"--set-image", "main=a:2"}},
		"plan to resume": {
			five().Paused(), func(s *stage) {
				s.image("a:2")
				s.run(time.Second)
			}, []string{"--paused=false", "--max-unavailable", "2"}},
		"plan on with a bad image":   {five(), badImage, nil},
		"plan back from a bad image": {five(), badImage, []string{"--set-image", "main=a:1"}},
		"plan with a crash that is not the image's": {
			five(), func(s *stage) {
				s.edit("demo-c", func(p *corev1.Pod) {
					notReady(p, s.ago(5*time.Minute))
					p.Status.ContainerStatuses[0].State = waiting("CrashLoopBackOff", "")
				})
			}, []string{"--set-image", "main=a:2"}},
		"plan with a pod that no node takes": {
			five(), func(s *stage) {
				s.edit("demo-c", func(p *corev1.Pod) {
					p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending}
					condition(p, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable})
				})
			}, []string{"--set-image", "main=a:2"}},
		"plan an update in place that is impossible": {
			five(), func(s *stage) {
				s.change(func(spec *v1beta1.CloneSetSpec) { spec.Template.Spec.HostNetwork = true })
			}, []string{"--policy", "InPlaceOnly"}},
		"plan with hooks that hold":   {traffic(), hooked, []string{"--set-image", "main=a:2"}},
		"plan with hooks that let go": {traffic(), hooked, []string{"--set-image", "main=a:2", "--hooks", "lift"}},
		"plan with a grace period and minReadySeconds": {
			five().Replicas(2), func(s *stage) {
				s.change(func(spec *v1beta1.CloneSetSpec) {
					spec.MinReadySeconds = 3600
					spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: 60}
				})
				s.w.Tick(2 * time.Hour)
				s.reconcile()
			}, []string{"--set-image", "main=a:2"}},
		"plan to resize": {five(), func(s *stage) {
			for _, cpu := range []string{"100m", "250m"} {
				s.run(time.Minute)
				s.change(func(spec *v1beta1.CloneSetSpec) {
					spec.Template.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
				})
			}
		}, []string{"--feature-gates", "InPlaceWorkloadVerticalScaling=true,ImagePullJobGate=true"}},
		"plan for programs": {
			five().Replicas(2), nil, []string{"--set-image", "main=a:2", "-o", "yaml"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, scene.begin)
			if scene.play != nil {
				scene.play(s)
			}
			before := fmt.Sprint(s.set, s.w.Pods, s.w.Claims, s.revisions)
			golden(t, name, s.kubectl(append([]string{"plan", "cloneset/demo"}, scene.args...)...))
			if after := fmt.Sprint(s.set, s.w.Pods, s.w.Claims, s.revisions); after != before {
				t.Error("the plan changed something")
			}
		})
	}
}

// badImage lets an update stop at an image that cannot be pulled.
func badImage(s *stage) {
	s.w.Bad["a:2"] = true
	s.image("a:2")
	s.run(20 * time.Second)
}

// What the plan says is begun first is what the controller begins, and all pods go the same way.
func TestThePlanIsWhatHappens(t *testing.T) {
	s := newStage(t, five().MaxUnavailable("2"))
	planned := s.kubectl("plan", "cloneset/demo", "--set-image", "main=a:2")
	s.image("a:2")
	var happened []string
	for range 40 {
		before := map[string]string{}
		for _, p := range s.w.Pods {
			before[p.Name] = p.Spec.Containers[0].Image
		}
		s.reconcile()
		var begun []string
		for _, p := range s.w.Pods {
			if p.Spec.Containers[0].Image != before[p.Name] {
				begun = append(begun, p.Name)
			}
		}
		if begun != nil {
			happened = append(happened, "update "+strings.Join(begun, ", ")+" in place")
		}
		s.w.Tick(time.Second)
	}
	if len(happened) != 3 {
		t.Fatalf("%d waves: %v", len(happened), happened)
	}
	for i, wave := range happened {
		if !strings.Contains(planned, fmt.Sprintf("%d. ", i+1)) || !strings.Contains(planned, wave) {
			t.Errorf("wave %d was %q, and is not in the plan:\n%s", i+1, wave, planned)
		}
	}
}

func TestAChangeThatTheAPIWouldRefuseIsRefusedWithFieldValueAndRule(t *testing.T) {
	s := newStage(t, five())
	var told strings.Builder
	for _, args := range [][]string{
		{"--set-image", "man=a:2"},
		{"--set-image", "main"},
		{"--replicas", "-1"},
		{"--partition", "-1"},
		{"--partition", "101%"},
		{"--max-unavailable", "a few"},
		{"--max-unavailable", "0", "--max-surge", "0%"},
		{"--max-surge", "1.5%"},
		{"--policy", "Sometimes"},
		{"--policy", "InPlaceOnly", "--max-surge", "1"},
		{"--hooks", "maybe"},
		{"--start-takes", "-1s"},
		{"-o", "xml"},
		{"--feature-gates", "CloneSetShortHash"},
	} {
		told.WriteString(s.kubectl(append([]string{"plan", "cloneset/demo"}, args...)...))
	}
	s.change(func(spec *v1beta1.CloneSetSpec) {
		spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
	})
	told.WriteString(s.kubectl("plan", "cloneset/demo", "--partition", "1"))
	s.change(func(spec *v1beta1.CloneSetSpec) {
		spec.UpdateStrategy.Type = v1beta1.RollingUpdateCloneSetUpdateStrategyType
		spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("many"))
	})
	told.WriteString(s.kubectl("plan", "cloneset/demo") + s.kubectl("explain", "cloneset/demo"))
	golden(t, "refused", told.String())
}

func TestObjectsAreNamedAsKubectlNamesThem(t *testing.T) {
	s := newStage(t, five())
	for _, args := range [][]string{
		{"cloneset/demo"}, {"clonesets/demo"}, {"clone/demo"}, {"clone", "demo"}, {"CloneSet", "demo"},
		{"clonesets.apps.kruise.io/demo"}, {"clonesets.v1beta1.apps.kruise.io", "demo"},
	} {
		if out := s.kubectl(append([]string{"explain"}, args...)...); !strings.Contains(out, "at rest") {
			t.Errorf("%v: %s", args, out)
		}
	}
	var told strings.Builder
	for _, args := range [][]string{
		{}, {"demo"}, {"deployment/demo"}, {"cloneset.example.com/demo"}, {"cloneset/"}, {"cloneset", "a/b"}, {"cloneset", "a", "b"}, {"cloneset/gone"},
	} {
		told.WriteString(s.kubectl(append([]string{"explain"}, args...)...))
	}
	golden(t, "names", told.String())
}

func TestNamesAreCompleted(t *testing.T) {
	s := newStage(t, five())
	for typed, want := range map[string]string{
		"":              "cloneset/",
		"state":         "",
		"asts/":         "",
		"clo":           "cloneset/demo",
		"clone/d":       "clone/demo",
		"cloneset/x":    "",
		"deploy":        "",
		"deployment/d":  "",
		"clone d":       "demo",
		"deployment d":  "",
		"clone demo ex": "",
	} {
		out := s.kubectl(append([]string{"__complete", "explain"}, strings.Split(typed, " ")...)...)
		lines := strings.Split(out, "\n")
		if got := lines[1]; got != want && !(want == "" && strings.HasPrefix(got, ":")) {
			t.Errorf("%q is completed to %q, want %q", typed, got, want)
		}
	}
}

func TestAClusterThatCannotAnswerIsNoRiddle(t *testing.T) {
	s := newStage(t, five())
	bare := httptest.NewServer(http.NotFoundHandler())
	if out := s.kubectl("explain", "cloneset/demo", "--server", bare.URL); !strings.Contains(out, "is kruise installed?") {
		t.Errorf("a cluster without the kind: %s", out)
	}
	bare.Close()
	if out := s.kubectl("explain", "cloneset/demo", "--server", bare.URL); !strings.Contains(out, "Unable to connect to the server: ") {
		t.Errorf("a server that is gone: %s", out)
	}
}
