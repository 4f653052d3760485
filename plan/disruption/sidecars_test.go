package disruption

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/api/policy/v1beta1"
)

// withSidecar gives a pod a sidecar that runs.
func withSidecar(p *corev1.Pod) {
	p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: "proxy", Image: "proxy:1"})
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "proxy", ImageID: "sha256:proxy", ContainerID: "proxy-0"}}
}

// upgrading begins to upgrade the sidecar at a second.
func upgrading(second int) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		status := &p.Status.ContainerStatuses[0]
		p.Annotations[appsv1beta1.SidecarSetInPlaceUpdateStateKey] = fmt.Sprintf(
			`{"mesh":{"updateTimestamp":%q,"lastContainerStatuses":{"proxy":{"imageID":%q,"containerID":%q}}}}`,
			at(second).UTC().Format(time.RFC3339), status.ImageID, status.ContainerID)
	}
}

// restarted has kubelet start the sidecar anew.
func restarted(p *corev1.Pod) { p.Status.ContainerStatuses[0].ContainerID += "+" }

// twins makes the sidecar one that is upgraded hot, with twins of these versions.
func twins(one, other string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i, version := range []string{one, other} {
			name := fmt.Sprint("proxy-", i+1)
			p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: name})
			p.Annotations[appsv1beta1.SidecarSetVersionKeyPrefix+name] = version
		}
		p.Annotations[appsv1beta1.SidecarSetWorkingHotUpgradeContainerKey] = `{"proxy":"proxy-2"}`
	}
}

func TestAPodIsAvailableWhileItRunsWhatItsSpecSays(t *testing.T) {
	digest := func(spec, runs string, native bool) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			c := corev1.Container{Name: "by-digest", Image: "demo@sha256:" + spec}
			s := corev1.ContainerStatus{Name: "by-digest", ImageID: "demo@sha256:" + runs}
			if native {
				c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
				p.Spec.InitContainers, p.Status.InitContainerStatuses = []corev1.Container{c}, []corev1.ContainerStatus{s}
			} else {
				p.Spec.Containers, p.Status.ContainerStatuses = []corev1.Container{c}, []corev1.ContainerStatus{s}
			}
		}
	}
	type is = []func(*corev1.Pod)
	for name, tc := range map[string]struct {
		pod  is
		want bool
	}{
		"it serves":                            {nil, true},
		"it is not ready":                      {is{notReady(-1)}, false},
		"its digest runs":                      {is{digest("a", "a", false)}, true},
		"another digest runs":                  {is{digest("a", "b", false)}, false},
		"another digest of a native sidecar":   {is{digest("a", "b", true)}, false},
		"the digest of a native sidecar":       {is{digest("a", "a", true)}, true},
		"an ordinary init container has ended": {is{digest("a", "b", true), func(p *corev1.Pod) { p.Spec.InitContainers[0].RestartPolicy = nil }}, true},
		"its own update in place is under way": {is{withSidecar, func(p *corev1.Pod) {
			p.Labels[appsv1beta1.LifecycleStateKey] = "Updating"
			p.Annotations[appsv1beta1.InPlaceUpdateStateKey] = `{"lastContainerStatuses":{"proxy":{"imageID":"sha256:proxy","containerID":"proxy-0"}}}`
		}}, false},
		"its sidecar is as it was created":              {is{withSidecar}, true},
		"its sidecar has yet to restart":                {is{withSidecar, upgrading(-1)}, false},
		"its sidecar has restarted":                     {is{withSidecar, upgrading(-1), restarted}, true},
		"the new twin works, and the old one is idle":   {is{withSidecar, twins("0", "2"), upgrading(-1), restarted}, true},
		"the new twin works, and the old one does, too": {is{withSidecar, twins("1", "2"), upgrading(-1), restarted}, false},
		"a record of sidecars that cannot be read":      {is{withSidecar, func(p *corev1.Pod) { p.Annotations[appsv1beta1.SidecarSetInPlaceUpdateStateKey] = "{" }}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Available(pod("a", tc.pod...)); got != tc.want {
				t.Errorf("it is available: %t", got)
			}
		})
	}
}

func TestAPermissionIsGivenBackOnceTheUpgradeOfSidecarsIsOver(t *testing.T) {
	for name, tc := range map[string]struct {
		pod  []func(*corev1.Pod)
		kept bool
	}{
		"it is to come":                    {[]func(*corev1.Pod){withSidecar}, true},
		"it is under way":                  {[]func(*corev1.Pod){withSidecar, upgrading(-3)}, true},
		"it is over":                       {[]func(*corev1.Pod){withSidecar, upgrading(-3), restarted}, false},
		"it began in that second":          {[]func(*corev1.Pod){withSidecar, upgrading(-5), restarted}, false},
		"an earlier one is over":           {[]func(*corev1.Pod){withSidecar, upgrading(-6), restarted}, true},
		"kubelet has not seen all of it":   {[]func(*corev1.Pod){withSidecar, upgrading(-3), restarted, func(p *corev1.Pod) { p.Generation, p.Status.ObservedGeneration = 3, 2 }}, true},
		"the pod is away for its own sake": {[]func(*corev1.Pod){withSidecar, upgrading(-3), restarted, notReady(-20)}, true},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Count(budgetOf(changing("a", -5)), Facts{Now: at(0), Workloads: 4, Pods: []*corev1.Pod{pod("a", tc.pod...)}})
			if err != nil {
				t.Fatal(err)
			}
			if kept := got.recorded("a"); kept != tc.kept {
				t.Errorf("the record is kept: %t", kept)
			}
		})
	}
}

func TestAPermissionIsLaterThanTheUpgradeBeforeIt(t *testing.T) {
	for began, want := range map[int]int{-1: 0, 0: 1, 60: 0} {
		b := budgetOf()
		Ask(b, Request{Operation: v1beta1.PubUpdateOperation, Pod: pod("a", withSidecar, upgrading(began), restarted)}, at(0))
		if got := b.Status.UnavailablePods["a"]; !got.Time.Equal(at(want)) {
			t.Errorf("after an upgrade that began at %d it is noted for %s, want %s", began, got, at(want))
		}
	}
}
