package sidecarset

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

// TestRefused is the list of what users can do wrong with one object, and of the words that they then read.
func TestRefused(t *testing.T) {
	all := map[string]apiserver.Refusal{}
	for _, some := range []map[string]apiserver.Refusal{refusedSpecs(), refusedContainers(), refusedStrategies(), refusedPatches(), refusedChanges()} {
		maps.Copy(all, some)
	}
	if len(all) < 40 {
		t.Fatalf("the list has %d entries", len(all))
	}
	server.Refuses(t, demo(), all)
}

const count = ` must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`

func refusedSpecs() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"no selector": {Version: v1alpha1, Set: `{spec: {selector: null}}`,
			Want: `[spec.selector: Required value` + apiserver.Unchecked},
		"an empty selector": {Version: v1alpha1, Set: `{spec: {selector: {matchLabels: null}}}`,
			Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"an empty selector, v1beta1": {Version: v1beta1, Set: `{spec: {selector: {matchLabels: null}}}`,
			Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"a selector with an operator that does not exist": {Version: v1beta1, Set: `{spec: {selector: {matchExpressions: [{key: app, operator: Like, values: [a]}]}}}`,
			Want: `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		"namespaces by an operator that does not exist": {Version: v1beta1, Set: `{spec: {namespaceSelector: {matchExpressions: [{key: app, operator: Near}]}}}`,
			Want: `spec.namespaceSelector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
		"a name with a dot": {Version: v1beta1, Set: `{metadata: {name: a.b}}`,
			Want: `<nil>: Invalid value: metadata.name must be letters, digits and - only, at most 63: pods and revisions carry it in their labels`},
		"a name that is too long": {Version: v1alpha1, Set: `{metadata: {name: ` + strings.Repeat("a", 64) + `}}`,
			Want: `<nil>: Invalid value: metadata.name must be letters, digits and - only, at most 63: pods and revisions carry it in their labels`},
		"nothing to inject": {Version: v1beta1, Set: `{spec: {containers: null}}`,
			Want: `spec: Required value: one of containers, initContainers, volumes, imagePullSecrets and patchPodMetadata must be set: otherwise nothing would be injected`},
		"a namespace that is none": {Version: v1alpha1, Set: `{spec: {namespace: Shop}}`,
			Want: `spec.namespace: Invalid value: "Shop": spec.namespace in body should match '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$'`},
		"a history of less than nothing": {Version: v1beta1, Set: `{spec: {revisionHistoryLimit: -1}}`,
			Want: `spec.revisionHistoryLimit: Invalid value: -1: spec.revisionHistoryLimit in body should be greater than or equal to 0`},
		"a custom version that is no label": {Version: v1beta1, Set: `{spec: {customVersion: "a b"}}`,
			Want: `spec.customVersion: Invalid value: "a b": spec.customVersion in body should match '^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$'`},
		"a revision without a name": {Version: v1beta1, Set: `{spec: {injectionStrategy: {revision: {policy: Always}}}}`,
			Want: `spec.injectionStrategy.revision: Invalid value: revisionName or customVersion must be set`},
		"a policy of revisions that does not exist": {Version: v1beta1, Set: `{spec: {injectionStrategy: {revision: {policy: Some, revisionName: a}}}}`,
			Want: `[spec.injectionStrategy.revision.policy: Unsupported value: "Some": supported values: "Always", "Partial"` + apiserver.Unchecked},
		"a revision that does not exist": {Version: v1beta1, Set: `{spec: {injectionStrategy: {revision: {revisionName: demo-1}}}}`,
			Want: `spec.injectionStrategy.revision.revisionName: Invalid value: "demo-1": is no revision of this SidecarSet: there are no revisions`},
		"a version that does not exist": {Version: v1alpha1, Set: `{spec: {injectionStrategy: {revision: {customVersion: v7}}}}`,
			Want: `spec.injectionStrategy.revision.customVersion: Invalid value: "v7": is the version of no revision of this SidecarSet: there are no revisions`},
		"a policy of injection that does not exist": {Version: v1beta1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-injection-failure-policy: Retry}}}`,
			Want: `metadata.annotations[apps.kruise.io/sidecarset-injection-failure-policy]: Unsupported value: "Retry": supported values: "Fail", "Ignore"`},
		"a canary of nothing": {Version: v1beta1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true"}}, spec: {updateStrategy: {type: NotUpdate}}}`,
			Want: `metadata.annotations[apps.kruise.io/sidecarset-base]: Required value: a canary names the SidecarSet that it stands in for`},
		"a canary of itself": {Version: v1beta1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: demo}}, spec: {updateStrategy: {type: NotUpdate}}}`,
			Want: `metadata.annotations[apps.kruise.io/sidecarset-base]: Invalid value: "demo": a SidecarSet is not its own canary`},
		"a canary of one that is not there": {Version: v1alpha1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: none}}, spec: {updateStrategy: {type: NotUpdate}}}`,
			Want: `metadata.annotations[apps.kruise.io/sidecarset-base]: Not found: "none"`},
		"a canary that updates pods": {Version: v1beta1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: other}}}`,
			Want: `spec.updateStrategy.type: Invalid value: "RollingUpdate": must be NotUpdate for a canary: it is for new pods, and running ones belong to its base`},
	}
}

func refusedContainers() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"a container without a name": {Version: v1beta1, Set: `{spec: {containers: [{image: "a:1"}]}}`,
			Want: `spec.containers[0].name: Required value`},
		"a container with a name that cannot be": {Version: v1beta1, Set: `{spec: {containers: [{name: A_B, image: "a:1"}]}}`,
			Want: `spec.containers[0].name: Invalid value: "A_B": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')`},
		"a container without an image": {Version: v1alpha1, Set: `{spec: {containers: [{name: log, image: null}]}}`,
			Want: `spec.containers[0].image: Required value`},
		"an init container without an image": {Version: v1beta1, Set: `{spec: {initContainers: [{name: a}]}}`,
			Want: `spec.initContainers[0].image: Required value`},
		"two containers of one name": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a}, {name: log, image: b}]}}`,
			Want: `spec.containers[1].name: Duplicate value: "log"`},
		"a container and an init container of one name": {Version: v1beta1, Set: `{spec: {initContainers: [{name: log, image: a}]}}`,
			Want: `spec.initContainers[0].name: Duplicate value: "log"`},
		"a container with the name of a twin": {Version: v1beta1, Set: `{spec: {containers: [{name: log-2, image: a}, {name: log, image: a, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e}}]}}`,
			Want: `spec.containers[1].name: Duplicate value: "log-2"`},
		"twins with names that are too long": {Version: v1beta1, Set: `{spec: {containers: [{name: ` + strings.Repeat("a", 62) + `, image: a, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e}}]}}`,
			Want: `spec.containers[0].name: Invalid value: "` + strings.Repeat("a", 62) + `": must be at most 61 characters with upgradeType HotUpgrade, since its twins have longer names`},
		"a mount of no volume": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, volumeMounts: [{name: logs, mountPath: /logs}]}]}}`,
			Want: `spec.containers[0].volumeMounts[0].name: Not found: "logs"`},
		"a volume of two kinds": {Version: v1alpha1, Set: `{spec: {volumes: [{name: a, emptyDir: {}, hostPath: {path: /}}]}}`,
			Want: `spec.volumes[0].hostPath: Forbidden: may not specify more than 1 volume type`},
		"a place that does not exist": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, podInjectPolicy: Between}]}}`,
			Want: `[spec.containers[0].podInjectPolicy: Unsupported value: "Between": supported values: "BeforeAppContainer", "AfterAppContainer"` + apiserver.Unchecked},
		"a way to upgrade that does not exist": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, upgradeStrategy: {upgradeType: Warm}}]}}`,
			Want: `[spec.containers[0].upgradeStrategy.upgradeType: Unsupported value: "Warm": supported values: "ColdUpgrade", "HotUpgrade"` + apiserver.Unchecked},
		"a hot upgrade without an empty image": {Version: v1alpha1, Set: `{spec: {containers: [{name: log, image: a, upgradeStrategy: {upgradeType: HotUpgrade}}]}}`,
			Want: `spec.containers[0].upgradeStrategy: Invalid value: hotUpgradeEmptyImage must be set with upgradeType HotUpgrade: the idle twin runs it`},
		"a hot upgrade of an init container": {Version: v1beta1, Set: `{spec: {initContainers: [{name: a, image: a, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e}}]}}`,
			Want: `spec.initContainers: Invalid value: upgradeType HotUpgrade is not supported for init containers, which cannot run beside a twin`},
		"a way to share that does not exist": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, shareVolumePolicy: {type: "on"}}]}}`,
			Want: `[spec.containers[0].shareVolumePolicy.type: Unsupported value: "on": supported values: "enabled", "disabled"` + apiserver.Unchecked},
		"variables of no container": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, transferEnv: [{envName: A}]}]}}`,
			Want: `spec.containers[0].transferEnv[0]: Invalid value: exactly one of sourceContainerName and sourceContainerNameFrom must be set`},
		"variables of two containers": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, transferEnv: [{envName: A, sourceContainerName: app, sourceContainerNameFrom: {fieldRef: {fieldPath: "metadata.labels['x']"}}}]}]}}`,
			Want: `spec.containers[0].transferEnv[0]: Invalid value: exactly one of sourceContainerName and sourceContainerNameFrom must be set`},
		"no variables": {Version: v1alpha1, Set: `{spec: {containers: [{name: log, image: a, transferEnv: [{sourceContainerName: app}]}]}}`,
			Want: `spec.containers[0].transferEnv[0]: Invalid value: envName or envNames must be set`},
		"a container named by something else": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, transferEnv: [{envName: A, sourceContainerNameFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}]}}`,
			Want: `spec.containers[0].transferEnv[0].sourceContainerNameFrom.fieldRef.fieldPath: Invalid value: "spec.nodeName": must be metadata.labels['key'] or metadata.annotations['key']`},
		"a container named by nothing": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, transferEnv: [{envName: A, sourceContainerNameFrom: {}}]}]}}`,
			Want: `spec.containers[0].transferEnv[0].sourceContainerNameFrom: Invalid value: fieldRef must be set`},
		"resources said twice": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, resources: {limits: {cpu: "1"}}, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {limits: {cpu: cpu}}}}]}}`,
			Want: `spec.containers[0].resourcesPolicy: Forbidden: resources is set, too: one of them says what the container gets`},
		"no mode": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, resourcesPolicy: {resourcesExpr: {limits: {cpu: cpu}}}}]}}`,
			Want: `[spec.containers[0].resourcesPolicy.targetContainersMode: Required value` + apiserver.Unchecked},
		"a mode that does not exist": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, resourcesPolicy: {targetContainersMode: mean, resourcesExpr: {limits: {cpu: cpu}}}}]}}`,
			Want: `[spec.containers[0].resourcesPolicy.targetContainersMode: Unsupported value: "mean": supported values: "sum", "max"` + apiserver.Unchecked},
		"no expressions": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {}}}]}}`,
			Want: `spec.containers[0].resourcesPolicy.resourcesExpr: Invalid value: limits or requests must be set`},
		"an expression that is none": {Version: v1beta1, Set: `{spec: {containers: [{name: log, image: a, resourcesPolicy: {targetContainersMode: sum, resourcesExpr: {limits: {cpu: "max(cpu, 50x)"}}}}]}}`,
			Want: `spec.containers[0].resourcesPolicy.resourcesExpr.limits.cpu: Invalid value: "max(cpu, 50x)": "max(cpu, 50x)" is no expression: numbers, quantities, percentages and cpu, with + - * /, parentheses, max and min`},
		"targets by an expression that is none": {Version: v1alpha1, Set: `{spec: {containers: [{name: log, image: a, resourcesPolicy: {targetContainersMode: sum, targetContainersNameRegex: "(", resourcesExpr: {limits: {cpu: cpu}}}}]}}`,
			Want: "spec.containers[0].resourcesPolicy.targetContainersNameRegex: Invalid value: \"(\": error parsing regexp: missing closing ): `^(?:()$`"},
	}
}

func refusedStrategies() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"a type that does not exist": {Version: v1beta1, Set: `{spec: {updateStrategy: {type: Recreate}}}`,
			Want: `[spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "NotUpdate", "RollingUpdate"` + apiserver.Unchecked},
		"a partition and a selector": {Version: v1beta1, Set: `{spec: {updateStrategy: {partition: 10%, selector: {matchLabels: {canary: "true"}}}}}`,
			Want: `spec.updateStrategy: Invalid value: partition and selector exclude each other: each says which pods stay as they are`},
		"a partition as a number in quotes": {Version: v1alpha1, Set: `{spec: {updateStrategy: {partition: "3"}}}`,
			Want: `spec.updateStrategy.partition: Invalid value: "3": partition` + count},
		"maxUnavailable above 100%": {Version: v1beta1, Set: `{spec: {updateStrategy: {maxUnavailable: 120%}}}`,
			Want: `spec.updateStrategy.maxUnavailable: Invalid value: "120%": maxUnavailable` + count},
		"a selector of updates with an operator that does not exist": {Version: v1beta1, Set: `{spec: {updateStrategy: {selector: {matchExpressions: [{key: a, operator: Like}]}}}}`,
			Want: `spec.updateStrategy.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		"priorities by order and by weight": {Version: v1beta1, Set: `{spec: {updateStrategy: {priorityStrategy: {orderPriority: [{orderedKey: a}], weightPriority: [{weight: 1, matchSelector: {matchLabels: {a: b}}}]}}}}`,
			Want: `spec.updateStrategy.priorityStrategy: Invalid value: orderPriority and weightPriority exclude each other: set one of them`},
		"a weight of every pod": {Version: v1alpha1, Set: `{spec: {updateStrategy: {priorityStrategy: {weightPriority: [{weight: 1, matchSelector: {}}]}}}}`,
			Want: `spec.updateStrategy.priorityStrategy.weightPriority[0].matchSelector: Invalid value: matchSelector must not be empty: it would match every pod`},
		"pods scattered twice": {Version: v1beta1, Set: `{spec: {updateStrategy: {scatterStrategy: [{key: a, value: b}, {key: a, value: b}]}}}`,
			Want: `spec.updateStrategy.scatterStrategy[1]: Duplicate value: {"key":"a","value":"b"}`},
	}
}

func refusedPatches() map[string]apiserver.Refusal {
	const rule = `no rule of SidecarSet_PatchPodMetadata_WhiteList in ConfigMap kruise-system/kruise-configuration allows this set to write it; add one, or switch the feature gate SidecarSetPatchPodMetadataDefaultsAllowed on`
	return map[string]apiserver.Refusal{
		"no annotations": {Version: v1beta1, Set: `{spec: {patchPodMetadata: [{annotations: {}}]}}`,
			Want: `spec.patchPodMetadata[0].annotations: Invalid value: 0: spec.patchPodMetadata[0].annotations in body should have at least 1 properties`},
		"a policy that does not exist": {Version: v1beta1, Set: `{spec: {patchPodMetadata: [{annotations: {a: b}, patchPolicy: Keep}]}}`,
			Want: `[spec.patchPodMetadata[0].patchPolicy: Unsupported value: "Keep": supported values: "Retain", "Overwrite", "MergePatchJson"` + apiserver.Unchecked},
		"an annotation of the manager": {Version: v1beta1, Set: `{spec: {patchPodMetadata: [{annotations: {kruise.io/sidecarset-hash: b}}]}}`,
			Want: `spec.patchPodMetadata[0].annotations[kruise.io/sidecarset-hash]: Forbidden: the manager itself writes it`},
		"a merge of what is no object": {Version: v1beta1, Set: `{spec: {patchPodMetadata: [{annotations: {a: "5"}, patchPolicy: MergePatchJson}]}}`,
			Want: `spec.patchPodMetadata[0].annotations[a]: Invalid value: "5": must be a JSON object, to be merged with patchPolicy MergePatchJson`},
		"an annotation with a name that cannot be": {Version: v1alpha1, Set: `{spec: {patchPodMetadata: [{annotations: {a b: c}}]}}`,
			Want: `spec.patchPodMetadata[0].annotations: Invalid value: "a b": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')`},
		"an annotation that is not allowed": {Version: v1beta1, Set: `{spec: {patchPodMetadata: [{annotations: {example.com/a: b}}]}}`,
			Want: `spec.patchPodMetadata[0].annotations[example.com/a]: Forbidden: ` + rule},
	}
}

func refusedChanges() map[string]apiserver.Refusal {
	const hot = `{spec: {containers: [{name: log, image: "log:1", upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e}}]}}`
	return map[string]apiserver.Refusal{
		"another container": {Version: v1beta1, Old: `{}`, Set: `{spec: {containers: [{name: log, image: "log:1"}, {name: mesh, image: a}]}}`,
			Want: `spec.containers[1].name: Forbidden: a container "mesh" cannot be added: running pods can get none; create another SidecarSet for it`},
		"another native sidecar": {Version: v1beta1, Old: `{}`, Set: `{spec: {initContainers: [{name: mesh, image: a, restartPolicy: Always}]}}`,
			Want: `spec.initContainers[0].name: Forbidden: a container "mesh" cannot be added: running pods can get none; create another SidecarSet for it`},
		"from cold to hot": {Version: v1alpha1, Old: `{}`, Set: hot,
			Want: `spec.containers[0].upgradeStrategy.upgradeType: Forbidden: is immutable: running pods have either the container or its twins; create another SidecarSet instead`},
		"from hot to cold": {Version: v1beta1, Old: hot, Set: `{}`,
			Want: `spec.containers[0].upgradeStrategy.upgradeType: Forbidden: is immutable: running pods have either the container or its twins; create another SidecarSet instead`},
		"a set that becomes a canary": {Version: v1beta1, Old: `{}`, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: x}}, spec: {updateStrategy: {type: NotUpdate}}}`,
			Want: `[metadata.annotations[apps.kruise.io/sidecarset-canary]: Forbidden: is immutable: pods carry the one or the other; create another SidecarSet instead, metadata.annotations[apps.kruise.io/sidecarset-base]: Forbidden: is immutable: pods carry the one or the other; create another SidecarSet instead]`},
	}
}

// TestRefusedBesideOthers is what users can do wrong with several objects.
func TestRefusedBesideOthers(t *testing.T) {
	other := demo().Object(t, v1beta1, "", `{metadata: {name: other}, spec: {selector: {matchLabels: {app: web, tier: front}},
		volumes: [{name: logs, emptyDir: {}}], containers: [{name: log, image: a}, {name: mesh, image: a, upgradeStrategy: {upgradeType: HotUpgrade, hotUpgradeEmptyImage: e}}],
		initContainers: [{name: setup, image: a}], patchPodMetadata: [{patchPolicy: Overwrite, annotations: {example.com/allowed: x}}]}}`)
	configuration := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-configuration"}}
	configuration.Data = map[string]string{"SidecarSet_PatchPodMetadata_WhiteList": `{"rules":[{"allowedAnnotationKeyExprs":["^example.com/allowed$"]},{"selector":{"matchLabels":{"team":"mesh"}},"allowedAnnotationKeyExprs":["^mesh.io/"]}]}`}
	create(t, configuration)
	create(t, other)
	create(t, demo().Object(t, v1beta1, "", `{metadata: {name: canary, annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: other}},
		spec: {selector: {matchLabels: {app: web, tier: front, canary: "true"}}, containers: [{name: log, image: b}], updateStrategy: {type: NotUpdate}}}`))
	create(t, demo().Object(t, v1beta1, "", `{metadata: {name: mesh, labels: {team: mesh}}, spec: {selector: {matchLabels: {app: mesh}}, patchPodMetadata: [{annotations: {mesh.io/a: x}}]}}`))
	apiserver.Eventually(t, "the webhook sees the sets", func() bool {
		err := server.Client.Create(t.Context(), demo().Object(t, v1beta1, "", `{}`), client.DryRunAll)
		return err != nil && strings.Contains(err.Error(), "SidecarSet canary") && strings.Contains(err.Error(), "SidecarSet other")
	})
	server.Refuses(t, demo(), map[string]apiserver.Refusal{
		"a container of another set": {Version: v1beta1, Set: `{}`,
			Want: `[spec.containers[0].name: Invalid value: "log": SidecarSet canary has a container of this name for pods that both can match, spec.containers[0].name: Invalid value: "log": SidecarSet other has a container of this name for pods that both can match]`},
		"an init container of another set": {Version: v1alpha1, Set: `{spec: {containers: null, initContainers: [{name: setup, image: a}]}}`,
			Want: `spec.initContainers[0].name: Invalid value: "setup": SidecarSet other has a container of this name for pods that both can match`},
		"a twin of another set": {Version: v1beta1, Set: `{spec: {containers: [{name: mesh-2, image: a}]}}`,
			Want: `spec.containers[0].name: Invalid value: "mesh-2": SidecarSet other has a container of this name for pods that both can match`},
		"another volume of one name": {Version: v1beta1, Set: `{spec: {containers: null, volumes: [{name: logs, hostPath: {path: /logs}}]}}`,
			Want: `spec.volumes[logs]: Invalid value: "logs": SidecarSet other has another volume of this name for pods that both can match; volumes that share a name must be equal`},
		"an annotation that another one overwrites": {Version: v1beta1, Set: `{spec: {containers: null, patchPodMetadata: [{patchPolicy: Overwrite, annotations: {example.com/allowed: "y"}}]}}`,
			Want: `spec.patchPodMetadata: Invalid value: "example.com/allowed": SidecarSet other overwrites this annotation, too, with another value, on pods that both can match`},
		"an annotation that is allowed to others": {Version: v1beta1, Set: `{spec: {containers: null, patchPodMetadata: [{annotations: {mesh.io/a: x}}]}}`,
			Want: `spec.patchPodMetadata[0].annotations[mesh.io/a]: Forbidden: no rule of SidecarSet_PatchPodMetadata_WhiteList in ConfigMap kruise-system/kruise-configuration allows this set to write it; add one, or switch the feature gate SidecarSetPatchPodMetadataDefaultsAllowed on`},
		"a canary of a canary": {Version: v1beta1, Set: `{metadata: {annotations: {apps.kruise.io/sidecarset-canary: "true", apps.kruise.io/sidecarset-base: canary}}, spec: {containers: [{name: x, image: a}], updateStrategy: {type: NotUpdate}}}`,
			Want: `metadata.annotations[apps.kruise.io/sidecarset-base]: Invalid value: "canary": is itself a canary, of other`},
	})
	for name, set := range map[string]string{
		"pods that the other cannot match":         `{spec: {selector: {matchExpressions: [{key: tier, operator: NotIn, values: [front]}]}}}`,
		"an equal volume":                          `{spec: {containers: null, volumes: [{name: logs, emptyDir: {}}]}}`,
		"an annotation that is kept where it is":   `{spec: {containers: null, patchPodMetadata: [{annotations: {example.com/allowed: "y"}}]}}`,
		"an annotation overwritten with one value": `{spec: {containers: null, patchPodMetadata: [{patchPolicy: Overwrite, annotations: {example.com/allowed: x}}]}}`,
	} {
		t.Run(name, func(t *testing.T) { create(t, demo().Object(t, v1beta1, "", set)) })
	}
}
