package cloneset

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	apiv1alpha1 "kruise.io/kruise/api/apps/v1alpha1"
	api "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

// TestAnObjectIsReadInTheOtherVersion goes through the API server and the webhook that it calls to convert.
func TestAnObjectIsReadInTheOtherVersion(t *testing.T) {
	cases := map[string]struct {
		written, set string
		read         string
		// want are the strategies, labels and annotations that are read.
		want string
	}{
		"the walk-through": {
			written: v1alpha1, set: walkthrough, read: v1beta1,
			want: `{labels: null, annotations: null, scaleStrategy: {enablePVCReuse: true}, updateStrategy: {type: RollingUpdate,
				rollingUpdate: {podUpdatePolicy: InPlaceIfPossible, maxUnavailable: 20%, maxSurge: 0, partition: 0, inPlaceUpdateStrategy: {gracePeriodSeconds: 3}}}}`,
		},
		"the label and the annotations of v1alpha1": {
			written: v1alpha1, read: v1beta1,
			set: `{metadata: {labels: {apps.kruise.io/cloneset-scaling-exclude-preparing-delete: "true", team: a},
				annotations: {apps.kruise.io/image-predownload-parallelism: "3", apps.kruise.io/image-predownload-min-updated-ready-pods: 20%}},
				spec: {scaleStrategy: {disablePVCReuse: true}}}`,
			want: `{labels: {team: a}, annotations: {apps.kruise.io/image-predownload-min-updated-ready-pods: 20%}, scaleStrategy: {excludePreparingDelete: true},
				updateStrategy: {type: RollingUpdate, rollingUpdate: {podUpdatePolicy: ReCreate, maxUnavailable: 20%, maxSurge: 0, partition: 0, inPlaceUpdateStrategy: {imagePreDownloadParallelism: 3}}}}`,
		},
		"OnDelete with a partition": {
			written: v1alpha1, set: `{spec: {updateStrategy: {type: OnDelete, partition: 2}}}`, read: v1beta1,
			want: `{labels: null, annotations: null, scaleStrategy: {enablePVCReuse: true},
				updateStrategy: {type: OnDelete, rollingUpdate: {podUpdatePolicy: ReCreate, partition: 2, maxUnavailable: 20%, maxSurge: 0}}}`,
		},
		"the fields of v1beta1": {
			written: v1beta1, read: v1alpha1,
			set: `{spec: {scaleStrategy: {enablePVCReuse: true, excludePreparingDelete: true, podsToDelete: []},
				updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, paused: true, inPlaceUpdateStrategy: {imagePreDownloadTimeoutSeconds: 60}}}}}`,
			want: `{labels: {apps.kruise.io/cloneset-scaling-exclude-preparing-delete: "true"}, annotations: {apps.kruise.io/image-predownload-timeout-seconds: "60"},
				scaleStrategy: {podsToDelete: []}, updateStrategy: {type: InPlaceOnly, paused: true, maxUnavailable: 20%, maxSurge: 0, partition: 0}}`,
		},
		"nothing said in v1beta1": {
			written: v1beta1, set: `{}`, read: v1alpha1,
			want: `{labels: null, annotations: null, scaleStrategy: {disablePVCReuse: true}, updateStrategy: {type: ReCreate, maxUnavailable: 20%, maxSurge: 0, partition: 0}}`,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := object(t, tc.written, server.Namespace(t), tc.set)
			if err := server.Client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			var want map[string]any
			if err := json.Unmarshal(apiserver.ToJSON(t, tc.want), &want); err != nil {
				t.Fatal(err)
			}
			got := server.Read(t, set, tc.read)
			view := asJSON(t, map[string]any{
				"labels": inside(got, "metadata", "labels"), "annotations": inside(got, "metadata", "annotations"),
				"scaleStrategy": inside(got, "spec", "scaleStrategy"), "updateStrategy": inside(got, "spec", "updateStrategy"),
			})
			if diff := cmp.Diff(want, view); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// Nor does the way back lose anything.
			first := server.Read(t, set, tc.written)
			if err := server.Client.Update(t.Context(), &unstructured.Unstructured{Object: got}); err != nil {
				t.Fatalf("writing it back as %s: %v", tc.read, err)
			}
			second := server.Read(t, set, tc.written)
			if diff := cmp.Diff(first["spec"], second["spec"]); diff != "" {
				t.Errorf("written back as %s and read as %s, -before +after:\n%s", tc.read, tc.written, diff)
			}
		})
	}
}

func inside(object map[string]any, fields ...string) any {
	value, _, _ := unstructured.NestedFieldNoCopy(object, fields...)
	return value
}

// asJSON gives numbers the types that decoding JSON gives them.
func asJSON(t *testing.T, value map[string]any) map[string]any {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[string]any
	if err := json.Unmarshal(text, &decoded); err != nil {
		t.Fatal(err)
	}
	return decoded
}

func typedSet(t *testing.T) *api.CloneSet {
	t.Helper()
	set := object(t, v1beta1, server.Namespace(t), `{spec: {replicas: 5}}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	typed := &api.CloneSet{}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), typed); err != nil {
		t.Fatal(err)
	}
	return typed
}

func TestStatusIsWrittenApartFromTheSpec(t *testing.T) {
	set := typedSet(t)
	set.Spec.MinReadySeconds = 30
	set.Status.Replicas, set.Status.UpdateRevision = 3, "demo-abc"
	if err := server.Client.Status().Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if set.Spec.MinReadySeconds != 0 || set.Status.Replicas != 3 || set.Generation != 1 {
		t.Errorf("writing the status left minReadySeconds %d, status.replicas %d, generation %d; want 0, 3, 1",
			set.Spec.MinReadySeconds, set.Status.Replicas, set.Generation)
	}
	set.Spec.MinReadySeconds, set.Status.Replicas = 30, 7
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if set.Spec.MinReadySeconds != 30 || set.Status.Replicas != 3 || set.Generation != 2 {
		t.Errorf("writing the spec left minReadySeconds %d, status.replicas %d, generation %d; want 30, 3, 2",
			set.Spec.MinReadySeconds, set.Status.Replicas, set.Generation)
	}
}

func TestScaleIsReadAndWrittenInEitherVersion(t *testing.T) {
	for version, inVersion := range map[string]client.Object{v1alpha1: &apiv1alpha1.CloneSet{}, v1beta1: &api.CloneSet{}} {
		t.Run(version, func(t *testing.T) {
			set := typedSet(t)
			inVersion.SetNamespace(set.Namespace)
			inVersion.SetName(set.Name)
			set.Status.Replicas, set.Status.LabelSelector = 4, "app=guestbook"
			if err := server.Client.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			server.CheckScale(t, inVersion, 5, 4, "app=guestbook", 12)
		})
	}
}

// TestWhatIsPrinted asks as kubectl does, for a table.
func TestWhatIsPrinted(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		t.Run(version, func(t *testing.T) {
			set := typedSet(t)
			set.Status = api.CloneSetStatus{Replicas: 6, ReadyReplicas: 5, UpdatedReplicas: 4, UpdatedReadyReplicas: 3, UpdatedAvailableReplicas: 2, LabelSelector: "app=guestbook"}
			if err := server.Client.Status().Update(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			usual, wide := server.Printed(t, "clonesets", version, set.Namespace)
			const want = "NAME=demo DESIRED=5 UPDATED=4 UPDATED_READY=3 UPDATED_AVAILABLE=2 READY=5 TOTAL=6 AGE=?"
			if usual != want {
				t.Errorf("kubectl get clone prints\n%s\nwant\n%s", usual, want)
			}
			if want := want + " CONTAINERS=main IMAGES=demo:1 SELECTOR=app=guestbook"; wide != want {
				t.Errorf("kubectl get clone -o wide prints\n%s\nwant\n%s", wide, want)
			}
		})
	}
}

func TestTheShortNameIsClone(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		names := server.ShortNames(t, version, "clonesets")
		want := map[string][]string{"clonesets": {"clone"}, "clonesets/status": nil, "clonesets/scale": nil}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s, -want +got:\n%s", version, diff)
		}
	}
}
