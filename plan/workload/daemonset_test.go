package workload_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

func agents(change func(*v1beta1.DaemonSetSpec)) *v1beta1.DaemonSet {
	labels := map[string]string{"app": "agent"}
	set := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "agent", UID: "uid-agent"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	set.Spec.Template.Labels = labels
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	if change != nil {
		change(&set.Spec)
	}
	return set
}

func node(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}
}

func rollingUpdate(r v1beta1.RollingUpdateDaemonSet) func(*v1beta1.DaemonSetSpec) {
	return func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy.RollingUpdate = &r }
}

func read(t *testing.T, set *v1beta1.DaemonSet, options workload.Options, nodes ...*corev1.Node) *workload.DaemonSet {
	t.Helper()
	d, err := workload.NewDaemonSet(set, workload.Owned{}, nodes, func() string { return "aaaaa" }, options)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWhatADaemonSetWantsOfTenNodes(t *testing.T) {
	count := func(text string) *intstr.IntOrString { return new(intstr.Parse(text)) }
	var nodes []*corev1.Node
	for i := range 10 {
		nodes = append(nodes, node(string(rune('j'-i)), nil))
	}
	for name, test := range map[string]struct {
		change func(*v1beta1.DaemonSetSpec)
		want   string
	}{
		"nothing said":                    {nil, "partition 0, unavailable 1, surge 0, burst 250"},
		"percentages round up":            {rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxUnavailable: count("11%")}), "partition 0, unavailable 2, surge 0, burst 250"},
		"of a surge, too":                 {rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxSurge: count("1%"), MaxUnavailable: count("0")}), "partition 0, unavailable 0, surge 1, burst 250"},
		"that of a partition rounds down": {rollingUpdate(v1beta1.RollingUpdateDaemonSet{Partition: count("59%")}), "partition 5, unavailable 1, surge 0, burst 250"},
		"nothing of both is one":          {rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxSurge: count("0%"), MaxUnavailable: count("0")}), "partition 0, unavailable 1, surge 0, burst 250"},
		"on delete nothing surges": {func(s *v1beta1.DaemonSetSpec) {
			rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxSurge: count("2"), MaxUnavailable: count("0")})(s)
			s.UpdateStrategy.Type = v1beta1.OnDeleteDaemonSetStrategyType
		}, "partition 0, unavailable 1, surge 0, burst 250"},
		"nor in place":       {rollingUpdate(v1beta1.RollingUpdateDaemonSet{Type: v1beta1.InplaceRollingUpdateType, MaxSurge: count("2")}), "partition 0, unavailable 1, surge 0, burst 250"},
		"a burst in percent": {func(s *v1beta1.DaemonSetSpec) { s.BurstReplicas = count("25%") }, "partition 0, unavailable 1, surge 0, burst 3"},
	} {
		t.Run(name, func(t *testing.T) {
			want, err := read(t, agents(test.change), workload.Options{}, nodes...).PerNode(nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := inWords(want); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if want.Nodes[0].Name != "a" || want.Nodes[9].Name != "j" {
				t.Errorf("nodes are not in order: %s to %s", want.Nodes[0].Name, want.Nodes[9].Name)
			}
		})
	}
}

func inWords(p *podset.PerNode) string {
	return fmt.Sprintf("partition %d, unavailable %d, surge %d, burst %d", p.Partition, p.MaxUnavailable, p.MaxSurge, p.Burst)
}

func TestAFieldOfADaemonSetThatCannotBeReadIsNamed(t *testing.T) {
	bad := intstr.FromString("many")
	near := []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "Near"}}
	for want, change := range map[string]func(*v1beta1.DaemonSetSpec){
		"spec.burstReplicas":                               func(s *v1beta1.DaemonSetSpec) { s.BurstReplicas = &bad },
		"spec.updateStrategy.rollingUpdate.partition":      rollingUpdate(v1beta1.RollingUpdateDaemonSet{Partition: &bad}),
		"spec.updateStrategy.rollingUpdate.maxSurge":       rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxSurge: &bad}),
		"spec.updateStrategy.rollingUpdate.maxUnavailable": rollingUpdate(v1beta1.RollingUpdateDaemonSet{MaxUnavailable: &bad}),
		"spec.updateStrategy.rollingUpdate.selector":       rollingUpdate(v1beta1.RollingUpdateDaemonSet{Selector: &metav1.LabelSelector{MatchExpressions: near}}),
		"spec.selector": func(s *v1beta1.DaemonSetSpec) { s.Selector.MatchExpressions = near },
	} {
		d, err := workload.NewDaemonSet(agents(change), workload.Owned{}, nil, nil, workload.Options{})
		if err == nil {
			_, err = d.PerNode(nil)
		}
		if err == nil || !strings.HasPrefix(err.Error(), want+":") {
			t.Errorf("error %v, want one about %s", err, want)
		}
	}
}

// onlyStep decides, and returns the one step to take.
func onlyStep(t *testing.T, d *workload.DaemonSet) podset.Step {
	t.Helper()
	plan, err := d.Plan(time.Now(), nil)
	if err != nil || len(plan.Steps) != 1 {
		t.Fatalf("steps %v, error %v", plan.Steps, err)
	}
	return plan.Steps[0]
}

func TestAPodOfADaemonSetIsMadeForItsNode(t *testing.T) {
	set := agents(rollingUpdate(v1beta1.RollingUpdateDaemonSet{Type: v1beta1.InplaceRollingUpdateType}))
	d := read(t, set, workload.Options{}, node("one", nil))
	pod, claims, err := d.NewPod(onlyStep(t, d))
	if err != nil || claims != nil {
		t.Fatal(err, claims)
	}
	_, hash, _ := strings.Cut(d.Update, "-")
	if pod.Name != "agent-aaaaa" || placement.NodeOf(pod) != "one" || pod.Spec.NodeName != "" || pod.Labels["controller-revision-hash"] != hash ||
		!metav1.IsControlledBy(pod, set) || !inplace.HasGate(pod, v1beta1.InPlaceUpdateReady) {
		t.Errorf("pod %+v", pod)
	}
	if r := d.NewRevision(); r.Name != d.Update || r.Labels["controller-revision-hash"] != hash {
		t.Errorf("revision %s with labels %v", r.Name, r.Labels)
	}
	if set.Spec.Template.Spec.Affinity != nil || len(set.Spec.Template.Spec.Tolerations) > 0 {
		t.Error("the template changed")
	}

	d = read(t, agents(nil), workload.Options{BindDirectly: true}, node("one", nil))
	if pod, _, err = d.NewPod(onlyStep(t, d)); err != nil {
		t.Fatal(err)
	}
	if pod.Spec.NodeName != "one" || pod.Spec.SchedulerName != "kubernetes.io/daemonset-controller" || inplace.HasGate(pod, v1beta1.InPlaceUpdateReady) {
		t.Errorf("pod %+v", pod)
	}
}

func TestEveryPodToCreateHasANameOfItsOwn(t *testing.T) {
	made := []string{"aaaaa", "bbbbb", "bbbbb", "ccccc", "ccccc"}
	id := func() string { id := made[0]; made = made[1:]; return id }
	exists := func(name string) bool { return name == "agent-aaaaa" }
	d, err := workload.NewDaemonSet(agents(nil), workload.Owned{PodExists: exists},
		[]*corev1.Node{node("one", nil), node("two", nil)}, id, workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	plan, err := d.Plan(time.Now(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, s := range plan.Steps {
		names = append(names, s.Slot+": "+s.Name)
	}
	if diff := cmp.Diff([]string{"one: agent-bbbbb", "two: agent-ccccc"}, names); diff != "" {
		t.Error(diff)
	}
}

func TestALongNameOfASetIsCutInTheNamesOfItsPods(t *testing.T) {
	set := agents(nil)
	set.Name = strings.Repeat("a", 56) + ".b" + strings.Repeat("c", 20)
	d := read(t, set, workload.Options{}, node("one", nil))
	pod, _, err := d.NewPod(onlyStep(t, d))
	if err != nil || pod.Name != strings.Repeat("a", 56)+"-aaaaa" {
		t.Errorf("name %q, error %v", pod.Name, err)
	}
}

func TestOnlyChangesOfNodesThatMatterWakeASet(t *testing.T) {
	set := agents(func(s *v1beta1.DaemonSetSpec) {
		s.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
		rollingUpdate(v1beta1.RollingUpdateDaemonSet{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}})(s)
	})
	ssd := node("one", map[string]string{"disk": "ssd", "zone": "a"})
	changed := func(change func(*corev1.Node)) *corev1.Node {
		n := ssd.DeepCopy()
		change(n)
		return n
	}
	for name, test := range map[string]struct {
		before, after *corev1.Node
		want          bool
	}{
		"a node that is to have a pod comes": {nil, ssd, true},
		"and goes":                           {ssd, nil, true},
		"one that is not comes":              {nil, node("two", nil), false},
		"and goes again":                     {node("two", nil), nil, false},
		"a label that matters goes":          {ssd, changed(func(n *corev1.Node) { delete(n.Labels, "disk") }), true},
		"a label that does not":              {ssd, changed(func(n *corev1.Node) { n.Labels["gpu"] = "yes" }), false},
		"the update is to reach it no more":  {ssd, changed(func(n *corev1.Node) { n.Labels["zone"] = "b" }), true},
		"a cordon": {ssd, changed(func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}}
		}), false},
		"a taint": {ssd, changed(func(n *corev1.Node) {
			n.Spec.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoSchedule}}
		}), true},
		"its kubelet is silent": {ssd, changed(func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
		}), true},
		"a heartbeat": {ssd, changed(func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastHeartbeatTime: metav1.NewTime(time.Unix(1, 0))}}
		}), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := workload.NodeMatters(set, test.before, test.after); got != test.want {
				t.Errorf("it matters: %t", got)
			}
		})
	}
}

func TestPodsThatNobodyOwnsAndTheSelectorMatchesAreTheSets(t *testing.T) {
	pod := func(app string) *corev1.Pod {
		return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: app, Labels: map[string]string{"app": app}}}
	}
	owned := workload.Owned{Unowned: []*corev1.Pod{pod("other"), pod("agent")}}
	d, err := workload.NewDaemonSet(agents(nil), owned, nil, nil, workload.Options{})
	if err != nil || len(d.OrphanPods) != 1 || d.OrphanPods[0].Name != "agent" {
		t.Errorf("%v are to be taken over, error %v", d.OrphanPods, err)
	}
}
