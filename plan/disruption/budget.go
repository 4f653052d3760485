package disruption

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/api/policy/v1beta1"
)

// Operations are the operations that spend a budget: those of the field, or else of the annotation, or else DELETE, UPDATE and
// EVICT.
func Operations(b *v1beta1.PodUnavailableBudget) []v1beta1.PubOperation {
	if len(b.Spec.ProtectOperations) > 0 {
		return b.Spec.ProtectOperations
	}
	if of := AnnotatedOperations(b); len(of) > 0 {
		return of
	}
	return []v1beta1.PubOperation{v1beta1.PubDeleteOperation, v1beta1.PubUpdateOperation, v1beta1.PubEvictOperation}
}

// AnnotatedOperations are those of the annotation kruise.io/pub-protect-operations.
func AnnotatedOperations(b *v1beta1.PodUnavailableBudget) []v1beta1.PubOperation {
	var out []v1beta1.PubOperation
	for word := range strings.SplitSeq(b.Annotations[v1beta1.PubProtectOperationsKey], ",") {
		if word = strings.TrimSpace(word); word != "" {
			out = append(out, v1beta1.PubOperation(word))
		}
	}
	return out
}

// Protects says whether an operation spends a budget. Unless resizes are told apart, UPDATE stands for RESIZE, too.
func Protects(b *v1beta1.PodUnavailableBudget, o v1beta1.PubOperation, resizesApart bool) bool {
	of := Operations(b)
	return slices.Contains(of, o) ||
		o == v1beta1.PubResizeOperation && !resizesApart && slices.Contains(of, v1beta1.PubUpdateOperation)
}

// Total is the total that a budget states itself: that of the field, or else of the annotation. What is no positive integer
// counts as none.
func Total(b *v1beta1.PodUnavailableBudget) (total int, stated bool) {
	if b.Spec.ProtectTotalReplicas != nil {
		return int(*b.Spec.ProtectTotalReplicas), true
	}
	n, err := strconv.ParseInt(b.Annotations[v1beta1.PubProtectTotalReplicasKey], 10, 32)
	return int(n), err == nil && n > 0
}

// Workload names the workload of a pod.
type Workload struct{ Group, Kind, Name string }

// ControllerOf is the controller of a pod; ok is false for a pod that has none.
func ControllerOf(pod *corev1.Pod) (w Workload, ok bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return w, false
	}
	w = Workload{Kind: ref.Kind, Name: ref.Name}
	if group, err := schema.ParseGroupVersion(ref.APIVersion); err == nil {
		w.Group = group.Group
	}
	return w, true
}

// WorkloadOf is the workload that a pod belongs to: its controller or, where that is the ReplicaSet of a Deployment, the
// Deployment, whose name the ReplicaSet's begins with. ok is false for a pod that nobody controls.
func WorkloadOf(pod *corev1.Pod) (w Workload, ok bool) {
	w, ok = ControllerOf(pod)
	hash := pod.Labels["pod-template-hash"]
	if name, is := strings.CutSuffix(w.Name, "-"+hash); is && hash != "" && w.Group == "apps" && w.Kind == "ReplicaSet" {
		w.Kind, w.Name = "Deployment", name
	}
	return w, ok
}

// Direct says whether pods of a workload are known by their controller, as WorkloadOf tells it. Those of others may belong to
// something between.
func (w Workload) Direct() bool {
	switch w {
	case Workload{"apps", "Deployment", w.Name}, Workload{"apps", "ReplicaSet", w.Name}, Workload{"apps", "StatefulSet", w.Name},
		Workload{"apps", "DaemonSet", w.Name}, Workload{"", "ReplicationController", w.Name}, Workload{"batch", "Job", w.Name}:
		return true
	}
	return w.Group == appsv1beta1.GroupName && (w.Kind == "CloneSet" || w.Kind == "StatefulSet" || w.Kind == "DaemonSet" || w.Kind == "BroadcastJob")
}

// Target is the workload that a budget names; ok is false where it selects pods by their labels.
func Target(b *v1beta1.PodUnavailableBudget) (w Workload, ok bool) {
	ref := b.Spec.TargetReference
	if ref == nil {
		return w, false
	}
	w = Workload{Kind: ref.Kind, Name: ref.Name}
	if group, err := schema.ParseGroupVersion(ref.APIVersion); err == nil {
		w.Group = group.Group
	}
	return w, true
}

// Selects says whether a pod is one of those that a budget is for. Of a workload whose pods belong to something else between
// them, it cannot know.
func Selects(b *v1beta1.PodUnavailableBudget, pod *corev1.Pod) bool {
	if b.Namespace != pod.Namespace || b.DeletionTimestamp != nil {
		return false
	}
	if target, named := Target(b); named {
		is, owned := WorkloadOf(pod)
		return owned && is == target
	}
	return matches(b.Spec.Selector, pod.Labels)
}

// Counts says whether a budget counts a pod, as far as the pod tells: where Selects cannot know, the pod remembers.
func Counts(b *v1beta1.PodUnavailableBudget, pod *corev1.Pod) bool {
	target, named := Target(b)
	return Selects(b, pod) || named && !target.Direct() && Remembered(pod) == b.Name
}

// Of is the budget of a pod among those of its namespace: the one that the pod remembers or, where there is none of that name,
// the oldest that selects it. Nil: the pod has none.
func Of(pod *corev1.Pod, budgets []*v1beta1.PodUnavailableBudget) *v1beta1.PodUnavailableBudget {
	remembered := Remembered(pod)
	var first *v1beta1.PodUnavailableBudget
	for _, b := range budgets {
		switch {
		case b.Name == remembered && b.DeletionTimestamp == nil:
			return b
		case Selects(b, pod) && (first == nil || older(b, first) < 0):
			first = b
		}
	}
	return first
}

func older(a, b *v1beta1.PodUnavailableBudget) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
}

// Remembered is the name of the budget that a pod was tied to.
func Remembered(pod *corev1.Pod) string {
	return cmp.Or(pod.Annotations[v1beta1.PodRelatedPubKey], pod.Annotations[v1beta1.PodRelatedPubKeyOld])
}

// Exempt says whether a pod is neither counted nor protected by a budget.
func Exempt(b *v1beta1.PodUnavailableBudget, pod *corev1.Pod) bool {
	if free, err := strconv.ParseBool(pod.Annotations[v1beta1.PodNoProtectKey]); err == nil && free {
		return true
	}
	return b.Spec.IgnoredPodSelector != nil && matches(b.Spec.IgnoredPodSelector, pod.Labels)
}

// matches says whether a selector selects labels. One that is empty or cannot be understood selects nothing.
func matches(s *metav1.LabelSelector, set map[string]string) bool {
	if s == nil || len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		return false
	}
	for key, value := range s.MatchLabels {
		if have, ok := set[key]; !ok || have != value {
			return false
		}
	}
	if len(s.MatchExpressions) == 0 {
		return true
	}
	parsed, err := metav1.LabelSelectorAsSelector(s)
	return err == nil && parsed.Matches(labels.Set(set))
}

// Tie makes a pod remember its budget.
func Tie(pod *corev1.Pod, b *v1beta1.PodUnavailableBudget) {
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[v1beta1.PodRelatedPubKey], pod.Annotations[v1beta1.PodRelatedPubKeyOld] = b.Name, b.Name
}
