package explain

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// trouble is what keeps a pod from being available.
type trouble struct {
	reason string // a word for machines
	text   string // for people
	since  time.Time
	remedy string // what a person can do; empty: wait, or there is nothing clear to do
}

// patient is a pod that is not available, with all that is known of it.
type patient struct {
	pod   *corev1.Pod
	facts replica.Replica
	now   time.Time
	// hooks and minReadySeconds are those of its workload.
	hooks           *v1beta1.Lifecycle
	minReadySeconds int32
}

// trouble finds the one thing that has to change first for the pod to become available.
func (p patient) trouble() trouble {
	for _, look := range []func() (trouble, bool){
		p.going, p.ended, p.held, p.unscheduled, p.container, p.inGrace, p.resize, p.probe, p.restarting, p.heldNotReady,
		p.foreignGate, p.incomplete, p.condition, p.marked, p.young,
	} {
		if t, found := look(); found {
			return t
		}
	}
	if p.facts.Unsettled {
		return trouble{reason: "ReadinessGate", text: "the controller has yet to open its readiness gate"}
	}
	t := trouble{reason: "Starting", text: "it is starting", since: p.pod.CreationTimestamp.Time}
	if ready := p.find(corev1.PodReady); ready != nil && ready.Status == corev1.ConditionFalse {
		t.since = ready.LastTransitionTime.Time
	}
	if c := p.find(corev1.ContainersReady); c != nil && c.Status == corev1.ConditionTrue {
		t.reason, t.text = "ComingUp", "its containers are ready, and kubelet has yet to report the pod as ready"
	}
	return t
}

func (p patient) going() (trouble, bool) {
	if !p.facts.Terminating {
		return trouble{}, false
	}
	t := trouble{reason: "Terminating", text: "it is being deleted", since: p.pod.DeletionTimestamp.Time}
	if s := p.pod.DeletionGracePeriodSeconds; s != nil { // the timestamp is when it should be gone
		t.since = t.since.Add(-time.Duration(*s) * time.Second)
	}
	if held := p.pod.Finalizers; len(held) > 0 {
		t.text += ", held by the finalizer " + strings.Join(held, ", ")
		t.remedy = fmt.Sprintf("pod %s goes once %s is taken off its finalizers by its owner", p.pod.Name, strings.Join(held, ", "))
	} else if p.now.After(p.pod.DeletionTimestamp.Add(time.Minute)) {
		t.text += ", and its grace period is long over"
		t.remedy = fmt.Sprintf("look whether the kubelet of node %s runs: kubectl get node %s", p.pod.Spec.NodeName, p.pod.Spec.NodeName)
	}
	return t, true
}

func (p patient) ended() (trouble, bool) {
	if p.facts.Phase != replica.Ended {
		return trouble{}, false
	}
	return trouble{
		reason: cmp.Or(p.pod.Status.Reason, string(p.pod.Status.Phase)),
		text:   "it has ended" + because(p.pod.Status.Reason, p.pod.Status.Message) + "; another pod takes its place",
	}, true
}

// held is a pod that a hook holds before it is updated or deleted.
func (p patient) held() (trouble, bool) {
	hooks := p.hooks
	switch {
	case hooks == nil:
		return trouble{}, false
	case p.facts.State == lifecycle.PreparingDelete && p.facts.Holds.Delete:
		return p.hook("preDelete", hooks.PreDelete, true), true
	case p.facts.State == lifecycle.PreparingUpdate && p.facts.Holds.Update:
		return p.hook("inPlaceUpdate", hooks.InPlaceUpdate, true), true
	}
	return trouble{}, false
}

// incomplete is a pod that a hook holds until all its entries are on it.
func (p patient) incomplete() (trouble, bool) {
	hooks := p.hooks
	switch {
	case hooks == nil:
		return trouble{}, false
	case p.facts.State == lifecycle.PreparingNormal && !p.facts.Holds.NormalComplete:
		return p.hook("preNormal", hooks.PreNormal, false), true
	case p.facts.State == lifecycle.Updated && !p.facts.Holds.UpdateComplete:
		return p.hook("inPlaceUpdate", hooks.InPlaceUpdate, false), true
	}
	return trouble{}, false
}

// hook tells which entries of a hook are on the pod and must go, or are not and must come.
func (p patient) hook(name string, hook *v1beta1.LifecycleHook, on bool) trouble {
	var entries, commands []string
	for _, key := range slices.Sorted(maps.Keys(hook.LabelsHandler)) {
		value := hook.LabelsHandler[key]
		if got, present := p.pod.Labels[key]; (present && got == value) == on {
			entries = append(entries, fmt.Sprintf("label %s=%s", key, value))
			if on {
				commands = append(commands, key+"-")
			} else {
				commands = append(commands, fmt.Sprintf("%s=%s", key, value))
			}
		}
	}
	for _, finalizer := range hook.FinalizersHandler {
		if slices.Contains(p.pod.Finalizers, finalizer) == on {
			entries = append(entries, "finalizer "+finalizer)
		}
	}
	t := trouble{reason: "Hook", since: p.stateSince()}
	list, has := strings.Join(entries, " and "), plural(len(entries), "has", "have")
	by := "its owner"
	if len(commands) > 0 {
		by += fmt.Sprintf(", or you: kubectl label pod -n %s %s --overwrite %s", p.pod.Namespace, p.pod.Name, strings.Join(commands, " "))
	}
	if on {
		t.text = fmt.Sprintf("its %s hook holds it by %s", name, list)
		t.remedy = fmt.Sprintf("%s %s to be taken off pod %s by %s", list, has, p.pod.Name, by)
	} else {
		t.text = fmt.Sprintf("its %s hook waits for %s", name, list)
		t.remedy = fmt.Sprintf("%s %s to be put on pod %s by %s", list, has, p.pod.Name, by)
	}
	return t
}

// stateSince is when the pod came into its life-cycle state.
func (p patient) stateSince() time.Time {
	at, err := time.Parse(time.RFC3339, p.pod.Annotations[v1beta1.LifecycleTimestampKey])
	if err != nil {
		return time.Time{}
	}
	return at
}

func (p patient) unscheduled() (trouble, bool) {
	c := p.find(corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse {
		return trouble{}, false
	}
	t := trouble{reason: cmp.Or(c.Reason, "Unscheduled"), text: "no node takes it" + because("", c.Message), since: c.LastTransitionTime.Time}
	if c.Reason == corev1.PodReasonSchedulingGated {
		t.text, t.remedy = "a scheduling gate holds it", "whoever set the scheduling gate of pod "+p.pod.Name+" has to take it off"
	} else {
		t.remedy = fmt.Sprintf("make room for pod %s, or change what the template asks of a node", p.pod.Name)
	}
	return t, true
}

func (p patient) inGrace() (trouble, bool) {
	if p.facts.Stage != inplace.Grace {
		return trouble{}, false
	}
	left := p.facts.GraceUntil.Sub(p.now)
	text := "its grace period is over; its containers are changed next"
	if left > 0 {
		text = fmt.Sprintf("it is out of service for its grace period, and changed in place in %s", rounded(left))
	}
	return trouble{reason: "GracePeriod", text: text, since: p.stateSince()}, true
}

func (p patient) restarting() (trouble, bool) {
	if p.facts.Stage != inplace.Running {
		return trouble{}, false
	}
	text := "kubelet has not seen its update in place yet"
	if name := inplace.ProgressOf(p.pod).Waiting; name != "" {
		text = fmt.Sprintf("container %s is changed in place, and kubelet has not reported it yet", name)
	}
	return trouble{reason: "Updating", text: text, since: p.stateSince()}, true
}

// resize is a change of resources that the node cannot make, or not yet.
func (p patient) resize() (trouble, bool) {
	c := p.find(corev1.PodResizePending)
	if c == nil || c.Status != corev1.ConditionTrue {
		return trouble{}, false
	}
	t := trouble{reason: "Resize" + c.Reason, text: "its node has not made the change of its resources" + because(c.Reason, c.Message), since: c.LastTransitionTime.Time}
	if c.Reason == corev1.PodReasonInfeasible {
		t.remedy = fmt.Sprintf("ask for less in the template, or delete pod %s so that another node takes it", p.pod.Name)
	}
	return t, true
}

// heldNotReady is a pod whose gate of ours somebody holds closed.
func (p patient) heldNotReady() (trouble, bool) {
	c := p.find(v1beta1.KruisePodReadyConditionType)
	if c == nil || c.Status != corev1.ConditionFalse {
		return trouble{}, false
	}
	return trouble{reason: string(c.Type), text: fmt.Sprintf("condition %s holds it out of service", c.Type) + because(c.Reason, c.Message), since: c.LastTransitionTime.Time}, true
}

// foreignGate is a readiness gate of others that is not open.
func (p patient) foreignGate() (trouble, bool) {
	if c := p.find(corev1.ContainersReady); c == nil || c.Status != corev1.ConditionTrue {
		return trouble{}, false
	}
	for _, gate := range p.pod.Spec.ReadinessGates {
		if gate.ConditionType == v1beta1.InPlaceUpdateReady || gate.ConditionType == v1beta1.KruisePodReadyConditionType {
			continue
		}
		c := p.find(gate.ConditionType)
		if c != nil && c.Status == corev1.ConditionTrue {
			continue
		}
		t := trouble{reason: "ReadinessGate", text: fmt.Sprintf("its readiness gate %s is not open", gate.ConditionType)}
		if c != nil {
			t.text, t.since = t.text+because(c.Reason, c.Message), c.LastTransitionTime.Time
		}
		t.remedy = fmt.Sprintf("whoever owns the readiness gate %s has to set that condition of pod %s to True", gate.ConditionType, p.pod.Name)
		return t, true
	}
	return trouble{}, false
}

// condition is what else makes the pod not ready, such as a node that is lost.
func (p patient) condition() (trouble, bool) {
	c, containers := p.find(corev1.PodReady), p.find(corev1.ContainersReady)
	if c == nil || c.Status == corev1.ConditionTrue || c.Reason == "ReadinessGatesNotReady" ||
		containers == nil || containers.Status != corev1.ConditionTrue {
		return trouble{}, false
	}
	return trouble{
		reason: cmp.Or(c.Reason, "NotReady"),
		text:   "its containers are ready and the pod is not" + because(c.Reason, c.Message) + "; its node may be lost",
		since:  c.LastTransitionTime.Time,
		remedy: fmt.Sprintf("look whether node %s is Ready: kubectl get node %s", p.pod.Spec.NodeName, p.pod.Spec.NodeName),
	}, true
}

func (p patient) marked() (trouble, bool) {
	for _, key := range slices.Sorted(maps.Keys(p.pod.Labels)) {
		if strings.HasPrefix(key, v1beta1.UnavailablePodLabelPrefix) {
			return trouble{
				reason: "MarkedUnavailable", text: fmt.Sprintf("label %s makes it count as unavailable", key),
				remedy: fmt.Sprintf("take the label off when pod %s serves: kubectl label pod -n %s %s %s-", p.pod.Name, p.pod.Namespace, p.pod.Name, key),
			}, true
		}
	}
	return trouble{}, false
}

func (p patient) young() (trouble, bool) {
	if !p.facts.Ready || p.facts.AvailableAt.IsZero() {
		return trouble{}, false
	}
	return trouble{
		reason: "MinReadySeconds", since: p.facts.ReadySince,
		text: fmt.Sprintf("it is ready, and counts as available in %s (minReadySeconds is %d)", rounded(p.facts.AvailableAt.Sub(p.now)), p.minReadySeconds),
	}, true
}

func (p patient) find(kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(p.pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &p.pod.Status.Conditions[i]
}

// because appends a reason and a message, as far as there are any.
func because(reason, message string) string {
	message = strings.Join(strings.Fields(message), " ")
	switch {
	case reason == "" && message == "":
		return ""
	case message == "":
		return ": " + reason
	case reason == "":
		return ": " + message
	default:
		return ": " + reason + ": " + message
	}
}

// rounded is a duration to be read: whole seconds, never less than one.
func rounded(d time.Duration) string {
	return max(d.Round(time.Second), time.Second).String()
}
