package podset_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// nodesOf makes nodes from words, such as "a b:lost c:tainted": ready nodes, unless they say otherwise.
func nodesOf(words string) []podset.Node {
	var out []podset.Node
	for _, word := range strings.Fields(words) {
		name, what, _ := strings.Cut(word, ":")
		n := podset.Node{Name: name, Verdict: placement.Verdict{Runs: true, Keeps: true}}
		switch what {
		case "":
		case "lost":
			n.Lost = true
		case "tainted": // takes no new pod
			n.Runs = false
		case "unfit": // is not to have one
			n.Verdict = placement.Verdict{}
		case "excluded":
			n.Excluded = true
		case "failing": // a pod failed there a moment ago
			n.RetryAt = noon().Add(time.Minute)
		default:
			panic("nodesOf: " + word)
		}
		out = append(out, n)
	}
	return out
}

// perNode are sets with a pod for each node, and the steps that must come of them. The first letter of a pod's name is that of
// its node.
type perNode map[string]struct {
	set   podset.PerNode
	nodes string
	pods  []string
	want  []string
	// notes are what the notes must say, in their order, each as a part of its sentence.
	notes []string
}

func (cases perNode) check(t *testing.T) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			set := test.set
			set.Nodes, set.UpdateRevision = nodesOf(test.nodes), "demo-v2"
			if set.Burst == 0 {
				set.Burst = 250
			}
			if set.Policy == "" {
				set.Policy = v1beta1.RecreatePodUpdatePolicyType
			}
			if set.Change == nil {
				set.Change = func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} }
			}
			var pods []replica.Replica
			for _, words := range test.pods {
				r := podOf(words)
				r.Node, r.Gated = r.Name[:1], !strings.HasSuffix(r.Name, "x")
				pods = append(pods, r)
			}
			plan := set.Plan(noon(), pods)
			if diff := cmp.Diff(test.want, inWords(plan.Steps)); diff != "" {
				t.Errorf("steps (-want +got):\n%s", diff)
			}
			var notes []string
			for _, n := range plan.Notes {
				notes = append(notes, n.String())
			}
			text := strings.Join(notes, "\n")
			for _, want := range test.notes {
				_, rest, found := strings.Cut(text, want)
				if !found {
					t.Errorf("no note says %q, or none in this order:\n%s", want, strings.Join(notes, "\n"))
				}
				text = rest
			}
		})
	}
}

func one() rolling { return rolling{MaxUnavailable: 1} }

func TestEachNodeThatIsToHaveAPodGetsOne(t *testing.T) {
	perNode{
		"nodes without a pod get one, in the order of their names": {podset.PerNode{Rolling: one()},
			"a b c", []string{"b1 v2"}, []string{"Create a v2", "Create c v2"}, nil},
		"a node that is not to have one gets none, and one that runs there goes": {podset.PerNode{Rolling: one()},
			"a:unfit b:unfit", []string{"b1 v2"}, []string{"Delete b1"}, nil},
		"a node that takes no new pod keeps the one that it has": {podset.PerNode{Rolling: one()},
			"a:tainted b:tainted", []string{"b1 v2"}, nil, nil},
		"a node that is lost gets one, since nobody knows what is there": {podset.PerNode{Rolling: one()},
			"a:lost", nil, []string{"Create a v2"}, nil},
		"no pod is created before the one before ended": {podset.PerNode{Rolling: one()},
			"a", []string{"a1 v2 terminating"}, nil, []string{"to be created, waiting for the end of a1"}},
		"of two pods the one that serves stays": {podset.PerNode{Rolling: one()},
			"a", []string{"a1 v2 away", "a2 v2"}, []string{"Delete a1"}, nil},
		"of two pods that serve the older one stays": {podset.PerNode{Rolling: one()},
			"a", []string{"a2 v2", "a1 v2"}, []string{"Delete a2"}, nil},
		"of an old and a new one the one that serves stays": {podset.PerNode{Rolling: rolling{MaxUnavailable: 1, Partition: 1}},
			"a", []string{"a1 v1", "a2 v2 away"}, []string{"Delete a2"}, nil},
		"a pod that waits for a node that is gone goes, one that ran there is left to others": {podset.PerNode{Rolling: one()},
			"a", []string{"a1 v2", "z1 v2 unscheduled", "y1 v2 away"}, []string{"Delete z1"}, []string{"y1"}},
		"a pod that ended is deleted, and replaced when it is gone": {podset.PerNode{Rolling: one()},
			"a", []string{"a1 v2 ended"}, []string{"Delete a1"}, nil},
		"where pods fail again and again, a while passes": {podset.PerNode{Rolling: one()},
			"a:failing", []string{"a1 v2 ended"}, nil, []string{"pods failed there again and again"}},
		"no more than burstReplicas at a time": {podset.PerNode{Rolling: one(), Burst: 2},
			"a b c", nil, []string{"Create a v2", "Create b v2"}, []string{"1 pod is to be created, but burstReplicas is 2"}},
		"with partitionedScaling only as many as the partition lets be new": {podset.PerNode{Rolling: rolling{MaxUnavailable: 1, Partition: 2}, PartitionedScaling: true},
			"a b c d", []string{"b1 v1"}, []string{"Create a v2", "Create c v2"}, []string{"1 pod is to be created, but partition is 2, and scaleStrategy.partitionedScaling is set"}},
	}.check(t)
}

func TestAnUpdateKeepsToTheBudget(t *testing.T) {
	perNode{
		"the node with the last name goes first": {podset.PerNode{Rolling: one()},
			"a b c", []string{"a1 v1", "b1 v1", "c1 v1"}, []string{"Delete c1"}, []string{"2 pods are to be updated, but maxUnavailable is 1 and 1 pod is unavailable: c1"}},
		"maxUnavailable counts nodes that are away anyway": {podset.PerNode{Rolling: rolling{MaxUnavailable: 2}},
			"a b c d", []string{"a1 v2 away", "b1 v1", "c1 v1", "d1 v1"}, []string{"Delete d1"}, []string{"2 pods are to be updated, but maxUnavailable is 2 and 2 pods are unavailable: a1, d1"}},
		"old pods that do not serve are not all recreated at once": {podset.PerNode{Rolling: rolling{MaxUnavailable: 2}},
			"a b c d", []string{"a1 v1 away", "b1 v1 away", "c1 v1 away", "d1 v1"}, []string{"Delete c1", "Delete b1"}, []string{"2 pods are to be updated, but maxUnavailable is 2 and 3 pods are unavailable"}},
		"a pod that does not serve goes before those that do": {podset.PerNode{Rolling: one()},
			"a b c", []string{"a1 v1 away", "b1 v1", "c1 v1"}, []string{"Delete a1"}, nil},
		"a new pod that does not serve stops the update": {podset.PerNode{Rolling: one()},
			"a b", []string{"a1 v1 away", "b1 v2 away"}, nil, []string{"1 pod is to be updated, but maxUnavailable is 1 and 2 pods are unavailable: a1, b1"}},
		"a node without a pod stops the update": {podset.PerNode{Rolling: one()},
			"a b", []string{"a1 v1"}, []string{"Create b v2"}, []string{"1 pod is to be updated, but maxUnavailable is 1 and 1 missing"}},
		"a bad revision is repaired within the budget": {podset.PerNode{Rolling: rolling{MaxUnavailable: 2}},
			"a b c d", []string{"a1 v1", "b1 v1", "c1 v1 away", "d1 v1 away"}, []string{"Delete d1", "Delete c1"}, nil},
		"a lost node counts as away and is passed over": {podset.PerNode{Rolling: rolling{MaxUnavailable: 2}},
			"a b c:lost", []string{"a1 v1", "b1 v1", "c1 v1 away"}, []string{"Delete b1"}, []string{"maxUnavailable is 2 and 2 pods are unavailable: b1, c1", "the kubelets of their nodes are silent: c"}},
		"pods that do not serve are repaired though a lost node has a new one": {podset.PerNode{Rolling: one()},
			"a:lost b", []string{"a1 v2 away", "b1 v1 away"}, []string{"Delete b1"}, nil},
		"the partition keeps the nodes with the first names": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3, Partition: 2}},
			"a b c", []string{"a1 v1", "b1 v1", "c1 v1"}, []string{"Delete c1"}, nil},
		"the partition counts pods that are new already": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3, Partition: 2}},
			"a b c", []string{"a1 v2", "b1 v1", "c1 v1"}, nil, nil},
		"a pod on its way out counts as updated": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3, Partition: 2}},
			"a b c", []string{"a1 v1 leaving held", "b1 v1", "c1 v1"}, nil, []string{"waiting for the preDelete hook of a1"}},
		"pods on excluded nodes stay": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3}},
			"a b:excluded c", []string{"a1 v1", "b1 v1", "c1 v1"}, []string{"Delete c1", "Delete a1"}, nil},
		"a pod whose node would take no other one stays": {podset.PerNode{Rolling: one()},
			"a:tainted b", []string{"a1 v1", "b1 v2"}, nil, []string{"1 pod is to be updated, but their nodes take no new pod: a"}},
		"a node that is not to have a pod counts while it has one": {podset.PerNode{Rolling: one(), CountIneligible: true},
			"a:unfit b", []string{"a1 v1 terminating", "b1 v1"}, nil, []string{"maxUnavailable is 1"}},
		"or it does not count": {podset.PerNode{Rolling: one()},
			"a:unfit b", []string{"a1 v1 terminating", "b1 v1"}, []string{"Delete b1"}, nil},
		"paused": {podset.PerNode{Rolling: one(), Paused: true},
			"a b", []string{"a1 v1"}, []string{"Create b v2"}, []string{"1 pod is to be updated, but the update is paused"}},
		"on delete": {podset.PerNode{Rolling: one(), OnDelete: true},
			"a", []string{"a1 v1"}, nil, []string{"updateStrategy.type is OnDelete"}},
		"a pod that its hook holds prepares for its deletion": {podset.PerNode{Rolling: one()},
			"a", []string{"a1 v1 held"}, []string{"Move a1 PreparingDelete"}, nil},
		"no more than burstReplicas are deleted at a time": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3}, Burst: 2},
			"a b c", []string{"a1 v1", "b1 v1", "c1 v1"}, []string{"Delete c1", "Delete b1"}, []string{"1 pod is to be updated, but burstReplicas is 2"}},
	}.check(t)
}

func TestPodsOfNodesAreUpdatedInPlace(t *testing.T) {
	inPlace := func(r rolling) podset.PerNode {
		return podset.PerNode{Rolling: r, Policy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType}
	}
	with := func(set podset.PerNode, change func(from, to string) inplace.Change) podset.PerNode {
		set.Change = change
		return set
	}
	resize := func(_, _ string) inplace.Change {
		return inplace.Change{Resources: map[string]corev1.ResourceRequirements{"web": {}}}
	}
	perNode{
		"within the budget": {inPlace(one()),
			"a b", []string{"a1 v1", "b1 v1"}, []string{"Update b1 v2"}, []string{"maxUnavailable is 1 and 1 pod is unavailable: b1"}},
		"one that is being updated counts": {inPlace(one()),
			"a b", []string{"a1 v1", "b1 v2 updating"}, nil, []string{"maxUnavailable is 1 and 1 pod is unavailable: b1"}},
		"what restarts nothing goes at once": {with(inPlace(one()), metadata),
			"a b", []string{"a1 v1", "b1 v1"}, []string{"Update b1 v2", "Update a1 v2"}, nil},
		"resizes keep to the budget though nobody is away": {with(inPlace(one()), resize),
			"a b", []string{"a1 v1", "b1 v2 resizing"}, nil, []string{"no more pods are resized at a time"}},
		"what cannot be changed in place is recreated": {with(inPlace(one()), impossible),
			"a", []string{"a1 v1"}, []string{"Delete a1"}, nil},
		"a pod without the readiness gate is recreated": {inPlace(one()),
			"a", []string{"ax v1"}, []string{"Delete ax"}, nil},
		"no pod on a node that is lost": {inPlace(one()),
			"a:lost", []string{"a1 v1 away"}, nil, []string{"silent: a"}},
	}.check(t)
}

func TestWithASurgeANewPodIsThereBeforeTheOldOneGoes(t *testing.T) {
	surge := func(n int) podset.PerNode { return podset.PerNode{Rolling: rolling{MaxSurge: n}} }
	paused := surge(1)
	paused.Paused = true
	perNode{
		"a new pod beside the old one": {surge(1),
			"a b", []string{"a1 v1", "b1 v1"}, []string{"Create b v2"}, []string{"1 pod is to be updated, but maxSurge is 1"}},
		"the old one stays until the new one is available": {surge(1),
			"a", []string{"a1 v1", "a2 v2 away"}, nil, nil},
		"also while the new one waits for minReadySeconds": {surge(1),
			"a", []string{"a1 v1", "a2 v2 ready"}, nil, nil},
		"and then goes, and the next node follows": {surge(1),
			"a b", []string{"a1 v1", "b1 v1", "b2 v2"}, []string{"Delete b1", "Create a v2"}, nil},
		"also while it is paused": {paused,
			"a b", []string{"a1 v1", "b1 v1", "b2 v2"}, []string{"Delete b1"}, []string{"the update is paused"}},
		"an old one that does not serve makes room": {surge(1),
			"a", []string{"a1 v1 away", "a2 v2 away"}, []string{"Delete a1"}, nil},
		"old ones that do not serve are not all replaced at once": {surge(1),
			"a b c", []string{"a1 v1 away", "b1 v1 away", "c1 v1"}, []string{"Create b v2"}, []string{"2 pods are to be updated, but maxSurge is 1 and 2 pods are unavailable"}},
		"of two old ones the one that serves stays": {surge(1),
			"a", []string{"a1 v1", "a2 v0 away"}, []string{"Delete a2"}, nil},
		"back to the revision that the old one has": {surge(1),
			"a", []string{"a1 v2", "a2 v1 away"}, []string{"Delete a2"}, nil},
		"no pod beside one on a lost node": {surge(1),
			"a:lost b", []string{"a1 v1 away", "b1 v1"}, []string{"Create b v2"}, []string{"silent: a"}},
		"no pod beside one whose node takes no new one": {surge(1),
			"a:tainted b", []string{"a1 v1", "b1 v2"}, nil, []string{"take no new pod: a"}},
		"a pod beside one that was asked to go": {surge(1),
			"a", []string{"a1 v2 doomed"}, []string{"Create a v2"}, nil},
		"which then goes": {surge(1),
			"a", []string{"a1 v2 doomed", "a2 v2"}, []string{"Delete a1"}, nil},
	}.check(t)
}

func TestAPodThatWasAskedToGoIsReplacedOnItsNode(t *testing.T) {
	perNode{
		"within the budget": {podset.PerNode{Rolling: one()},
			"a b", []string{"a1 v2 doomed", "b1 v2 doomed"}, []string{"Delete a1"}, []string{"1 pod is to be deleted, but maxUnavailable is 1"}},
		"at once when it serves nobody": {podset.PerNode{Rolling: one()},
			"a b", []string{"a1 v2 doomed away", "b1 v2 away"}, []string{"Delete a1"}, nil},
		"before the update goes on": {podset.PerNode{Rolling: one()},
			"a b", []string{"a1 v2 doomed", "b1 v1"}, []string{"Delete a1"}, []string{"1 pod is to be updated, but maxUnavailable is 1"}},
		"also while the update is paused": {podset.PerNode{Rolling: one(), Paused: true},
			"a", []string{"a1 v1 doomed"}, []string{"Delete a1"}, nil},
		"also where the node takes no new pod": {podset.PerNode{Rolling: one()},
			"a:tainted", []string{"a1 v2 doomed"}, []string{"Delete a1"}, nil},
		"an old one counts among those that the partition lets be new": {podset.PerNode{Rolling: rolling{MaxUnavailable: 3, Partition: 2}},
			"a b c", []string{"a1 v1", "b1 v1 doomed", "c1 v1"}, []string{"Delete b1"}, nil},
	}.check(t)
}

func TestNodesAreCountedForTheStatus(t *testing.T) {
	for name, test := range map[string]struct {
		nodes string
		pods  []string
		want  podset.Tally
	}{
		"all is well": {"a b", []string{"a1 v2", "b1 v2"},
			podset.Tally{Desired: 2, Replicas: 2, Ready: 2, Available: 2, Updated: 2, UpdatedReady: 2, UpdatedAvailable: 2, ExpectedUpdated: 2}},
		"one is old, one not ready, one missing": {"a b c", []string{"a1 v1", "b1 v2 away"},
			podset.Tally{Desired: 3, Replicas: 2, Ready: 1, Available: 1, Updated: 1, ExpectedUpdated: 3}},
		"one runs where it should not, one stays where none is started": {"a:unfit b:tainted c", []string{"a1 v2", "b1 v2", "c1 v2 ready"},
			podset.Tally{Desired: 1, Misscheduled: 2, Replicas: 1, Ready: 1, Updated: 1, UpdatedReady: 1, ExpectedUpdated: 1}},
		"a node counts as updated when its old pod is gone": {"a", []string{"a1 v1", "a2 v2 away"},
			podset.Tally{Desired: 1, Replicas: 1, Ready: 1, Available: 1, ExpectedUpdated: 1}},
		"one that is asked to go": {"a", []string{"a1 v2 doomed"},
			podset.Tally{Desired: 1, Replicas: 1, Ready: 1, Available: 1, Updated: 1, UpdatedReady: 1, UpdatedAvailable: 1, ExpectedUpdated: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			set := podset.PerNode{Nodes: nodesOf(test.nodes), Rolling: rolling{MaxSurge: 1}, UpdateRevision: "demo-v2", Policy: v1beta1.RecreatePodUpdatePolicyType}
			var pods []replica.Replica
			for _, words := range test.pods {
				r := podOf(words)
				r.Node = r.Name[:1]
				pods = append(pods, r)
			}
			if diff := cmp.Diff(test.want, set.Plan(noon(), pods).Tally); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWhatKeepsPodsOnTheirRevisionIsTheSelectorOfNodesOrThePartition(t *testing.T) {
	for name, test := range map[string]struct {
		nodes     string
		partition int
		want      bool
	}{
		"nothing does":                               {"a b c", 0, false},
		"the partition":                              {"a b c", 1, false},
		"the selector":                               {"a:excluded b c", 0, true},
		"both, and the selector leaves out more":     {"a:excluded b:excluded c", 1, true},
		"both, and the partition keeps more of them": {"a:excluded b c", 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			set := podset.PerNode{
				Nodes: nodesOf(test.nodes), Rolling: rolling{MaxUnavailable: 1, Partition: test.partition}, Burst: 1,
				UpdateRevision: "demo-v2", Policy: v1beta1.RecreatePodUpdatePolicyType,
			}
			var pods []replica.Replica
			for _, words := range []string{"a1 v1", "b1 v1", "c1 v1"} {
				r := podOf(words)
				r.Node = r.Name[:1]
				pods = append(pods, r)
			}
			if tally := set.Plan(noon(), pods).Tally; tally.KeptBySelector() != test.want {
				t.Errorf("kept by the selector: %t, want %t of %+v", !test.want, test.want, tally)
			}
		})
	}
}
