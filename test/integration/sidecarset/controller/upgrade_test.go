package controller

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestAnImageIsUpgradedInPlaceOnePodAfterTheOther(t *testing.T) {
	w := newWorld(t, 3, nil)
	w.wantStatus("at first", "3 3 3 3")
	uids := map[string]types.UID{}
	for _, pod := range w.Pods() {
		uids[pod.Name] = pod.UID
	}
	w.AfterEachStep = func() {
		away := 0
		for _, pod := range w.Pods() {
			for _, c := range pod.Status.Conditions {
				if c.Type == corev1.PodReady && c.Status != corev1.ConditionTrue {
					away++
				}
			}
		}
		if away > 1 {
			t.Errorf("%d pods are away at a time", away)
		}
	}
	w.image("proxy:2")
	w.rest()
	w.wantImages("upgraded", "a proxy:2 main:1, b proxy:2 main:1, c proxy:2 main:1")
	w.wantStatus("upgraded", "3 3 3 3")
	w.untouched()
	set := w.set(w.key.Name)
	for _, pod := range w.Pods() {
		entry := w.record(pod.Name).Hash[w.key.Name]
		if pod.UID != uids[pod.Name] || entry.SidecarSetHash != set.Annotations[v1beta1.SidecarSetHashKey] || entry.SidecarSetControllerRevision != set.Status.LatestRevision {
			t.Errorf("pod %s has UID %s and the record %+v", pod.Name, pod.UID, entry)
		}
	}
	if got := w.condition("Progressing"); got != "True SidecarSetUpdated: 3 of 3 pods updated, 3 of them available" {
		t.Errorf("condition Progressing: %s", got)
	}
	w.Writes()
	for range 3 {
		if err := w.Reconcile(w.key); err != nil {
			t.Fatal(err)
		}
	}
	if writes := w.Writes(); len(writes) > 0 {
		t.Errorf("at rest it wrote %v", writes)
	}
}

func TestAPodIsUpgradedWithOneWrite(t *testing.T) {
	w := newWorld(t, 2, func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy.MaxUnavailable = new(intstr.FromString("100%")) })
	w.image("proxy:2")
	w.rest()
	pods := 0
	for _, write := range w.Writes() {
		if strings.HasPrefix(write.Resource, "pods") {
			pods++
		}
	}
	if pods != 2 {
		t.Errorf("%d writes to pods, want one for each of the two", pods)
	}
}

func TestABadImageStopsTheUpgradeAndTheNextOneRepairsIt(t *testing.T) {
	w := newWorld(t, 3, nil)
	w.BrokenImages["proxy:2"] = true
	w.image("proxy:2")
	w.rest()
	w.wantImages("stopped", "a proxy:2 main:1, b proxy:1 main:1, c proxy:1 main:1")
	if got, want := w.condition("Progressing"), "maxUnavailable is 1 and 1 pod is unavailable: "+w.Namespace+"/a (ImagePullBackOff)"; !strings.Contains(got, want) {
		t.Errorf("condition Progressing: %s, want %s", got, want)
	}
	w.image("proxy:3")
	w.rest()
	w.wantImages("repaired", "a proxy:3 main:1, b proxy:3 main:1, c proxy:3 main:1")
	w.untouched()
}

func TestSeveralSetsKeepTheirRecordsOnOnePod(t *testing.T) {
	w := newWorld(t, 0, nil)
	other := types.NamespacedName{Name: w.Namespace + "-log"}
	w.addSet(other.Name, "log", nil)
	w.Rest(other)
	w.addPod("a", w.key.Name, other.Name)
	w.rest()
	w.Rest(other)

	// The cache of pods is held back, so that the second set decides on a pod as it was before the first one wrote.
	w.image("proxy:2")
	w.change(other.Name, func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Image = "log:2" })
	w.Settle()
	w.Freeze("pods")
	for _, key := range []types.NamespacedName{w.key, other} {
		if err := w.Reconcile(key); err != nil {
			t.Fatal(err)
		}
	}
	w.wantImages("the second set was refused", "a log:1 proxy:2 main:1")
	w.Thaw("pods")
	w.rest()
	w.Rest(other)
	w.rest()
	w.wantImages("both upgraded", "a log:2 proxy:2 main:1")
	record := w.record("a")
	for name, revision := range map[string]string{w.key.Name: w.set(w.key.Name).Status.LatestRevision, other.Name: w.set(other.Name).Status.LatestRevision} {
		if got := record.Hash[name].SidecarSetControllerRevision; got != revision {
			t.Errorf("the record of %s names revision %s, want %s", name, got, revision)
		}
		if _, ok := record.Updates[name]; !ok {
			t.Errorf("the record of the upgrade of %s is gone: %s", name, asJSON(t, record.Updates))
		}
	}
	w.untouched()
}

func TestAnUpgradeWhoseRecordSomebodyTakesAwayHoldsNoOtherUp(t *testing.T) {
	w := newWorld(t, 3, nil)
	w.image("proxy:2")
	w.Settle()
	for w.images() == "a proxy:1 main:1, b proxy:1 main:1, c proxy:1 main:1" {
		if err := w.Reconcile(w.key); err != nil {
			t.Fatal(err)
		}
	}
	wrote := w.Pod("a")
	if w.record("a").Updates[w.key.Name].Revision == "" {
		t.Fatalf("no upgrade of pod a is under way: %v", wrote.Annotations)
	}
	w.Patch(wrote, `{"metadata":{"annotations":{"kruise.io/sidecarset-hash":null,"kruise.io/sidecarset-hash-without-image":null,"kruise.io/sidecarset-inplace-update-state":null}}}`)
	w.rest()
	if got := w.condition("Progressing"); !strings.Contains(got, "2 of 3 pods updated") || !strings.Contains(got, "recreate them: "+w.Namespace+"/a") {
		t.Errorf("condition Progressing: %s", got)
	}
	w.wantImages("the others are upgraded", "a proxy:2 main:1, b proxy:2 main:1, c proxy:2 main:1")
	w.untouched()
}

func TestANativeSidecarIsUpgradedInPlace(t *testing.T) {
	w := newWorld(t, 2, func(s *v1beta1.SidecarSetSpec) {
		native := s.Containers[0]
		native.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		s.Containers, s.InitContainers = nil, []v1beta1.SidecarContainer{native}
	})
	w.change(w.key.Name, func(s *v1beta1.SidecarSetSpec) { s.InitContainers[0].Image = "proxy:2" })
	w.rest()
	w.wantImages("upgraded", "a proxy:2 main:1, b proxy:2 main:1")
	w.wantStatus("upgraded", "2 2 2 2")
	w.untouched()
}

func hot(s *v1beta1.SidecarSetSpec) {
	s.Containers[0].UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{
		UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: "idle:1",
	}
}

func TestAHotUpgradeGoesOnWhateverStepTheManagerRestartsAfter(t *testing.T) {
	w := newWorld(t, 1, hot)
	w.wantImages("at first", "a proxy:1 idle:1 main:1")
	w.image("proxy:2")
	var seen []string
	for range 12 {
		if err := w.Reconcile(w.key); err != nil {
			t.Fatal(err)
		}
		w.Restart()
		if now := w.images(); len(seen) == 0 || seen[len(seen)-1] != now {
			seen = append(seen, now)
		}
		w.Play("a")
	}
	if got, want := strings.Join(seen, " | "), "a proxy:1 proxy:2 main:1 | a idle:1 proxy:2 main:1"; got != want {
		t.Errorf("the pod went through %s, want %s", got, want)
	}
	w.rest()
	w.wantStatus("upgraded", "1 1 1 1")
	pod := w.Pod("a")
	for key, want := range map[string]string{
		v1beta1.SidecarSetWorkingHotUpgradeContainerKey:   `{"proxy":"proxy-2"}`,
		v1beta1.SidecarSetVersionKeyPrefix + "proxy-1":    "0",
		v1beta1.SidecarSetVersionAltKeyPrefix + "proxy-1": "2",
		v1beta1.SidecarSetVersionKeyPrefix + "proxy-2":    "2",
		v1beta1.SidecarSetVersionAltKeyPrefix + "proxy-2": "0",
	} {
		if got := pod.Annotations[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	w.untouched()
}

func TestAPodThatCannotBeUpgradedSaysSoAndTakesItBack(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.change(w.key.Name, func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: "high"}} })
	w.rest()
	told := func() string {
		for _, c := range w.Pod("a").Status.Conditions {
			if c.Type == v1beta1.SidecarSetUpgradable {
				return string(c.Status) + " " + c.Reason + " " + c.Message
			}
		}
		return ""
	}
	if got, want := told(), `False UpdateImmutableField {"`+w.key.Name+`":false}`; got != want {
		t.Errorf("the pod says %q, want %q", got, want)
	}
	w.wantStatus("blocked", "1 0 1 0")
	w.addPod("b", w.key.Name)
	w.rest()
	w.wantStatus("a new pod", "2 1 2 1")
	w.change(w.key.Name, func(s *v1beta1.SidecarSetSpec) { s.Containers[0].Env, s.Containers[0].Image = nil, "proxy:2" })
	w.rest()
	w.wantImages("possible again", "a proxy:2 main:1, b proxy:1 main:1")
	if got, want := told(), `True AllSidecarsetUpgradable {"`+w.key.Name+`":true}`; got != want {
		t.Errorf("the pod says %q, want %q", got, want)
	}
}

func TestRevisionsInUseAndPinnedOnesAreKeptBeyondTheLimit(t *testing.T) {
	w := newWorld(t, 0, func(s *v1beta1.SidecarSetSpec) {
		s.RevisionHistoryLimit, s.CustomVersion = new(int32(1)), "first"
		s.UpdateStrategy.Type = v1beta1.NotUpdateSidecarSetStrategyType
	})
	first := w.set(w.key.Name).Status.LatestRevision
	w.change(w.key.Name, func(s *v1beta1.SidecarSetSpec) {
		s.InjectionStrategy.Revision = &v1beta1.SidecarSetInjectRevision{CustomVersion: new("first")}
		s.Containers[0].Image, s.CustomVersion = "proxy:2", ""
	})
	w.rest()
	second := w.set(w.key.Name).Status.LatestRevision
	w.addPod("a", w.key.Name)
	for _, image := range []string{"proxy:3", "proxy:4", "proxy:5"} {
		w.image(image)
		w.rest()
	}
	var names, numbers []string
	for _, r := range w.revisions() {
		names = append(names, r.Name)
		numbers = append(numbers, r.Labels[v1beta1.SidecarSetCustomVersionKey])
		if r.Labels[v1beta1.SidecarSetNameKey] != w.key.Name || !strings.HasPrefix(r.Name, w.key.Name+"-") {
			t.Errorf("revision %s has the labels %v", r.Name, r.Labels)
		}
	}
	latest := w.set(w.key.Name).Status.LatestRevision
	if len(names) != 4 || names[0] != first || names[1] != second || names[3] != latest || numbers[0] != "first" {
		t.Errorf("revisions %v with versions %v are kept; want %s (pinned), %s (in use), one unused, %s (newest)", names, numbers, first, second, latest)
	}
}

func TestAnOlderRevisionBecomesTheNewestAgain(t *testing.T) {
	w := newWorld(t, 1, nil)
	first := w.set(w.key.Name).Status.LatestRevision
	w.image("proxy:2")
	w.rest()
	w.image("proxy:1")
	w.rest()
	if got := w.set(w.key.Name).Status.LatestRevision; got != first {
		t.Errorf("the latest revision is %s, want %s again", got, first)
	}
	if all := w.revisions(); len(all) != 2 || all[1].Name != first {
		t.Errorf("revisions: %s", asJSON(t, all))
	}
	w.wantImages("back", "a proxy:1 main:1")
}

func TestAPodWithAnotherUIDIsLeftAlone(t *testing.T) {
	w := newWorld(t, 1, nil)
	w.image("proxy:2")
	w.Settle()
	w.Freeze("pods")
	if err := w.API.Delete(t.Context(), w.Pod("a"), client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name, pod.Labels = w.Namespace, "a", map[string]string{"app": "demo"}
	pod.Spec.Containers = []corev1.Container{{Name: "proxy", Image: "theirs:1"}}
	if err := w.API.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if err := w.Reconcile(w.key); err != nil {
		t.Fatal(err)
	}
	w.wantImages("another pod of the name", "a theirs:1")
	w.Thaw("pods")
	w.rest()
	w.wantImages("another pod of the name", "a theirs:1")
	w.wantStatus("it is none of the set's", "0 0 0 0")
}
