package replicas

import (
	"os"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// grant gives a user the roles of the chart.
func grant(t *testing.T, user string) {
	t.Helper()
	name := metav1.ObjectMeta{Name: "kruise-manager-role"}
	inside := metav1.ObjectMeta{Name: name.Name, Namespace: "kruise-system"}
	subjects := []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: user}}
	cluster, role := &rbacv1.ClusterRole{}, &rbacv1.Role{}
	for file, into := range map[string]any{"rbac/cluster.yaml": cluster, "rbac/namespace.yaml": role} {
		path, err := apiserver.ChartFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, into); err != nil {
			t.Fatal(err)
		}
	}
	cluster.ObjectMeta, role.ObjectMeta = name, inside
	for _, object := range []client.Object{
		cluster, role,
		&rbacv1.ClusterRoleBinding{ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name.Name}},
		&rbacv1.RoleBinding{ObjectMeta: inside, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name.Name}},
	} {
		if err := server.Client.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheRolesOfTheChartAreEnough(t *testing.T) {
	forget(t)
	const user = "system:serviceaccount:kruise-system:kruise-manager"
	grant(t, user)
	empty := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}}
	if err := server.Client.Create(t.Context(), empty); err != nil {
		t.Fatal(err)
	}
	replica(t, server.As(user).RunWebhooks, func(m *manager.Options, o *serve.Options) {
		m.WebhooksOnly, o.LeaderElection = false, true
	})

	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "granted"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "granted"}}
	set.Spec.Template.Labels = map[string]string{"app": "granted"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	set.Spec.Replicas = ptr.To[int32](2)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the set has its pods and says so", func() bool {
		pods := &corev1.PodList{}
		if err := server.Client.List(t.Context(), pods, client.InNamespace("default"), client.MatchingLabels{"app": "granted"}); err != nil {
			t.Fatal(err)
		}
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
			t.Fatal(err)
		}
		return len(pods.Items) == 2 && set.Status.Replicas == 2 && set.Status.ObservedGeneration == set.Generation
	})
	eventually(t, "what was done is told in events", func() bool {
		events := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), events, client.InNamespace("default")); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool { return e.Regarding.UID == set.UID })
	})
	if err := server.Client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the set has no pods and says so", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
			t.Fatal(err)
		}
		return set.Status.Replicas == 0 && set.Status.ObservedGeneration == set.Generation
	})
}
