package persistentpodstate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/roundtrip"
)

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	roundtrip.LosesNothing[v1alpha1.PersistentPodState, v1beta1.PersistentPodState](t, Conversion(), roundtrip.Filler(t))
}

func TestWhatIsNoObjectIsLeftToTheSchema(t *testing.T) {
	for _, text := range []string{
		`{}`, `{spec: 1}`, `{spec: {requiredPersistentTopology: [a], preferredPersistentTopology: {a: b}}}`,
		`{spec: {preferredPersistentTopology: [1, {preference: a}, {weight: 1}]}}`,
	} {
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(text), &object.Object); err != nil {
			t.Fatal(err)
		}
		before := object.DeepCopy()
		for _, version := range []string{"v1beta1", "v1alpha1"} {
			if err := Conversion().Convert(object, version); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if diff := cmp.Diff(before.Object, object.Object); diff != "" {
			t.Errorf("%s became otherwise:\n%s", text, diff)
		}
	}
	if err := Conversion().Convert(&unstructured.Unstructured{Object: map[string]any{}}, "v2"); err == nil {
		t.Error("there is a version v2")
	}
}

func TestAnEmptyPolicyIsTheDefault(t *testing.T) {
	object := map[string]any{"spec": map[string]any{"persistentPodStateRetentionPolicy": ""}}
	if err := Conversion().Convert(&unstructured.Unstructured{Object: object}, "v1beta1"); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{}, object, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
