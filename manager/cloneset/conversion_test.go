package cloneset

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/roundtrip"
)

const (
	exclude     = v1beta1.CloneSetScalingExcludePreparingDeleteKey
	parallelism = v1beta1.ImagePreDownloadParallelismKey
	timeout     = v1beta1.ImagePreDownloadTimeoutSecondsKey
	minReady    = v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey
)

// The fuzzer makes only objects that the API server would let in where it matters here: types from their enums,
// parallelism as an integer. What else it leaves out is what Conversion documents as not kept.
func fuzzFuncs(serializer.CodecFactory) []any {
	pick := func(c randfill.Continue, words ...string) string { return words[c.Intn(len(words))] }
	return []any{
		// Templates are copied whole; what is in them does not matter.
		func(t *corev1.PodTemplateSpec, c randfill.Continue) {
			*t = corev1.PodTemplateSpec{Spec: corev1.PodSpec{NodeName: c.String(8)}}
		},
		func(p *corev1.PersistentVolumeClaim, c randfill.Continue) {
			*p = corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: c.String(8)}}
		},
		func(s *v1beta1.InPlaceUpdateStrategy, c randfill.Continue) {
			s.GracePeriodSeconds = c.Int31()
			if c.Bool() {
				s.ImagePreDownloadParallelism = ptr.To(intstr.FromInt32(c.Int31()))
			}
			if c.Bool() {
				s.ImagePreDownloadTimeoutSeconds = ptr.To(c.Int31())
			}
			if c.Bool() {
				s.ImagePreDownloadMinUpdatedReadyPods = ptr.To(c.Int31())
			}
		},
		func(s *v1beta1.CloneSetUpdateStrategy, c randfill.Continue) {
			s.Type = v1beta1.CloneSetUpdateStrategyType(pick(c, "RollingUpdate", "OnDelete"))
			s.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{}
			c.Fill(s.RollingUpdate)
			s.RollingUpdate.PodUpdatePolicy = ""
			if s.Type == v1beta1.RollingUpdateCloneSetUpdateStrategyType {
				s.RollingUpdate.PodUpdatePolicy = v1beta1.PodUpdatePolicyType(pick(c, "ReCreate", "InPlaceIfPossible", "InPlaceOnly"))
			}
		},
		func(s *v1alpha1.CloneSet, c randfill.Continue) {
			c.FillNoCustom(s)
			s.Spec.UpdateStrategy.Type = v1alpha1.CloneSetUpdateStrategyType(pick(c, "ReCreate", "InPlaceIfPossible", "InPlaceOnly", "OnDelete"))
			if c.Bool() {
				metav1.SetMetaDataLabel(&s.ObjectMeta, exclude, pick(c, "true", "false", "yes"))
			}
			for _, key := range []string{parallelism, timeout, minReady} {
				if c.Bool() {
					metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, pick(c, "0", "3", "600", "20%", "-1", "many", ""))
				}
			}
			// v1alpha1 speaks with annotations; a field beside them is a case of the table below.
			if in := s.Spec.UpdateStrategy.InPlaceUpdateStrategy; in != nil {
				s.Spec.UpdateStrategy.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: in.GracePeriodSeconds}
			}
		},
	}
}

// equal takes an absent and an empty map, list or struct for the same, as JSON does.
func equal() cmp.Options {
	return cmp.Options{
		cmp.Transformer("orNothing", func(s *v1beta1.InPlaceUpdateStrategy) v1beta1.InPlaceUpdateStrategy {
			return ptr.Deref(s, v1beta1.InPlaceUpdateStrategy{})
		}),
		cmp.Transformer("orNothing", func(s *v1beta1.RollingUpdateCloneSetStrategy) v1beta1.RollingUpdateCloneSetStrategy {
			return ptr.Deref(s, v1beta1.RollingUpdateCloneSetStrategy{})
		}),
	}
}

func TestNothingIsLostOnTheWayThereAndBack(t *testing.T) {
	roundtrip.LosesNothing[v1alpha1.CloneSet, v1beta1.CloneSet](t, Conversion(), roundtrip.Filler(t, fuzzFuncs), equal()...)
}

// What is opaque or unknown comes out to the last byte as it went in.
func TestATemplateIsNotTouched(t *testing.T) {
	const before = `{"apiVersion":"apps.kruise.io/v1alpha1","kind":"CloneSet","metadata":{"name":"demo"},"spec":{` +
		`"fromTheFuture":[1,2.5],"scaleStrategy":{"disablePVCReuse":true},"template":{"metadata":{},"spec":{"containers":[{"name":"main","newField":{},"resources":{"limits":{"cpu":"1000m"}}}]}},` +
		`"updateStrategy":{"fromTheFuture":{"a":null},"type":"InPlaceOnly"}}}` + "\n"
	set := &unstructured.Unstructured{}
	if err := set.UnmarshalJSON([]byte(before)); err != nil {
		t.Fatal(err)
	}
	for _, version := range []string{"v1beta1", "v1alpha1"} {
		if err := Conversion().Convert(set, version); err != nil {
			t.Fatal(err)
		}
	}
	after, err := set.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, string(after)); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

// The schema refuses such objects in words that name the field; the conversion, which may meet them first, lets them pass.
func TestAnObjectOfTheWrongShapeIsLeftToTheSchema(t *testing.T) {
	for name, text := range map[string]string{
		"no object at all":          `{}`,
		"a spec that is a number":   `{"spec":5}`,
		"strategies that are words": `{"spec":{"scaleStrategy":"all","updateStrategy":"fast"}}`,
		"a word for a boolean":      `{"spec":{"scaleStrategy":{"disablePVCReuse":"no"}}}`,
		"a number for a type":       `{"spec":{"updateStrategy":{"type":3,"inPlaceUpdateStrategy":[]}}}`,
		"labels in a list":          `{"metadata":{"labels":[],"annotations":7},"spec":{}}`,
	} {
		t.Run(name, func(t *testing.T) {
			for _, version := range []string{"v1alpha1", "v1beta1"} {
				set := &unstructured.Unstructured{}
				if err := json.Unmarshal([]byte(text), &set.Object); err != nil {
					t.Fatal(err)
				}
				if err := Conversion().Convert(set, version); err != nil {
					t.Errorf("to %s: %v", version, err)
				}
			}
		})
	}
}

func v1alpha1Set(change func(*v1alpha1.CloneSet)) *v1alpha1.CloneSet {
	set := &v1alpha1.CloneSet{}
	set.Spec.UpdateStrategy.Type = v1alpha1.RecreateCloneSetUpdateStrategyType
	set.Spec.ScaleStrategy.DisablePVCReuse = true // the default of v1beta1
	change(set)
	return set
}

func v1beta1Set(change func(set *v1beta1.CloneSet, rolling *v1beta1.RollingUpdateCloneSetStrategy)) *v1beta1.CloneSet {
	set := &v1beta1.CloneSet{}
	rolling := &v1beta1.RollingUpdateCloneSetStrategy{PodUpdatePolicy: v1beta1.RecreatePodUpdatePolicyType}
	set.Spec.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType, RollingUpdate: rolling}
	change(set, rolling)
	return set
}

func TestWhatV1alpha1SaysInV1beta1(t *testing.T) {
	cases := map[string]struct {
		v1alpha1 *v1alpha1.CloneSet
		v1beta1  *v1beta1.CloneSet
	}{
		"nothing is said about claims: they are reused, as ever in v1alpha1": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) { s.Spec.ScaleStrategy.DisablePVCReuse = false }),
			v1beta1Set(func(s *v1beta1.CloneSet, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Spec.ScaleStrategy.EnablePVCReuse = true
			}),
		},
		"a type of v1alpha1 is a rolling update with that policy": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Spec.UpdateStrategy.Type = v1alpha1.InPlaceOnlyCloneSetUpdateStrategyType
				s.Spec.UpdateStrategy.Partition = ptr.To(intstr.FromString("30%"))
				s.Spec.UpdateStrategy.Paused = true
			}),
			v1beta1Set(func(_ *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				r.PodUpdatePolicy = v1beta1.InPlaceOnlyPodUpdatePolicyType
				r.Partition = ptr.To(intstr.FromString("30%"))
				r.Paused = true
			}),
		},
		"OnDelete keeps partition and maxUnavailable for the day it is changed back": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Spec.UpdateStrategy.Type = v1alpha1.OnDeleteCloneSetUpdateStrategyType
				s.Spec.UpdateStrategy.Partition = ptr.To(intstr.FromInt32(2))
				s.Spec.UpdateStrategy.MaxUnavailable = ptr.To(intstr.FromInt32(3))
			}),
			v1beta1Set(func(s *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
				r.PodUpdatePolicy = ""
				r.Partition = ptr.To(intstr.FromInt32(2))
				r.MaxUnavailable = ptr.To(intstr.FromInt32(3))
			}),
		},
		"the label that leaves out pods being deleted is a field": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) { s.Labels = map[string]string{exclude: "true", "app": "demo"} }),
			v1beta1Set(func(s *v1beta1.CloneSet, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Labels = map[string]string{"app": "demo"}
				s.Spec.ScaleStrategy.ExcludePreparingDelete = true
			}),
		},
		"that label with another value says nothing and stays": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) { s.Labels = map[string]string{exclude: "yes"} }),
			v1beta1Set(func(s *v1beta1.CloneSet, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Labels = map[string]string{exclude: "yes"}
			}),
		},
		"the annotations of the download ahead are fields": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Annotations = map[string]string{parallelism: "3", timeout: "600", minReady: "2"}
			}),
			v1beta1Set(func(_ *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				r.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{
					ImagePreDownloadParallelism:         ptr.To(intstr.FromInt32(3)),
					ImagePreDownloadTimeoutSeconds:      ptr.To[int32](600),
					ImagePreDownloadMinUpdatedReadyPods: ptr.To[int32](2),
				}
			}),
		},
		"an annotation that is a percentage has no field and stays untouched": {
			v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Annotations = map[string]string{minReady: "20%", timeout: "60"}
				s.Spec.UpdateStrategy.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: 3}
			}),
			v1beta1Set(func(s *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Annotations = map[string]string{minReady: "20%"}
				r.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: 3, ImagePreDownloadTimeoutSeconds: ptr.To[int32](60)}
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			there := roundtrip.As[v1beta1.CloneSet](t, Conversion(), tc.v1alpha1, "v1beta1")
			if diff := cmp.Diff(tc.v1beta1, there, equal()); diff != "" {
				t.Errorf("to v1beta1, -want +got:\n%s", diff)
			}
			back := roundtrip.As[v1alpha1.CloneSet](t, Conversion(), tc.v1beta1, "v1alpha1")
			if diff := cmp.Diff(tc.v1alpha1, back, equal()); diff != "" {
				t.Errorf("to v1alpha1, -want +got:\n%s", diff)
			}
		})
	}
}

func TestContradictionsOnTheWayToV1beta1(t *testing.T) {
	cases := map[string]struct{ from, want *v1alpha1.CloneSet }{
		"a missing type is written out": {
			from: v1alpha1Set(func(s *v1alpha1.CloneSet) { s.Spec.UpdateStrategy.Type = "" }),
			want: v1alpha1Set(func(*v1alpha1.CloneSet) {}),
		},
		"a field beside an annotation wins": {
			from: v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Annotations = map[string]string{timeout: "60"}
				s.Spec.UpdateStrategy.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{ImagePreDownloadTimeoutSeconds: ptr.To[int32](90)}
			}),
			want: v1alpha1Set(func(s *v1alpha1.CloneSet) { s.Annotations = map[string]string{timeout: "90"} }),
		},
		"a parallelism that is no integer stays a field": {
			from: v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Spec.UpdateStrategy.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{ImagePreDownloadParallelism: ptr.To(intstr.FromString("10%"))}
			}),
			want: v1alpha1Set(func(s *v1alpha1.CloneSet) {
				s.Spec.UpdateStrategy.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{ImagePreDownloadParallelism: ptr.To(intstr.FromString("10%"))}
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := roundtrip.As[v1alpha1.CloneSet](t, Conversion(), roundtrip.As[v1beta1.CloneSet](t, Conversion(), tc.from, "v1beta1"), "v1alpha1")
			if diff := cmp.Diff(tc.want, got, equal()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestContradictionsOnTheWayToV1alpha1(t *testing.T) {
	cases := map[string]struct{ from, want *v1beta1.CloneSet }{
		"the policy beside OnDelete is not kept": {
			from: v1beta1Set(func(s *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
				r.PodUpdatePolicy = v1beta1.InPlaceOnlyPodUpdatePolicyType
			}),
			want: v1beta1Set(func(s *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
				r.PodUpdatePolicy = ""
			}),
		},
		"a missing strategy is written out": {
			from: &v1beta1.CloneSet{},
			want: v1beta1Set(func(*v1beta1.CloneSet, *v1beta1.RollingUpdateCloneSetStrategy) {}),
		},
		"a field takes the place of the annotation that it stands for": {
			from: v1beta1Set(func(s *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Annotations = map[string]string{minReady: "20%"}
				r.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{ImagePreDownloadMinUpdatedReadyPods: ptr.To[int32](1)}
			}),
			want: v1beta1Set(func(_ *v1beta1.CloneSet, r *v1beta1.RollingUpdateCloneSetStrategy) {
				r.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{ImagePreDownloadMinUpdatedReadyPods: ptr.To[int32](1)}
			}),
		},
		"the label of v1alpha1 speaks once the object was written as v1alpha1": {
			from: v1beta1Set(func(s *v1beta1.CloneSet, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Labels = map[string]string{exclude: "true"}
			}),
			want: v1beta1Set(func(s *v1beta1.CloneSet, _ *v1beta1.RollingUpdateCloneSetStrategy) {
				s.Spec.ScaleStrategy.ExcludePreparingDelete = true
			}),
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := roundtrip.As[v1beta1.CloneSet](t, Conversion(), roundtrip.As[v1alpha1.CloneSet](t, Conversion(), tc.from, "v1alpha1"), "v1beta1")
			if diff := cmp.Diff(tc.want, got, equal()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
