package controller

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/test/builder"
)

func TestPodsAreDeletedOneAfterTheOtherTheHighestFirst(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(4))
	w.scale(1)
	w.step("at first", "web-0 a:1, web-1 a:1, web-2 a:1, -web-3 a:1")
	w.step("while the last one ends", "web-0 a:1, web-1 a:1, web-2 a:1, -web-3 a:1")
	w.play("web-3")
	w.step("once it has", "web-0 a:1, web-1 a:1, -web-2 a:1")
	w.Finish()
	w.wantPods("in the end", "web-0 a:1")
}

func TestPodsAreDeletedAtOnceWhereNoneWaits(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(4).Parallel())
	w.scale(1)
	w.step("at first", "web-0 a:1, -web-1 a:1, -web-2 a:1, -web-3 a:1")
}

func TestAReservedOrdinalIsGivenUpAndAnotherTaken(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Parallel())
	w.change(func(s *v1beta1.StatefulSetSpec) {
		s.ReserveOrdinals = builder.StatefulSet(web).Reserve("1").Object().Spec.ReserveOrdinals
	})
	w.Finish()
	w.wantPods("in the end", "web-0 a:1, web-2 a:1, web-3 a:1")
	w.wantAvailable("in the end", 3)
}

func TestAPodThatWasAskedToGoIsReplaced(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3))
	before := w.uids()
	w.Patch(w.Pod("web-0"), `{"metadata":{"labels":{"apps.kruise.io/specified-delete":"true"}}}`)
	w.Finish()
	w.wantAvailable("in the end", 3)
	if after := w.uids(); after["web-0"] == before["web-0"] || after["web-2"] != before["web-2"] {
		t.Errorf("pods %v became %v", before, after)
	}
}

func TestADeletionHookIsWaitedForAndAPodThatIsWantedAgainStays(t *testing.T) {
	set := builder.StatefulSet(web).Replicas(2).Object()
	set.Spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"hold": "true"}}}
	set.Spec.Template.Labels["hold"] = "true"
	w := newWorld(t, nil)
	set.Namespace = w.Namespace
	w.Create(set)
	w.Finish()
	w.scale(1)
	w.Finish()
	w.wantPods("while the hook holds", "web-0 a:1, web-1 a:1")
	if state := w.Pod("web-1").Labels[v1beta1.LifecycleStateKey]; state != "PreparingDelete" {
		t.Errorf("web-1 is in the state %s", state)
	}
	w.scale(2)
	w.Finish()
	w.wantAvailable("wanted again", 2)
	w.scale(1)
	w.Finish()
	w.Patch(w.Pod("web-1"), `{"metadata":{"labels":{"hold":null}}}`)
	w.Finish()
	w.wantPods("once the hook lets go", "web-0 a:1")
}

func TestPodsThatNobodyOwnsAreAdoptedWithTheirRevision(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data"))
	before, revision := w.uids(), w.Revisions()[0]
	// As kubectl delete --cascade=orphan leaves them, and the same manifest applied again.
	set := w.Object()
	if err := w.API.Delete(w.Context(), set, client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	w.orphan()
	w.Patch(set, `{"metadata":{"finalizers":null}}`)
	w.Create(builder.StatefulSet(web).Replicas(3).Claim("data").Namespace(w.Namespace).Object())
	w.Finish()
	if after := w.uids(); len(after) != 3 || after["web-0"] != before["web-0"] || after["web-1"] != before["web-1"] || after["web-2"] != before["web-2"] {
		t.Errorf("pods %v became %v", before, after)
	}
	for _, pod := range w.Pods() {
		if !metav1.IsControlledBy(&pod, w.Object()) {
			t.Errorf("pod %s is owned by %v", pod.Name, pod.OwnerReferences)
		}
	}
	if all := w.Revisions(); len(all) != 1 || all[0].UID != revision.UID || !metav1.IsControlledBy(&all[0], w.Object()) {
		t.Errorf("revisions %v, want %s alone, and that it is the set's own", all, revision.Name)
	}
	w.wantAvailable("in the end", 3)
}

// orphan does what the garbage collector does to the dependents of an object that is deleted without them.
func (w *world) orphan() {
	w.Helper()
	for _, pod := range w.Pods() {
		w.Patch(&pod, `{"metadata":{"ownerReferences":null}}`)
	}
	for _, r := range w.Revisions() {
		w.Patch(&r, `{"metadata":{"ownerReferences":null}}`)
	}
}

func TestASetThatIsBeingDeletedWithoutItsPodsDoesNotTakeThemBack(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(2))
	w.Settle()
	w.Freeze("statefulsets") // the controller does not know yet
	if err := w.API.Delete(w.Context(), w.Object(), client.PropagationPolicy(metav1.DeletePropagationOrphan)); err != nil {
		t.Fatal(err)
	}
	w.orphan()
	w.Writes()
	if err := w.Reconcile(w.Key); err == nil || !strings.Contains(err.Error(), "adopts nothing") {
		t.Errorf("it does not say why it adopts nothing: %v", err)
	}
	if writes := w.Writes(); len(writes) > 1 || len(writes) == 1 && writes[0].Resource != "statefulsets/status" {
		t.Errorf("it wrote %v", writes)
	}
}

func TestWhatIsNotTheSetsOwnIsLeftAlone(t *testing.T) {
	w := newWorld(t, nil)
	foreign := func(name string, labels map[string]string) *corev1.Pod {
		pod := builder.Pod(name).Namespace(w.Namespace).Object()
		pod.UID, pod.Labels, pod.Status = "", labels, corev1.PodStatus{}
		return pod
	}
	for _, pod := range []*corev1.Pod{
		foreign("web-1", map[string]string{"app": "other"}), // a name of the set, but not its labels
		foreign("web-x", map[string]string{"app": "web"}),   // its labels, but no name of it
		foreign("web-01", map[string]string{"app": "web"}),
	} {
		w.Create(pod)
	}
	w.Create(builder.StatefulSet(web).Namespace(w.Namespace).Replicas(2).Object())
	w.Finish()
	for _, pod := range w.Pods() {
		if owned := metav1.IsControlledBy(&pod, w.Object()); owned != (pod.Name == "web-0") {
			t.Errorf("pod %s is the set's own: %v", pod.Name, owned)
		}
	}
	if got, want := w.message(), "pod web-1 exists and is not the set's own"; !strings.Contains(got, want) {
		t.Errorf("the status says %q, and not %q", got, want)
	}
	w.Vanish("web-1")
	w.Finish()
	w.wantAvailable("once its name is free", 2)
}

func TestAPodThatNoLongerMatchesIsLetGoAndItsNameIsWaitedFor(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(2))
	w.Patch(w.Pod("web-1"), `{"metadata":{"labels":{"app":"debug"}}}`)
	w.Finish()
	if pod := w.Pod("web-1"); metav1.GetControllerOf(pod) != nil {
		t.Errorf("web-1 is owned by %v", pod.OwnerReferences)
	}
	w.Patch(w.Pod("web-1"), `{"metadata":{"labels":{"app":"web"}}}`)
	w.Finish()
	w.wantAvailable("once it matches again", 2)
}

// TestASetGoesWithItsNamespace lets the namespace controller of Kubernetes itself run. It does not run beside other tests, whose
// namespaces it would look after.
func TestASetGoesWithItsNamespace(t *testing.T) {
	w := worldIn(t, server.Namespace(t), statefulset.Options{Options: gates()})
	w.Create(builder.StatefulSet(web).Namespace(w.Namespace).Replicas(3).Claim("data").Object())
	w.Finish()
	server.RunControllers(t, "namespace-controller")
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.Namespace}}
	if err := w.API.Delete(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	// Half a minute of it is spent in pauses of that controller, for the grace periods of pods.
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 3*time.Minute, true, func(ctx context.Context) (bool, error) {
		_ = w.Reconcile(w.Key) // what it tries to create is refused, which it may say
		w.Cluster()
		err := w.API.Get(ctx, client.ObjectKeyFromObject(namespace), namespace)
		return apierrors.IsNotFound(err), client.IgnoreNotFound(err)
	})
	if err != nil {
		t.Errorf("waiting until the namespace is gone: %v; there are the pods %q", err, w.pods())
	}
}
