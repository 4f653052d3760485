// Package podops is what the controllers of all workloads have in common: it observes what a workload owns, carries out the
// steps of a podset plan, keeps revisions, has images pulled ahead, and says in events and conditions how things are. What a
// kind calls its reasons and conditions is the kind's own.
//
// Patches name what they change and are guarded by the pod's UID, so that nothing is read before a write, and no write
// meets a conflict in the normal course. A pod that is gone is not an error: the next decision sees it. A conflict is one:
// another pod may have the name by now, or somebody refused, and then nothing would wake the next decision. Every write is
// noted, so that the next decision waits until the cache shows it; one whose answer was lost, until it is known what became
// of it.
package podops

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/slowstart"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
)

// parallel is how many requests of one plan are under way at a time. The API server's priority and fairness decides over
// more than that.
const parallel = 32

// Executor carries out plans.
type Executor struct {
	Client client.Client
	// Live reads from the API server itself. Only a name that is taken is looked up there.
	Live   client.Reader
	Writes *seen.Writes
	Clock  clock.PassiveClock
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
}

// Job is one plan of one workload.
type Job struct {
	// Owner is the workload.
	Owner types.NamespacedName
	// Steps are the plan's steps.
	Steps []podset.Step
	// Pods are the workload's pods, among them those that the steps speak of.
	Pods []*corev1.Pod
	// Workload makes what the steps need.
	Workload podset.Workload
	// Plan is told which of the steps are held up by a budget of their pods.
	Plan *podset.Plan
}

// Result is what became of one step.
type Result struct {
	Step podset.Step
	// Pod is the name of the pod.
	Pod string
	// Err is nil when the step was carried out.
	Err error
}

// A run that takes longer than this is ended, once it has carried out as many steps as this: what was decided at its
// beginning may be wrong by then (the rollout is paused, pods have come back that wait to be put into service), and the status
// says nothing meanwhile.
const (
	enoughTime  = time.Second
	enoughSteps = 4 * parallel
)

// Run carries out the steps in their order, those of one sort side by side: pods are created and deleted one at a time at
// first, since a quota or a protection may refuse it. When a step fails the others of its sort are left for the next decision;
// the sorts behind it are tried all the same, as no step relies on another. A plan that takes long is not carried out to its
// end. The next decision is never far: every step that was carried out changed a pod that the cache has yet to show. Steps that
// a budget does not permit are left out, and the plan is told. It returns what became of the steps that were tried, and an
// error if any failed.
func (e *Executor) Run(ctx context.Context, job Job) ([]Result, error) {
	var results []Result
	var failures []error
	start := e.Clock.Now()
	pods := job.pods()
	for begin := 0; begin < len(job.Steps); {
		end := begin + 1
		for end < len(job.Steps) && job.Steps[end].Do == job.Steps[begin].Do {
			end++
		}
		group, err := e.permitted(ctx, job, pods, job.Steps[begin:end])
		begin = end
		if err != nil {
			failures = append(failures, err)
		}
		outcome := make([]Result, len(group))
		limits := slowstart.Limits{First: parallel, Parallel: parallel, Enough: func(tried int) bool {
			return len(results)+tried >= enoughSteps && e.Clock.Since(start) >= enoughTime
		}}
		if len(group) > 0 && (group[0].Do == podset.Create || group[0].Do == podset.Delete) {
			limits.First = 1
		}
		tried, err := slowstart.Run(ctx, len(group), limits, func(ctx context.Context, i int) error {
			name, err := e.take(ctx, job, pods, group[i])
			outcome[i] = Result{Step: group[i], Pod: name, Err: err}
			return err
		})
		results = append(results, outcome[:tried]...)
		if err != nil {
			failures = append(failures, err)
		}
		if err == nil && tried < len(group) || ctx.Err() != nil {
			break
		}
	}
	return results, errors.Join(failures...)
}

// pods are the pods that the steps speak of, by their UIDs.
func (j *Job) pods() map[types.UID]*corev1.Pod {
	named := map[types.UID]*corev1.Pod{}
	for _, step := range j.Steps {
		if step.Pod != nil {
			named[step.Pod.UID] = nil
		}
	}
	if len(named) == 0 { // nearly always, and there may be many pods
		return nil
	}
	for _, pod := range j.Pods {
		if _, is := named[pod.UID]; is {
			named[pod.UID] = pod
		}
	}
	return named
}

// take carries out one step and returns the pod's name.
func (e *Executor) take(ctx context.Context, job Job, pods map[types.UID]*corev1.Pod, step podset.Step) (string, error) {
	if step.Do == podset.Create {
		return e.create(ctx, job, step)
	}
	pod := pods[step.Pod.UID]
	if pod == nil {
		return step.Pod.Name, fmt.Errorf("%s pod %s: it was not among the pods observed", step.Do, step.Pod.Name)
	}
	log.FromContext(ctx).Info(string(step.Do), "pod", pod.Name, "state", step.State, "revision", step.To, "why", step.Why)
	switch step.Do {
	case podset.Delete:
		return pod.Name, e.delete(ctx, job, pod, step)
	case podset.Expand:
		return pod.Name, e.expand(ctx, job, step)
	case podset.Restore:
		return pod.Name, e.restore(ctx, job, pod, step)
	}
	patches, err := step.Patches(job.Workload, pod, e.Clock.Now())
	if err != nil {
		return pod.Name, err
	}
	return pod.Name, e.patch(ctx, job.Owner, pod, patches)
}

// patch sends the patches, the status first. The next one is sent only where the one before was taken: a pod is never
// changed that was not taken out of service, nor resized while its record does not say so.
func (e *Executor) patch(ctx context.Context, owner types.NamespacedName, pod *corev1.Pod, patches inplace.Patches) error {
	send := func(body []byte, write func(client.Object, client.Patch) error) error {
		if body == nil {
			return nil
		}
		meta := metadataOf(KindPod, pod)
		if err := write(meta, client.RawPatch(types.StrategicMergePatchType, body)); err != nil {
			e.failed(owner, KindPod, pod, err)
			return err
		}
		e.Writes.Wrote(owner, KindPod, meta)
		return nil
	}
	err := send(patches.Status, func(o client.Object, p client.Patch) error { return e.Client.Status().Patch(ctx, o, p) })
	if err == nil {
		err = send(patches.Pod, func(o client.Object, p client.Patch) error { return e.Client.Patch(ctx, o, p) })
	}
	if err == nil {
		err = send(patches.Resize, func(o client.Object, p client.Patch) error { return e.Client.SubResource("resize").Patch(ctx, o, p) })
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("patch pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return nil
}

// create creates the claims and the pod of a slot. A call without an answer is made again under the same name, so that a
// pod which was created all the same is not created twice.
func (e *Executor) create(ctx context.Context, job Job, step podset.Step) (string, error) {
	pod, claims, err := job.Workload.NewPod(step)
	if err != nil {
		return "", err
	}
	for _, claim := range claims {
		if err := e.createOne(ctx, job.Owner, KindClaim, claim); err != nil {
			return pod.Name, err
		}
	}
	log.FromContext(ctx).Info(string(step.Do), "pod", pod.Name, "revision", step.To, "why", step.Why)
	if err := e.createOne(ctx, job.Owner, KindPod, pod); err != nil {
		return pod.Name, err
	}
	return pod.Name, e.open(ctx, job.Owner, pod)
}

// open opens the readiness gates of a pod that was just created. A pod whose creation was answered to nobody is left for the
// next decision, as are all whose gates are closed because this process ended.
func (e *Executor) open(ctx context.Context, owner types.NamespacedName, pod *corev1.Pod) error {
	if pod.UID == "" {
		return nil
	}
	return e.patch(ctx, owner, pod, inplace.Open(pod, e.Clock.Now()))
}

func (e *Executor) createOne(ctx context.Context, owner types.NamespacedName, kind string, obj client.Object) error {
	err := retry.OnError(retry.DefaultBackoff, passing, func() error { return e.Client.Create(ctx, obj) })
	switch {
	case err == nil:
		e.Writes.Wrote(owner, kind, obj)
		return nil
	case apierrors.IsAlreadyExists(err):
		return e.recognise(ctx, owner, kind, obj)
	default:
		e.failed(owner, kind, obj, err)
		return fmt.Errorf("create %s %s: %w", kind, client.ObjectKeyFromObject(obj), err)
	}
}

// recognise looks at the object that has the name of one to create. If it has the same controller, an earlier call made it
// whose answer was lost, and it is noted as written, for the cache need not show it yet. Otherwise the name is taken. What is
// to have no controller, such as a claim that outlives its pod, is what it is to be, whoever made it.
func (e *Executor) recognise(ctx context.Context, owner types.NamespacedName, kind string, obj client.Object) error {
	exists := metadataOf(kind, obj)
	if err := e.Live.Get(ctx, client.ObjectKeyFromObject(obj), exists); err != nil {
		if !apierrors.IsNotFound(err) {
			e.doubt(owner, kind, obj)
		}
		return fmt.Errorf("create %s %s: it exists; look at it: %w", kind, client.ObjectKeyFromObject(obj), err)
	}
	wanted := metav1.GetControllerOfNoCopy(obj)
	switch {
	case wanted != nil && !metav1.IsControlledBy(exists, &metav1.ObjectMeta{UID: wanted.UID}):
		return fmt.Errorf("create %s %s: an object of this name exists, and its controller is another", kind, client.ObjectKeyFromObject(obj))
	case wanted == nil && exists.DeletionTimestamp != nil:
		return fmt.Errorf("create %s %s: an object of this name exists, and is being deleted", kind, client.ObjectKeyFromObject(obj))
	}
	e.Writes.Wrote(owner, kind, exists)
	return nil
}

// unknownOutcome says whether a call may have been carried out although it failed: it had no answer, or one that speaks of
// the server's trouble and not of the call.
func unknownOutcome(err error) bool {
	var answer apierrors.APIStatus
	if !errors.As(err, &answer) {
		return true
	}
	code := answer.Status().Code
	return code < http.StatusBadRequest || code == http.StatusRequestTimeout || code >= http.StatusInternalServerError
}

// passing says whether a call failed for a cause that tends to pass in a moment.
func passing(err error) bool {
	return apierrors.IsTimeout(err) || apierrors.IsServerTimeout(err) || apierrors.IsUnexpectedServerError(err) ||
		utilnet.IsConnectionReset(err) || utilnet.IsProbableEOF(err)
}

// failed notes a write that failed and may have been carried out all the same.
func (e *Executor) failed(owner types.NamespacedName, kind string, obj client.Object, err error) {
	if unknownOutcome(err) {
		e.doubt(owner, kind, obj)
	}
}

// doubt notes that an object may have been written. The next decision waits until that is known.
func (e *Executor) doubt(owner types.NamespacedName, kind string, obj client.Object) {
	meta := metadataOf(kind, obj)
	meta.SetUID(obj.GetUID())
	e.Writes.Doubted(owner, kind, meta)
}

// delete deletes a pod and the claims of its slot.
func (e *Executor) delete(ctx context.Context, job Job, pod *corev1.Pod, step podset.Step) error {
	if err := e.deleteOne(ctx, job.Owner, KindPod, pod); err != nil {
		return err
	}
	for _, claim := range job.Workload.ClaimsOf(step) {
		if err := e.deleteOne(ctx, job.Owner, KindClaim, claim); err != nil {
			return err
		}
	}
	return nil
}

func (e *Executor) deleteOne(ctx context.Context, owner types.NamespacedName, kind string, obj client.Object) error {
	uid := obj.GetUID()
	err := e.Client.Delete(ctx, obj, client.Preconditions{UID: &uid})
	if client.IgnoreNotFound(err) != nil {
		e.failed(owner, kind, obj, err)
		return fmt.Errorf("delete %s %s: %w", kind, client.ObjectKeyFromObject(obj), err)
	}
	e.Writes.Deleted(owner, kind, obj)
	return nil
}

// DeleteClaims deletes claims that no pod has.
func (e *Executor) DeleteClaims(ctx context.Context, owner types.NamespacedName, claims []*corev1.PersistentVolumeClaim) error {
	_, err := slowstart.Run(ctx, len(claims), slowstart.Limits{First: 1, Parallel: parallel}, func(ctx context.Context, i int) error {
		return e.deleteOne(ctx, owner, KindClaim, claims[i])
	})
	return err
}

// metadataOf names an object for a request. The answer is decoded as metadata alone, which is all that is looked at.
func metadataOf(kind string, obj client.Object) *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
	meta.SetNamespace(obj.GetNamespace())
	meta.SetName(obj.GetName())
	return meta
}
