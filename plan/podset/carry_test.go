package podset_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/test/builder"
)

func TestAPreparedPodHasItsGatesOnce(t *testing.T) {
	p := builder.Pod("web-a").Gate("example.com/traffic").Gate(v1beta1.KruisePodReadyConditionType).Object()
	p.Labels = nil
	podset.Prepare(p, "web-abc", "abc", nil, v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReadyConditionType)
	var gates []string
	for _, g := range p.Spec.ReadinessGates {
		gates = append(gates, string(g.ConditionType))
	}
	if diff := cmp.Diff([]string{"example.com/traffic", "KruisePodReady", "InPlaceUpdateReady"}, gates); diff != "" {
		t.Errorf("gates (-want +got):\n%s", diff)
	}
	want := map[string]string{"controller-revision-hash": "web-abc", "pod-template-hash": "abc", "lifecycle.apps.kruise.io/state": "Normal"}
	if diff := cmp.Diff(want, p.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}
