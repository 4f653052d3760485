package statefulset

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apiv1alpha1 "kruise.io/kruise/api/apps/v1alpha1"
	api "kruise.io/kruise/api/apps/v1beta1"
)

func typedSet(t *testing.T) *api.StatefulSet {
	t.Helper()
	set := object(t, v1beta1, server.Namespace(t), `{}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	typed := &api.StatefulSet{}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), typed); err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestScaleIsReadAndWrittenInEitherVersion(t *testing.T) {
	for version, inVersion := range map[string]client.Object{v1alpha1: &apiv1alpha1.StatefulSet{}, v1beta1: &api.StatefulSet{}} {
		t.Run(version, func(t *testing.T) {
			set := typedSet(t)
			inVersion.SetNamespace(set.Namespace)
			inVersion.SetName(set.Name)
			set.Status.Replicas, set.Status.LabelSelector = 2, "app=guestbook"
			if err := server.Client.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			server.CheckScale(t, inVersion, 3, 2, "app=guestbook", 12)
		})
	}
}

// TestWhatIsPrinted asks as kubectl does, for a table.
func TestWhatIsPrinted(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		t.Run(version, func(t *testing.T) {
			set := typedSet(t)
			set.Status = api.StatefulSetStatus{Replicas: 4, ReadyReplicas: 1, UpdatedReplicas: 2, CurrentReplicas: 3}
			if err := server.Client.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			usual, wide := server.Printed(t, "statefulsets", version, set.Namespace)
			const want = "NAME=demo DESIRED=3 CURRENT=4 UPDATED=2 READY=1 AGE=?"
			if usual != want {
				t.Errorf("kubectl get asts prints\n%s\nwant\n%s", usual, want)
			}
			if want := want + " CONTAINERS=main IMAGES=demo:1"; wide != want {
				t.Errorf("kubectl get asts -o wide prints\n%s\nwant\n%s", wide, want)
			}
		})
	}
}

func TestTheShortNamesAreThoseOfTheNativeKindAndOneOfItsOwn(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		names := server.ShortNames(t, version, "statefulsets")
		want := map[string][]string{"statefulsets": {"sts", "asts"}, "statefulsets/status": nil, "statefulsets/scale": nil}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s, -want +got:\n%s", version, diff)
		}
	}
}

// older is what a client of v1alpha1 that was built before us knows of a StatefulSet.
type older struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Metadata   map[string]any `json:"metadata"`
	Spec       struct {
		Replicas             *int32                 `json:"replicas,omitempty"`
		Selector             map[string]any         `json:"selector"`
		Template             corev1.PodTemplateSpec `json:"template"`
		VolumeClaimTemplates []map[string]any       `json:"volumeClaimTemplates,omitempty"`
		ServiceName          string                 `json:"serviceName,omitempty"`
		PodManagementPolicy  string                 `json:"podManagementPolicy,omitempty"`
		UpdateStrategy       map[string]any         `json:"updateStrategy,omitempty"`
		RevisionHistoryLimit *int32                 `json:"revisionHistoryLimit,omitempty"`
	} `json:"spec"`
}

// newer is everything that came with v1beta1 or later.
const newer = `reserveOrdinals: [1, "4-6"], ordinals: {start: 0}, scaleStrategy: {maxUnavailable: 1}, minReadySeconds: 7, lifecycle: {preDelete: {labelsHandler: {hold: "true"}}},
	persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Delete}, volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}`

// TestAnOldClientTakesNothingAway writes an object back as typed clients of v1alpha1 do: without the fields that they have not
// heard of.
func TestAnOldClientTakesNothingAway(t *testing.T) {
	set := object(t, v1beta1, server.Namespace(t), `{spec: {`+newer+`}}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(server.Read(t, set, v1alpha1))
	if err != nil {
		t.Fatal(err)
	}
	var known older
	if err := json.Unmarshal(text, &known); err != nil {
		t.Fatal(err)
	}
	*known.Spec.Replicas = 5
	if text, err = json.Marshal(known); err != nil {
		t.Fatal(err)
	}
	written := &unstructured.Unstructured{}
	if err := json.Unmarshal(text, &written.Object); err != nil {
		t.Fatal(err)
	}
	if _, exists, _ := unstructured.NestedSlice(written.Object, "spec", "reserveOrdinals"); exists {
		t.Fatal("the old client knows what it should not")
	}
	before := server.Read(t, set, v1beta1)["spec"].(map[string]any)
	if err := server.Client.Update(t.Context(), written); err != nil {
		t.Fatal(err)
	}
	after := server.Read(t, set, v1beta1)["spec"].(map[string]any)
	if after["replicas"] != int64(5) {
		t.Errorf("replicas are %v, want 5", after["replicas"])
	}
	// Nothing else is lost. What the client's types write into the template is its own affair.
	for _, field := range []string{"replicas", "template"} {
		delete(before, field)
		delete(after, field)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

func TestWhatCameWithV1beta1IsRemovedThereOrWithAnEmptyValue(t *testing.T) {
	for name, tc := range map[string]struct {
		version, patch, want string
	}{
		"as v1alpha1":                      {v1alpha1, `{"spec":{"reserveOrdinals":null,"lifecycle":null}}`, `[1 4-6] map[preDelete:map[labelsHandler:map[hold:true]]]`},
		"as v1alpha1, with an empty value": {v1alpha1, `{"spec":{"reserveOrdinals":[],"lifecycle":{"preDelete":null}}}`, `[] map[]`},
		"as v1beta1":                       {v1beta1, `{"spec":{"reserveOrdinals":null,"lifecycle":null}}`, `<nil> <nil>`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := object(t, tc.version, server.Namespace(t), `{spec: {`+newer+`}}`)
			if err := server.Client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(tc.patch))); err != nil {
				t.Fatal(err)
			}
			spec := server.Read(t, set, v1beta1)["spec"].(map[string]any)
			if got := fmt.Sprint(spec["reserveOrdinals"], " ", spec["lifecycle"]); got != tc.want {
				t.Errorf("left are %s, want %s", got, tc.want)
			}
		})
	}
}

// TestBothVersionsSayTheSame reads and writes random objects in the one version and in the other: nothing ever differs but
// apiVersion.
func TestBothVersionsSayTheSame(t *testing.T) {
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	choices := map[string][]string{
		"reserveOrdinals": {`[]`, `[0]`, `[3, "5-9"]`}, "ordinals": {`{}`, `{start: 0}`}, "lifecycle": {`{}`, `{preNormal: {finalizersHandler: [a/b]}}`},
		"persistentVolumeClaimRetentionPolicy": {`{whenDeleted: Delete}`, `{whenScaled: Delete}`}, "volumeClaimUpdateStrategy": {`{}`, `{type: OnPodRollingUpdate}`},
		"scaleStrategy": {`{}`, `{maxUnavailable: 1}`}, "revisionHistoryLimit": {`0`, `3`}, "replicas": {`0`, `4`}, "minReadySeconds": {`0`, `600`},
		"updateStrategy":       {`{type: OnDelete}`, `{}`, `{rollingUpdate: {partition: 2, paused: true, minReadySeconds: 5}}`},
		"volumeClaimTemplates": {`[]`, `[{metadata: {name: data, labels: {a: b}}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1024Mi}}}}]`},
		"template":             {`{}`, `{spec: {containers: [{name: main, image: "demo:1", resources: {limits: {cpu: 1000m}}}]}}`},
	}
	for range 30 {
		var fields []string
		for field, values := range choices {
			if i := random.IntN(len(values) + 1); i < len(values) {
				fields = append(fields, field+": "+values[i])
			}
		}
		patch := "{spec: {" + strings.Join(fields, ", ") + "}}"
		versions := []string{v1alpha1, v1beta1}
		random.Shuffle(2, func(i, j int) { versions[i], versions[j] = versions[j], versions[i] })
		set := object(t, versions[0], server.Namespace(t), patch)
		if err := server.Client.Create(t.Context(), set); err != nil {
			t.Fatalf("seed %d: %s: %v", seed, patch, err)
		}
		before := server.Read(t, set, versions[0])
		other := &unstructured.Unstructured{Object: server.Read(t, set, versions[1])}
		if err := server.Client.Update(t.Context(), other); err != nil {
			t.Fatalf("seed %d: %s, written back as %s: %v", seed, patch, versions[1], err)
		}
		other.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps.kruise.io", Version: versions[0], Kind: "StatefulSet"})
		if diff := cmp.Diff(before["spec"], other.Object["spec"]); diff != "" {
			t.Errorf("seed %d: %s, written as %s and read as %s (-first +second):\n%s", seed, patch, versions[0], versions[1], diff)
		}
		if before["metadata"].(map[string]any)["generation"] != other.GetGeneration() {
			t.Errorf("seed %d: %s: writing it back in the other version made a change", seed, patch)
		}
	}
}
