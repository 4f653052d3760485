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
	const worth = 5 // of the ranks: up to the deletion cost
	left, columns := ranked(pods, LeastLoss())
	f := s.field(pods, quota)
	picked := make([]*replica.Replica, 0, max(min(n, len(pods)), 0))
	for len(left) > 0 && len(picked) < n {
		alike := 1
		for alike < len(left) && !slices.ContainsFunc(columns[:worth], func(column []int64) bool {
			return len(column) > 0 && column[left[alike].pod] != column[left[0].pod]
		}) {
			alike++
		}
		m := match{field: f, players: left[:alike]}
		picked = append(picked, m.play(n-len(picked))...)
		left = left[alike:]
	}
	return picked
}

// field is what decides between pods. It is found out for all of them in the order in which they are listed, which is the one
// in which they lie in memory: in any other, 100,000 pods take several times as long to look at.
type field struct {
	pods       []*replica.Replica
	quotas     []*int  // of each pod
	nodes      []int32 // the number of each pod's node; 0 for none
	dimensions []dimension
}

// dimension is one key with the domains of the pods.
type dimension struct {
	of     []int32 // the domain of each pod; 0 for none
	crowds []int64 // how many pods are in each domain
	weight int64   // of one pod
}

// field looks at the pods. Keys with few domains come first: they are the wide ones.
func (s Spread) field(pods []*replica.Replica, quota func(*replica.Replica) *int) *field {
	if len(s.Keys) == 0 {
		s = Spread{Keys: []string{""}, Domain: func(node, _ string) string { return node }}
	}
	f := &field{pods: pods, quotas: make([]*int, len(pods)), nodes: make([]int32, len(pods))}
	nodes, numbers := []string{""}, map[string]int32{}
	for i, r := range pods {
		f.quotas[i] = quota(r)
		if !r.Scheduled {
			continue
		}
		number, known := numbers[r.Node]
		if !known {
			number = int32(len(nodes))
			nodes, numbers[r.Node] = append(nodes, r.Node), number
		}
		f.nodes[i] = number
	}
	for _, key := range s.Keys {
		domains, ofNode := map[string]int32{"": 0}, make([]int32, len(nodes))
		for number, node := range nodes[1:] {
			domain := s.Domain(node, key)
			if _, known := domains[domain]; !known {
				domains[domain] = int32(len(domains))
			}
			ofNode[number+1] = domains[domain]
		}
		d := dimension{of: make([]int32, len(pods)), crowds: make([]int64, len(domains))}
		for i := range pods {
			d.of[i] = ofNode[f.nodes[i]]
			d.crowds[d.of[i]]++
		}
		d.crowds[0] = 0
		// One of domains is none, so that the ln(n+2) of a key with n domains is one of len+1.
		d.weight = int64(math.Round(1e6 * math.Log(float64(len(domains)+1))))
		f.dimensions = append(f.dimensions, d)
	}
	slices.SortStableFunc(f.dimensions, func(a, b dimension) int { return cmp.Compare(len(a.crowds), len(b.crowds)) })
	return f
}

// match is the contest of pods that are worth the same: the one in the largest crowd wins and goes, and its crowd is
// smaller then.
type match struct {
	*field
	players []key // those with the least loss first

	teams []*team
	runs  []map[int32][]run // of each dimension, where the teams of a domain stand
}

// team is the pods on one node that are of one quota. All of them are in the same crowds, so that only the first plays.
type team struct {
	quota   *int
	domains []int32 // of each dimension
	players []int   // of match.players
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
	tree := newTournament(scores, func(a, b int) bool { return m.teams[a].players[0] < m.teams[b].players[0] })
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
		picked = append(picked, m.pods[m.players[t.players[0]].pod])
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
		if len(t.players) == 1 {
			tree.remove(winner)
			continue
		}
		t.players = t.players[1:]
		tree.replay(winner)
	}
	return picked
}

// oneQuota is the quota that all players have, if they do.
func (m *match) oneQuota() (quota *int, one bool) {
	quota = m.quotas[m.players[0].pod]
	return quota, !slices.ContainsFunc(m.players, func(k key) bool { return m.quotas[k.pod] != quota })
}

// level picks up to n players of one quota where there is one dimension. It does without a contest: what counts is at which height a
// pod stands in its domain, the one with the least loss on top, since it goes when all domains are that high.
func (m *match) level(n int) []*replica.Replica {
	d := m.dimensions[0]
	heights := make([]int32, len(m.players))
	left := slices.Clone(d.crowds)
	byHeight := make([]int, slices.Max(left)+2) // how many pods stand at a height or above it
	for i, k := range m.players {
		if domain := d.of[k.pod]; domain != 0 {
			heights[i] = int32(left[domain])
			left[domain]--
		}
		byHeight[heights[i]]++
	}
	for h := len(byHeight) - 2; h >= 0; h-- {
		byHeight[h] += byHeight[h+1]
	}
	picked := make([]*replica.Replica, max(min(n, len(m.players)), 0))
	for i, k := range m.players {
		place := &byHeight[heights[i]+1] // those who stand higher go before it, and so do those beside it with less loss
		if *place < len(picked) {
			picked[*place] = m.pods[k.pod]
			if domain := d.of[k.pod]; domain != 0 {
				d.crowds[domain]--
			}
		}
		*place++
	}
	return picked
}

// lineUp puts the players into teams, and teams with the same domains side by side.
func (m *match) lineUp() {
	type post struct {
		node  int32
		quota *int
	}
	teams := map[post]*team{}
	for i, k := range m.players {
		at := post{node: m.nodes[k.pod], quota: m.quotas[k.pod]}
		if teams[at] == nil {
			t := &team{quota: at.quota, domains: make([]int32, len(m.dimensions))}
			for j, d := range m.dimensions {
				t.domains[j] = d.of[k.pod]
			}
			teams[at] = t
			m.teams = append(m.teams, t)
		}
		teams[at].players = append(teams[at].players, i)
	}
	slices.SortFunc(m.teams, func(a, b *team) int {
		return cmp.Or(slices.Compare(a.domains, b.domains), cmp.Compare(a.players[0], b.players[0]))
	})
	for j := range m.dimensions {
		runs := map[int32][]run{}
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
