package sidecarset

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rich has every field.
const rich = `{metadata: {labels: {team: a}}, spec: {namespaceSelector: {matchExpressions: [{key: team, operator: In, values: [a, b]}]},
	initContainers: [{name: setup, image: "a:1"}, {name: proxy, image: "p:1", restartPolicy: Always, podInjectPolicy: BeforeAppContainer}],
	containers: [{name: log, image: "log:1", env: [{name: A, value: b}], volumeMounts: [{name: logs, mountPath: /logs}], podInjectPolicy: AfterAppContainer,
		upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: "e:1"}, shareVolumePolicy: {type: enabled}, shareVolumeDevicePolicy: {type: enabled},
		transferEnv: [{sourceContainerName: app, envName: A}, {sourceContainerNameFrom: {fieldRef: {apiVersion: v1, fieldPath: "metadata.annotations['main']"}}, envNames: [B, C]}],
		resourcesPolicy: {targetContainersMode: max, targetContainersNameRegex: "app-.*", resourcesExpr: {limits: {cpu: "max(cpu*50%, 50m)", memory: 200Mi}, requests: {cpu: 50m, memory: memory / 2}}}}],
	volumes: [{name: logs, emptyDir: {}}], imagePullSecrets: [{name: pull}],
	injectionStrategy: {paused: true}, revisionHistoryLimit: 3,
	updateStrategy: {type: RollingUpdate, paused: true, partition: 99.5%, maxUnavailable: 10%, priorityStrategy: {weightPriority: [{weight: 3, matchSelector: {matchLabels: {a: b}}}]},
		scatterStrategy: [{key: a, value: "*"}]}}}`

func TestAccepted(t *testing.T) {
	for name, tc := range map[string]struct{ version, set string }{
		"the smallest":                        {v1beta1, `{}`},
		"the smallest, v1alpha1":              {v1alpha1, `{}`},
		"everything":                          {v1beta1, rich},
		"everything, v1alpha1":                {v1alpha1, rich},
		"a namespace":                         {v1alpha1, `{spec: {namespace: shop}}`},
		"volumes alone":                       {v1beta1, `{spec: {containers: null, volumes: [{name: a, emptyDir: {}}]}}`},
		"a selector, and a partition of none": {v1beta1, `{spec: {updateStrategy: {partition: 0, selector: {matchLabels: {canary: "true"}}}}}`},
		"a version that it has itself":        {v1beta1, `{spec: {customVersion: v2, injectionStrategy: {revision: {customVersion: v2}}}}`},
		"a policy of injection":               {v1alpha1, `{metadata: {annotations: {apps.kruise.io/sidecarset-injection-failure-policy: Ignore}}}`},
		"a canary that says it is none":       {v1beta1, `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "false"}}}`},
	} {
		t.Run(name, func(t *testing.T) { create(t, demo().Object(t, tc.version, "", tc.set)) })
	}
}

func TestWhatMayChangeIsLetIn(t *testing.T) {
	set := demo().Object(t, v1beta1, "", `{}`)
	create(t, set)
	for name, change := range map[string]string{
		"what it selects":     `{"spec":{"selector":{"matchLabels":{"app":"other"}},"namespaceSelector":{"matchLabels":{"team":"a"}}}}`,
		"its image":           `{"spec":{"containers":[{"name":"log","image":"log:2"}]}}`,
		"more than its image": `{"spec":{"containers":[{"name":"log","image":"log:2","env":[{"name":"A","value":"b"}]}]}}`,
		"a container less":    `{"spec":{"containers":[],"volumes":[{"name":"a","emptyDir":{}}]}}`,
		"an init container":   `{"spec":{"initContainers":[{"name":"setup","image":"a:1"}]}}`,
		"how it updates":      `{"spec":{"updateStrategy":{"type":"NotUpdate","maxUnavailable":"100%"}}}`,
	} {
		if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(change)), client.DryRunAll); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDefaults shows what a user reads back.
func TestDefaults(t *testing.T) {
	for _, version := range []string{v1alpha1, v1beta1} {
		t.Run(version, func(t *testing.T) {
			set := demo().Object(t, version, "", `{spec: {containers: [{name: log, image: "log:1", shareVolumePolicy: {}, upgradeStrategy: {}}], initContainers: [{name: setup, image: "a:1"}]}}`)
			create(t, set)
			got := server.Read(t, set, version)
			want := demo().With(t, `{spec: {containers: [{name: log, image: "log:1", podInjectPolicy: BeforeAppContainer, shareVolumePolicy: {type: disabled}, upgradeStrategy: {upgradeType: ColdUpgrade}}],
				initContainers: [{name: setup, image: "a:1", podInjectPolicy: AfterAppContainer}], revisionHistoryLimit: 10, updateStrategy: {type: RollingUpdate, maxUnavailable: 1}}}`)
			spec := want.Object["spec"].(map[string]any)
			spec["revisionHistoryLimit"], spec["updateStrategy"].(map[string]any)["maxUnavailable"] = int64(10), int64(1)
			if diff := cmp.Diff(spec, got["spec"]); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheHashesAreThoseOfTheSidecars(t *testing.T) {
	hashes := func(set client.Object) [2]string {
		a := set.GetAnnotations()
		return [2]string{a["kruise.io/sidecarset-hash"], a["kruise.io/sidecarset-hash-without-image"]}
	}
	set := demo().Object(t, v1alpha1, "", `{metadata: {annotations: {kruise.io/sidecarset-hash: mine}}}`)
	create(t, set)
	first := hashes(set)
	if first[0] == "" || first[0] == "mine" || first[1] == "" || first[0] == first[1] {
		t.Fatalf("got %v", first)
	}
	change := func(patch string) [2]string {
		t.Helper()
		if err := server.Client.Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
			t.Fatal(err)
		}
		return hashes(set)
	}
	if got := change(`{"metadata":{"annotations":{"kruise.io/sidecarset-hash":"mine"}},"spec":{"updateStrategy":{"paused":true}}}`); got != first {
		t.Errorf("nothing of the sidecars changed: %v, then %v", first, got)
	}
	image := change(`{"spec":{"containers":[{"name":"log","image":"log:2"}]}}`)
	if image[0] == first[0] || image[1] != first[1] {
		t.Errorf("the image changed: %v, then %v", first, image)
	}
	if more := change(`{"spec":{"containers":[{"name":"log","image":"log:2","command":["x"]}]}}`); more[0] == image[0] || more[1] == first[1] {
		t.Errorf("more than the image changed: %v, then %v", image, more)
	}
	if set.GetAnnotations()["apps.kruise.io/sidecarset-selects-since"] != "" {
		t.Error("it selects other pods, though nothing of that changed")
	}
	change(`{"spec":{"namespace":"shop"}}`)
	if set.GetAnnotations()["apps.kruise.io/sidecarset-selects-since"] == "" {
		t.Error("it selects other pods, and does not say since when")
	}
}

func TestBothVersionsSayTheSame(t *testing.T) {
	set := demo().Object(t, v1alpha1, "", `{metadata: {labels: {apps.kruise.io/sidecarset-custom-version: v1}}, spec: {namespace: shop}}`)
	create(t, set)
	old, storage := server.Read(t, set, v1alpha1), server.Read(t, set, v1beta1)
	spec, stored := old["spec"].(map[string]any), storage["spec"].(map[string]any)
	want := map[string]any{"matchExpressions": []any{map[string]any{"key": "kubernetes.io/metadata.name", "operator": "In", "values": []any{"shop"}}}}
	if spec["namespace"] != "shop" || spec["namespaceSelector"] != nil || cmp.Diff(want, stored["namespaceSelector"]) != "" {
		t.Errorf("the namespace: v1alpha1 %v, v1beta1 %v", spec, stored)
	}
	if labels := old["metadata"].(map[string]any)["labels"]; stored["customVersion"] != "v1" || cmp.Diff(map[string]any{"apps.kruise.io/sidecarset-custom-version": "v1"}, labels) != "" {
		t.Errorf("the version: v1alpha1 %v, v1beta1 %v", labels, stored["customVersion"])
	}
}

func TestWhatKubectlPrints(t *testing.T) {
	set := demo().Object(t, v1beta1, "", `{}`)
	create(t, set)
	status := []byte(`{"status": {"matchedPods": 4, "updatedPods": 3, "readyPods": 2, "updatedReadyPods": 1}}`)
	if err := server.Client.Status().Patch(t.Context(), set, client.RawPatch("application/merge-patch+json", status)); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{v1alpha1, v1beta1} {
		usual, wide := server.Printed(t, "sidecarsets", version, "")
		if want := "NAME=demo MATCHED=4 UPDATED=3 READY=2 AGE=?"; usual != want || !strings.HasPrefix(wide, want) {
			t.Errorf("%s: %s, and wide %s", version, usual, wide)
		}
	}
}
