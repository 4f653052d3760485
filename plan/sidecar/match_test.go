package sidecar

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

// drawSelector makes a selector over two keys, with few values.
func drawSelector(t *rapid.T) *metav1.LabelSelector {
	s := &metav1.LabelSelector{}
	key, value := rapid.SampledFrom([]string{"k", "l"}), rapid.SampledFrom([]string{"x", "y"})
	if rapid.Bool().Draw(t, "labels") {
		s.MatchLabels = map[string]string{key.Draw(t, "key"): value.Draw(t, "value")}
	}
	for range rapid.IntRange(0, 2).Draw(t, "expressions") {
		r := metav1.LabelSelectorRequirement{Key: key.Draw(t, "key"), Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist"}).Draw(t, "operator")}
		if strings.HasSuffix(string(r.Operator), "In") {
			r.Values = rapid.SliceOfNDistinct(value, 1, 2, rapid.ID).Draw(t, "values")
		}
		s.MatchExpressions = append(s.MatchExpressions, r)
	}
	return s
}

// universe is every label set that selectors of drawSelector can tell apart; z stands for the values that none of them names.
func universe() []map[string]string {
	var out []map[string]string
	values := []string{"", "x", "y", "z"}
	for _, k := range values {
		for _, l := range values {
			set := map[string]string{"k": k, "l": l}
			for key, value := range set {
				if value == "" {
					delete(set, key)
				}
			}
			out = append(out, set)
		}
	}
	return out
}

func TestSetsOverlapIfAndOnlyIfAPodCanMatchBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := &v1beta1.SidecarSet{}, &v1beta1.SidecarSet{}
		for _, s := range []*v1beta1.SidecarSet{a, b} {
			s.Spec.Selector, s.Spec.NamespaceSelector = drawSelector(t), drawSelector(t)
			if rapid.Bool().Draw(t, "any namespace") {
				s.Spec.NamespaceSelector = nil
			}
			if len(s.Spec.Selector.MatchLabels)+len(s.Spec.Selector.MatchExpressions) == 0 {
				s.Spec.Selector.MatchLabels = map[string]string{"k": "x"}
			}
		}
		want := false
		for _, namespace := range universe() {
			for _, pod := range universe() {
				p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: pod}}
				want = want || Matches(a, p, namespace) && Matches(b, p, namespace)
			}
		}
		if got := Overlap(a, b); got != want || got != Overlap(b, a) {
			t.Fatalf("overlap: %t, and there is a pod: %t", got, want)
		}
	})
}

func TestTheIndexFindsWhatLookingAtAllFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		sets := map[string]*v1beta1.SidecarSet{}
		for range rapid.IntRange(0, 30).Draw(t, "changes") {
			name := fmt.Sprint("s", rapid.IntRange(0, 9).Draw(t, "name"))
			if rapid.IntRange(0, 4).Draw(t, "delete") == 0 {
				delete(sets, name)
				x.Delete(name)
				continue
			}
			s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
			s.Spec.Selector = drawSelector(t)
			if rapid.Bool().Draw(t, "namespaces") {
				s.Spec.NamespaceSelector = drawSelector(t)
			}
			s.Spec.InjectionStrategy.Paused = rapid.IntRange(0, 5).Draw(t, "paused") == 0
			sets[name] = s
			x.Put(s)
		}
		for _, namespace := range universe() {
			for _, pod := range universe() {
				var want, got []string
				for _, s := range sets {
					if Injects(s) && Matches(s, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: pod}}, namespace) {
						want = append(want, s.Name)
					}
				}
				slices.Sort(want)
				for _, s := range x.Matching(namespace, pod) {
					got = append(got, s.Name)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("in %v, for %v (-want +got):\n%s", namespace, pod, diff)
				}
			}
		}
	})
}

// A pod must not be compared with thousands of sets that are about other pods, even where all of them ask for one label alike.
func TestAPodIsComparedWithFewSets(t *testing.T) {
	namespace := func(name string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: name}}
	}
	for name, spec := range map[string]func(i int) v1beta1.SidecarSetSpec{
		"by a value of a label": func(i int) v1beta1.SidecarSetSpec {
			return v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("a", i)}}}
		},
		"by the second label": func(i int) v1beta1.SidecarSetSpec {
			return v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "same", "app": fmt.Sprint("a", i)}}}
		},
		"by the namespace": func(i int) v1beta1.SidecarSetSpec {
			return v1beta1.SidecarSetSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "same"}}, NamespaceSelector: namespace(fmt.Sprint("n", i))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			var x Index
			for i := range 1000 {
				x.Put(&v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("s", i)}, Spec: spec(i)})
			}
			compared := 0
			for _, n := range under(map[string]string{corev1.LabelMetadataName: "n7"}) {
				for _, p := range under(map[string]string{"a": "same", "app": "a7"}) {
					compared += len(x.places[n][p])
				}
			}
			if compared > 2 {
				t.Errorf("it is compared with %d sets", compared)
			}
			if got := x.Matching(map[string]string{corev1.LabelMetadataName: "n7"}, map[string]string{"a": "same", "app": "a7"}); len(got) != 1 || got[0].Name != "s7" || x.Len() != 1000 {
				t.Errorf("found %v of %d", got, x.Len())
			}
		})
	}
}

func TestACanaryTakesThePlaceOfItsBase(t *testing.T) {
	named := func(name, base string) *v1beta1.SidecarSet {
		s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if base != "" {
			s.Annotations = map[string]string{v1beta1.SidecarSetCanaryKey: "true", v1beta1.SidecarSetBaseKey: base}
		}
		return s
	}
	paused := named("canary", "mesh")
	paused.Spec.InjectionStrategy.Paused = true
	gone := named("canary", "mesh")
	gone.DeletionTimestamp = new(now)
	none := named("other", "mesh")
	none.Annotations[v1beta1.SidecarSetCanaryKey] = "false"
	for name, tc := range map[string]struct {
		matching []*v1beta1.SidecarSet
		want     string
	}{
		"no canary":                 {[]*v1beta1.SidecarSet{named("mesh", ""), named("log", "")}, "log mesh"},
		"a canary":                  {[]*v1beta1.SidecarSet{named("mesh", ""), named("canary", "mesh"), named("log", "")}, "canary log"},
		"two canaries":              {[]*v1beta1.SidecarSet{named("z", "mesh"), named("mesh", ""), named("canary", "mesh")}, "canary"},
		"a canary without the base": {[]*v1beta1.SidecarSet{named("canary", "mesh")}, "canary"},
		"a paused canary":           {[]*v1beta1.SidecarSet{named("mesh", ""), paused}, "mesh"},
		"a canary that is deleted":  {[]*v1beta1.SidecarSet{named("mesh", ""), gone}, "mesh"},
		"one that says it is none":  {[]*v1beta1.SidecarSet{named("mesh", ""), none}, "mesh other"},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, s := range Chosen(tc.matching) {
				got = append(got, s.Name)
			}
			if strings.Join(got, " ") != tc.want {
				t.Errorf("got %v, want %s", got, tc.want)
			}
		})
	}
}

func TestMissedAreSetsThatWereThereWhenThePodCame(t *testing.T) {
	at := func(minutes int) metav1.Time { return metav1.NewTime(now.Add(time.Duration(minutes) * time.Minute)) }
	mesh := func(change func(*v1beta1.SidecarSet)) *v1beta1.SidecarSet {
		s := set(t, "mesh", `{containers: [{name: proxy}]}`)
		s.CreationTimestamp = at(0)
		change(s)
		return s
	}
	asIs := mesh(func(*v1beta1.SidecarSet) {})
	canary := mesh(func(s *v1beta1.SidecarSet) {
		s.Name, s.Annotations = "canary", map[string]string{v1beta1.SidecarSetCanaryKey: "true", v1beta1.SidecarSetBaseKey: "mesh"}
	})
	pod := func(change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at(1), Labels: labels.Set{"app": "web"}, Annotations: map[string]string{}}}
		change(p)
		return p
	}
	has := func(list string) *corev1.Pod {
		return pod(func(p *corev1.Pod) { p.Annotations[v1beta1.SidecarSetInjectedListKey] = list })
	}
	from := func(set, container string) *corev1.Pod {
		return pod(func(p *corev1.Pod) {
			p.Annotations[v1beta1.SidecarSetInjectedListKey] = set
			p.Annotations[v1beta1.SidecarSetHashKey] = fmt.Sprintf(`{%q:{"sidecarSetName":%q,"sidecarList":[%q]}}`, set, set, container)
		})
	}
	plain := pod(func(*corev1.Pod) {})
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		sets []*v1beta1.SidecarSet
		want []string
	}{
		"a pod without it":                {plain, []*v1beta1.SidecarSet{asIs}, []string{"mesh"}},
		"a pod with it":                   {has("log,mesh"), []*v1beta1.SidecarSet{asIs}, nil},
		"a pod with another":              {has("mesh-2"), []*v1beta1.SidecarSet{asIs}, []string{"mesh"}},
		"a pod of that second":            {pod(func(p *corev1.Pod) { p.CreationTimestamp = at(0) }), []*v1beta1.SidecarSet{asIs}, []string{"mesh"}},
		"an older pod":                    {pod(func(p *corev1.Pod) { p.CreationTimestamp = at(-1) }), []*v1beta1.SidecarSet{asIs}, nil},
		"a pod that it does not match":    {pod(func(p *corev1.Pod) { p.Labels = nil }), []*v1beta1.SidecarSet{asIs}, nil},
		"a pod that has ended":            {pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), []*v1beta1.SidecarSet{asIs}, nil},
		"a pod that is being deleted":     {pod(func(p *corev1.Pod) { p.DeletionTimestamp = new(now) }), []*v1beta1.SidecarSet{asIs}, nil},
		"a static pod":                    {pod(func(p *corev1.Pod) { p.Annotations[corev1.MirrorPodAnnotationKey] = "" }), []*v1beta1.SidecarSet{asIs}, nil},
		"a set that is paused":            {plain, []*v1beta1.SidecarSet{mesh(func(s *v1beta1.SidecarSet) { s.Spec.InjectionStrategy.Paused = true })}, nil},
		"a set that selects more by now":  {plain, []*v1beta1.SidecarSet{mesh(func(s *v1beta1.SidecarSet) { changed(s, at(2)) })}, nil},
		"a set that did so before":        {plain, []*v1beta1.SidecarSet{mesh(func(s *v1beta1.SidecarSet) { changed(s, at(1)) })}, []string{"mesh"}},
		"the canary and not its base":     {plain, []*v1beta1.SidecarSet{asIs, canary}, []string{"canary"}},
		"a pod that has the canary":       {has("canary"), []*v1beta1.SidecarSet{asIs, canary}, nil},
		"a pod that had the base already": {has("mesh"), []*v1beta1.SidecarSet{asIs, canary}, nil},
		"a pod of a canary that is gone":  {from("canary", "proxy"), []*v1beta1.SidecarSet{asIs}, nil},
		"a pod with another's containers": {from("log", "agent"), []*v1beta1.SidecarSet{asIs}, []string{"mesh"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, Missed(tc.pod, nil, tc.sets)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// changed makes a set one that began to select more at a time.
func changed(s *v1beta1.SidecarSet, at metav1.Time) {
	old := s.DeepCopy()
	old.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
	StampSince(s, old, at)
}

func TestWhatASetSelectsIsDatedWhenItChangesAndNotElse(t *testing.T) {
	s := set(t, "s", `{}`)
	StampSince(s, nil, now)
	StampSince(s, s.DeepCopy(), now)
	if len(s.Annotations) > 0 {
		t.Errorf("dated without a change: %v", s.Annotations)
	}
	old := s.DeepCopy()
	s.Spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "a"}}
	StampSince(s, old, now)
	if got := Since(s); got != now {
		t.Errorf("since %v: %v", got, s.Annotations)
	}
}
