package pod

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/metrics"
)

// quiet is how long no controller has anything to do in a manager that is at rest: longer than any of them waits for what it wrote
// itself.
const quiet = 3 * time.Second

// awaitRest waits until the manager, which runs in this process, has looked at so many SidecarSets since it had looked at as many as
// before, and at nothing for a while. It returns when it looked last.
func awaitRest(b *testing.B, before, sets float64) (last time.Time) {
	b.Helper()
	looked := -1.0
	err := wait.PollUntilContextCancel(b.Context(), 100*time.Millisecond, true, func(context.Context) (bool, error) {
		if now := sum(b, "controller_runtime_reconcile_total", "", ""); now != looked || sum(b, "controller_runtime_active_workers", "", "") > 0 {
			looked, last = now, time.Now()
		}
		return time.Since(last) > quiet && lookedAt(b)-before >= sets, nil
	})
	if err != nil {
		b.Fatalf("the manager does not come to rest: %v", err)
	}
	return last
}

// lookedAt is how often a manager of this process has looked at a SidecarSet.
func lookedAt(b *testing.B) float64 {
	b.Helper()
	return sum(b, "controller_runtime_reconcile_total", "controller", "sidecarset")
}

// sum adds up a metric of this process; a label, if it is named, has the value.
func sum(b *testing.B, name, label, value string) (total float64) {
	b.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			is := label == ""
			for _, l := range m.GetLabel() {
				is = is || l.GetName() == label && l.GetValue() == value
			}
			if is {
				total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return total
}
