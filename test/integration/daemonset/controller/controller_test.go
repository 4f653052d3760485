package controller

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/workload"
)

func TestEachNodeHasAPodAndTheStatusSaysSo(t *testing.T) {
	w := running(t, 3, nil)
	w.wantPlaced("at first", "a a:1, b a:1, c a:1")
	w.wantCounts("at first", "3 3 3 3 3 0")
	set := w.Object()
	if set.Status.UpdateRevision == "" || strings.Contains(set.Status.UpdateRevision, agent) || set.Status.ObservedGeneration != set.Generation {
		t.Errorf("status %+v", set.Status)
	}
	for _, pod := range w.Pods() {
		if pod.Labels["controller-revision-hash"] != set.Status.UpdateRevision || placement.NodeOf(&pod) != pod.Spec.NodeName || len(pod.Spec.Tolerations) < 6 {
			t.Errorf("pod %s: labels %v, affinity %v, %d tolerations", pod.Name, pod.Labels, pod.Spec.Affinity, len(pod.Spec.Tolerations))
		}
	}
	w.addNode("d")
	w.Finish()
	w.wantPlaced("with one node more", "a a:1, b a:1, c a:1, d a:1")
	w.changeNode("a", func(n *corev1.Node) { delete(n.Labels, worldLabel) })
	w.Finish()
	w.wantPlaced("with one node less", "b a:1, c a:1, d a:1")
	w.wantCounts("with one node less", "3 3 3 3 3 0")
}

func TestAtRestNothingIsWritten(t *testing.T) {
	w := running(t, 3, nil)
	for range 3 {
		if err := w.Reconcile(w.Key); err != nil {
			t.Fatal(err)
		}
	}
	if writes := w.Writes(); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
	if c := w.condition(v1beta1.DaemonSetConditionReconciling); c != nil {
		t.Errorf("it is on its way: %s", c.Message)
	}
}

func TestAnUpdateGoesNodeByNodeAndStopsAtABadImage(t *testing.T) {
	w := running(t, 3, nil)
	w.BrokenImages["a:2"] = true
	least := 3
	w.AfterEachStep = func() { least = min(least, w.available()) }
	w.image("a:2")
	w.Finish()
	w.wantPlaced("with a bad image", "a a:1, b a:1, c a:2")
	w.wantCounts("with a bad image", "3 3 2 1 2 0")
	if c := w.condition(v1beta1.DaemonSetConditionReconciling); c == nil || !strings.Contains(c.Message, "ImagePullBackOff") {
		t.Errorf("it does not say why it is stuck: %+v", c)
	}
	w.image("a:3")
	w.Finish()
	w.wantPlaced("with a good one", "a a:3, b a:3, c a:3")
	if least < 2 {
		t.Errorf("%d of 3 nodes had an available pod at times, with maxUnavailable 1", least)
	}
	if revisions := len(w.Revisions()); revisions != 3 {
		t.Errorf("%d revisions are kept, want 3", revisions)
	}
}

func TestWithASurgeEveryNodeHasAnAvailablePodAllTheTime(t *testing.T) {
	w := running(t, 3, rolling(v1beta1.RollingUpdateDaemonSet{MaxSurge: number(2), MaxUnavailable: number(0)}))
	least := 3
	w.AfterEachStep = func() { least = min(least, w.available()) }
	w.image("a:2")
	w.Finish()
	w.wantPlaced("updated", "a a:2, b a:2, c a:2")
	w.wantCounts("updated", "3 3 3 3 3 0")
	if least < 3 {
		t.Errorf("%d of 3 nodes had an available pod at times", least)
	}
}

func TestInPlacePodsStayWhereTheyAre(t *testing.T) {
	w := running(t, 3, rolling(v1beta1.RollingUpdateDaemonSet{Type: v1beta1.InplaceRollingUpdateType, MaxUnavailable: number(2), Partition: number(1)}))
	before := map[string]bool{}
	for _, pod := range w.Pods() {
		before[string(pod.UID)] = true
	}
	w.image("a:2")
	w.Finish()
	w.wantPlaced("behind a partition", "a a:1, b a:2, c a:2")
	if c := w.condition(v1beta1.DaemonSetConditionReconciling); c != nil {
		t.Errorf("with its partition reached it is on its way: %s", c.Message)
	}
	w.change(func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = number(0) })
	w.Finish()
	w.wantPlaced("without one", "a a:2, b a:2, c a:2")
	for _, pod := range w.Pods() {
		if !before[string(pod.UID)] {
			t.Errorf("pod %s is another one", pod.Name)
		}
	}
}

func TestImagesArePulledAheadOfAnUpdateInPlace(t *testing.T) {
	options := daemonset.Options{Options: workload.Options{PullAheadForDaemonSets: true}}
	w := newWorld(t, 5, options, rolling(v1beta1.RollingUpdateDaemonSet{Type: v1beta1.InplaceRollingUpdateType, MaxUnavailable: number(1)}))
	w.Finish()
	w.image("a:2")
	w.Turn()
	w.Turn()
	jobs, set := w.Jobs(), w.Object()
	if len(jobs) != 1 || jobs[0].Spec.Image != "a:2" || jobs[0].OwnerReferences[0].UID != set.UID {
		t.Fatalf("jobs %+v, want one for a:2", jobs)
	}
	selector, err := metav1.LabelSelectorAsSelector(jobs[0].Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	for _, pod := range w.Pods() {
		old := pod.Labels["controller-revision-hash"] != set.Status.UpdateRevision
		if selector.Matches(labels.Set(pod.Labels)) != old {
			t.Errorf("for the node of pod %s with %v it is pulled: %t", pod.Name, pod.Labels, !old)
		}
	}
	w.Finish()
	w.wantPlaced("updated", "a a:2, b a:2, c a:2, d a:2, e a:2")
	if jobs := w.Jobs(); len(jobs) != 0 {
		t.Errorf("jobs after the rollout: %v", jobs)
	}
}

// A name that the revision should have is taken: by that of a set of the same name that is there no more.
func TestAHashThatIsTakenIsPassedOver(t *testing.T) {
	w := newWorld(t, 2, daemonset.Options{}, nil)
	w.Turn()
	taken, old := w.Revisions()[0], w.Object()
	if err := w.API.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	for _, pod := range w.Pods() {
		w.Vanish(pod.Name)
	}
	again := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: agent}, Spec: old.Spec}
	w.Create(again)
	for range 3 { // the first attempt meets the collision, and counts it
		if err := w.Reconcile(w.Key); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
	}
	set := w.Object()
	if set.Status.CollisionCount == nil || *set.Status.CollisionCount != 1 {
		t.Errorf("collision count %v, want 1", set.Status.CollisionCount)
	}
	hash := strings.TrimPrefix(taken.Name, agent+"-")
	if set.Status.UpdateRevision == "" || set.Status.UpdateRevision == hash {
		t.Errorf("the update revision is %q, and %q is another's", set.Status.UpdateRevision, hash)
	}
	w.Finish()
	w.wantCounts("in the end", "2 2 2 2 2 0")
	for _, pod := range w.Pods() {
		if got := pod.Labels["controller-revision-hash"]; got != set.Status.UpdateRevision {
			t.Errorf("pod %s has the revision %s, want %s", pod.Name, got, set.Status.UpdateRevision)
		}
	}
}

func TestAHookHoldsAPodThatIsToBeReplaced(t *testing.T) {
	const held = "example.com/held"
	w := running(t, 2, func(s *v1beta1.DaemonSetSpec) {
		s.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{LabelsHandler: map[string]string{held: "yes"}, MarkPodNotReady: true}}
		s.Template.Labels[held] = "yes"
	})
	w.image("a:2")
	w.Finish()
	w.wantPlaced("held", "a a:1, b a:1")
	w.wantCounts("held", "2 2 1 0 1 0")
	pod := w.Pods()[0]
	if pod.Spec.NodeName != w.node("b") {
		pod = w.Pods()[1]
	}
	if state := pod.Labels[v1beta1.LifecycleStateKey]; state != string(v1beta1.LifecycleStatePreparingDelete) {
		t.Errorf("pod %s of the last node is in the state %q", pod.Name, state)
	}
	if c := w.condition(v1beta1.DaemonSetConditionReconciling); c == nil || !strings.Contains(c.Message, "preDelete hook of "+pod.Name) {
		t.Errorf("it does not say what it waits for: %+v", c)
	}
	w.Patch(&pod, `{"metadata":{"labels":{"`+held+`":null}}}`)
	w.Finish()
	w.wantPlaced("let go", "a a:1, b a:2")
}

func TestPodsCanBeCreatedOnTheirNodes(t *testing.T) {
	w := newWorld(t, 2, daemonset.Options{Options: workload.Options{BindDirectly: true}}, nil)
	if err := w.Reconcile(w.Key); err != nil {
		t.Fatal(err)
	}
	w.wantPlaced("before a scheduler looked", "a a:1, b a:1")
	for _, pod := range w.Pods() {
		if pod.Spec.SchedulerName != "kubernetes.io/daemonset-controller" {
			t.Errorf("pod %s is left to the scheduler %s", pod.Name, pod.Spec.SchedulerName)
		}
	}
}

func TestAFailedPodIsReplacedAfterLongerAndLongerPauses(t *testing.T) {
	w := running(t, 1, nil)
	replaced := 0
	for ; replaced < 12; replaced++ { // reconciles are two seconds apart, more than the first pauses
		w.fail()
		w.Finish()
		if w.Pods()[0].Status.Phase == corev1.PodFailed {
			break
		}
		w.wantPlaced("replaced", "a a:1")
	}
	if replaced < 2 || replaced == 12 {
		t.Errorf("%d pods were replaced before one was left alone for a while", replaced)
	}
	w.Pass(15 * time.Minute)
	w.Finish()
	w.wantCounts("in the end", "1 1 1 1 1 0")
}

func TestAPodIsNotMadeTwiceWhenTheAnswerIsLost(t *testing.T) {
	w := running(t, 1, nil)
	w.addNode("b")
	w.addNode("c")
	w.Settle()
	w.Freeze("pods")
	w.LoseAnswers(2)
	for range 4 {
		_ = w.Reconcile(w.Key) // it hears of timeouts
	}
	w.Thaw("pods")
	w.Finish()
	w.wantPlaced("in the end", "a a:1, b a:1, c a:1")
}

func TestAPodThatTheSelectorDoesNotMatchIsLetGo(t *testing.T) {
	w := running(t, 1, nil)
	pod := w.Pods()[0]
	before := pod.DeepCopy()
	pod.Labels["app"] = "other"
	if err := w.API.Patch(w.Context(), &pod, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	w.Finish()
	if again := w.Pod(pod.Name); len(again.OwnerReferences) > 0 || again.UID != pod.UID {
		t.Errorf("the pod is owned by %v", again.OwnerReferences)
	}
	w.wantPlaced("with another one", "a a:1, a a:1")
}

func TestPodsThatNobodyOwnsAreTakenOverAndNoneIsMadeBesideThem(t *testing.T) {
	w := running(t, 2, nil)
	before := w.Object()
	if err := w.API.Delete(t.Context(), before, client.PropagationPolicy("Orphan")); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	free := func(object client.Object) { // as the garbage collector does
		patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"ownerReferences":null,"finalizers":null}}`))
		if err := w.API.Patch(t.Context(), object, patch); err != nil {
			t.Fatal(err)
		}
	}
	for _, pod := range w.Pods() {
		names[pod.Name] = true
		free(&pod)
	}
	for _, r := range w.Revisions() {
		free(&r)
	}
	free(before)
	again := &v1beta1.DaemonSet{Spec: before.Spec}
	again.Namespace, again.Name = w.Namespace, agent
	w.Create(again)
	w.Finish()
	for _, pod := range w.Pods() {
		if !names[pod.Name] || len(pod.OwnerReferences) != 1 || pod.OwnerReferences[0].UID != again.UID {
			t.Errorf("pod %s is owned by %v", pod.Name, pod.OwnerReferences)
		}
	}
	w.wantCounts("taken over", "2 2 2 2 2 0")
}

// fail ends the only pod, as kubelet does on a node that is short of memory.
func (w *world) fail() {
	w.Helper()
	pod := w.Pods()[0]
	before := pod.DeepCopy()
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
	if err := w.API.Status().Patch(w.Context(), &pod, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// available counts the nodes with a pod that is ready and stays.
func (w *world) available() int {
	w.Helper()
	nodes := map[string]bool{}
	for _, pod := range w.Pods() {
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp == nil {
				nodes[pod.Spec.NodeName] = true
			}
		}
	}
	return len(nodes)
}
