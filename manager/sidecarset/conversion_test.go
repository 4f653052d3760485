package sidecarset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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
	return []any{
		func(p *v1beta1.SidecarContainer, c randfill.Continue) {
			p.Name, p.Image, p.PodInjectPolicy = c.String(8), c.String(8), v1beta1.AfterAppContainerType
		},
		func(p *corev1.Volume, c randfill.Continue) { p.Name = c.String(8) },
		func(s *v1alpha1.SidecarSet, c randfill.Continue) {
			c.FillNoCustom(s)
			if s.Spec.Namespace != "" {
				s.Spec.NamespaceSelector = nil
			}
			if c.Bool() {
				metav1.SetMetaDataLabel(&s.ObjectMeta, v1beta1.SidecarSetCustomVersionKey, c.String(8))
			}
		},
		func(s *v1beta1.SidecarSet, c randfill.Continue) {
			c.FillNoCustom(s)
			if name := c.String(8); name != "" && c.Bool() {
				s.Spec.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: []string{name}},
				}}
			}
		},
	}
}

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	roundtrip.LosesNothing[v1alpha1.SidecarSet, v1beta1.SidecarSet](t, Conversion(), roundtrip.Filler(t, fuzzFuncs))
}

func TestWhatIsSaidOtherwiseInTheOtherVersion(t *testing.T) {
	const (
		expression = `{key: kubernetes.io/metadata.name, operator: In, values: [shop]}`
		selected   = `{spec: {namespaceSelector: {matchExpressions: [` + expression + `]}}}`
		byLabel    = `{spec: {namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}`
	)
	for name, test := range map[string]struct{ version, from, to string }{
		"a namespace":                      {"v1beta1", `{spec: {namespace: shop}}`, selected},
		"and back":                         {"v1alpha1", selected, `{spec: {namespace: shop}}`},
		"a namespace that is none":         {"v1beta1", `{spec: {namespace: "", revisionHistoryLimit: 1}}`, `{spec: {revisionHistoryLimit: 1}}`},
		"a selector of one namespace":      {"v1alpha1", byLabel, byLabel},
		"which is the namespace named too": {"v1beta1", `{spec: {namespace: shop, namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: shop}}}}`, byLabel},
		"a namespace and a selector must both hold": {"v1beta1",
			`{spec: {namespace: shop, namespaceSelector: {matchLabels: {team: a}}}}`,
			`{spec: {namespaceSelector: {matchLabels: {team: a}, matchExpressions: [` + expression + `]}}}`},
		"even if they are said twice": {"v1beta1",
			`{spec: {namespace: shop, namespaceSelector: {matchLabels: {team: a}, matchExpressions: [` + expression + `]}}}`,
			`{spec: {namespaceSelector: {matchLabels: {team: a}, matchExpressions: [` + expression + `]}}}`},
		"a custom version":        {"v1beta1", `{metadata: {labels: {a: b, apps.kruise.io/sidecarset-custom-version: v1}}}`, `{metadata: {labels: {a: b}}, spec: {customVersion: v1}}`},
		"a custom version's back": {"v1alpha1", `{metadata: {labels: {a: b}}, spec: {customVersion: v1}}`, `{metadata: {labels: {a: b, apps.kruise.io/sidecarset-custom-version: v1}}}`},
		"what is of the wrong shape is left to the schema": {"v1beta1",
			`{spec: {namespace: 5, namespaceSelector: []}, metadata: {labels: no}}`, `{spec: {namespace: 5, namespaceSelector: []}, metadata: {labels: no}}`},
	} {
		t.Run(name, func(t *testing.T) {
			from, want := map[string]any{}, map[string]any{}
			if err := yaml.Unmarshal([]byte(test.from), &from); err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal([]byte(test.to), &want); err != nil {
				t.Fatal(err)
			}
			if err := Conversion().Convert(&unstructured.Unstructured{Object: from}, test.version); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, from); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if err := Conversion().Convert(&unstructured.Unstructured{Object: map[string]any{}}, "v1"); err == nil {
		t.Error("it converts to a version that there is not")
	}
}
