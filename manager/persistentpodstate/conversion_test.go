package persistentpodstate

import (
	"math/rand"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
)

// converted returns an object as another version, and fails if that has a field that the other version does not know.
func converted[T any](t *testing.T, from any, version string) *T {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := Conversion().Convert(&unstructured.Unstructured{Object: content}, version); err != nil {
		t.Fatal(err)
	}
	to := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, to, true); err != nil {
		t.Fatalf("as %s: %v", version, err)
	}
	return to
}

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	filler := fuzzer.FuzzerFor(metafuzzer.Funcs, rand.NewSource(seed), serializer.NewCodecFactory(runtime.NewScheme()))
	for range 1000 {
		var old v1alpha1.PersistentPodState
		filler.Fill(&old)
		back := converted[v1alpha1.PersistentPodState](t, converted[v1beta1.PersistentPodState](t, &old, "v1beta1"), "v1alpha1")
		if diff := cmp.Diff(&old, back, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("from v1alpha1 (-before +after):\n%s", diff)
		}
		var state v1beta1.PersistentPodState
		filler.Fill(&state)
		again := converted[v1beta1.PersistentPodState](t, converted[v1alpha1.PersistentPodState](t, &state, "v1alpha1"), "v1beta1")
		if diff := cmp.Diff(&state, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("from v1beta1 (-before +after):\n%s", diff)
		}
	}
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
