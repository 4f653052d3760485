package disruption

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/sidecar"
)

// gone is how long a record is kept of a pod that is not there: it may be one that a cache does not show yet.
const gone = 5 * time.Second

// lookAgain is when to look again for what a cache does not show yet.
const lookAgain = time.Second

// Counted is the state of a budget.
type Counted struct {
	// Status is the new status.
	Status v1beta1.PodUnavailableBudgetStatus
	// Stayed are pods whose deletion was permitted and did not come, and that serve as before.
	Stayed []string
	// Wake is when to count again even if nothing happens; zero for never.
	Wake time.Time
}

// Overdue names the pods whose records have expired, in order. Whoever counts looks them up at the API server itself: a cache that
// lags behind may not show that they are gone.
func Overdue(b *v1beta1.PodUnavailableBudget, now time.Time) []string {
	var out []string
	for name, at := range b.Status.DisruptedPods {
		if !now.Before(at.Add(deletionLasts)) {
			out = append(out, name)
		}
	}
	for name, at := range b.Status.UnavailablePods {
		if !now.Before(at.Add(changeLasts)) {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Permission is one that was given and is not seen to be used yet.
type Permission struct {
	// Pod is the name of the pod that may go.
	Pod string
	// Deletes says that it may be deleted or evicted, not just changed.
	Deletes bool
	// Given is when it was given, and Until when it expires.
	Given, Until time.Time
}

// Permissions are those that are out, in the order of their pods.
func Permissions(b *v1beta1.PodUnavailableBudget) (out []Permission) {
	for name, at := range b.Status.DisruptedPods {
		out = append(out, Permission{Pod: name, Deletes: true, Given: at.Time, Until: at.Add(deletionLasts)})
	}
	for name, at := range b.Status.UnavailablePods {
		out = append(out, Permission{Pod: name, Given: at.Time, Until: at.Add(changeLasts)})
	}
	slices.SortFunc(out, func(a, b Permission) int {
		return cmp.Or(strings.Compare(a.Pod, b.Pod), a.Given.Compare(b.Given))
	})
	return out
}

// Facts are what a budget is counted from.
type Facts struct {
	Now time.Time
	// Pods are the pods of the budget, as a cache shows them.
	Pods []*corev1.Pod
	// Away are those of the overdue that the API server does not show as available. Their records are kept until the cache shows
	// what became of them.
	Away map[string]bool
	// Workloads is how many pods there should be as their workloads say. It counts where the budget states no total.
	Workloads int
	// Ended says that the workload that the budget names is gone or on its way out, and its pods with it.
	Ended bool
}

// Count counts the pods of a budget. Pods that are exempt count for nothing, and are not missed.
func Count(b *v1beta1.PodUnavailableBudget, f Facts) (Counted, error) {
	c := Counted{Status: v1beta1.PodUnavailableBudgetStatus{ObservedGeneration: b.Generation}}
	c.keep(b, f)
	total, stated := Total(b)
	if f.Ended {
		total = 0
	} else if !stated {
		total = f.Workloads
	}
	for _, pod := range f.Pods {
		switch {
		case !Active(pod):
		case Exempt(b, pod):
			if !stated {
				total--
			}
		case Available(pod) && !c.recorded(pod.Name):
			c.Status.CurrentAvailable++
		}
	}
	c.Status.TotalReplicas = int32(max(total, 0))
	desired, err := desired(b, int(c.Status.TotalReplicas))
	if err != nil {
		return c, err
	}
	c.Status.DesiredAvailable = int32(desired)
	c.Status.UnavailableAllowed = max(c.Status.CurrentAvailable-c.Status.DesiredAvailable, 0)
	return c, nil
}

// Uncounted is the status of a budget of which nobody knows how many pods there should be: none may go.
func Uncounted(b *v1beta1.PodUnavailableBudget) v1beta1.PodUnavailableBudgetStatus {
	status := *b.Status.DeepCopy()
	status.ObservedGeneration = b.Generation
	status.UnavailableAllowed, status.DesiredAvailable = 0, max(status.DesiredAvailable, 1)
	return status
}

// desired is how many pods must stay available: none where there should be none, so that what remains of a workload that was
// deleted or scaled to 0 can go.
func desired(b *v1beta1.PodUnavailableBudget, total int) (int, error) {
	switch spec := &b.Spec; {
	case total == 0:
		return 0, nil
	case spec.MinAvailable != nil:
		n, err := budget.Count(*spec.MinAvailable, total, budget.Up)
		if err != nil {
			return 0, fmt.Errorf("spec.minAvailable: %w", err)
		}
		return n, nil
	case spec.MaxUnavailable != nil:
		n, err := budget.Count(*spec.MaxUnavailable, total, budget.Up)
		if err != nil {
			return 0, fmt.Errorf("spec.maxUnavailable: %w", err)
		}
		return max(total-n, 0), nil
	default:
		return 0, nil
	}
}

// keep keeps the records of pods that may still go.
func (c *Counted) keep(b *v1beta1.PodUnavailableBudget, f Facts) {
	if len(b.Status.DisruptedPods)+len(b.Status.UnavailablePods) == 0 { // nearly always, and there may be many pods
		return
	}
	byName := make(map[string]*corev1.Pod, len(f.Pods))
	for _, pod := range f.Pods {
		byName[pod.Name] = pod
	}
	for _, name := range slices.Sorted(maps.Keys(b.Status.DisruptedPods)) {
		at, pod := b.Status.DisruptedPods[name], byName[name]
		switch {
		case seen(pod, at.Time):
		case c.waits(pod, f, name, at.Time, deletionLasts):
			setRecord(&c.Status.DisruptedPods, name, at)
		case pod != nil && Available(pod):
			c.Stayed = append(c.Stayed, name)
		}
	}
	for name, at := range b.Status.UnavailablePods {
		if pod := byName[name]; !seen(pod, at.Time) && !turned(pod, at.Time) && c.waits(pod, f, name, at.Time, changeLasts) {
			setRecord(&c.Status.UnavailablePods, name, at)
		}
	}
}

// seen says whether a pod that was permitted to go at a time is seen to go: it is on its way out, or another has its name.
func seen(pod *corev1.Pod, at time.Time) bool {
	return pod != nil && (!Active(pod) || pod.CreationTimestamp.After(at))
}

// waits says whether what was permitted at a time may still come, or has come and is not seen yet.
func (c *Counted) waits(pod *corev1.Pod, f Facts, name string, at time.Time, lifetime time.Duration) bool {
	if pod == nil {
		lifetime = gone
	}
	end := at.Add(lifetime)
	if !f.Now.Before(end) {
		if pod == nil || !f.Away[name] || !Available(pod) { // what is known to be away, such as a pod that a hook holds, needs no record
			return false
		}
		end = f.Now.Add(lookAgain)
	}
	if c.Wake.IsZero() || end.Before(c.Wake) {
		c.Wake = end
	}
	return true
}

// turned says whether a pod that was ready at a time has been out of service since: then what was permitted has come.
func turned(pod *corev1.Pod, at time.Time) bool {
	if pod == nil {
		return false
	}
	c := readyCondition(pod)
	switch {
	case c == nil:
		return false
	case c.Status == corev1.ConditionTrue: // it is back
		return c.LastTransitionTime.After(at) || upgraded(pod, at)
	default:
		return !c.LastTransitionTime.Time.Before(at)
	}
}

// upgraded says whether sidecars of a pod were upgraded since a time. A sidecar may start so fast that the pod is ready
// throughout.
func upgraded(pod *corev1.Pod, since time.Time) bool {
	u := sidecar.UpgradesOf(pod)
	return !u.Began.IsZero() && !u.Began.Before(since) && inconsistent(pod) == ""
}

func (c *Counted) recorded(name string) bool {
	_, leaves := c.Status.DisruptedPods[name]
	_, changes := c.Status.UnavailablePods[name]
	return leaves || changes
}

func setRecord(records *map[string]metav1.Time, name string, at metav1.Time) {
	if *records == nil {
		*records = map[string]metav1.Time{}
	}
	(*records)[name] = at
}
