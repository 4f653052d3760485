package restart

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Container is what the runtime says of the newest container of a name.
type Container struct {
	// ID is the container's ID, as <runtime>://<id>.
	ID string
	// Running says that its process runs.
	Running bool
	// Started is when its process started; looked at where it has to run for a while.
	Started time.Time
	// ExitCode is how it ended, where it has.
	ExitCode int32
}

// Attempt is what this process knows of its own stop of a container.
type Attempt struct {
	// Running says that the stop is under way.
	Running bool
	// Done says that the container was stopped.
	Done bool
	// Failure says why the container cannot be stopped; empty while that is not given up.
	Failure string
}

// Facts are what the agent of a node knows when it decides about a request.
type Facts struct {
	Now time.Time
	// Request is the request, and Queue the requests for its pod that are active, itself among them.
	Request *Request
	Queue   []*Request
	// Runtime are the pod's containers by name; nil, when the runtime does not answer. Trouble says why then.
	Runtime map[string]Container
	Trouble string
	// Attempts are the stops of this process for the request, by container name.
	Attempts map[string]Attempt
	// Mine are the containers, by name, whose stops this process wrote down, or tried to: it alone may run their hooks.
	Mine map[string]string
}

// Stop is a container to stop.
type Stop struct {
	// Name is the name of the container in its pod, ID its ID, as <runtime>://<id>.
	Name, ID string
	// Since is when the stop was written down.
	Since time.Time
	// Hook says that the preStop hook is to be run first.
	Hook bool
}

// AgentPlan is what the agent does for a request.
type AgentPlan struct {
	// Stop is the container to stop, if one is to be stopped now: it stands in the request's status that it is.
	Stop *Stop
	// Status is the request's new status.
	Status v1beta1.ContainerRecreateRequestStatus
	// Wake is when to look again; zero for not before something changes.
	Wake time.Time
}

// Act decides what the agent does for a request.
func Act(f Facts) AgentPlan {
	p := AgentPlan{Status: *f.Request.Status.DeepCopy()}
	if Completed(f.Request) || f.Request.DeletionTimestamp != nil {
		return p
	}
	if first := First(f.Queue); first != f.Request && first.UID != f.Request.UID {
		p.Status.Phase = v1beta1.ContainerRecreateRequestPending
		p.Status.Message = "waits for request " + first.Name + " for the same pod"
		return p
	}
	p.Status.Phase, p.Status.Message = v1beta1.ContainerRecreateRequestRecreating, ""
	p.Status.ContainerRecreateStates = states(f.Request)
	if !p.outOfService(f) {
		return p
	}
	if f.Runtime == nil {
		p.Status.Message = "the container runtime does not answer: " + f.Trouble
		p.Wake = f.Now.Add(poll)
		return p
	}
	p.containers(f)
	p.complete(f)
	return p
}

// outOfService says whether the pod has been out of service for as long as the request wants.
func (p *AgentPlan) outOfService(f Facts) bool {
	grace := strategyOf(f.Request).UnreadyGracePeriodSeconds
	if grace == nil {
		return true
	}
	c := meta.FindStatusCondition(f.Request.Status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace)
	if c == nil || c.Status != metav1.ConditionTrue {
		p.Status.Message = "waits for the manager to take the pod out of service"
		return false
	}
	until := c.LastTransitionTime.Add(time.Duration(*grace) * time.Second)
	if f.Now.Before(until) {
		p.Status.Message = "waits for unreadyGracePeriodSeconds to be over"
		p.Wake = until
		return false
	}
	return true
}

// containers moves each container on. One is stopped at a time; in order, the next one waits until it is recreated.
func (p *AgentPlan) containers(f Facts) {
	ordered := strategyOf(f.Request).OrderedRecreate
	for i := range p.Status.ContainerRecreateStates {
		s := &p.Status.ContainerRecreateStates[i]
		if !final(s.Phase) {
			p.one(f, s, &f.Request.Spec.Containers[i])
		}
		switch {
		case s.Phase == v1beta1.ContainerRecreateRequestFailed && strategyOf(f.Request).FailurePolicy != v1beta1.ContainerRecreateRequestFailurePolicyIgnore:
			return
		case !final(s.Phase) && (ordered || stopping(s)):
			return
		}
	}
}

// stopping says whether a container has been told to stop and has not.
func stopping(s *v1beta1.ContainerRecreateState) bool { return s.StopTime != nil && !s.IsKilled }

// one moves one container on: its stop is written down, carried out, and then its successor is waited for.
func (p *AgentPlan) one(f Facts, s *v1beta1.ContainerRecreateState, c *v1beta1.ContainerRecreateRequestContainer) {
	now, exists := f.Runtime[s.Name]
	if s.ContainerID == "" {
		s.ContainerID = replaced(f.Request, c, now)
	}
	s.Phase = v1beta1.ContainerRecreateRequestRecreating
	if s.StopTime == nil && now.Running && now.ID == s.ContainerID {
		s.StopTime, s.Message = ptr.To(metav1.NewTime(f.Now)), "is being stopped"
		return // it is, once that is written down
	}
	switch attempt := f.Attempts[s.Name]; {
	case stopping(s) && attempt.Running: // also when it ended by itself in the middle of its hook: one is stopped at a time
		s.Message = "is being stopped"
	case exists && now.ID != s.ContainerID:
		s.IsKilled = s.IsKilled || s.StopTime != nil
		p.successor(f, s, now)
	case attempt.Failure != "" && !s.IsKilled:
		s.Phase, s.Message = v1beta1.ContainerRecreateRequestFailed, attempt.Failure
	case stopping(s) && exists && now.Running && !attempt.Done:
		s.Message = "is being stopped"
		p.Stop = &Stop{Name: s.Name, ID: s.ContainerID, Since: s.StopTime.Time, Hook: f.Mine[s.Name] == s.ContainerID}
	default:
		p.gone(f, s, c, now, exists)
	}
}

// replaced is the ID of the container that is to be replaced: the one of the time of the request, unless any will do.
func replaced(r *Request, c *v1beta1.ContainerRecreateRequestContainer, now Container) string {
	if now.ID != "" && (strategyOf(r).ForceRecreate || c.StatusContext == nil) {
		return now.ID
	}
	return ptr.Deref(c.StatusContext, v1beta1.ContainerRecreateRequestContainerContext{}).ContainerID
}

// gone is a container that does not run any more, and has no successor yet.
func (p *AgentPlan) gone(f Facts, s *v1beta1.ContainerRecreateState, c *v1beta1.ContainerRecreateRequestContainer, now Container, exists bool) {
	s.IsKilled = s.IsKilled || s.StopTime != nil
	s.Message = "waits for kubelet to start it again"
	p.Wake = earlier(p.Wake, f.Now.Add(poll))
	if exists && now.Running {
		return // it was stopped, and the runtime has not noticed
	}
	switch {
	case c.RestartPolicy == corev1.ContainerRestartPolicyNever:
		s.Phase, s.Message = v1beta1.ContainerRecreateRequestFailed, "it has stopped, and kubelet does not start it again: its restart policy is Never"
	case c.RestartPolicy == corev1.ContainerRestartPolicyOnFailure && exists && now.ExitCode == 0:
		s.Phase, s.Message = v1beta1.ContainerRecreateRequestFailed, "it has stopped without a failure, and kubelet does not start it again: its restart policy is OnFailure"
	}
}

// successor is a container that took the place of the one that was to be replaced.
func (p *AgentPlan) successor(f Facts, s *v1beta1.ContainerRecreateState, now Container) {
	s.Message = ""
	ready := false
	for i := range f.Request.Status.ContainerStatusSnapshot {
		if seen := &f.Request.Status.ContainerStatusSnapshot[i]; seen.Name == s.Name && seen.ContainerID == now.ID {
			ready = seen.Ready
		}
	}
	least := time.Duration(strategyOf(f.Request).MinStartedSeconds) * time.Second
	switch {
	case !now.Running || least > 0 && now.Started.IsZero():
		s.Message = "its successor does not run"
		p.Wake = earlier(p.Wake, f.Now.Add(poll))
	case f.Now.Before(now.Started.Add(least)):
		s.Message = "its successor has to run for " + seconds(least)
		p.Wake = earlier(p.Wake, now.Started.Add(least))
	case !ready:
		s.Message = "its successor is not ready"
		p.Wake = earlier(p.Wake, f.Now.Add(poll)) // it may be gone before kubelet says anything
	default:
		s.Phase = v1beta1.ContainerRecreateRequestSucceeded
	}
}

// complete ends the request when each container is recreated or has failed, or when one has failed and that ends it.
func (p *AgentPlan) complete(f Facts) {
	failed := ""
	for i := range p.Status.ContainerRecreateStates {
		s := &p.Status.ContainerRecreateStates[i]
		if s.Phase == v1beta1.ContainerRecreateRequestFailed && strategyOf(f.Request).FailurePolicy != v1beta1.ContainerRecreateRequestFailurePolicyIgnore {
			failed = s.Name
			break
		}
		if !final(s.Phase) {
			return
		}
	}
	if failed != "" {
		giveUp(p.Status.ContainerRecreateStates, "given up: container "+failed+" could not be recreated, and failurePolicy is Fail")
	}
	p.Stop, p.Wake = nil, time.Time{}
	p.Status.Phase, p.Status.CompletionTime = v1beta1.ContainerRecreateRequestCompleted, ptr.To(metav1.NewTime(f.Now))
}
