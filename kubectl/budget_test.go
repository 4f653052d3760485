package kubectl_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/plan/disruption"
)

// protect makes a budget, web, of the pods of the stage, and has it counted.
func (s *stage) protect(maxUnavailable int, change ...func(*policyv1beta1.PodUnavailableBudget)) {
	s.Helper()
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", Generation: 1}}
	b.Spec.Selector = s.workload.Selector()
	b.Spec.MaxUnavailable = new(intstr.FromInt(maxUnavailable))
	for _, c := range change {
		c(b)
	}
	s.budgets = []*policyv1beta1.PodUnavailableBudget{b}
	s.count()
}

// count has the budget counted. There should be as many pods as there are.
func (s *stage) count() {
	s.Helper()
	b := s.budgets[0]
	counted, err := disruption.Count(b, disruption.Facts{Now: s.w.Now, Pods: s.w.Pods, Workloads: len(s.w.Pods)})
	if err != nil {
		s.Fatal(err)
	}
	b.Status = counted.Status
}

// ask asks for a permission.
func (s *stage) ask(o policyv1beta1.PubOperation, name string) {
	s.Helper()
	s.edit(name, func(p *corev1.Pod) {
		if !disruption.Ask(s.budgets[0], disruption.Request{Operation: o, Pod: p}, s.w.Now).Permitted {
			s.Errorf("%s of %s is refused", o, name)
		}
	})
}

// Each scene is played, and what the plugin says of the budget compared with a file in testdata.
func TestWhatABudgetLetsGo(t *testing.T) {
	for name, play := range map[string]func(*stage){
		"a budget with room": func(s *stage) { s.protect(2) },
		"a budget that names a workload": func(s *stage) {
			s.protect(0, func(b *policyv1beta1.PodUnavailableBudget) {
				b.Spec.Selector, b.Spec.TargetReference = nil, &policyv1beta1.TargetReference{APIVersion: "apps.kruise.io/v1alpha1", Kind: "CloneSet", Name: "demo"}
				b.Spec.MaxUnavailable, b.Spec.MinAvailable = nil, new(intstr.FromString("100%"))
				b.Spec.ProtectOperations = []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation}
			})
		},
		"a budget that is spent": func(s *stage) {
			s.w.Bad["a:2"] = true
			s.image("a:2")
			s.run(20 * time.Second)
			s.edit("demo-e", func(p *corev1.Pod) { p.Annotations = map[string]string{policyv1beta1.PodNoProtectKey: "true"} })
			s.protect(3)
			s.ask(policyv1beta1.PubEvictOperation, "demo-b")
			s.w.Tick(3 * time.Second)
			s.ask(policyv1beta1.PubUpdateOperation, "demo-c")
			s.w.Tick(time.Second)
		},
		"a budget with a pod that is marked": func(s *stage) {
			s.edit("demo-a", func(p *corev1.Pod) { p.Labels[v1beta1.UnavailablePodLabelPrefix+"x"] = "" })
			s.protect(1)
		},
		"a budget that is not counted yet": func(s *stage) {
			s.protect(2)
			s.budgets[0].Generation++
		},
		"a budget whose total nobody knows": func(s *stage) {
			s.protect(2)
			s.budgets[0].Status = disruption.Uncounted(s.budgets[0])
		},
		"a budget that a manager counts no more": func(s *stage) {
			s.protect(2)
			s.ask(policyv1beta1.PubDeleteOperation, "demo-a")
			s.w.Lose("demo-a")
			s.w.Lose("demo-b")
			s.w.Tick(5 * time.Minute)
		},
		"a budget of nobody": func(s *stage) {
			s.w.Pods = nil
			s.protect(1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, five())
			play(s)
			golden(t, name, s.kubectl("explain", "pub/web"))
			if s.requests > 2 {
				t.Errorf("%d requests, want one for each kind", s.requests)
			}
		})
	}
}

func TestABudgetForPrograms(t *testing.T) {
	s := newStage(t, five())
	s.edit("demo-a", func(p *corev1.Pod) { notReady(p, s.ago(time.Minute)) })
	s.protect(2)
	s.ask(policyv1beta1.PubDeleteOperation, "demo-b")
	golden(t, "a budget for programs", s.kubectl("explain", "podunavailablebudget", "web", "-o", "yaml", "--feature-gates", "PodUnavailableBudgetUpdateGate=true"))
}

func TestABudgetHasNothingToPlan(t *testing.T) {
	s := newStage(t, five())
	s.protect(1)
	golden(t, "a budget has nothing to plan", s.kubectl("plan", "pub/web"))
}

// Each workload wants an update that its budget does not let happen.
func TestWhatAWorkloadWaitsForThatABudgetHolds(t *testing.T) {
	const gates = "PodUnavailableBudgetUpdateGate=true"
	for name, scene := range map[string]struct {
		object client.Object
		change kinds.Change
		args   []string
	}{
		"a cloneset that a budget holds":                  {five().Namespace("default").Object(), kinds.Change{Images: []string{"main=a:2"}}, []string{"cloneset/demo", "--feature-gates", gates}},
		"a cloneset that recreates, which a budget holds": {five().Namespace("default").Object(), kinds.Change{Images: []string{"main=a:2"}, Policy: "ReCreate"}, []string{"cloneset/demo"}},
		"a statefulset that a budget holds":               {ordered().Parallel().InPlace().Object(), kinds.Change{Images: []string{"main=a:2"}}, []string{"asts/demo", "--feature-gates", gates}},
		"a daemonset that a budget holds":                 {everywhere(v1beta1.StandardRollingUpdateType), kinds.Change{Images: []string{"main=a:2"}}, []string{"ads/demo"}},
		"a sidecarset that a budget holds":                {beside(), kinds.Change{Images: []string{"proxy=proxy:2"}}, []string{"sidecarset/demo", "--feature-gates", gates}},
	} {
		t.Run(name, func(t *testing.T) {
			s := stageOf(t, scene.object)
			s.protect(0)
			s.apply(scene.change)
			s.run(5 * time.Second)
			before := s.w.Pods
			golden(t, name, s.kubectl(append([]string{"explain"}, scene.args...)...))
			for _, pod := range before {
				if strings.HasSuffix(pod.Spec.Containers[0].Image, ":2") {
					t.Errorf("pod %s was changed", pod.Name)
				}
			}
		})
	}
}
