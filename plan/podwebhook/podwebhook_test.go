package podwebhook

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
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

func condition(name, expression string) []admissionregistrationv1.MatchCondition {
	return []admissionregistrationv1.MatchCondition{{Name: name, Expression: expression}}
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
		{Operation: Create, Policy: ignore, Conditions: condition("asks", `has(object.metadata.labels) && "ask" in object.metadata.labels`)},
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
			if diff := cmp.Diff(tc.want, callers(judgeOf(t), webhooks, tc.request)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// The promises that matter: narrowing never takes a request away that an object asks about, and never adds one that meets the
// conditions of no object. Reserved namespaces, static pods and what is being deleted are never asked about. With some dozens
// of objects, whatever they are, nothing is asked about that none of them is about.
func TestExactlyWhatIsWantedIsAskedOfDozensOfObjects(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		demands := rapid.SliceOfN(anyDemand(), 0, rapid.SampledFrom([]int{3, 60}).Draw(t, "most")).Draw(t, "demands")
		webhooks, j := For(demands, reserved), judgeOf(t)
		selectors := map[string]bool{}
		for _, d := range demands {
			selectors[metav1.FormatLabelSelector(d.NamespaceSelector)] = true
		}
		for range 5 {
			r := anyRequest().Draw(t, "request")
			got := map[admissionregistrationv1.FailurePolicyType]bool{}
			for i := range webhooks {
				got[webhooks[i].Policy] = got[webhooks[i].Policy] || called(j, &webhooks[i], r)
			}
			never := slices.Contains(reserved, r.namespace) || r.operation == Create && r.mirror || (r.operation == Update || r.operation == Delete) && r.terminates
			for _, policy := range []admissionregistrationv1.FailurePolicyType{fail, ignore} {
				wanted, met := false, false
				for i := range demands {
					if d := &demands[i]; d.Policy == policy && d.Operation == r.operation {
						wanted, met = wanted || wants(j, d, r), met || meets(j, d, r)
					}
				}
				if wanted && !never && !got[policy] || got[policy] && (never || !met || !wanted && len(selectors) <= mostNamespaceSelectors) {
					t.Fatalf("%+v: asked about: %t, wanted: %t, never: %t, conditions met: %t, by\n%+v\nfor\n%+v", r, got[policy], wanted, never, met, webhooks, demands)
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

var word = rapid.SampledFrom([]string{"a", "b", "c", "d"})

func anySelector() *rapid.Generator[*metav1.LabelSelector] {
	return rapid.Custom(func(t *rapid.T) *metav1.LabelSelector {
		s := &metav1.LabelSelector{}
		for range rapid.IntRange(0, 2).Draw(t, "requirements") {
			r := metav1.LabelSelectorRequirement{Key: word.Draw(t, "key"), Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")}
			if strings.HasSuffix(string(r.Operator), "In") {
				r.Values = rapid.SliceOfN(word, 1, 3).Draw(t, "values")
			}
			s.MatchExpressions = append(s.MatchExpressions, r)
		}
		if rapid.Bool().Draw(t, "labels") {
			s.MatchLabels = map[string]string{word.Draw(t, "key"): word.Draw(t, "value")}
		}
		return s
	})
}

var anyOperation = rapid.SampledFrom([]Operation{Create, Update, Delete, Evict})

func anyDemand() *rapid.Generator[Demand] {
	return rapid.Custom(func(t *rapid.T) Demand {
		d := Demand{Operation: anyOperation.Draw(t, "operation"), Policy: rapid.SampledFrom([]admissionregistrationv1.FailurePolicyType{fail, ignore}).Draw(t, "policy")}
		d.Namespace = rapid.SampledFrom([]string{"", "", "a", "b", "kube-system"}).Draw(t, "namespace")
		nothing := rapid.Just[*metav1.LabelSelector](nil)
		d.NamespaceSelector = rapid.OneOf(nothing, nothing, anySelector()).Draw(t, "namespaces")
		d.Pods = rapid.OneOf(nothing, anySelector()).Draw(t, "pods")
		if rapid.Bool().Draw(t, "owned") {
			d.Owner = &Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: word.Draw(t, "owner"), Hash: rapid.SampledFrom([]string{"", "a"}).Draw(t, "hash")}
		}
		if rapid.Bool().Draw(t, "in a") {
			d.Conditions = condition("in-a", `request.namespace == "a"`)
		}
		if d.Operation != Evict && d.Operation != Create && rapid.Bool().Draw(t, "ready") {
			d.Conditions = append(d.Conditions, ready...)
		}
		return d
	})
}

func anyRequest() *rapid.Generator[request] {
	return rapid.Custom(func(t *rapid.T) request {
		set := rapid.MapOfN(word, word, 0, 3)
		return request{
			operation: anyOperation.Draw(t, "operation"), namespace: rapid.SampledFrom([]string{"a", "b", "c", "kube-system"}).Draw(t, "namespace"),
			nsLabels: set.Draw(t, "namespace labels"), labels: set.Draw(t, "labels"),
			owner: rapid.SampledFrom([]string{"", "a", "b", "a-a", "b-c"}).Draw(t, "owner"), idle: rapid.Bool().Draw(t, "idle"),
			mirror: rapid.IntRange(0, 9).Draw(t, "mirror") == 0, terminates: rapid.IntRange(0, 9).Draw(t, "terminates") == 0,
		}
	})
}
