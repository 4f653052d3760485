package pod

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	jsonpatch "gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// handle sends a pod, as the API server would, through some lines.
func handle(t *testing.T, raw string, lines ...mutator) admission.Response {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	m := &mutating{world: &world{}, chain: lines, decoder: admission.NewDecoder(scheme)}
	response, err := m.answer(t.Context(), &admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", Object: runtime.RawExtension{Raw: []byte(raw)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := response.Complete(admission.Request{}); err != nil {
		t.Fatal(err)
	}
	return response
}

func labels(key, value string) mutator {
	return mutator{name: key, change: func(pod *corev1.Pod, _ *facts) field.ErrorList {
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		pod.Labels[key] = value + pod.Namespace
		return nil
	}}
}

func TestLinesAreFollowedInTheirOrderAndOnlyWhatTheyChangedIsChanged(t *testing.T) {
	seen := mutator{name: "seen", change: func(pod *corev1.Pod, _ *facts) field.ErrorList {
		pod.Annotations = map[string]string{"seen": strings.Join(slices.Sorted(maps.Keys(pod.Labels)), " ")}
		return nil
	}}
	// The pod has a field that this build does not know.
	got := handle(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-"},"spec":{"containers":[],"fieldOfTheFuture":1}}`, labels("a", "x-"), labels("b", "y-"), seen)
	if !got.Allowed {
		t.Fatalf("%+v", got.Result)
	}
	slices.SortFunc(got.Patches, func(a, b jsonpatch.Operation) int { return strings.Compare(a.Path, b.Path) })
	text, err := json.Marshal(got.Patches)
	if err != nil {
		t.Fatal(err)
	}
	if want := `[{"op":"add","path":"/metadata/annotations","value":{"seen":"a b"}},{"op":"add","path":"/metadata/labels","value":{"a":"x-shop","b":"y-shop"}},{"op":"add","path":"/metadata/namespace","value":"shop"}]`; string(text) != want {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

func TestAPodThatNoLineChangesIsLetThroughAsItIs(t *testing.T) {
	if got := handle(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"generateName":"a-","namespace":"shop"},"spec":{"containers":[{"name":"a"},{"name":"b"}]}}`, chain()...); !got.Allowed || len(got.Patches) > 0 {
		t.Errorf("allowed %t, patches %v", got.Allowed, got.Patches)
	}
}

func TestARefusalNamesTheLineAndTheField(t *testing.T) {
	wrong := mutator{name: "wrong", change: func(*corev1.Pod, *facts) field.ErrorList {
		return field.ErrorList{field.Forbidden(field.NewPath("spec"), "why")}
	}}
	never := mutator{name: "never", change: func(*corev1.Pod, *facts) field.ErrorList {
		t.Error("a line behind the one that refused is followed")
		return nil
	}}
	got := handle(t, `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"},"spec":{}}`, wrong, never)
	if got.Allowed || got.Result.Message != `wrong: Pod "a" is invalid: spec: Forbidden: why` || got.Result.Code != http.StatusUnprocessableEntity {
		t.Errorf("allowed %t, %+v", got.Allowed, got.Result)
	}
}

// answersWith answers every request with one response, one error or a panic.
type answersWith struct {
	response admission.Response
	err      error
	panics   bool
}

func (a answersWith) answer(context.Context, *admission.Request) (admission.Response, error) {
	if a.panics {
		panic("a defect")
	}
	return a.response, a.err
}

// A manager that has not read everything must not let a pod through unchanged, and one that fails must not refuse a pod: both
// answer as one that is not there, so that the API server does what the policy says.
func TestWithoutAnAnswerThePolicyDecides(t *testing.T) {
	const body = `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u"}}`
	for name, tc := range map[string]struct {
		synced bool
		body   string
		of     answersWith
		want   int
		says   string
	}{
		"before the caches are filled": {false, body, answersWith{}, http.StatusServiceUnavailable, "has not read the cluster's objects yet"},
		"allowed":                      {true, body, answersWith{response: admission.Allowed("")}, http.StatusOK, `"allowed":true`},
		"refused":                      {true, body, answersWith{response: admission.Denied("why")}, http.StatusOK, `"allowed":false`},
		"an error":                     {true, body, answersWith{err: errors.New("why")}, http.StatusInternalServerError, "why"},
		"a defect":                     {true, body, answersWith{panics: true}, http.StatusInternalServerError, "the manager failed"},
		"no request":                   {true, "{", answersWith{}, http.StatusInternalServerError, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, mutatePath, strings.NewReader(tc.body))
			r.Header.Set("Content-Type", "application/json")
			(&answers{synced: func() bool { return tc.synced }, of: tc.of}).ServeHTTP(w, r)
			if w.Code != tc.want || !strings.Contains(w.Body.String(), tc.says) {
				t.Errorf("answered with %d, %s", w.Code, w.Body)
			}
		})
	}
}

func TestOptionsThatCannotBeAreNamed(t *testing.T) {
	for name, tc := range map[string]struct {
		options Options
		want    string
	}{
		"no time":         {Options{}, "--pod-webhook-timeout-seconds: 0 is not from 1 to 30"},
		"too much time":   {Options{TimeoutSeconds: 31}, "--pod-webhook-timeout-seconds: 31 is not from 1 to 30"},
		"an unknown line": {Options{TimeoutSeconds: 1, Policies: map[string]string{"launch": "Fail"}}, `--pod-webhook-failure-policy: "launch" is none of readiness-gate, sidecars, launch-priority, budget-marks, persistent-pod-state, serverless-probes, budget-deletions, budget-changes`},
		"another policy":  {Options{TimeoutSeconds: 1, Policies: map[string]string{"launch-priority": "fail"}}, `--pod-webhook-failure-policy: launch-priority=fail: the policy is Fail or Ignore`},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.options.Validate(); err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	if err := (Options{TimeoutSeconds: 30, Policies: map[string]string{"launch-priority": "Ignore"}}).Validate(); err != nil {
		t.Error(err)
	}
}

func TestANameIsMadeAsTheAPIServerMakesIt(t *testing.T) {
	for beginning, want := range map[string]int{"web-": 9, strings.Repeat("a", 80): 63} {
		if got := generated(beginning); len(got) != want || got[:4] != beginning[:4] {
			t.Errorf("%s makes %s", beginning, got)
		}
	}
}
