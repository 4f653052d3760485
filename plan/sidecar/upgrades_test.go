package sidecar_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

func TestAnUpgradeIsUnderWayUntilAllThatItChangedRunsAndOldTwinsAreIdle(t *testing.T) {
	set, pod := meshed(t)
	check := func(when string, underWay bool) {
		t.Helper()
		if got := sidecar.UpgradesOf(pod); got.UnderWay != underWay || got.Began.IsZero() || !got.Began.Equal(dawn) {
			t.Errorf("%s: %+v, want it to be under way: %t, since %s", when, got, underWay, dawn)
		}
	}
	if got := sidecar.UpgradesOf(pod); got != (sidecar.Upgrades{}) {
		t.Errorf("with the sidecars that it was created with: %+v", got)
	}
	upgrade(t, set, pod, "mesh:2")
	check("begun", true)
	report(pod, "2")
	check("the new twin is ready, and the old one works, too", true)
	patch, err := guest(t, set, pod).Continue(dawn)
	if err != nil {
		t.Fatal(err)
	}
	carry(t, pod, patch)
	check("the old one is to become idle", true)
	report(pod, "3")
	check("it is idle", false)
	upgrade(t, set, pod, "mesh:1")
	check("begun again, the other way", true)
}

func TestWhatARecordSaysOfNothingThatIsThereKeepsNoUpgradeUnderWay(t *testing.T) {
	for name, tc := range map[string]struct {
		annotations map[string]string
		underWay    bool
	}{
		"a record that cannot be read":   {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{"a":`}, false},
		"a container that is not there":  {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{"a":{"lastContainerStatuses":{"gone":{"imageID":"x"}}}}`}, false},
		"a container that has restarted": {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{"a":{"lastContainerStatuses":{"main":{"containerID":"x"}}}}`}, false},
		"one that has not":               {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{"a":{"lastContainerStatuses":{"main":{"containerID":"main1main:1","imageID":"sha256:main:1"}}}}`}, true},
		"one of several sets":            {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{"a":{},"b":{"lastContainerStatuses":{"main":{"imageID":"sha256:main:1","containerID":"main1main:1"}}}}`}, true},
		"twins that cannot be read":      {map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: `{}`, v1beta1.SidecarSetWorkingHotUpgradeContainerKey: `[`}, false},
		"twins that are not there": {map[string]string{
			v1beta1.SidecarSetInPlaceUpdateStateKey: `{}`, v1beta1.SidecarSetWorkingHotUpgradeContainerKey: `{"mesh":"mesh-1"}`,
			v1beta1.SidecarSetVersionKeyPrefix + "mesh-1": "1", v1beta1.SidecarSetVersionKeyPrefix + "mesh-2": "2",
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{}
			pod.Annotations, pod.Spec.Containers = tc.annotations, []corev1.Container{{Name: "main", Image: "main:1"}}
			report(pod, "1")
			if got := sidecar.UpgradesOf(pod); got.UnderWay != tc.underWay {
				t.Errorf("%+v", got)
			}
		})
	}
}

func BenchmarkUpgradesOf(b *testing.B) {
	pod := &corev1.Pod{}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	report(pod, "1")
	for name, record := range map[string]string{
		"never upgraded": "",
		"upgraded":       `{"a":{"revision":"a-7b5c9d4d8","updateTimestamp":"2026-01-01T06:00:00Z","lastContainerStatuses":{"main":{"containerID":"containerd://x","imageID":"sha256:x","image":"main:0"}}}}`,
	} {
		b.Run(name, func(b *testing.B) {
			pod.Annotations = map[string]string{v1beta1.SidecarSetInPlaceUpdateStateKey: record}
			b.ReportAllocs()
			for b.Loop() {
				sidecar.UpgradesOf(pod)
			}
		})
	}
}
