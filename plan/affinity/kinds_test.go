package affinity

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

func TestTheListOfOtherKinds(t *testing.T) {
	games := schema.GroupVersionKind{Group: "games.example.org", Version: "v1", Kind: "GameSet"}
	for name, c := range map[string]struct {
		text    string
		want    Kinds
		problem string
	}{
		"none":                    {"", nil, ""},
		"an empty list":           {`{"workloads":[]}`, nil, ""},
		"one":                     {`{"workloads":[{"group":"games.example.org","version":"v1","kind":"GameSet"}]}`, Kinds{games}, ""},
		"twice, in two versions":  {`{"workloads":[{"group":"games.example.org","version":"v1","kind":"GameSet"},{"group":"games.example.org","version":"v2","kind":"GameSet"}]}`, Kinds{games}, ""},
		"StatefulSets are known":  {`{"workloads":[{"group":"apps","version":"v1","kind":"StatefulSet"}]}`, nil, ""},
		"without a version":       {`{"workloads":[{"group":"a.b","version":"v1","kind":"A"},{"group":"a.b","kind":"B"}]}`, nil, "workloads[1]: it names no version or no kind"},
		"what is no JSON":         {`workloads`, nil, "decode the list of workloads"},
		"what is no list of them": {`{"workloads":{"group":"a.b"}}`, nil, "decode the list of workloads"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := ParseKinds(c.text)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
				t.Errorf("error %v, want %q", err, c.problem)
			}
		})
	}
	for kind, want := range map[schema.GroupKind]bool{
		games.GroupKind(): true, {Group: "apps", Kind: "StatefulSet"}: true, {Group: "apps", Kind: "Deployment"}: false, {Kind: "GameSet"}: false,
	} {
		if got := (Kinds{games}).Knows(kind); got != want {
			t.Errorf("%v is known: %v", kind, got)
		}
	}
}

func TestAWorkloadOfAnotherKindIsReadAsAStatefulSet(t *testing.T) {
	read := func(spec string) *unstructured.Unstructured {
		t.Helper()
		u := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte("{apiVersion: games.example.org/v1, kind: GameSet, metadata: {namespace: shop, name: web, uid: u}, spec: "+spec+"}"), &u.Object); err != nil {
			t.Fatal(err)
		}
		return u
	}
	got, err := Like(read("{replicas: 3, ordinals: {start: 1}, reserveOrdinals: [2], selector: {matchLabels: {app: web}}, template: no matter what}"))
	if err != nil {
		t.Fatal(err)
	}
	if got.Name != "web" || got.UID != "u" || *got.Spec.Replicas != 3 || got.Spec.Ordinals.Start != 1 || got.Spec.ReserveOrdinals[0].IntValue() != 2 || got.Spec.Selector.MatchLabels["app"] != "web" {
		t.Errorf("read as %+v", got)
	}
	if got, err := Like(read("{size: 3}")); err != nil || got.Spec.Replicas != nil || got.Spec.Selector != nil {
		t.Errorf("one that says nothing of the sort is read as %+v, %v", got, err)
	}
	for _, spec := range []string{"{replicas: many}", "[]", "{selector: {matchLabels: []}}"} {
		if _, err := Like(read(spec)); err == nil || !strings.HasPrefix(err.Error(), "GameSet shop/web: ") {
			t.Errorf("%s: error %v", spec, err)
		}
	}
}
