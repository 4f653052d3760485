package order

import "math"

// tournament finds the player with the highest score, while scores of players side by side are lowered together. Each
// change costs the logarithm of the number of players.
//
// It is a binary tree with the players as its leaves. What lowers all players under an inner node is kept at that node alone.
type tournament struct {
	size    int // of the row of leaves, a power of two
	best    []int64
	lowered []int64
	winners []int
	before  func(a, b int) bool
}

// out is the score of who does not play any more. No score of a player is near it.
const out = math.MinInt64 / 2

// newTournament begins with the score of each player. Of players with the same score the one before the other wins.
func newTournament(scores []int64, before func(a, b int) bool) *tournament {
	t := &tournament{size: 1, before: before}
	for t.size < len(scores) {
		t.size *= 2
	}
	t.best, t.lowered, t.winners = make([]int64, 2*t.size), make([]int64, t.size), make([]int, 2*t.size)
	for i := range t.size {
		t.best[t.size+i], t.winners[t.size+i] = out, i
		if i < len(scores) {
			t.best[t.size+i] = scores[i]
		}
	}
	for node := t.size - 1; node > 0; node-- {
		t.decide(node)
	}
	return t
}

// winner is the player with the highest score; false when nobody plays any more.
func (t *tournament) winner() (int, bool) { return t.winners[1], t.best[1] > out/2 }

// remove takes a player out.
func (t *tournament) remove(player int) {
	t.best[t.size+player] = out
	t.replay(player)
}

// lower lowers the scores of players that stand side by side.
func (t *tournament) lower(players run, by int64) {
	for begin, end := players.begin+t.size, players.end+t.size; begin < end; begin, end = begin/2, end/2 {
		if begin%2 == 1 {
			t.shift(begin, by)
			begin++
		}
		if end%2 == 1 {
			end--
			t.shift(end, by)
		}
	}
	t.replay(players.begin)
	t.replay(players.end - 1)
}

func (t *tournament) shift(node int, by int64) {
	t.best[node] -= by
	if node < t.size {
		t.lowered[node] += by
	}
}

// replay decides again every game on the way of a player.
func (t *tournament) replay(player int) {
	for node := (t.size + player) / 2; node > 0; node /= 2 {
		t.decide(node)
	}
}

// decide decides the game at an inner node.
func (t *tournament) decide(node int) {
	left, right := 2*node, 2*node+1
	won := left
	if t.best[right] > t.best[left] || t.best[right] == t.best[left] && t.best[right] > out/2 && t.before(t.winners[right], t.winners[left]) {
		won = right
	}
	t.best[node], t.winners[node] = t.best[won]-t.lowered[node], t.winners[won]
}
