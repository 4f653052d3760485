package statefulset

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admission/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/plan/workload"
)

// changeOf makes the request to write an object with a spec, where before it was another.
func changeOf(operation admissionv1.Operation, version, before, spec string) admission.Request {
	raw := func(spec string) runtime.RawExtension {
		return runtime.RawExtension{Raw: []byte(`{"spec":` + spec + `}`)}
	}
	return admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Operation: operation, RequestKind: &metav1.GroupVersionKind{Group: "apps.kruise.io", Version: version, Kind: "StatefulSet"},
		Object: raw(spec), OldObject: raw(before),
	}}
}

// patchesOf shows patches as JSON, one a line.
func patchesOf(t *testing.T, response admission.Response) string {
	t.Helper()
	if !response.Allowed {
		t.Fatalf("refused: %v", response.Result)
	}
	var lines []string
	for _, p := range response.Patches {
		text, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	return strings.Join(lines, "\n")
}

func TestDefaultsFillInEmptyObjectsAndTouchNothingElse(t *testing.T) {
	all := Options{Options: workload.Options{AutoDeleteClaims: true, ResizeClaims: true}}
	const rolling = `{"op":"add","path":"/spec/updateStrategy/rollingUpdate","value":{}}`
	const retention = `{"op":"add","path":"/spec/persistentVolumeClaimRetentionPolicy","value":{}}`
	const updates = `{"op":"add","path":"/spec/volumeClaimUpdateStrategy","value":{}}`
	for name, tc := range map[string]struct {
		options Options
		spec    string
		want    string
	}{
		"RollingUpdate without parameters":                       {Options{}, `{"updateStrategy":{"type":"RollingUpdate"}}`, rolling},
		"RollingUpdate with parameters":                          {Options{}, `{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"paused":true}}}`, ""},
		"OnDelete":                                               {Options{}, `{"updateStrategy":{"type":"OnDelete"}}`, ""},
		"nothing said about claims, with the gates on":           {all, `{"updateStrategy":{"type":"OnDelete"}}`, retention + "\n" + updates},
		"something said about claims":                            {all, `{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"},"volumeClaimUpdateStrategy":{}}`, ""},
		"something of the wrong shape, which the schema refuses": {Options{}, `{"updateStrategy":"fast"}`, ""},
		"a spec of the wrong shape":                              {all, `"web"`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := patchesOf(t, tc.options.setDefaults(t.Context(), changeOf(admissionv1.Create, "v1beta1", "null", tc.spec)))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAClientOfTheOlderVersionTakesNothingAwayThatItDoesNotKnow(t *testing.T) {
	const before = `{"replicas":3,"reserveOrdinals":[1,"4-6"],"lifecycle":{"preDelete":{}},"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}}`
	const kept = `{"op":"add","path":"/spec/lifecycle","value":{"preDelete":{}}}
{"op":"add","path":"/spec/persistentVolumeClaimRetentionPolicy","value":{"whenScaled":"Delete"}}
{"op":"add","path":"/spec/reserveOrdinals","value":[1,"4-6"]}`
	for name, tc := range map[string]struct {
		version, spec, want string
	}{
		"as v1alpha1": {"v1alpha1", `{"replicas":5}`, kept},
		"as v1beta1":  {"v1beta1", `{"replicas":5,"persistentVolumeClaimRetentionPolicy":{}}`, ""},
		"an empty value for each field, as v1alpha1": {"v1alpha1",
			`{"replicas":5,"reserveOrdinals":[],"lifecycle":{},"persistentVolumeClaimRetentionPolicy":{}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			response := Options{Options: workload.Options{AutoDeleteClaims: true}}.setDefaults(t.Context(), changeOf(admissionv1.Update, tc.version, before, tc.spec))
			if diff := cmp.Diff(tc.want, patchesOf(t, response)); diff != "" {
				t.Errorf("patches (-want +got):\n%s", diff)
			}
			if told := len(response.Warnings) > 0; told != (tc.want != "") {
				t.Errorf("warnings: %v", response.Warnings)
			}
		})
	}
}

func TestAClientOfTheOlderVersionTakesNothingOutOfAFieldThatItKnows(t *testing.T) {
	const before = `{"updateStrategy":{"rollingUpdate":{"inPlaceUpdateStrategy":{"gracePeriodSeconds":3,"imagePreDownloadParallelism":2}}}}`
	const kept = `{"op":"add","path":"/spec/updateStrategy/rollingUpdate/inPlaceUpdateStrategy/imagePreDownloadParallelism","value":2}`
	for name, tc := range map[string]struct{ spec, want string }{
		"a field in it":               {`{"updateStrategy":{"rollingUpdate":{"inPlaceUpdateStrategy":{"gracePeriodSeconds":5}}}}`, kept},
		"all that it knows in it":     {`{"updateStrategy":{"rollingUpdate":{"inPlaceUpdateStrategy":{}}}}`, kept},
		"the field that it knows":     {`{"updateStrategy":{"rollingUpdate":{}}}`, ""},
		"another type of the update":  {`{"updateStrategy":{"type":"OnDelete"}}`, ""},
		"another value":               {`{"updateStrategy":{"rollingUpdate":{"inPlaceUpdateStrategy":{"imagePreDownloadParallelism":7}}}}`, ""},
		"something of a wrong shape":  {`{"updateStrategy":{"rollingUpdate":["inPlaceUpdateStrategy"]}}`, ""},
		"something that is not there": {`{"updateStrategy":{"rollingUpdate":{"inPlaceUpdateStrategy":null}}}`, ""},
	} {
		if got := patchesOf(t, Options{}.setDefaults(t.Context(), changeOf(admissionv1.Update, "v1alpha1", before, tc.spec))); got != tc.want {
			t.Errorf("%s: patches %s, want %s", name, got, tc.want)
		}
	}
}
