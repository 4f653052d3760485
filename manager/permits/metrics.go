package permits

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// refusals is the metric pod_unavailable_budget: how often a budget refused whom.
type refusals struct{ counter *prometheus.CounterVec }

// newRefusals registers the metric, or takes the one that an earlier run in this process registered.
func newRefusals() (*refusals, error) {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pod_unavailable_budget",
		Help: "Requests to take a pod out of service that a PodUnavailableBudget refused, by the budget and the user.",
	}, []string{"kind_namespace_name", "username"})
	err := metrics.Registry.Register(counter)
	if twice := (prometheus.AlreadyRegisteredError{}); errors.As(err, &twice) {
		return &refusals{counter: twice.ExistingCollector.(*prometheus.CounterVec)}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("registering the metric of refusals: %w", err)
	}
	return &refusals{counter: counter}, nil
}

func (r *refusals) count(budget types.NamespacedName, user string) {
	r.counter.WithLabelValues("PodUnavailableBudget_"+budget.Namespace+"_"+budget.Name, user).Inc()
}
