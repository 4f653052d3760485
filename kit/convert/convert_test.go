package convert

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// renames moves a field: .old in v1 is .new in v2.
func renames() Kind {
	return Kind{
		GroupKind: schema.GroupKind{Group: "example.com", Kind: "Demo"}, Resource: "demos", Versions: []string{"v1", "v2"},
		Convert: func(object *unstructured.Unstructured, version string) error {
			from, to := "old", "new"
			if version == "v1" {
				from, to = to, from
			}
			if object.Object[from] == "bad" {
				return errors.New("it is bad")
			}
			object.Object[to] = object.Object[from]
			delete(object.Object, from)
			return nil
		},
	}
}

func ask(t *testing.T, version string, objects ...string) *apiextensionsv1.ConversionResponse {
	t.Helper()
	handler, err := Handler(renames())
	if err != nil {
		t.Fatal(err)
	}
	review := apiextensionsv1.ConversionReview{Request: &apiextensionsv1.ConversionRequest{UID: "1", DesiredAPIVersion: version}}
	for _, o := range objects {
		review.Request.Objects = append(review.Request.Objects, runtime.RawExtension{Raw: []byte(o)})
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodPost, Path, bytes.NewReader(body)))
	answer := apiextensionsv1.ConversionReview{}
	if err := json.Unmarshal(recorder.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%v: %s", err, recorder.Body)
	}
	return answer.Response
}

func TestObjectsComeOutInOrderAndOtherwiseAsTheyWere(t *testing.T) {
	got := ask(t, "example.com/v2",
		`{"apiVersion":"example.com/v1","kind":"Demo","metadata":{"name":"a","uid":"u"},"number":9007199254740993,"nothing":null,"old":"x","opaque":{"cpu":"1000m"}}`,
		`{"apiVersion":"example.com/v1","kind":"Demo","metadata":{"name":"b"},"old":5}`)
	want := []string{
		`{"apiVersion":"example.com/v2","kind":"Demo","metadata":{"name":"a","uid":"u"},"new":"x","nothing":null,"number":9007199254740993,"opaque":{"cpu":"1000m"}}`,
		`{"apiVersion":"example.com/v2","kind":"Demo","metadata":{"name":"b"},"new":5}`,
	}
	if got.Result.Status != "Success" || got.UID != "1" || len(got.ConvertedObjects) != len(want) {
		t.Fatalf("the answer is %+v", got)
	}
	for i := range want {
		if string(got.ConvertedObjects[i].Raw) != want[i] {
			t.Errorf("object %d is\n%s\nwant\n%s", i, got.ConvertedObjects[i].Raw, want[i])
		}
	}
}

func TestWhatCannotBeConvertedIsNamed(t *testing.T) {
	for name, tc := range map[string]struct{ version, object, want string }{
		"an object that its kind refuses": {"example.com/v1", `{"apiVersion":"example.com/v2","kind":"Demo","metadata":{"namespace":"ns","name":"a"},"new":"bad"}`,
			"converting Demo ns/a to v1: it is bad"},
		"a kind that is not known": {"example.com/v1", `{"apiVersion":"example.com/v2","kind":"Other"}`,
			`no kind "Other" is registered for version "example.com/v2" in scheme`},
	} {
		t.Run(name, func(t *testing.T) {
			got := ask(t, tc.version, tc.object)
			if got.Result.Status != "Failure" || !bytes.HasPrefix([]byte(got.Result.Message), []byte(tc.want)) {
				t.Errorf("%s: %q, want a failure that begins %q", got.Result.Status, got.Result.Message, tc.want)
			}
		})
	}
}

func TestTheDefinitionIsNamedByResourceAndGroup(t *testing.T) {
	if got := renames().CRD(); got != "demos.example.com" {
		t.Error(got)
	}
}
