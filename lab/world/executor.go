package world

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// Owner is what the executor must know of a workload to carry out its steps.
type Owner struct {
	// Name begins the names of pods.
	Name string
	// SlotLabel is the label that holds a pod's slot.
	SlotLabel string
	// Template returns the template of a revision.
	Template func(revision string) (*corev1.PodTemplateSpec, error)
	// Hooks are the life-cycle hooks.
	Hooks *v1beta1.Lifecycle
	// GraceSeconds is the grace period of updates in place.
	GraceSeconds int32
}

// Write is one request to the API.
type Write func() error

// Do carries out a step. That a pod is gone by now is no error: the next decision sees it.
func (w *World) Do(o Owner, s podset.Step) error {
	writes, err := w.Writes(o, s)
	if err != nil {
		return err
	}
	for _, write := range writes {
		if err := write(); err != nil {
			if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
				return nil
			}
			return fmt.Errorf("%s %s: %w", s.Do, o.Name, err)
		}
	}
	return nil
}

// Writes are the requests that carry out a step, made from the pod as it is now.
func (w *World) Writes(o Owner, s podset.Step) ([]Write, error) {
	if s.Do == podset.Create {
		template, err := o.Template(s.To)
		if err != nil {
			return nil, err
		}
		return []Write{func() error { return w.Create(newPod(o, s, template)) }}, nil
	}
	pod := w.Pod(s.Pod.Name)
	if pod == nil || pod.UID != s.Pod.UID {
		return nil, nil
	}
	if s.Do == podset.Delete {
		return []Write{func() error { return w.Delete(pod.Name, pod.UID) }}, nil
	}
	patches, err := w.patches(o, s, pod)
	if err != nil {
		return nil, err
	}
	var writes []Write
	if patches.Status != nil {
		writes = append(writes, func() error { return w.PatchStatus(pod.Name, patches.Status) })
	}
	if patches.Pod != nil {
		writes = append(writes, func() error { return w.PatchPod(pod.Name, patches.Pod) })
	}
	return writes, nil
}

func (w *World) patches(o Owner, s podset.Step, pod *corev1.Pod) (inplace.Patches, error) {
	switch s.Do {
	case podset.Move:
		if s.Specified {
			return inplace.Retire(pod, w.Now), nil
		}
		return inplace.Move(pod, s.State, w.Now), nil
	case podset.Apply:
		return inplace.Apply(pod)
	case podset.Settle:
		return inplace.Settle(pod, s.State, revision.ShortHash(s.Pod.Revision), w.Now), nil
	case podset.Update:
		target, err := o.target(pod, s.To)
		if err != nil {
			return inplace.Patches{}, err
		}
		return inplace.Begin(pod, target, w.Now)
	default:
		return inplace.Patches{}, fmt.Errorf("pod %s: no way to do %q", pod.Name, s.Do)
	}
}

func (o Owner) target(pod *corev1.Pod, to string) (inplace.Target, error) {
	before, err := o.Template(pod.Labels["controller-revision-hash"])
	if err != nil {
		return inplace.Target{}, err
	}
	after, err := o.Template(to)
	if err != nil {
		return inplace.Target{}, err
	}
	change, err := inplace.Compare(before, after)
	return inplace.Target{
		Revision: to, Hash: revision.ShortHash(to), Template: after, Change: change,
		GraceSeconds: o.GraceSeconds, Hooked: o.Hooks != nil && lifecycle.Hooked(o.Hooks.InPlaceUpdate),
	}, err
}

func newPod(o Owner, s podset.Step, template *corev1.PodTemplateSpec) *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: *template.ObjectMeta.DeepCopy(), Spec: *template.Spec.DeepCopy()}
	pod.ObjectMeta = metav1.ObjectMeta{
		Name: o.Name + "-" + s.Slot, Labels: pod.Labels, Annotations: pod.Annotations, Finalizers: pod.Finalizers,
	}
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["controller-revision-hash"] = s.To
	pod.Labels[v1beta1.DefaultPodTemplateHashLabel] = revision.ShortHash(s.To)
	pod.Labels[v1beta1.LifecycleStateKey] = string(lifecycle.PreparingNormal)
	pod.Labels[o.SlotLabel] = s.Slot
	pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: v1beta1.InPlaceUpdateReady})
	return pod
}
