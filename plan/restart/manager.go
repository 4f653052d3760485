package restart

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/readiness"
)

// UserAgent is who holds a pod out of service for a request, in the pod's list of holds.
const UserAgent = "ContainerRecreateRequest"

// ManagerPlan is what the manager does for a request, in this order.
type ManagerPlan struct {
	// Guard puts the finalizer onto the request: its pod is about to be held out of service.
	Guard bool
	// Pod is a strategic merge patch of the pod's status, which holds or releases it; nil for none.
	Pod []byte
	// Status is the request's new status.
	Status v1beta1.ContainerRecreateRequestStatus
	// Tidy takes the finalizer and the label active off the request: it has ended, and nothing is held for it.
	Tidy bool
	// Delete deletes the request.
	Delete bool
	// Wake is when to look again; zero for not before something changes.
	Wake time.Time
}

// Manage decides what the manager does for a request whose pod, nil if there is none, is as it is in the cache.
func Manage(r *Request, pod *corev1.Pod, now time.Time) ManagerPlan {
	p := ManagerPlan{Status: *r.Status.DeepCopy()}
	if !Completed(r) && r.DeletionTimestamp == nil {
		p.end(r, pod, now)
	}
	if Completed(r) || r.DeletionTimestamp != nil {
		p.tidy(r, pod, now)
		return p
	}
	if p.Status.Phase == v1beta1.ContainerRecreateRequestRecreating {
		p.snapshot(r, pod)
		p.hold(r, pod, now)
	}
	return p
}

// end completes a request that the agent cannot complete.
func (p *ManagerPlan) end(r *Request, pod *corev1.Pod, now time.Time) {
	message := Ended(pod, PodUID(r))
	created := r.CreationTimestamp.Time
	for _, limit := range []struct {
		on      bool
		after   time.Duration
		message string
	}{
		{r.Spec.ActiveDeadlineSeconds != nil, time.Duration(ptr.Deref(r.Spec.ActiveDeadlineSeconds, 0)) * time.Second, TimeExceeded},
		{r.Status.Phase == "", AgentTimeout, AgentSilent},
	} {
		if !limit.on || message != "" {
			continue
		}
		if at := created.Add(limit.after); now.Before(at) {
			p.Wake = earlier(p.Wake, at)
		} else {
			message = limit.message
		}
	}
	if message == "" {
		return
	}
	p.Wake = time.Time{}
	p.Status.ContainerRecreateStates = states(r)
	giveUp(p.Status.ContainerRecreateStates, message)
	p.Status.Phase, p.Status.Message, p.Status.CompletionTime = v1beta1.ContainerRecreateRequestCompleted, message, ptr.To(metav1.NewTime(now))
}

// tidy releases the pod and then the request. A request is kept for its ttl and goes then.
func (p *ManagerPlan) tidy(r *Request, pod *corev1.Pod, now time.Time) {
	if pod != nil && pod.UID == PodUID(r) {
		p.Pod = inplace.Release(pod, holdOf(r), now)
	}
	_, active := r.Labels[v1beta1.ContainerRecreateRequestActiveKey]
	p.Tidy = active || slices.Contains(r.Finalizers, v1beta1.ContainerRecreateRequestUnreadyAcquiredKey)
	if r.DeletionTimestamp != nil {
		return
	}
	if p.Status.CompletionTime == nil {
		p.Status.CompletionTime = ptr.To(metav1.NewTime(now))
	}
	if ttl := r.Spec.TTLSecondsAfterFinished; ttl != nil {
		at := p.Status.CompletionTime.Add(time.Duration(*ttl) * time.Second)
		p.Delete = !now.Before(at)
		if !p.Delete {
			p.Wake = at
		}
	}
}

// snapshot copies what kubelet says of containers that are others than those that the request was made for.
func (p *ManagerPlan) snapshot(r *Request, pod *corev1.Pod) {
	var all []v1beta1.ContainerStatusSnapshot
	for i := range r.Spec.Containers {
		c := &r.Spec.Containers[i]
		status := StatusOf(pod, c.Name)
		if status == nil || status.State.Running == nil || c.StatusContext != nil && status.ContainerID == c.StatusContext.ContainerID {
			continue
		}
		all = append(all, v1beta1.ContainerStatusSnapshot{
			Name: c.Name, Ready: status.Ready, RestartCount: status.RestartCount, ContainerID: status.ContainerID,
		})
	}
	p.Status.ContainerStatusSnapshot = all
}

// hold takes the pod out of service, and says since when it is.
func (p *ManagerPlan) hold(r *Request, pod *corev1.Pod, now time.Time) {
	if strategyOf(r).UnreadyGracePeriodSeconds == nil || meta.IsStatusConditionTrue(r.Status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace) {
		return
	}
	p.Guard = !slices.Contains(r.Finalizers, v1beta1.ContainerRecreateRequestUnreadyAcquiredKey)
	p.Pod = inplace.Hold(pod, holdOf(r), now)
	meta.SetStatusCondition(&p.Status.Conditions, metav1.Condition{
		Type: v1beta1.ContainerRecreateRequestPreRecreateGrace, Status: metav1.ConditionTrue, Reason: "PodNotReady",
		Message: "the containers are stopped when the grace period is over", LastTransitionTime: metav1.NewTime(now),
	})
}

// holdOf is the hold of a request on its pod.
func holdOf(r *Request) readiness.Hold {
	return readiness.Hold{UserAgent: UserAgent, Key: r.Namespace + "/" + r.Name}
}
