package workload

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// claimSized is a claim, or a claim template, of a name and a size.
func claimSized(name, size string) corev1.PersistentVolumeClaim {
	c := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	return c
}

// reusing is a CloneSet that has no pods, and whose claims are used again: those of the instance id old, which are from before
// the change of the claim templates, and those of the id new. web-1 is its revision of before.
func reusing(t *testing.T, recorded string, options Options, templates ...corev1.PersistentVolumeClaim) *CloneSet {
	t.Helper()
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}, Status: v1beta1.CloneSetStatus{CurrentRevision: "web-1"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.ScaleStrategy.EnablePVCReuse = true
	set.Spec.VolumeClaimTemplates = templates
	before := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Annotations: map[string]string{v1beta1.ClaimTemplatesHashKey: recorded}}}
	before.Data.Raw = []byte(`{"spec":{"template":{"metadata":{"labels":{"app":"other"}}}}}`)
	owned := Owned{Revisions: []*appsv1.ControllerRevision{before}}
	for id, size := range map[string]string{"old": "1Gi", "new": "2Gi"} {
		for _, template := range templates {
			claim := claimSized(template.Name+"-web-"+id, size)
			claim.Labels = map[string]string{"app": "web", v1beta1.CloneSetInstanceID: id}
			owned.Claims = append(owned.Claims, &claim)
		}
	}
	c, err := NewCloneSet(set, owned, options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWhichClaimsAreUsedAgain(t *testing.T) {
	gate := Options{RecreateForClaims: true}
	large := claimSized("data", "2Gi")
	small := claimSized("data", "1Gi")
	for name, test := range map[string]struct {
		set *CloneSet
		// outdated says that the claims of the id old are not for the newest revision.
		outdated bool
	}{
		"all but those that changed with the rollout":           {reusing(t, "sha256-before", gate, large), true},
		"all, where the templates ask for no more":              {reusing(t, "sha256-before", gate, small), false},
		"none of an id of which one changed":                    {reusing(t, "sha256-before", gate, claimSized("logs", "1Gi"), large), true},
		"all, where claim templates make no rollout":            {reusing(t, "sha256-before", Options{}, large), false},
		"all, where no revision tells of other claims":          {reusing(t, "", gate, large), false},
		"all, where a revision is of a manager that is no more": {reusing(t, "7f6d8", gate, large), false},
	} {
		t.Run(name, func(t *testing.T) {
			c := test.set
			var expired []string
			for _, claim := range c.ExpiredClaims(c.Update) {
				expired = append(expired, claim.Labels[v1beta1.CloneSetInstanceID])
			}
			want, ids := []string(nil), []string{"new", "old"}
			if test.outdated {
				want, ids = slices.Repeat([]string{"old"}, len(c.Set.Spec.VolumeClaimTemplates)), []string{"new", "fresh"}
			}
			if diff := cmp.Diff(want, expired); diff != "" {
				t.Errorf("expired (-want +got):\n%s", diff)
			}
			if early := c.ExpiredClaims("web-1"); len(early) > 0 {
				t.Errorf("%d claims expire while the revision before the rollout may be wanted", len(early))
			}
			if got := c.keepsClaims("old", c.Update); got == test.outdated {
				t.Errorf("kept for the newest revision: %v", got)
			}
			if !c.keepsClaims("new", c.Update) || !c.keepsClaims("old", "web-1") {
				t.Error("claims that are as they should be are not kept")
			}
			fresh := func() string { return "fresh" }
			if diff := cmp.Diff(ids, c.freshIDs(2, c.Update, fresh)); diff != "" {
				t.Errorf("ids (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPodOfTheRevisionBeforeGetsTheClaimsOfBefore(t *testing.T) {
	c := reusing(t, "sha256-before", Options{RecreateForClaims: true}, claimSized("data", "2Gi"))
	fresh := func() string { return "fresh" }
	if diff := cmp.Diff([]string{"new", "old"}, c.freshIDs(2, "web-1", fresh)); diff != "" {
		t.Errorf("ids (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"fresh"}, c.freshIDs(1, c.Update, fresh)); diff != "" {
		t.Errorf("ids behind it (-want +got):\n%s", diff)
	}
	if left := c.ExpiredClaims(c.Update); len(left) > 0 {
		t.Errorf("%d claims expire that a new pod is to have", len(left))
	}
}
