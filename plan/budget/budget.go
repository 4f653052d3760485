// Package budget turns what users write about numbers (integers, percentages, partitions) into counts of pods, once for
// every kind, with the rounding that each field's documentation promises.
package budget

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rounding says what becomes of a fraction of a pod.
type Rounding int

// The ways to round.
const (
	Down Rounding = iota
	Up
)

// Count turns an integer or a percentage of total into a count of pods, which is never negative. A percentage may have
// a fraction ("99.9%"). Anything else is an error that names the value.
func Count(value intstr.IntOrString, total int, round Rounding) (int, error) {
	if value.Type == intstr.Int {
		return max(int(value.IntVal), 0), nil
	}
	text, isPercent := strings.CutSuffix(value.StrVal, "%")
	percent, err := strconv.ParseFloat(text, 64)
	if !isPercent || err != nil || math.IsNaN(percent) || math.IsInf(percent, 0) || percent < 0 {
		return 0, fmt.Errorf("%q is neither an integer nor a percentage such as \"20%%\"", value.StrVal)
	}
	// A percentage with up to six digits behind the point is exact in integers; in floating point 7% of 100 is more than 7.
	share := math.Round(percent*1e6) * float64(total)
	if round == Up {
		return int(math.Ceil(share / 1e8)), nil
	}
	return int(math.Floor(share / 1e8)), nil
}

// Partition is the count of pods to keep on the old revision: percentages round up, but one below 100% lets at least one
// of several pods be updated; never more than replicas. Nil is 0.
func Partition(value *intstr.IntOrString, replicas int) (int, error) {
	if value == nil {
		return 0, nil
	}
	n, err := Count(*value, replicas, Up)
	if err != nil {
		return 0, err
	}
	n = min(n, replicas)
	if value.Type == intstr.String && value.StrVal != "100%" && n == replicas && replicas > 1 {
		n = replicas - 1
	}
	return n, nil
}

// Rolling holds the counts of a rolling update.
type Rolling struct {
	Partition      int
	MaxUnavailable int
	MaxSurge       int
}

// RollingOf resolves the fields of a rolling update. maxUnavailable rounds down when pods above replicas are allowed, and
// up otherwise, so that a percentage alone never stops a rollout; nil is 20%. maxSurge rounds up, and is 0 while paused.
func RollingOf(replicas int, partition, maxUnavailable, maxSurge *intstr.IntOrString, paused bool) (Rolling, error) {
	var r Rolling
	var err error
	if r.Partition, err = Partition(partition, replicas); err != nil {
		return r, fmt.Errorf("partition: %w", err)
	}
	surge := intstr.FromInt32(0)
	if maxSurge != nil {
		surge = *maxSurge
	}
	if r.MaxSurge, err = Count(surge, replicas, Up); err != nil {
		return r, fmt.Errorf("maxSurge: %w", err)
	}
	round := Up
	if r.MaxSurge > 0 {
		round = Down
	}
	if paused {
		r.MaxSurge = 0
	}
	unavailable := intstr.FromString("20%")
	if maxUnavailable != nil {
		unavailable = *maxUnavailable
	}
	if r.MaxUnavailable, err = Count(unavailable, replicas, round); err != nil {
		return r, fmt.Errorf("maxUnavailable: %w", err)
	}
	return r, nil
}
