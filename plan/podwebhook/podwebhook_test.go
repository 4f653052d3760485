package podwebhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"
)

const (
	fail   = admissionregistrationv1.Fail
	ignore = admissionregistrationv1.Ignore
)

var reserved = []string{"kube-system", "kube-public", "kruise-system"}

func app(values ...string) *metav1.LabelSelector {
	if len(values) == 1 {
		return &metav1.LabelSelector{MatchLabels: map[string]string{"app": values[0]}}
	}
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: metav1.LabelSelectorOpIn, Values: values}}}
}

func having(key string, operator metav1.LabelSelectorOperator, values ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: key, Operator: operator, Values: values}}}
}

// request is a request about a pod.
type request struct {
	operation  Operation
	namespace  string
	nsLabels   map[string]string
	labels     map[string]string
	mirror     bool
	terminates bool
}

// called says whether the API server would call a webhook, as its documentation tells.
func called(t rapid.TB, w Webhook, r request) bool {
	t.Helper()
	if w.Operation != r.operation {
		return false
	}
	ns := labels.Set{corev1.LabelMetadataName: r.namespace}
	maps.Copy(ns, r.nsLabels)
	podLabels := labels.Set(r.labels)
	if r.operation == Evict {
		podLabels = nil
	}
	if !matches(t, w.NamespaceSelector, ns) || w.ObjectSelector != nil && !matches(t, w.ObjectSelector, podLabels) {
		return false
	}
	return slices.IndexFunc(w.MatchConditions, func(c admissionregistrationv1.MatchCondition) bool { return !holds(t, c.Expression, r) }) < 0
}

func matches(t rapid.TB, s *metav1.LabelSelector, set labels.Set) bool {
	t.Helper()
	selector, err := metav1.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	return selector.Matches(set)
}

// holds evaluates an expression for a request.
func holds(t rapid.TB, expression string, r request) bool {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: r.labels}}
	if r.mirror {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	if r.terminates {
		pod.DeletionTimestamp = &metav1.Time{}
	}
	vars := map[string]any{"object": nil, "oldObject": nil, "request": map[string]any{"namespace": r.namespace}}
	for _, name := range map[Operation][]string{Create: {"object"}, Update: {"object", "oldObject"}, Delete: {"oldObject"}, Evict: {"object"}}[r.operation] {
		vars[name] = asMap(t, pod)
		if r.operation == Evict {
			vars[name] = asMap(t, &corev1.Pod{})
		}
	}
	return evaluate(t, expression, vars)
}

func asMap(t rapid.TB, pod *corev1.Pod) map[string]any {
	t.Helper()
	text, err := json.Marshal(pod)
	out := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if meta, ok := out["metadata"].(map[string]any); ok && pod.DeletionTimestamp != nil {
		meta["deletionTimestamp"] = "2026-01-01T00:00:00Z" // the zero time is shown as null
	}
	return out
}

func anyCalled(t rapid.TB, webhooks []Webhook, r request) bool {
	t.Helper()
	return slices.ContainsFunc(webhooks, func(w Webhook) bool { return called(t, w, r) })
}

func TestWhereNobodyAsksThereIsNoWebhook(t *testing.T) {
	for name, demands := range map[string][]Demand{
		"no object":                           nil,
		"an object in a reserved namespace":   {{Operation: Create, Policy: fail, Namespace: "kube-system", Pods: app("a")}},
		"a selector that cannot be":           {{Operation: Create, Policy: fail, Pods: having("app", "Like", "a")}},
		"a namespace selector that cannot be": {{Operation: Create, Policy: fail, NamespaceSelector: having("team", metav1.LabelSelectorOpIn)}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := For(demands, reserved); len(got) != 0 {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestOneObjectIsToldInWordsThatEverybodyReads(t *testing.T) {
	got := For([]Demand{{Operation: Create, Policy: fail, Namespace: "shop", Pods: app("a")}}, reserved)
	want := []Webhook{{
		Name: "create-fail-0.mpod.kb.io", Operation: Create, Policy: fail,
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{"shop"}},
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kruise-system", "kube-public", "kube-system"}},
		}},
		ObjectSelector: app("a"),
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "not-a-mirror-of-a-static-pod",
			Expression: `!(has(object.metadata.annotations) && "kubernetes.io/config.mirror" in object.metadata.annotations)`}},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSomeObjectsAreAskedAboutExactly(t *testing.T) {
	team := having("team", metav1.LabelSelectorOpExists)
	demands := []Demand{
		{Operation: Create, Policy: fail, Pods: app("a", "b")},
		{Operation: Create, Policy: fail, Namespace: "shop", Pods: having("canary", metav1.LabelSelectorOpNotIn, "true")},
		{Operation: Create, Policy: fail, NamespaceSelector: team, Pods: having("app", metav1.LabelSelectorOpDoesNotExist)},
		{Operation: Create, Policy: ignore, Namespace: "bank"},
		{Operation: Delete, Policy: fail, Namespace: "shop", Pods: app("c")},
		{Operation: Evict, Policy: fail, Namespace: "shop", Pods: app("c")},
		{Operation: Create, Policy: ignore, Condition: `has(object.metadata.labels) && "ask" in object.metadata.labels`},
	}
	webhooks := For(demands, reserved)
	for name, tc := range map[string]struct {
		request request
		want    []string
	}{
		"a value":                       {request{operation: Create, namespace: "x", labels: map[string]string{"app": "b"}}, []string{"create-fail-0.mpod.kb.io"}},
		"another value":                 {request{operation: Create, namespace: "x", labels: map[string]string{"app": "c"}}, nil},
		"no labels":                     {request{operation: Create, namespace: "x"}, nil},
		"a namespace":                   {request{operation: Create, namespace: "shop"}, []string{"create-fail-0.mpod.kb.io"}},
		"a namespace, but not that pod": {request{operation: Create, namespace: "shop", labels: map[string]string{"canary": "true"}}, nil},
		"a label of the namespace":      {request{operation: Create, namespace: "x", nsLabels: map[string]string{"team": "a"}}, []string{"create-fail-1.mpod.kb.io"}},
		"a reserved namespace":          {request{operation: Create, namespace: "kube-system", labels: map[string]string{"app": "b"}}, nil},
		"a static pod":                  {request{operation: Create, namespace: "x", labels: map[string]string{"app": "b"}, mirror: true}, nil},
		"an object that may be missed":  {request{operation: Create, namespace: "bank"}, []string{"create-ignore-0.mpod.kb.io"}},
		"a condition":                   {request{operation: Create, namespace: "x", labels: map[string]string{"ask": ""}}, []string{"create-ignore-0.mpod.kb.io"}},
		"a deletion":                    {request{operation: Delete, namespace: "shop", labels: map[string]string{"app": "c"}}, []string{"delete-fail-0.vpod.kb.io"}},
		"a deletion of another":         {request{operation: Delete, namespace: "shop", labels: map[string]string{"app": "d"}}, nil},
		"the end of a deletion":         {request{operation: Delete, namespace: "shop", labels: map[string]string{"app": "c"}, terminates: true}, nil},
		"an eviction":                   {request{operation: Evict, namespace: "shop"}, []string{"evict-fail-0.vpodeviction.kb.io"}},
		"an eviction elsewhere":         {request{operation: Evict, namespace: "x"}, nil},
		"an update that nobody asks of": {request{operation: Update, namespace: "shop", labels: map[string]string{"app": "c"}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, w := range webhooks {
				if called(t, w, tc.request) {
					got = append(got, w.Name)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Ten thousand objects must neither make the configuration too big nor drag pods in that none of them speaks of, as far as
// the bounds allow.
func TestTenThousandObjectsAreNarrowedAsFarAsTheBoundsAllow(t *testing.T) {
	many := func(n int, demand func(i int) Demand) []Demand {
		var out []Demand
		for i := range n {
			d := demand(i)
			d.Operation, d.Policy = Create, fail
			out = append(out, d)
		}
		return out
	}
	stranger := request{operation: Create, namespace: "x", labels: map[string]string{"k8s-app": "dns"}}
	for name, tc := range map[string]struct {
		demands []Demand
		// meant is asked about, missed is not.
		meant, missed request
	}{
		"400 values of a label": {
			many(400, func(i int) Demand { return Demand{Pods: app(fmt.Sprint("a", i))} }),
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "a399"}},
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "b"}},
		},
		"10,000 values of a label": {
			many(10000, func(i int) Demand { return Demand{Pods: app(fmt.Sprint("a", i))} }),
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "a9999"}}, stranger,
		},
		"10,000 namespace selectors": {
			many(10000, func(i int) Demand {
				return Demand{NamespaceSelector: having("team", metav1.LabelSelectorOpIn, fmt.Sprint("t", i)), Pods: app("a")}
			}),
			request{operation: Create, namespace: "x", nsLabels: map[string]string{"team": "t1"}, labels: map[string]string{"app": "a"}}, stranger,
		},
		"100 namespaces, each with 100 objects": {
			many(10000, func(i int) Demand {
				return Demand{Namespace: fmt.Sprint("n", i%100), Pods: having(fmt.Sprint("key", i), metav1.LabelSelectorOpExists)}
			}),
			request{operation: Create, namespace: "n7", labels: map[string]string{"key7": ""}}, stranger,
		},
	} {
		t.Run(name, func(t *testing.T) {
			webhooks := For(tc.demands, reserved)
			if !anyCalled(t, webhooks, tc.meant) {
				t.Errorf("nobody is asked about %+v", tc.meant)
			}
			if anyCalled(t, webhooks, tc.missed) {
				t.Errorf("somebody is asked about %+v", tc.missed)
			}
			text, err := json.Marshal(webhooks)
			if err != nil || len(text) > 64<<10 {
				t.Errorf("%d bytes, %v", len(text), err)
			}
		})
	}
}

// The promise that matters: narrowing never takes a request away that an object asks about, and reserved namespaces, static
// pods and what is being deleted are never asked about.
func TestWhatIsAskedIsNeverNarrowedAway(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.SampledFrom([]string{"a", "b", "c", "d"})
		selector := rapid.Custom(func(t *rapid.T) *metav1.LabelSelector {
			s := &metav1.LabelSelector{}
			for range rapid.IntRange(0, 2).Draw(t, "requirements") {
				r := metav1.LabelSelectorRequirement{Key: word.Draw(t, "key"), Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")}
				if strings.HasSuffix(string(r.Operator), "In") {
					r.Values = []string{word.Draw(t, "value")}
				}
				s.MatchExpressions = append(s.MatchExpressions, r)
			}
			if rapid.Bool().Draw(t, "labels") {
				s.MatchLabels = map[string]string{word.Draw(t, "key"): word.Draw(t, "value")}
			}
			return s
		})
		operation := rapid.SampledFrom([]Operation{Create, Update, Delete, Evict})
		demand := rapid.Custom(func(t *rapid.T) Demand {
			d := Demand{Operation: operation.Draw(t, "operation"), Policy: rapid.SampledFrom([]admissionregistrationv1.FailurePolicyType{fail, ignore}).Draw(t, "policy")}
			d.Namespace = rapid.SampledFrom([]string{"", "", "a", "b", "kube-system"}).Draw(t, "namespace")
			d.NamespaceSelector = rapid.OneOf(rapid.Just[*metav1.LabelSelector](nil), selector).Draw(t, "namespaces")
			d.Pods = rapid.OneOf(rapid.Just[*metav1.LabelSelector](nil), selector).Draw(t, "pods")
			if rapid.IntRange(0, 4).Draw(t, "condition") == 0 {
				d.Condition = `request.namespace == "a"`
			}
			return d
		})
		set := rapid.MapOfN(word, word, 0, 3)
		demands := rapid.SliceOfN(demand, 0, rapid.SampledFrom([]int{3, 60}).Draw(t, "most")).Draw(t, "demands")
		webhooks := For(demands, reserved)
		for range 5 {
			r := request{
				operation: operation.Draw(t, "request"), namespace: rapid.SampledFrom([]string{"a", "b", "c", "kube-system"}).Draw(t, "in"),
				nsLabels: set.Draw(t, "namespace labels"), labels: set.Draw(t, "labels"),
				mirror: rapid.IntRange(0, 9).Draw(t, "mirror") == 0, terminates: rapid.IntRange(0, 9).Draw(t, "terminates") == 0,
			}
			got := map[admissionregistrationv1.FailurePolicyType]bool{}
			for _, w := range webhooks {
				got[w.Policy] = got[w.Policy] || called(t, w, r)
			}
			never := slices.Contains(reserved, r.namespace) || r.operation == Create && r.mirror || (r.operation == Update || r.operation == Delete) && r.terminates
			for _, policy := range []admissionregistrationv1.FailurePolicyType{fail, ignore} {
				wanted := slices.ContainsFunc(demands, func(d Demand) bool { return d.Policy == policy && wants(t, d, r) })
				if wanted && !never && !got[policy] || never && got[policy] {
					t.Fatalf("%+v: asked about: %t, wanted: %t, never: %t, by\n%+v\nfor\n%+v", r, got[policy], wanted, never, webhooks, demands)
				}
			}
		}
		if len(webhooks) > 2*4*mostNamespaceSelectors {
			t.Fatalf("%d webhooks", len(webhooks))
		}
		permuted := rapid.Permutation(demands).Draw(t, "permuted")
		if diff := cmp.Diff(webhooks, For(permuted, reserved)); diff != "" {
			t.Fatalf("another order makes other webhooks:\n%s", diff)
		}
	})
}

func wants(t rapid.TB, d Demand, r request) bool {
	t.Helper()
	ns := labels.Set{corev1.LabelMetadataName: r.namespace}
	maps.Copy(ns, r.nsLabels)
	return d.Operation == r.operation && (d.Namespace == "" || d.Namespace == r.namespace) &&
		(d.NamespaceSelector == nil || matches(t, d.NamespaceSelector, ns)) &&
		(d.Pods == nil || d.Operation == Evict || matches(t, d.Pods, r.labels)) &&
		(d.Condition == "" || r.namespace == "a")
}
