package persistentpodstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// asked is a StatefulSet of ours, whose controller runs here.
func asked(t *testing.T, namespace string) *v1beta1.StatefulSet {
	t.Helper()
	set := &v1beta1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", Annotations: map[string]string{
		"kruise.io/auto-generate-persistent-pod-state": "true", "kruise.io/required-persistent-topology": "kubernetes.io/hostname",
	}}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	create(t, set)
	return set
}

// generated waits until the object of a workload is as wanted.
func generated(t *testing.T, what, namespace string, like func(*v1beta1.PersistentPodState) bool) *v1beta1.PersistentPodState {
	t.Helper()
	s := &v1beta1.PersistentPodState{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	eventually(t, what, func() bool { return read(t, s) && like(s) })
	return s
}

func TestAnnotationsHaveAnObjectMade(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	set := asked(t, namespace)
	s := generated(t, "the object is there", namespace, func(*v1beta1.PersistentPodState) bool { return true })
	want := v1beta1.PersistentPodStateSpec{
		TargetReference:                   v1beta1.TargetReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: "web"},
		RequiredPersistentTopology:        &v1beta1.NodeTopologyTerm{NodeTopologyKeys: []string{"kubernetes.io/hostname"}},
		PersistentPodStateRetentionPolicy: "WhenScaled",
	}
	if diff := cmp.Diff(want, s.Spec); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !metav1.IsControlledBy(s, set) {
		t.Errorf("it belongs to %v", s.OwnerReferences)
	}
	// Each annotation counts, also when it changes alone.
	annotate := func(key, value string) {
		change(t, set, `{"metadata":{"annotations":{"kruise.io/`+key+`":`+value+`}}}`)
	}
	annotate("persistent-pod-annotations", `"ip,port"`)
	generated(t, "annotations to remember", namespace, func(s *v1beta1.PersistentPodState) bool {
		return len(s.Spec.PersistentPodAnnotations) == 2 && s.Spec.PersistentPodAnnotations[1].Key == "port"
	})
	annotate("preferred-persistent-topology", `"zone,rack"`)
	generated(t, "a preference", namespace, func(s *v1beta1.PersistentPodState) bool {
		p := s.Spec.PreferredPersistentTopology
		return len(p) == 1 && p[0].Weight == 100 && len(p[0].Preference.NodeTopologyKeys) == 2
	})
	annotate("required-persistent-topology", `null`)
	s = generated(t, "nothing is required any more", namespace, func(s *v1beta1.PersistentPodState) bool { return s.Spec.RequiredPersistentTopology == nil })
	change(t, s, `{"spec":{"persistentPodAnnotations":null}}`)
	generated(t, "what others change is made good", namespace, func(s *v1beta1.PersistentPodState) bool { return len(s.Spec.PersistentPodAnnotations) == 2 })
	remove(t, s)
	s = generated(t, "the object is made again", namespace, func(again *v1beta1.PersistentPodState) bool {
		return again.UID != s.UID && again.DeletionTimestamp == nil
	})
	annotate("auto-generate-persistent-pod-state", `"false"`)
	eventually(t, "the object is gone", func() bool { return !read(t, s) })
}

// A pod of ours, whose controller runs here, is made anew in the place of one that was ready.
func TestAPodOfAnAdvancedStatefulSetReturns(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	on := node(t)
	asked(t, namespace)
	s := generated(t, "the object is there", namespace, func(*v1beta1.PersistentPodState) bool { return true })
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web-0"}}
	eventually(t, "the pod is there", func() bool { return read(t, pod) })
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: on}}
	if err := server.Client.SubResource("binding").Create(t.Context(), pod, binding); err != nil {
		t.Fatal(err)
	}
	patch := client.RawPatch(types.StrategicMergePatchType, []byte(`{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}`))
	if err := server.Client.Status().Patch(t.Context(), pod, patch); err != nil {
		t.Fatal(err)
	}
	remembered(t, s, "web-0")
	eventually(t, "the pod that is made anew is sent back", func() bool {
		if !read(t, pod) {
			return false
		}
		if pod.Spec.NodeSelector["kubernetes.io/hostname"] == on {
			return true
		}
		remove(t, pod) // until the API server has heard of the webhook
		return false
	})
	if got := pod.Annotations["kruise.io/injected-persistent-pod-state"]; got != "web" {
		t.Errorf("sent back by %q", got)
	}
}

func TestAnnotationsThatCannotBeFollowedAreTold(t *testing.T) {
	managed(t)
	t.Run("no topology", func(t *testing.T) {
		namespace := server.Namespace(t)
		set := native(t, namespace, 1)
		change(t, set, `{"metadata":{"annotations":{"kruise.io/auto-generate-persistent-pod-state":"true"}}}`)
		told(t, namespace, "web", "NoPersistentPodState", "the annotation kruise.io/auto-generate-persistent-pod-state asks for a PersistentPodState, and neither")
		change(t, set, `{"metadata":{"annotations":{"kruise.io/preferred-persistent-topology":"zone"}}}`)
		s := generated(t, "the object is there once the topology is", namespace, func(*v1beta1.PersistentPodState) bool { return true })
		if !metav1.IsControlledBy(s, set) || s.Spec.TargetReference.APIVersion != "apps/v1" {
			t.Errorf("it is %+v", s)
		}
	})
	t.Run("an object of somebody else has the name", func(t *testing.T) {
		namespace := server.Namespace(t)
		theirs := object(t, namespace, "v1beta1", "targetRef: {apiVersion: apps/v1, kind: StatefulSet, name: other}, "+required)
		theirs.SetName("web")
		create(t, theirs)
		set := native(t, namespace, 1)
		change(t, set, `{"metadata":{"annotations":{"kruise.io/auto-generate-persistent-pod-state":"true","kruise.io/required-persistent-topology":"zone"}}}`)
		told(t, namespace, "web", "NoPersistentPodState", "PersistentPodState web does not belong to the StatefulSet: it is left as it is")
		if s := generated(t, "it is there", namespace, func(*v1beta1.PersistentPodState) bool { return true }); s.Spec.TargetReference.Name != "other" {
			t.Errorf("it is about %v", s.Spec.TargetReference)
		}
	})
	t.Run("another object is about the workload", func(t *testing.T) {
		namespace := server.Namespace(t)
		set := native(t, namespace, 1)
		theirs := states(t, set, "")
		remembered(t, theirs)
		change(t, set, `{"metadata":{"annotations":{"kruise.io/auto-generate-persistent-pod-state":"true","kruise.io/required-persistent-topology":"zone"}}}`)
		told(t, namespace, "web", "NoPersistentPodState", `admission webhook "vpersistentpodstate.kb.io" denied the request: PersistentPodState.apps.kruise.io "web" is invalid: spec.targetRef: Forbidden: PersistentPodState demo`)
		remove(t, theirs)
		generated(t, "ours takes its place", namespace, func(*v1beta1.PersistentPodState) bool { return true })
	})
}
