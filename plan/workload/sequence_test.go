package workload

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestTheOrdinalsOfTheWantedPods(t *testing.T) {
	integer, text := intstr.FromInt, intstr.FromString
	for name, test := range map[string]struct {
		replicas int32
		start    int32
		reserved []intstr.IntOrString
		want     []int
	}{
		"from 0 on":                       {3, 0, nil, []int{0, 1, 2}},
		"none":                            {0, 0, nil, []int{}},
		"from a start":                    {2, 5, nil, []int{5, 6}},
		"without reserved ones":           {3, 0, []intstr.IntOrString{integer(1)}, []int{0, 2, 3}},
		"without a range":                 {3, 0, []intstr.IntOrString{text("1-3")}, []int{0, 4, 5}},
		"in whatever order they are":      {3, 0, []intstr.IntOrString{integer(4), text("0-2")}, []int{3, 5, 6}},
		"overlapping":                     {2, 0, []intstr.IntOrString{text("0-5"), text("2-3"), integer(6)}, []int{7, 8}},
		"twice the same":                  {2, 0, []intstr.IntOrString{integer(0), integer(0)}, []int{1, 2}},
		"below the start":                 {2, 3, []intstr.IntOrString{text("0-1")}, []int{3, 4}},
		"around the start":                {2, 3, []intstr.IntOrString{text("1-4")}, []int{5, 6}},
		"a range of one":                  {1, 0, []intstr.IntOrString{text("0-0")}, []int{1}},
		"a range that nobody could count": {1, 0, []intstr.IntOrString{text("0-2000000000")}, []int{2000000001}},
	} {
		t.Run(name, func(t *testing.T) {
			set := &v1beta1.StatefulSet{Spec: v1beta1.StatefulSetSpec{
				Replicas: &test.replicas, ReserveOrdinals: test.reserved, Ordinals: &v1beta1.StatefulSetOrdinals{Start: test.start}}}
			got, err := Ordinals(set, Options{StartOrdinal: true})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestOrdinalsAreTheLowestThatAreNotReserved(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		set, taken := &v1beta1.StatefulSet{}, map[int]bool{}
		set.Spec.Replicas = new(int32(rapid.IntRange(0, 10).Draw(t, "replicas")))
		for range rapid.IntRange(0, 5).Draw(t, "reserved") {
			first := rapid.IntRange(0, 12).Draw(t, "first")
			last := first + rapid.IntRange(0, 4).Draw(t, "more")
			set.Spec.ReserveOrdinals = append(set.Spec.ReserveOrdinals, intstr.FromString(fmt.Sprintf("%d-%d", first, last)))
			for i := first; i <= last; i++ {
				taken[i] = true
			}
		}
		var want []int
		for i := 0; len(want) < int(*set.Spec.Replicas); i++ {
			if !taken[i] {
				want = append(want, i)
			}
		}
		got, err := Ordinals(set, Options{})
		if err != nil || len(got) != len(want) || len(want) > 0 && !cmp.Equal(want, got) {
			t.Fatalf("%v, %v, want %v", got, err, want)
		}
	})
}

func TestWhatAStatefulSetDoesNotSayHasItsDefault(t *testing.T) {
	got, err := sequenceOf(&v1beta1.StatefulSet{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !got.Ordered || got.MaxUnavailable != 1 || got.Policy != v1beta1.RecreatePodUpdatePolicyType || len(got.Ordinals) != 1 || got.ScaleLimit != nil || got.Unordered {
		t.Errorf("%+v", got)
	}
}

func TestHowMuchAStatefulSetMayMiss(t *testing.T) {
	for name, test := range map[string]struct {
		management appsv1.PodManagementPolicyType
		replicas   int32
		limit      intstr.IntOrString
		want       int
	}{
		"an integer":                      {appsv1.ParallelPodManagement, 10, intstr.FromInt(3), 3},
		"a percentage rounds down":        {appsv1.ParallelPodManagement, 5, intstr.FromString("50%"), 2},
		"and is never none":               {appsv1.ParallelPodManagement, 5, intstr.FromString("10%"), 1},
		"of no pods, too":                 {appsv1.ParallelPodManagement, 0, intstr.FromString("10%"), 1},
		"one, where pods are in an order": {appsv1.OrderedReadyPodManagement, 10, intstr.FromInt(3), 1},
	} {
		t.Run(name, func(t *testing.T) {
			set := &v1beta1.StatefulSet{Spec: v1beta1.StatefulSetSpec{Replicas: &test.replicas, PodManagementPolicy: test.management}}
			set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{MaxUnavailable: &test.limit}
			set.Spec.ScaleStrategy = &v1beta1.StatefulSetScaleStrategy{MaxUnavailable: &test.limit}
			got, err := sequenceOf(set, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if got.MaxUnavailable != test.want {
				t.Errorf("of an update %d, want %d", got.MaxUnavailable, test.want)
			}
			if !got.Ordered && (got.ScaleLimit == nil || *got.ScaleLimit != test.want) {
				t.Errorf("of scaling %v, want %d", got.ScaleLimit, test.want)
			}
		})
	}
}

func TestAFieldThatCannotBeReadIsNamed(t *testing.T) {
	for want, change := range map[string]func(*v1beta1.StatefulSetSpec){
		`spec.reserveOrdinals[1]: "5-2"`: func(s *v1beta1.StatefulSetSpec) {
			s.ReserveOrdinals = []intstr.IntOrString{intstr.FromInt(1), intstr.FromString("5-2")}
		},
		`spec.reserveOrdinals[0]: "7"`: func(s *v1beta1.StatefulSetSpec) {
			s.ReserveOrdinals = []intstr.IntOrString{intstr.FromString("7")}
		},
		`spec.scaleStrategy.maxUnavailable: "many"`: func(s *v1beta1.StatefulSetSpec) {
			s.ScaleStrategy = &v1beta1.StatefulSetScaleStrategy{MaxUnavailable: new(intstr.FromString("many"))}
		},
		`spec.updateStrategy.rollingUpdate.maxUnavailable: "many"`: func(s *v1beta1.StatefulSetSpec) {
			s.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{MaxUnavailable: new(intstr.FromString("many"))}
		},
	} {
		set := &v1beta1.StatefulSet{Spec: v1beta1.StatefulSetSpec{PodManagementPolicy: appsv1.ParallelPodManagement}}
		change(&set.Spec)
		if _, err := sequenceOf(set, Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}
