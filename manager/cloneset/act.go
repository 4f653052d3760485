package cloneset

import (
	"context"
	"fmt"
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// controllerKind is the kind in the owner references of pods, claims and revisions.
var controllerKind = v1beta1.GroupVersion.WithKind("CloneSet")

// Act makes sure that the newest revision exists, carries out the plan, and tidies up.
func (w *work) Act(ctx context.Context) error {
	if err := w.ensureRevision(ctx); err != nil {
		return err
	}
	for _, pod := range w.strays {
		if err := w.Release(ctx, w.key, w.set.UID, pod); err != nil {
			return err
		}
	}
	var err error
	w.results, err = w.Run(ctx, podops.Job{
		Owner: w.key, Steps: w.plan.Steps, Pods: w.byUID, Make: w.makePod, Target: w.target,
		Claims: func(slot string) []*corev1.PersistentVolumeClaim { return w.claimsOf[slot] },
	})
	if err != nil {
		return err
	}
	return w.tidy(ctx)
}

// ensureRevision creates the newest revision, or brings an older one that equals it to the front of the history.
func (w *work) ensureRevision(ctx context.Context) error {
	next := revision.Next(w.history)
	if w.newest != nil {
		if w.newest.Revision == next-1 {
			return nil
		}
		return w.renumber(ctx, next)
	}
	r := &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.set.Namespace, Name: w.updateRevision,
			Labels:          maps.Clone(w.set.Spec.Template.Labels),
			Annotations:     maps.Clone(w.set.Annotations),
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(w.set, controllerKind)},
		},
		Data: runtime.RawExtension{Raw: w.data}, Revision: next,
	}
	if r.Labels == nil {
		r.Labels = map[string]string{}
	}
	r.Labels[revision.HashLabel] = revision.ShortHash(r.Name)
	delete(r.Annotations, corev1.LastAppliedConfigAnnotation)
	err := w.Client.Create(ctx, r)
	if apierrors.IsAlreadyExists(err) {
		// Found in the cache, it is another's or holds other data, or else it would have been found by its template: the
		// next hash counts the collision in. Not found there, the cache lags behind, and trying again finds it.
		if _, taken := w.Controller.revisions.Get(client.ObjectKeyFromObject(r)); taken {
			count := collisions(w.collisionCount) + 1
			w.collisionCount = &count
		}
	}
	if err != nil {
		return fmt.Errorf("create controller revision %s: %w", r.Name, err)
	}
	w.Writes.Wrote(w.key, kindRevision, r)
	w.newest = r
	return nil
}

func (w *work) renumber(ctx context.Context, number int64) error {
	body := fmt.Sprintf(`{"metadata":{"uid":%q},"revision":%d}`, w.newest.UID, number)
	r := w.newest.DeepCopy()
	if err := w.Client.Patch(ctx, r, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		return fmt.Errorf("renumber controller revision %s: %w", r.Name, err)
	}
	w.Writes.Wrote(w.key, kindRevision, r)
	return nil
}

// makePod makes the pod of a slot, and its claims.
func (w *work) makePod(step podset.Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error) {
	template, err := w.templateOf(step.To)
	if err != nil {
		return nil, nil, err
	}
	owner := *metav1.NewControllerRef(w.set, controllerKind)
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	key := w.podKey(step.Slot)
	pod.Namespace, pod.Name, pod.GenerateName = key.Namespace, key.Name, ""
	pod.OwnerReferences = append(pod.OwnerReferences, owner)
	podops.Prepare(pod, step.To, revision.ShortHash(step.To))
	pod.Labels[v1beta1.CloneSetInstanceID] = step.Slot

	var claims []*corev1.PersistentVolumeClaim
	for i := range w.set.Spec.VolumeClaimTemplates {
		claim := w.set.Spec.VolumeClaimTemplates[i].DeepCopy()
		name := claim.Name
		claim.Namespace, claim.Name = w.set.Namespace, name+"-"+w.set.Name+"-"+step.Slot
		claim.Labels = maps.Clone(claim.Labels)
		if claim.Labels == nil {
			claim.Labels = map[string]string{}
		}
		maps.Copy(claim.Labels, w.set.Spec.Selector.MatchLabels)
		claim.Labels[v1beta1.CloneSetInstanceID] = step.Slot
		claim.OwnerReferences = []metav1.OwnerReference{owner}
		mount(&pod.Spec, name, claim.Name)
		if !slices.ContainsFunc(w.claimsOf[step.Slot], func(c *corev1.PersistentVolumeClaim) bool { return c.Name == claim.Name }) {
			claims = append(claims, claim)
		}
	}
	return pod, claims, nil
}

// mount gives a pod the volume of a claim, in place of one of the same name that the template may have.
func mount(pod *corev1.PodSpec, volume, claim string) {
	v := corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}
	for i := range pod.Volumes {
		if pod.Volumes[i].Name == volume {
			pod.Volumes[i] = v
			return
		}
	}
	pod.Volumes = append(pod.Volumes, v)
}

// target tells where an update in place leads to.
func (w *work) target(pod *corev1.Pod, step podset.Step) (inplace.Target, error) {
	template, err := w.templateOf(step.To)
	if err != nil {
		return inplace.Target{}, err
	}
	t := inplace.Target{
		Revision: step.To, Hash: revision.ShortHash(step.To), Template: template,
		Change: w.change(step.Pod.Revision),
		Hooked: w.set.Spec.Lifecycle != nil && lifecycle.Hooked(w.set.Spec.Lifecycle.InPlaceUpdate),
	}
	if r := w.set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		t.GraceSeconds = r.InPlaceUpdateStrategy.GracePeriodSeconds
	}
	return t, nil
}

// tidy deletes revisions beyond the limit and claims that nobody may use again, and takes names of pods that are gone
// off podsToDelete.
func (w *work) tidy(ctx context.Context) error {
	live := map[string]bool{w.updateRevision: true, w.currentRevision: true}
	for _, pod := range w.pods {
		live[pod.Labels[appsv1.ControllerRevisionHashLabelKey]] = true
	}
	limit := 10
	if w.set.Spec.RevisionHistoryLimit != nil {
		limit = int(*w.set.Spec.RevisionHistoryLimit)
	}
	isLive := func(name string) bool { return live[name] || live[revision.ShortHash(name)] }
	for _, r := range revision.Expired(w.history, isLive, limit) {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, r, client.Preconditions{UID: &r.UID})); err != nil {
			return fmt.Errorf("delete controller revision %s: %w", r.Name, err)
		}
		w.Writes.Deleted(w.key, kindRevision, r)
	}
	if !w.set.Spec.ScaleStrategy.EnablePVCReuse {
		var idle []*corev1.PersistentVolumeClaim
		for _, id := range w.idleClaims() {
			if !terminating(w.claimsOf[id]) {
				idle = append(idle, w.claimsOf[id]...)
			}
		}
		if err := w.DeleteClaims(ctx, w.key, idle); err != nil {
			return err
		}
	}
	return w.forgetDeletedPods(ctx)
}

// idleClaims lists the instance ids of claims that no pod has, in order. A pod that the set let go of keeps its claims.
func (w *work) idleClaims() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(w.claimsOf)), func(id string) bool {
		_, exists := w.Controller.pods.Get(w.podKey(id))
		return exists || w.slots[id]
	})
}

func terminating(claims []*corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claims, func(c *corev1.PersistentVolumeClaim) bool { return c.DeletionTimestamp != nil })
}

// forgetDeletedPods takes the names of pods that are gone off podsToDelete. The patch is made against what was read, so
// that names which a user adds meanwhile are not lost.
func (w *work) forgetDeletedPods(ctx context.Context) error {
	names := map[string]bool{}
	for _, pod := range w.pods {
		names[pod.Name] = true
	}
	left := slices.DeleteFunc(slices.Clone(w.set.Spec.ScaleStrategy.PodsToDelete), func(name string) bool { return !names[name] })
	if len(left) == len(w.set.Spec.ScaleStrategy.PodsToDelete) {
		return nil
	}
	after := w.set.DeepCopy()
	after.Spec.ScaleStrategy.PodsToDelete = left
	patch := client.MergeFromWithOptions(w.set, client.MergeFromWithOptimisticLock{})
	if err := w.Client.Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("take deleted pods off spec.scaleStrategy.podsToDelete: %w", err)
	}
	w.Writes.Wrote(w.key, kindCloneSet, after)
	return nil
}
