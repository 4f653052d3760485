package disruption

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// How long a permission lasts that nothing came of.
const (
	deletionLasts = 20 * time.Second
	changeLasts   = 10 * time.Second
)

// mostRecords is how many permissions a status may hold for another to be noted.
const mostRecords = 2000

// Request asks whether a pod may be taken out of service.
type Request struct {
	Operation v1beta1.PubOperation
	// Pod is the pod before it, as the API server has it: a cache that lags behind may call one unavailable that is back.
	Pod *corev1.Pod
	// ResizesApart says that a budget protects from resizes only where it says RESIZE.
	ResizesApart bool
	// Abroad says that who asks is in no namespace and has pods in several: the answer names the budget with its namespace.
	Abroad bool
}

// Title is how the answer calls a budget.
func (r Request) Title(namespace, name string) string {
	if r.Abroad {
		name = namespace + "/" + name
	}
	return "PodUnavailableBudget " + name
}

// Answer is what becomes of a request.
type Answer struct {
	// Permitted says that the request may be carried out.
	Permitted bool
	// Recorded says that the status of the budget was changed, which must be stored before the request is permitted.
	Recorded bool
	// Why says why not, with numbers, and Brief without: in words that stay while the reason does.
	Why, Brief string
}

// Free says whether a request costs nothing, whatever is left of the budget: the pod is not available, or neither it nor the
// operation is protected.
func Free(b *v1beta1.PodUnavailableBudget, r Request) bool {
	return !Available(r.Pod) || Exempt(b, r.Pod) || !Protects(b, r.Operation, r.ResizesApart)
}

// Ask judges a request, and writes into the status of the budget what it costs.
func Ask(b *v1beta1.PodUnavailableBudget, r Request, now time.Time) Answer {
	title := r.Title(b.Namespace, b.Name)
	spent := title + " lets no more pods become unavailable"
	switch judge(b, r, now) {
	case free:
		return Answer{Permitted: true}
	case uncounted:
		why := title + " is new or was changed, and its pods are not counted yet"
		return Answer{Why: why + ": wait a moment", Brief: why}
	case overspent:
		return Answer{Why: refusal(b, spent), Brief: spent}
	case crowded:
		return Answer{Brief: spent, Why: fmt.Sprintf(
			"%s: more than %d were permitted to and are not seen to be yet, and no more can be noted: wait until they are gone or back", spent, mostRecords)}
	}
	s, name := &b.Status, r.Pod.Name
	deletion, change := recordOf(s.DisruptedPods, r.Pod), recordOf(s.UnavailablePods, r.Pod)
	if deletion == nil && change == nil {
		s.UnavailableAllowed--
		s.CurrentAvailable--
	}
	// One record is enough, and that of an earlier pod of the name says nothing any more.
	delete(s.UnavailablePods, name)
	delete(s.DisruptedPods, name)
	if r.deletes() || deletion != nil {
		record(&s.DisruptedPods, name, now)
	} else {
		record(&s.UnavailablePods, name, afterUpgrades(r.Pod, now))
	}
	return Answer{Permitted: true, Recorded: true}
}

// Permits says whether Ask would permit a request, and writes nothing.
func Permits(b *v1beta1.PodUnavailableBudget, r Request, now time.Time) bool {
	v := judge(b, r, now)
	return v == free || v == recorded
}

// verdict is what becomes of a request.
type verdict uint8

const (
	// free costs nothing.
	free verdict = iota
	// recorded is permitted, and must be stored.
	recorded
	// uncounted is refused until the pods are counted.
	uncounted
	// overspent is refused since the budget is spent.
	overspent
	// crowded is refused since no more permissions can be noted.
	crowded
)

func judge(b *v1beta1.PodUnavailableBudget, r Request, now time.Time) verdict {
	s := &b.Status
	switch {
	case Free(b, r):
		return free
	case s.ObservedGeneration < b.Generation:
		return uncounted
	case s.DesiredAvailable == 0:
		return free
	}
	deletion, change := recordOf(s.DisruptedPods, r.Pod), recordOf(s.UnavailablePods, r.Pod)
	switch {
	case lasts(deletion, now):
		return free
	case deletion != nil || change != nil: // the pod may have been away and back, and the record be gone from where it is stored
		return recorded
	case s.UnavailableAllowed <= 0:
		return overspent
	case len(s.DisruptedPods)+len(s.UnavailablePods) > mostRecords:
		return crowded
	default:
		return recorded
	}
}

// deletes says whether the request ends the pod.
func (r Request) deletes() bool {
	return r.Operation == v1beta1.PubDeleteOperation || r.Operation == v1beta1.PubEvictOperation
}

// lasts says whether the record of a deletion has half of its time left, so that whatever is permitted by it is carried out or has
// failed before it expires.
func lasts(record *time.Time, now time.Time) bool {
	return record != nil && now.Before(record.Add(deletionLasts/2))
}

// recordOf is when a pod was permitted to go; nil for one that was not, though a pod of its name was before it.
func recordOf(records map[string]metav1.Time, pod *corev1.Pod) *time.Time {
	at, ok := records[pod.Name]
	if !ok || !pod.CreationTimestamp.Time.Before(at.Time) {
		return nil
	}
	return &at.Time
}

// afterUpgrades is the time of a permission to change a pod. It is later than an earlier upgrade of its sidecars in the same second:
// one that began at that time or later is the one that was permitted.
func afterUpgrades(pod *corev1.Pod, now time.Time) time.Time {
	began := sidecar.UpgradesOf(pod).Began
	if began.Equal(now.Truncate(time.Second)) {
		return began.Add(time.Second)
	}
	return now
}

// record notes a permission, to the second, as it is stored.
func record(records *map[string]metav1.Time, name string, now time.Time) {
	if *records == nil {
		*records = map[string]metav1.Time{}
	}
	(*records)[name] = metav1.NewTime(now.Truncate(time.Second))
}

// refusal says that the budget is spent. It begins with the words by which clients know it.
func refusal(b *v1beta1.PodUnavailableBudget, spent string) string {
	s := &b.Status
	text := fmt.Sprintf("pub unavailable allowed is negative: %s: %d of %d are available, and %d must be",
		spent, s.CurrentAvailable, s.TotalReplicas, s.DesiredAvailable)
	if leaving := slices.Sorted(maps.Keys(s.DisruptedPods)); len(leaving) > 0 {
		text += "; permitted to go: " + few(leaving)
	}
	if changing := slices.Sorted(maps.Keys(s.UnavailablePods)); len(changing) > 0 {
		text += "; permitted to change: " + few(changing)
	}
	return text + fmt.Sprintf("; wait until more than %d are available", s.DesiredAvailable)
}

// few names at most three and counts the rest.
func few(names []string) string {
	const most = 3
	text := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
