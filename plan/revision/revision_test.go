package revision_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"kruise.io/kruise/plan/revision"
)

func template(edits ...func(*corev1.PodTemplateSpec)) *corev1.PodTemplateSpec {
	t := &corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "demo"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "web", Image: "web:1",
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}},
		}}},
	}
	for _, edit := range edits {
		edit(t)
	}
	return t
}

func data(t *testing.T, template *corev1.PodTemplateSpec) []byte {
	t.Helper()
	text, err := revision.Data(template)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func stored(name string, number int64, text string) *appsv1.ControllerRevision {
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}, Revision: number, Data: runtime.RawExtension{Raw: []byte(text)},
	}
}

func TestDataHasTheFormOfTheContract(t *testing.T) {
	var got any
	if err := json.Unmarshal(data(t, template()), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"spec": map[string]any{"template": map[string]any{
		"$patch":   "replace",
		"metadata": map[string]any{"labels": map[string]any{"app": "demo"}},
		"spec": map[string]any{"containers": []any{map[string]any{
			"name": "web", "image": "web:1", "resources": map[string]any{"requests": map[string]any{"cpu": "1"}},
		}}},
	}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATemplateComesBackFromItsData(t *testing.T) {
	got, err := revision.Template(stored("demo-1", 1, string(data(t, template()))))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(template(), got, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestDataThatIsNoTemplateIsAnErrorThatNamesTheRevision(t *testing.T) {
	if _, err := revision.Template(stored("demo-1", 1, `{"spec":{"template":7}}`)); err == nil || !strings.Contains(err.Error(), "shop/demo-1") {
		t.Errorf("error %v", err)
	}
}

func TestARevisionIsFoundByItsTemplateHoweverItWasEncoded(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want bool
	}{
		"as we encode it": {string(data(t, template())), true},
		"with the null times and empty structs of older encoders": {`{"spec":{"template":{"metadata":{"creationTimestamp":null,"labels":{"app":"demo"}},` +
			`"spec":{"containers":[{"name":"web","image":"web:1","resources":{"requests":{"cpu":"1"}}}],"volumes":null},"$patch":"replace"}}}`, true},
		"with its keys in another order, and white space": {`{ "spec" : {"template": {"spec": {"containers": [{"resources": {"requests": {"cpu": "1"}}, "image": "web:1", "name": "web"}]},
			"metadata": {"labels": {"app": "demo"}}, "$patch": "replace"}}}`, true},
		"with quantities written in another way": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"}},` +
			`"spec":{"containers":[{"name":"web","image":"web:1","resources":{"requests":{"cpu":"1000m"}}}]}}}}`, true},
		"with empty lists and maps": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"},"annotations":{}},` +
			`"spec":{"containers":[{"name":"web","image":"web:1","env":[],"resources":{"requests":{"cpu":"1"},"limits":{}}}]}}}}`, true},
		"with a field that this program does not know": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"}},` +
			`"spec":{"fancy":true,"containers":[{"name":"web","image":"web:1","resources":{"requests":{"cpu":"1"}}}]}}}}`, true},
		"another image is another revision": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"}},` +
			`"spec":{"containers":[{"name":"web","image":"web:2","resources":{"requests":{"cpu":"1"}}}]}}}}`, false},
		"a default that is written out is no other revision": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"}},` +
			`"spec":{"dnsPolicy":"ClusterFirst","containers":[{"name":"web","image":"web:1","resources":{"requests":{"cpu":"1"}}}]}}}}`, true},
		"what is no default is another revision": {`{"spec":{"template":{"metadata":{"labels":{"app":"demo"}},` +
			`"spec":{"dnsPolicy":"Default","containers":[{"name":"web","image":"web:1","resources":{"requests":{"cpu":"1"}}}]}}}}`, false},
		"what cannot be read is no revision of ours": {`{"spec":`, false},
		"no data at all": {``, false},
	} {
		t.Run(name, func(t *testing.T) {
			all := []*appsv1.ControllerRevision{stored("demo-1", 1, test.text)}
			if found := revision.Find(all, template(), data(t, template())); (found != nil) != test.want {
				t.Errorf("found %v, want %v", found, test.want)
			}
		})
	}
}

func TestOfSeveralEqualRevisionsTheNewestIsFound(t *testing.T) {
	same, other := string(data(t, template())), string(data(t, template(func(t *corev1.PodTemplateSpec) { t.Spec.HostNetwork = true })))
	all := []*appsv1.ControllerRevision{stored("a", 2, same), stored("b", 5, same), stored("c", 9, other), stored("d", 3, same)}
	if found := revision.Find(all, template(), data(t, template())); found == nil || found.Name != "b" {
		t.Errorf("found %v", found)
	}
}

func TestHash(t *testing.T) {
	one, two := data(t, template()), data(t, template(func(t *corev1.PodTemplateSpec) { t.Spec.HostNetwork = true }))
	hashes := map[string]bool{}
	for _, hash := range []string{revision.Hash(one, 0), revision.Hash(one, 1), revision.Hash(one, 2), revision.Hash(two, 0)} {
		if hashes[hash] {
			t.Errorf("%q comes twice", hash)
		}
		hashes[hash] = true
		if errs := validation.IsDNS1123Label(hash); len(errs) > 0 || len(hash) > 10 {
			t.Errorf("%q cannot be in a name: %v", hash, errs)
		}
	}
	if a, b := revision.Hash(one, 0), revision.Hash(data(t, template()), 0); a != b {
		t.Errorf("equal templates have the hashes %s and %s", a, b)
	}
	// The form is the contract's: what is written once must be found again for ever.
	if got := revision.Hash([]byte(`{"spec":{"template":{"$patch":"replace"}}}`), 0); got != "5c486558bb" {
		t.Errorf("the hash of a fixed text is %q", got)
	}
}

func TestName(t *testing.T) {
	for name, test := range map[string]struct{ workload, want string }{
		"a short name":          {"demo", "demo-5d4c7b8f9"},
		"a name with dashes":    {"demo-of-mine", "demo-of-mine-5d4c7b8f9"},
		"a long name is cut":    {strings.Repeat("x", 240), strings.Repeat("x", 223) + "-5d4c7b8f9"},
		"the longest uncut one": {strings.Repeat("x", 223), strings.Repeat("x", 223) + "-5d4c7b8f9"},
	} {
		if got := revision.Name(test.workload, "5d4c7b8f9"); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

func TestShortHash(t *testing.T) {
	for full, want := range map[string]string{
		"demo-5d4c7b8f9": "5d4c7b8f9", "a-b-c-5d4c7b8f9": "5d4c7b8f9", "5d4c7b8f9": "5d4c7b8f9", "": "", "demo-": "",
	} {
		if got := revision.ShortHash(full); got != want {
			t.Errorf("the hash in %q is %q, want %q", full, got, want)
		}
	}
}

func TestNextIsOneAboveTheHighestNumber(t *testing.T) {
	if got := revision.Next(nil); got != 1 {
		t.Errorf("the first number is %d", got)
	}
	if got := revision.Next([]*appsv1.ControllerRevision{stored("a", 7, ""), stored("b", 3, "")}); got != 8 {
		t.Errorf("after 7 and 3 comes %d", got)
	}
}

func TestExpired(t *testing.T) {
	all := []*appsv1.ControllerRevision{
		stored("e", 5, ""), stored("a", 1, ""), stored("d", 4, ""), stored("c", 3, ""), stored("b", 2, ""), stored("also-b", 2, ""),
	}
	none := func(string) bool { return false }
	for name, test := range map[string]struct {
		live  func(string) bool
		limit int
		want  []string
	}{
		"none while there are no more than the limit": {none, 6, nil},
		"the oldest beyond the limit":                 {none, 4, []string{"a", "also-b"}},
		"all with a limit of 0":                       {none, 0, []string{"a", "also-b", "b", "c", "d", "e"}},
		"a live one stays, however old it is":         {func(n string) bool { return n == "a" || n == "e" }, 2, []string{"also-b", "b"}},
		"live ones are not counted":                   {func(n string) bool { return n != "c" && n != "d" }, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, r := range revision.Expired(all, test.live, test.limit) {
				got = append(got, r.Name)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
