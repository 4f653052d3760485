package kubectl_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
)

const nodes = "/api/v1/nodes"

// spread is a set of five pods that are to be spread over zones: three in west on a node each, and two in east on one node.
func spread(t *testing.T) *stage {
	t.Helper()
	s := newStage(t, five().Spread(corev1.LabelTopologyZone))
	s.w.AddNode("node-3")
	for node, zone := range map[string]string{"node-0": "west", "node-1": "west", "node-2": "east", "node-3": "west"} {
		if err := s.w.ChangeNode(node, func(n *corev1.Node) { n.Labels[corev1.LabelTopologyZone] = zone }); err != nil {
			t.Fatal(err)
		}
	}
	for pod, node := range map[string]string{"demo-a": "node-0", "demo-b": "node-1", "demo-c": "node-2", "demo-d": "node-2", "demo-e": "node-3"} {
		s.edit(pod, func(p *corev1.Pod) { p.Spec.NodeName = node })
	}
	return s
}

func TestSurplusPodsGoByTheZonesOfTheirNodes(t *testing.T) {
	s := spread(t)
	planned := s.kubectl("plan", "cloneset/demo", "--replicas", "4")
	golden(t, "plan to scale what is spread over zones", planned)
	s.apply(kinds.Change{Replicas: new(int32(4))})
	golden(t, "what is spread over zones", s.kubectl("explain", "cloneset/demo"))
	s.run(2 * time.Second)
	gone := "demo-a"
	if s.w.Pod(gone) != nil || !strings.Contains(planned, "delete "+gone) {
		t.Errorf("%s is to go from the zone with three pods, and to be planned to:\n%s", gone, planned)
	}
}

func TestWithoutTheRightToListNodesTheAnswerSaysWhatItAssumes(t *testing.T) {
	s := spread(t)
	s.forbidden = nodes
	golden(t, "plan without the right to list nodes", s.kubectl("plan", "cloneset/demo", "--replicas", "4"))
	s.apply(kinds.Change{Replicas: new(int32(4))})
	golden(t, "without the right to list nodes", s.kubectl("explain", "cloneset/demo"))
}

func TestNodesAreOnlyReadForWorkloadsThatTurnOnThem(t *testing.T) {
	s := newStage(t, five())
	s.forbidden = nodes
	if out := s.kubectl("explain", "cloneset/demo"); !strings.HasSuffix(out, "are of the newest revision, v1.\n") {
		t.Errorf("a set that is not spread: %s", out)
	}
	s = stageOf(t, everywhere(v1beta1.InplaceRollingUpdateType))
	s.forbidden = nodes
	if out := s.kubectl("explain", "ads/demo"); !strings.Contains(out, "Error from server (Forbidden): nodes is forbidden") {
		t.Errorf("a DaemonSet, of which nothing can be said without nodes: %s", out)
	}
}

// New pods of a set whose nodes are not read find one, whatever the template asks of it.
func TestAPlanForPodsThatSelectTheirNodes(t *testing.T) {
	s := newStage(t, five())
	s.change(func(spec *v1beta1.CloneSetSpec) { spec.Template.Spec.NodeSelector = map[string]string{"disk": "fast"} })
	if out := s.kubectl("plan", "cloneset/demo"); !strings.Contains(out, "Then it is at rest: all 5 pods are available and are of the newest revision") {
		t.Errorf("the pods find no node:\n%s", out)
	}
}

// Claims carry the labels that the selector names, and not those that it only asks for.
func TestClaimsOfASetThatSelectsByExpressionsAreSeen(t *testing.T) {
	begin := five().Claim("data").ReuseClaims().Object()
	begin.Namespace = "default"
	begin.Spec.Selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: "tier", Operator: metav1.LabelSelectorOpExists}}
	begin.Spec.Template.Labels["tier"] = "front"
	s := stageOf(t, begin)
	s.w.Lose("demo-c") // its claim waits for another pod
	if out := s.kubectl("explain", "cloneset/demo", "-o", "yaml"); !strings.Contains(out, "pods:\n  - c\n") {
		t.Errorf("the new pod is not to have the claim of the one that vanished:\n%s", out)
	}
}
