package recreate

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/turn"
	"kruise.io/kruise/plan/restart"
)

// The reasons of the events on pods, which are those of kubelet.
const (
	reasonKilling    = "Killing"
	reasonHookFailed = "FailedPreStopHook"
	reasonFailed     = "FailedKillContainer"
)

// longestTrouble bounds what is told of a runtime's error, in bytes.
const longestTrouble = 300

// work is one reconcile of one request.
type work struct {
	*Controller
	request *v1beta1.ContainerRecreateRequest

	facts  restart.Facts
	plan   restart.AgentPlan
	events []turn.Event
}

// Observe gathers the requests for the pod, its containers, and the stops under way. A runtime that does not answer is a
// fact, too.
func (w *work) Observe(ctx context.Context) error {
	queue, err := w.queueOf(w.request)
	if err != nil {
		return err
	}
	w.facts = restart.Facts{Request: w.request, Queue: queue}
	if len(queue) == 0 || restart.First(queue).UID != w.request.UID || restart.Completed(w.request) {
		return nil
	}
	w.facts.Attempts, w.facts.Mine = w.stopper.Known(w.request)
	containers, err := w.containers(ctx)
	if err != nil {
		text := err.Error()
		w.facts.Trouble = text[:min(len(text), longestTrouble)]
		log.FromContext(ctx).V(1).Info("The container runtime does not answer", "cause", text)
		return nil
	}
	w.facts.Runtime = containers
	return nil
}

// containers asks the runtime for the containers of the pod.
func (w *work) containers(ctx context.Context) (map[string]restart.Container, error) {
	if len(w.request.Spec.Containers) == 0 || w.request.Spec.Containers[0].StatusContext == nil {
		return nil, fmt.Errorf("request %s does not say which containers ran when it was made: it was not filled in at admission", w.request.Name)
	}
	runtime, _, err := w.runtimes.Of(ctx, w.request.Spec.Containers[0].StatusContext.ContainerID)
	if err != nil {
		return nil, err
	}
	about, err := runtime.About(ctx)
	if err != nil {
		return nil, err
	}
	found, err := runtime.Containers(ctx, string(podOf(w.request)))
	if err != nil {
		return nil, err
	}
	out := map[string]restart.Container{}
	for i := range w.request.Spec.Containers {
		c := &w.request.Spec.Containers[i]
		now, ok := found[c.Name]
		if !ok {
			continue
		}
		out[c.Name] = restart.Container{ID: about.Name + "://" + now.ID, Running: now.Running}
		if !w.needsLife(c, now.Running) {
			continue
		}
		life, err := runtime.Life(ctx, now.ID)
		if err != nil {
			return nil, err
		}
		out[c.Name] = restart.Container{ID: about.Name + "://" + now.ID, Running: now.Running, Started: life.Started, ExitCode: life.ExitCode}
	}
	return out, nil
}

// needsLife says whether it matters when a container started or how it ended.
func (w *work) needsLife(c *v1beta1.ContainerRecreateRequestContainer, running bool) bool {
	if running {
		return w.request.Spec.Strategy != nil && w.request.Spec.Strategy.MinStartedSeconds > 0
	}
	return c.RestartPolicy == corev1.ContainerRestartPolicyOnFailure
}

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	w.facts.Now = now
	w.plan = restart.Act(w.facts)
	return nil
}

// Act begins the stop that is to be carried out.
func (w *work) Act(ctx context.Context) error {
	stop := w.plan.Stop
	if stop == nil || !w.stopper.Begin(ctx, w.request, *stop) {
		return nil
	}
	w.tell(false, reasonKilling, "Stopping container "+stop.Name+" for ContainerRecreateRequest "+w.request.Name)
	return nil
}

// Report writes what was decided. A stop that is about to be written down is remembered as this process's own before it is:
// whether the write is answered or not, nobody else can have made it.
func (w *work) Report(_ time.Time, failure error) turn.Report[*v1beta1.ContainerRecreateRequest] {
	report := turn.Report[*v1beta1.ContainerRecreateRequest]{Wake: w.plan.Wake}
	if failure != nil {
		return report
	}
	for _, trouble := range w.stopper.Troubles(w.request) {
		w.tell(true, reasonHookFailed, trouble)
	}
	w.stopper.Remember(w.request, w.plan.Status.ContainerRecreateStates)
	for i := range w.plan.Status.ContainerRecreateStates {
		if s := &w.plan.Status.ContainerRecreateStates[i]; s.Phase == v1beta1.ContainerRecreateRequestFailed && w.facts.Attempts[s.Name].Failure != "" {
			w.tell(true, reasonFailed, "Container "+s.Name+": "+s.Message)
		}
	}
	after := w.request.DeepCopy()
	after.Status = w.plan.Status
	report.Object, report.Events = after, w.events
	return report
}

// tell adds an event on the pod.
func (w *work) tell(warning bool, reason, note string) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.request.Namespace, Name: w.request.Spec.PodName, UID: podOf(w.request)}}
	w.events = append(w.events, turn.Event{Warning: warning, Reason: reason, Action: "RecreateContainer", Note: note, About: pod})
}
