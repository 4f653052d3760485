package order_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

func pod(name string, labels ...string) *replica.Replica {
	r := &replica.Replica{Name: name, Labels: map[string]string{}}
	for _, l := range labels {
		key, value, _ := strings.Cut(l, "=")
		r.Labels[key] = value
	}
	return r
}

func namesOf(pods []*replica.Replica) string {
	var names []string
	for _, r := range pods {
		names = append(names, r.Name)
	}
	return strings.Join(names, " ")
}

func weight(w int32, label string) v1beta1.UpdatePriorityWeightTerm {
	key, value, _ := strings.Cut(label, "=")
	return v1beta1.UpdatePriorityWeightTerm{Weight: w, MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{key: value}}}
}

func TestPriorityPutsPodsInTheOrderAskedFor(t *testing.T) {
	for name, test := range map[string]struct {
		strategy *v1beta1.UpdatePriorityStrategy
		pods     []*replica.Replica
		want     string
	}{
		"the larger sum of weights goes first": {
			strategy: &v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{weight(20, "tier=canary"), weight(30, "zone=a")}},
			pods:     []*replica.Replica{pod("none"), pod("canary", "tier=canary"), pod("both", "tier=canary", "zone=a"), pod("zone", "zone=a")},
			want:     "both zone canary none",
		},
		"the larger trailing integer goes first, and pods without the key before all": {
			strategy: &v1beta1.UpdatePriorityStrategy{OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: "pool"}}},
			pods:     []*replica.Replica{pod("two", "pool=p-2"), pod("ten", "pool=p-10"), pod("word", "pool=none"), pod("without")},
			want:     "without ten two word",
		},
		"an earlier key goes before a later one": {
			strategy: &v1beta1.UpdatePriorityStrategy{OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: "a"}, {OrderedKey: "b"}}},
			pods:     []*replica.Replica{pod("later", "b=9"), pod("earlier", "a=1")},
			want:     "earlier later",
		},
	} {
		t.Run(name, func(t *testing.T) {
			by, err := order.ByPriority(test.strategy)
			if err != nil {
				t.Fatal(err)
			}
			if got := namesOf(order.Sorted(test.pods, by...)); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

func TestAStrategyThatAsksForNothingHasNoOrder(t *testing.T) {
	for _, s := range []*v1beta1.UpdatePriorityStrategy{nil, {}} {
		if by, err := order.ByPriority(s); len(by) > 0 || err != nil {
			t.Errorf("got an order for %v, error %v", s, err)
		}
	}
}

func TestASelectorThatCannotBeReadIsNamed(t *testing.T) {
	bad := v1beta1.UpdatePriorityWeightTerm{MatchSelector: metav1.LabelSelector{
		MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Sometimes"}},
	}}
	_, err := order.ByPriority(&v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{weight(1, "a=b"), bad}})
	if err == nil || !strings.Contains(err.Error(), "weightPriority[1].matchSelector") {
		t.Errorf("the error does not name the term: %v", err)
	}
}

func TestScatteredPodsStandEvenlyApartAndTheLastStaysLast(t *testing.T) {
	pods := []*replica.Replica{
		pod("m1", "app=x"), pod("m2", "app=x"), pod("m3", "app=x"),
		pod("a"), pod("b"), pod("c"), pod("d"), pod("e"), pod("f"),
	}
	got := namesOf(order.Scattered(pods, []v1beta1.UpdateScatterTerm{{Key: "app", Value: "x"}}))
	if want := "a b m1 c d m2 e f m3"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestScatteringLosesNoPodAndKeepsTheOthersInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		kinds := rapid.SliceOfN(rapid.IntRange(0, 2), 0, 30).Draw(t, "kinds")
		var pods []*replica.Replica
		for i, kind := range kinds {
			pods = append(pods, pod(string(rune('A'+i)), "kind="+string(rune('0'+kind))))
		}
		got := order.Scattered(pods, []v1beta1.UpdateScatterTerm{{Key: "kind", Value: "1"}})
		if len(got) != len(pods) {
			t.Fatalf("%d pods came out of %d", len(got), len(pods))
		}
		for _, kind := range []string{"0", "1", "2"} {
			if a, b := namesOf(only(pods, kind)), namesOf(only(got, kind)); a != b {
				t.Fatalf("pods of kind %s were %s and are %s", kind, a, b)
			}
		}
	})
}

func only(pods []*replica.Replica, kind string) []*replica.Replica {
	var out []*replica.Replica
	for _, r := range pods {
		if r.Labels["kind"] == kind {
			out = append(out, r)
		}
	}
	return out
}
