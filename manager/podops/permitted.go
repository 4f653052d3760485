package podops

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/manager/permits"
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
	outages, err := podset.Outages(steps, job.Workload, pods, e.Permits.Asks, e.Clock.Now())
	if err != nil {
		return nil, err
	}
	if len(outages) == 0 {
		return steps, nil
	}
	requests := make([]permits.Request, len(outages))
	for i, o := range outages {
		o.Abroad = job.Owner.Namespace == ""
		requests[i] = permits.Request{Request: o.Request, User: asker}
	}
	answers, err := e.Permits.AskAll(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("%s %d pods: %w", steps[0].Do, len(requests), err)
	}
	return job.Plan.Refuse(steps, outages, answers, e.Clock.Now().Add(askBudgetAgain)), nil
}
