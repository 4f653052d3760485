package storage

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/yaml"
)

// world is a claim of 1Gi with its volume, of which the claim now asks for 2Gi.
type world struct {
	class  *storagev1.StorageClass
	claim  *corev1.PersistentVolumeClaim
	volume *corev1.PersistentVolume
}

func gi(n string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(n)}
}

func growing() world {
	return world{
		class: &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "standard"}, Provisioner: Provisioner, AllowVolumeExpansion: new(true)},
		claim: &corev1.PersistentVolumeClaim{
			ObjectMeta: metav1.ObjectMeta{Name: "data", Namespace: "default", UID: "u1"},
			Spec: corev1.PersistentVolumeClaimSpec{
				StorageClassName: new("standard"), VolumeName: "pvc-1",
				Resources: corev1.VolumeResourceRequirements{Requests: gi("2Gi")},
			},
			Status: corev1.PersistentVolumeClaimStatus{
				Phase: corev1.ClaimBound, Capacity: gi("1Gi"),
				Conditions: []corev1.PersistentVolumeClaimCondition{{Type: "OfSomebodyElse", Status: corev1.ConditionTrue}},
			},
		},
		volume: &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: "pvc-1"},
			Spec:       corev1.PersistentVolumeSpec{Capacity: gi("1Gi"), ClaimRef: &corev1.ObjectReference{Namespace: "default", Name: "data", UID: "u1"}},
		},
	}
}

// reconcile runs the expander once on the world and returns the claim and the volume that it left.
func (w world) reconcile(t *testing.T) (*corev1.PersistentVolumeClaim, *corev1.PersistentVolume) {
	t.Helper()
	c := fake.NewClientBuilder().WithScheme(clientscheme.Scheme).WithObjects(w.class, w.claim, w.volume).WithStatusSubresource(w.claim).Build()
	e := &expander{client: c, events: events.NewFakeRecorder(10)}
	key := client.ObjectKeyFromObject(w.claim)
	if _, err := e.Reconcile(t.Context(), ctrl.Request{NamespacedName: key}); err != nil {
		t.Fatal(err)
	}
	claim, volume := &corev1.PersistentVolumeClaim{}, &corev1.PersistentVolume{}
	if err := c.Get(t.Context(), key, claim); err != nil {
		t.Fatal(err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(w.volume), volume); err != nil {
		t.Fatal(err)
	}
	return claim, volume
}

func size(list corev1.ResourceList) string {
	q := list[corev1.ResourceStorage]
	return q.String()
}

func TestAClaimThatAsksForMoreGetsIt(t *testing.T) {
	for name, change := range map[string]func(*world){
		"from the start": func(*world) {},
		"after a stop before the volume grew": func(w *world) {
			w.claim.Status.Conditions = append(w.claim.Status.Conditions, corev1.PersistentVolumeClaimCondition{Type: corev1.PersistentVolumeClaimResizing, Status: corev1.ConditionTrue})
			w.claim.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{corev1.ResourceStorage: corev1.PersistentVolumeClaimControllerResizeInProgress}
		},
		"after a stop when the volume had grown": func(w *world) { w.volume.Spec.Capacity = gi("2Gi") },
	} {
		t.Run(name, func(t *testing.T) {
			w := growing()
			change(&w)
			claim, volume := w.reconcile(t)
			if size(volume.Spec.Capacity) != "2Gi" || size(claim.Status.Capacity) != "2Gi" || size(claim.Status.AllocatedResources) != "2Gi" {
				t.Errorf("volume %s, claim %s, allocated %s; want 2Gi each", size(volume.Spec.Capacity), size(claim.Status.Capacity), size(claim.Status.AllocatedResources))
			}
			if len(claim.Status.Conditions) != 1 || claim.Status.Conditions[0].Type != "OfSomebodyElse" {
				t.Errorf("the claim's conditions are %+v, want only that of somebody else", claim.Status.Conditions)
			}
			if len(claim.Status.AllocatedResourceStatuses) != 0 {
				t.Errorf("the claim still says that it is being resized: %v", claim.Status.AllocatedResourceStatuses)
			}
		})
	}
}

func TestWhatMayNotGrowStaysAsItIs(t *testing.T) {
	for name, change := range map[string]func(*world){
		"the class does not let it":              func(w *world) { w.class.AllowVolumeExpansion = nil },
		"the class is of another provisioner":    func(w *world) { w.class.Provisioner = "other" },
		"the claim has no class":                 func(w *world) { w.claim.Spec.StorageClassName = nil },
		"the claim is not bound":                 func(w *world) { w.claim.Status.Phase = corev1.ClaimPending },
		"the volume belongs to another claim":    func(w *world) { w.volume.Spec.ClaimRef.UID = "u2" },
		"the claim asks for no more than it has": func(w *world) { w.claim.Spec.Resources.Requests = gi("1Gi") },
		"the claim asks for less than it has":    func(w *world) { w.claim.Spec.Resources.Requests = gi("512Mi") },
	} {
		t.Run(name, func(t *testing.T) {
			w := growing()
			change(&w)
			claim, volume := w.reconcile(t)
			if size(volume.Spec.Capacity) != "1Gi" || size(claim.Status.Capacity) != "1Gi" || len(claim.Status.Conditions) != 1 {
				t.Errorf("volume %s, claim %+v; want them as they were", size(volume.Spec.Capacity), claim.Status)
			}
		})
	}
}

func TestTheManifestsSpeakOfThisProvisionerAndItsUser(t *testing.T) {
	documents := strings.Split(string(Manifests), "\n---\n")
	var classes []storagev1.StorageClass
	var users []string
	for _, document := range documents {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatal(err)
		}
		switch kind.Kind {
		case "StorageClass":
			var class storagev1.StorageClass
			if err := yaml.UnmarshalStrict([]byte(document), &class); err != nil {
				t.Fatal(err)
			}
			classes = append(classes, class)
		case "ClusterRoleBinding":
			var binding rbacv1.ClusterRoleBinding
			if err := yaml.UnmarshalStrict([]byte(document), &binding); err != nil {
				t.Fatal(err)
			}
			users = append(users, binding.Subjects[0].Name)
		}
	}
	for _, class := range classes {
		if class.Provisioner != Provisioner || *class.VolumeBindingMode != storagev1.VolumeBindingWaitForFirstConsumer {
			t.Errorf("class %s: %+v", class.Name, class)
		}
	}
	if len(classes) != 2 || len(users) != 1 || users[0] != User {
		t.Errorf("%d classes, rights for %v", len(classes), users)
	}
}
