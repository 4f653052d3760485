package podunavailablebudget

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/slowstart"
	"kruise.io/kruise/plan/disruption"
)

// The reasons of events, which clients may rely on.
const (
	reasonNoPods     = "NoPods"
	reasonUncounted  = "CalculateExpectedPodCountFailed"
	reasonNotDeleted = "NotDeleted"
)

const (
	// parallel is how many pods are tied at a time.
	parallel = 16
	// askAgain is when to ask again how many pods there should be, where that is not known.
	askAgain = 10 * time.Second
)

// work is one reconcile of one budget.
type work struct {
	*Controller
	budget *v1beta1.PodUnavailableBudget

	facts disruption.Facts
	// untied are pods of the budget that remember none that exists.
	untied []*corev1.Pod
	// unknown says why nobody knows how many pods there should be.
	unknown error
	counted disruption.Counted
}

// Observe implements loop.Work.
func (w *work) Observe(ctx context.Context) error {
	if err := w.workloads.begin(); err != nil {
		return err
	}
	if err := w.observePods(ctx); err != nil {
		return err
	}
	w.facts.Away = map[string]bool{}
	for _, name := range disruption.Overdue(w.budget, w.loop.Clock.Now()) {
		pod := &corev1.Pod{}
		err := w.live.Get(ctx, types.NamespacedName{Namespace: w.budget.Namespace, Name: name}, pod)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("look up whether pod %s, which was permitted to go, is there: %w", name, err)
		}
		w.facts.Away[name] = err != nil || !disruption.Available(pod)
	}
	return nil
}

// observePods finds the pods of the budget, how many there should be, and which are not tied to it yet.
func (w *work) observePods(ctx context.Context) (err error) {
	if target, named := disruption.Target(w.budget); named {
		err = w.observeTarget(ctx, target)
	} else {
		err = w.observeSelected(ctx)
	}
	if err != nil {
		return err
	}
	budgets, err := w.budgets.InNamespace(w.budget.Namespace)
	if err != nil {
		return err
	}
	exists := map[string]bool{}
	for _, b := range budgets {
		exists[b.Name] = b.DeletionTimestamp == nil
	}
	for _, pod := range w.facts.Pods {
		if exists[disruption.Remembered(pod)] || !disruption.Active(pod) {
			continue
		}
		if of := disruption.Of(pod, budgets); of == nil || of.Name == w.budget.Name {
			w.untied = append(w.untied, pod)
		}
	}
	return nil
}

// observeTarget finds the pods of the workload that the budget names.
func (w *work) observeTarget(ctx context.Context, target disruption.Workload) (err error) {
	if w.facts.Pods, err = w.pods.By(byWorkload(), workloadKey(w.budget.Namespace, target)); err != nil {
		return err
	}
	scaled, err := w.workloads.scaleOf(ctx, w.budget.Namespace, target)
	if err != nil {
		w.unknown = err
		if _, stated := disruption.Total(w.budget); stated {
			w.unknown = nil
		}
		return nil
	}
	w.facts.Workloads, w.facts.Ended = scaled.replicas, !scaled.exists
	if target.Direct() || scaled.selector == nil {
		return nil
	}
	pods, err := w.pods.InNamespace(w.budget.Namespace)
	if err != nil {
		return err
	}
	w.facts.Pods = nil
	for _, pod := range pods {
		if scaled.selector.Matches(labels.Set(pod.Labels)) {
			w.facts.Pods = append(w.facts.Pods, pod)
		}
	}
	return nil
}

// observeSelected finds the pods that the budget selects. There should be as many as their workloads want; a pod without a
// workload is one that should be there.
func (w *work) observeSelected(ctx context.Context) error {
	pods, err := w.pods.InNamespace(w.budget.Namespace)
	if err != nil {
		return err
	}
	_, stated := disruption.Total(w.budget)
	seen := map[disruption.Workload]bool{}
	for _, pod := range pods {
		if !disruption.Selects(w.budget, pod) {
			continue
		}
		w.facts.Pods = append(w.facts.Pods, pod)
		if stated || !disruption.Active(pod) || w.unknown != nil {
			continue
		}
		workload, owned := disruption.WorkloadOf(pod)
		if !owned {
			w.facts.Workloads++
			continue
		}
		if seen[workload] {
			continue
		}
		seen[workload] = true
		scaled, err := w.workloads.scaleOf(ctx, pod.Namespace, workload)
		if controller, _ := disruption.ControllerOf(pod); err == nil && !scaled.exists && controller != workload { // the Deployment left it
			scaled, err = w.workloads.scaleOf(ctx, pod.Namespace, controller)
		}
		if err != nil {
			w.unknown = err
			continue
		}
		w.facts.Workloads += scaled.replicas
	}
	return nil
}

// Decide implements loop.Work.
func (w *work) Decide(now time.Time) (err error) {
	w.facts.Now = now
	w.counted, err = disruption.Count(w.budget, w.facts)
	if err != nil { // let in by others, perhaps: no pod may go until the spec is changed
		w.unknown = err
	}
	return nil
}

// Act implements loop.Work: it ties pods that existed before the budget, or that missed it when they were created.
func (w *work) Act(ctx context.Context) error {
	_, err := slowstart.Run(ctx, len(w.untied), slowstart.Limits{First: parallel, Parallel: parallel}, func(ctx context.Context, i int) error {
		return w.tie(ctx, w.untied[i])
	})
	return err
}

func (w *work) tie(ctx context.Context, pod *corev1.Pod) error {
	log.FromContext(ctx).V(1).Info("Tie", "pod", pod.Name)
	tied := &corev1.Pod{}
	disruption.Tie(tied, w.budget)
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "annotations": tied.Annotations}})
	if err != nil {
		return fmt.Errorf("tie pod %s/%s to its budget: %w", pod.Namespace, pod.Name, err)
	}
	meta := podMetadata(pod)
	if err := w.client.Patch(ctx, meta, client.RawPatch(types.MergePatchType, body)); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return nil
		}
		return fmt.Errorf("tie pod %s/%s to its budget: %w", pod.Namespace, pod.Name, err)
	}
	w.writes.Wrote(client.ObjectKeyFromObject(w.budget), kindPod, meta)
	return nil
}

// Report implements loop.Work.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.PodUnavailableBudget] {
	report := loop.Report[*v1beta1.PodUnavailableBudget]{Wake: w.counted.Wake, Items: len(w.facts.Pods)}
	if w.counted.Status.ObservedGeneration == 0 { // nothing was counted
		return report
	}
	report.Object = w.budget.DeepCopy()
	report.Object.Status = w.counted.Status
	if w.unknown != nil {
		report.Object.Status = disruption.Uncounted(w.budget)
		if again := now.Add(askAgain); report.Wake.IsZero() || again.Before(report.Wake) {
			report.Wake = again
		}
		report.Events = append(report.Events, loop.Event{
			Warning: true, Reason: reasonUncounted, Action: "Count", Once: reasonUncounted,
			Note: fmt.Sprintf("no pod may go, since it is not known how many there should be: %.800v", w.unknown),
		})
		return report
	}
	if len(w.facts.Pods) == 0 && failure == nil {
		report.Events = append(report.Events, loop.Event{Reason: reasonNoPods, Action: "Count", Note: "there are no pods that it is for", Once: reasonNoPods})
	}
	for _, name := range w.counted.Stayed {
		pod, exists := w.pods.Get(types.NamespacedName{Namespace: w.budget.Namespace, Name: name})
		if !exists {
			continue
		}
		report.Events = append(report.Events, loop.Event{
			Warning: true, Reason: reasonNotDeleted, Action: "Delete", About: pod,
			Note: fmt.Sprintf("PodUnavailableBudget %s permitted its deletion, and it did not come: the permission is given back", w.budget.Name),
		})
	}
	return report
}
