package workload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/podset"
)

func TestWhatACloneSetWants(t *testing.T) {
	percent := func(s string) *intstr.IntOrString { return new(intstr.FromString(s)) }
	rolling := func(r v1beta1.RollingUpdateCloneSetStrategy) v1beta1.CloneSetUpdateStrategy {
		return v1beta1.CloneSetUpdateStrategy{RollingUpdate: &r}
	}
	onDelete := v1beta1.CloneSetUpdateStrategy{Type: v1beta1.OnDeleteCloneSetUpdateStrategyType}
	for name, test := range map[string]struct {
		spec v1beta1.CloneSetSpec
		want podset.Pool
	}{
		"nothing said": {
			v1beta1.CloneSetSpec{},
			podset.Pool{Replicas: 1, Policy: "ReCreate", Rolling: budget.Rolling{MaxUnavailable: 1}}},
		"everything said": {
			v1beta1.CloneSetSpec{
				Replicas: new(int32(10)),
				ScaleStrategy: v1beta1.CloneSetScaleStrategy{
					PodsToDelete: []string{"demo-a"}, MaxUnavailable: percent("25%"), ExcludePreparingDelete: true,
				},
				UpdateStrategy: rolling(v1beta1.RollingUpdateCloneSetStrategy{
					PodUpdatePolicy: "InPlaceIfPossible", Partition: percent("50%"), MaxUnavailable: percent("15%"), MaxSurge: percent("11%"),
					ScatterStrategy: []v1beta1.UpdateScatterTerm{{Key: "zone", Value: "a"}},
				}),
			},
			podset.Pool{
				Replicas: 10, Policy: "InPlaceIfPossible", Rolling: budget.Rolling{Partition: 5, MaxUnavailable: 1, MaxSurge: 2},
				ScaleLimit: new(3), ExcludePreparingDelete: true, Doomed: map[string]bool{"demo-a": true},
				Scatter: []v1beta1.UpdateScatterTerm{{Key: "zone", Value: "a"}},
			}},
		"paused": {
			v1beta1.CloneSetSpec{
				Replicas:       new(int32(10)),
				UpdateStrategy: rolling(v1beta1.RollingUpdateCloneSetStrategy{Paused: true, MaxSurge: percent("10%")}),
			},
			podset.Pool{Replicas: 10, Paused: true, Policy: "ReCreate", Rolling: budget.Rolling{MaxUnavailable: 2}}},
		"no replicas": {
			v1beta1.CloneSetSpec{Replicas: new(int32(0))},
			podset.Pool{Policy: "ReCreate"}},
		"on delete, a fifth of the pods rounded down may be deleted at a time": {
			v1beta1.CloneSetSpec{Replicas: new(int32(14)), UpdateStrategy: onDelete},
			podset.Pool{Replicas: 14, OnDelete: true, Policy: "ReCreate", Rolling: budget.Rolling{MaxUnavailable: 2}}},
		"on delete, one of a few pods may be deleted": {
			v1beta1.CloneSetSpec{Replicas: new(int32(3)), UpdateStrategy: onDelete},
			podset.Pool{Replicas: 3, OnDelete: true, Policy: "ReCreate", Rolling: budget.Rolling{MaxUnavailable: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := poolOf(&v1beta1.CloneSet{Spec: test.spec})
			if err != nil {
				t.Fatal(err)
			}
			if test.want.Doomed == nil {
				test.want.Doomed = map[string]bool{}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAWrongFieldOfACloneSetIsNamed(t *testing.T) {
	bad := new(intstr.FromString("many"))
	for field, spec := range map[string]v1beta1.CloneSetSpec{
		"spec.scaleStrategy.maxUnavailable": {ScaleStrategy: v1beta1.CloneSetScaleStrategy{MaxUnavailable: bad}},
		"spec.updateStrategy.rollingUpdate.partition": {UpdateStrategy: v1beta1.CloneSetUpdateStrategy{
			RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{Partition: bad},
		}},
		"spec.updateStrategy.rollingUpdate.priorityStrategy": {UpdateStrategy: v1beta1.CloneSetUpdateStrategy{
			RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{PriorityStrategy: &v1beta1.UpdatePriorityStrategy{
				WeightPriority: []v1beta1.UpdatePriorityWeightTerm{{MatchSelector: badSelector()}},
			}},
		}},
	} {
		if _, err := poolOf(&v1beta1.CloneSet{Spec: spec}); err == nil || !strings.HasPrefix(err.Error(), field) {
			t.Errorf("the error is %v, want one that begins with %s", err, field)
		}
	}
}

func badSelector() metav1.LabelSelector {
	return metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "zone", Operator: "Like"}}}
}
