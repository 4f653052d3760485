package podset_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func TestOnlyPodsThatGoForTheirUpdateAreSaidToBeRecreated(t *testing.T) {
	const to, policy = "demo-v2", v1beta1.RecreatePodUpdatePolicyType
	planner := map[string]interface {
		Plan(now time.Time, pods []replica.Replica) podset.Plan
	}{
		"nodes": &podset.PerNode{
			Nodes: nodesOf("a b c d e:unfit"), Rolling: rolling{MaxUnavailable: 5}, Burst: 5, UpdateRevision: to, Policy: policy,
		},
		"pool": &podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 3}, UpdateRevision: to, Policy: policy},
		"sequence": &podset.Sequence{
			Rules: podset.Rules{MaxUnavailable: 3, UpdateRevision: to, Policy: policy}, Ordinals: []int{0, 1, 2},
		},
	}
	for name, test := range map[string]struct {
		planner string
		pods    []string
		want    map[string]bool
	}{
		"on nodes": {
			"nodes", []string{"a v1", "b v2 doomed", "c v1 doomed", "d v2 ended", "e v1"},
			map[string]bool{"a": true, "b": false, "c": false, "d": false, "e": false},
		},
		"in a pool":                                {"pool", []string{"0 v1", "1 v2", "2 v1"}, map[string]bool{"0": true, "2": true}},
		"in a pool, where a pod is asked to go":    {"pool", []string{"0 v1", "1 v2", "2 v2 doomed"}, map[string]bool{"2": false}},
		"in a pool with a pod too many":            {"pool", []string{"0 v2", "1 v2", "2 v2", "3 v2"}, map[string]bool{"0": false}},
		"by ordinal":                               {"sequence", []string{"0 v1", "1 v2", "2 v1"}, map[string]bool{"0": true, "2": true}},
		"by ordinal, where a pod is asked to go":   {"sequence", []string{"0 v1", "1 v2", "2 v2 doomed"}, map[string]bool{"2": false}},
		"by ordinal, where a pod ended":            {"sequence", []string{"0 v1", "1 v2", "2 v1 ended"}, map[string]bool{"2": false}},
		"nobody, where hooks are to be waited for": {"pool", []string{"0 v1 held", "1 v2", "2 v2"}, map[string]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			var pods []replica.Replica
			for _, words := range test.pods {
				r := podOf(words)
				r.Node, r.Slot = r.Name, r.Name
				pods = append(pods, r)
			}
			got := map[string]bool{}
			for _, s := range planner[test.planner].Plan(noon(), pods).Steps {
				if s.Do == podset.Delete {
					got[s.Pod.Name] = s.Recreates
				} else if s.Recreates {
					t.Errorf("%s %+v is none that recreates", s.Do, s.Pod)
				}
			}
			if !maps.Equal(got, test.want) {
				t.Errorf("deleted %v, recreated or not: %v, want %v", slices.Sorted(maps.Keys(got)), got, test.want)
			}
		})
	}
}
