package sidecar

import (
	"hash/fnv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
)

// Pinned is the revision of a set that injectionStrategy.revision names, out of its revisions; nil if it is not among them,
// or if none is named. Where it is named by a custom version, the newest revision of that version counts.
func Pinned(set *v1beta1.SidecarSet, revisions []*appsv1.ControllerRevision) *appsv1.ControllerRevision {
	wanted := set.Spec.InjectionStrategy.Revision
	if wanted == nil {
		return nil
	}
	var found *appsv1.ControllerRevision
	for _, r := range revisions {
		if r.Labels[v1beta1.SidecarSetNameKey] != set.Name || !names(wanted, r) {
			continue
		}
		if found == nil || r.Revision > found.Revision {
			found = r
		}
	}
	return found
}

func names(wanted *v1beta1.SidecarSetInjectRevision, r *appsv1.ControllerRevision) bool {
	if name := wanted.RevisionName; name != nil && *name != "" {
		return r.Name == *name
	}
	version := wanted.CustomVersion
	return version != nil && *version != "" && r.Labels[v1beta1.SidecarSetCustomVersionKey] == *version
}

// IsPinned says whether new pods may get another revision than the newest: a revision is named that the set itself is not.
func IsPinned(set *v1beta1.SidecarSet) bool {
	wanted := set.Spec.InjectionStrategy.Revision
	if wanted == nil {
		return false
	}
	byName := wanted.RevisionName != nil && *wanted.RevisionName != ""
	return byName || wanted.CustomVersion == nil || *wanted.CustomVersion == "" || *wanted.CustomVersion != set.Spec.CustomVersion
}

// GetsPinned says whether a pod gets the pinned revision rather than the newest. With the policy Partial these are the pods
// that updateStrategy would leave as they are: all while it is paused or its partition is a number above 0; those that its
// selector does not select; and the share of a partition in percent. To be in that share is a matter of the pod's name and
// of nothing else (identity stands for a name that the pod does not have yet), and of what the pod says already of itself.
func GetsPinned(set *v1beta1.SidecarSet, pod *corev1.Pod, identity string, pinned *appsv1.ControllerRevision) bool {
	if set.Spec.InjectionStrategy.Revision.Policy != v1beta1.PartialSidecarSetInjectRevisionPolicy {
		return true
	}
	strategy := &set.Spec.UpdateStrategy
	if strategy.Paused {
		return true
	}
	if strategy.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(strategy.Selector)
		return err != nil || !selector.Matches(labels.Set(pod.Labels))
	}
	if strategy.Partition == nil {
		return false
	}
	if strategy.Partition.Type == intstr.Int {
		return strategy.Partition.IntVal > 0
	}
	if record, err := Read(pod); err == nil && record.Hash[set.Name].SidecarSetControllerRevision != "" {
		return record.Hash[set.Name].SidecarSetControllerRevision == pinned.Name
	}
	const parts = 1_000_000
	share, err := budget.Count(*strategy.Partition, parts, budget.Up)
	return err != nil || int(draw(set.Name, pod.Namespace, identity)%parts) < share
}

// draw is a number that follows from a pod's name and looks like chance.
func draw(words ...string) uint64 {
	h := fnv.New64a()
	for _, word := range words {
		_, _ = h.Write([]byte(word)) // a hash never fails to write
		_, _ = h.Write([]byte{'/'})
	}
	// The low bits of an FNV hash of like names are alike.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
