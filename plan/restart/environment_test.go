package restart

import (
	"encoding/json"
	"fmt"
	"maps"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// tiered is a pod whose container app takes the label tier into its environment, with what its agent knows of it.
type tiered struct {
	EnvironmentFacts
	// stopped counts the containers that were stopped.
	stopped int
}

func newTiered() *tiered {
	pod := web()
	pod.Labels = map[string]string{"tier": "0"}
	pod.Spec.Containers = []corev1.Container{{Name: "app", Env: []corev1.EnvVar{
		{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['tier']"}}},
	}}}
	w := &tiered{EnvironmentFacts: EnvironmentFacts{Now: start, Pod: pod, Runtime: map[string]Environment{}, Attempts: map[string]Attempt{}}}
	w.run("0")
	return w
}

// run starts the container with a value in its environment.
func (w *tiered) run(tier string) {
	w.Runtime["app"] = Environment{Container: running("app", w.stopped), Attempt: int32(w.stopped), Env: map[string]string{"TIER": tier}} //nolint:gosec // few
	w.Attempts = map[string]Attempt{}
}

// service takes the pod out of service for an update in place, or puts it back.
func (w *tiered) service(status corev1.ConditionStatus) {
	w.Pod.Status.Conditions = []corev1.PodCondition{{Type: v1beta1.InPlaceUpdateReady, Status: status}}
}

// look lets the agent look, and writes down what it reports.
func (w *tiered) look() EnvironmentPlan {
	plan := Renew(w.EnvironmentFacts)
	text, err := json.Marshal(plan.Report)
	if err != nil {
		panic(err)
	}
	w.Pod.Annotations = map[string]string{v1beta1.RuntimeContainerMetaKey: string(text)}
	return plan
}

// stopTime is when the annotation says that the container is stopped; zero for not at all.
func (w *tiered) stopTime() time.Time {
	if t := inplace.RuntimeMetaOf(w.Pod).Containers[0].StopTime; t != nil {
		return t.Time
	}
	return time.Time{}
}

func TestAStopForTheEnvironmentIsAnnouncedBeforeItBegins(t *testing.T) {
	w := newTiered()
	w.Pod.Labels["tier"] = "1"
	w.service(corev1.ConditionTrue)
	if w.look(); !w.stopTime().IsZero() {
		t.Error("a pod in service is to lose a container")
	}
	w.service(corev1.ConditionFalse)
	plan := w.look()
	due := w.stopTime()
	if !due.Equal(start.Add(takeUp)) || !plan.Wake.Equal(due) || len(plan.Stops) > 0 {
		t.Fatalf("due at %v, %+v", due, plan)
	}
	w.Now = due.Add(-time.Millisecond)
	if plan := w.look(); len(plan.Stops) > 0 || !plan.Wake.Equal(due) {
		t.Errorf("too early: %+v", plan)
	}
	w.Now = due
	w.service(corev1.ConditionTrue) // what was written down is carried through
	w.Mine = map[string]string{"app": id("app", 0)}
	if plan := w.look(); len(plan.Stops) != 1 || plan.Stops[0] != (Stop{Name: "app", ID: id("app", 0), Since: due, Hook: true}) {
		t.Errorf("on time: %+v", plan)
	}
	w.Attempts["app"] = Attempt{Running: true}
	if plan := w.look(); len(plan.Stops) > 0 {
		t.Errorf("in the middle of it: %+v", plan)
	}
	w.Attempts["app"], w.Mine = Attempt{Failure: "could not be stopped"}, nil
	if plan := w.look(); len(plan.Stops) != 1 || plan.Stops[0].Hook {
		t.Errorf("after the runtime refused: %+v", plan)
	}
	w.Pod.Labels["tier"] = "0"
	if plan := w.look(); len(plan.Stops) > 0 {
		t.Errorf("with the label as before, in a pod that serves: %+v", plan)
	}
	w.service(corev1.ConditionFalse)
	if plan := w.look(); len(plan.Stops) != 1 {
		t.Errorf("with the label as before, in a pod that waits for it: %+v", plan)
	}
}

func TestAStopForTheEnvironmentIsCalledOffWhenItIsNotWantedAnyMore(t *testing.T) {
	for name, change := range map[string]func(*tiered){
		"the label is as before":        func(w *tiered) { w.Pod.Labels["tier"] = "0" },
		"the pod is back in service":    func(w *tiered) { w.service(corev1.ConditionTrue) },
		"the container ended by itself": func(w *tiered) { w.stopped++; w.run("1") },
	} {
		w := newTiered()
		w.Pod.Labels["tier"] = "1"
		w.service(corev1.ConditionFalse)
		w.look()
		change(w)
		w.Now = w.Now.Add(time.Second)
		if w.look(); !w.stopTime().IsZero() {
			t.Errorf("%s: it stands", name)
		}
		w.Now = w.Now.Add(time.Minute)
		if plan := w.look(); len(plan.Stops) > 0 {
			t.Errorf("%s: %+v", name, plan)
		}
	}
}

// A kubelet decides to look at a pod, waits for its next look at the containers, and then starts what has ended from the pod as
// it knew it when it decided.
func TestOneChangeOfTheEnvironmentRestartsAContainerOnceHoweverFarKubeletLags(t *testing.T) {
	const tick, most = 100 * time.Millisecond, 28 // kubelet's view is up to 2.8 s old
	rapid.Check(t, func(t *rapid.T) {
		w := newTiered()
		w.Now = start.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "offset")) * tick)
		known := maps.Clone(w.Pod.Labels) // as kubelet decided upon
		looksIn := 0
		for change := range 3 {
			w.service(corev1.ConditionFalse)
			w.Pod.Labels["tier"] = fmt.Sprint(change + 1)
			for ticks := 0; w.Runtime["app"].Env["TIER"] != w.Pod.Labels["tier"]; ticks++ {
				if ticks > 200 {
					t.Fatal("it does not come to an end")
				}
				for _, stop := range w.look().Stops {
					now := w.Runtime[stop.Name]
					now.Running = false
					w.Runtime[stop.Name], w.Attempts[stop.Name] = now, Attempt{Done: true}
					w.stopped++
				}
				if looksIn == 0 {
					if !w.Runtime["app"].Running {
						w.run(known["tier"])
					}
					known, looksIn = maps.Clone(w.Pod.Labels), rapid.IntRange(1, most).Draw(t, "looksIn")
				}
				looksIn--
				w.Now = w.Now.Add(tick)
			}
			w.look()
			w.service(corev1.ConditionTrue)
			w.look()
			if w.stopped != change+1 {
				t.Fatalf("%d changes, %d restarts", change+1, w.stopped)
			}
		}
	})
}

func TestAContainerWhoseEnvironmentIsNotKnownIsLookedAtAgain(t *testing.T) {
	w := newTiered()
	e := w.Runtime["app"]
	e.Env = nil
	w.Runtime["app"] = e
	w.service(corev1.ConditionFalse)
	if plan := w.look(); !plan.Wake.Equal(start.Add(poll)) || plan.Report.Containers[0].Hashes.ExtractedEnvFromMetadataHash != 0 || !w.stopTime().IsZero() {
		t.Errorf("%+v", plan)
	}
}

func TestWhatStopsForTheEnvironmentKeepsIsThatOfThePod(t *testing.T) {
	w := newTiered()
	w.Pod.Spec.TerminationGracePeriodSeconds = new(int64(7))
	w.Pod.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/drain"}}}
	w.Pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{Name: "http", ContainerPort: 80}}
	w.Pod.CreationTimestamp = metav1.NewTime(start)
	stop := StopOf(w.Pod)
	c := stop.Spec.Containers[0]
	if Grace(stop) != 7*time.Second || c.PreStop.HTTPGet.Path != "/drain" || len(c.Ports) != 1 || PodUID(stop) != w.Pod.UID {
		t.Errorf("%+v", stop)
	}
}
