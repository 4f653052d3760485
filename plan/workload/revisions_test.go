package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/revision"
)

func TestARevisionExpiresWithTheRolloutThatReplacesIt(t *testing.T) {
	var history []*appsv1.ControllerRevision
	for i, name := range []string{"web-1", "web-2", "web-3"} {
		history = append(history, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}, Revision: int64(i + 1)})
	}
	pods := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: "web-3"}}}}
	r := &Revisions{History: history, Update: "web-3", Current: "web-2"}
	for current, want := range map[string][]string{"web-2": {"web-1"}, "web-3": {"web-1", "web-2"}} {
		var got []string
		for _, expired := range r.Expired(pods, current, 0) {
			got = append(got, expired.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %s as the current revision (-want +got):\n%s", current, diff)
		}
	}
}

// TestARevisionThatNobodyOwnsIsUsedWhereItIsNamed is about revisions that lost their owner, as in a backup.
func TestARevisionThatNobodyOwnsIsUsedWhereItIsNamed(t *testing.T) {
	selected := map[string]string{"app": "web"}
	cases := map[string]struct {
		change func(*appsv1.ControllerRevision)
		status string
		label  string
		want   bool
	}{
		"by the status":                 {status: "web-1", want: true},
		"by a pod":                      {label: "web-1", want: true},
		"by a pod with a short label":   {label: "1", want: true},
		"but not where nobody names it": {label: "web-2"},
		"but not another's": {label: "web-1", change: func(r *appsv1.ControllerRevision) {
			r.OwnerReferences = []metav1.OwnerReference{{UID: "other", Controller: new(true)}}
		}},
		"but not one that the selector does not match": {label: "web-1", change: func(r *appsv1.ControllerRevision) { r.Labels = nil }},
		"but not one that is being deleted": {label: "web-1", change: func(r *appsv1.ControllerRevision) {
			r.DeletionTimestamp = new(metav1.Now())
		}},
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Status: v1beta1.CloneSetStatus{UpdateRevision: test.status}}
			set.Spec.Selector, set.Spec.Template.Labels = &metav1.LabelSelector{MatchLabels: selected}, selected
			data, err := revision.Data(&set.Spec.Template)
			if err != nil {
				t.Fatal(err)
			}
			orphan := &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: "web-1", Labels: selected}}
			orphan.Data.Raw = data
			if test.change != nil {
				test.change(orphan)
			}
			owned := Owned{Revision: func(name string) *appsv1.ControllerRevision {
				if name != orphan.Name {
					return nil
				}
				return orphan
			}}
			if test.label != "" {
				labels := map[string]string{"app": "web", appsv1.ControllerRevisionHashLabelKey: test.label}
				owned.Pods = []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: labels}}}
			}
			c, err := NewCloneSet(set, owned, Options{})
			if err != nil {
				t.Fatal(err)
			}
			if used, adopts := c.Newest == orphan, len(c.Orphans) == 1; used != test.want || adopts != test.want {
				t.Errorf("used: %v, adopted: %v; want %v", used, adopts, test.want)
			}
		})
	}
}

func TestTheHashOfClaimTemplatesKnowsNoDefaults(t *testing.T) {
	hash := func(change func(*corev1.PersistentVolumeClaim)) string {
		claims := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		change(&claims[0])
		text, err := hashClaims(claims)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	plain := hash(func(*corev1.PersistentVolumeClaim) {})
	defaulted := hash(func(c *corev1.PersistentVolumeClaim) {
		c.Kind, c.Status.Phase, c.Spec.VolumeMode = "PersistentVolumeClaim", corev1.ClaimPending, new(corev1.PersistentVolumeFilesystem)
	})
	block := hash(func(c *corev1.PersistentVolumeClaim) { c.Spec.VolumeMode = new(corev1.PersistentVolumeBlock) })
	if plain != defaulted || plain == block {
		t.Errorf("hashes: %s, %s with defaults, %s of a block volume", plain, defaulted, block)
	}
}
