// Package roundtrip proves of a conversion between two versions of a kind that nothing is lost on the way there and back, and that
// it knows no field that a version does not have.
package roundtrip

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
	"sigs.k8s.io/randfill"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
)

// enough is how many objects of each version are tried.
const enough = 1000

// Filler fills objects at random, as the functions say where there are any, from a seed that it logs.
func Filler(t *testing.T, funcs ...fuzzer.FuzzerFuncs) *randfill.Filler {
	t.Helper()
	seed := rand.Int63()
	t.Logf("seed %d", seed)
	all := fuzzer.MergeFuzzerFuncs(append([]fuzzer.FuzzerFuncs{metafuzzer.Funcs}, funcs...)...)
	return fuzzer.FuzzerFor(all, rand.NewSource(seed), serializer.NewCodecFactory(runtime.NewScheme()))
}

// As returns an object as another version, and fails if that has a field that the other version does not know.
func As[T any](t *testing.T, kind convert.Kind, from any, version string) *T {
	t.Helper()
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := kind.Convert(&unstructured.Unstructured{Object: content}, version); err != nil {
		t.Fatal(err)
	}
	to := new(T)
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(content, to, true); err != nil {
		t.Fatalf("as %s: %v", version, err)
	}
	return to
}

// LosesNothing fails if an object of one version, v1alpha1 (Old) or v1beta1 (New), is another one when it comes back from the other.
func LosesNothing[Old, New any](t *testing.T, kind convert.Kind, filler *randfill.Filler, equal ...cmp.Option) {
	t.Helper()
	older, newer := v1alpha1.GroupVersion.Version, v1beta1.GroupVersion.Version
	equal = append(equal, cmpopts.EquateEmpty())
	for range enough {
		var old Old
		filler.Fill(&old)
		if diff := cmp.Diff(&old, As[Old](t, kind, As[New](t, kind, &old, newer), older), equal...); diff != "" {
			t.Fatalf("from %s (-before +after):\n%s", older, diff)
		}
		var now New
		filler.Fill(&now)
		if diff := cmp.Diff(&now, As[New](t, kind, As[Old](t, kind, &now, older), newer), equal...); diff != "" {
			t.Fatalf("from %s (-before +after):\n%s", newer, diff)
		}
	}
}
