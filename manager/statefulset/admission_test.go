package statefulset

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestANewSetIsLetInOnlyIfItsStartCounts(t *testing.T) {
	for name, tc := range map[string]struct {
		gate    bool
		start   *v1beta1.StatefulSetOrdinals
		refused bool
	}{
		"without a start":                     {false, nil, false},
		"with one that is what it is anyway":  {false, &v1beta1.StatefulSetOrdinals{}, false},
		"with another one":                    {false, &v1beta1.StatefulSetOrdinals{Start: 5}, true},
		"with another one, and the gate open": {true, &v1beta1.StatefulSetOrdinals{Start: 5}, false},
	} {
		v := &validator{}
		v.options.StartOrdinal = tc.gate
		if errs := v.validateStart(tc.start, field.NewPath("spec")); (len(errs) > 0) != tc.refused {
			t.Errorf("%s: %v", name, errs)
		}
	}
}
