package podset_test

import (
	"fmt"
	"testing"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// BenchmarkPlanPerNode measures one decision over clusters of several sizes at different moments of a set's life.
func BenchmarkPlanPerNode(b *testing.B) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, moment := range map[string]func(*podset.PerNode, []replica.Replica) []replica.Replica{
		"at rest": func(p *podset.PerNode, pods []replica.Replica) []replica.Replica {
			p.UpdateRevision = pods[0].Revision
			return pods
		},
		"creating all":     func(*podset.PerNode, []replica.Replica) []replica.Replica { return nil },
		"updating a fifth": func(_ *podset.PerNode, pods []replica.Replica) []replica.Replica { return pods },
		"updating all in place": func(p *podset.PerNode, pods []replica.Replica) []replica.Replica {
			p.Policy, p.MaxUnavailable = v1beta1.InPlaceIfPossiblePodUpdatePolicyType, len(pods)
			return pods
		},
		"surging": func(p *podset.PerNode, pods []replica.Replica) []replica.Replica {
			p.MaxSurge, p.MaxUnavailable = p.MaxUnavailable, 0
			return pods
		},
	} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				set := &podset.PerNode{
					Rolling: budget.Rolling{MaxUnavailable: n / 5}, Burst: n, Policy: v1beta1.RecreatePodUpdatePolicyType, UpdateRevision: "5d4c7b8f9",
					Change: func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} },
				}
				pods := manyPods(n, now)
				for i := range pods {
					name := fmt.Sprintf("node-%06d", i)
					set.Nodes = append(set.Nodes, podset.Node{Name: name, Verdict: placement.Verdict{Runs: true, Keeps: true}})
					pods[i].Node, pods[i].Gated = name, true
				}
				pods = moment(set, pods)
				b.ReportAllocs()
				for b.Loop() {
					set.Plan(now, pods)
				}
			})
		}
	}
}
