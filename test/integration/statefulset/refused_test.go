package statefulset

import (
	"strings"
	"testing"

	"kruise.io/kruise/test/integration/apiserver"
)

// TestRefused is the list of what users can do wrong, and of the words that they then read.
func TestRefused(t *testing.T) {
	server.Refuses(t, demo(), refusedSpecs(), refusedStrategies(), refusedOrdinals(), refusedTemplates(), refusedClaims())
}

func refusedSpecs() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"negative replicas": {Version: v1beta1,
			Set:  `{spec: {replicas: -1}}`,
			Want: `[spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0, .spec.replicas: Invalid value: -1: should be a non-negative integer]`},
		"no selector": {Version: v1alpha1,
			Set:  `{spec: {selector: null}}`,
			Want: `[spec.selector: Required value` + apiserver.Unchecked},
		"an empty selector": {Version: v1alpha1,
			Set:  `{spec: {selector: {matchLabels: null}}}`,
			Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"a selector that does not match the template": {Version: v1beta1,
			Set:  `{spec: {selector: {matchLabels: {app: other}}}}`,
			Want: `spec.template.metadata.labels: Invalid value: {"app":"guestbook"}: must match spec.selector (app=other), or the StatefulSet would not own its pods`},
		"no template": {Version: v1alpha1,
			Set:  `{spec: {template: null}}`,
			Want: `[spec.template: Required value` + apiserver.Unchecked},
		"another selector": {Version: v1alpha1, Old: `{}`,
			Set:  `{spec: {selector: {matchLabels: {tier: web}}, template: {metadata: {labels: {tier: web}}}}}`,
			Want: `spec.selector: Invalid value: selector is immutable: pods would be lost; create another StatefulSet instead`},
		"another service": {Version: v1beta1, Old: `{}`,
			Set:  `{spec: {serviceName: other}}`,
			Want: `spec.serviceName: Invalid value: serviceName is immutable: the names by which pods are found would change; create another StatefulSet instead`},
		"no service any more": {Version: v1alpha1, Old: `{}`,
			Set:  `{spec: {serviceName: null}}`,
			Want: `spec.serviceName: Invalid value: serviceName is immutable: the names by which pods are found would change; create another StatefulSet instead`},
		"a service whose name no host can have": {Version: v1beta1,
			Set:  `{spec: {serviceName: My.Service}}`,
			Want: `spec.serviceName: Invalid value: "My.Service": spec.serviceName in body should match '^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$'`},
		"another way to manage pods": {Version: v1alpha1, Old: `{}`,
			Set:  `{spec: {podManagementPolicy: Parallel}}`,
			Want: `spec.podManagementPolicy: Invalid value: "Parallel": podManagementPolicy is immutable; create another StatefulSet instead`},
		"a way to manage pods that does not exist": {Version: v1beta1,
			Set:  `{spec: {podManagementPolicy: Ordered}}`,
			Want: `[spec.podManagementPolicy: Unsupported value: "Ordered": supported values: "OrderedReady", "Parallel"` + apiserver.Unchecked},
		"a history of less than nothing": {Version: v1beta1,
			Set:  `{spec: {revisionHistoryLimit: -1}}`,
			Want: `spec.revisionHistoryLimit: Invalid value: -1: spec.revisionHistoryLimit in body should be greater than or equal to 0`},
		"a name after which no revision can be named": {Version: v1beta1,
			Set:  `{metadata: {name: ` + strings.Repeat("a", 53) + `}}`,
			Want: `metadata.name: Invalid value: "` + strings.Repeat("a", 53) + `": must be no more than 52 characters: the names of revisions, which pods carry in a label, are longer by up to 11`},
		"a name after which no host can be named": {Version: v1alpha1,
			Set:  `{metadata: {name: demo.v2}}`,
			Want: `metadata.name: Invalid value: "demo.v2": must not contain dots: it begins the host names of pods`},
	}
}

func refusedStrategies() map[string]apiserver.Refusal {
	const ordered = `, and must be 1 with podManagementPolicy OrderedReady, where pods follow one after the other; set podManagementPolicy to Parallel`
	return map[string]apiserver.Refusal{
		"a type that does not exist": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {type: InPlaceOnly}}}`,
			Want: `[spec.updateStrategy.type: Unsupported value: "InPlaceOnly": supported values: "RollingUpdate", "OnDelete"` + apiserver.Unchecked},
		"parameters of a rolling update with OnDelete": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {type: OnDelete, rollingUpdate: {partition: 1}}}}`,
			Want: `spec.updateStrategy.rollingUpdate: Invalid value: rollingUpdate must not be set with type OnDelete; remove it (a patch sets it to null)`},
		"two at a time, in order": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 2}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: maxUnavailable is 2` + ordered},
		"a share at a time, in order": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 20%}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: maxUnavailable is 20%` + ordered},
		"two away while scaling, in order": {Version: v1alpha1,
			Set:  `{spec: {scaleStrategy: {maxUnavailable: 2}}}`,
			Want: `spec.scaleStrategy.maxUnavailable: Invalid value: maxUnavailable is 2` + ordered},
		"no order, in order": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {unorderedUpdate: {}}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.unorderedUpdate: Invalid value: unorderedUpdate must not be set with podManagementPolicy OrderedReady, where pods are updated by their ordinal; set podManagementPolicy to Parallel`},
		"nobody at a time": {Version: v1beta1,
			Set:  `{spec: {podManagementPolicy: Parallel, updateStrategy: {rollingUpdate: {maxUnavailable: 0}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: 0: maxUnavailable must be an integer of 1 or more, or a percentage from "1%" to "100%"; a number in quotes is neither`},
		"more than everybody at a time": {Version: v1alpha1,
			Set:  `{spec: {podManagementPolicy: Parallel, updateStrategy: {rollingUpdate: {maxUnavailable: 120%}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "120%": maxUnavailable must be an integer of 1 or more, or a percentage from "1%" to "100%"; a number in quotes is neither`},
		"nobody away while scaling": {Version: v1beta1,
			Set:  `{spec: {podManagementPolicy: Parallel, scaleStrategy: {maxUnavailable: "0%"}}}`,
			Want: `spec.scaleStrategy.maxUnavailable: Invalid value: "0%": maxUnavailable must be an integer of 1 or more, or a percentage from "1%" to "100%"; a number in quotes is neither`},
		"a partition that is a share": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {partition: 20%}}}}`,
			Want: `[spec.updateStrategy.rollingUpdate.partition: Invalid value: "string": spec.updateStrategy.rollingUpdate.partition in body must be of type integer: "string"` + apiserver.Unchecked},
		"a negative partition": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {partition: -1}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: spec.updateStrategy.rollingUpdate.partition in body should be greater than or equal to 0`},
		"a pod that has to be ready for too long": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {minReadySeconds: 301}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.minReadySeconds: Invalid value: 301: spec.updateStrategy.rollingUpdate.minReadySeconds in body should be less than or equal to 300`},
		"a new set whose start is ignored": {Version: v1beta1,
			Set:  `{spec: {ordinals: {start: 5}}}`,
			Want: `spec.ordinals.start: Invalid value: 5: needs the feature gate StatefulSetStartOrdinal of kruise-manager, which is off: pods would have ordinals from 0 on, and those that a native set left under others would be deleted; open the gate, or remove the field`},
		"a pod that has to be ready for less than no time": {Version: v1alpha1,
			Set:  `{spec: {minReadySeconds: -1}}`,
			Want: `spec.minReadySeconds: Invalid value: -1: spec.minReadySeconds in body should be greater than or equal to 0`},
		"two orders of priority": {Version: v1beta1,
			Set:  `{spec: {podManagementPolicy: Parallel, updateStrategy: {rollingUpdate: {unorderedUpdate: {priorityStrategy: {orderPriority: [{orderedKey: order}], weightPriority: [{weight: 50, matchSelector: {matchLabels: {a: b}}}]}}}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.unorderedUpdate.priorityStrategy: Invalid value: orderPriority and weightPriority exclude each other: set one of them`},
		"a weight with an operator that does not exist": {Version: v1alpha1,
			Set:  `{spec: {podManagementPolicy: Parallel, updateStrategy: {rollingUpdate: {unorderedUpdate: {priorityStrategy: {weightPriority: [{weight: 1, matchSelector: {matchExpressions: [{key: a, operator: Near}]}}]}}}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.unorderedUpdate.priorityStrategy.weightPriority[0].matchSelector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
	}
}

func refusedOrdinals() map[string]apiserver.Refusal {
	const rule = `: must be an integer of 0 or more, or a range like "2-5" whose start is not above its end; a number in quotes is neither`
	return map[string]apiserver.Refusal{
		"a negative ordinal": {Version: v1beta1,
			Set:  `{spec: {reserveOrdinals: [1, -2]}}`,
			Want: `spec.reserveOrdinals[1]: Invalid value: -2` + rule},
		"a range that is none": {Version: v1beta1,
			Set:  `{spec: {reserveOrdinals: ["2-"]}}`,
			Want: `spec.reserveOrdinals[0]: Invalid value: "2-"` + rule},
		"a range that ends before it begins": {Version: v1alpha1,
			Set:  `{spec: {reserveOrdinals: ["5-2"]}}`,
			Want: `spec.reserveOrdinals[0]: Invalid value: "5-2"` + rule},
		"a number in quotes": {Version: v1beta1,
			Set:  `{spec: {reserveOrdinals: ["3"]}}`,
			Want: `spec.reserveOrdinals[0]: Invalid value: "3"` + rule},
		"a first ordinal below 0": {Version: v1beta1,
			Set:  `{spec: {ordinals: {start: -1}}}`,
			Want: `spec.ordinals.start: Invalid value: -1: spec.ordinals.start in body should be greater than or equal to 0`},
	}
}

func refusedTemplates() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"pods that are not restarted": {Version: v1alpha1,
			Set:  `{spec: {template: {spec: {restartPolicy: Never}}}}`,
			Want: `spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`},
		"pods that end": {Version: v1beta1,
			Set:  `{spec: {template: {spec: {activeDeadlineSeconds: 60}}}}`,
			Want: `spec.template.spec.activeDeadlineSeconds: Forbidden: the pods of a StatefulSet run until they are replaced`},
		"a template without containers": {Version: v1alpha1,
			Set:  `{spec: {template: {spec: {containers: []}}}}`,
			Want: `spec.template.spec.containers: Required value`},
		"in place without a gate": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceIfPossible}}}}`,
			Want: `spec.template.spec.readinessGates: Invalid value: null: must contain conditionType InPlaceUpdateReady with podUpdatePolicy InPlaceIfPossible: without it pods would serve while their containers are changed`},
		"the gate taken away": {Version: v1beta1,
			Old:  `{spec: {` + gate + `, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`,
			Set:  `{spec: {template: {spec: {readinessGates: [{conditionType: other}]}}, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`,
			Want: `[spec.template.spec.readinessGates: Invalid value: [{"conditionType":"other"}]: must contain conditionType InPlaceUpdateReady with podUpdatePolicy InPlaceOnly: without it pods would serve while their containers are changed, spec.template: Forbidden: the update is InPlaceOnly, and this cannot be changed in place: spec.readinessGates; only images, labels and annotations can]`},
		"a change that InPlaceOnly cannot make": {Version: v1alpha1,
			Old:  `{spec: {` + gate + `, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`,
			Set:  `{spec: {template: {spec: {readinessGates: [{conditionType: InPlaceUpdateReady}], hostNetwork: true}}, updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}}}`,
			Want: `spec.template: Forbidden: the update is InPlaceOnly, and this cannot be changed in place: spec.hostNetwork; only images, labels and annotations can`},
	}
}

func refusedClaims() map[string]apiserver.Refusal {
	const claim = `{metadata: {name: data}, spec: {storageClassName: %s, accessModes: [ReadWriteOnce], resources: {requests: {storage: %s}}}}`
	with := func(class, storage string) string {
		return `{spec: {volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}, volumeClaimTemplates: [` + strings.NewReplacer("%s}}}}", storage+"}}}}", "%s,", class+",").Replace(claim) + `]}}`
	}
	const more = `, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow; for other changes, which reach new claims alone, set its type to OnDelete`
	const mount = `template: {spec: {containers: [{name: main, image: "demo:1", volumeMounts: [{name: data, mountPath: /data}]}]}}`
	return map[string]apiserver.Refusal{
		"a claim without a name": {Version: v1alpha1,
			Set:  `{spec: {volumeClaimTemplates: [{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
			Want: `spec.volumeClaimTemplates[0].metadata.name: Required value: a pod mounts the claim by this name`},
		"a strategy for claims that does not exist": {Version: v1beta1,
			Set:  `{spec: {volumeClaimUpdateStrategy: {type: Always}}}`,
			Want: `[spec.volumeClaimUpdateStrategy.type: Unsupported value: "Always": supported values: "OnDelete", "OnPodRollingUpdate"` + apiserver.Unchecked},
		"a retention that does not exist": {Version: v1beta1,
			Set:  `{spec: {persistentVolumeClaimRetentionPolicy: {whenDeleted: Keep}}}`,
			Want: `[spec.persistentVolumeClaimRetentionPolicy.whenDeleted: Unsupported value: "Keep": supported values: "Retain", "Delete"` + apiserver.Unchecked},
		"a claim taken away that a container mounts": {Version: v1beta1,
			Old:  `{spec: {` + mount + `, volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
			Set:  `{spec: {` + mount + `}}`,
			Want: `spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data" is neither in spec.template.spec.volumes nor in spec.volumeClaimTemplates, so no container can mount it`},
		"claims that cannot grow": {Version: v1beta1,
			Old: with("fixed", "1Gi"), Set: with("fixed", "2Gi"),
			Want: `spec.volumeClaimTemplates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: StorageClass "fixed" does not allow it; allowVolumeExpansion must be true`},
		"claims that shrink": {Version: v1alpha1,
			Old: with("growing", "2Gi"), Set: with("growing", "1Gi"),
			Want: `spec.volumeClaimTemplates[0].spec.resources.requests[storage]: Invalid value: "1Gi": must not be less than 2Gi, which it was: volumes cannot shrink` + more},
		"claims of another class": {Version: v1beta1,
			Old: with("growing", "1Gi"), Set: with("fixed", "1Gi"),
			Want: `spec.volumeClaimTemplates[0]: Forbidden: more than resources.requests[storage] of "data" changed` + more},
		"one more claim": {Version: v1beta1,
			Old:  `{spec: {volumeClaimUpdateStrategy: {type: OnPodRollingUpdate}}}`,
			Set:  with("growing", "1Gi"),
			Want: `spec.volumeClaimTemplates[0]: Forbidden: the claim template "data" is new` + more},
	}
}
