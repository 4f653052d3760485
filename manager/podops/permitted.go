package podops

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

const (
	// asker is who asks budgets, as they count it.
	asker = "kruise-manager"
	// askBudgetAgain is when a step is tried again that a budget held up.
	askBudgetAgain = 2 * time.Second
)

// permitted are the steps of one sort that the budgets of their pods let happen, in the same order. What they hold up is noted
// in the plan, and is no failure. The webhook, which deletions meet once more, finds them permitted already.
func (e *Executor) permitted(ctx context.Context, job Job, pods map[types.UID]*corev1.Pod, steps []podset.Step) ([]podset.Step, error) {
	if e.Permits.Quiet(job.Owner.Namespace) {
		return steps, nil
	}
	var requests []permits.Request
	places := map[int]int{} // of requests among the steps
	for i, step := range steps {
		operation, asks, err := e.takesOut(job, pods, step)
		if err != nil {
			return nil, err
		}
		if asks {
			places[len(requests)] = i
			requests = append(requests, permits.Request{
				Request: disruption.Request{Operation: operation, Pod: pods[step.Pod.UID]}, User: asker,
			})
		}
	}
	if len(requests) == 0 {
		return steps, nil
	}
	answers, err := e.Permits.AskAll(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("%s %d pods: %w", steps[0].Do, len(requests), err)
	}
	refused := map[int]bool{}
	held := map[string][]podset.Step{}
	var reasons []string
	for i, answer := range answers {
		if answer.Permitted {
			continue
		}
		at := places[i]
		refused[at] = true
		if held[answer.Brief] == nil {
			reasons = append(reasons, answer.Brief)
		}
		held[answer.Brief] = append(held[answer.Brief], steps[at])
	}
	for _, why := range reasons {
		if job.Plan != nil {
			job.Plan.Hold(held[why], why, e.Clock.Now().Add(askBudgetAgain))
		}
	}
	var out []podset.Step
	for i, step := range steps {
		if !refused[i] {
			out = append(out, step)
		}
	}
	return out, nil
}

// takesOut says whether a step takes a pod out of service, and by which operation.
func (e *Executor) takesOut(job Job, pods map[types.UID]*corev1.Pod, step podset.Step) (policyv1beta1.PubOperation, bool, error) {
	if step.Pod == nil || pods[step.Pod.UID] == nil {
		return "", false, nil
	}
	switch {
	case step.Do == podset.Delete || step.Do == podset.Move && step.NotReady && step.State == lifecycle.PreparingDelete:
		return policyv1beta1.PubDeleteOperation, e.Permits.Asks(policyv1beta1.PubDeleteOperation), nil
	case step.Do == podset.Move && step.NotReady:
		return policyv1beta1.PubUpdateOperation, e.Permits.Asks(policyv1beta1.PubUpdateOperation), nil
	case step.Do != podset.Update || !e.Permits.Asks(policyv1beta1.PubUpdateOperation):
		return "", false, nil
	}
	patches, err := step.Patches(job.Workload, pods[step.Pod.UID], e.Clock.Now())
	switch {
	case err != nil:
		return "", false, err
	case patches.Restarts:
		return policyv1beta1.PubUpdateOperation, true, nil
	default:
		return policyv1beta1.PubResizeOperation, len(patches.Resize) > 0, nil
	}
}
