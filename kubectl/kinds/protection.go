package kinds

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podset"
)

// Budgets is the kind of PodUnavailableBudgets. They are no workloads, and can only be explained.
func Budgets() *Kind {
	return &Kind{
		Name: "PodUnavailableBudget", Word: "podunavailablebudget", Words: []string{"podunavailablebudgets", "pub"}, Version: policyv1beta1.GroupVersion,
		NewList: func() client.ObjectList { return &policyv1beta1.PodUnavailableBudgetList{} },
	}
}

// Protection is what budgets protect pods from.
type Protection struct {
	// Budgets are those that there are. They are only read.
	Budgets []*policyv1beta1.PodUnavailableBudget
	// Gates are those that the manager runs with.
	Gates disruption.Options
}

// in are the budgets of a namespace.
func (p *Protection) in(namespace string) (out []*policyv1beta1.PodUnavailableBudget) {
	for _, b := range p.Budgets {
		if b.Namespace == namespace {
			out = append(out, b)
		}
	}
	return out
}

// Hold leaves out of a plan what budgets refuse as they are now, and notes that, as the controller does. It returns the budgets that
// refuse something.
func (p *Protection) Hold(w Workload, v *View, plan *podset.Plan, now time.Time) ([]types.NamespacedName, error) {
	pods := map[types.UID]*corev1.Pod{}
	for _, pod := range v.Pods {
		pods[pod.UID] = pod
	}
	outages, err := podset.Outages(plan.Steps, v.Workload, pods, p.Gates.Asks, now)
	if err != nil {
		return nil, err
	}
	budgets := make([]*policyv1beta1.PodUnavailableBudget, len(p.Budgets))
	for i, b := range p.Budgets {
		budgets[i] = b.DeepCopy()
	}
	answers := make([]disruption.Answer, len(outages))
	var holding []types.NamespacedName
	known := map[types.NamespacedName]bool{}
	for i, o := range outages {
		o.ResizesApart, o.Abroad = p.Gates.ResizesApart, w.Kind().Cluster
		b := disruption.Of(o.Pod, budgets)
		if b == nil {
			answers[i] = disruption.Answer{Permitted: true}
			continue
		}
		answers[i] = disruption.Ask(b, o.Request, now)
		if key := client.ObjectKeyFromObject(b); !answers[i].Permitted && !known[key] {
			known[key] = true
			holding = append(holding, key)
		}
	}
	plan.Steps = plan.Refuse(plan.Steps, outages, answers, now)
	return holding, nil
}
