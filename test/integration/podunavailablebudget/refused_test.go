package podunavailablebudget

import (
	"strings"
	"testing"

	"k8s.io/client-go/util/retry"

	"kruise.io/kruise/test/integration/apiserver"
)

// example is a budget that is let in.
func example() apiserver.Example {
	return apiserver.Example{
		Kind: "PodUnavailableBudget", Resource: "podunavailablebudgets", Group: "policy.kruise.io",
		Text: `
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  maxUnavailable: 1
`,
	}
}

func TestBudgetsThatCannotBeAreRefusedInWords(t *testing.T) {
	const (
		oneOf     = `spec: Invalid value: exactly one of selector and targetRef must be set`
		oneNumber = `spec: Invalid value: exactly one of maxUnavailable and minAvailable must be set`
		percent   = ` must be an integer of 0 or more, or a percentage from "0%" to "100%"; a number in quotes is neither`
		immutable = ` is immutable: pods remember their budget; create another PodUnavailableBudget instead`
		target    = `{selector: null, targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`
	)
	server.Refuses(t, example(), map[string]apiserver.Refusal{
		"neither selector nor target": {Version: "v1beta1", Set: `spec: {selector: null}`, Want: oneOf},
		"selector and target":         {Version: "v1alpha1", Set: `spec: {targetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}`, Want: oneOf},
		"an empty selector":           {Version: "v1beta1", Set: `spec: {selector: {matchLabels: null}}`, Want: `spec.selector: Invalid value: selector must not be empty: it would match every pod`},
		"a selector that says nothing": {Version: "v1beta1", Set: `spec: {selector: {matchExpressions: [{key: app, operator: In}]}}`,
			Want: `spec.selector.matchExpressions[0].values: Required value: must be specified when ` + "`operator`" + ` is 'In' or 'NotIn'`},
		"a target without a name":          {Version: "v1alpha1", Set: `spec: {selector: null, targetRef: {apiVersion: apps/v1, kind: Deployment}}`, Want: `[spec.targetRef.name: Required value` + apiserver.Unchecked},
		"a target of no version":           {Version: "v1beta1", Set: `spec: {selector: null, targetRef: {apiVersion: apps, kind: Deployment, name: web}}`, Want: `spec.targetRef.apiVersion: Invalid value: "apps": spec.targetRef.apiVersion in body should match '^([a-z0-9][a-z0-9.-]*/)?v[0-9][a-z0-9]*$'`},
		"no number":                        {Version: "v1beta1", Set: `spec: {maxUnavailable: null}`, Want: oneNumber},
		"both numbers":                     {Version: "v1alpha1", Set: `spec: {minAvailable: 1}`, Want: oneNumber},
		"a negative number":                {Version: "v1beta1", Set: `spec: {maxUnavailable: -1}`, Want: `spec.maxUnavailable: Invalid value: -1: maxUnavailable` + percent},
		"more than all":                    {Version: "v1beta1", Set: `spec: {maxUnavailable: null, minAvailable: "101%"}`, Want: `spec.minAvailable: Invalid value: "101%": minAvailable` + percent},
		"a number in quotes":               {Version: "v1alpha1", Set: `spec: {maxUnavailable: "1"}`, Want: `spec.maxUnavailable: Invalid value: "1": maxUnavailable` + percent},
		"an operation that is none":        {Version: "v1beta1", Set: `spec: {protectOperations: [CREATE]}`, Want: `[spec.protectOperations[0]: Unsupported value: "CREATE": supported values: "DELETE", "UPDATE", "EVICT", "RESIZE"` + apiserver.Unchecked},
		"an operation twice":               {Version: "v1beta1", Set: `spec: {protectOperations: [EVICT, EVICT]}`, Want: `spec.protectOperations[1]: Duplicate value: "EVICT"`},
		"a total of none":                  {Version: "v1beta1", Set: `spec: {protectTotalReplicas: 0}`, Want: `spec.protectTotalReplicas: Invalid value: 0: spec.protectTotalReplicas in body should be greater than or equal to 1`},
		"ignoring every pod":               {Version: "v1beta1", Set: `spec: {ignoredPodSelector: {}}`, Want: `spec.ignoredPodSelector: Invalid value: ignoredPodSelector must not be empty: it would match every pod`},
		"another selector":                 {Version: "v1beta1", Old: `{}`, Set: `spec: {selector: {matchLabels: {app: api}}}`, Want: `spec.selector: Invalid value: selector` + immutable},
		"a target, where labels were":      {Version: "v1alpha1", Old: `{}`, Set: `spec: ` + target, Want: `spec: Invalid value: selector and targetRef are immutable: pods remember their budget; create another PodUnavailableBudget instead`},
		"another target":                   {Version: "v1beta1", Old: `spec: ` + target, Set: `spec: {selector: null, targetRef: {apiVersion: apps/v1, kind: Deployment, name: api}}`, Want: `spec.targetRef: Invalid value: targetRef` + immutable},
		"an annotated operation":           {Version: "v1alpha1", Set: `metadata: {annotations: {kruise.io/pub-protect-operations: "EVICT,delete"}}`, Want: `metadata.annotations[kruise.io/pub-protect-operations]: Unsupported value: "delete": supported values: "DELETE", "UPDATE", "EVICT", "RESIZE"`},
		"two lists of operations":          {Version: "v1beta1", Set: `{metadata: {annotations: {kruise.io/pub-protect-operations: "EVICT"}}, spec: {protectOperations: [DELETE]}}`, Want: `metadata.annotations[kruise.io/pub-protect-operations]: Invalid value: "EVICT": must say the same as spec.protectOperations ([DELETE]), or be left out`},
		"an annotated total in words":      {Version: "v1alpha1", Set: `metadata: {annotations: {pub.kruise.io/protect-total-replicas: "ten"}}`, Want: `metadata.annotations[pub.kruise.io/protect-total-replicas]: Invalid value: "ten": must be an integer of 1 or more`},
		"an annotated total of none":       {Version: "v1alpha1", Set: `metadata: {annotations: {pub.kruise.io/protect-total-replicas: "0"}}`, Want: `metadata.annotations[pub.kruise.io/protect-total-replicas]: Invalid value: "0": must be an integer of 1 or more`},
		"two totals":                       {Version: "v1beta1", Set: `{metadata: {annotations: {pub.kruise.io/protect-total-replicas: "5"}}, spec: {protectTotalReplicas: 6}}`, Want: `metadata.annotations[pub.kruise.io/protect-total-replicas]: Invalid value: "5": must say the same as spec.protectTotalReplicas (6), or be left out`},
		"an annotated total of half a pod": {Version: "v1alpha1", Old: `{}`, Set: `metadata: {annotations: {pub.kruise.io/protect-total-replicas: "1.5"}}`, Want: `metadata.annotations[pub.kruise.io/protect-total-replicas]: Invalid value: "1.5": must be an integer of 1 or more`},
	})
}

func TestTwoBudgetsForTheSamePodsAreRefused(t *testing.T) {
	namespace := server.Namespace(t)
	const target = `{selector: null, targetRef: {apiVersion: apps.kruise.io/v1beta1, kind: CloneSet, name: web}}`
	create(t, example().Object(t, "v1beta1", namespace, `{}`))
	create(t, example().Object(t, "v1beta1", namespace, `{metadata: {name: target}, spec: `+target+`}`))
	for name, tc := range map[string]struct{ version, set, want string }{
		"labels that overlap": {"v1alpha1", `{metadata: {name: two}, spec: {selector: {matchLabels: null, matchExpressions: [{key: app, operator: Exists}]}}}`,
			`spec.selector: Forbidden: pods that it selects may be selected by PodUnavailableBudget web, too (app=web)`},
		"the same target": {"v1alpha1", `{metadata: {name: two}, spec: {selector: null, targetRef: {apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web}}}`,
			`spec.targetRef: Forbidden: CloneSet web is the target of PodUnavailableBudget target already`},
	} {
		t.Run(name, func(t *testing.T) {
			var err error
			eventually(t, "it is refused", func() bool {
				object := example().Object(t, tc.version, namespace, tc.set)
				err = server.Client.Create(t.Context(), object)
				if err == nil { // the manager has not heard of the first one yet
					if err := server.Client.Delete(t.Context(), object); err != nil {
						t.Fatal(err)
					}
				}
				return err != nil
			})
			if want := `admission webhook "vpodunavailablebudget.kb.io" denied the request: PodUnavailableBudget.policy.kruise.io "two" is invalid: ` + tc.want; err.Error() != want {
				t.Errorf("message\n%s\nwant\n%s", err, want)
			}
		})
	}
	for name, set := range map[string]string{
		"other values":    `{metadata: {name: api}, spec: {selector: {matchLabels: {app: api}}}}`,
		"other labels":    `{metadata: {name: tier}, spec: {selector: {matchLabels: {app: null, tier: front}}}}`,
		"another targets": `{metadata: {name: api-target}, spec: {selector: null, targetRef: {apiVersion: apps.kruise.io/v1beta1, kind: CloneSet, name: api}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			eventually(t, "it is let in", func() bool {
				err := server.Client.Create(t.Context(), example().Object(t, "v1beta1", namespace, set))
				if err != nil && !strings.Contains(err.Error(), "PodUnavailableBudget two") { // which is gone, but the manager may not have heard of it
					t.Fatal(err)
				}
				return err == nil
			})
		})
	}
}

func TestAClientOfTheOlderVersionTakesNothingAway(t *testing.T) {
	namespace := server.Namespace(t)
	create(t, example().Object(t, "v1beta1", namespace, `spec: {protectOperations: [EVICT], protectTotalReplicas: 4, ignoredPodSelector: {matchLabels: {tier: back}}}`))
	old := example().Object(t, "v1alpha1", namespace, `spec: {maxUnavailable: 2}`)
	if err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { // the controller may write the status
		old.SetResourceVersion(server.Read(t, old, "v1alpha1")["metadata"].(map[string]any)["resourceVersion"].(string))
		return server.Client.Update(t.Context(), old)
	}); err != nil {
		t.Fatal(err)
	}
	spec := server.Read(t, old, "v1beta1")["spec"].(map[string]any)
	if spec["maxUnavailable"] != int64(2) || spec["protectTotalReplicas"] != int64(4) || spec["ignoredPodSelector"] == nil || len(spec["protectOperations"].([]any)) != 1 {
		t.Errorf("the spec is %v", spec)
	}
}
