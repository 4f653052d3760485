package podset_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

// BenchmarkPlan measures one decision over pools of several sizes at different moments of their lives.
func BenchmarkPlan(b *testing.B) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, moment := range map[string]func(*podset.Pool, []replica.Replica) []replica.Replica{
		"at rest": func(p *podset.Pool, pods []replica.Replica) []replica.Replica {
			p.UpdateRevision = p.CurrentRevision
			return pods
		},
		"creating all":     func(_ *podset.Pool, _ []replica.Replica) []replica.Replica { return nil },
		"updating a fifth": func(_ *podset.Pool, pods []replica.Replica) []replica.Replica { return pods },
		"updating all": func(p *podset.Pool, pods []replica.Replica) []replica.Replica {
			p.MaxUnavailable = p.Replicas
			return pods
		},
		"scaling in a half": func(p *podset.Pool, pods []replica.Replica) []replica.Replica { p.Replicas /= 2; return pods },
		"settling all": func(p *podset.Pool, pods []replica.Replica) []replica.Replica {
			p.UpdateRevision = p.CurrentRevision
			for i := range pods {
				pods[i].State, pods[i].Available, pods[i].Ready = lifecycle.PreparingNormal, false, false
			}
			return pods
		},
		"budget spent": func(p *podset.Pool, pods []replica.Replica) []replica.Replica {
			for i := range p.MaxUnavailable {
				pods[i].Revision, pods[i].State = p.UpdateRevision, lifecycle.Updating
				pods[i].Stage, pods[i].Available, pods[i].Ready = inplace.Running, false, false
			}
			return pods
		},
	} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				slots := make([]string, n)
				pool := &podset.Pool{
					Replicas: n, Rolling: budget.Rolling{MaxUnavailable: n / 5}, Policy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
					CurrentRevision: "benchmark-7c9f8d6b5", UpdateRevision: "benchmark-5d4c7b8f9",
					Change:     func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} },
					FreshSlots: func(n int, _ string) []string { return slots[:n] },
				}
				pods := moment(pool, manyPods(n, now))
				b.ReportAllocs()
				for b.Loop() {
					pool.Plan(now, pods)
				}
			})
		}
	}
}

// BenchmarkSequence measures one decision over sequences of several sizes at different moments of their lives.
func BenchmarkSequence(b *testing.B) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, moment := range map[string]func(*podset.Sequence, []replica.Replica) []replica.Replica{
		"at rest": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.UpdateRevision = s.CurrentRevision
			return pods
		},
		"creating all": func(_ *podset.Sequence, _ []replica.Replica) []replica.Replica { return nil },
		"creating in order": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.Ordered = true
			return pods[:len(pods)-1]
		},
		"updating a fifth": func(_ *podset.Sequence, pods []replica.Replica) []replica.Replica { return pods },
		"updating all": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.MaxUnavailable = len(pods)
			return pods
		},
		"updating by priority": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.Unordered = true
			return pods
		},
		"growing claims": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.UpdateRevision = s.CurrentRevision
			s.Claims = func(int) storage.State { return storage.State{Stage: storage.Small} }
			return pods
		},
		"scaling in a half": func(s *podset.Sequence, pods []replica.Replica) []replica.Replica {
			s.Ordinals = s.Ordinals[:len(pods)/2]
			return pods
		},
	} {
		for _, n := range []int{1_000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				sequence := &podset.Sequence{
					Ordinals: upTo(n), Rules: podset.Rules{
						MaxUnavailable: n / 5, Policy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
						CurrentRevision: "benchmark-7c9f8d6b5", UpdateRevision: "benchmark-5d4c7b8f9",
						Change: func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} },
					},
				}
				pods := manyPods(n, now)
				for i := range pods { // in no order, as a cache lists them
					ordinal := i * 7 % n
					pods[i].Slot = strconv.Itoa(ordinal)
					pods[i].Name = "benchmark-" + pods[i].Slot
				}
				pods = moment(sequence, pods)
				b.ReportAllocs()
				for b.Loop() {
					sequence.Plan(now, pods)
				}
			})
		}
	}
}

// manyPods are pods at work, listed in no order, as a cache lists them.
func manyPods(n int, now time.Time) []replica.Replica {
	random := rand.New(rand.NewPCG(1, 2))
	pods := make([]replica.Replica, n)
	for i := range pods {
		ready := now.Add(-time.Duration(random.IntN(10_000)) * time.Second)
		pods[i] = replica.Replica{
			Name: fmt.Sprintf("benchmark-%05x", random.IntN(1<<20)), Node: fmt.Sprintf("node-%d", random.IntN(n/30+1)),
			Revision: "benchmark-7c9f8d6b5", State: lifecycle.Normal, Phase: replica.Running,
			Created: ready.Add(-time.Minute), ReadySince: ready, AvailableAt: ready,
			Holds:     lifecycle.Holds{UpdateComplete: true, NormalComplete: true},
			Scheduled: true, Ready: true, Available: true,
		}
	}
	return pods
}
