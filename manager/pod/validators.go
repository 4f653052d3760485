package pod

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podwebhook"
)

// validator is one line of the chain that a request goes through before a pod is changed, deleted or evicted.
type validator struct {
	// name is what the line is called in flags and refusals.
	name string
	// policy is what becomes of the requests that the line is about while no manager answers, unless Options say otherwise.
	policy admissionregistrationv1.FailurePolicyType
	// asks lists the requests that the line is about.
	asks func(*world) ([]podwebhook.Demand, error)
	// takes says whether a request takes its pod out of service, and by which operation. It is pure.
	takes func(*review) (policyv1beta1.PubOperation, bool)
}

// validators is THE list, in the order in which a request goes through it.
func validators() []validator {
	return []validator{
		// What is deleted while nobody counts is gone, and nobody but a pod's own budget asks to wait: so it waits.
		{name: "budget-deletions", policy: admissionregistrationv1.Fail, asks: asksForDeletions, takes: deletes},
		// The same for changes, which few make and nobody needs at once.
		{name: "budget-changes", policy: admissionregistrationv1.Fail, asks: asksForChanges, takes: changes},
	}
}

// isReady and takesAway are the conditions under which it matters what becomes of a pod: one that is not ready is missed by
// nobody, so nobody is asked about it. A node that is lost is thus cleared of its pods without a manager.
func isReady() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name:       "is-ready",
		Expression: `has(oldObject.status.conditions) && oldObject.status.conditions.exists(c, c.type == "Ready" && c.status == "True")`,
	}
}

func takesAway() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name: "takes-away",
		Expression: `object.spec != oldObject.spec || has(object.metadata.labels) && object.metadata.labels.exists(k, ` +
			`k.startsWith("unavailable-pod.kruise.io/") && !(has(oldObject.metadata.labels) && k in oldObject.metadata.labels))`,
	}
}

func asksForDeletions(w *world) ([]podwebhook.Demand, error) {
	var out []podwebhook.Demand
	for _, b := range asked(w, policyv1beta1.PubDeleteOperation) {
		out = append(out, demands(b, podwebhook.Delete, isReady())...)
	}
	for _, b := range asked(w, policyv1beta1.PubEvictOperation) {
		out = append(out, podwebhook.Demand{Operation: podwebhook.Evict, Namespace: b.Namespace})
	}
	return out, nil
}

func asksForChanges(w *world) ([]podwebhook.Demand, error) {
	var out []podwebhook.Demand
	for _, b := range liveBudgets(w) {
		for _, o := range []policyv1beta1.PubOperation{policyv1beta1.PubUpdateOperation, policyv1beta1.PubResizeOperation} {
			if w.permits.Asks(o) && disruption.Protects(b, o, w.permits.Options().ResizesApart) {
				out = append(out, demands(b, podwebhook.Update, isReady(), takesAway())...)
				break
			}
		}
	}
	return out, nil
}

// demands are those of one budget: the pods that it selects, and those that remember a budget, whatever their labels are by
// now.
func demands(b *policyv1beta1.PodUnavailableBudget, o podwebhook.Operation, conditions ...admissionregistrationv1.MatchCondition) []podwebhook.Demand {
	selected := ofBudget(b)
	selected.Operation, selected.Conditions = o, conditions
	remembering := podwebhook.Demand{
		Operation: o, Namespace: b.Namespace, Conditions: append([]admissionregistrationv1.MatchCondition{disruption.RemembersAny()}, conditions...),
	}
	return []podwebhook.Demand{selected, remembering}
}

// ofBudget asks for the pods that a budget is for.
func ofBudget(b *policyv1beta1.PodUnavailableBudget) podwebhook.Demand {
	if owner := disruption.OwnerOf(b); owner != nil {
		return podwebhook.Demand{Namespace: b.Namespace, Owner: owner}
	}
	return podwebhook.Demand{Namespace: b.Namespace, Pods: b.Spec.Selector}
}

// asked are the budgets that protect from an operation.
func asked(w *world, o policyv1beta1.PubOperation) []*policyv1beta1.PodUnavailableBudget {
	if !w.permits.Asks(o) {
		return nil
	}
	var out []*policyv1beta1.PodUnavailableBudget
	for _, b := range liveBudgets(w) {
		if disruption.Protects(b, o, w.permits.Options().ResizesApart) {
			out = append(out, b)
		}
	}
	return out
}

// liveBudgets are the budgets that are not being deleted.
func liveBudgets(w *world) []*policyv1beta1.PodUnavailableBudget {
	budgets := w.permits.Budgets()
	if budgets == nil {
		return nil
	}
	var out []*policyv1beta1.PodUnavailableBudget
	for _, b := range budgets.All() {
		if b.DeletionTimestamp == nil {
			out = append(out, b)
		}
	}
	return out
}

func deletes(r *review) (policyv1beta1.PubOperation, bool) {
	switch r.operation {
	case podwebhook.Delete:
		return policyv1beta1.PubDeleteOperation, true
	case podwebhook.Evict:
		return policyv1beta1.PubEvictOperation, true
	default:
		return "", false
	}
}

func changes(r *review) (policyv1beta1.PubOperation, bool) {
	if r.operation != podwebhook.Update {
		return "", false
	}
	return disruption.Change(r.pod, r.after)
}
