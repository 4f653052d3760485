package probe

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1alpha1"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// pod makes a pod that can be probed.
func pod(name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, UID: types.UID("uid-" + name), Labels: map[string]string{"app": "web"}},
		Spec: corev1.PodSpec{NodeName: "n1", Containers: []corev1.Container{
			{Name: "main", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}}, {Name: "side"},
		}},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, PodIP: "10.0.0.1",
			Conditions: []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}}},
	}
}

// marker makes a marker about pods with app=web. A probe without a condition writes labels.
func marker(name string, age int, probes ...v1alpha1.PodContainerProbe) *v1alpha1.PodProbeMarker {
	return &v1alpha1.PodProbeMarker{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(now.Add(-time.Duration(age) * time.Hour))},
		Spec:       v1alpha1.PodProbeMarkerSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, Probes: probes},
	}
}

func exec(name string) v1alpha1.PodContainerProbe {
	p := v1alpha1.PodContainerProbe{Name: name, ContainerName: "main"}
	p.Probe.Exec = &corev1.ExecAction{Command: []string{"true"}}
	return p
}

func at(name string, port intstr.IntOrString) v1alpha1.PodContainerProbe {
	p := v1alpha1.PodContainerProbe{Name: name, ContainerName: "main"}
	p.Probe.TCPSocket = &corev1.TCPSocketAction{Port: port}
	return p
}

func with(p v1alpha1.PodContainerProbe, change func(*v1alpha1.PodContainerProbe)) v1alpha1.PodContainerProbe {
	change(&p)
	return p
}

func TestANodeProbesWhatThePodsAndMarkersThatExistAskFor(t *testing.T) {
	leaving := marker("leaving", 1, exec("p"))
	leaving.DeletionTimestamp = &metav1.Time{}
	elsewhere := marker("elsewhere", 1, exec("p"))
	elsewhere.Spec.Selector.MatchLabels["app"] = "db"
	broken := marker("broken", 1, exec("p"))
	broken.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Like"}}}
	empty := marker("empty", 1, exec("p"))
	empty.Spec.Selector = &metav1.LabelSelector{}
	native := pod("native")
	native.Spec.InitContainers = []corev1.Container{{Name: "once"}, {Name: "proxy", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	for name, tc := range map[string]struct {
		pod     *corev1.Pod
		markers []*v1alpha1.PodProbeMarker
		want    []string
	}{
		"two markers, the older first":              {pod("a"), []*v1alpha1.PodProbeMarker{marker("young", 1, exec("p")), marker("old", 2, exec("p"), exec("q"))}, []string{"old#p", "old#q", "young#p"}},
		"a port by number":                          {pod("a"), []*v1alpha1.PodProbeMarker{marker("m", 1, at("p", intstr.FromInt32(80)))}, []string{"m#p:80"}},
		"a port by name":                            {pod("a"), []*v1alpha1.PodProbeMarker{marker("m", 1, at("p", intstr.FromString("http")))}, []string{"m#p:8080"}},
		"a port that the container does not have":   {pod("a"), []*v1alpha1.PodProbeMarker{marker("m", 1, at("p", intstr.FromString("grpc")), exec("q"))}, []string{"m#q"}},
		"a container that the pod does not have":    {pod("a"), []*v1alpha1.PodProbeMarker{marker("m", 1, with(exec("p"), func(p *v1alpha1.PodContainerProbe) { p.ContainerName = "none" }))}, nil},
		"an init container that runs on":            {native, []*v1alpha1.PodProbeMarker{marker("m", 1, with(exec("p"), func(p *v1alpha1.PodContainerProbe) { p.ContainerName = "proxy" }))}, []string{"m#p"}},
		"an init container that ends":               {native, []*v1alpha1.PodProbeMarker{marker("m", 1, with(exec("p"), func(p *v1alpha1.PodContainerProbe) { p.ContainerName = "once" }))}, nil},
		"a marker that is being deleted":            {pod("a"), []*v1alpha1.PodProbeMarker{leaving}, nil},
		"a marker about other pods":                 {pod("a"), []*v1alpha1.PodProbeMarker{elsewhere}, nil},
		"a selector that cannot be":                 {pod("a"), []*v1alpha1.PodProbeMarker{broken}, nil},
		"a selector of everything":                  {pod("a"), []*v1alpha1.PodProbeMarker{empty}, nil},
		"a marker whose name ends like another one": {pod("a"), []*v1alpha1.PodProbeMarker{marker("gateway", 1, exec("p"))}, []string{"gateway#p"}},
	} {
		t.Run(name, func(t *testing.T) {
			probed, ok := OfPod(tc.pod, Matching(tc.markers, tc.pod))
			var got []string
			for _, p := range probed.Probes {
				text := p.Name
				if p.Probe.TCPSocket != nil {
					text += ":" + p.Probe.TCPSocket.Port.String()
				}
				got = append(got, text)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != (len(tc.want) > 0) {
				t.Errorf("ok %t (-want +got):\n%s", ok, diff)
			}
		})
	}
}

func TestAPodIsProbedWhileItRuns(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"it runs":             {func(*corev1.Pod) {}, true},
		"it is about to":      {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, true},
		"it is not scheduled": {func(p *corev1.Pod) { p.Spec.NodeName = "" }, false},
		"it has no address":   {func(p *corev1.Pod) { p.Status.PodIP = "" }, false},
		"it initializes":      {func(p *corev1.Pod) { p.Status.Conditions[0].Status = corev1.ConditionFalse }, false},
		"it goes":             {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{} }, false},
		"it has failed":       {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false},
		"it is done":          {func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod("a")
			tc.change(p)
			if got := Probed(p); got != tc.want {
				t.Errorf("probed: %t", got)
			}
		})
	}
}

func marking(name string, succeeded, failed map[string]string) v1alpha1.PodContainerProbe {
	p := exec(name)
	if succeeded != nil {
		p.MarkerPolicy = append(p.MarkerPolicy, v1alpha1.ProbeMarkerPolicy{State: v1alpha1.ProbeSucceeded, Labels: succeeded, Annotations: succeeded})
	}
	if failed != nil {
		p.MarkerPolicy = append(p.MarkerPolicy, v1alpha1.ProbeMarkerPolicy{State: v1alpha1.ProbeFailed, Labels: failed, Annotations: failed})
	}
	return p
}

func conditioned(name, condition string) v1alpha1.PodContainerProbe {
	p := exec(name)
	p.PodConditionType = condition
	return p
}

func found(pairs ...string) map[string]v1alpha1.ContainerProbeState {
	out := map[string]v1alpha1.ContainerProbeState{}
	for i := 0; i < len(pairs); i += 2 {
		out[pairs[i]] = v1alpha1.ContainerProbeState{Name: pairs[i], State: v1alpha1.ProbeState(pairs[i+1]), Message: "said"}
	}
	return out
}

// marked carries a patch out, as the API server does.
func marked(t rapid.TB, pod *corev1.Pod, patch []byte) *corev1.Pod {
	t.Helper()
	if patch == nil {
		return pod
	}
	before, err := json.Marshal(pod)
	if err != nil {
		t.Fatal(err)
	}
	after, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Pod{})
	out := &corev1.Pod{}
	if err == nil {
		err = json.Unmarshal(after, out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func statusOf(pod *corev1.Pod, kind string) string {
	for _, c := range pod.Status.Conditions {
		if string(c.Type) == kind {
			return string(c.Status)
		}
	}
	return ""
}

func TestWhatProbesFindIsWrittenOnThePod(t *testing.T) {
	ok, bad := map[string]string{"health": "ok", "serves": "yes"}, map[string]string{"health": "bad"}
	one := func(probes ...v1alpha1.PodContainerProbe) []*v1alpha1.PodProbeMarker {
		return []*v1alpha1.PodProbeMarker{marker("m", 1, probes...)}
	}
	for name, tc := range map[string]struct {
		markers []*v1alpha1.PodProbeMarker
		before  map[string]string
		states  map[string]v1alpha1.ContainerProbeState
		labels  map[string]string
		idle    string
	}{
		"a condition after a success":        {one(conditioned("p", "Idle")), nil, found("m#p", "Succeeded"), nil, "True"},
		"a condition after a failure":        {one(conditioned("p", "Idle")), nil, found("m#p", "Failed"), nil, "False"},
		"a condition while nothing is known": {one(conditioned("p", "Idle")), nil, found("m#p", "Unknown"), nil, "False"},
		"no result":                          {one(conditioned("p", "Idle"), marking("q", ok, bad)), ok, nil, ok, ""},
		"a result of another marker's probe": {one(conditioned("p", "Idle")), nil, found("gm#p", "Succeeded"), nil, ""},
		"labels after a success":             {one(marking("p", ok, bad)), nil, found("m#p", "Succeeded"), ok, ""},
		"labels after a failure":             {one(marking("p", ok, bad)), ok, found("m#p", "Failed"), bad, ""},
		"labels while nothing is known":      {one(marking("p", ok, bad)), ok, found("m#p", "Unknown"), ok, ""},
		"a single policy and a failure":      {one(marking("p", ok, nil)), ok, found("m#p", "Failed"), nil, ""},
		"a single policy and a success":      {one(marking("p", nil, bad)), bad, found("m#p", "Succeeded"), nil, ""},
		"what others wrote stays":            {one(marking("p", ok, nil)), map[string]string{"mine": "x"}, found("m#p", "Failed"), map[string]string{"mine": "x"}, ""},
		"two probes of one label":            {one(marking("p", bad, nil), marking("q", ok, nil)), nil, found("m#p", "Succeeded", "m#q", "Succeeded"), map[string]string{"health": "bad", "serves": "yes"}, ""},
		"two markers of one condition": {[]*v1alpha1.PodProbeMarker{marker("young", 1, conditioned("p", "Idle")), marker("old", 2, conditioned("p", "Idle"))},
			nil, found("young#p", "Succeeded", "old#p", "Failed"), nil, "False"},
		"two markers of one label": {[]*v1alpha1.PodProbeMarker{marker("young", 1, marking("p", ok, bad)), marker("old", 2, marking("p", ok, bad))},
			nil, found("young#p", "Failed", "old#p", "Succeeded"), ok, ""},
		"the label of a marker without a result yet is not a younger one's": {[]*v1alpha1.PodProbeMarker{marker("young", 1, marking("p", ok, bad)), marker("old", 2, marking("p", ok, bad))},
			nil, found("young#p", "Failed"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := pod("a")
			p.Annotations = map[string]string{}
			for key, value := range tc.before {
				p.Labels[key], p.Annotations[key] = value, value
			}
			after := marked(t, p, Mark(p, Matching(tc.markers, p), tc.states, now))
			want := map[string]string{}
			maps.Copy(want, tc.labels)
			if diff := cmp.Diff(want, after.Annotations); diff != "" && len(want)+len(after.Annotations) > 0 {
				t.Errorf("annotations (-want +got):\n%s", diff)
			}
			want["app"] = "web"
			if diff := cmp.Diff(want, after.Labels); diff != "" {
				t.Errorf("labels (-want +got):\n%s", diff)
			}
			if got := statusOf(after, "Idle"); got != tc.idle {
				t.Errorf("condition %q, want %q", got, tc.idle)
			}
			if again := Mark(after, Matching(tc.markers, after), tc.states, now); again != nil {
				t.Errorf("written again: %s", again)
			}
		})
	}
}

func TestTheOrderInWhichMarkersAreSeenChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "c"})
		var markers []*v1alpha1.PodProbeMarker
		states := map[string]v1alpha1.ContainerProbeState{}
		for i := range rapid.IntRange(0, 5).Draw(t, "markers") {
			name := fmt.Sprint("m", i)
			set := rapid.MapOfN(word, word, 0, 2)
			p := marking("p", set.Draw(t, "succeeded"), set.Draw(t, "failed"))
			p.PodConditionType = word.Draw(t, "condition")
			markers = append(markers, marker(name, rapid.IntRange(0, 2).Draw(t, "age"), p))
			states[Name(name, "p")] = v1alpha1.ContainerProbeState{State: rapid.SampledFrom([]v1alpha1.ProbeState{"Succeeded", "Failed", "Unknown"}).Draw(t, "state")}
		}
		p := pod("a")
		patch := Mark(p, Matching(markers, p), states, now)
		other := Mark(p, Matching(rapid.Permutation(markers).Draw(t, "permuted"), p), states, now)
		if diff := cmp.Diff(string(patch), string(other)); diff != "" {
			t.Fatal(diff)
		}
		after := marked(t, p, patch)
		if again := Mark(after, Matching(markers, after), states, now); again != nil {
			t.Fatalf("written again: %s", again)
		}
	})
}

func TestAVirtualKubeletIsAskedByAnnotationsAndAnswersByConditions(t *testing.T) {
	markers := []*v1alpha1.PodProbeMarker{
		marker("m", 2, conditioned("p", "Idle"), marking("q", map[string]string{"a": "b"}, nil)),
		marker("other", 1, with(conditioned("p", "Busy"), func(p *v1alpha1.PodContainerProbe) { p.ContainerName = "none" })),
	}
	p := pod("a")
	Annotate(p, markers)
	if got, want := p.Annotations["kruise.io/podprobe"], `[{"name":"p","containerName":"main","probe":{"exec":{"command":["true"]}},"podConditionType":"Idle","podProbeMarkerName":"m"}]`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := p.Annotations["kruise.io/podprobemarker-list"]; got != "m" {
		t.Errorf("markers %q", got)
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: "Idle", Status: corev1.ConditionTrue}, corev1.PodCondition{Type: "Busy", Status: corev1.ConditionUnknown})
	if diff := cmp.Diff(map[string]v1alpha1.ContainerProbeState{"m#p": {Name: "m#p", State: "Succeeded"}}, Reported(p, markers)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	none := pod("b")
	Annotate(none, nil)
	if len(none.Annotations) > 0 {
		t.Errorf("annotated without a marker: %v", none.Annotations)
	}
}
