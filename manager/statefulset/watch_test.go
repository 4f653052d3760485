package statefulset

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// findIn makes a finder of sets in the namespace shop.
func findIn(sets ...*v1beta1.StatefulSet) finder {
	return finder{set: func(key types.NamespacedName) (*v1beta1.StatefulSet, bool) {
		i := slices.IndexFunc(sets, func(s *v1beta1.StatefulSet) bool { return s.Name == key.Name && key.Namespace == "shop" })
		if i < 0 {
			return nil, false
		}
		return sets[i], true
	}}
}

func namesOf(requests []reconcile.Request) []string {
	var names []string
	for _, r := range requests {
		names = append(names, r.Name)
	}
	slices.Sort(names)
	return names
}

func TestAClaimIsFoundToBeOfEverySetThatMayHaveIt(t *testing.T) {
	f := findIn(builder.StatefulSet("web").Claim("data").Object(), builder.StatefulSet("old-web").Claim("data").Object(),
		builder.StatefulSet("shop").Claim("data-old").Object(), builder.StatefulSet("web-old").Claim("data").Object())
	for name, want := range map[string][]string{
		"data-web-0": {"web"}, "data-web-17": {"web"}, "data-old-web-3": {"old-web"}, "data-old-shop-1": {"shop"}, "data-web-old-2": {"web-old"},
		"logs-web-0": nil, "data-web": nil, "data-web-": nil, "data-web-x": nil, "web-0": nil, "0": nil, "": nil,
	} {
		claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
		if diff := cmp.Diff(want, namesOf(f.byClaim(t.Context(), claim))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		claim.Namespace = "other"
		if got := f.byClaim(t.Context(), claim); len(got) > 0 {
			t.Errorf("%s of another namespace concerns %v", name, got)
		}
	}
}

func TestAPodThatIsNotOfTheSetAndHasANameOfItsPodsConcernsIt(t *testing.T) {
	set := builder.StatefulSet("web").Object()
	set.UID = "web"
	f := findIn(set)
	yes := true
	owned := []metav1.OwnerReference{{UID: "web", Controller: &yes}}
	foreign := []metav1.OwnerReference{{UID: "other", Controller: &yes}}
	for name, tc := range map[string]struct {
		pod    string
		owners []metav1.OwnerReference
		want   []string
	}{
		"one of nobody":          {"web-3", nil, []string{"web"}},
		"one of somebody else":   {"web-3", foreign, []string{"web"}},
		"its own":                {"web-3", owned, nil},
		"of another name":        {"shop-3", nil, nil},
		"without an ordinal":     {"web-abcde", nil, nil},
		"with a name before it":  {"the-web-3", nil, nil},
		"with nothing before it": {"-3", nil, nil},
	} {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: tc.pod, OwnerReferences: tc.owners}}
		if diff := cmp.Diff(tc.want, namesOf(f.byPod(t.Context(), pod))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
