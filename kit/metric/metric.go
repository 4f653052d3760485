// Package metric registers the metrics of a component with those of controller-runtime.
//
// It promises that a process which runs a component several times, as tests do, has each metric once.
package metric

import (
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// Register registers a metric, and returns the one of an earlier run in this process if there is one.
func Register[C prometheus.Collector](metric C) (C, error) {
	err := metrics.Registry.Register(metric)
	if twice := (prometheus.AlreadyRegisteredError{}); errors.As(err, &twice) {
		if earlier, ok := twice.ExistingCollector.(C); ok {
			return earlier, nil
		}
	}
	if err != nil {
		return metric, fmt.Errorf("registering a metric: %w", err)
	}
	return metric, nil
}
