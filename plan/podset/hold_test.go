package podset

import (
	"slices"
	"testing"
	"time"

	"kruise.io/kruise/plan/lifecycle"
)

func TestStepsThatAreHeldUpAreNotedByWhatTheyAreForAndTriedAgain(t *testing.T) {
	const why = "PodUnavailableBudget web lets no more pods become unavailable"
	again := time.Unix(100, 0)
	for name, tc := range map[string]struct {
		plan  Plan
		steps []Step
		want  []string
	}{
		"updates":                 {Plan{}, []Step{{Do: Update}, {Do: Update}}, []string{"2 pods are to be updated, but " + why}},
		"pods that are recreated": {Plan{}, []Step{{Do: Delete, Recreates: true}}, []string{"1 pod is to be updated, but " + why}},
		"pods that are only deleted, as those that are too many or asked to go": {Plan{}, []Step{{Do: Delete}}, []string{"1 pod is to be deleted, but " + why}},
		"what hooks prepare for": {Plan{}, []Step{{Do: Move, State: lifecycle.PreparingDelete}, {Do: Move, State: lifecycle.PreparingUpdate}},
			[]string{"1 pod is to be deleted, but " + why, "1 pod is to be updated, but " + why}},
		"sooner than planned": {Plan{Wake: again.Add(time.Second)}, []Step{{Do: Update}}, []string{"1 pod is to be updated, but " + why}},
	} {
		t.Run(name, func(t *testing.T) {
			tc.plan.Hold(tc.steps, why, again)
			if got := tc.plan.Waiting(); !slices.Equal(got, tc.want) || !tc.plan.Wake.Equal(again) {
				t.Errorf("got %q, again at %v", got, tc.plan.Wake)
			}
		})
	}
}
