package podwebhook

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// ready is a condition of pods that there are.
var ready = condition("is-ready", `has(oldObject.status.conditions) && oldObject.status.conditions.exists(c, c.type == "Ready" && c.status == "True")`)

// remembers is a condition that some demands of an operation have and others have not.
var remembers = slices.Concat(ready, condition("remembers", `has(oldObject.metadata.annotations) && "related" in oldObject.metadata.annotations`))

func sts(name string) *Owner {
	return &Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: name}
}

// kinds are what objects of a kind ask for, by the number of the object, with a pod of it, and pods that are of none: those
// that differ from it in a value, and those that nothing may ever drag in.
var kinds = map[string]struct {
	demands func(i int) []Demand
	of      func(i int) request
	// near is not of an object, but has the namespace, the label or the owner of one. Far has a namespace that no object has,
	// or no such label.
	near, far []request
}{
	"deletions of what budgets select, each in its namespace": {
		demands: func(i int) []Demand {
			ns := fmt.Sprint("team-", i)
			return []Demand{
				{Operation: Delete, Policy: fail, Namespace: ns, Pods: app(fmt.Sprint("web-", i)), Conditions: ready},
				{Operation: Delete, Policy: fail, Namespace: ns, Conditions: remembers},
			}
		},
		of: func(i int) request {
			return request{operation: Delete, namespace: fmt.Sprint("team-", i), labels: map[string]string{"app": fmt.Sprint("web-", i)}}
		},
		near: []request{{operation: Delete, namespace: "team-1", labels: map[string]string{"app": "web-2"}}},
		far:  []request{{operation: Delete, namespace: "other", labels: map[string]string{"app": "web-2"}}, {operation: Delete, namespace: "team-1"}},
	},
	"deletions of what budgets name, each in its namespace": {
		demands: func(i int) []Demand {
			ns := fmt.Sprint("team-", i)
			return []Demand{
				{Operation: Delete, Policy: fail, Namespace: ns, Owner: sts(fmt.Sprint("web-", i)), Conditions: ready},
				{Operation: Delete, Policy: fail, Namespace: ns, Conditions: remembers},
			}
		},
		of: func(i int) request {
			return request{operation: Delete, namespace: fmt.Sprint("team-", i), owner: fmt.Sprint("web-", i)}
		},
		near: []request{{operation: Delete, namespace: "team-1", owner: "web-2"}},
		far:  []request{{operation: Delete, namespace: "other", owner: "web-2"}, {operation: Delete, namespace: "team-1"}},
	},
	"deletions of what budgets name, in a few namespaces": {
		demands: func(i int) []Demand {
			return []Demand{{Operation: Delete, Policy: fail, Namespace: fmt.Sprint("team-", i%5), Owner: sts(fmt.Sprint("web-", i)), Conditions: ready}}
		},
		of: func(i int) request {
			return request{operation: Delete, namespace: fmt.Sprint("team-", i%5), owner: fmt.Sprint("web-", i)}
		},
		near: []request{{operation: Delete, namespace: "team-1", owner: "web-2"}},
		far:  []request{{operation: Delete, namespace: "other", owner: "web-2"}, {operation: Delete, namespace: "team-1"}},
	},
	"evictions, each in its namespace": {
		demands: func(i int) []Demand {
			return []Demand{{Operation: Evict, Policy: fail, Namespace: fmt.Sprint("team-", i)}}
		},
		of:  func(i int) request { return request{operation: Evict, namespace: fmt.Sprint("team-", i)} },
		far: []request{{operation: Evict, namespace: "other"}},
	},
	"new pods, of whatever creates them": {
		demands: func(i int) []Demand {
			out := []Demand{{Operation: Create, Policy: fail, Namespace: fmt.Sprint("team-", i), Pods: app("web")}}
			switch i {
			case 0:
				out[0] = Demand{Operation: Create, Policy: fail, Conditions: condition("orders", `has(object.metadata.labels) && "order" in object.metadata.labels`)}
			case 1:
				out[0].Pods = having("canary", metav1.LabelSelectorOpNotIn, "true")
			default:
				out = append(out, Demand{Operation: Create, Policy: fail, Namespace: out[0].Namespace, Pods: app("db"), Owner: sts(fmt.Sprint("db-", i))})
			}
			return out
		},
		of: func(i int) request {
			return map[int]request{
				0: {operation: Create, namespace: "other", labels: map[string]string{"order": ""}}, 1: {operation: Create, namespace: "team-1"},
				2: {operation: Create, namespace: "team-2", labels: map[string]string{"app": "db"}, owner: "db-2"},
			}[i%3]
		},
		near: []request{{operation: Create, namespace: "team-2", labels: map[string]string{"app": "db"}, owner: "db-3"}},
		far:  []request{{operation: Create, namespace: "other", labels: map[string]string{"app": "web"}}, {operation: Create, namespace: "team-2"}},
	},
	"new pods with labels, anywhere": {
		demands: func(i int) []Demand {
			return []Demand{{Operation: Create, Policy: fail, Pods: app(fmt.Sprint("web-", i))}}
		},
		of: func(i int) request {
			return request{operation: Create, namespace: "other", labels: map[string]string{"app": fmt.Sprint("web-", i)}}
		},
		near: []request{{operation: Create, namespace: "other", labels: map[string]string{"app": "web"}}},
		far:  []request{{operation: Create, namespace: "other"}},
	},
	"new pods with labels, in selected namespaces": {
		demands: func(i int) []Demand {
			return []Demand{{Operation: Create, Policy: fail, NamespaceSelector: having("team", metav1.LabelSelectorOpIn, fmt.Sprint("t", i)), Pods: app("web")}}
		},
		of: func(i int) request {
			return request{operation: Create, namespace: "x", nsLabels: map[string]string{"team": fmt.Sprint("t", i)}, labels: map[string]string{"app": "web"}}
		},
		near: []request{{operation: Create, namespace: "x", nsLabels: map[string]string{"team": "other"}, labels: map[string]string{"app": "web"}}},
		far: []request{
			{operation: Create, namespace: "x", labels: map[string]string{"app": "web"}},
			{operation: Create, namespace: "x", nsLabels: map[string]string{"team": "t1"}, labels: map[string]string{"app": "db"}},
		},
	},
}

// However many objects there are, what they are about is asked about, and pods that are not ready never are where that matters.
// Hundreds of objects are told exactly. Thousands still drag in no namespace that has none of them, and no pod without their
// label or owner.
func TestManyObjectsOfOneKindAreToldExactlyAndThousandsByWhatTheyHaveInCommon(t *testing.T) {
	for name, kind := range kinds {
		for _, n := range []int{17, 33, 250, 2000} {
			t.Run(fmt.Sprint(n, " ", name), func(t *testing.T) {
				var demands []Demand
				for i := range n {
					demands = append(demands, kind.demands(i)...)
				}
				webhooks, j := For(demands, reserved), judgeOf(t)
				for _, i := range []int{0, 1, 2, n / 2, n - 1} {
					r := kind.of(i)
					if len(callers(j, webhooks, r)) != 1 {
						t.Errorf("%v are asked about %+v", callers(j, webhooks, r), r)
					}
					if r.idle = true; r.operation == Delete && callers(j, webhooks, r) != nil {
						t.Errorf("a pod that is not ready is asked about: %+v", r)
					}
				}
				unwanted := kind.far
				if n <= 250 {
					unwanted = append(slices.Clone(unwanted), kind.near...)
				}
				for _, r := range unwanted {
					if got := callers(j, webhooks, r); got != nil {
						t.Errorf("%v are asked about %+v", got, r)
					}
				}
				checkBounds(t, webhooks)
			})
		}
	}
}

// Ten thousand of them must not make the configuration too big, nor lose a condition.
func TestTenThousandObjectsAreNarrowedAsFarAsTheBoundsAllow(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			var demands []Demand
			for i := range 10_000 {
				demands = append(demands, kind.demands(i)...)
			}
			webhooks, j := For(demands, reserved), judgeOf(t)
			for _, i := range []int{0, 1, 2, 9_999} {
				r := kind.of(i)
				if len(callers(j, webhooks, r)) != 1 {
					t.Errorf("%v are asked about %+v", callers(j, webhooks, r), r)
				}
				if r.idle = true; r.operation == Delete && callers(j, webhooks, r) != nil {
					t.Errorf("a pod that is not ready is asked about: %+v", r)
				}
			}
			checkBounds(t, webhooks)
		})
	}
}

func checkBounds(t *testing.T, webhooks []Webhook) {
	t.Helper()
	text, err := json.Marshal(webhooks)
	if err != nil || len(text) > 256<<10 || longest(webhooks) > mostBytes {
		t.Errorf("%d bytes, an expression of %d, %v", len(text), longest(webhooks), err)
	}
}

// Ten thousand objects of other sorts: what they have in common is all that can be told.
func TestTenThousandObjectsThatHaveLittleInCommon(t *testing.T) {
	many := func(demand func(i int) Demand) []Demand {
		var out []Demand
		for i := range 10_000 {
			d := demand(i)
			d.Operation, d.Policy = Create, fail
			out = append(out, d)
		}
		return out
	}
	for name, tc := range map[string]struct {
		demands []Demand
		// meant is asked about, missed is not.
		meant, missed request
	}{
		"other labels, in a few namespaces": {
			many(func(i int) Demand {
				return Demand{Namespace: fmt.Sprint("n", i%100), Pods: having(fmt.Sprint("key", i), metav1.LabelSelectorOpExists)}
			}),
			request{operation: Create, namespace: "n7", labels: map[string]string{"key7": ""}},
			request{operation: Create, namespace: "x", labels: map[string]string{"key7": ""}},
		},
		"other labels, anywhere": {
			many(func(i int) Demand {
				return Demand{Pods: having(fmt.Sprint("key", i%1000), metav1.LabelSelectorOpExists)}
			}),
			request{operation: Create, namespace: "x", labels: map[string]string{"key7": ""}},
			request{operation: Create, namespace: "x", labels: map[string]string{"key": ""}},
		},
		"one that excludes pods, among values in namespaces": {
			many(func(i int) Demand {
				if i == 0 {
					return Demand{Namespace: "n0", Pods: having("canary", metav1.LabelSelectorOpNotIn, "true")}
				}
				return Demand{Namespace: fmt.Sprint("n", i), Pods: app(fmt.Sprint("web-", i))}
			}),
			request{operation: Create, namespace: "n0"}, request{operation: Create, namespace: "n1"},
		},
		"other labels, each with a condition": {
			many(func(i int) Demand {
				d := Demand{Pods: having(fmt.Sprint("key", i), metav1.LabelSelectorOpExists), Conditions: condition("orders", `has(object.metadata.labels) && "order" in object.metadata.labels`)}
				if i%2 > 0 {
					d.Conditions = condition("probes", `has(object.metadata.labels) && "probe" in object.metadata.labels`)
				}
				return d
			}),
			request{operation: Create, namespace: "x", labels: map[string]string{"key8": "", "order": ""}},
			request{operation: Create, namespace: "x", labels: map[string]string{"key8": ""}},
		},
		"namespaces that can be named, with values that then cannot": {
			many(func(i int) Demand {
				if i == 0 {
					return Demand{Pods: app("anywhere")}
				}
				return Demand{Namespace: fmt.Sprintf("namespace-%06d", i%3000), Pods: app(fmt.Sprint("web-", i%1000))}
			}),
			request{operation: Create, namespace: "namespace-000007", labels: map[string]string{"app": "web-7"}},
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "web-7"}},
		},
		"two labels, one of which all share": {
			many(func(i int) Demand {
				return Demand{Pods: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("web-", i), "part-of": "shop"}}}
			}),
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "web-1", "part-of": "shop"}},
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "web-1", "part-of": "bank"}},
		},
		"selectors of namespaces by other labels": {
			many(func(i int) Demand {
				return Demand{NamespaceSelector: having(fmt.Sprint("key", i), metav1.LabelSelectorOpExists), Pods: app("a")}
			}),
			request{operation: Create, namespace: "x", nsLabels: map[string]string{"key1": ""}, labels: map[string]string{"app": "a"}},
			request{operation: Create, namespace: "x", labels: map[string]string{"app": "b"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			webhooks, j := For(tc.demands, reserved), judgeOf(t)
			if callers(j, webhooks, tc.meant) == nil {
				t.Errorf("nobody is asked about %+v", tc.meant)
			}
			if got := callers(j, webhooks, tc.missed); got != nil {
				t.Errorf("%v are asked about %+v", got, tc.missed)
			}
			checkBounds(t, webhooks)
		})
	}
}

// What a pod costs the API server that nothing is asked about must not grow with the objects.
func BenchmarkAPodThatNothingIsAskedAbout(b *testing.B) {
	for name, kind := range kinds {
		for _, n := range []int{1, 250, 2000} {
			b.Run(fmt.Sprint(name, "/", n), func(b *testing.B) {
				var demands []Demand
				for i := range n {
					demands = append(demands, kind.demands(i)...)
				}
				webhooks, j := For(demands, reserved), judgeOf(b)
				r := kind.far[0]
				vars := r.variables(j)
				judge := func() {
					for i := range webhooks {
						for _, c := range webhooks[i].MatchConditions {
							evaluate(j, c.Expression, vars)
						}
					}
				}
				judge() // compiles
				for b.Loop() {
					judge()
				}
			})
		}
	}
}

// BenchmarkCompiling is what a change of the webhooks costs the API server, twice: when it is stored, and when it is read.
func BenchmarkCompiling(b *testing.B) {
	for _, n := range []int{1, 250, 2000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var demands []Demand
			for i := range n {
				demands = append(demands, kinds["deletions of what budgets select, each in its namespace"].demands(i)...)
			}
			webhooks := For(demands, reserved)
			for b.Loop() {
				for i := range webhooks {
					for _, c := range webhooks[i].MatchConditions {
						if _, err := compile(c.Expression); err != nil {
							b.Fatal(err)
						}
					}
				}
			}
		})
	}
}
