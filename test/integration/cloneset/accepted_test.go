package cloneset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

// walkthrough is a manifest as users have it in their repositories.
const walkthrough = `
metadata: {name: demo-clone}
spec:
  replicas: 5
  selector:
    matchLabels: {app: guestbook}
  template:
    metadata:
      labels: {app: guestbook}
    spec:
      containers:
      - name: guestbook
        image: openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:1.10.2
        env:
        - {name: test, value: foo}
  updateStrategy:
    type: InPlaceIfPossible
    maxUnavailable: 20%
    inPlaceUpdateStrategy:
      gracePeriodSeconds: 3
`

func TestAccepted(t *testing.T) {
	cases := map[string]struct {
		version string
		set     string
	}{
		"the manifest of the walk-through": {v1alpha1, walkthrough},
		"OnDelete with a partition, v1alpha1": {v1alpha1,
			`{spec: {updateStrategy: {type: OnDelete, partition: 2}}}`},
		"no maxUnavailable but a surge, v1beta1": {v1beta1,
			`{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}}}`},
		"neither maxUnavailable nor maxSurge, but no replicas": {v1alpha1,
			`{spec: {replicas: 0, updateStrategy: {maxUnavailable: 0}}}`},
		"neither maxUnavailable nor maxSurge, but OnDelete": {v1beta1,
			`{spec: {updateStrategy: {type: OnDelete, rollingUpdate: {maxUnavailable: 0}}}}`},
		"a partition with a fraction": {v1alpha1,
			`{spec: {updateStrategy: {partition: 99.5%}}}`},
		"all pods may be away": {v1alpha1,
			`{spec: {updateStrategy: {maxUnavailable: 100%}, scaleStrategy: {maxUnavailable: 100%}}}`},
		"InPlaceOnly without a surge": {v1beta1,
			`{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, maxSurge: 0%}}}}`},
		"a selector of expressions": {v1alpha1,
			`{spec: {selector: {matchLabels: null, matchExpressions: [{key: app, operator: In, values: [guestbook, other]}]}}}`},
		"every strategy at once": {v1alpha1, `{spec: {lifecycle: {preDelete: {labelsHandler: {hold: "true"}, markPodNotReady: true}, inPlaceUpdate: {finalizersHandler: [example.com/hold]}},
			updateStrategy: {type: InPlaceIfPossible, partition: 1, maxUnavailable: 2, maxSurge: 3, priorityStrategy: {weightPriority: [{weight: 50, matchSelector: {matchLabels: {a: b}}}]}, scatterStrategy: [{key: a, value: b}, {key: a, value: c}]},
			progressDeadlineSeconds: 600, minReadySeconds: 10, revisionHistoryLimit: 0}}`},
		"a claim": {v1alpha1,
			`{spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`},
		"an annotation that is a percentage": {v1alpha1,
			`{metadata: {annotations: {apps.kruise.io/image-predownload-min-updated-ready-pods: 20%}}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := server.Client.Create(t.Context(), object(t, tc.version, server.Namespace(t), tc.set)); err != nil {
				t.Errorf("it was refused: %v", err)
			}
		})
	}
}

func TestAcceptedChanges(t *testing.T) {
	cases := map[string]struct{ version, old, set string }{
		"InPlaceOnly with another image and another label": {v1alpha1,
			`{spec: {updateStrategy: {type: InPlaceOnly}}}`,
			`{spec: {updateStrategy: {type: InPlaceOnly}, template: {metadata: {labels: {tier: web}}, spec: {containers: [{name: main, image: "demo:2"}]}}}}`},
		"InPlaceOnly given up together with a change that it cannot make": {v1beta1,
			`{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`,
			`{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceIfPossible}}, template: {spec: {hostNetwork: true}}}}`},
		"claim templates and the rest that may change": {v1alpha1, `{}`,
			`{spec: {replicas: 9, minReadySeconds: 5, revisionHistoryLimit: 3, lifecycle: {preDelete: {labelsHandler: {hold: "true"}}},
				volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := server.Namespace(t)
			server.AcceptsChange(t, object(t, tc.version, namespace, tc.old), object(t, tc.version, namespace, tc.set))
		})
	}
}

// TestDefaults shows what a user who wrote the least reads back, in either version.
func TestDefaults(t *testing.T) {
	least := map[string]any{
		"replicas": int64(1), "revisionHistoryLimit": int64(10),
		"selector": map[string]any{"matchLabels": map[string]any{"app": "guestbook"}},
		// The template stays as it was written, to the last field.
		"template": map[string]any{
			"metadata": map[string]any{"labels": map[string]any{"app": "guestbook"}},
			"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "demo:1"}}},
		},
	}
	flat := map[string]any{"type": "ReCreate", "partition": int64(0), "maxUnavailable": "20%", "maxSurge": int64(0)}
	rolling := map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{
		"podUpdatePolicy": "ReCreate", "partition": int64(0), "maxUnavailable": "20%", "maxSurge": int64(0)}}
	cases := map[string]struct {
		version, set string
		want         map[string]any
	}{
		"v1alpha1 says nothing": {v1alpha1, `{spec: {replicas: null}}`,
			map[string]any{"updateStrategy": flat}},
		"v1alpha1 says nothing in an updateStrategy": {v1alpha1, `{spec: {replicas: null, updateStrategy: {}}}`,
			map[string]any{"updateStrategy": flat}},
		"v1beta1 says nothing": {v1beta1, `{spec: {replicas: null}}`,
			map[string]any{"updateStrategy": rolling}},
		"v1beta1 says nothing in an updateStrategy": {v1beta1, `{spec: {replicas: null, updateStrategy: {}}}`,
			map[string]any{"updateStrategy": rolling}},
		"v1beta1 says RollingUpdate": {v1beta1, `{spec: {replicas: null, updateStrategy: {type: RollingUpdate}}}`,
			map[string]any{"updateStrategy": rolling}},
		"v1beta1 says OnDelete, which has no parameters to fill in": {v1beta1, `{spec: {replicas: null, updateStrategy: {type: OnDelete}}}`,
			map[string]any{"updateStrategy": map[string]any{"type": "OnDelete"}}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := object(t, tc.version, server.Namespace(t), tc.set)
			if err := server.Client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{}
			apiserver.Merge(want, least)
			apiserver.Merge(want, tc.want)
			if diff := cmp.Diff(want, server.Read(t, set, tc.version)["spec"]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAnUpdateThatLeavesTheSpecAloneIsNeverRefused(t *testing.T) {
	namespace := server.Namespace(t)
	set := object(t, v1beta1, namespace, `{}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	pod := demoPod(t, set, "demo-gone1", nil)
	set.SetFinalizers([]string{"example.com/hold"})
	setNames(t, set, pod.Name)
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	zero := client.GracePeriodSeconds(0)
	if err := server.Client.Delete(t.Context(), pod, zero); err != nil {
		t.Fatal(err)
	}

	set.SetLabels(map[string]string{"team": "a"})
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Errorf("a label was refused: %v", err)
	}
	if err := server.Client.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	set.SetResourceVersion("")
	set.SetFinalizers(nil)
	if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null},"spec":{"template":{"spec":{"restartPolicy":"Never"}}}}`))); err != nil {
		t.Errorf("taking off the finalizer of a deleted object was refused: %v", err)
	}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %v", err)
	}
}
