package controller

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// label sets a label of a pod; an empty value removes it.
func (w *world) label(pod, key, value string) {
	w.Helper()
	p := w.Pod(pod)
	before := p.DeepCopy()
	p.Labels[key] = value
	if value == "" {
		delete(p.Labels, key)
	}
	if err := w.API.Patch(w.Context(), p, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) names() (names []string) {
	w.Helper()
	for _, pod := range w.active() {
		names = append(names, pod.Name)
	}
	return names
}

func TestScaleInDeletesWhatServesTheLeast(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(5))
	w.Turn()
	pods := w.names()
	for _, name := range pods[2:] { // two are never scheduled
		for w.Play(name) {
			w.Turn()
		}
	}
	if n := w.available(); n != 3 {
		t.Fatalf("%d pods are available, want 3", n)
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.Replicas = ptr.To(int32(3)) })
	w.Finish()
	if got := w.names(); !slices.Equal(got, pods[2:]) {
		t.Errorf("pods %v are left, want those that serve, %v", got, pods[2:])
	}
}

// bind puts a pod on a node, as the scheduler does.
func (w *world) bind(pod, node string) {
	w.Helper()
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	if err := w.API.SubResource("binding").Create(w.Context(), w.Pod(pod), binding); err != nil {
		w.Fatalf("bind pod %s: %v", pod, err)
	}
}

func TestScaleInDeletesFromTheZoneWithTheMostPods(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(5).Spread(corev1.LabelTopologyZone))
	w.Turn()
	pods := w.names()
	// The last two share a node, and have their zone for themselves.
	zones := []string{"west", "west", "west", "east"}
	for i, zone := range zones {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-", Labels: map[string]string{corev1.LabelTopologyZone: zone}}}
		w.Create(node)
		t.Cleanup(func() { _ = w.API.Delete(context.Background(), node) }) // others are not to see it
		w.bind(pods[i], node.Name)
		if i == len(zones)-1 {
			w.bind(pods[i+1], node.Name)
		}
	}
	w.Finish()
	if n := w.available(); n != 5 {
		t.Fatalf("%d pods are available, want 5", n)
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.Replicas = ptr.To(int32(4)) })
	w.Finish()
	if got := w.names(); len(got) != 4 || !slices.Equal(got[2:], pods[3:]) {
		t.Errorf("pods %v of %v are left, want the last two among them, and two of the others", got, pods)
	}
}

func TestPodsThatAreAskedToGoAreReplaced(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3).MaxUnavailable("1"))
	before := w.names()
	w.label(before[0], v1beta1.SpecifiedDeleteKey, "true")
	w.Finish()
	after := w.names()
	if slices.Contains(after, before[0]) || !slices.Contains(after, before[1]) || !slices.Contains(after, before[2]) || w.available() != 3 {
		t.Errorf("pods %v became %v, %d of them available; want the first one replaced", before, after, w.available())
	}
}

func TestPodsToDeleteGoFirstAndAreTakenOffTheList(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3))
	before := w.names()
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Replicas = ptr.To(int32(2))
		s.ScaleStrategy.PodsToDelete = []string{before[1]}
	})
	w.Finish()
	if want := []string{before[0], before[2]}; !slices.Equal(w.names(), want) {
		t.Errorf("pods %v are left, want %v", w.names(), want)
	}
	if list := w.Object().Spec.ScaleStrategy.PodsToDelete; len(list) != 0 {
		t.Errorf("podsToDelete is still %v", list)
	}
}

func TestAPodOnTheListStaysThereUntilItIsGone(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).MaxUnavailable("1"))
	before := w.names()
	w.change(func(s *v1beta1.CloneSetSpec) { s.ScaleStrategy.PodsToDelete = before })
	w.Turn()
	if n := len(w.active()); n != 1 {
		t.Errorf("%d pods are left after a step, want the one that maxUnavailable keeps", n)
	}
	if list := w.Object().Spec.ScaleStrategy.PodsToDelete; len(list) != 2 {
		t.Errorf("podsToDelete is %v while both pods exist", list)
	}
	w.Finish()
	if list := w.Object().Spec.ScaleStrategy.PodsToDelete; len(list) != 0 || w.available() != 2 {
		t.Errorf("podsToDelete is %v with %d pods available in the end", list, w.available())
	}
}

func TestAPodThatAUserDeletesIsReplacedAtOnce(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3))
	w.DeletePod(w.names()[0])
	w.Turn()
	if active, all := len(w.active()), len(w.Pods()); active != 3 || all != 4 {
		t.Errorf("%d active pods of %d, want 3 and the one that ends", active, all)
	}
	w.Finish()
	if n := w.available(); n != 3 || len(w.Pods()) != 3 {
		t.Errorf("%d pods are available of %d, want 3", n, len(w.Pods()))
	}
}

func TestAPodThatFailedIsReplaced(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2))
	pod := w.Pod(w.names()[0])
	pod.Status.Phase = corev1.PodFailed
	if err := w.API.Status().Update(w.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w.Turn()
	if n := len(w.active()); n != 3 {
		t.Errorf("%d pods exist, want 2 and the one that failed", n)
	}
}

func TestAPodThatIsNoLongerSelectedIsLetGo(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2))
	stray := w.names()[0]
	w.label(stray, "app", "debug")
	w.Finish()
	if owners := w.Pod(stray).OwnerReferences; len(owners) != 0 {
		t.Errorf("the pod still has the owners %v", owners)
	}
	if n := len(w.active()); n != 3 || w.Object().Status.Replicas != 2 {
		t.Errorf("%d pods exist, and the status counts %d; want 3 and 2", n, w.Object().Status.Replicas)
	}
}

func TestASetThatIsBeingDeletedIsLeftAlone(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3))
	if err := w.API.Delete(t.Context(), w.Object(), client.PropagationPolicy(metav1.DeletePropagationForeground)); err != nil {
		t.Fatal(err)
	}
	w.DeletePod(w.names()[0])
	for range 3 {
		w.Turn()
		w.Cluster()
	}
	if writes := w.Writes(); len(writes) != 0 || len(w.Pods()) != 2 {
		t.Errorf("%d pods are left after the writes %v, want 2 and none", len(w.Pods()), writes)
	}
}

func TestScalingOutIsLimited(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(5).ScaleMaxUnavailable("2"))
	w.AfterEachStep = func() {
		if away := len(w.active()) - w.available(); away > 2 {
			t.Errorf("%d pods are unavailable, want 2 or fewer", away)
		}
	}
	w.Turn()
	if n := len(w.active()); n != 2 {
		t.Errorf("%d pods were created at once, want 2", n)
	}
	w.Finish()
	if n := w.available(); n != 5 {
		t.Errorf("%d pods are available in the end, want 5", n)
	}
}

// quota lets as many pods be, from the moment when it returns.
func (w *world) quota(pods int64, used int) {
	w.Helper()
	quota := &corev1.ResourceQuota{}
	quota.Namespace, quota.Name = w.Namespace, "pods"
	err := w.API.Create(w.Context(), quota)
	if apierrors.IsAlreadyExists(err) {
		w.Get(quota.Name, quota)
	} else if err != nil {
		w.Fatal(err)
	}
	hard := corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(pods, resource.DecimalSI)}
	quota.Spec.Hard = hard
	if err := w.API.Update(w.Context(), quota); err != nil {
		w.Fatal(err)
	}
	quota.Status = corev1.ResourceQuotaStatus{Hard: hard, Used: corev1.ResourceList{corev1.ResourcePods: *resource.NewQuantity(int64(used), resource.DecimalSI)}}
	if err := w.API.Status().Update(w.Context(), quota); err != nil {
		w.Fatal(err)
	}
	// The API server takes up a quota in its own time: when as many pods are let in as it says.
	err = wait.PollUntilContextTimeout(w.Context(), 10*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		err := w.API.Create(ctx, builder.Pod("probe").Namespace(w.Namespace).Object(), client.DryRunAll)
		return (err == nil) == (int64(used) < pods) && (err == nil || strings.Contains(err.Error(), "exceeded quota")), nil
	})
	if err != nil {
		w.Fatalf("waiting for the quota: %v", err)
	}
}

func TestAQuotaThatRefusesPodsIsToldAndOvercome(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(3))
	w.quota(0, 0)
	var messages []string
	for range 3 {
		err := w.Reconcile(w.Key)
		if err == nil || !strings.Contains(err.Error(), "exceeded quota") {
			t.Fatalf("reconcile: %v, want the quota to refuse", err)
		}
		c := w.conditionOf(v1beta1.CloneSetConditionFailedScale)
		if c == nil || c.Status != corev1.ConditionTrue || !strings.Contains(c.Message, "exceeded quota") {
			t.Fatalf("FailedScale is %+v", c)
		}
		messages = append(messages, c.Message)
	}
	if len(slices.Compact(messages)) != 1 {
		t.Errorf("the message changes with every attempt: %q", messages)
	}
	tries := 0
	for _, write := range w.Writes() {
		if write.Verb == "POST" && write.Resource == "pods" {
			tries++
		}
	}
	if tries != 3 {
		t.Errorf("%d pods were tried in 3 attempts, want one in each", tries)
	}
	w.quota(10, 0)
	w.Finish()
	if c := w.conditionOf(v1beta1.CloneSetConditionFailedScale); c != nil || w.available() != 3 {
		t.Errorf("%d pods are available with a larger quota, FailedScale is %+v", w.available(), c)
	}
}
