package workload_test

import (
	"testing"

	"kruise.io/kruise/plan/workload"
)

func TestEachGateSwitchesAnOptionOfItsOwn(t *testing.T) {
	for _, one := range workload.Gates() {
		var o workload.Options
		o.SetGates(func(g workload.Gate) bool { return g.Name == one.Name })
		for _, g := range workload.Gates() {
			if on := *g.Option(&o); on != (g.Name == one.Name) {
				t.Errorf("with %s alone on, the option of %s is %v", one.Name, g.Name, on)
			}
		}
		o.SetGates(func(workload.Gate) bool { return false })
		if *one.Option(&o) {
			t.Errorf("%s cannot be switched off", one.Name)
		}
	}
}
