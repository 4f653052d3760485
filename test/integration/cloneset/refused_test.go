package cloneset

import (
	"maps"
	"strings"
	"testing"
)

// refusal is a CloneSet that is not let in, and what its user reads.
type refusal struct {
	version string
	// old, if set, changes demo into an object that exists and that set then replaces.
	old string
	// set changes demo into what is refused.
	set string
	// want is the message after the name of the object.
	want string
}

// TestRefused is the list of what users can do wrong, and of the words that they then read.
func TestRefused(t *testing.T) {
	namespace := server.Namespace(t)
	for name, tc := range refusals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set := object(t, tc.version, namespace, tc.set)
			var err error
			if tc.old == "" {
				err = server.Client.Create(t.Context(), set)
			} else {
				existing := object(t, tc.version, server.Namespace(t), tc.old)
				if err := server.Client.Create(t.Context(), existing); err != nil {
					t.Fatalf("the object to be changed was refused: %v", err)
				}
				set.SetNamespace(existing.GetNamespace())
				set.SetResourceVersion(existing.GetResourceVersion())
				err = server.Client.Update(t.Context(), set)
			}
			if err == nil {
				t.Fatal("it was let in")
			}
			got := err.Error()
			for _, prefix := range []string{`admission webhook "vcloneset.kb.io" denied the request: `, `CloneSet.apps.kruise.io "demo" is invalid: `} {
				got = strings.TrimPrefix(got, prefix)
			}
			if got != tc.want {
				t.Errorf("message\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

// unchecked is what the API server says where a schema that does not hold keeps it from looking at the rules.
const unchecked = `, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`

func refusals() map[string]refusal {
	all := map[string]refusal{}
	for _, some := range []map[string]refusal{refusedSpecs(), refusedStrategies(), refusedTemplates(), refusedClaims()} {
		maps.Copy(all, some)
	}
	return all
}

func refusedSpecs() map[string]refusal {
	return map[string]refusal{
		"negative replicas": {version: v1alpha1,
			set:  `{spec: {replicas: -1}}`,
			want: `[spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0, .spec.replicas: Invalid value: -1: should be a non-negative integer]`},
		"negative replicas, v1beta1": {version: v1beta1,
			set:  `{spec: {replicas: -1}}`,
			want: `[spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0, .spec.replicas: Invalid value: -1: should be a non-negative integer]`},
		"no selector": {version: v1alpha1,
			set:  `{spec: {selector: null}}`,
			want: `[spec.selector: Required value` + unchecked},
		"an empty selector": {version: v1alpha1,
			set:  `{spec: {selector: {matchLabels: null}}}`,
			want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"an empty selector, v1beta1": {version: v1beta1,
			set:  `{spec: {selector: {matchLabels: null}}}`,
			want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"another selector": {version: v1alpha1,
			old:  `{}`,
			set:  `{spec: {selector: {matchLabels: {app: guestbook, tier: web}}, template: {metadata: {labels: {tier: web}}}}}`,
			want: `spec.selector: Invalid value: selector is immutable: pods would be lost; create another CloneSet instead`},
		"another selector, v1beta1": {version: v1beta1,
			old:  `{}`,
			set:  `{spec: {selector: {matchLabels: {app: guestbook, tier: web}}, template: {metadata: {labels: {tier: web}}}}}`,
			want: `spec.selector: Invalid value: selector is immutable: pods would be lost; create another CloneSet instead`},
		"a selector that the template does not match": {version: v1alpha1,
			set:  `{spec: {selector: {matchLabels: {app: other}}}}`,
			want: `spec.template.metadata.labels: Invalid value: {"app":"guestbook"}: must match spec.selector (app=other), or the CloneSet would not own its pods`},
		"a selector with an operator that does not exist": {version: v1beta1,
			set:  `{spec: {selector: {matchExpressions: [{key: app, operator: Like, values: [guest]}]}}}`,
			want: `spec.selector.matchExpressions[0].operator: Invalid value: "Like": not a valid selector operator`},
		"a selector with a value that is no label": {version: v1beta1,
			set:  `{spec: {selector: {matchLabels: {app: "guest book"}}}}`,
			want: `spec.selector.matchLabels: Invalid value: "guest book": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		"no template": {version: v1alpha1,
			set:  `{spec: {template: null}}`,
			want: `[spec.template: Required value` + unchecked},
		"a template that is no object": {version: v1alpha1,
			set:  `{spec: {template: 5}}`,
			want: `[spec.template: Invalid value: "integer": spec.template in body must be of type object: "integer"` + unchecked},
		"a negative revisionHistoryLimit": {version: v1beta1,
			set:  `{spec: {revisionHistoryLimit: -1}}`,
			want: `spec.revisionHistoryLimit: Invalid value: -1: spec.revisionHistoryLimit in body should be greater than or equal to 0`},
		"negative minReadySeconds": {version: v1beta1,
			set:  `{spec: {minReadySeconds: -1}}`,
			want: `spec.minReadySeconds: Invalid value: -1: spec.minReadySeconds in body should be greater than or equal to 0`},
		"a deadline no longer than minReadySeconds": {version: v1alpha1,
			set:  `{spec: {minReadySeconds: 30, progressDeadlineSeconds: 30}}`,
			want: `spec: Invalid value: progressDeadlineSeconds must be greater than minReadySeconds`},
		"a deadline of 0": {version: v1beta1,
			set:  `{spec: {progressDeadlineSeconds: 0}}`,
			want: `spec: Invalid value: progressDeadlineSeconds must be greater than minReadySeconds`},
		"replicas that are no number": {version: v1alpha1,
			set:  `{spec: {replicas: "5"}}`,
			want: `[spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string", .spec.replicas: Invalid value: 0: .spec.replicas accessor error: 5 is of the type string, expected int64` + unchecked},
		"scaling with maxUnavailable as a number in quotes": {version: v1alpha1,
			set:  `{spec: {scaleStrategy: {maxUnavailable: "5"}}}`,
			want: `spec.scaleStrategy.maxUnavailable: Invalid value: "5": maxUnavailable must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"a pod to delete named twice": {version: v1alpha1,
			set:  `{spec: {scaleStrategy: {podsToDelete: [demo-a, demo-a]}}}`,
			want: `spec.scaleStrategy.podsToDelete[1]: Duplicate value: "demo-a"`},
		"a pod to delete that does not exist": {version: v1alpha1,
			set:  `{spec: {scaleStrategy: {podsToDelete: [demo-aaaaa]}}}`,
			want: `spec.scaleStrategy.podsToDelete[0]: Invalid value: "demo-aaaaa": there is no such pod in the namespace of the CloneSet`},
	}
}

func refusedStrategies() map[string]refusal {
	return map[string]refusal{
		"a type of v1alpha1 in v1beta1": {version: v1beta1,
			set:  `{spec: {updateStrategy: {type: InPlaceIfPossible}}}`,
			want: `[spec.updateStrategy.type: Unsupported value: "InPlaceIfPossible": supported values: "RollingUpdate", "OnDelete"` + unchecked},
		"a type of v1beta1 in v1alpha1": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {type: RollingUpdate}}}`,
			want: `[spec.updateStrategy.type: Unsupported value: "RollingUpdate": supported values: "ReCreate", "InPlaceIfPossible", "InPlaceOnly", "OnDelete"` + unchecked},
		"a policy in the wrong case": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: Recreate}}}}`,
			want: `[spec.updateStrategy.rollingUpdate.podUpdatePolicy: Unsupported value: "Recreate": supported values: "ReCreate", "InPlaceIfPossible", "InPlaceOnly"` + unchecked},
		"maxUnavailable as a number in quotes": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {maxUnavailable: "5"}}}`,
			want: `spec.updateStrategy.maxUnavailable: Invalid value: "5": maxUnavailable must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"maxUnavailable as a number in quotes, v1beta1": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: "5"}}}}`,
			want: `spec.updateStrategy.rollingUpdate.maxUnavailable: Invalid value: "5": maxUnavailable must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"negative maxUnavailable": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {maxUnavailable: -1}}}`,
			want: `spec.updateStrategy.maxUnavailable: Invalid value: -1: maxUnavailable must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"maxUnavailable above 100%": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {maxUnavailable: 120%}}}`,
			want: `spec.updateStrategy.maxUnavailable: Invalid value: "120%": maxUnavailable must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"maxSurge in words": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {maxSurge: some}}}`,
			want: `spec.updateStrategy.maxSurge: Invalid value: "some": maxSurge must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"a negative partition": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {partition: -3}}}`,
			want: `spec.updateStrategy.partition: Invalid value: -3: partition must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"a partition above 100%, v1beta1": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {partition: 101%}}}}`,
			want: `spec.updateStrategy.rollingUpdate.partition: Invalid value: "101%": partition must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`},
		"neither maxUnavailable nor maxSurge": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {maxUnavailable: 0}}}`,
			want: `spec: Invalid value: updateStrategy: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated`},
		"neither maxUnavailable nor maxSurge, v1beta1": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {maxUnavailable: 0%, maxSurge: 0}}}}`,
			want: `spec: Invalid value: updateStrategy.rollingUpdate: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated`},
		"neither maxUnavailable nor maxSurge once there are replicas": {version: v1beta1,
			old:  `{spec: {replicas: 0, updateStrategy: {rollingUpdate: {maxUnavailable: 0}}}}`,
			set:  `{spec: {replicas: 1, updateStrategy: {rollingUpdate: {maxUnavailable: 0}}}}`,
			want: `spec: Invalid value: updateStrategy.rollingUpdate: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated`},
		"InPlaceOnly with a surge": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {type: InPlaceOnly, maxSurge: 1}}}`,
			want: `spec.updateStrategy: Invalid value: maxSurge must be 0 with type InPlaceOnly: extra pods cannot be made in place`},
		"InPlaceOnly with a surge, v1beta1": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly, maxSurge: 10%}}}}`,
			want: `spec.updateStrategy.rollingUpdate: Invalid value: maxSurge must be 0 with podUpdatePolicy InPlaceOnly: extra pods cannot be made in place`},
		"two orders of priority": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {priorityStrategy: {orderPriority: [{orderedKey: order}], weightPriority: [{weight: 50, matchSelector: {matchLabels: {a: b}}}]}}}}`,
			want: `spec.updateStrategy.priorityStrategy: Invalid value: orderPriority and weightPriority exclude each other: set one of them`},
		"an order by no key": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {priorityStrategy: {orderPriority: [{orderedKey: ""}]}}}}`,
			want: `spec.updateStrategy.priorityStrategy.orderPriority[0].orderedKey: Invalid value: "": spec.updateStrategy.priorityStrategy.orderPriority[0].orderedKey in body should be at least 1 chars long`},
		"a weight above 100": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {priorityStrategy: {weightPriority: [{weight: 101, matchSelector: {matchLabels: {a: b}}}]}}}}}`,
			want: `spec.updateStrategy.rollingUpdate.priorityStrategy.weightPriority[0].weight: Invalid value: 101: spec.updateStrategy.rollingUpdate.priorityStrategy.weightPriority[0].weight in body should be less than or equal to 100`},
		"a weight for every pod": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {priorityStrategy: {weightPriority: [{weight: 1, matchSelector: {}}]}}}}`,
			want: `spec.updateStrategy.priorityStrategy.weightPriority[0].matchSelector: Invalid value: matchSelector must not be empty: it would match every pod`},
		"a weight with an operator that does not exist": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {priorityStrategy: {weightPriority: [{weight: 1, matchSelector: {matchExpressions: [{key: a, operator: Near}]}}]}}}}`,
			want: `spec.updateStrategy.rollingUpdate.priorityStrategy.weightPriority[0].matchSelector.matchExpressions[0].operator: Invalid value: "Near": not a valid selector operator`},
		"the same pods scattered twice": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {scatterStrategy: [{key: a, value: b}, {key: a, value: b}]}}}`,
			want: `spec.updateStrategy.scatterStrategy[1]: Duplicate value: {"key":"a","value":"b"}`},
		"pods scattered by no key": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {scatterStrategy: [{key: "", value: b}]}}}}`,
			want: `spec.updateStrategy.rollingUpdate.scatterStrategy[0].key: Invalid value: "": spec.updateStrategy.rollingUpdate.scatterStrategy[0].key in body should be at least 1 chars long`},
		"a negative grace period": {version: v1alpha1,
			set:  `{spec: {updateStrategy: {inPlaceUpdateStrategy: {gracePeriodSeconds: -1}}}}`,
			want: `spec.updateStrategy.inPlaceUpdateStrategy.gracePeriodSeconds: Invalid value: -1: spec.updateStrategy.inPlaceUpdateStrategy.gracePeriodSeconds in body should be greater than or equal to 0`},
		"a percentage of downloads ahead": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {inPlaceUpdateStrategy: {imagePreDownloadParallelism: 10%}}}}}`,
			want: `spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.imagePreDownloadParallelism: Invalid value: "10%": imagePreDownloadParallelism must be an integer of 0 or more; percentages are not supported`},
		"a negative time for downloads": {version: v1beta1,
			set:  `{spec: {updateStrategy: {rollingUpdate: {inPlaceUpdateStrategy: {imagePreDownloadTimeoutSeconds: -1}}}}}`,
			want: `spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.imagePreDownloadTimeoutSeconds: Invalid value: -1: spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.imagePreDownloadTimeoutSeconds in body should be greater than or equal to 0`},
	}
}

func refusedTemplates() map[string]refusal {
	return map[string]refusal{
		"pods that are not restarted": {version: v1alpha1,
			set:  `{spec: {template: {spec: {restartPolicy: Never}}}}`,
			want: `spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"`},
		"pods that end": {version: v1beta1,
			set:  `{spec: {template: {spec: {activeDeadlineSeconds: 60}}}}`,
			want: `spec.template.spec.activeDeadlineSeconds: Forbidden: the pods of a CloneSet run until they are replaced`},
		"a template without containers": {version: v1alpha1,
			set:  `{spec: {template: {spec: {containers: []}}}}`,
			want: `spec.template.spec.containers: Required value`},
		"a template with two faults": {version: v1alpha1,
			set:  `{spec: {template: {spec: {containers: [{name: main}, {name: main, image: "demo:1"}]}}}}`,
			want: `[spec.template.spec.containers[0].image: Required value, spec.template.spec.containers[1].name: Duplicate value: "main"]`},
		"a template with a label that is none": {version: v1beta1,
			set:  `{spec: {template: {metadata: {labels: {team: "a b"}}}}}`,
			want: `spec.template.metadata.labels: Invalid value: "a b": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')`},
		"a template that mounts a volume that does not exist": {version: v1beta1,
			set:  `{spec: {template: {spec: {containers: [{name: main, image: "demo:1", volumeMounts: [{name: data, mountPath: /data}]}]}}}}`,
			want: `spec.template.spec.containers[0].volumeMounts[0].name: Not found: "data"`},
		"a template made invalid by an update": {version: v1alpha1,
			old:  `{}`,
			set:  `{spec: {template: {spec: {containers: [{name: main, image: "demo:1", ports: [{containerPort: 70000}]}]}}}}`,
			want: `spec.template.spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive`},
		"a change that InPlaceOnly cannot make": {version: v1alpha1,
			old:  `{spec: {updateStrategy: {type: InPlaceOnly}}}`,
			set:  `{spec: {updateStrategy: {type: InPlaceOnly}, template: {spec: {terminationGracePeriodSeconds: 5, containers: [{name: main, image: "demo:2", env: [{name: a, value: b}]}]}}}}`,
			want: `spec.template: Forbidden: the update is InPlaceOnly, and this cannot be changed in place: spec.containers[main].env, spec.terminationGracePeriodSeconds; only images, labels and annotations can`},
		"a change that InPlaceOnly cannot make, made together with the policy": {version: v1beta1,
			old:  `{}`,
			set:  `{spec: {updateStrategy: {rollingUpdate: {podUpdatePolicy: InPlaceOnly}}, template: {spec: {hostNetwork: true}}}}`,
			want: `spec.template: Forbidden: the update is InPlaceOnly, and this cannot be changed in place: spec.hostNetwork; only images, labels and annotations can`},
		"a template with a quantity that is none": {version: v1alpha1,
			set:  `{spec: {template: {spec: {containers: [{name: main, image: "demo:1", resources: {limits: {cpu: much}}}]}}}}`,
			want: "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"},
	}
}

func refusedClaims() map[string]refusal {
	return map[string]refusal{
		"a claim without a name": {version: v1alpha1,
			set:  `{spec: {volumeClaimTemplates: [{spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
			want: `spec.volumeClaimTemplates[0].metadata.name: Required value: a pod mounts the claim by this name`},
		"a claim whose name no volume can have": {version: v1alpha1,
			set:  `{spec: {volumeClaimTemplates: [{metadata: {name: my.data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]}}`,
			want: `spec.volumeClaimTemplates[0].metadata.name: Invalid value: "my.data": must not contain dots`},
		"two claims of one name, which say nothing": {version: v1beta1,
			set:  `{spec: {volumeClaimTemplates: [{metadata: {name: data}}, {metadata: {name: data}}]}}`,
			want: `[spec.volumeClaimTemplates[0].spec.accessModes: Required value: at least one access mode is needed, spec.volumeClaimTemplates[0].spec.resources.requests[storage]: Required value: a claim says how much storage it wants, spec.volumeClaimTemplates[1].metadata.name: Duplicate value: "data", spec.volumeClaimTemplates[1].spec.accessModes: Required value: at least one access mode is needed, spec.volumeClaimTemplates[1].spec.resources.requests[storage]: Required value: a claim says how much storage it wants]`},
		"a claim for nothing": {version: v1beta1,
			set:  `{spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: "0"}}}}]}}`,
			want: `spec.volumeClaimTemplates[0].spec.resources.requests[storage]: Invalid value: "0": must be greater than zero`},
	}
}
