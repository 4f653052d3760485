package order

import (
	"cmp"
	"math"
	"slices"

	"kruise.io/kruise/plan/replica"
)

// Spread says over what pods are to be spread. The zero Spread is over nodes.
type Spread struct {
	// Keys are the labels of nodes whose values are the domains. None: each node is a domain.
	Keys []string
	// Domain tells a node's value of a key; empty where it has none. A pod there counts for nothing.
	Domain func(node, key string) string
}

// Surplus picks up to n of the pods, the first to go first. It picks one after the other, each as if those before it were
// gone already, so that those who stay are spread however many go at once. Of the pods that are left it takes those that
// are worth the least, as LeastLoss has it up to the deletion cost; of these, one whose domains have the most of all pods
// that are left; and of several such, the one with the least loss.
//
// A key with more domains weighs more, by ln(n+2), as the scheduler weighs topology spread constraints. quota tells where
// it is counted how many pods like one may go; each pod that is picked is taken off it.
func (s Spread) Surplus(n int, pods []*replica.Replica, quota func(*replica.Replica) *int) []*replica.Replica {
	worth := []By{Unscheduled, LowPhase, Unavailable, NotReady, LowDeletionCost}
	dimensions := s.dimensions(pods)
	picked := make([]*replica.Replica, 0, max(min(n, len(pods)), 0))
	for left := Sorted(pods, LeastLoss()...); len(left) > 0 && len(picked) < n; {
		alike := 1
		for alike < len(left) && !slices.ContainsFunc(worth, func(rank By) bool { return rank(left[alike]) != rank(left[0]) }) {
			alike++
		}
		m := match{dimensions: dimensions, pods: left[:alike], quota: quota}
		picked = append(picked, m.play(n-len(picked))...)
		left = left[alike:]
	}
	return picked
}

// dimension is one key with the domains of the nodes.
type dimension struct {
	of     map[string]int // the domain of each node; 0 for none
	crowds []int64        // how many pods are in each domain
	weight int64          // of one pod
}

// dimensions counts the pods in each domain of each key. Keys with few domains come first: they are the wide ones.
func (s Spread) dimensions(pods []*replica.Replica) []dimension {
	if len(s.Keys) == 0 {
		s = Spread{Keys: []string{""}, Domain: func(node, _ string) string { return node }}
	}
	onNode := map[string]int64{}
	for _, r := range pods {
		if r.Scheduled {
			onNode[r.Node]++
		}
	}
	var all []dimension
	for _, key := range s.Keys {
		d := dimension{of: make(map[string]int, len(onNode)), crowds: []int64{0}}
		numbers := map[string]int{}
		for node, n := range onNode {
			domain := s.Domain(node, key)
			if domain == "" {
				continue
			}
			if numbers[domain] == 0 {
				numbers[domain] = len(d.crowds)
				d.crowds = append(d.crowds, 0)
			}
			d.of[node] = numbers[domain]
			d.crowds[numbers[domain]] += n
		}
		d.weight = int64(math.Round(1e6 * math.Log(float64(len(numbers)+2))))
		all = append(all, d)
	}
	slices.SortStableFunc(all, func(a, b dimension) int { return cmp.Compare(len(a.crowds), len(b.crowds)) })
	return all
}

// match is the contest of pods that are worth the same: the one in the largest crowd wins and goes, and its crowd is
// smaller then.
type match struct {
	dimensions []dimension
	pods       []*replica.Replica // those with the least loss first
	quota      func(*replica.Replica) *int

	teams []*team
	runs  []map[int][]run // of each dimension, where the teams of a domain stand
}

// team is the pods on one node that are of one quota. All of them are in the same crowds, so that only the first plays.
type team struct {
	quota   *int
	domains []int // of each dimension
	pods    []int // of match.pods
}

// run is teams that stand side by side.
type run struct{ begin, end int }

// play picks up to n pods.
func (m *match) play(n int) (picked []*replica.Replica) {
	if quota, one := m.oneQuota(); one && len(m.dimensions) == 1 {
		picked = m.level(min(n, *quota))
		*quota -= len(picked)
		return picked
	}
	m.lineUp()
	scores := make([]int64, len(m.teams))
	for i, t := range m.teams {
		for j, d := range m.dimensions {
			scores[i] += d.weight * d.crowds[t.domains[j]]
		}
	}
	tree := newTournament(scores, func(a, b int) bool { return m.teams[a].pods[0] < m.teams[b].pods[0] })
	for len(picked) < n {
		winner, inPlay := tree.winner()
		if !inPlay {
			break
		}
		t := m.teams[winner]
		if *t.quota <= 0 {
			tree.remove(winner)
			continue
		}
		picked = append(picked, m.pods[t.pods[0]])
		*t.quota--
		for j, domain := range t.domains {
			if domain == 0 {
				continue
			}
			m.dimensions[j].crowds[domain]--
			for _, side := range m.runs[j][domain] {
				tree.lower(side, m.dimensions[j].weight)
			}
		}
		if len(t.pods) == 1 {
			tree.remove(winner)
			continue
		}
		t.pods = t.pods[1:]
		tree.replay(winner)
	}
	return picked
}

// oneQuota is the quota that all pods have, if they do.
func (m *match) oneQuota() (quota *int, one bool) {
	for _, r := range m.pods {
		switch of := m.quota(r); {
		case quota == nil:
			quota = of
		case quota != of:
			return nil, false
		}
	}
	return quota, quota != nil
}

// level picks up to n pods of one quota where there is one dimension. It does without a contest: what counts is at which height a
// pod stands in its domain, the one with the least loss on top, since it goes when all domains are that high.
func (m *match) level(n int) []*replica.Replica {
	d := m.dimensions[0]
	of, heights := make([]int, len(m.pods)), make([]int, len(m.pods))
	left := slices.Clone(d.crowds)
	byHeight := make([]int, slices.Max(left)+2) // how many pods stand at a height or above it
	for i, r := range m.pods {
		if r.Scheduled {
			of[i] = d.of[r.Node]
		}
		if of[i] != 0 {
			heights[i] = int(left[of[i]])
			left[of[i]]--
		}
		byHeight[heights[i]]++
	}
	for h := len(byHeight) - 2; h >= 0; h-- {
		byHeight[h] += byHeight[h+1]
	}
	picked := make([]*replica.Replica, max(min(n, len(m.pods)), 0))
	for i, r := range m.pods {
		place := &byHeight[heights[i]+1] // those who stand higher go before it, and so do those beside it with less loss
		if *place < len(picked) {
			picked[*place] = r
			if of[i] != 0 {
				d.crowds[of[i]]--
			}
		}
		*place++
	}
	return picked
}

// lineUp puts the pods into teams, and teams with the same domains side by side.
func (m *match) lineUp() {
	type post struct {
		node  string
		quota *int
	}
	teams := map[post]*team{}
	for i, r := range m.pods {
		at := post{quota: m.quota(r)}
		if r.Scheduled {
			at.node = r.Node
		}
		if teams[at] == nil {
			t := &team{quota: at.quota, domains: make([]int, len(m.dimensions))}
			for j, d := range m.dimensions {
				t.domains[j] = d.of[at.node]
			}
			teams[at] = t
			m.teams = append(m.teams, t)
		}
		teams[at].pods = append(teams[at].pods, i)
	}
	slices.SortFunc(m.teams, func(a, b *team) int {
		return cmp.Or(slices.Compare(a.domains, b.domains), cmp.Compare(a.pods[0], b.pods[0]))
	})
	for j := range m.dimensions {
		runs := map[int][]run{}
		for i, t := range m.teams {
			domain := t.domains[j]
			if last := len(runs[domain]) - 1; last >= 0 && runs[domain][last].end == i {
				runs[domain][last].end++
			} else {
				runs[domain] = append(runs[domain], run{i, i + 1})
			}
		}
		m.runs = append(m.runs, runs)
	}
}
