package daemonset

import (
	"testing"

	"kruise.io/kruise/test/integration/apiserver"
)

// TestRefused is the list of what users can do wrong, and of the words that they then read.
func TestRefused(t *testing.T) {
	server.Refuses(t, demo(), refusedSpecs(), refusedStrategies(), refusedTemplates())
}

const count = ` must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`

func refusedSpecs() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"no selector": {Version: v1alpha1,
			Set:  `{spec: {selector: null}}`,
			Want: `[spec.selector: Required value` + apiserver.Unchecked},
		"an empty selector": {Version: v1alpha1,
			Set:  `{spec: {selector: {matchLabels: null}}}`,
			Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"an empty selector, v1beta1": {Version: v1beta1,
			Set:  `{spec: {selector: {matchLabels: null}}}`,
			Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"another selector": {Version: v1alpha1, Old: `{}`,
			Set:  `{spec: {selector: {matchLabels: {tier: node}}, template: {metadata: {labels: {tier: node}}}}}`,
			Want: `spec.selector: Invalid value: selector is immutable: pods would be lost; create another DaemonSet instead`},
		"a selector that the template does not match": {Version: v1beta1,
			Set:  `{spec: {selector: {matchLabels: {app: other}}}}`,
			Want: `spec.template.metadata.labels: Invalid value: {"app":"agent"}: must match spec.selector (app=other), or the DaemonSet would not own its pods`},
		"a selector with an operator that does not exist": {Version: v1beta1,
			Set:  `{spec: {selector: {matchExpressions: [{key: app, operator: Like, values: [agent]}]}}}`,
			Want: `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		"no template": {Version: v1alpha1,
			Set:  `{spec: {template: null}}`,
			Want: `[spec.template: Required value` + apiserver.Unchecked},
		"a history of less than nothing": {Version: v1beta1,
			Set:  `{spec: {revisionHistoryLimit: -1}}`,
			Want: `spec.revisionHistoryLimit: Invalid value: -1: spec.revisionHistoryLimit in body should be greater than or equal to 0`},
		"negative minReadySeconds": {Version: v1alpha1,
			Set:  `{spec: {minReadySeconds: -1}}`,
			Want: `spec.minReadySeconds: Invalid value: -1: spec.minReadySeconds in body should be greater than or equal to 0`},
		"a burst of less than nothing": {Version: v1beta1,
			Set:  `{spec: {burstReplicas: -1}}`,
			Want: `spec.burstReplicas: Invalid value: -1: burstReplicas` + count},
		"a burst as a number in quotes": {Version: v1alpha1,
			Set:  `{spec: {burstReplicas: "250"}}`,
			Want: `spec.burstReplicas: Invalid value: "250": burstReplicas` + count},
		"a hook of updates in place": {Version: v1beta1,
			Set:  `{spec: {lifecycle: {inPlaceUpdate: {labelsHandler: {hold: "true"}}}}}`,
			Want: `spec: Invalid value: lifecycle.inPlaceUpdate is not supported by DaemonSets: only preDelete is`},
		"a hook of updates in place, v1alpha1": {Version: v1alpha1,
			Set:  `{spec: {lifecycle: {inPlaceUpdate: {finalizersHandler: [example.com/hold]}}}}`,
			Want: `spec: Invalid value: lifecycle.inPlaceUpdate is not supported by DaemonSets: only preDelete is`},
	}
}

func refusedStrategies() map[string]apiserver.Refusal {
	const both = `spec.updateStrategy: Invalid value: rollingUpdate: maxUnavailable and maxSurge must not both be above 0: a node either gets a new pod before its old one goes, or after`
	const neither = `spec.updateStrategy: Invalid value: rollingUpdate: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated`
	return map[string]apiserver.Refusal{
		"a type that does not exist": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {type: Recreate}}}`,
			Want: `[spec.updateStrategy.type: Unsupported value: "Recreate": supported values: "RollingUpdate", "OnDelete"` + apiserver.Unchecked},
		"a way to update that does not exist": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: InPlaceOnly}}}}`,
			Want: `[spec.updateStrategy.rollingUpdate.rollingUpdateType: Unsupported value: "InPlaceOnly": supported values: "Standard", "InPlaceIfPossible"` + apiserver.Unchecked},
		"a way to update that v1beta1 does not have": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: Surging}}}}`,
			Want: `[spec.updateStrategy.rollingUpdate.rollingUpdateType: Unsupported value: "Surging": supported values: "Standard", "InPlaceIfPossible"` + apiserver.Unchecked},
		"maxUnavailable and maxSurge": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 1, maxSurge: 10%}}}}`,
			Want: both},
		"maxUnavailable and maxSurge, v1alpha1": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 20%, maxSurge: 1}}}}`,
			Want: both},
		"neither maxUnavailable nor maxSurge": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 0%}}}}`,
			Want: neither},
		"no maxUnavailable, and nothing of maxSurge": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0%}}}}`,
			Want: neither},
		"maxUnavailable above 100%": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 120%}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "120%": maxUnavailable` + count},
		"negative maxUnavailable": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: -1}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: -1: maxUnavailable` + count},
		"maxSurge in words": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: some}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: "some": maxSurge` + count},
		"a partition as a number in quotes": {Version: v1alpha1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {partition: "3"}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.partition: Invalid value: "3": partition` + count},
		"a surge in place": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {rollingUpdateType: InPlaceIfPossible, maxUnavailable: 0, maxSurge: 1}}}}`,
			Want: `spec.updateStrategy: Invalid value: rollingUpdate: maxSurge must be 0 with rollingUpdateType InPlaceIfPossible: a second pod cannot be made in place`},
		"nodes by an operator that does not exist": {Version: v1beta1,
			Set:  `{spec: {updateStrategy: {rollingUpdate: {selector: {matchExpressions: [{key: zone, operator: Near}]}}}}}`,
			Want: `spec.updateStrategy.rollingUpdate.selector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
	}
}

func refusedTemplates() map[string]apiserver.Refusal {
	return map[string]apiserver.Refusal{
		"pods that end": {Version: v1beta1,
			Set:  `{spec: {template: {spec: {restartPolicy: OnFailure}}}}`,
			Want: `spec.template.spec.restartPolicy: Unsupported value: "OnFailure": supported values: "Always"`},
		"pods with a deadline": {Version: v1alpha1,
			Set:  `{spec: {template: {spec: {activeDeadlineSeconds: 60}}}}`,
			Want: `spec.template.spec.activeDeadlineSeconds: Forbidden: the pods of a DaemonSet run until they are replaced`},
		"a template without containers": {Version: v1beta1,
			Set:  `{spec: {template: {spec: {containers: []}}}}`,
			Want: `spec.template.spec.containers: Required value`},
		"an affinity that cannot be read": {Version: v1beta1,
			Set:  `{spec: {template: {spec: {affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: Near}]}]}}}}}}}`,
			Want: `spec.template.spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
	}
}
