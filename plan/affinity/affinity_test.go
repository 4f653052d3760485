package affinity

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	host = "kubernetes.io/hostname"
	zone = "topology.kubernetes.io/zone"
)

// state is a PersistentPodState of StatefulSet web with a required host and a preferred zone.
func state(change ...func(*v1beta1.PersistentPodState)) *v1beta1.PersistentPodState {
	s := &v1beta1.PersistentPodState{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "keep"}}
	s.Spec.TargetReference = v1beta1.TargetReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: "web"}
	s.Spec.RequiredPersistentTopology = &v1beta1.NodeTopologyTerm{NodeTopologyKeys: []string{host}}
	s.Spec.PreferredPersistentTopology = []v1beta1.PreferredTopologyTerm{{Weight: 10, Preference: v1beta1.NodeTopologyTerm{NodeTopologyKeys: []string{zone}}}}
	s.Spec.PersistentPodAnnotations = []v1beta1.PersistentPodAnnotation{{Key: "ip"}}
	for _, c := range change {
		c(s)
	}
	return s
}

func remembering(states map[string]v1beta1.PodState) func(*v1beta1.PersistentPodState) {
	return func(s *v1beta1.PersistentPodState) { s.Status.PodStates = states }
}

func whenDeleted(s *v1beta1.PersistentPodState) {
	s.Spec.PersistentPodStateRetentionPolicy = v1beta1.PersistentPodStateRetentionPolicyWhenDeleted
}

// on is a pod that is ready on a node.
func on(node, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Spec: corev1.PodSpec{NodeName: node}}
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	for _, c := range change {
		c(p)
	}
	return p
}

func notReady(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }
func leaving(p *corev1.Pod)  { p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)} }

func annotated(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{key: value} }
}

// sentBack is a pod that was told to return.
func sentBack(p *corev1.Pod) {
	p.Annotations = map[string]string{v1beta1.InjectedPersistentPodStateKey: "keep"}
}

// selecting is a pod whose author says where it is to be.
func selecting(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Spec.NodeSelector = map[string]string{key: value} }
}

// preferring requires nothing.
func preferring(s *v1beta1.PersistentPodState) { s.Spec.RequiredPersistentTopology = nil }

// nodes are n1 in zone a, n2 in zone b and n3, which has no zone.
func nodes(name string) (*corev1.Node, bool) {
	labels, ok := map[string]map[string]string{"n1": {host: "n1", zone: "a", "other": "x"}, "n2": {host: "n2", zone: "b"}, "n3": {host: "n3"}}[name]
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}}, ok
}

func at(node, inZone string) v1beta1.PodState {
	return v1beta1.PodState{NodeName: node, NodeTopologyLabels: map[string]string{host: node, zone: inZone}}
}

func TestWhatIsRemembered(t *testing.T) {
	before := map[string]v1beta1.PodState{"web-0": at("n1", "a"), "web-3": at("n2", "b")}
	withIP := at("n1", "a")
	withIP.Annotations = map[string]string{"ip": "1"}
	for name, c := range map[string]struct {
		state    *v1beta1.PersistentPodState
		workload *Workload
		want     map[string]v1beta1.PodState
	}{
		"a pod that is ready": {state(), &Workload{Pods: []*corev1.Pod{on("n1", "web-0")}, Ordinals: []int{0}}, map[string]v1beta1.PodState{"web-0": at("n1", "a")}},
		"a label that the node does not have is not": {state(), &Workload{Pods: []*corev1.Pod{on("n3", "web-0")}, Ordinals: []int{0}},
			map[string]v1beta1.PodState{"web-0": {NodeName: "n3", NodeTopologyLabels: map[string]string{host: "n3"}}}},
		"the annotations that are named": {state(), &Workload{Pods: []*corev1.Pod{on("n1", "web-0", annotated("ip", "1"))}, Ordinals: []int{0}}, map[string]v1beta1.PodState{"web-0": withIP}},
		"no other annotation":            {state(), &Workload{Pods: []*corev1.Pod{on("n1", "web-0", annotated("port", "1"))}, Ordinals: []int{0}}, map[string]v1beta1.PodState{"web-0": at("n1", "a")}},
		"an annotation that is gone is forgotten": {state(remembering(map[string]v1beta1.PodState{"web-0": withIP})), &Workload{Pods: []*corev1.Pod{on("n1", "web-0")}, Ordinals: []int{0}},
			map[string]v1beta1.PodState{"web-0": at("n1", "a")}},
		"a pod that is not ready is remembered as it was": {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n2", "web-0", notReady)}, Ordinals: []int{0, 3}}, before},
		"so is one that is going":                         {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n2", "web-0", leaving)}, Ordinals: []int{0, 3}}, before},
		"so is one on a node that is not known":           {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n9", "web-0")}, Ordinals: []int{0, 3}}, before},
		"a pod that is ready elsewhere": {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n2", "web-0", sentBack)}, Ordinals: []int{0, 3}},
			map[string]v1beta1.PodState{"web-0": at("n2", "b"), "web-3": at("n2", "b")}},
		"not one that was not told to return":               {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n2", "web-0")}, Ordinals: []int{0, 3}}, before},
		"but one whose author said where it is to be":       {state(remembering(before)), &Workload{Pods: []*corev1.Pod{on("n2", "web-0", selecting(host, "n2"))}, Ordinals: []int{0, 3}}, map[string]v1beta1.PodState{"web-0": at("n2", "b"), "web-3": at("n2", "b")}},
		"and one that need not return":                      {state(remembering(before), preferring), &Workload{Pods: []*corev1.Pod{on("n2", "web-0")}, Ordinals: []int{0, 3}}, map[string]v1beta1.PodState{"web-0": {NodeName: "n2", NodeTopologyLabels: map[string]string{zone: "b"}}, "web-3": at("n2", "b")}},
		"pods that are wanted and away":                     {state(remembering(before)), &Workload{Ordinals: []int{0, 1, 2, 3}}, before},
		"a pod that was scaled in is forgotten":             {state(remembering(before)), &Workload{Ordinals: []int{0, 1, 2}}, map[string]v1beta1.PodState{"web-0": at("n1", "a")}},
		"but not before it is gone":                         {state(remembering(before)), &Workload{Ordinals: []int{0, 1, 2}, Pods: []*corev1.Pod{on("n2", "web-3", leaving)}}, before},
		"a pod below the first ordinal is forgotten":        {state(remembering(before)), &Workload{Ordinals: []int{2, 3, 4}}, map[string]v1beta1.PodState{"web-3": at("n2", "b")}},
		"a pod whose ordinal is reserved is forgotten":      {state(remembering(before)), &Workload{Ordinals: []int{1, 3}}, map[string]v1beta1.PodState{"web-3": at("n2", "b")}},
		"a pod that was scaled in is kept with WhenDeleted": {state(whenDeleted, remembering(before)), &Workload{}, before},
		"nor where it is not known which are wanted":        {state(remembering(before)), &Workload{AnyOrdinal: true}, before},
		"nothing once the workload is gone":                 {state(whenDeleted, remembering(before)), nil, nil},
		"a name that is no pod's": {state(remembering(map[string]v1beta1.PodState{"web-00": at("n1", "a"), "other-0": at("n1", "a"), "web-": {}, "web-x": {}})),
			&Workload{Ordinals: []int{0}}, map[string]v1beta1.PodState{}},
	} {
		t.Run(name, func(t *testing.T) {
			if c.workload != nil {
				c.workload.Name = "web"
			}
			unchanged := c.state.DeepCopy()
			if diff := cmp.Diff(c.want, Remember(c.state, c.workload, nodes)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(unchanged, c.state); diff != "" {
				t.Errorf("the object was changed: %s", diff)
			}
		})
	}
}

func TestAPodThatWasNotToldToReturnIsFound(t *testing.T) {
	before := remembering(map[string]v1beta1.PodState{"web-0": at("n1", "a")})
	for name, c := range map[string]struct {
		state *v1beta1.PersistentPodState
		pod   *corev1.Pod
		want  string
	}{
		"it had to return": {state(before), on("n2", "web-0", notReady), "Pod web-0 was created while no manager answered for its webhook, so it was not sent back to node n1 and runs on n2. " +
			"Where it must run, kubernetes.io/hostname=n1, is still remembered: delete the pod to have it return. To let it stay, take the topology out of spec.requiredPersistentTopology"},
		"it might have":                     {state(before, preferring), on("n2", "web-0"), "Pod web-0 was created while no manager answered for its webhook, so it was not sent back to node n1 and runs on n2, which is remembered from now on once it is ready"},
		"it was told to":                    {state(before), on("n2", "web-0", sentBack), ""},
		"it returned by chance":             {state(before), on("n1", "web-0"), ""},
		"it has no node yet":                {state(before), on("", "web-0", notReady), ""},
		"it is going":                       {state(before), on("n2", "web-0", leaving), ""},
		"nothing is remembered of it":       {state(before), on("n2", "web-1"), ""},
		"its author said where it is to be": {state(before, func(s *v1beta1.PersistentPodState) { s.Spec.PreferredPersistentTopology = nil }), on("n2", "web-0", selecting(host, "n2")), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			for _, pod := range Missed(c.state, []*corev1.Pod{c.pod}) {
				got += pod.Note
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAPodIsSentBack(t *testing.T) {
	term := func(weight int32, key, value string) corev1.PreferredSchedulingTerm {
		return corev1.PreferredSchedulingTerm{Weight: weight, Preference: corev1.NodeSelectorTerm{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value}}}}}
	}
	prefers := func(terms ...corev1.PreferredSchedulingTerm) *corev1.Affinity {
		return &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{PreferredDuringSchedulingIgnoredDuringExecution: terms}}
	}
	soft := func(weight int32) func(*v1beta1.PersistentPodState) {
		return func(s *v1beta1.PersistentPodState) {
			s.Spec.RequiredPersistentTopology, s.Spec.PreferredPersistentTopology[0].Weight = nil, weight
		}
	}
	for name, c := range map[string]struct {
		state    *v1beta1.PersistentPodState
		selector map[string]string // of the pod before
		affinity *corev1.Affinity
		want     map[string]string
		wantSoft *corev1.Affinity
		marked   bool
	}{
		"to its node, if it must, and to its zone, if it can": {state(), nil, nil, map[string]string{host: "n1"}, prefers(term(10, zone, "a")), true},
		"what its author says stays":                          {state(), map[string]string{host: "n2", "disk": "ssd"}, prefers(term(5, "disk", "ssd")), map[string]string{host: "n2", "disk": "ssd"}, prefers(term(5, "disk", "ssd"), term(10, zone, "a")), true},
		"by preference alone":                                 {state(soft(7)), nil, nil, nil, prefers(term(7, zone, "a")), true},
		"a weight that no pod may have is the heaviest":       {state(soft(1000)), nil, nil, nil, prefers(term(100, zone, "a")), true},
		"a weight of 0 is none":                               {state(soft(0)), nil, nil, nil, nil, false},
		"not when all that is said already": {state(func(s *v1beta1.PersistentPodState) { s.Spec.PreferredPersistentTopology = nil }),
			map[string]string{host: "n2"}, nil, map[string]string{host: "n2"}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			remembering(map[string]v1beta1.PodState{"web-0": at("n1", "a")})(c.state)
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0"}, Spec: corev1.PodSpec{NodeSelector: c.selector, Affinity: c.affinity}}
			for range 2 { // the second time changes nothing
				Inject(pod, c.state)
				if diff := cmp.Diff(c.want, pod.Spec.NodeSelector); diff != "" {
					t.Errorf("nodeSelector (-want +got):\n%s", diff)
				}
				if diff := cmp.Diff(c.wantSoft, pod.Spec.Affinity); diff != "" {
					t.Errorf("affinity (-want +got):\n%s", diff)
				}
				if got := pod.Annotations["kruise.io/injected-persistent-pod-state"] == "keep"; got != c.marked {
					t.Errorf("annotations %v", pod.Annotations)
				}
			}
		})
	}
	for name, pod := range map[string]*corev1.Pod{"nothing is remembered of it": on("", "web-1"), "all that is remembered is of no use": on("", "web-2")} {
		t.Run(name, func(t *testing.T) {
			before := pod.DeepCopy()
			Inject(pod, state(remembering(map[string]v1beta1.PodState{"web-0": at("n1", "a"), "web-2": {NodeName: "n1"}})))
			if diff := cmp.Diff(before, pod); diff != "" {
				t.Errorf("it was changed:\n%s", diff)
			}
		})
	}
}

func TestAPodThatFindsNoRoomIsNamed(t *testing.T) {
	unschedulable := func(p *corev1.Pod) {
		p.Annotations = map[string]string{"kruise.io/injected-persistent-pod-state": "keep"}
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
			Message: "0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector."}}
	}
	s := state(remembering(map[string]v1beta1.PodState{"web-0": at("n1", "a"), "web-1": at("n2", "b")}))
	pods := []*corev1.Pod{
		on("", "web-1", unschedulable), on("", "web-0", unschedulable), on("n1", "web-2"), on("", "web-3", unschedulable),
		on("", "web-4", unschedulable, leaving), on("", "web-0", unschedulable, annotated("other", "x")),
	}
	want := []Astray{
		{"web-0", "Pod web-0 waits to run again on a node with kubernetes.io/hostname=n1: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. To let it run elsewhere, take the topology out of spec.requiredPersistentTopology and delete the pod"},
		{"web-1", "Pod web-1 waits to run again on a node with kubernetes.io/hostname=n2: 0/3 nodes are available: 3 node(s) didn't match Pod's node affinity/selector. To let it run elsewhere, take the topology out of spec.requiredPersistentTopology and delete the pod"},
	}
	if diff := cmp.Diff(want, Waiting(s, pods)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	s.Spec.RequiredPersistentTopology = nil
	if got := Waiting(s, pods); len(got) > 0 {
		t.Errorf("pods that may run anywhere wait: %v", got)
	}
}

func TestAnnotationsOfAWorkloadAskForAnObject(t *testing.T) {
	const auto, needs, likes, notes = "kruise.io/auto-generate-persistent-pod-state", "kruise.io/required-persistent-topology", "kruise.io/preferred-persistent-topology", "kruise.io/persistent-pod-annotations"
	term := func(keys ...string) v1beta1.NodeTopologyTerm { return v1beta1.NodeTopologyTerm{NodeTopologyKeys: keys} }
	hard, soft := term(host, zone), term(zone, "rack")
	for name, c := range map[string]struct {
		annotations map[string]string
		want        *v1beta1.PersistentPodStateSpec
		problem     string
	}{
		"none":           {nil, nil, ""},
		"not asked for":  {map[string]string{auto: "false", needs: host}, nil, ""},
		"in other words": {map[string]string{auto: "yes", needs: host}, nil, ""},
		"all of them": {map[string]string{auto: "true", needs: host + "," + zone, likes: zone + ", rack", notes: "ip,example.org/port"}, &v1beta1.PersistentPodStateSpec{
			RequiredPersistentTopology: &hard, PreferredPersistentTopology: []v1beta1.PreferredTopologyTerm{{Weight: 100, Preference: soft}},
			PersistentPodAnnotations: []v1beta1.PersistentPodAnnotation{{Key: "ip"}, {Key: "example.org/port"}}, PersistentPodStateRetentionPolicy: "WhenScaled"}, ""},
		"commas too many": {map[string]string{auto: "true", likes: ",zone,,"}, &v1beta1.PersistentPodStateSpec{
			PreferredPersistentTopology: []v1beta1.PreferredTopologyTerm{{Weight: 100, Preference: term("zone")}}, PersistentPodStateRetentionPolicy: "WhenScaled"}, ""},
		"no topology":    {map[string]string{auto: "true", notes: "ip"}, nil, "neither kruise.io/required-persistent-topology nor kruise.io/preferred-persistent-topology names the topology"},
		"no label's key": {map[string]string{auto: "true", needs: "a b"}, nil, `metadata.annotations[kruise.io/required-persistent-topology]: Invalid value: "a b"`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Generated(c.annotations)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("error %v, want %q", err, c.problem)
			}
		})
	}
}

func TestAPodIsOfTheWorkloadThatControlsIt(t *testing.T) {
	pod := on("", "web-0")
	if _, ok := Owner(pod); ok {
		t.Error("a pod of nobody has an owner")
	}
	pod.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps.kruise.io/v1alpha1", Kind: "StatefulSet", Name: "web", Controller: new(true)}}
	owner, ok := Owner(pod)
	target, alsoOK := Of(state())
	if !ok || !alsoOK || owner != target || !Known(owner.GroupKind) {
		t.Errorf("the owner is %v, the target %v", owner, target)
	}
	for _, kind := range [][2]string{{"apps", "Deployment"}, {"apps.kruise.io", "CloneSet"}, {"", "StatefulSet"}} {
		if target, _ := TargetOf(kind[0]+"/v1", kind[1], "x"); Known(target.GroupKind) {
			t.Errorf("%v is known", kind)
		}
	}
	if _, ok := TargetOf("a/b/c", "StatefulSet", "web"); ok {
		t.Error("an apiVersion with three parts is one")
	}
}
