package placement

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func nodeWith(change func(*corev1.Node)) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one", Labels: map[string]string{"disk": "ssd", "zone": "a"}}}
	change(node)
	return node
}

func podWith(change func(*corev1.PodSpec)) *corev1.PodTemplateSpec {
	template := &corev1.PodTemplateSpec{}
	change(&template.Spec)
	return template
}

func tainted(key string, effect corev1.TaintEffect) *corev1.Node {
	return nodeWith(func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: key, Value: "yes", Effect: effect}} })
}

func requires(terms ...corev1.NodeSelectorTerm) func(*corev1.PodSpec) {
	return func(s *corev1.PodSpec) {
		s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: terms}}}
	}
}

func labelTerm(key string, op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: op, Values: values}}}
}

func fieldTerm(op corev1.NodeSelectorOperator, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchFields: []corev1.NodeSelectorRequirement{{Key: nameField, Operator: op, Values: values}}}
}

func TestANodeIsWantedAsForTheDaemonSetsOfKubernetes(t *testing.T) {
	plain := nodeWith(func(*corev1.Node) {})
	anyPod := func(*corev1.PodSpec) {}
	selects := func(labels map[string]string) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.NodeSelector = labels }
	}
	tolerates := func(t corev1.Toleration) func(*corev1.PodSpec) {
		return func(s *corev1.PodSpec) { s.Tolerations = []corev1.Toleration{t} }
	}
	both, neither, keeps := Verdict{Runs: true, Keeps: true}, Verdict{}, Verdict{Keeps: true}
	for name, c := range map[string]struct {
		node *corev1.Node
		pod  func(*corev1.PodSpec)
		want Verdict
	}{
		"any node, any pod":                         {plain, anyPod, both},
		"a label that the node has":                 {plain, selects(map[string]string{"disk": "ssd"}), both},
		"a label of another value":                  {plain, selects(map[string]string{"disk": "hdd"}), neither},
		"a label that the node does not have":       {plain, selects(map[string]string{"gpu": ""}), neither},
		"an affinity that matches":                  {plain, requires(labelTerm("zone", corev1.NodeSelectorOpIn, "a", "b")), both},
		"an affinity that does not":                 {plain, requires(labelTerm("zone", corev1.NodeSelectorOpNotIn, "a")), neither},
		"one of two affinities":                     {plain, requires(labelTerm("gpu", corev1.NodeSelectorOpExists), labelTerm("disk", corev1.NodeSelectorOpExists)), both},
		"an affinity to the name":                   {plain, requires(fieldTerm(corev1.NodeSelectorOpIn, "one")), both},
		"an affinity to another name":               {plain, requires(fieldTerm(corev1.NodeSelectorOpIn, "two")), neither},
		"an affinity against the name":              {plain, requires(fieldTerm(corev1.NodeSelectorOpNotIn, "one")), neither},
		"an affinity without terms":                 {plain, requires(), neither},
		"the name itself":                           {plain, func(s *corev1.PodSpec) { s.NodeName = "one" }, both},
		"another name itself":                       {plain, func(s *corev1.PodSpec) { s.NodeName = "two" }, neither},
		"a taint NoSchedule keeps those that run":   {tainted("team", corev1.TaintEffectNoSchedule), anyPod, keeps},
		"a taint NoExecute drives out":              {tainted("team", corev1.TaintEffectNoExecute), anyPod, neither},
		"a taint PreferNoSchedule is no matter":     {tainted("team", corev1.TaintEffectPreferNoSchedule), anyPod, both},
		"a taint that is tolerated":                 {tainted("team", corev1.TaintEffectNoExecute), tolerates(corev1.Toleration{Key: "team", Operator: corev1.TolerationOpEqual, Value: "yes"}), both},
		"a taint of another value":                  {tainted("team", corev1.TaintEffectNoExecute), tolerates(corev1.Toleration{Key: "team", Value: "no"}), neither},
		"a taint tolerated for another effect":      {tainted("team", corev1.TaintEffectNoExecute), tolerates(corev1.Toleration{Key: "team", Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}), neither},
		"a taint tolerated for a time":              {tainted("team", corev1.TaintEffectNoExecute), tolerates(corev1.Toleration{Operator: corev1.TolerationOpExists, TolerationSeconds: new(int64(60))}), both},
		"a cordon":                                  {tainted(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule), anyPod, both},
		"a node that is not ready":                  {tainted(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute), anyPod, both},
		"a node that is out of reach":               {tainted(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute), anyPod, both},
		"a node without a network":                  {tainted(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), anyPod, keeps},
		"a node without a network that is not used": {tainted(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule), func(s *corev1.PodSpec) { s.HostNetwork = true }, both},
		"a node short of disk":                      {tainted(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule), anyPod, both},
		"a virtual node is left alone":              {nodeWith(func(n *corev1.Node) { n.Labels["type"] = "virtual-kubelet" }), anyPod, keeps},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := RuleOf(podWith(c.pod)).On(c.node)
			if err != nil || got != c.want {
				t.Errorf("verdict %+v, error %v, want %+v", got, err, c.want)
			}
		})
	}
}

func TestAnAffinityThatCannotBeReadIsAnError(t *testing.T) {
	rule := RuleOf(podWith(requires(labelTerm("zone", "Near", "a"))))
	if verdict, err := rule.On(nodeWith(func(*corev1.Node) {})); err == nil || verdict.Runs || verdict.Keeps {
		t.Errorf("verdict %+v, error %v", verdict, err)
	}
}

func TestTolerationsAreAddedOnce(t *testing.T) {
	spec := corev1.PodSpec{Tolerations: []corev1.Toleration{{Key: corev1.TaintNodeUnschedulable, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoSchedule}}}
	once := Tolerations(&spec)
	if len(once) != 6 || len(spec.Tolerations) != 1 {
		t.Errorf("%d tolerations, of the template itself %d", len(once), len(spec.Tolerations))
	}
	if diff := cmp.Diff(once, Tolerations(&corev1.PodSpec{Tolerations: once})); diff != "" {
		t.Errorf("added again (-want +got):\n%s", diff)
	}
}

func TestAPodIsFoundOnTheNodeThatItIsPinnedTo(t *testing.T) {
	prefers := []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: labelTerm("disk", corev1.NodeSelectorOpExists)}}
	spec := corev1.PodSpec{}
	requires(labelTerm("zone", corev1.NodeSelectorOpExists))(&spec)
	spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution = prefers
	Pin(&spec, "one")
	if diff := cmp.Diff(prefers, spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution); diff != "" {
		t.Errorf("what it prefers is lost (-want +got):\n%s", diff)
	}
	if got := NodeOf(&corev1.Pod{Spec: spec}); got != "one" {
		t.Errorf("pinned to %q", got)
	}
	spec.NodeName = "two"
	if got := NodeOf(&corev1.Pod{Spec: spec}); got != "two" {
		t.Errorf("running on %q", got)
	}
	for name, s := range map[string]corev1.PodSpec{
		"no affinity":  {},
		"a label only": *podWithSpec(requires(labelTerm("zone", corev1.NodeSelectorOpExists))),
		"two names":    *podWithSpec(requires(fieldTerm(corev1.NodeSelectorOpIn, "one", "two"))),
	} {
		if got := NodeOf(&corev1.Pod{Spec: s}); got != "" {
			t.Errorf("%s: pinned to %q", name, got)
		}
	}
}

func podWithSpec(change func(*corev1.PodSpec)) *corev1.PodSpec { return &podWith(change).Spec }

func TestANodeIsLostWhenNobodyHearsOfIt(t *testing.T) {
	for status, want := range map[corev1.ConditionStatus]bool{corev1.ConditionTrue: false, corev1.ConditionFalse: false, corev1.ConditionUnknown: true} {
		node := nodeWith(func(n *corev1.Node) {
			n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionUnknown}, {Type: corev1.NodeReady, Status: status}}
		})
		if Lost(node) != want {
			t.Errorf("Ready %s: lost %t", status, Lost(node))
		}
	}
	if Lost(nodeWith(func(*corev1.Node) {})) {
		t.Error("a node that has not reported yet is lost")
	}
}
