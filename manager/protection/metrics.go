package protection

import (
	"github.com/prometheus/client_golang/prometheus"

	"kruise.io/kruise/kit/metric"
	"kruise.io/kruise/plan/protection"
)

// refusals count what was refused, by the object and by whoever tried to delete it.
type refusals struct{ namespaces, definitions, others *prometheus.CounterVec }

func newRefusals() (*refusals, error) {
	r := &refusals{}
	for _, m := range []struct {
		counter    **prometheus.CounterVec
		name, help string
		label      string
	}{
		{&r.namespaces, "namespace_deletion_protection", "Deletions of namespaces that were refused, by name and user.", "name"},
		{&r.definitions, "crd_deletion_protection", "Deletions of CustomResourceDefinitions that were refused, by name and user.", "name"},
		{&r.others, "workload_deletion_protection", "Deletions of other objects that were refused, by kind, namespace, name and user.", "kind_namespace_name"},
	} {
		counter, err := metric.Register(prometheus.NewCounterVec(prometheus.CounterOpts{Name: m.name, Help: m.help}, []string{m.label, "username"}))
		if err != nil {
			return nil, err
		}
		*m.counter = counter
	}
	return r, nil
}

func (r *refusals) count(o protection.Object, user string) {
	switch o.Kind {
	case protection.Namespaces:
		r.namespaces.WithLabelValues(o.Name, user).Inc()
	case protection.Definitions:
		r.definitions.WithLabelValues(o.Name, user).Inc()
	default:
		r.others.WithLabelValues(o.Kind+"_"+o.Namespace+"_"+o.Name, user).Inc()
	}
}
