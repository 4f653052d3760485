package probe

import (
	"strings"
	"testing"

	"kruise.io/kruise/api/apps/v1alpha1"
)

func TestAStateIsFoundByAttemptsInARow(t *testing.T) {
	for name, tc := range map[string]struct {
		success, failure int32
		attempts         string // + success, - failure, ? trouble, ! another container
		want             string // after each attempt: S, F, U, or . for nothing yet
	}{
		"at once by default":                    {0, 0, "+-?+", "SFUS"},
		"two successes":                         {2, 1, "++", ".S"},
		"three failures":                        {1, 3, "+---", "SSSF"},
		"failures that are interrupted":         {1, 3, "+--+--", "SSSSSS"},
		"trouble is no failure":                 {1, 2, "+-?-?", "SSSSS"},
		"trouble in a row":                      {1, 2, "+??", "SSU"},
		"a state that was found stays":          {2, 2, "++-+-+", ".SSSSS"},
		"another container begins anew":         {1, 2, "+-!-", "SSSS"},
		"a long row ends with one other result": {1, 2, "--------+", ".FFFFFFFS"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := &v1alpha1.ContainerProbeSpec{}
			spec.SuccessThreshold, spec.FailureThreshold = tc.success, tc.failure
			var tally Tally
			got := ""
			for _, attempt := range tc.attempts {
				if attempt == '!' {
					tally = tally.Anew()
				} else {
					tally = tally.After(Outcome(strings.IndexRune("+-?", attempt)), spec)
				}
				letter := "."
				if tally.State != "" {
					letter = string(tally.State[0])
				}
				got += letter
			}
			if got != tc.want {
				t.Errorf("after %s: %s, want %s", tc.attempts, got, tc.want)
			}
		})
	}
}
