package budget_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/plan/budget"
)

func percent(s string) *intstr.IntOrString { return new(intstr.FromString(s)) }

func count(n int) *intstr.IntOrString { return new(intstr.FromInt(n)) }

func TestCount(t *testing.T) {
	for name, test := range map[string]struct {
		value *intstr.IntOrString
		total int
		round budget.Rounding
		want  int
	}{
		"an integer is itself":                            {count(7), 3, budget.Down, 7},
		"a negative integer is nothing":                   {count(-7), 3, budget.Down, 0},
		"a percentage of nothing is nothing":              {percent("50%"), 0, budget.Up, 0},
		"a percentage of a negative total is nothing":     {percent("50%"), -4, budget.Up, 0},
		"a whole share needs no rounding up":              {percent("20%"), 5, budget.Up, 1},
		"a whole share needs no rounding down":            {percent("20%"), 5, budget.Down, 1},
		"a fraction rounds up":                            {percent("20%"), 6, budget.Up, 2},
		"a fraction rounds down":                          {percent("20%"), 9, budget.Down, 1},
		"the smallest share of one pod rounds up to it":   {percent("1%"), 1, budget.Up, 1},
		"the smallest share of one pod rounds down":       {percent("99%"), 1, budget.Down, 0},
		"7% of 100 is 7, whatever floating point says":    {percent("7%"), 100, budget.Up, 7},
		"29% of 100 is 29, whatever floating point says":  {percent("29%"), 100, budget.Down, 29},
		"a percentage may have a fraction":                {percent("99.9%"), 1000, budget.Up, 999},
		"a fraction of a percent rounds up with the rest": {percent("0.1%"), 10, budget.Up, 1},
		"a percentage may be above the whole":             {percent("150%"), 4, budget.Up, 6},
		"a very large total stays exact":                  {percent("33%"), 2_000_000_001, budget.Down, 660_000_000},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := budget.Count(*test.value, test.total, test.round)
			if err != nil || got != test.want {
				t.Errorf("Count(%s, %d) = %d, %v; want %d", test.value.String(), test.total, got, err, test.want)
			}
		})
	}
}

func TestCountRefusesWhatIsNeitherAnIntegerNorAPercentage(t *testing.T) {
	for _, text := range []string{"5", "", "%", "-5%", "+5%", "five%", "5%%", "5 %", "0x10p0%", "1e2%", "NaN%", "Inf%", "1.2.3%", "99999999%"} {
		if got, err := budget.Count(intstr.FromString(text), 10, budget.Up); err == nil || !strings.Contains(err.Error(), `"`+text+`"`) {
			t.Errorf("Count(%q) = %d, %v; want an error that names the value", text, got, err)
		}
	}
}

func TestPartition(t *testing.T) {
	for name, test := range map[string]struct {
		value    *intstr.IntOrString
		replicas int
		want     int
	}{
		"none keeps no pod":                                 {nil, 10, 0},
		"an integer keeps that many":                        {count(4), 10, 4},
		"an integer above replicas keeps all":               {count(40), 10, 10},
		"an integer equal to replicas keeps all":            {count(10), 10, 10},
		"a negative integer keeps none":                     {count(-1), 10, 0},
		"a percentage rounds up":                            {percent("41%"), 10, 5},
		"99% of a few pods lets one be updated":             {percent("99%"), 5, 4},
		"99.9% of many pods lets one be updated":            {percent("99.9%"), 500, 499},
		"99% of many pods lets its share be updated":        {percent("99%"), 500, 495},
		"50% of one pod keeps it":                           {percent("50%"), 1, 1},
		"51% of two pods lets one be updated":               {percent("51%"), 2, 1},
		"100% keeps all":                                    {percent("100%"), 5, 5},
		"100.0% keeps all":                                  {percent("100.0%"), 5, 5},
		"more than 100% keeps all":                          {percent("120%"), 5, 5},
		"0% keeps none":                                     {percent("0%"), 5, 0},
		"a percentage of no pods keeps none":                {percent("50%"), 0, 0},
		"an integer on a set that is scaled to 0 is capped": {count(3), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := budget.Partition(test.value, test.replicas)
			if err != nil || got != test.want {
				t.Errorf("Partition = %d, %v; want %d", got, err, test.want)
			}
		})
	}
}

func TestAPercentagePartitionBelowTheWholeAlwaysLetsOneOfSeveralPodsBeUpdated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		replicas := rapid.IntRange(2, 100_000).Draw(t, "replicas")
		value := intstr.FromString(rapid.SampledFrom([]string{"1%", "50%", "99%", "99.9%", "99.999999%"}).Draw(t, "partition"))
		if got, err := budget.Partition(&value, replicas); err != nil || got >= replicas {
			t.Fatalf("Partition = %d, %v", got, err)
		}
	})
}

func TestRollingOf(t *testing.T) {
	for name, test := range map[string]struct {
		replicas                            int
		partition, maxUnavailable, maxSurge *intstr.IntOrString
		paused                              bool
		want                                budget.Rolling
	}{
		"nothing set means 20% unavailable, rounded up": {
			replicas: 6, want: budget.Rolling{MaxUnavailable: 2}},
		"without surge a percentage of maxUnavailable is at least one pod": {
			replicas: 1, maxUnavailable: percent("1%"), want: budget.Rolling{MaxUnavailable: 1}},
		"with surge maxUnavailable rounds down, even to none": {
			replicas: 4, maxUnavailable: percent("20%"), maxSurge: count(1), want: budget.Rolling{MaxSurge: 1}},
		"with surge the default of maxUnavailable rounds down, too": {
			replicas: 9, maxSurge: percent("1%"), want: budget.Rolling{MaxUnavailable: 1, MaxSurge: 1}},
		"maxSurge rounds up": {
			replicas: 6, maxUnavailable: count(0), maxSurge: percent("20%"), want: budget.Rolling{MaxSurge: 2}},
		"a surge of 0% is none, so maxUnavailable rounds up": {
			replicas: 6, maxUnavailable: percent("20%"), maxSurge: percent("0%"), want: budget.Rolling{MaxUnavailable: 2}},
		"while paused there is no surge, so maxUnavailable rounds up": {
			replicas: 4, maxUnavailable: percent("20%"), maxSurge: count(2), paused: true, want: budget.Rolling{MaxUnavailable: 1}},
		"an integer of maxUnavailable may be above replicas": {
			replicas: 2, maxUnavailable: count(5), want: budget.Rolling{MaxUnavailable: 5}},
		"the partition comes along": {
			replicas: 5, partition: percent("50%"), maxUnavailable: count(1), want: budget.Rolling{Partition: 3, MaxUnavailable: 1}},
		"no replicas, no budget": {
			replicas: 0, partition: count(2), maxSurge: percent("50%"), want: budget.Rolling{}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := budget.RollingOf(test.replicas, test.partition, test.maxUnavailable, test.maxSurge, test.paused)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRollingOfNamesTheFieldThatIsWrong(t *testing.T) {
	bad := percent("many")
	for field, fields := range map[string][3]*intstr.IntOrString{
		"partition": {bad, nil, nil}, "maxUnavailable": {nil, bad, nil}, "maxSurge": {nil, nil, bad},
	} {
		_, err := budget.RollingOf(5, fields[0], fields[1], fields[2], false)
		if err == nil || !strings.HasPrefix(err.Error(), field+": ") || !strings.Contains(err.Error(), `"many"`) {
			t.Errorf("a bad %s gives the error %v", field, err)
		}
	}
}
