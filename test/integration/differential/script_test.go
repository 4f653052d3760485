package differential

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
)

// spec is what both workloads are told.
type spec struct {
	replicas                 int32
	maxUnavailable, maxSurge intstr.IntOrString
	paused                   bool
	minReady, history        int32
	deadline                 *int32
	look
	// before is the look that the pods were to have before the latest change of it.
	before look
}

// look is what the template says of the pods.
type look struct{ image, env, track, note string }

// wear changes the look.
func (s *spec) wear(change func(*look)) {
	old := s.look
	if change(&s.look); s.look != old {
		s.before = old
	}
}

// edit is a change of the spec or of the world, after which everybody gets some turns.
type edit struct {
	words string
	// change changes the spec. Nil: nothing is changed.
	change func(*spec)
	// deletes is the place of the pod that is deleted, among those of each workload; none for 0.
	deletes int
	turns   int
}

// script is the spec to begin with, and the edits.
type script struct {
	spec
	edits []edit
}

// brokenImage cannot be pulled.
const brokenImage = "broken:1"

// String tells the script in words.
func (s script) String() string {
	deadline := "none"
	if s.deadline != nil {
		deadline = fmt.Sprintf("%d seconds", *s.deadline)
	}
	lines := []string{fmt.Sprintf("begin with %d replicas, maxUnavailable %s, maxSurge %s, minReadySeconds %d, a deadline of %s, a history of %d",
		s.replicas, s.maxUnavailable.String(), s.maxSurge.String(), s.minReady, deadline, s.history)}
	for _, e := range s.edits {
		lines = append(lines, fmt.Sprintf("%s; %d turns", e.words, e.turns))
	}
	return strings.Join(lines, "\n")
}

// scripts makes up scripts.
func scripts() *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		s := script{spec: spec{
			replicas: rapid.Int32Range(0, 6).Draw(t, "replicas"), look: look{image: "a:1", env: "1", track: "stable", note: "first"},
			minReady: rapid.SampledFrom([]int32{0, 0, 1, 5}).Draw(t, "minReadySeconds"),
			history:  rapid.SampledFrom([]int32{0, 1, 2, 10}).Draw(t, "revisionHistoryLimit"),
		}}
		s.before = s.look
		if rapid.Bool().Draw(t, "with a deadline") {
			s.deadline = new(s.minReady + rapid.SampledFrom([]int32{1, 600}).Draw(t, "progressDeadlineSeconds"))
		}
		budgets().Draw(t, "budget").change(&s.spec)
		s.edits = rapid.SliceOfN(edits(), 3, 7).Draw(t, "edits")
		return s
	})
}

func edits() *rapid.Generator[edit] {
	return rapid.Custom(func(t *rapid.T) edit {
		// A rollout is what most edits meet.
		e := rapid.OneOf(images(), images(), templates(), rollbacks(), scales(), scales(), budgets(), pauses(), deletions()).Draw(t, "edit")
		e.turns = rapid.IntRange(0, 4).Draw(t, "turns")
		return e
	})
}

func images() *rapid.Generator[edit] {
	return rapid.Map(rapid.SampledFrom([]string{"a:1", "a:2", "a:3", brokenImage}), func(image string) edit {
		return edit{words: "image " + image, change: func(s *spec) {
			s.wear(func(l *look) { l.image = image })
		}}
	})
}

func rollbacks() *rapid.Generator[edit] {
	return rapid.Just(edit{words: "back to the template of before", change: func(s *spec) { s.wear(func(l *look) { *l = s.before }) }})
}

func templates() *rapid.Generator[edit] {
	return rapid.Custom(func(t *rapid.T) edit {
		value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
		what := rapid.SampledFrom([]string{"label track", "annotation note", "env SETTING"}).Draw(t, "what")
		return edit{words: what + "=" + value, change: func(s *spec) {
			s.wear(func(l *look) {
				*map[string]*string{"label track": &l.track, "annotation note": &l.note, "env SETTING": &l.env}[what] = value
			})
		}}
	})
}

func scales() *rapid.Generator[edit] {
	return rapid.Map(rapid.Int32Range(0, 6), func(n int32) edit {
		return edit{words: fmt.Sprintf("scale to %d", n), change: func(s *spec) { s.replicas = n }}
	})
}

func budgets() *rapid.Generator[edit] {
	return rapid.Custom(func(t *rapid.T) edit {
		// Shares of up to six pods: with a remainder and without, about a half, and of less than one pod.
		unavailable := rapid.SampledFrom([]string{"0", "1", "2", "1%", "17%", "25%", "34%", "50%", "67%", "99%", "100%"}).Draw(t, "maxUnavailable")
		surge := rapid.SampledFrom([]string{"0", "0", "1", "2", "1%", "17%", "25%", "34%", "50%", "99%", "100%"}).Draw(t, "maxSurge")
		if unavailable == "0" && surge == "0" {
			unavailable = "1"
		}
		return edit{words: fmt.Sprintf("maxUnavailable %s, maxSurge %s", unavailable, surge), change: func(s *spec) {
			s.maxUnavailable, s.maxSurge = intstr.Parse(unavailable), intstr.Parse(surge)
		}}
	})
}

func pauses() *rapid.Generator[edit] {
	return rapid.Map(rapid.Bool(), func(paused bool) edit {
		return edit{words: fmt.Sprintf("paused %t", paused), change: func(s *spec) { s.paused = paused }}
	})
}

func deletions() *rapid.Generator[edit] {
	return rapid.Map(rapid.IntRange(1, 3), func(n int) edit {
		return edit{words: fmt.Sprintf("delete pod %d", n), deletes: n}
	})
}

// settled lets a rollout come to its end: it is resumed, and its image can be pulled.
func settled() edit {
	return edit{words: "resume with an image that can be pulled", change: func(s *spec) {
		s.paused = false
		if s.image == brokenImage {
			s.wear(func(l *look) { l.image = "a:4" })
		}
	}}
}

// template is the pod template of both.
func (l look) template() corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{}
	t.Labels = map[string]string{"app": web, "track": l.track}
	t.Annotations = map[string]string{"note": l.note}
	t.Spec.Containers = []corev1.Container{{Name: "main", Image: l.image, Env: []corev1.EnvVar{{Name: "SETTING", Value: l.env}}}}
	return t
}

// most is how many pods there may be.
func (s spec) most() int { return int(s.replicas) + count(s.maxSurge, s.replicas, true) }

// fewest is how many pods of a CloneSet must serve.
func (s spec) fewest() int {
	noSurge := s.paused || count(s.maxSurge, s.replicas, true) == 0
	return int(s.replicas) - count(s.maxUnavailable, s.replicas, noSurge)
}

func count(value intstr.IntOrString, of int32, up bool) int {
	n, err := intstr.GetScaledValueFromIntOrPercent(&value, int(of), up)
	if err != nil {
		return 0 // every value here is a number or a share
	}
	return n
}
