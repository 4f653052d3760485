package serve

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/share"
)

func TestCachesHoldWhatIsOfUseOnceOfEachWorkload(t *testing.T) {
	transform := slim(&share.Pods{})
	cached := func(object client.Object) any {
		object.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: "x"}})
		kept, err := transform(object)
		if err != nil {
			t.Fatal(err)
		}
		if object.GetManagedFields() != nil {
			t.Errorf("a %T is kept with its managed fields", object)
		}
		return kept
	}
	pod := func(name string) *corev1.Pod {
		web := metav1.OwnerReference{UID: "web", Controller: new(true)}
		kept, ok := cached(&corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: name, OwnerReferences: []metav1.OwnerReference{web}},
			Spec:       corev1.PodSpec{SecurityContext: &corev1.PodSecurityContext{RunAsUser: new(int64(1))}},
		}).(*corev1.Pod)
		if !ok {
			t.Fatal("a pod became something else")
		}
		return kept
	}
	if a, b := pod("a"), pod("b"); a.Spec.SecurityContext != b.Spec.SecurityContext || a.Name != "a" || b.Name != "b" {
		t.Error("pods of one workload do not share what their template says")
	}
	node, ok := cached(&corev1.Node{Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{Names: []string{"app"}}}}}).(*corev1.Node)
	if !ok || node.Status.Images != nil {
		t.Errorf("a node is kept with its images: %v", node)
	}
	cached(&corev1.ConfigMap{})
}
