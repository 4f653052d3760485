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
// a fraction of up to six digits ("99.9%"). Anything else is an error that names the value.
func Count(value intstr.IntOrString, total int, round Rounding) (int, error) {
	if value.Type == intstr.Int {
		return max(int(value.IntVal), 0), nil
	}
	millionths, err := percent(value.StrVal)
	if err != nil {
		return 0, err
	}
	share := millionths * int64(max(total, 0))
	if round == Up {
		share += whole - 1
	}
	return int(share / whole), nil
}

// whole is 100% in millionths of a percent. In such integers every percentage is exact; in floating point 7% of 100 is
// more than 7.
const whole = 100 * 1_000_000

// percent reads a percentage such as "20%" as millionths of a percent.
func percent(text string) (int64, error) {
	digits, isPercent := strings.CutSuffix(text, "%")
	number, err := strconv.ParseFloat(digits, 64)
	if !isPercent || err != nil || strings.Trim(digits, "0123456789.") != "" || number > 10_000 {
		return 0, fmt.Errorf("%q is neither an integer nor a percentage such as \"20%%\"", text)
	}
	return int64(math.Round(number * 1e6)), nil
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
	if value.Type == intstr.String && n == replicas && replicas > 1 {
		if millionths, err := percent(value.StrVal); err == nil && millionths < whole {
			return replicas - 1, nil
		}
	}
	return min(n, replicas), nil
}

// Rolling holds the counts of a rolling update.
type Rolling struct {
	Partition      int
	MaxUnavailable int
	MaxSurge       int
}

// RollingOf resolves the fields of a rolling update. maxSurge rounds up; nil and a paused update make it 0. maxUnavailable
// rounds down when pods above replicas are allowed, and up otherwise, so that a percentage alone never stops a rollout;
// nil is 20%.
func RollingOf(replicas int, partition, maxUnavailable, maxSurge *intstr.IntOrString, paused bool) (Rolling, error) {
	var r Rolling
	var err error
	if r.Partition, err = Partition(partition, replicas); err != nil {
		return r, fmt.Errorf("partition: %w", err)
	}
	if maxSurge != nil {
		if r.MaxSurge, err = Count(*maxSurge, replicas, Up); err != nil {
			return r, fmt.Errorf("maxSurge: %w", err)
		}
	}
	if paused {
		r.MaxSurge = 0
	}
	round := Up
	if r.MaxSurge > 0 {
		round = Down
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
