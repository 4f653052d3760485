package statefulset

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// finder finds the sets that objects concern by their names: pods are named SET-ORDINAL and claims TEMPLATE-SET-ORDINAL.
type finder struct {
	set func(key types.NamespacedName) (*v1beta1.StatefulSet, bool)
}

// byPod finds the set that a pod which it does not own concerns: it may adopt the pod, or wait for its name. Pods that it owns
// are watched as such.
func (f finder) byPod(_ context.Context, pod client.Object) []reconcile.Request {
	name, ok := cutOrdinal(pod.GetName())
	if !ok {
		return nil
	}
	key := types.NamespacedName{Namespace: pod.GetNamespace(), Name: name}
	if set, ok := f.set(key); !ok || metav1.IsControlledBy(pod, set) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// byClaim finds the sets whose claim it may be: of every way to part the name, those whose set has such a template.
func (f finder) byClaim(_ context.Context, claim client.Object) []reconcile.Request {
	stem, ok := cutOrdinal(claim.GetName())
	if !ok {
		return nil
	}
	var found []reconcile.Request
	for i := range len(stem) {
		if stem[i] != '-' {
			continue
		}
		key := types.NamespacedName{Namespace: claim.GetNamespace(), Name: stem[i+1:]}
		if set, ok := f.set(key); ok && hasTemplate(set.Spec.VolumeClaimTemplates, stem[:i]) {
			found = append(found, reconcile.Request{NamespacedName: key})
		}
	}
	return found
}

func hasTemplate(templates []corev1.PersistentVolumeClaim, name string) bool {
	for i := range templates {
		if templates[i].Name == name {
			return true
		}
	}
	return false
}

// cutOrdinal cuts an ordinal off the end of a name.
func cutOrdinal(name string) (string, bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i == len(name)-1 || strings.Trim(name[i+1:], "0123456789") != "" {
		return "", false
	}
	return name[:i], true
}
