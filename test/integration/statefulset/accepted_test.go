package statefulset

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

// walkthrough is a manifest as users have it in their repositories.
const walkthrough = `
metadata: {name: demo-asts}
spec:
  replicas: 3
  serviceName: demo-asts
  podManagementPolicy: Parallel
  selector:
    matchLabels: {app: guestbook}
  template:
    metadata:
      labels: {app: guestbook}
    spec:
      readinessGates:
      - conditionType: InPlaceUpdateReady
      containers:
      - name: main
        image: demo:1
  updateStrategy:
    type: RollingUpdate
    rollingUpdate:
      podUpdatePolicy: InPlaceIfPossible
      maxUnavailable: 20%
      inPlaceUpdateStrategy:
        gracePeriodSeconds: 3
`

// native is a manifest of apps/v1 in which nothing but apiVersion is changed: the one that the documentation of Kubernetes
// begins with.
const native = `
metadata: {name: web}
spec:
  selector: {matchLabels: {app: nginx}}
  serviceName: nginx
  replicas: 3
  persistentVolumeClaimRetentionPolicy: {whenDeleted: Retain, whenScaled: Delete}
  ordinals: {start: 0}
  podManagementPolicy: OrderedReady
  revisionHistoryLimit: 5
  minReadySeconds: 600
  updateStrategy: {type: RollingUpdate, rollingUpdate: {partition: 1}}
  template:
    metadata: {labels: {app: nginx}}
    spec:
      terminationGracePeriodSeconds: 10
      containers:
      - name: nginx
        image: registry.k8s.io/nginx-slim:0.24
        ports: [{containerPort: 80, name: web}]
        volumeMounts: [{name: www, mountPath: /usr/share/nginx/html}]
  volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata: {name: www}
    spec:
      accessModes: [ReadWriteOnce]
      storageClassName: my-storage-class
      resources: {requests: {storage: 1Gi}}
    status: {phase: Pending}
`

// TestAccepted asks the API server to refuse fields that it does not know, as kubectl does.
func TestAccepted(t *testing.T) {
	cases := map[string]struct{ version, set string }{
		"the manifest of the walk-through":          {v1alpha1, walkthrough},
		"a native one":                              {v1beta1, native},
		"a native one, as v1alpha1":                 {v1alpha1, native},
		"OnDelete":                                  {v1alpha1, `{spec: {updateStrategy: {type: OnDelete}}}`},
		"one at a time, in order, as a word for it": {v1beta1, `{spec: {scaleStrategy: {maxUnavailable: 1}, updateStrategy: {rollingUpdate: {maxUnavailable: 1}}}}`},
		"all at a time":                             {v1beta1, `{spec: {podManagementPolicy: Parallel, scaleStrategy: {maxUnavailable: 100%}, updateStrategy: {rollingUpdate: {maxUnavailable: 100%}}}}`},
		"reserved ordinals and ranges, in v1alpha1": {v1alpha1, `{spec: {reserveOrdinals: [0, "2-5", "7-7", 2000000000]}}`},
		"no service":                                {v1beta1, `{spec: {serviceName: null}}`},
		"an empty name of a service":                {v1beta1, `{spec: {serviceName: ""}}`},
		"every strategy at once": {v1beta1, `{spec: {podManagementPolicy: Parallel, ordinals: {start: 0}, lifecycle: {preDelete: {labelsHandler: {hold: "true"}, markPodNotReady: true}, preNormal: {finalizersHandler: [example.com/hold]}},
			` + gate + `, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, partition: 1, paused: true, minReadySeconds: 300, unorderedUpdate: {priorityStrategy: {weightPriority: [{weight: 50, matchSelector: {matchLabels: {a: b}}}]}},
			inPlaceUpdateStrategy: {gracePeriodSeconds: 5, imagePreDownloadParallelism: 2, imagePreDownloadTimeoutSeconds: 60, imagePreDownloadMinUpdatedReadyPods: 1}}},
			volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}, persistentVolumeClaimRetentionPolicy: {whenDeleted: Delete}, revisionHistoryLimit: 0}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			strict := client.WithFieldValidation(server.Client, metav1.FieldValidationStrict)
			if err := strict.Create(t.Context(), object(t, tc.version, server.Namespace(t), tc.set)); err != nil {
				t.Errorf("it was refused: %v", err)
			}
		})
	}
}

func TestAcceptedChanges(t *testing.T) {
	const inPlaceOnly = `{spec: {` + gate + `, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`
	const claim = `{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: growing, resources: {requests: {storage: 1Gi}}}}`
	cases := map[string]struct{ version, old, set string }{
		"InPlaceOnly with another image and another label": {v1alpha1, inPlaceOnly,
			`{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}, template: {metadata: {labels: {tier: web}}, spec: {readinessGates: [{conditionType: InPlaceUpdateReady}], containers: [{name: main, image: "demo:2"}]}}}}`},
		"from RollingUpdate to OnDelete": {v1beta1, `{}`, `{spec: {updateStrategy: {type: OnDelete}}}`},
		"all that may change": {v1beta1, `{}`,
			`{spec: {replicas: 9, ordinals: {start: 3}, revisionHistoryLimit: 3, lifecycle: {preDelete: {labelsHandler: {hold: "true"}}}, reserveOrdinals: [4],
				persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}, volumeClaimUpdateStrategy: {type: OnDelete}, scaleStrategy: {maxUnavailable: 1},
				minReadySeconds: 9, volumeClaimTemplates: [` + claim + `], updateStrategy: {rollingUpdate: {partition: 2}}, template: {spec: {hostNetwork: true}}}}`},
		"claims that grow": {v1alpha1,
			`{spec: {volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}, volumeClaimTemplates: [` + claim + `]}}`,
			`{spec: {volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: growing, resources: {requests: {storage: 2Gi}}}}]}}`},
		"other claims for new pods": {v1beta1,
			`{spec: {volumeClaimTemplates: [` + claim + `]}}`,
			`{spec: {volumeClaimTemplates: [{metadata: {name: other}, spec: {accessModes: [ReadWriteMany], resources: {requests: {storage: 512Mi}}}}]}}`},
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
	least := func() map[string]any {
		return map[string]any{
			"replicas": int64(1), "revisionHistoryLimit": int64(10), "podManagementPolicy": "OrderedReady", "serviceName": "demo",
			"persistentVolumeClaimRetentionPolicy": map[string]any{"whenDeleted": "Retain", "whenScaled": "Retain"},
			"volumeClaimUpdateStrategy":            map[string]any{"type": "OnDelete"},
			"selector":                             map[string]any{"matchLabels": map[string]any{"app": "guestbook"}},
			// The template stays as it was written, to the last field.
			"template": map[string]any{
				"metadata": map[string]any{"labels": map[string]any{"app": "guestbook"}},
				"spec":     map[string]any{"containers": []any{map[string]any{"name": "main", "image": "demo:1"}}},
			},
		}
	}
	rolling := map[string]any{"type": "RollingUpdate", "rollingUpdate": map[string]any{
		"podUpdatePolicy": "ReCreate", "partition": int64(0), "maxUnavailable": int64(1), "minReadySeconds": int64(0)}}
	cases := map[string]struct {
		set  string
		want map[string]any
	}{
		"nothing said":                      {`{spec: {replicas: null}}`, map[string]any{"updateStrategy": rolling}},
		"nothing said in an updateStrategy": {`{spec: {replicas: null, updateStrategy: {}}}`, map[string]any{"updateStrategy": rolling}},
		"OnDelete, which has no parameters": {`{spec: {replicas: null, updateStrategy: {type: OnDelete}}}`,
			map[string]any{"updateStrategy": map[string]any{"type": "OnDelete"}}},
		"half a policy about claims": {`{spec: {replicas: null, persistentVolumeClaimRetentionPolicy: {whenScaled: Delete}}}`,
			map[string]any{"updateStrategy": rolling, "persistentVolumeClaimRetentionPolicy": map[string]any{"whenDeleted": "Retain", "whenScaled": "Delete"}}},
	}
	for name, tc := range cases {
		for _, version := range []string{v1alpha1, v1beta1} {
			t.Run(name+", "+version, func(t *testing.T) {
				t.Parallel()
				set := object(t, version, server.Namespace(t), tc.set)
				if err := server.Client.Create(t.Context(), set); err != nil {
					t.Fatal(err)
				}
				want := map[string]any{}
				apiserver.Merge(want, least())
				apiserver.Merge(want, tc.want)
				if diff := cmp.Diff(want, server.Read(t, set, version)["spec"]); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		}
	}
}

func TestAStatusThatAUserWritesIsNotKept(t *testing.T) {
	set := object(t, v1beta1, server.Namespace(t), `{status: {replicas: 7, readyReplicas: 7, availableReplicas: 7, currentReplicas: 7, updatedReplicas: 7}}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if status := server.Read(t, set, v1beta1)["status"]; status != nil {
		t.Errorf("after a creation with a status there is %v", status)
	}
	if err := unstructured.SetNestedField(set.Object, map[string]any{"replicas": int64(8)}, "status"); err != nil {
		t.Fatal(err)
	}
	set.SetLabels(map[string]string{"team": "a"})
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if status := server.Read(t, set, v1beta1)["status"]; status != nil {
		t.Errorf("after a change with a status there is %v", status)
	}
}

func TestTheFinalizerOfADeletedObjectCanAlwaysBeTakenOff(t *testing.T) {
	set := object(t, v1beta1, server.Namespace(t), `{metadata: {finalizers: [example.com/hold]}}`)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Delete(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	set.SetResourceVersion("")
	patch := []byte(`{"metadata":{"finalizers":null},"spec":{"template":{"spec":{"restartPolicy":"Never"}}}}`)
	if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", patch)); err != nil {
		t.Errorf("it was refused: %v", err)
	}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); !apierrors.IsNotFound(err) {
		t.Errorf("the object is still there: %v", err)
	}
}
