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
	image, env, track        string
	paused                   bool
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
	lines := []string{fmt.Sprintf("begin with %d replicas, maxUnavailable %s, maxSurge %s", s.replicas, s.maxUnavailable.String(), s.maxSurge.String())}
	for _, e := range s.edits {
		lines = append(lines, fmt.Sprintf("%s; %d turns", e.words, e.turns))
	}
	return strings.Join(lines, "\n")
}

// scripts makes up scripts.
func scripts() *rapid.Generator[script] {
	return rapid.Custom(func(t *rapid.T) script {
		s := script{spec: spec{replicas: rapid.Int32Range(0, 6).Draw(t, "replicas"), image: "a:1", env: "1", track: "stable"}}
		budgets().Draw(t, "budget").change(&s.spec)
		s.edits = rapid.SliceOfN(edits(), 3, 7).Draw(t, "edits")
		return s
	})
}

func edits() *rapid.Generator[edit] {
	return rapid.Custom(func(t *rapid.T) edit {
		// A rollout is what most edits meet.
		e := rapid.OneOf(images(), images(), templates(), scales(), scales(), budgets(), pauses(), deletions()).Draw(t, "edit")
		e.turns = rapid.IntRange(0, 4).Draw(t, "turns")
		return e
	})
}

func images() *rapid.Generator[edit] {
	return rapid.Map(rapid.SampledFrom([]string{"a:1", "a:2", "a:3", brokenImage}), func(image string) edit {
		return edit{words: "image " + image, change: func(s *spec) { s.image = image }}
	})
}

func templates() *rapid.Generator[edit] {
	return rapid.Custom(func(t *rapid.T) edit {
		value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
		if rapid.Bool().Draw(t, "label") {
			return edit{words: "label track=" + value, change: func(s *spec) { s.track = value }}
		}
		return edit{words: "env " + value, change: func(s *spec) { s.env = value }}
	})
}

func scales() *rapid.Generator[edit] {
	return rapid.Map(rapid.Int32Range(0, 6), func(n int32) edit {
		return edit{words: fmt.Sprintf("scale to %d", n), change: func(s *spec) { s.replicas = n }}
	})
}

func budgets() *rapid.Generator[edit] {
	return rapid.Map(rapid.SampledFrom([][2]string{
		{"1", "0"}, {"2", "0"}, {"34%", "0"}, {"100%", "0"}, {"0", "1"}, {"0", "50%"}, {"25%", "25%"}, {"50%", "1"}, {"1", "2"},
	}), func(b [2]string) edit {
		return edit{words: fmt.Sprintf("maxUnavailable %s, maxSurge %s", b[0], b[1]), change: func(s *spec) {
			s.maxUnavailable, s.maxSurge = intstr.Parse(b[0]), intstr.Parse(b[1])
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
			s.image = "a:4"
		}
	}}
}

// template is the pod template of both.
func (s spec) template() corev1.PodTemplateSpec {
	t := corev1.PodTemplateSpec{}
	t.Labels = map[string]string{"app": web, "track": s.track}
	t.Spec.Containers = []corev1.Container{{Name: "main", Image: s.image, Env: []corev1.EnvVar{{Name: "SETTING", Value: s.env}}}}
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
