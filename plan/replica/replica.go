// Package replica holds the facts about one pod that decisions are made from: a small value, made once from a Pod and a
// time, so that nothing that decides ever asks a clock, a client or a Pod twice.
package replica

import (
	"cmp"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/readiness"
)

// Replica is what is known of one pod. Strings and maps are shared with the Pod and must not be written.
type Replica struct {
	Name     string
	UID      types.UID
	Node     string
	Slot     string // the instance id, for workloads that have one
	Revision string // the label controller-revision-hash
	Trouble  string // why the pod is not ready, or its update in place does not go on, in a few words, when the pod says so
	Labels   map[string]string

	Created     time.Time
	ReadySince  time.Time // zero while not ready
	AvailableAt time.Time // when a ready pod becomes available; zero while that cannot be known
	GraceUntil  time.Time // end of a grace period: of its deletion, or else of an update in place; zero without one

	LateIn  time.Duration // how long until it is a trouble that a pod which runs is not ready; zero where there is a trouble, or will be none
	AwayFor time.Duration // how long a pod has not been ready, or has been there without ever being so; zero while it is ready

	State        lifecycle.State
	Holds        lifecycle.Holds
	Stage        inplace.Stage
	Phase        Phase
	Lost         Loss
	Restarts     int32
	DeletionCost int32

	Scheduled       bool
	Ready           bool
	Available       bool
	Terminating     bool
	Gated           bool // it has the readiness gate InPlaceUpdateReady, so that an update in place can take it out of service
	SpecifiedDelete bool // somebody asked for this pod to go
	LeavesClaims    bool // it is on its way out for its update, and its successor is to have its claims
	Unsettled       bool // a readiness condition of ours could be True and is not, or the record of a resize can be closed
}

// Loss is what a pod has lost of what its slot gave it besides its template.
type Loss uint8

// The losses.
const (
	LostNothing Loss = iota
	// LostName is a label that is not the name of the pod, and should be.
	LostName
	// LostIndex is a label that is not the ordinal of the pod, and should be.
	LostIndex
	// LostClaim is a claim that the pod mounts and that is not there, while the pod has not begun to run.
	LostClaim
)

// String says in a few words what was lost.
func (l Loss) String() string {
	switch l {
	case LostName:
		return "the label with its name is gone or wrong"
	case LostIndex:
		return "the label with its ordinal is wrong"
	case LostClaim:
		return "a claim that it waits for is gone"
	default:
		return "nothing is lost"
	}
}

// Phase orders the phases of a pod by how much is lost with it.
type Phase uint8

// The phases, the least loss first.
const (
	Pending Phase = iota
	Unknown
	Running
	Ended // Succeeded or Failed
)

// Options say how pods of a workload are read.
type Options struct {
	Now             time.Time
	MinReadySeconds int32
	Hooks           *v1beta1.Lifecycle
	// SlotLabel is the label that holds the slot. Empty: pods have no slot.
	SlotLabel string
}

// Of reads the facts about one pod.
func Of(pod *corev1.Pod, o Options) Replica {
	r := Replica{
		Name: pod.Name, UID: pod.UID, Node: pod.Spec.NodeName, Labels: pod.Labels,
		Slot: pod.Labels[o.SlotLabel], Revision: pod.Labels["controller-revision-hash"],
		Created:      pod.CreationTimestamp.Time,
		State:        lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]),
		Holds:        lifecycle.HoldsOf(o.Hooks, pod),
		Phase:        phaseOf(pod.Status.Phase),
		DeletionCost: deletionCost(pod),
		Scheduled:    pod.Spec.NodeName != "",
		Terminating:  pod.DeletionTimestamp != nil,
		Gated:        inplace.HasGate(pod, v1beta1.InPlaceUpdateReady),
	}
	_, r.SpecifiedDelete = pod.Labels[v1beta1.SpecifiedDeleteKey]
	_, r.LeavesClaims = pod.Annotations[v1beta1.LeavesClaimsKey]
	for i := range pod.Status.ContainerStatuses {
		r.Restarts += pod.Status.ContainerStatuses[i].RestartCount
	}
	progress := inplace.ProgressOf(pod)
	r.Stage = progress.Stage
	r.GraceUntil = progress.GraceUntil
	if r.Terminating {
		r.GraceUntil = pod.DeletionTimestamp.Time
	}
	r.Unsettled = ungated(pod) || progress.Unsettled
	r.readiness(pod, o)
	if progress.Trouble != "" {
		r.Trouble = progress.Trouble
	}
	return r
}

// Active says whether the pod counts as one of the workload's replicas: it has not ended and is not on its way out.
func (r *Replica) Active() bool { return !r.Terminating && r.Phase != Ended }

// readiness fills in what follows from the pod's conditions. Available is: running, ready for minReadySeconds, in no
// update, in the state Normal, and without a label that says otherwise.
func (r *Replica) readiness(pod *corev1.Pod, o Options) {
	since, said := r.Created, false
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type != corev1.PodReady {
			continue
		}
		since, said = c.LastTransitionTime.Time, c.Status == corev1.ConditionTrue
		r.Ready = said && r.Phase == Running && !gateFalse(pod)
	}
	if r.Ready {
		r.ReadySince = since
	} else {
		if !said { // else kubelet has not turned it yet
			r.AwayFor = max(o.Now.Sub(since), 0)
		}
		if r.Trouble = trouble(pod); r.Trouble == "" {
			r.late(pod, since, o.Now)
		}
		return
	}
	if !lifecycle.Serves(r.State) || markedUnavailable(pod) {
		return
	}
	r.AvailableAt = r.ReadySince.Add(time.Duration(o.MinReadySeconds) * time.Second)
	r.Available = o.MinReadySeconds == 0 || !o.Now.Before(r.AvailableAt)
}

// patience is how long a pod may run without being ready before that is a trouble.
const patience = time.Minute

// late finds out by when a pod that is not ready since a time should have been, and whether that is past. What is out of service
// by a hook, an update in place or a gate of ours is not late.
func (r *Replica) late(pod *corev1.Pod, since, now time.Time) {
	if r.Phase != Running || r.Terminating || !lifecycle.Serves(r.State) || r.Stage != inplace.Done || gateFalse(pod) {
		return
	}
	for i := range pod.Status.ContainerStatuses {
		if s := pod.Status.ContainerStatuses[i].State.Running; s != nil && s.StartedAt.After(since) {
			since = s.StartedAt.Time
		}
	}
	if r.LateIn = max(since.Add(patience).Sub(now), 0); r.LateIn == 0 {
		r.Trouble = "NotReady"
	}
}

func phaseOf(p corev1.PodPhase) Phase {
	switch p {
	case corev1.PodRunning:
		return Running
	case corev1.PodSucceeded, corev1.PodFailed:
		return Ended
	case corev1.PodUnknown:
		return Unknown
	default:
		return Pending
	}
}

// gateFalse says whether the pod is held out of service; kubelet may not have turned Ready yet.
func gateFalse(pod *corev1.Pod) bool {
	if readiness.Held(pod) && inplace.CanHold(pod) {
		return true
	}
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == v1beta1.InPlaceUpdateReady {
			return pod.Status.Conditions[i].Status == corev1.ConditionFalse
		}
	}
	return false
}

// ungated says whether a readiness gate of ours on the pod has no True condition. A False KruisePodReady is held by
// somebody, who alone may lift it; the holds of life-cycle hooks are ours.
func ungated(pod *corev1.Pod) bool {
	for _, gate := range pod.Spec.ReadinessGates {
		if gate.ConditionType != v1beta1.InPlaceUpdateReady && gate.ConditionType != v1beta1.KruisePodReadyConditionType {
			continue
		}
		open := false
		for i := range pod.Status.Conditions {
			c := &pod.Status.Conditions[i]
			if c.Type != gate.ConditionType {
				continue
			}
			held := c.Type == v1beta1.KruisePodReadyConditionType && c.Status == corev1.ConditionFalse &&
				!readiness.HeldBy(pod, readiness.ByLifecycle)
			open = c.Status == corev1.ConditionTrue || held
		}
		if !open {
			return true
		}
	}
	return false
}

func markedUnavailable(pod *corev1.Pod) bool {
	for key := range pod.Labels {
		if strings.HasPrefix(key, v1beta1.UnavailablePodLabelPrefix) {
			return true
		}
	}
	return false
}

// deletionCost reads controller.kubernetes.io/pod-deletion-cost; what is no integer counts as 0, as for ReplicaSets.
func deletionCost(pod *corev1.Pod) int32 {
	text, ok := pod.Annotations[corev1.PodDeletionCost]
	if !ok {
		return 0
	}
	cost, err := strconv.ParseInt(text, 10, 32)
	if err != nil {
		return 0
	}
	return int32(cost)
}

// trouble says in a few words what keeps a pod from being ready.
func trouble(pod *corev1.Pod) string {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			if w := statuses[i].State.Waiting; w != nil && !starting(w.Reason) {
				return steady(w.Reason)
			}
			if crashes(pod, &statuses[i]) {
				return crashLoop
			}
		}
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			return c.Reason
		}
	}
	return ""
}

// crashLoop is what kubelet says of a container that it starts again and again, while it waits.
const crashLoop = "CrashLoopBackOff"

// shortRun is what kubelet holds against a container that ended: once it ran for longer, the next start does not wait.
const shortRun = 10 * time.Minute

// crashes says whether a container that is not ready is one that kubelet starts again and again: while it runs between two
// waits, too, so that what is said of it stays. Two restarts are the first that kubelet waits for. A run that an update in
// place ended does not count.
func crashes(pod *corev1.Pod, s *corev1.ContainerStatus) bool {
	last := cmp.Or(s.State.Terminated, s.LastTerminationState.Terminated)
	if s.Ready || s.RestartCount < 2 || last == nil || last.FinishedAt.Sub(last.StartedAt.Time) >= shortRun {
		return false
	}
	update, ok := inplace.StateOf(pod)
	return !ok || last.StartedAt.After(update.UpdateTimestamp.Time)
}

// steady gives the reasons between which kubelet goes back and forth one name, so that what is said of a pod stays.
func steady(reason string) string {
	if reason == "ErrImagePull" {
		return "ImagePullBackOff"
	}
	return reason
}

// starting says whether a container waits for nothing but its turn.
func starting(reason string) bool {
	return reason == "" || reason == "ContainerCreating" || reason == "PodInitializing"
}
