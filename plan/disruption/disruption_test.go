package disruption

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/policy/v1beta1"
)

// at is a time of the tests, in seconds.
func at(seconds int) time.Time { return time.Unix(1_700_000_000+int64(seconds), 0) }

func stamp(seconds int) metav1.Time { return metav1.NewTime(at(seconds)) }

// pod makes a pod that serves since second -100.
func pod(name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, Labels: map[string]string{"app": "web"}, Annotations: map[string]string{}, CreationTimestamp: stamp(-100),
	}}
	p.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: stamp(-100)}}
	for _, c := range change {
		c(p)
	}
	return p
}

func leaving(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: at(0)} }

func notReady(since int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions[0].Status, p.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, stamp(since)
	}
}

func backSince(second int) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = stamp(second) }
}

func createdAt(second int) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.CreationTimestamp = stamp(second) }
}

// budgetOf makes a budget that was counted.
func budgetOf(change ...func(*v1beta1.PodUnavailableBudget)) *v1beta1.PodUnavailableBudget {
	b := &v1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", Generation: 1, Annotations: map[string]string{}}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	b.Spec.MaxUnavailable = new(intstr.FromInt32(1))
	b.Status = v1beta1.PodUnavailableBudgetStatus{ObservedGeneration: 1, UnavailableAllowed: 1, CurrentAvailable: 4, DesiredAvailable: 3, TotalReplicas: 4}
	for _, c := range change {
		c(b)
	}
	return b
}

func spent(b *v1beta1.PodUnavailableBudget) {
	b.Status.UnavailableAllowed, b.Status.CurrentAvailable = 0, 3
}

func permitted(name string, second int) func(*v1beta1.PodUnavailableBudget) {
	return func(b *v1beta1.PodUnavailableBudget) { setRecord(&b.Status.DisruptedPods, name, stamp(second)) }
}

func changing(name string, second int) func(*v1beta1.PodUnavailableBudget) {
	return func(b *v1beta1.PodUnavailableBudget) {
		setRecord(&b.Status.UnavailablePods, name, stamp(second))
	}
}

func TestARequestIsJudged(t *testing.T) {
	type change = func(*v1beta1.PodUnavailableBudget)
	protecting := func(of ...v1beta1.PubOperation) change {
		return func(b *v1beta1.PodUnavailableBudget) { b.Spec.ProtectOperations = of }
	}
	refusal := "pub unavailable allowed is negative: PodUnavailableBudget web lets no more pods become unavailable: 3 of 4 are available, and 3 must be"
	for name, tc := range map[string]struct {
		budget *v1beta1.PodUnavailableBudget
		op     v1beta1.PubOperation
		pod    *corev1.Pod
		apart  bool
		want   Answer
	}{
		"the budget is spent on it":             {budgetOf(), "DELETE", pod("a"), false, Answer{Permitted: true, Recorded: true}},
		"the budget is spent":                   {budgetOf(spent), "EVICT", pod("a"), false, Answer{Why: refusal + "; wait until more than 3 are available"}},
		"a pod that is not ready costs nothing": {budgetOf(spent), "DELETE", pod("a", notReady(0)), false, Answer{Permitted: true}},
		"a pod on its way out costs nothing":    {budgetOf(spent), "DELETE", pod("a", leaving), false, Answer{Permitted: true}},
		"a pod that is marked unavailable":      {budgetOf(spent), "DELETE", pod("a", func(p *corev1.Pod) { p.Labels["unavailable-pod.kruise.io/x"] = "" }), false, Answer{Permitted: true}},
		"kubelet has not seen the spec":         {budgetOf(spent), "DELETE", pod("a", func(p *corev1.Pod) { p.Generation, p.Status.ObservedGeneration = 2, 1 }), false, Answer{Permitted: true}},
		"a pod that is exempt":                  {budgetOf(spent), "DELETE", pod("a", func(p *corev1.Pod) { p.Annotations["pub.kruise.io/no-protect"] = "true" }), false, Answer{Permitted: true}},
		"a pod that says it is not exempt":      {budgetOf(), "DELETE", pod("a", func(p *corev1.Pod) { p.Annotations["pub.kruise.io/no-protect"] = "false" }), false, Answer{Permitted: true, Recorded: true}},
		"a pod that is ignored":                 {budgetOf(spent, func(b *v1beta1.PodUnavailableBudget) { b.Spec.IgnoredPodSelector = b.Spec.Selector }), "DELETE", pod("a"), false, Answer{Permitted: true}},
		"an operation that is not protected":    {budgetOf(spent, protecting("EVICT")), "DELETE", pod("a"), false, Answer{Permitted: true}},
		"as the annotation says": {budgetOf(spent, func(b *v1beta1.PodUnavailableBudget) {
			b.Annotations[v1beta1.PubProtectOperationsKey] = "EVICT, UPDATE,"
		}), "DELETE", pod("a"), false, Answer{Permitted: true}},
		"a resize, where updates are protected":         {budgetOf(), "RESIZE", pod("a"), false, Answer{Permitted: true, Recorded: true}},
		"a resize, told apart":                          {budgetOf(spent), "RESIZE", pod("a"), true, Answer{Permitted: true}},
		"a resize, told apart and protected":            {budgetOf(protecting("RESIZE")), "RESIZE", pod("a"), true, Answer{Permitted: true, Recorded: true}},
		"nothing must stay":                             {budgetOf(spent, func(b *v1beta1.PodUnavailableBudget) { b.Status.DesiredAvailable = 0 }), "DELETE", pod("a"), false, Answer{Permitted: true}},
		"the pods of a new budget are not counted yet":  {budgetOf(func(b *v1beta1.PodUnavailableBudget) { b.Generation = 2 }), "DELETE", pod("a"), false, Answer{Why: "PodUnavailableBudget web is new or was changed, and its pods are not counted yet: wait a moment"}},
		"permitted a moment ago":                        {budgetOf(spent, permitted("a", -9)), "EVICT", pod("a"), false, Answer{Permitted: true}},
		"permitted a while ago":                         {budgetOf(spent, permitted("a", -10)), "EVICT", pod("a"), false, Answer{Permitted: true, Recorded: true}},
		"permitted to change, and to be deleted":        {budgetOf(spent, changing("a", -1)), "DELETE", pod("a"), false, Answer{Permitted: true, Recorded: true}},
		"permitted to be deleted, and to change":        {budgetOf(spent, permitted("a", -1)), "UPDATE", pod("a"), false, Answer{Permitted: true}},
		"permitted to change, and to change":            {budgetOf(spent, changing("a", -1)), "UPDATE", pod("a"), false, Answer{Permitted: true, Recorded: true}},
		"another pod of the name was permitted to go":   {budgetOf(spent, permitted("a", -9)), "DELETE", pod("a", createdAt(-5)), false, Answer{Why: refusal + "; permitted to go: a; wait until more than 3 are available"}},
		"the refusal names who was permitted to change": {budgetOf(spent, changing("b", -1), changing("c", 0), changing("d", 0), changing("e", 0)), "UPDATE", pod("a"), false, Answer{Why: refusal + "; permitted to change: b, c, d and 1 more; wait until more than 3 are available"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := *tc.budget.Status.DeepCopy()
			request := Request{Operation: tc.op, Pod: tc.pod, ResizesApart: tc.apart}
			if Permits(tc.budget, request, at(0)) != tc.want.Permitted || !cmp.Equal(before, tc.budget.Status) {
				t.Errorf("without asking, it is permitted: %t; the status is %+v", !tc.want.Permitted, tc.budget.Status)
			}
			got := Ask(tc.budget, request, at(0))
			if brief := got.Brief; (brief == "") != got.Permitted || !strings.Contains(got.Why, brief) {
				t.Errorf("in brief: %q", brief)
			}
			if got.Brief = ""; got != tc.want {
				t.Errorf("got  %+v\nwant %+v", got, tc.want)
			}
			if changed := !cmp.Equal(before, tc.budget.Status); changed != got.Recorded {
				t.Errorf("the status changed: %t, the answer says %t", changed, got.Recorded)
			}
		})
	}
}

func TestWhoAsksFromAbroadIsToldTheNamespaceOfTheBudget(t *testing.T) {
	got := Ask(budgetOf(spent), Request{Operation: "UPDATE", Pod: pod("a"), Abroad: true}, at(0))
	if want := "PodUnavailableBudget shop/web lets no more pods become unavailable"; got.Brief != want || !strings.Contains(got.Why, want) {
		t.Errorf("%+v", got)
	}
}

func TestPastTwoThousandPermissionsNoOtherIsNoted(t *testing.T) {
	b := budgetOf(func(b *v1beta1.PodUnavailableBudget) { b.Status.UnavailableAllowed = 3000 })
	for i := range 2000 {
		setRecord(&b.Status.DisruptedPods, fmt.Sprint("x-", i), stamp(0))
	}
	if got := Ask(b, Request{Operation: "DELETE", Pod: pod("a")}, at(0)); !got.Permitted || !got.Recorded {
		t.Errorf("beside 2000: %+v", got)
	}
	if got := Ask(b, Request{Operation: "DELETE", Pod: pod("b")}, at(0)); got.Permitted || !strings.Contains(got.Why, "more than 2000 were permitted") {
		t.Errorf("beside 2001: %+v", got)
	}
}

func TestPodsAreCounted(t *testing.T) {
	percent := func(field string, value intstr.IntOrString) func(*v1beta1.PodUnavailableBudget) {
		return func(b *v1beta1.PodUnavailableBudget) {
			b.Spec.MaxUnavailable = nil
			if field == "min" {
				b.Spec.MinAvailable = &value
			} else {
				b.Spec.MaxUnavailable = &value
			}
		}
	}
	four := []*corev1.Pod{pod("a"), pod("b"), pod("c"), pod("d")}
	noProtect := func(p *corev1.Pod) { p.Annotations["pub.kruise.io/no-protect"] = "true" }
	for name, tc := range map[string]struct {
		budget *v1beta1.PodUnavailableBudget
		pods   []*corev1.Pod
		// total, available, desired, allowed
		want [4]int32
	}{
		"one may go":                        {budgetOf(), four, [4]int32{4, 4, 3, 1}},
		"one is away":                       {budgetOf(), append([]*corev1.Pod{pod("a", notReady(0))}, four[1:]...), [4]int32{4, 3, 3, 0}},
		"more than may go are away":         {budgetOf(), four[:1], [4]int32{4, 1, 3, 0}},
		"a percentage rounds up":            {budgetOf(percent("max", intstr.FromString("30%"))), four, [4]int32{4, 4, 2, 2}},
		"minAvailable":                      {budgetOf(percent("min", intstr.FromInt32(1))), four, [4]int32{4, 4, 1, 3}},
		"minAvailable in percent rounds up": {budgetOf(percent("min", intstr.FromString("51%"))), four, [4]int32{4, 4, 3, 1}},
		"more must stay than there are":     {budgetOf(percent("min", intstr.FromInt32(9))), four, [4]int32{4, 4, 9, 0}},
		"all may go":                        {budgetOf(percent("max", intstr.FromString("100%"))), four, [4]int32{4, 4, 0, 4}},
		"there should be none":              {budgetOf(percent("min", intstr.FromInt32(2)), func(b *v1beta1.PodUnavailableBudget) { b.Labels = map[string]string{"workloads": "none"} }), four, [4]int32{0, 4, 0, 4}},
		"the workload is on its way out": {budgetOf(func(b *v1beta1.PodUnavailableBudget) {
			b.Labels, b.Spec.ProtectTotalReplicas = map[string]string{"workloads": "ended"}, new(int32(9))
		}), four, [4]int32{0, 4, 0, 4}},
		"the total of the field": {budgetOf(func(b *v1beta1.PodUnavailableBudget) { b.Spec.ProtectTotalReplicas = new(int32(2)) }), four, [4]int32{2, 4, 1, 3}},
		"the total of the annotation": {budgetOf(func(b *v1beta1.PodUnavailableBudget) {
			b.Annotations[v1beta1.PubProtectTotalReplicasKey] = "3"
		}), four, [4]int32{3, 4, 2, 2}},
		"an annotation that says nothing": {budgetOf(func(b *v1beta1.PodUnavailableBudget) {
			b.Annotations[v1beta1.PubProtectTotalReplicasKey] = "many"
		}), four, [4]int32{4, 4, 3, 1}},
		"a pod that is exempt counts for nothing": {budgetOf(), append([]*corev1.Pod{pod("a", noProtect)}, four[1:]...), [4]int32{3, 3, 2, 1}},
		"one was permitted to go":                 {budgetOf(permitted("a", -3)), four, [4]int32{4, 3, 3, 0}},
		"one was permitted to change":             {budgetOf(changing("a", -3)), four, [4]int32{4, 3, 3, 0}},
		"pods on their way out":                   {budgetOf(), append([]*corev1.Pod{pod("e", leaving)}, four...), [4]int32{4, 4, 3, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			f := Facts{Now: at(0), Pods: tc.pods, Workloads: 4, Ended: tc.budget.Labels["workloads"] == "ended"}
			if tc.budget.Labels["workloads"] == "none" {
				f.Workloads = 0
			}
			got, err := Count(tc.budget, f)
			if err != nil {
				t.Fatal(err)
			}
			s := got.Status
			if is := [4]int32{s.TotalReplicas, s.CurrentAvailable, s.DesiredAvailable, s.UnavailableAllowed}; is != tc.want {
				t.Errorf("total, available, desired, allowed: got %v, want %v", is, tc.want)
			}
		})
	}
}

func TestARecordIsKeptUntilItsPodIsSeenToGoOrItExpires(t *testing.T) {
	for name, tc := range map[string]struct {
		record func(*v1beta1.PodUnavailableBudget)
		pod    *corev1.Pod // as the cache shows it; nil: not at all
		away   bool        // as the API server says
		kept   bool
		wake   int
		stayed bool
	}{
		"the deletion is to come":                       {permitted("a", -19), pod("a"), false, true, 1, false},
		"the pod is on its way out":                     {permitted("a", -1), pod("a", leaving), false, false, 0, false},
		"another pod has its name":                      {permitted("a", -5), pod("a", createdAt(-4)), false, false, 0, false},
		"a pod of the same second may be the one":       {permitted("a", -5), pod("a", createdAt(-5)), false, true, 15, false},
		"the deletion did not come":                     {permitted("a", -20), pod("a"), false, false, 0, true},
		"it came, and the cache does not show it":       {permitted("a", -20), pod("a"), true, true, 1, false},
		"a hook holds it out of service":                {permitted("a", -20), pod("a", notReady(-18)), true, false, 0, false},
		"a hook has held it out of service":             {permitted("a", -19), pod("a", notReady(-18)), true, true, 1, false},
		"the cache may not show the pod yet":            {permitted("a", -4), nil, false, true, 1, false},
		"the pod is gone":                               {permitted("a", -5), nil, false, false, 0, false},
		"the change is to come":                         {changing("a", -9), pod("a"), false, true, 1, false},
		"the change has come":                           {changing("a", -9), pod("a", notReady(-9)), false, false, 0, false},
		"the change has come and gone":                  {changing("a", -9), pod("a", backSince(-8)), false, false, 0, false},
		"it may have come back before the change":       {changing("a", -9), pod("a", backSince(-9)), false, true, 1, false},
		"it is not known which change made it so":       {changing("a", -9), pod("a", notReady(-10)), false, true, 1, false},
		"the change did not come":                       {changing("a", -10), pod("a"), false, false, 0, false},
		"a pod that is to change is on its way out":     {changing("a", -1), pod("a", leaving), false, false, 0, false},
		"the change came, and the cache does not show":  {changing("a", -10), pod("a"), true, true, 1, false},
		"a pod that is to change and is gone by itself": {changing("a", -5), nil, false, false, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := Facts{Now: at(0), Workloads: 4}
			if tc.pod != nil {
				f.Pods = []*corev1.Pod{tc.pod}
			}
			if tc.away {
				f.Away = map[string]bool{"a": true}
			}
			got, err := Count(budgetOf(tc.record), f)
			if err != nil {
				t.Fatal(err)
			}
			if kept := got.recorded("a"); kept != tc.kept {
				t.Errorf("the record is kept: %t", kept)
			}
			var wake time.Time
			if tc.wake > 0 {
				wake = at(tc.wake)
			}
			if !got.Wake.Equal(wake) {
				t.Errorf("woken at %v, want %v", got.Wake, wake)
			}
			if stayed := len(got.Stayed) == 1; stayed != tc.stayed {
				t.Errorf("stayed: %v", got.Stayed)
			}
		})
	}
}

func TestWhileNobodyKnowsHowManyPodsThereShouldBeNoneMayGo(t *testing.T) {
	b := budgetOf(permitted("a", 0))
	b.Generation, b.Status.DesiredAvailable = 2, 0
	if b.Status = Uncounted(b); Ask(b, Request{Operation: "DELETE", Pod: pod("b")}, at(0)).Permitted || len(b.Status.DisruptedPods) != 1 {
		t.Errorf("%+v", b.Status)
	}
}

func TestAChangeOfAPodIsClassed(t *testing.T) {
	cpu := func(value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(value)}
		}
	}
	native := func(value, image string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			c := corev1.Container{Name: "proxy", Image: image, RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(value)}
			p.Spec.InitContainers = []corev1.Container{c}
		}
	}
	restarting := func(p *corev1.Pod) {
		p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	}
	static := func(p *corev1.Pod) { p.Annotations["kubernetes.io/config.source"] = "file" }
	for name, tc := range map[string]struct {
		before, after []func(*corev1.Pod)
		want          v1beta1.PubOperation
	}{
		"a label": {nil, []func(*corev1.Pod){func(p *corev1.Pod) { p.Labels["x"] = "y" }}, ""},
		"a label that marks it as unavailable": {nil, []func(*corev1.Pod){func(p *corev1.Pod) {
			p.Labels["unavailable-pod.kruise.io/x"] = "y"
		}}, "UPDATE"},
		"an image":                              {nil, []func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.Containers[0].Image = "demo:2" }}, "UPDATE"},
		"cpu":                                   {[]func(*corev1.Pod){cpu("1")}, []func(*corev1.Pod){cpu("2")}, "RESIZE"},
		"cpu, with a restart":                   {[]func(*corev1.Pod){cpu("1"), restarting}, []func(*corev1.Pod){cpu("2"), restarting}, "UPDATE"},
		"cpu of a native sidecar":               {[]func(*corev1.Pod){native("1", "proxy:1")}, []func(*corev1.Pod){native("2", "proxy:1")}, "RESIZE"},
		"cpu and the image of a native sidecar": {[]func(*corev1.Pod){native("1", "proxy:1")}, []func(*corev1.Pod){native("2", "proxy:2")}, "UPDATE"},
		"cpu, to another class":                 {nil, []func(*corev1.Pod){cpu("2")}, "UPDATE"},
		"cpu of a static pod":                   {[]func(*corev1.Pod){cpu("1"), static}, []func(*corev1.Pod){cpu("2"), static}, "UPDATE"},
		"cpu and an image":                      {[]func(*corev1.Pod){cpu("1")}, []func(*corev1.Pod){cpu("2"), func(p *corev1.Pod) { p.Spec.Containers[0].Image = "demo:2" }}, "UPDATE"},
		"the same cpu in other words":           {[]func(*corev1.Pod){cpu("1")}, []func(*corev1.Pod){cpu("1000m")}, ""},
		"nothing but who may tolerate":          {nil, []func(*corev1.Pod){func(p *corev1.Pod) { p.Spec.Tolerations = []corev1.Toleration{{Key: "x"}} }}, "UPDATE"},
		"a mark that was there all time":        {[]func(*corev1.Pod){func(p *corev1.Pod) { p.Labels["unavailable-pod.kruise.io/x"] = "" }}, []func(*corev1.Pod){func(p *corev1.Pod) { p.Labels["unavailable-pod.kruise.io/y"] = "" }}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := Change(pod("a", tc.before...), pod("a", tc.after...))
			if got != tc.want || ok != (tc.want != "") {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestAPodFindsItsBudget(t *testing.T) {
	ownedBy := func(version, kind, name string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.OwnerReferences = []metav1.OwnerReference{{APIVersion: version, Kind: kind, Name: name, Controller: new(true)}}
		}
	}
	hash := func(p *corev1.Pod) { p.Labels["pod-template-hash"] = "abc" }
	named := func(name string, change func(*v1beta1.PodUnavailableBudget)) *v1beta1.PodUnavailableBudget {
		return budgetOf(func(b *v1beta1.PodUnavailableBudget) { b.Name = name }, change)
	}
	target := func(version, kind, name string) func(*v1beta1.PodUnavailableBudget) {
		return func(b *v1beta1.PodUnavailableBudget) {
			b.Spec.Selector, b.Spec.TargetReference = nil, &v1beta1.TargetReference{APIVersion: version, Kind: kind, Name: name}
		}
	}
	selecting := func(key string, values ...string) func(*v1beta1.PodUnavailableBudget) {
		return func(b *v1beta1.PodUnavailableBudget) {
			b.Spec.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: metav1.LabelSelectorOpIn, Values: values}}}
		}
	}
	budgets := []*v1beta1.PodUnavailableBudget{
		named("young", func(b *v1beta1.PodUnavailableBudget) { b.CreationTimestamp = stamp(5) }),
		named("labels", selecting("app", "web", "api")),
		named("clones", target("apps.kruise.io/v1alpha1", "CloneSet", "c")),
		named("native", target("apps/v1", "Deployment", "d")),
		named("leaving", func(b *v1beta1.PodUnavailableBudget) { b.DeletionTimestamp = &metav1.Time{Time: at(0)} }),
	}
	bare := func(p *corev1.Pod) { p.Labels = map[string]string{} }
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"the oldest that selects it":       {pod("a"), "labels"},
		"the one that it remembers":        {pod("a", func(p *corev1.Pod) { p.Annotations["kruise.io/related-pub"] = "young" }), "young"},
		"the one it remembers is gone":     {pod("a", func(p *corev1.Pod) { p.Annotations["pub.kruise.io/related-pub"] = "old" }), "labels"},
		"the one it remembers is going":    {pod("a", func(p *corev1.Pod) { p.Annotations["pub.kruise.io/related-pub"] = "leaving" }), "labels"},
		"by its controller, any version":   {pod("a", bare, ownedBy("apps.kruise.io/v1beta1", "CloneSet", "c")), "clones"},
		"by the Deployment of its owner":   {pod("a", bare, hash, ownedBy("apps/v1", "ReplicaSet", "d-abc")), "native"},
		"a ReplicaSet of another":          {pod("a", bare, hash, ownedBy("apps/v1", "ReplicaSet", "d-xyz")), ""},
		"another group of the same kind":   {pod("a", bare, ownedBy("example.org/v1", "CloneSet", "c")), ""},
		"of another namespace":             {pod("a", func(p *corev1.Pod) { p.Namespace = "bank" }), ""},
		"nobody selects a pod without any": {pod("a", bare), ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := ""
			if b := Of(tc.pod, budgets); b != nil {
				got = b.Name
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestBudgetsForTheSamePodsAreFound(t *testing.T) {
	selector := func(text string) func(*v1beta1.PodUnavailableBudget) {
		return func(b *v1beta1.PodUnavailableBudget) {
			s, err := metav1.ParseToLabelSelector(text)
			if err != nil {
				t.Fatal(err)
			}
			b.Spec.Selector = s
		}
	}
	target := func(version, name string) func(*v1beta1.PodUnavailableBudget) {
		return func(b *v1beta1.PodUnavailableBudget) {
			b.Spec.Selector, b.Spec.TargetReference = nil, &v1beta1.TargetReference{APIVersion: version, Kind: "CloneSet", Name: name}
		}
	}
	for name, tc := range map[string]struct {
		a, b func(*v1beta1.PodUnavailableBudget)
		want bool
	}{
		"the same label":                   {selector("app=web"), selector("app=web,tier=x"), true},
		"another value":                    {selector("app=web"), selector("app=api"), false},
		"no label together":                {selector("app=web"), selector("tier=x"), false},
		"values together":                  {selector("app in (a,b)"), selector("app in (b,c)"), true},
		"no values together":               {selector("app in (a,b)"), selector("app in (c)"), false},
		"all values taken out":             {selector("app in (a,b)"), selector("app notin (a,b)"), false},
		"some values taken out":            {selector("app in (a,b)"), selector("app notin (a)"), true},
		"with and without":                 {selector("app"), selector("!app"), false},
		"a value, and without":             {selector("app=a"), selector("!app"), false},
		"both without":                     {selector("!app"), selector("!app"), true},
		"one key together, another apart":  {selector("app=a,tier=x"), selector("app=a,tier=y"), false},
		"the same target in another words": {target("apps.kruise.io/v1alpha1", "c"), target("apps.kruise.io/v1beta1", "c"), true},
		"another target":                   {target("apps.kruise.io/v1beta1", "c"), target("apps.kruise.io/v1beta1", "d"), false},
		"a target and a selector":          {target("apps.kruise.io/v1beta1", "c"), selector("app=a"), false},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := budgetOf(tc.a), budgetOf(tc.b)
			for _, got := range []string{Conflict(a, b), Conflict(b, a)} {
				if (got != "") != tc.want {
					t.Errorf("got %q", got)
				}
			}
		})
	}
}
