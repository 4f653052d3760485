package agent

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/reference"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

const (
	// waiting is how many events may wait to be sent. More are lost.
	waiting = 100
	// longestInstance is how long the API server lets the name of an instance be, in bytes.
	longestInstance = 128
	// serial is for how long an event that is told again is counted, and not sent anew.
	serial = 6 * time.Minute
)

// Events sends events, each once. What the API server does not take is lost, which the log says.
type Events struct {
	api      *Client
	instance string
	clock    clock.PassiveClock
	queue    chan eventsv1.Event

	told map[string]*told // of Run alone
}

// told is an event that was sent.
type told struct {
	namespace, name string
	times           int32
	last            metav1.MicroTime
}

// NewEvents makes a sender of events, which Run sends. The instance names the process; 128 bytes of it are told.
func NewEvents(api *Client, instance string, now clock.PassiveClock) *Events {
	return &Events{api: api, instance: instance[:min(len(instance), longestInstance)], clock: now, queue: make(chan eventsv1.Event, waiting), told: map[string]*told{}}
}

// Recorder takes events of a controller with a name. It is a turn.Recorder.
func (e *Events) Recorder(controller string) *Recorder {
	return &Recorder{events: e, controller: controller}
}

// Recorder takes events.
type Recorder struct {
	events     *Events
	controller string
}

// Eventf implements turn.Recorder.
func (r *Recorder) Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any) {
	about, err := reference.GetReference(r.events.api.scheme, regarding)
	if err != nil {
		log.Log.Error(err, "An event is about what nothing can refer to", "reason", reason)
		return
	}
	event := eventsv1.Event{
		ObjectMeta:          metav1.ObjectMeta{Namespace: cmp.Or(about.Namespace, metav1.NamespaceDefault), GenerateName: about.Name + "-"},
		EventTime:           metav1.NewMicroTime(r.events.clock.Now()),
		ReportingController: r.controller, ReportingInstance: r.events.instance,
		Regarding: *about, Type: kind, Reason: reason, Action: action, Note: fmt.Sprintf(note, args...),
	}
	if related != nil {
		if event.Related, err = reference.GetReference(r.events.api.scheme, related); err != nil {
			log.Log.V(1).Info("An event is sent without what it is related to", "reason", reason, "cause", err.Error())
		}
	}
	select {
	case r.events.queue <- event:
	default:
		log.Log.V(1).Info("An event is lost, as too many wait", "reason", reason)
	}
}

// Run sends events until the context ends.
func (e *Events) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case event := <-e.queue:
			if err := e.send(ctx, event); err != nil && ctx.Err() == nil {
				log.FromContext(ctx).Info("An event is lost", "reason", event.Reason, "cause", err.Error())
			}
		}
	}
}

// send sends an event, or counts one that was sent not long ago.
func (e *Events) send(ctx context.Context, event eventsv1.Event) error {
	at := event.EventTime
	maps.DeleteFunc(e.told, func(_ string, had *told) bool { return at.Sub(had.last.Time) >= serial })
	key := fmt.Sprintf("%s %s %s %s %s %s", idOf(&event.Regarding), idOf(event.Related), event.ReportingController, event.Reason, event.Action, event.Note)
	had := e.told[key]
	if had == nil {
		if err := e.api.create(ctx, &event); err != nil {
			return err
		}
		e.told[key] = &told{namespace: event.Namespace, name: event.Name, times: 1, last: at}
		return nil
	}
	had.times, had.last = had.times+1, at
	body, err := json.Marshal(map[string]any{"series": eventsv1.EventSeries{Count: had.times, LastObservedTime: at}})
	if err != nil {
		return fmt.Errorf("encode a series: %w", err)
	}
	err = e.api.patch(ctx, &eventsv1.Event{ObjectMeta: metav1.ObjectMeta{Namespace: had.namespace, Name: had.name}}, types.MergePatchType, body)
	if err != nil { // it may be too old to be there
		delete(e.told, key)
	}
	return err
}

// idOf tells the object that a reference is to from all others, whatever version of it.
func idOf(ref *corev1.ObjectReference) string {
	if ref == nil {
		return ""
	}
	return fmt.Sprintf("%s/%s/%s/%s", ref.Kind, ref.Namespace, ref.Name, ref.UID)
}
