package daemonset

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// native is a manifest as users have it for the DaemonSet of Kubernetes, with what the API server wrote into it.
const native = `
metadata:
  name: fluentd
  annotations: {deprecated.daemonset.template.generation: "1"}
spec:
  minReadySeconds: 5
  revisionHistoryLimit: 10
  updateStrategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 0, maxUnavailable: 1}}
  template:
    spec:
      hostNetwork: true
      dnsPolicy: ClusterFirst
      schedulerName: default-scheduler
      restartPolicy: Always
      terminationGracePeriodSeconds: 30
      nodeSelector: {kubernetes.io/os: linux}
      tolerations: [{operator: Exists}]
      containers:
      - name: main
        image: fluentd:1
        ports: [{containerPort: 80, hostPort: 80, protocol: TCP}]
        volumeMounts: [{name: logs, mountPath: /var/log}]
      volumes: [{name: logs, hostPath: {path: /var/log, type: ""}}]
`

func TestAccepted(t *testing.T) {
	for name, tc := range map[string]struct{ version, set string }{
		"a manifest of the DaemonSet of Kubernetes":          {v1alpha1, native},
		"a manifest of the DaemonSet of Kubernetes, v1beta1": {v1beta1, native},
		"a surge":                       {v1beta1, `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 1, maxUnavailable: 0}}}}`},
		"a surge and nothing else":      {v1alpha1, `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 30%}}}}`},
		"Surging":                       {v1alpha1, `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging}}}}`},
		"Surging with a maxUnavailable": {v1alpha1, `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging, maxUnavailable: 1}}}}`},
		"OnDelete with what RollingUpdate may not have": {v1beta1, `{spec: {updateStrategy: {type: OnDelete, rollingUpdate: {maxSurge: 1, maxUnavailable: 1}}}}`},
		"everything at once": {v1beta1, `{spec: {burstReplicas: 10%, minReadySeconds: 3, scaleStrategy: {partitionedScaling: true},
			lifecycle: {preDelete: {labelsHandler: {hold: "true"}, markPodNotReady: true}, preNormal: {finalizersHandler: [example.com/hold]}},
			updateStrategy: {type: RollingUpdate, rollingUpdate: {rollingUpdateType: InPlaceIfPossible, maxUnavailable: 50%, partition: 99.5%, paused: true,
			selector: {matchLabels: {zone: a}, matchExpressions: [{key: disk, operator: Exists}]}}}}}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := server.Client.Create(t.Context(), demo().Object(t, tc.version, server.Namespace(t), tc.set)); err != nil {
				t.Errorf("it was refused: %v", err)
			}
		})
	}
}

func TestWhatMayChangeIsLetIn(t *testing.T) {
	namespace := server.Namespace(t)
	existing := demo().Object(t, v1beta1, namespace, `{}`)
	if err := server.Client.Create(t.Context(), existing); err != nil {
		t.Fatal(err)
	}
	set := demo().Object(t, v1beta1, namespace, `{spec: {burstReplicas: 5, minReadySeconds: 5, revisionHistoryLimit: 3, scaleStrategy: {partitionedScaling: true},
		lifecycle: {preDelete: {labelsHandler: {hold: "true"}}}, updateStrategy: {type: OnDelete}, template: {spec: {hostNetwork: true}}}}`)
	set.SetResourceVersion(existing.GetResourceVersion())
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Errorf("it was refused: %v", err)
	}
}

// TestDefaults shows what a user reads back.
func TestDefaults(t *testing.T) {
	defaults := func(rolling map[string]any) map[string]any {
		all := map[string]any{"rollingUpdateType": "Standard", "partition": int64(0), "maxUnavailable": int64(1), "maxSurge": int64(0)}
		maps.Copy(all, rolling)
		return map[string]any{"type": "RollingUpdate", "rollingUpdate": all}
	}
	for name, tc := range map[string]struct {
		version, set string
		want         map[string]any
	}{
		"v1alpha1 says nothing":               {v1alpha1, `{}`, defaults(nil)},
		"v1beta1 says nothing":                {v1beta1, `{}`, defaults(nil)},
		"an updateStrategy that says nothing": {v1beta1, `{spec: {updateStrategy: {}}}`, defaults(nil)},
		"RollingUpdate":                       {v1beta1, `{spec: {updateStrategy: {type: RollingUpdate, rollingUpdate: {}}}}`, defaults(nil)},
		"a surge takes the place of maxUnavailable": {v1beta1, `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 20%}}}}`,
			defaults(map[string]any{"maxSurge": "20%", "maxUnavailable": int64(0)})},
		"a surge of nothing does not": {v1alpha1, `{spec: {updateStrategy: {rollingUpdate: {maxSurge: 0%}}}}`,
			defaults(map[string]any{"maxSurge": "0%"})},
		"maxUnavailable alone": {v1beta1, `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 3}}}}`,
			defaults(map[string]any{"maxUnavailable": int64(3)})},
		"Surging is a surge of one": {v1alpha1, `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging}}}}`,
			defaults(map[string]any{"maxSurge": int64(1), "maxUnavailable": int64(0)})},
		"OnDelete, which has no parameters": {v1beta1, `{spec: {updateStrategy: {type: OnDelete}}}`, map[string]any{"type": "OnDelete"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := demo().Object(t, tc.version, server.Namespace(t), tc.set)
			if err := server.Client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			want := demo().With(t, `{}`).Object["spec"].(map[string]any)
			want["burstReplicas"], want["revisionHistoryLimit"], want["updateStrategy"] = int64(250), int64(10), tc.want
			if diff := cmp.Diff(want, server.Read(t, set, tc.version)["spec"]); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestBothVersionsSayTheSame(t *testing.T) {
	for name, tc := range map[string]struct{ version, set, annotation string }{
		"the annotation":             {v1alpha1, `{metadata: {annotations: {daemonset.kruise.io/progressive-create-pod: "true", other: kept}}}`, "true"},
		"the field":                  {v1beta1, `{metadata: {annotations: {other: kept}}, spec: {scaleStrategy: {partitionedScaling: true}}}`, "true"},
		"an annotation that says no": {v1alpha1, `{metadata: {annotations: {daemonset.kruise.io/progressive-create-pod: "false", other: kept}}}`, "false"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := demo().Object(t, tc.version, server.Namespace(t), tc.set)
			if err := server.Client.Create(t.Context(), set); err != nil {
				t.Fatal(err)
			}
			old, storage := server.Read(t, set, v1alpha1), server.Read(t, set, v1beta1)
			annotations := old["metadata"].(map[string]any)["annotations"]
			if diff := cmp.Diff(map[string]any{"daemonset.kruise.io/progressive-create-pod": tc.annotation, "other": "kept"}, annotations); diff != "" {
				t.Errorf("annotations in v1alpha1 (-want +got):\n%s", diff)
			}
			if _, has := old["spec"].(map[string]any)["scaleStrategy"]; has {
				t.Error("v1alpha1 has a scaleStrategy")
			}
			scale, _ := storage["spec"].(map[string]any)["scaleStrategy"].(map[string]any)
			if on := scale["partitionedScaling"] == true; on != (tc.annotation == "true") {
				t.Errorf("partitionedScaling in v1beta1 is %v", on)
			}
		})
	}
}

func TestWhatKubectlPrints(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		namespace := server.Namespace(t)
		set := demo().Object(t, v1beta1, namespace, `{}`)
		if err := server.Client.Create(t.Context(), set); err != nil {
			t.Fatal(err)
		}
		status := []byte(`{"status": {"currentNumberScheduled": 4, "numberMisscheduled": 0, "desiredNumberScheduled": 5, "numberReady": 3,
			"updatedNumberScheduled": 2, "numberAvailable": 1, "updateRevision": "6d5f4c8b9d"}}`)
		if err := server.Client.Status().Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", status)); err != nil {
			t.Fatal(err)
		}
		usual, wide := server.Printed(t, demo().Resource, version, namespace)
		want := "NAME=demo DESIRED=5 CURRENT=4 READY=3 UP-TO-DATE=2 AVAILABLE=1 AGE=?"
		if usual != want || wide != want+" CONTAINERS=main IMAGES=agent:1" {
			t.Errorf("%s: printed %q, and wide %q", version, usual, wide)
		}
		field := map[string]string{v1alpha1: "daemonSetHash", v1beta1: "updateRevision"}[version]
		if got := server.Read(t, set, version)["status"].(map[string]any)[field]; got != "6d5f4c8b9d" {
			t.Errorf("%s: status.%s is %v", version, field, got)
		}
	}
}
