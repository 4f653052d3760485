package inplace_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

func TestAnImageIsChangedAtOnceInAPodThatIsOutOfService(t *testing.T) {
	before := pod()
	after := begin(t, before, to(t, before, template(image("web", "web:2"))))

	if diff := cmp.Diff(map[string]string{"web": "web:2", "side": "side:1"}, images(after)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	wantLabels := map[string]string{
		"app": "demo", "tier": "front", "controller-revision-hash": "demo-v2", "pod-template-hash": "v2",
		v1beta1.LifecycleStateKey: "Updating",
	}
	if diff := cmp.Diff(wantLabels, after.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if got := after.Annotations[v1beta1.LifecycleTimestampKey]; got != "2026-01-01T00:00:00Z" {
		t.Errorf("the time of the state is %q", got)
	}
	for _, kind := range []corev1.PodConditionType{v1beta1.InPlaceUpdateReady, corev1.PodReady} {
		c := condition(after, kind)
		if c.Status != corev1.ConditionFalse || c.Reason != v1beta1.StartInPlaceUpdateReason || !c.LastTransitionTime.Time.Equal(start()) {
			t.Errorf("condition %s is %+v", kind, c)
		}
	}
	if diff := cmp.Diff(condition(before, corev1.ContainersReady), condition(after, corev1.ContainersReady)); diff != "" {
		t.Errorf("a condition of others changed (-want +got):\n%s", diff)
	}
	record, ok := inplace.StateOf(after)
	want := v1beta1.InPlaceUpdateState{
		Revision: "demo-v2", UpdateTimestamp: metav1.NewTime(start()), UpdateImages: true,
		LastContainerStatuses: map[string]v1beta1.InPlaceUpdateContainerStatus{
			"web": {ImageID: "sha256:web:1", ContainerID: "containerd://first-web", Image: "web:1"},
		},
		ContainerBatchesRecord: []v1beta1.InPlaceUpdateContainerBatch{{Timestamp: metav1.NewTime(start()), Containers: []string{"web"}}},
	}
	if diff := cmp.Diff(want, record); !ok || diff != "" {
		t.Errorf("record %v (-want +got):\n%s", ok, diff)
	}
}

func TestSeveralImagesChangeWithoutMovingContainersAround(t *testing.T) {
	add := func(spec *corev1.PodSpec, extra ...corev1.Container) {
		spec.Containers = append(append([]corev1.Container{{Name: "zebra", Image: "z:1"}}, spec.Containers...), extra...)
	}
	// An injected container stands among those of the template.
	before := pod(func(p *corev1.Pod) { add(&p.Spec, corev1.Container{Name: "ant", Image: "a:1"}) })
	target := template(image("web", "web:2"), image("side", "side:2"), func(t *corev1.PodTemplateSpec) {
		add(&t.Spec, corev1.Container{Name: "ant", Image: "a:2"})
		t.Spec.Containers[0].Image = "z:2"
	})
	after := begin(t, before, to(t, before, target)) // apply fails if a container moves
	if diff := cmp.Diff(map[string]string{"zebra": "z:2", "web": "web:2", "side": "side:2", "ant": "a:2"}, images(after)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

func TestAChangeOfMetadataAloneLeavesThePodInService(t *testing.T) {
	before := pod(func(p *corev1.Pod) { p.Annotations["of-others"] = "stays" })
	target := to(t, before, template(func(t *corev1.PodTemplateSpec) {
		t.Labels = map[string]string{"app": "demo", "new": "yes"} // the label tier is gone
		t.Annotations["note"] = "two"
	}), grace(30))
	patches, err := inplace.Begin(before, target, start())
	if err != nil {
		t.Fatal(err)
	}
	if patches.Status != nil {
		t.Errorf("two writes where one does: %s", patches.Status)
	}
	after := apply(t, before, patches)
	wantLabels := map[string]string{
		"app": "demo", "new": "yes", "controller-revision-hash": "demo-v2", "pod-template-hash": "v2",
		v1beta1.LifecycleStateKey: "Normal",
	}
	if diff := cmp.Diff(wantLabels, after.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if after.Annotations["note"] != "two" || after.Annotations["of-others"] != "stays" {
		t.Errorf("annotations are %v", after.Annotations)
	}
	if diff := cmp.Diff(before.Status, after.Status); diff != "" {
		t.Errorf("the status changed (-want +got):\n%s", diff)
	}
	if got := inplace.ProgressOf(after).Stage; got != inplace.Done {
		t.Errorf("stage %v", got)
	}
}

func TestAHookedPodWalksThroughEveryStateForMetadataToo(t *testing.T) {
	before := pod()
	target := to(t, before, template(annotation("note", "two")))
	target.Hooked = true
	after := begin(t, before, target)
	if state(after) != lifecycle.Updating || inplace.ProgressOf(after).Stage != inplace.Done {
		t.Errorf("state %s, progress %+v", state(after), inplace.ProgressOf(after))
	}
}

func TestAPodWithoutTheGateIsChangedAtOnceAndInOneWrite(t *testing.T) {
	before := pod(withoutGate)
	patches, err := inplace.Begin(before, to(t, before, template(image("web", "web:2")), grace(30)), start())
	if err != nil {
		t.Fatal(err)
	}
	after := apply(t, before, patches)
	if patches.Status != nil || images(after)["web"] != "web:2" || state(after) != lifecycle.Updating {
		t.Errorf("status patch %s, images %v, state %s", patches.Status, images(after), state(after))
	}
}

func TestAGracePeriodKeepsTheChangeUntilItIsApplied(t *testing.T) {
	before := pod()
	waiting := begin(t, before, to(t, before, template(image("web", "web:2"), annotation("note", "two")), grace(30)))
	if diff := cmp.Diff(before.Spec, waiting.Spec); diff != "" {
		t.Errorf("the spec changed already (-want +got):\n%s", diff)
	}
	want := inplace.Progress{Stage: inplace.Grace, GraceUntil: start().Add(30 * time.Second)}
	if diff := cmp.Diff(want, inplace.ProgressOf(waiting)); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
	if condition(waiting, corev1.PodReady).Status != corev1.ConditionFalse || waiting.Labels["controller-revision-hash"] != "demo-v2" {
		t.Errorf("in the grace period the pod is %+v", waiting)
	}

	patches, err := inplace.Continue(waiting, start().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	after := apply(t, waiting, patches)
	if images(after)["web"] != "web:2" || after.Annotations["note"] != "two" {
		t.Errorf("images %v, annotations %v", images(after), after.Annotations)
	}
	if _, ok := after.Annotations[v1beta1.InPlaceUpdateGraceKey]; ok {
		t.Error("the annotation of the grace period is still there")
	}
	if got := inplace.ProgressOf(after); got.Stage != inplace.Running || got.Waiting != "web" {
		t.Errorf("progress %+v", got)
	}
	if patches, err := inplace.Continue(after, start().Add(time.Minute)); err != nil || patches.Status != nil || patches.Pod != nil {
		t.Errorf("applied twice: %v %s %s", err, patches.Status, patches.Pod)
	}
}

func TestAGracePeriodIsNeverShorterThanAskedForAlthoughTimesInObjectsHaveWholeSeconds(t *testing.T) {
	for _, fraction := range []time.Duration{0, 1, 900 * time.Millisecond, time.Second - 1} {
		before, now := pod(), start().Add(fraction)
		patches, err := inplace.Begin(before, to(t, before, template(image("web", "web:2")), grace(3)), now)
		if err != nil {
			t.Fatal(err)
		}
		until := inplace.ProgressOf(apply(t, before, patches)).GraceUntil
		if lasts := until.Sub(now); lasts < 3*time.Second || lasts >= 4*time.Second {
			t.Errorf("a grace period of 3s that began %s after a full second lasts %s", fraction, lasts)
		}
	}
}

// ofAnotherManager is a pod in the grace period of an update to demo-v2 that another manager began, under either key.
func ofAnotherManager(stateKey, graceKey string) *corev1.Pod {
	patch, err := json.Marshal([]byte(`{"metadata":{"labels":{"tier":"back"},"annotations":{"note":null,"extra":"one"}}}`))
	if err != nil {
		panic(err)
	}
	return pod(func(p *corev1.Pod) {
		p.Labels["controller-revision-hash"] = "demo-v2"
		p.Labels[v1beta1.LifecycleStateKey] = "Updating"
		p.Annotations[stateKey] = `{"revision":"demo-v2","updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":{"web":{"imageID":"sha256:web:1"}}}`
		p.Annotations[graceKey] = `{"revision":"demo-v2","containerImages":{"web":"web:2"},"metaDataPatch":` + string(patch) + `,"graceSeconds":60}`
		condition(p, v1beta1.InPlaceUpdateReady).Status = corev1.ConditionFalse
		condition(p, corev1.PodReady).Status = corev1.ConditionFalse
	})
}

func TestAChangeThatAnotherManagerPutIntoAGracePeriodIsTakenOver(t *testing.T) {
	for name, keys := range map[string][2]string{
		"present keys": {v1beta1.InPlaceUpdateStateKey, v1beta1.InPlaceUpdateGraceKey},
		"older keys":   {v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKeyOld},
	} {
		t.Run(name, func(t *testing.T) {
			waiting := ofAnotherManager(keys[0], keys[1])
			want := inplace.Progress{Stage: inplace.Grace, GraceUntil: start().Add(time.Minute)}
			if diff := cmp.Diff(want, inplace.ProgressOf(waiting)); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
			patches, err := inplace.Continue(waiting, start().Add(time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			after := apply(t, waiting, patches)
			_, note := after.Annotations["note"]
			_, pending := after.Annotations[keys[1]]
			if images(after)["web"] != "web:2" || after.Labels["tier"] != "back" || after.Annotations["extra"] != "one" || note || pending {
				t.Errorf("the pod became %v %v %v", images(after), after.Labels, after.Annotations)
			}
			if got := inplace.ProgressOf(edited(after, restart("web", "web:2", "sha256:web:2"))).Stage; got != inplace.Done {
				t.Errorf("after the restart the stage is %v", got)
			}
		})
	}
}

func TestANewerRevisionThatOvertakesAGracePeriodSkipsNothingOfIt(t *testing.T) {
	waiting := ofAnotherManager(v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKeyOld)
	// From demo-v2 to demo-v3 another image and one annotation change.
	target := inplace.Target{
		Revision: "demo-v3", Hash: "v3", Template: template(image("web", "web:2"), image("side", "side:3")),
		Change: inplace.Change{Images: map[string]string{"side": "side:3"}, Annotations: map[string]*string{"extra": new("two")}},
	}
	after := begin(t, waiting, target)
	if diff := cmp.Diff(map[string]string{"web": "web:2", "side": "side:3"}, images(after)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	_, note := after.Annotations["note"]
	if after.Labels["tier"] != "back" || after.Annotations["extra"] != "two" || note || after.Labels["controller-revision-hash"] != "demo-v3" {
		t.Errorf("labels %v, annotations %v", after.Labels, after.Annotations)
	}
	for _, key := range []string{v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKeyOld, v1beta1.InPlaceUpdateGraceKey} {
		if _, ok := after.Annotations[key]; ok {
			t.Errorf("annotation %s is still there", key)
		}
	}
	if got := inplace.ProgressOf(after); got.Stage != inplace.Running {
		t.Errorf("progress %+v", got)
	}
}

func TestARollbackInAGracePeriodChangesNoImageAndLetsThePodServeAgain(t *testing.T) {
	before := pod()
	waiting := begin(t, before, to(t, before, template(image("web", "web:2")), grace(30)))
	back := inplace.Target{
		Revision: "demo-v1", Hash: "v1", Template: template(), GraceSeconds: 30,
		Change: inplace.Change{Images: map[string]string{"web": "web:1"}},
	}
	after := begin(t, waiting, back)
	if diff := cmp.Diff(before.Spec, after.Spec); diff != "" {
		t.Errorf("the spec changed (-want +got):\n%s", diff)
	}
	if got := inplace.ProgressOf(after); got.Stage != inplace.Done {
		t.Fatalf("progress %+v", got)
	}
	served := apply(t, after, inplace.Settle(after, lifecycle.Normal, "v1", start()))
	if condition(served, v1beta1.InPlaceUpdateReady).Status != corev1.ConditionTrue || state(served) != lifecycle.Normal {
		t.Errorf("condition %+v, state %s", condition(served, v1beta1.InPlaceUpdateReady), state(served))
	}
}

func TestAnUpdateOfOneContainerGoesOnWaitingForAnother(t *testing.T) {
	first := pod()
	second := begin(t, first, to(t, first, template(image("web", "web:2"))))
	for name, target := range map[string]inplace.Target{
		"an image":      to(t, second, template(image("web", "web:2"), image("side", "side:3")), revision("demo-v3", "v3")),
		"metadata only": to(t, second, template(image("web", "web:2"), annotation("note", "two")), revision("demo-v3", "v3")),
	} {
		t.Run(name, func(t *testing.T) {
			third := begin(t, second, target)
			sideDone := edited(third, observe, restart("side", "side:3", "sha256:side:3"))
			if got := inplace.ProgressOf(sideDone); got.Stage != inplace.Running || got.Waiting != "web" {
				t.Errorf("progress %+v before web restarted", got)
			}
			if got := inplace.ProgressOf(edited(sideDone, restart("web", "web:2", "sha256:web:2"))); got.Stage != inplace.Done {
				t.Errorf("progress %+v after web restarted", got)
			}
		})
	}
}

func TestAChangeAndItsRollbackThatKubeletNeverSawWaitForNoRestart(t *testing.T) {
	first := pod()
	second := begin(t, first, to(t, first, template(image("web", "web:2"))))
	back := begin(t, second, to(t, second, template(), revision("demo-v1", "v1")))
	if images(back)["web"] != "web:1" {
		t.Fatalf("images %v", images(back))
	}
	if got := inplace.ProgressOf(back); got.Stage != inplace.Running {
		t.Errorf("progress %+v before kubelet looked", got)
	}
	if got := inplace.ProgressOf(edited(back, observe)); got.Stage != inplace.Done {
		t.Errorf("progress %+v after kubelet looked and found nothing to do", got)
	}
	// Through a third image the way back is the same.
	third := begin(t, second, to(t, second, template(image("web", "web:3")), revision("demo-v3", "v3")))
	back = begin(t, third, to(t, third, template(), revision("demo-v1", "v1")))
	if got := inplace.ProgressOf(edited(back, observe)); got.Stage != inplace.Done {
		t.Errorf("progress %+v after two changes that kubelet never saw", got)
	}
}

func TestSettleOpensTheGatesThatNobodyHolds(t *testing.T) {
	both := func(p *corev1.Pod) {
		p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: v1beta1.KruisePodReadyConditionType})
		condition(p, v1beta1.InPlaceUpdateReady).Status = corev1.ConditionFalse
	}
	kruise := func(status corev1.ConditionStatus) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			both(p)
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: v1beta1.KruisePodReadyConditionType, Status: status})
		}
	}
	inState := func(s lifecycle.State) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Labels[v1beta1.LifecycleStateKey] = string(s) }
	}
	for name, test := range map[string]struct {
		pod                   *corev1.Pod
		to                    lifecycle.State
		inPlaceUpdate, kruise corev1.ConditionStatus
	}{
		"a missing one and a closed one":                     {pod(both), lifecycle.Normal, "True", "True"},
		"one that others hold stays":                         {pod(kruise("False")), lifecycle.Normal, "True", "False"},
		"one that is unknown is opened":                      {pod(kruise("Unknown")), lifecycle.Normal, "True", "True"},
		"after an update, before its hook is complete":       {pod(both, inState(lifecycle.Updating)), lifecycle.Updated, "True", "True"},
		"for a new pod that waits for its hook":              {pod(both, inState(lifecycle.PreparingNormal)), lifecycle.PreparingNormal, "True", "True"},
		"none while an update goes on":                       {pod(both, inState(lifecycle.PreparingUpdate)), lifecycle.Updating, "False", ""},
		"a condition that is no gate of the pod is not made": {pod(func(p *corev1.Pod) { withoutGate(p); p.Labels = nil }), lifecycle.Normal, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			after := apply(t, test.pod, inplace.Settle(test.pod, test.to, "v1", start()))
			if state(after) != test.to {
				t.Errorf("state %s, want %s", state(after), test.to)
			}
			got := [2]corev1.ConditionStatus{condition(after, v1beta1.InPlaceUpdateReady).Status, condition(after, v1beta1.KruisePodReadyConditionType).Status}
			if diff := cmp.Diff([2]corev1.ConditionStatus{test.inPlaceUpdate, test.kruise}, got); diff != "" {
				t.Errorf("conditions (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettleFillsInAMissingTemplateHashAndElseWritesNothingInVain(t *testing.T) {
	bare := pod(func(p *corev1.Pod) { delete(p.Labels, v1beta1.DefaultPodTemplateHashLabel) })
	if after := apply(t, bare, inplace.Settle(bare, lifecycle.Normal, "v1", start())); after.Labels[v1beta1.DefaultPodTemplateHashLabel] != "v1" {
		t.Errorf("labels %v", after.Labels)
	}
	if patches := inplace.Settle(pod(), lifecycle.Normal, "v1", start()); patches.Status != nil || patches.Pod != nil {
		t.Errorf("patches %s %s for a pod that is as it should be", patches.Status, patches.Pod)
	}
}

func TestMoveChangesTheStateAndNothingElse(t *testing.T) {
	before := pod()
	after := apply(t, before, inplace.Move(before, inplace.Moving{To: lifecycle.PreparingUpdate}, start()))
	want := edited(before, func(p *corev1.Pod) {
		p.Labels[v1beta1.LifecycleStateKey] = "PreparingUpdate"
		p.Annotations[v1beta1.LifecycleTimestampKey] = "2026-01-01T00:00:00Z"
	})
	if diff := cmp.Diff(want, after); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheMarkOfAPodThatLeavesItsClaimsGoesWhenItStays(t *testing.T) {
	leaving := apply(t, pod(), inplace.Move(pod(), inplace.Moving{To: lifecycle.PreparingDelete, Specified: true, LeavesClaims: true}, start()))
	if leaving.Annotations[v1beta1.LeavesClaimsKey] != "true" || leaving.Labels[v1beta1.SpecifiedDeleteKey] != "true" {
		t.Errorf("labels %v, annotations %v", leaving.Labels, leaving.Annotations)
	}
	stays := apply(t, leaving, inplace.Move(leaving, inplace.Moving{To: lifecycle.PreparingNormal}, start()))
	if _, marked := stays.Annotations[v1beta1.LeavesClaimsKey]; marked {
		t.Errorf("annotations %v", stays.Annotations)
	}
}

func TestAGracePeriodWhoseAnnotationsCannotBeReadIsAnErrorThatNamesThePod(t *testing.T) {
	unreadable := pod(func(p *corev1.Pod) {
		p.Annotations[v1beta1.InPlaceUpdateGraceKey] = `{"containerImages":{"web":"web:2"},"metaDataPatch":"bm90IGpzb24="}`
	})
	if _, err := inplace.Continue(unreadable, start()); err == nil || !strings.Contains(err.Error(), "shop/demo-a") || !strings.Contains(err.Error(), "metaDataPatch") {
		t.Errorf("error %v", err)
	}
	nothing := pod(func(p *corev1.Pod) { p.Annotations[v1beta1.InPlaceUpdateGraceKey] = `{"containerImages":` })
	if patches, err := inplace.Continue(nothing, start()); err != nil || patches.Pod != nil {
		t.Errorf("error %v, patch %s", err, patches.Pod)
	}
}
