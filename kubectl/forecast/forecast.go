// Package forecast plays the rollout of a workload to its end before it is begun: which pods are changed in which wave, how
// many are available meanwhile, and where it stops.
//
// It promises to change nothing: it works on copies. The decisions, the patches and the reading of pods are those of the
// controller; the cluster is the model of lab/world, whose containers start after a set time and whose broken containers
// stay broken. So a forecast is as good as its assumptions, which it states.
package forecast

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/kubectl/explain"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

// Forecast is how a rollout goes. Its JSON form is stable: fields may be added.
type Forecast struct {
	Kind      string `json:"kind"`
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	// Assumptions are what it is played with.
	Assumptions []string `json:"assumptions"`
	// Before and After say how the workload stands at the beginning and in the end.
	Before explain.Counts `json:"before"`
	After  explain.Counts `json:"after"`
	// Revision is what is rolled out, Others what pods have besides at the beginning.
	Revision string             `json:"revision"`
	Others   []explain.Revision `json:"otherRevisions,omitempty"`
	Waves    []Wave             `json:"waves,omitempty"`
	// Takes is how long it takes until nothing happens any more.
	Takes Seconds `json:"seconds"`
	// LeastAvailable is the lowest number of available pods.
	LeastAvailable int `json:"leastAvailable"`
	// Rest says how the workload stands in the end; a stop for good has notes there.
	Rest *explain.Explanation `json:"rest"`
}

// Seconds is a duration that is written as a whole number of seconds.
type Seconds int64

// Duration is the duration.
func (s Seconds) Duration() time.Duration { return time.Duration(s) * time.Second }

// Wave is what is begun at one time.
type Wave struct {
	// At is when it begins, Until when the next one does, or when there is nothing more to do.
	At    Seconds `json:"at"`
	Until Seconds `json:"until"`
	// Steps are what is begun.
	Steps []explain.Step `json:"steps"`
	// LeastAvailable is the lowest number of available pods until the next wave.
	LeastAvailable int `json:"leastAvailable"`

	pods map[string]bool // those that it is about
	last time.Duration   // when its latest step is
}

// recorder cuts what happens into waves.
type recorder struct {
	waves []Wave
	least int
}

// see records a plan that was made at a time, and carried out.
func (r *recorder) see(at time.Duration, plan podset.Plan) {
	var begun []podset.Step
	for _, s := range plan.Steps {
		moves := s.Do == podset.Move && s.State != lifecycle.PreparingNormal
		if s.Do == podset.Create || s.Do == podset.Delete || s.Do == podset.Update || moves {
			begun = append(begun, s)
		}
	}
	if len(begun) > 0 {
		r.begin(at, begun, plan.Scaling)
	}
	available := plan.Tally.Available
	r.least = min(r.least, available)
	if n := len(r.waves); n > 0 && at > r.waves[n-1].last { // a tally is that of before the steps
		r.waves[n-1].LeastAvailable = min(r.waves[n-1].LeastAvailable, available)
	}
}

// letGo records pods that were let go. What is done for their sake at the same time belongs to the same wave.
func (r *recorder) letGo(at time.Duration, strays []*corev1.Pod) {
	if len(strays) == 0 {
		return
	}
	step := explain.LetGo(strays)
	step.Text += ", since " + step.Why
	r.waves = append(r.waves, Wave{At: inSeconds(at), LeastAvailable: many, Steps: []explain.Step{step}, pods: map[string]bool{}, last: at})
}

// begin adds steps to the wave before them when they are its second half (a pod that is created for one that was deleted,
// a change that a hook held up), and else makes them a wave of their own.
func (r *recorder) begin(at time.Duration, steps []podset.Step, scaling bool) {
	n := len(r.waves)
	if n == 0 || at > r.waves[n-1].last+time.Second || slices.ContainsFunc(steps, func(s podset.Step) bool {
		return s.Pod != nil && !r.waves[n-1].pods[s.Pod.Name]
	}) {
		if n > 0 {
			r.waves[n-1].Until = inSeconds(at)
		}
		r.waves = append(r.waves, Wave{At: inSeconds(at), LeastAvailable: many, pods: map[string]bool{}})
		n++
	}
	w := &r.waves[n-1]
	w.last = at
	first := len(w.Steps) == 0 // what follows has its reason in what came first
	for _, s := range steps {
		if s.Pod != nil {
			w.pods[s.Pod.Name] = true
		}
	}
	for _, g := range podset.Grouped(steps) {
		text := g.String()
		switch {
		case g.Recreates:
			text += ", to be recreated"
		case first && (scaling || g.Do == podset.Delete):
			text += ", since " + g.Why
		}
		w.Steps = append(w.Steps, explain.Step{Do: string(g.Do), Pods: g.Names, Why: g.Why, Text: text})
	}
}

// many is more pods than there ever are.
const many = int(^uint(0) >> 1)

func inSeconds(d time.Duration) Seconds { return Seconds(d / time.Second) }
