package daemonset

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/roundtrip"
)

// fuzzFuncs leaves out what Conversion documents as not kept.
func fuzzFuncs(serializer.CodecFactory) []any {
	pick := func(c randfill.Continue, words ...string) string { return words[c.Intn(len(words))] }
	return []any{
		func(p *corev1.PodTemplateSpec, c randfill.Continue) {
			*p = corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeName: c.String(8)}}
		},
		func(p *v1beta1.DaemonSetScaleStrategy, _ randfill.Continue) { p.PartitionedScaling = true },
		func(p *v1alpha1.RollingUpdateType, c randfill.Continue) {
			*p = v1alpha1.RollingUpdateType(pick(c, "Standard", "InPlaceIfPossible"))
		},
		func(s *v1alpha1.DaemonSet, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Annotations == nil {
				s.Annotations = map[string]string{}
			}
			if c.Bool() {
				s.Annotations[v1beta1.ProgressiveCreatePodKey] = pick(c, "true", "false", "yes")
			}
		},
	}
}

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	roundtrip.LosesNothing[v1alpha1.DaemonSet, v1beta1.DaemonSet](t, Conversion(), roundtrip.Filler(t, fuzzFuncs))
}

func TestWhatIsSaidOtherwiseInTheOtherVersion(t *testing.T) {
	for name, test := range map[string]struct{ version, from, to string }{
		"the hash of the newest revision": {"v1beta1", `{status: {daemonSetHash: abc}}`, `{status: {updateRevision: abc}}`},
		"and back":                        {"v1alpha1", `{status: {updateRevision: abc}}`, `{status: {daemonSetHash: abc}}`},
		"partitioned scaling": {"v1beta1",
			`{metadata: {annotations: {daemonset.kruise.io/progressive-create-pod: "true"}}, spec: {minReadySeconds: 1}}`,
			`{spec: {minReadySeconds: 1, scaleStrategy: {partitionedScaling: true}}}`},
		"an annotation that says no": {"v1beta1",
			`{metadata: {annotations: {daemonset.kruise.io/progressive-create-pod: "false"}}}`,
			`{metadata: {annotations: {daemonset.kruise.io/progressive-create-pod: "false"}}}`},
		"a scaleStrategy that says nothing": {"v1alpha1", `{spec: {minReadySeconds: 1, scaleStrategy: {partitionedScaling: false}}}`, `{spec: {minReadySeconds: 1}}`},
		"Surging is a surge of one": {"v1beta1",
			`{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging}}}}`,
			`{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Standard, maxSurge: 1, maxUnavailable: 0}}}}`},
		"or of as many as it says": {"v1beta1",
			`{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging, maxSurge: 30%, maxUnavailable: 2}}}}`,
			`{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Standard, maxSurge: 30%, maxUnavailable: 0}}}}`},
		"what is of the wrong shape is left to the schema": {"v1beta1", `{status: 5, spec: [], metadata: {annotations: no}}`, `{status: 5, spec: [], metadata: {annotations: no}}`},
	} {
		t.Run(name, func(t *testing.T) {
			from, want := map[string]any{}, map[string]any{}
			for text, into := range map[string]*map[string]any{test.from: &from, test.to: &want} {
				if err := yaml.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			if test.from == test.to {
				if err := yaml.Unmarshal([]byte(test.from), &from); err != nil {
					t.Fatal(err)
				}
			}
			if err := Conversion().Convert(&unstructured.Unstructured{Object: from}, test.version); err != nil {
				t.Fatal(err)
			}
			if got, wanted := toText(t, from), toText(t, want); got != wanted {
				t.Errorf("got\n%s\nwant\n%s", got, wanted)
			}
		})
	}
	if err := Conversion().Convert(&unstructured.Unstructured{Object: map[string]any{}}, "v1"); err == nil {
		t.Error("it converts to a version that there is not")
	}
}

func toText(t *testing.T, object map[string]any) string {
	t.Helper()
	text, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
