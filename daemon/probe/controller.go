package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/agent"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/turn"
)

// Kind is the kind that the package works on.
const Kind = "NodePodProbe"

// The reasons of the events on pods.
const (
	reasonSucceeded = "KruiseProbeSucceeded"
	reasonFailed    = "KruiseProbeFailed"
)

// Options say where the package works.
type Options struct {
	// Node is the name of the node.
	Node string
	// Runtimes are the container runtimes of the node.
	Runtimes *cri.Node
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Watched says which objects the process needs to know: that of this node.
func (o Options) Watched() agent.Selection[*v1alpha1.NodePodProbe] {
	return agent.Selection[*v1alpha1.NodePodProbe]{Field: fields.OneTermEqualSelector("metadata.name", o.Node)}
}

// Setup adds the controller to a runner, over the object of the node.
func Setup(r *agent.Runner, objects *agent.Informer[*v1alpha1.NodePodProbe], recorder turn.Recorder, o Options) error {
	c := newController(o, objects, r.API, recorder, clock.RealClock{})
	controller := agent.NewController(agent.Options{
		Name: "nodepodprobe", Workers: 1, First: turn.FirstRetry, Last: turn.LastRetry, Take: c.Take,
	})
	c.workers.changed = func() { controller.Wake(types.NamespacedName{Name: o.Node}) }
	err := objects.Handle(func(before, after *v1alpha1.NodePodProbe) {
		if before == nil || after == nil || before.Generation != after.Generation {
			c.workers.changed()
		}
	})
	if err != nil {
		return fmt.Errorf("set up the controller of NodePodProbes: %w", err)
	}
	r.Add(c.Start)
	r.Add(controller.Run)
	return nil
}

// Controller works on the object of its node.
type Controller struct {
	workers *workers
	base    context.Context // of the probes; they begin once it is there
	started chan struct{}
	objects agent.Cache[*v1alpha1.NodePodProbe]
	loop    *turn.Loop[*v1alpha1.NodePodProbe]
}

func newController(o Options, objects agent.Cache[*v1alpha1.NodePodProbe], api agent.API, recorder turn.Recorder, now clock.WithTicker) *Controller {
	c := &Controller{workers: newWorkers(o.Runtimes, now), started: make(chan struct{}), objects: objects}
	c.loop = &turn.Loop[*v1alpha1.NodePodProbe]{
		Kind: Kind, API: agent.Turn[*v1alpha1.NodePodProbe]{Kind: Kind, Cache: objects, API: api}, Recorder: recorder,
		Writes: seen.New(map[string]seen.Cache{Kind: objects}), Clock: now,
		Begin: func(o *v1alpha1.NodePodProbe) turn.Work[*v1alpha1.NodePodProbe] {
			return &work{Controller: c, object: o}
		},
	}
	return c
}

// Start lets probes be made until the context ends.
func (c *Controller) Start(ctx context.Context) error {
	c.base = ctx
	close(c.started)
	<-ctx.Done()
	c.workers.running.Wait()
	return nil
}

// Take looks at the object. Where there is none, nothing is probed.
func (c *Controller) Take(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	select {
	case <-c.started:
	case <-ctx.Done():
		return 0, nil
	}
	if object, ok := c.objects.Get(key); !ok || object.DeletionTimestamp != nil {
		c.workers.keep(c.base, nil, nil)
	}
	return c.loop.Take(ctx, key)
}

// work is one reconcile.
type work struct {
	*Controller
	object *v1alpha1.NodePodProbe
	status v1alpha1.NodePodProbeStatus
	events []turn.Event
}

// Observe implements turn.Work: what probes find, they find by themselves.
func (w *work) Observe(context.Context) error { return nil }

// Decide implements turn.Work: the status says what was found last, by this process or by the one before it.
func (w *work) Decide(time.Time) error {
	before := reported(&w.object.Status)
	for i := range w.object.Spec.PodProbes {
		pod := &w.object.Spec.PodProbes[i]
		status := v1alpha1.PodProbeStatus{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
		for _, p := range pod.Probes {
			k := key{pod.UID, p.Name}
			state, known := before[k]
			if found, ok := w.workers.of(k); ok && (!known || state.State != found.state) {
				at := metav1.NewTime(found.at).Rfc3339Copy()
				state = v1alpha1.ContainerProbeState{Name: p.Name, State: found.state, Message: found.message, LastProbeTime: at, LastTransitionTime: at}
				known = true
				if w.workers.untold(k) {
					w.tell(pod, &p, found)
				}
			}
			if known {
				status.ProbeStates = append(status.ProbeStates, state)
			}
		}
		if len(status.ProbeStates) > 0 {
			w.status.PodProbeStatuses = append(w.status.PodProbeStatuses, status)
		}
	}
	return nil
}

// tell tells of a probe that found something else than before.
func (w *work) tell(pod *v1alpha1.PodProbe, p *v1alpha1.ContainerProbe, found finding) {
	e := turn.Event{Reason: reasonSucceeded, Action: "Probe", About: &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID),
	}}
	e.Note = fmt.Sprintf("%s of container %s succeeded", p.Name, p.ContainerName)
	switch found.state {
	case v1alpha1.ProbeFailed:
		e.Reason, e.Note = reasonFailed, fmt.Sprintf("%s of container %s failed: %s", p.Name, p.ContainerName, found.message)
	case v1alpha1.ProbeUnknown:
		return // what becomes of a container that does not run is told by kubelet
	}
	e.Note = e.Note[:min(len(e.Note), 900)] // the API server refuses more than 1,024 bytes
	w.events = append(w.events, e)
}

// Act implements turn.Work.
func (w *work) Act(context.Context) error {
	before := reported(&w.object.Status)
	w.workers.keep(w.base, w.object.Spec.PodProbes, func(k key) v1alpha1.ProbeState { return before[k].State })
	return nil
}

// Report implements turn.Work.
func (w *work) Report(time.Time, error) turn.Report[*v1alpha1.NodePodProbe] {
	object := w.object.DeepCopy()
	object.Status = w.status
	return turn.Report[*v1alpha1.NodePodProbe]{Object: object, Events: w.events, Items: len(w.object.Spec.PodProbes)}
}

// reported is what a status says.
func reported(status *v1alpha1.NodePodProbeStatus) map[key]v1alpha1.ContainerProbeState {
	out := map[key]v1alpha1.ContainerProbeState{}
	for i := range status.PodProbeStatuses {
		pod := &status.PodProbeStatuses[i]
		for _, state := range pod.ProbeStates {
			out[key{pod.UID, state.Name}] = state
		}
	}
	return out
}
