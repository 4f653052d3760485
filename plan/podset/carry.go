package podset

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/revision"
)

// Workload knows how its pods look. Whoever carries out steps asks it.
type Workload interface {
	// NewPod makes the pod of a step that creates one, and the claims that must be created before it.
	NewPod(step Step) (*corev1.Pod, []*corev1.PersistentVolumeClaim, error)
	// Target tells where a step that updates a pod in place leads to.
	Target(pod *corev1.Pod, step Step) (inplace.Target, error)
	// ClaimsOf lists the claims that are deleted with the pod of a step.
	ClaimsOf(step Step) []*corev1.PersistentVolumeClaim
}

// Grower is a workload whose claims grow with their templates.
type Grower interface {
	// Growth makes the patches of claims by which a step that expands them is carried out.
	Growth(step Step) ([]ClaimPatch, error)
}

// Restorer is a workload whose pods have more of their slots than their template says.
type Restorer interface {
	// Restoration is what a step that restores a pod changes in it (a strategic merge patch, guarded by the pod's UID; nil for
	// nothing), and the claims that it creates.
	Restoration(step Step, pod *corev1.Pod) ([]byte, []*corev1.PersistentVolumeClaim, error)
}

// Patcher is a workload that makes the patches of its steps itself, since its pods are not its own.
type Patcher interface {
	// PodPatches are what a step changes in its pod.
	PodPatches(step Step, pod *corev1.Pod, now time.Time) (inplace.Patches, error)
}

// ClaimPatch changes a claim.
type ClaimPatch struct {
	// Slot is that of the pod whose claim it is.
	Slot  string
	Claim *corev1.PersistentVolumeClaim
	// Body is a strategic merge patch, guarded by the claim's UID.
	Body []byte
}

// Patches are what a step changes in its pod.
func (s Step) Patches(w Workload, pod *corev1.Pod, now time.Time) (inplace.Patches, error) {
	if p, ok := w.(Patcher); ok {
		return p.PodPatches(s, pod, now)
	}
	switch s.Do {
	case Update:
		target, err := w.Target(pod, s)
		if err != nil {
			return inplace.Patches{}, err
		}
		return inplace.Begin(pod, target, now)
	case Apply:
		return inplace.Continue(pod, now)
	case Settle:
		return inplace.Settle(pod, s.State, revision.ShortHash(s.Pod.Revision), now), nil
	case Move:
		return inplace.Move(pod, inplace.Moving{To: s.State, Specified: s.Specified, LeavesClaims: s.KeepClaims, NotReady: s.NotReady}, now), nil
	default:
		return inplace.Patches{}, fmt.Errorf("pod %s/%s: no patch does %q", pod.Namespace, pod.Name, s.Do)
	}
}

// Prepare makes a pod out of a template as every workload of ours has it: with the revision, in the first state of its
// life cycle, and with the readiness gates by which it is to be taken out of service.
func Prepare(pod *corev1.Pod, revisionLabel, hash string, hooks *v1beta1.Lifecycle, gates ...corev1.PodConditionType) {
	if pod.Labels == nil {
		pod.Labels = map[string]string{}
	}
	pod.Labels["controller-revision-hash"] = revisionLabel
	pod.Labels[v1beta1.DefaultPodTemplateHashLabel] = hash
	pod.Labels[v1beta1.LifecycleStateKey] = string(lifecycle.First(lifecycle.HoldsOf(hooks, pod)))
	for _, gate := range gates {
		if !inplace.HasGate(pod, gate) {
			pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
		}
	}
}
