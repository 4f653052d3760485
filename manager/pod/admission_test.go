package pod

import (
	"encoding/json"
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
	return m.Handle(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
		Namespace: "shop", Object: runtime.RawExtension{Raw: []byte(raw)},
	}})
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

// A manager that has not read everything must not let a pod through unchanged: it answers as one that is not there, so that
// the API server does what the policy says.
func TestBeforeTheCachesAreFilledNobodyIsAnswered(t *testing.T) {
	synced := false
	h := &whenSynced{synced: func() bool { return synced }, next: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
	for want, now := range map[int]bool{http.StatusServiceUnavailable: false, http.StatusOK: true} {
		synced = now
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, mutatePath, http.NoBody))
		if w.Code != want {
			t.Errorf("synced: %t, answered with %d", now, w.Code)
		}
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
