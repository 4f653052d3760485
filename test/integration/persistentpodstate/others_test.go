package persistentpodstate

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

const games = `{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: %[1]ssets.games.example.org},
	spec: {group: games.example.org, scope: Namespaced, names: {plural: %[1]ssets, singular: %[1]sset, kind: %[2]sSet, listKind: %[2]sSetList}, versions: [
		{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]}}`

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// eventuallyCreated makes an object of a kind that may have to come to be served.
func eventuallyCreated(t *testing.T, o client.Object) {
	t.Helper()
	eventually(t, "the kind is served", func() bool { return server.Client.Create(t.Context(), o) == nil })
}

// A kind that the administrator lists, and lets the manager read, is like a StatefulSet. One that the manager may not read is left
// out, and stops nothing.
func TestPodsOfAKindThatIsListedReturn(t *testing.T) {
	create(t, parsed(t, fmt.Sprintf(games, "game", "Game")))
	create(t, parsed(t, fmt.Sprintf(games, "secret", "Secret")))
	create(t, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-configuration"}, Data: map[string]string{
		"PPS_Watch_Custom_Workload_WhiteList": `{"workloads":[{"group":"games.example.org","version":"v1","kind":"GameSet"},
			{"group":"games.example.org","version":"v1","kind":"SecretSet"},{"group":"games.example.org","version":"v1","kind":"NoneSet"}]}`,
	}})
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "kruise-manager-persistent-pod-states"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"games.example.org"}, Resources: []string{"gamesets"}, Verbs: []string{"get", "list", "watch"}},
	}}
	create(t, role)
	create(t, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: role.Name}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}},
	})
	namespace := server.Namespace(t)
	set := parsed(t, `{apiVersion: games.example.org/v1, kind: GameSet, metadata: {name: web, annotations: {
		kruise.io/auto-generate-persistent-pod-state: "true", kruise.io/required-persistent-topology: kubernetes.io/hostname}}, spec: {replicas: 1}}`)
	set.SetNamespace(namespace)
	eventuallyCreated(t, set)
	managed(t)

	s := generated(t, "the object is there", namespace, func(*v1beta1.PersistentPodState) bool { return true })
	if ref := s.Spec.TargetReference; ref.Kind != "GameSet" || ref.APIVersion != "games.example.org/v1" || !metav1.IsControlledBy(s, set) {
		t.Errorf("it is about %+v and belongs to %v", ref, s.OwnerReferences)
	}
	on := node(t)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-0", OwnerReferences: []metav1.OwnerReference{
		*metav1.NewControllerRef(set, set.GroupVersionKind()),
	}}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	made := pod.DeepCopy()
	readyOn(t, made, on)
	remembered(t, s, "web-0")
	remove(t, made)
	eventually(t, "a pod that is made anew is sent back", func() bool { // once the API server has heard of the webhook
		made = pod.DeepCopy()
		if err := server.Client.Create(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		defer remove(t, made)
		return made.Spec.NodeSelector["kubernetes.io/hostname"] == on
	})
	change(t, set, `{"spec":{"replicas":0}}`)
	remembered(t, s)

	unread := object(t, namespace, "v1beta1", "targetRef: {apiVersion: games.example.org/v1, kind: SecretSet, name: web}, "+required)
	if err := server.Client.Create(t.Context(), unread); err == nil {
		t.Error("a workload that the manager may not read can be named")
	}
}
